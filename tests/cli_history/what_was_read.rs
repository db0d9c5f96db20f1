//! What a command says of the data that it read: classes, images, what was left out, what is odd about the pixels.

use crate::{Ended, holdfast, manifest};
use image::{DynamicImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA};
use ndarray::{Array, Array1, Array2, Array3, Dimension};
use ndarray_npy::{NpzWriter, WritableElement};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Cursor;
use std::path::Path;
use tempfile::tempdir;

/// No two of these are alike, nor dark.
fn picture(seed: u32) -> GrayImage {
    GrayImage::from_fn(8, 8, |x, y| Luma([((x * 31 + y * 17 + seed * 3) % 256) as u8]))
}

fn write(path: &Path, image: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

/// Images 0 to `count` in the folder of a class, none as in the class of another `first`.
fn class(folder: &Path, first: u32, count: u32) {
    (0..count).for_each(|index| write(&folder.join(format!("{index}.png")), picture(first + index)));
}

/// Ten cats and ten dogs in `pets`.
fn pets(folder: &Path) {
    class(&folder.join("pets/cats"), 0, 10);
    class(&folder.join("pets/dogs"), 100, 10);
}

fn export(folder: &Path, data: impl AsRef<OsStr>) -> Ended {
    holdfast(folder, "data export --json", &[data.as_ref(), OsStr::new("out")]).succeeded()
}

fn train(folder: &Path, data: &str) -> Ended {
    let line = "train --device cpu --epochs 1 --replicates 1 --batch 4 --depth 2 --width 8 --out run --data";
    holdfast(folder, line, &[OsStr::new(data)])
}

/// The notices that hold all of these words; there must be one.
#[track_caller]
fn assert_noticed(ended: &Ended, words: &[&str]) {
    let found =
        ended.stderr.lines().any(|line| line.starts_with("notice: ") && words.iter().all(|word| line.contains(word)));
    assert!(found, "no notice has all of {words:?} in\n{}", ended.stderr);
}

fn has_no_notice(ended: &Ended) -> bool {
    !ended.stderr.contains("notice: ")
}

#[test]
fn every_command_says_what_it_read_once() {
    let folder = tempdir().unwrap();
    pets(folder.path());
    let line = "pets: 2 classes (cats 8, dogs 8), 8 x 8, 16 training and 4 test images, gray";
    let says = |ended: &Ended| ended.stderr.lines().filter(|found| *found == line).count() == 1;
    let trained = train(folder.path(), "any=pets").succeeded();
    assert!(says(&trained) && has_no_notice(&trained), "{}", trained.stderr);
    assert!(says(&export(folder.path(), "any=pets")));
    let more = "--model both --filters 2 --epochs 1 --replicates 1 --device cpu --out both";
    let both = holdfast(folder.path(), &format!("train --data any=pets --depth 2 --width 8 {more}"), &[]).succeeded();
    assert!(says(&both), "{}", both.stderr);
    let pruned = holdfast(folder.path(), "prune run --criterion magnitude --sparsity 0.5 --device cpu --out p", &[]);
    assert!(says(&pruned.succeeded()));
    let quiet =
        holdfast(folder.path(), "prune run --criterion magnitude --sparsity 0.5 --device cpu --out q --quiet", &[]);
    assert_eq!(quiet.succeeded().stderr, "");
    for run in ["run", "p"] {
        let manifest = manifest(&folder.path().join(run));
        let set = &manifest["data_sets"]["pets"];
        let class = |name: &str| serde_json::json!({ "name": name, "training_images": 8, "test_images": 2 });
        assert_eq!(set["classes"], serde_json::json!([class("cats"), class("dogs")]), "{run}");
        assert_eq!((&set["height"], &set["width"]), (&8.into(), &8.into()));
        assert_eq!((&set["training_images"], &set["test_images"]), (&16.into(), &4.into()));
    }
}

#[test]
fn folders_that_systems_leave_are_left_out_wherever_they_lie() {
    let folder = tempdir().unwrap();
    pets(folder.path());
    let set = folder.path().join("pets");
    class(&set.join("@eaDir"), 200, 3);
    write(&set.join("cats/@eaDir/0.png/SYNOPHOTO_THUMB_M.png"), picture(7));
    class(&set.join("lost+found"), 210, 1);
    fs::create_dir(set.join("$RECYCLE.BIN")).unwrap();
    let ended = export(folder.path(), "any=pets");
    assert_eq!(ended.json()["classes"], serde_json::json!(["cats", "dogs"]));
    assert_noticed(&ended, &["4 folders", "@eaDir in 2 places", "lost+found", "$RECYCLE.BIN"]);
    // In the parts of a set, and beside them, where every other folder is named.
    let split = folder.path().join("split");
    for part in ["train", "test"] {
        class(&split.join(part).join("a"), part.len() as u32 * 50, 3);
        class(&split.join(part).join("b"), part.len() as u32 * 50 + 20, 3);
        class(&split.join(part).join("@eaDir"), 0, 1);
    }
    class(&split.join("more"), 0, 1);
    class(&split.join("__MACOSX"), 0, 1);
    let ended = holdfast(folder.path(), "data export any=split again --json", &[]).succeeded();
    assert_eq!(ended.json()["classes"], serde_json::json!(["a", "b"]));
    assert_noticed(&ended, &["@eaDir in 2 places", "__MACOSX"]);
    assert_noticed(&ended, &["1 folder ", "training and testing", "more"]);
}

#[test]
fn a_class_that_only_systems_left_something_beside_is_still_alone() {
    let folder = tempdir().unwrap();
    class(&folder.path().join("pets/cats"), 0, 3);
    class(&folder.path().join("pets/@eaDir"), 10, 3);
    train(folder.path(), "any=pets").refused(5, &["only one class, cats", "@eaDir"]);
}

#[test]
fn files_that_are_left_out_are_counted_by_reason() {
    let folder = tempdir().unwrap();
    pets(folder.path());
    let set = folder.path().join("pets");
    for name in ["README.md", "cats/a.txt", "dogs/b.csv", "dogs/c.csv", "cats/.hidden.png", "dogs/photo.HEIC"] {
        fs::write(set.join(name), "x").unwrap();
    }
    class(&set.join("dogs/puppies"), 200, 1);
    let ended = export(folder.path(), "any=pets");
    assert_noticed(&ended, &["1 file ", "README.md"]);
    assert_noticed(&ended, &["3 files", "cats/a.txt", "dogs/b.csv", "PNG, JPEG, BMP or TIFF"]);
    assert_noticed(&ended, &["1 file ", "hidden"]);
    assert_noticed(&ended, &["1 file ", "photo.HEIC"]);
    assert_noticed(&ended, &["1 folder ", "dogs/puppies"]);
    // What a class without images holds is said with its refusal.
    fs::create_dir(set.join("birds")).unwrap();
    fs::write(set.join("birds/crow.heic"), "x").unwrap();
    train(folder.path(), "any=pets").refused(5, &["class birds", "crow.heic"]);
}

#[cfg(target_os = "linux")]
#[test]
fn folders_whose_names_look_the_same_are_two_classes() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempdir().unwrap();
    for (name, gray) in [(&b"caf\xe8"[..], 20), (b"caf\xe9", 200)] {
        let path = folder.path().join("data").join(OsStr::from_bytes(name));
        (0..12).for_each(|index| {
            write(&path.join(format!("{index}.png")), GrayImage::from_pixel(8, 8, Luma([gray + index])));
        });
    }
    let ended = export(folder.path(), "any=data");
    assert_eq!(ended.json()["classes"], serde_json::json!(["caf\u{fffd}", "caf\u{fffd} (2)"]));
    assert!(ended.stderr.contains("2 classes (caf\u{fffd} 10, caf\u{fffd} (2) 10)"), "{}", ended.stderr);
    for (name, gray) in [("caf\u{fffd}", 20), ("caf\u{fffd} (2)", 200)] {
        for file in fs::read_dir(folder.path().join("out/training").join(name)).unwrap() {
            let image = image::open(file.unwrap().path()).unwrap().into_luma8();
            assert!(image.iter().all(|pixel| (gray..gray + 12).contains(pixel)), "an image of the other class");
        }
    }
    let ended = train(folder.path(), "any=data").succeeded();
    assert_noticed(&ended, &["24 of 24 images", "one shade"]);
}

