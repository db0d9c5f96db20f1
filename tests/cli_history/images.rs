//! Data of the user: folders of images, IDX files, MedMNIST's archives. What is good is trained on, what is bad is refused
//! by name before a run folder is begun.

use crate::{Ended, holdfast, manifest};
use holdfast::run_folder::arrays::{self, NamedArray, Values};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use std::ffi::OsStr;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// A picture of one shade with a brighter corner.
fn picture(width: u32, height: u32, shade: u8) -> GrayImage {
    GrayImage::from_fn(width, height, |x, y| Luma([if x + y < 4 { shade + 60 } else { shade }]))
}

fn write(path: &Path, image: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

/// Two classes of ten images of 12 x 10 pixels each, dark and bright.
fn shades(folder: &Path) {
    for index in 0..10 {
        write(&folder.join(format!("dark/{index}.png")), picture(12, 10, 20 + index));
        write(&folder.join(format!("bright/{index}.png")), picture(12, 10, 150 + index));
    }
}

fn set() -> TempDir {
    let folder = tempdir().unwrap();
    shades(&folder.path().join("shades"));
    folder
}

/// Trains one replica for an epoch.
fn train(folder: &Path, data: &str) -> Ended {
    let line = "train --device cpu --epochs 1 --replicates 1 --depth 2 --width 8 --out run --fresh --data";
    holdfast(folder, line, &[OsStr::new(data)])
}

fn checksums(folder: &Path) -> serde_json::Value {
    manifest(&folder.join("run"))["data_checksums"].clone()
}

/// Training on `data` must fail as bad data with these words, and leave no run folder.
#[track_caller]
fn assert_refused(folder: &Path, data: &str, words: &[&str]) {
    train(folder, data).refused(5, words);
    assert!(!folder.join("run").exists(), "a run folder was begun for data that cannot be used");
}

#[test]
fn a_folder_of_images_is_trained_on_and_named_by_its_folder() {
    let folder = set();
    train(folder.path(), "any=shades").succeeded();
    let names: Vec<String> = checksums(folder.path()).as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["shades, test", "shades, training"]);
    let metrics = fs::read_to_string(folder.path().join("run/metrics.csv")).unwrap();
    assert!(metrics.lines().nth(1).unwrap().starts_with("dnn,shades,0,1,"), "{metrics}");
}

#[test]
fn every_format_gives_the_same_images() {
    let folder = tempdir().unwrap();
    let mut exported = Vec::new();
    for ending in ["png", "bmp", "tiff", "TIF"] {
        let set = folder.path().join("set");
        for index in 0..4 {
            for class in [0, 1] {
                let image = picture(12, 10, 40 + 90 * class + index);
                let format = ImageFormat::from_extension(ending).unwrap();
                let mut bytes = Cursor::new(Vec::new());
                DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
                fs::create_dir_all(set.join(class.to_string())).unwrap();
                fs::write(set.join(format!("{class}/{index}.{ending}")), bytes.into_inner()).unwrap();
            }
        }
        train(folder.path(), "any=set").succeeded();
        exported.push(checksums(folder.path()));
        fs::remove_dir_all(&set).unwrap();
    }
    assert!(exported.windows(2).all(|pair| pair[0] == pair[1]), "{exported:?}");
}

#[test]
fn colour_jpeg_images_of_mixed_sizes_are_brought_to_one_side() {
    let folder = tempdir().unwrap();
    for index in 0..6u32 {
        let photo = |shade: u8| RgbImage::from_pixel(20 + index, 30 - index, image::Rgb([shade, shade / 2, shade]));
        write(&folder.path().join(format!("photos/red/{index}.jpg")), photo(200));
        write(&folder.path().join(format!("photos/gray/{index}.jpeg")), photo(90));
    }
    assert_refused(folder.path(), "any=photos", &["differ in size", "20 x 30", "21 x 29", "--side"]);
    for fit in ["resize", "pad"] {
        let line = format!("data export any=photos {fit} --side 16 --fit {fit} --json");
        let exported = holdfast(folder.path(), &line, &[]).succeeded().json();
        assert_eq!((&exported["training_images"], &exported["test_images"]), (&10.into(), &2.into()));
        assert_eq!(exported["classes"], serde_json::json!(["gray", "red"]));
        let image = image::open(
            fs::read_dir(folder.path().join(fit).join("test/red")).unwrap().next().unwrap().unwrap().path(),
        );
        let image = image.unwrap().into_luma8();
        assert_eq!(image.dimensions(), (16, 16));
        // An upright photo leaves black at its sides where it is padded.
        assert_eq!(image.get_pixel(0, 8).0[0] == 0, fit == "pad");
    }
}

#[test]
fn a_split_of_its_own_is_kept_and_validation_images_are_left_out_with_a_notice() {
    let folder = tempdir().unwrap();
    let whole = folder.path().join("set");
    for (part, images) in [("train", 5), ("val", 1), ("test", 2)] {
        for index in 0..images {
            write(&whole.join(format!("{part}/NORMAL/{index}.png")), picture(10, 10, 10 + index));
            write(&whole.join(format!("{part}/PNEUMONIA/{index}.png")), picture(10, 10, 110 + index));
        }
    }
    let ended = holdfast(folder.path(), "data export any=set out --json", &[]).succeeded();
    assert_eq!((&ended.json()["training_images"], &ended.json()["test_images"]), (&10.into(), &4.into()));
    assert!(ended.stderr.contains("val are left out"), "{}", ended.stderr);
    fs::remove_dir_all(whole.join("test/NORMAL")).unwrap();
    write(&whole.join("test/OTHER/1.png"), picture(10, 10, 1));
    assert_refused(folder.path(), "any=set", &["NORMAL", "same classes"]);
    fs::remove_dir_all(whole.join("test")).unwrap();
    assert_refused(folder.path(), "any=set", &["none for testing"]);
}

#[test]
fn classes_that_are_numbers_are_in_the_order_of_numbers() {
    let folder = tempdir().unwrap();
    for class in [10, 9, 1, 0] {
        for index in 0..2 {
            write(&folder.path().join(format!("ages/{class}/{index}.png")), picture(8, 8, class * 10));
        }
    }
    let exported = holdfast(folder.path(), "data export any=ages out --json", &[]).succeeded().json();
    assert_eq!(exported["classes"], serde_json::json!(["0", "1", "9", "10"]));
}