#[cfg(target_os = "linux")]
#[test]
fn composed_and_decomposed_letters_are_one_class_of_two_parts() {
    let folder = tempdir().unwrap();
    let set = folder.path().join("set");
    for (part, first, names) in [("train", 0, ["caf\u{e9}", "Tea"]), ("test", 100, ["cafe\u{301}", "tea"])] {
        class(&set.join(part).join(names[0]), first, 4);
        class(&set.join(part).join(names[1]), first + 20, 4);
    }
    let ended = export(folder.path(), "any=set");
    assert_eq!(ended.json()["classes"], serde_json::json!(["Tea", "caf\u{e9}"]));
    assert!(ended.stderr.contains("8 training and 8 test images"), "{}", ended.stderr);
    assert_noticed(&ended, &["train/Tea", "test/tea"]);
}

/// Whether an image is no single shade.
fn has_a_shape(path: &Path) -> bool {
    let image = image::open(path).unwrap().into_luma8();
    image.iter().max() != image.iter().min()
}

#[test]
fn a_shape_in_the_alpha_channel_alone_is_used_and_said() {
    let folder = tempdir().unwrap();
    for (name, across) in [("one", false), ("minus", true)] {
        for index in 0..6u32 {
            let image = ImageBuffer::from_fn(8, 8, |x, y| {
                let place = if across { y } else { x };
                LumaA([0u8, if place == 2 + index % 3 { 255 - index as u8 } else { 0 }])
            });
            let image = DynamicImage::ImageLumaA8(image);
            // Colours, shades, 8 bits and 16.
            let image = match index % 3 {
                0 => DynamicImage::ImageRgba8(image.into_rgba8()),
                1 => image,
                _ => DynamicImage::ImageRgba16(image.into_rgba16()),
            };
            write(&folder.path().join(format!("signs/{name}/{index}.png")), image);
        }
    }
    let ended = export(folder.path(), "any=signs");
    assert_noticed(&ended, &["12 images", "alpha"]);
    for name in ["one", "minus"] {
        for file in fs::read_dir(folder.path().join("out/training").join(name)).unwrap() {
            assert!(has_a_shape(&file.unwrap().path()));
        }
    }
    // Where the colours have a shape, transparency is ignored as ever, and that is said.
    pets(folder.path());
    let image = ImageBuffer::from_fn(8, 8, |x, y| LumaA([(x * 30) as u8, (y * 30) as u8]));
    write(&folder.path().join("pets/cats/glass.png"), DynamicImage::ImageLumaA8(image));
    let ended = holdfast(folder.path(), "data export any=pets again", &[]).succeeded();
    assert_noticed(&ended, &["1 image ", "transparent", "ignored"]);
}

#[test]
fn images_of_sixteen_bits_that_use_twelve_are_said_with_how_to_scale() {
    let folder = tempdir().unwrap();
    let image = |index: u32, scale: u32| {
        ImageBuffer::from_fn(8, 8, |x, y| Luma([((4095 * (x + y * 8) / 63 + index) % 4096 * scale) as u16]))
    };
    for index in 0..6 {
        for (name, add) in [("a", 0), ("b", 400)] {
            write(
                &folder.path().join(format!("scans/{name}/{index}.png")),
                DynamicImage::ImageLuma16(image(index * 5 + add, 1)),
            );
        }
        write(&folder.path().join(format!("mixed/dark/{index}.png")), DynamicImage::ImageLuma16(image(index, 1)));
        write(&folder.path().join(format!("mixed/full/{index}.png")), DynamicImage::ImageLuma16(image(index, 16)));
    }
    let ended = export(folder.path(), "any=scans");
    assert_noticed(&ended, &["16 of 255", "--pixel-scale 16"]);
    assert_noticed(&ended, &["4095 of 65535", "by 16 "]);
    let ended = holdfast(folder.path(), "data export any=mixed again", &[]).succeeded();
    assert_noticed(&ended, &["6 of 12 images", "class dark", "16 of 255", "by 15 "]);
}