#[test]
fn what_is_no_image_is_skipped_with_a_notice() {
    let folder = set();
    let shades = folder.path().join("shades");
    for name in ["README.txt", ".DS_Store", "dark/.DS_Store", "dark/Thumbs.db", "bright/._0.png", "bright/notes.csv"] {
        fs::write(shades.join(name), "x").unwrap();
    }
    fs::create_dir_all(shades.join(".cache/deep")).unwrap();
    fs::create_dir_all(shades.join("dark/more")).unwrap();
    let ended = train(folder.path(), "any=shades").succeeded();
    for name in ["README.txt", ".DS_Store", "Thumbs.db", "._0.png", "notes.csv", ".cache", "more"] {
        assert!(
            ended.stderr.lines().any(|line| line.starts_with("notice: ") && line.contains(name)),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn damaged_images_among_good_ones_are_named() {
    let folder = set();
    let bright = folder.path().join("shades/bright");
    let mut jpeg = Cursor::new(Vec::new());
    DynamicImage::from(picture(12, 10, 99)).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    fs::write(bright.join("whole.jpg"), &jpeg).unwrap();
    train(folder.path(), "any=shades").succeeded();
    fs::remove_dir_all(folder.path().join("run")).unwrap();
    fs::write(bright.join("cut.jpg"), &jpeg[..jpeg.len() - 4]).unwrap();
    assert_refused(folder.path(), "any=shades", &["cut.jpg", "cut off", "1 of the images"]);
    fs::write(bright.join("page.png"), "<html>404</html>").unwrap();
    fs::write(folder.path().join("shades/dark/empty.png"), "").unwrap();
    assert_refused(
        folder.path(),
        "any=shades",
        &["2 of the images", "page.png", "empty.png", "not PNG, JPEG, BMP or TIFF"],
    );
}

#[test]
fn an_image_that_claims_gigapixels_is_refused() {
    let folder = set();
    let mut bitmap = Cursor::new(Vec::new());
    DynamicImage::from(picture(12, 10, 9)).write_to(&mut bitmap, ImageFormat::Bmp).unwrap();
    let mut bitmap = bitmap.into_inner();
    bitmap[18..22].copy_from_slice(&50_000i32.to_le_bytes());
    bitmap[22..26].copy_from_slice(&50_000i32.to_le_bytes());
    fs::write(folder.path().join("shades/dark/bomb.bmp"), bitmap).unwrap();
    assert_refused(folder.path(), "any=shades", &["bomb.bmp", "50000 x 50000"]);
}

#[test]
fn classes_that_cannot_be_learnt_are_refused() {
    let folder = set();
    let shades = folder.path().join("shades");
    fs::create_dir(shades.join("medium")).unwrap();
    assert_refused(folder.path(), "any=shades", &["no images", "class medium"]);
    fs::write(shades.join("medium/notes.txt"), "").unwrap();
    assert_refused(folder.path(), "any=shades", &["no images", "class medium"]);
    write(&shades.join("medium/0.png"), picture(12, 10, 70));
    assert_refused(folder.path(), "any=shades", &["class medium has only one image"]);
    assert_refused(folder.path(), "any=shades/dark", &["no folders in it"]);
    fs::create_dir(folder.path().join("one")).unwrap();
    fs::rename(&shades, folder.path().join("one/shades")).unwrap();
    assert_refused(folder.path(), "any=one", &["only one class, shades"]);
    assert_refused(folder.path(), "any=nowhere", &["nowhere", "check the path"]);
    for class in 0..257 {
        write(&folder.path().join(format!("many/{class}/0.png")), picture(8, 8, 1));
    }
    assert_refused(folder.path(), "any=many", &["257 classes", "256"]);
}

#[test]
fn the_share_that_is_held_out_can_be_chosen() {
    let folder = set();
    let exported = |share: &str| {
        let line = format!("data export any=shades out --fresh --test-share {share} --json");
        holdfast(folder.path(), &line, &[]).succeeded().json()["test_images"].clone()
    };
    assert_eq!([exported("0.2"), exported("0.5")], [4, 10]);
    for share in ["0", "1", "-0.5", "NaN"] {
        let line = format!("train --device cpu --data any=shades --test-share {share}");
        holdfast(folder.path(), &line, &[]).refused(2, &["--test-share"]);
    }
    holdfast(folder.path(), "train --device cpu --data any=shades --side 0", &[]).refused(2, &["--side 0"]);
}

/// Six training, two validation and four test images of 8 x 8 pixels in MedMNIST's form.
fn archive(path: &Path, left_out: &str) {
    let arrays: Vec<(&str, Vec<usize>, Vec<u8>)> = [("train", 6), ("val", 2), ("test", 4)]
        .into_iter()
        .flat_map(|(part, images)| {
            let labels: Vec<u8> = (0..images).map(|index| (index % 2) as u8).collect();
            let pixels = labels.iter().flat_map(|label| [40 + 100 * label; 64]).collect();
            let [image_name, label_name] = match part {
                "train" => ["train_images", "train_labels"],
                "val" => ["val_images", "val_labels"],
                _ => ["test_images", "test_labels"],
            };
            [(image_name, vec![images, 8, 8], pixels), (label_name, vec![images, 1], labels)]
        })
        .filter(|array| array.0 != left_out)
        .collect();
    let named: Vec<NamedArray<'_>> =
        arrays.iter().map(|(name, shape, values)| NamedArray { name, shape, values: Values::U8(values) }).collect();
    arrays::write(path, &named).unwrap();
}

#[test]
fn an_archive_in_the_form_of_medmnist_keeps_its_split() {
    let folder = tempdir().unwrap();
    archive(&folder.path().join("scans.npz"), "");
    train(folder.path(), "any=scans.npz").succeeded().says(&["2 validation images are left out"]);
    assert!(checksums(folder.path())["scans, test"].is_string());
    let exported = holdfast(folder.path(), "data export xr=scans.npz out --json", &[]).succeeded().json();
    assert_eq!(
        (&exported["set"], &exported["training_images"], &exported["test_images"]),
        (&"xr".into(), &6.into(), &4.into())
    );
    let file = fs::read_dir(folder.path().join("out/test/1")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(image::open(file).unwrap().into_luma8().dimensions(), (100, 100), "the size of the paper's x-rays");
}

#[test]
fn archives_with_other_keys_or_types_are_refused() {
    let folder = tempdir().unwrap();
    archive(&folder.path().join("half.npz"), "test_images");
    assert_refused(folder.path(), "any=half.npz", &["no array test_images", "train_images", "MedMNIST"]);
    let floats = [0.5f32; 64];
    let array = NamedArray { name: "train_images", shape: &[1, 8, 8], values: Values::F32(&floats) };
    let others = ["train_labels", "test_images", "test_labels"];
    let others = others.map(|name| NamedArray { name, shape: &[1], values: Values::U8(&[0]) });
    arrays::write(&folder.path().join("floats.npz"), &[&[array][..], &others].concat()).unwrap();
    assert_refused(folder.path(), "any=floats.npz", &["train_images", "<f4", "uint8"]);
    let whole = fs::read(folder.path().join("half.npz")).unwrap();
    fs::write(folder.path().join("cut.npz"), &whole[..whole.len() / 2]).unwrap();
    assert_refused(folder.path(), "any=cut.npz", &["cut.npz", "damaged"]);
}

#[test]
fn made_up_sets_are_called_synthetic_wherever_they_go() {
    let folder = tempdir().unwrap();
    let made = holdfast(folder.path(), "data generate xr-synthetic made --json", &[]).succeeded().json();
    train(folder.path(), "any=made").succeeded();
    assert_eq!(checksums(folder.path())["xr-synthetic, test"], made["test_checksum"]);
    assert_eq!(checksums(folder.path())["xr-synthetic, training"], made["training_checksum"]);
    let metrics = fs::read_to_string(folder.path().join("run/metrics.csv")).unwrap();
    assert!(metrics.lines().skip(1).all(|line| line.starts_with("dnn,xr-synthetic,")), "{metrics}");
    holdfast(folder.path(), "data export xr-synthetic out --limit 1 --side 20", &[]).succeeded();
    assert!(folder.path().join("out/xr-synthetic-contact-sheet.png").is_file());
}

#[test]
fn sets_that_do_not_come_with_the_project_are_asked_for() {
    let folder = tempdir().unwrap();
    for id in ["sc", "xr"] {
        train(folder.path(), id).refused(2, &[&format!("{id}=PATH"), &format!("{id}-synthetic")]);
    }
    train(folder.path(), "any").refused(2, &["any=PATH"]);
    train(folder.path(), "sc-synthetic=x").refused(2, &["generated"]);
}