#[test]
fn identical_images_are_counted_and_refused_if_all_are() {
    let folder = tempdir().unwrap();
    let set = folder.path().join("set");
    for part in ["train", "test"] {
        class(&set.join(part).join("a"), 0, 3);
        class(&set.join(part).join("b"), 100, 3);
    }
    write(&set.join("train/b/copy.png"), picture(100));
    let ended = export(folder.path(), "any=set");
    assert_noticed(&ended, &["1 of 7 training images"]);
    assert_noticed(&ended, &["6 of 6 test images"]);
    for name in ["a", "b"] {
        (0..5).for_each(|index| write(&folder.path().join(format!("same/{name}/{index}.png")), picture(1)));
    }
    train(folder.path(), "any=same").refused(5, &["identical"]);
    assert!(!folder.path().join("run").exists());
}

/// Images of 4 x 4 pixels of ten classes, so many of each, as four IDX files with these endings for images and labels.
fn write_idx(folder: &Path, images: &str, labels: &str, per_class: usize) {
    fs::create_dir_all(folder).unwrap();
    for (part, count) in [("train", per_class * 10), ("t10k", 20)] {
        let sizes = |axes: &[usize]| {
            let mut bytes = vec![0, 0, 8, axes.len() as u8];
            axes.iter().for_each(|&size| bytes.extend((size as u32).to_be_bytes()));
            bytes
        };
        let mut bytes = sizes(&[count, 4, 4]);
        let first = part.len() * 7;
        bytes.extend((0..count).flat_map(|index| {
            let number = (index + first * 2000) as u32;
            [[255, 0, 0, 0, 0, 0, 0, 0], [number.to_le_bytes(), number.to_be_bytes()].concat().try_into().unwrap()]
                .concat()
        }));
        fs::write(folder.join(format!("{part}-images{images}-ubyte")), bytes).unwrap();
        let mut bytes = sizes(&[count]);
        bytes.extend((0..count).map(|index| (index % 10) as u8));
        fs::write(folder.join(format!("{part}-labels{labels}-ubyte")), bytes).unwrap();
    }
}

#[test]
fn idx_files_with_a_dot_before_their_kind_are_read() {
    let folder = tempdir().unwrap();
    write_idx(&folder.path().join("dots"), ".idx3", ".idx1", 100);
    for source in ["mnist", "pr", "any"] {
        holdfast(folder.path(), &format!("data export {source}=dots {source} --limit 1"), &[])
            .succeeded()
            .says(&["1,000 training and 20 test images"]);
    }
}

fn save<D: Dimension, T: WritableElement>(arrays: &mut NpzWriter<File>, name: &str, array: &Array<T, D>) {
    arrays.add_array(name, array).unwrap();
}

/// Writes an archive of 12 training and 6 test images of 8 x 8 pixels of two classes.
fn archive<T: WritableElement>(path: &Path, names: [&str; 4], of_byte: impl Fn(u8) -> T, label_axes: usize) {
    let mut arrays = NpzWriter::new_compressed(File::create(path).unwrap());
    for (part, count) in [(0, 12usize), (1, 6)] {
        let pixel = |(image, y, x): (usize, usize, usize)| of_byte((image * 11 + part * 5 + y * 30 + x) as u8);
        save(&mut arrays, names[2 * part], &Array3::from_shape_fn((count, 8, 8), pixel));
        let label = |image: usize| (image % 2) as i64;
        match label_axes {
            1 => save(&mut arrays, names[2 * part + 1], &Array1::from_shape_fn(count, label)),
            _ => save(&mut arrays, names[2 * part + 1], &Array2::from_shape_fn((count, 1), |(image, _)| label(image))),
        }
    }
    // Nobody asks for these.
    save(&mut arrays, "val_labels", &Array1::from_elem(3, -7.5f64));
    save(&mut arrays, "ages", &Array1::from_elem(3, f32::NAN));
    arrays.finish().unwrap();
}

const MEDMNIST: [&str; 4] = ["train_images", "train_labels", "test_images", "test_labels"];
const KERAS: [&str; 4] = ["x_train", "y_train", "x_test", "y_test"];

#[test]
fn archives_of_any_whole_numbers_are_read_in_both_forms() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("set.npz");
    let mut checksums: Vec<serde_json::Value> = Vec::new();
    let mut read = |label: &str| {
        let ended = train(folder.path(), "any=set.npz").succeeded();
        assert!(
            ended.stderr.contains("set: 2 classes (0 6, 1 6), 8 x 8, 12 training and 6 test"),
            "{label}: {}",
            ended.stderr
        );
        assert_noticed(&ended, &["ages"]);
        checksums.push(manifest(&folder.path().join("run"))["data_checksums"].clone());
        fs::remove_dir_all(folder.path().join("run")).unwrap();
    };
    archive(&file, MEDMNIST, |byte| byte, 2);
    read("bytes");
    archive(&file, MEDMNIST, i64::from, 1);
    read("int64");
    archive(&file, KERAS, u16::from, 1);
    read("Keras, uint16");
    archive(&file, KERAS, f32::from, 2);
    read("Keras, floats");
    assert!(checksums.windows(2).all(|pair| pair[0] == pair[1]), "{checksums:?}");
}

#[test]
fn the_first_number_that_is_no_byte_is_named() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("set.npz");
    archive(&file, MEDMNIST, |byte| if byte == 11 { 256 } else { i64::from(byte) }, 1);
    train(folder.path(), "any=set.npz").refused(5, &["train_images", "value 64 is 256", "<i8"]);
    archive(&file, KERAS, |byte| f64::from(byte) / 255.0, 1);
    train(folder.path(), "any=set.npz").refused(5, &["x_train", "value 1 is 0.0039", "<f8", "uint8"]);
}

#[test]
fn jpeg_files_with_stray_bytes_are_read_as_if_there_were_none() {
    let folder = tempdir().unwrap();
    pets(folder.path());
    let mut jpeg = Cursor::new(Vec::new());
    DynamicImage::from(picture(500)).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    let first = 4 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]));
    let file = folder.path().join("pets/cats/z.jpg");
    let mut checksums = Vec::new();
    for stray in [&b""[..], b"bl", b"garbage \xff\x00"] {
        fs::write(&file, [&jpeg[..first], stray, &jpeg[first..]].concat()).unwrap();
        let ended = train(folder.path(), "any=pets").succeeded();
        match stray {
            [] => assert!(has_no_notice(&ended), "{}", ended.stderr),
            _ => assert_noticed(&ended, &["1 JPEG file ", "stray"]),
        }
        checksums.push(manifest(&folder.path().join("run"))["data_checksums"].clone());
        fs::remove_dir_all(folder.path().join("run")).unwrap();
    }
    assert!(checksums.windows(2).all(|pair| pair[0] == pair[1]), "{checksums:?}");
}

#[test]
fn a_name_with_a_line_break_stays_on_its_line() {
    if cfg!(windows) {
        return;
    }
    let folder = tempdir().unwrap();
    class(&folder.path().join("pets/cats\nnotice: all is well"), 0, 5);
    class(&folder.path().join("pets/dogs"), 100, 5);
    let mut data = OsString::from("any=");
    data.push(folder.path().join("pets"));
    let ended = export(folder.path(), data);
    assert!(has_no_notice(&ended) || !ended.stderr.lines().any(|line| line == "notice: all is well"));
    assert!(ended.stderr.contains("2 classes (cats\u{fffd}notice"), "{}", ended.stderr);
}
