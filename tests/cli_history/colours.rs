//! Images in colour: learnt by their hue, said in the line about what was read, forced to gray, exported, refused with more
//! channels.

use crate::{Ended, holdfast, manifest};
use holdfast::random::{Sequence, Stream};
use holdfast::run_folder::arrays::{self, NamedArray, Values};
use image::{Rgb, RgbImage};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// The darkest value of one channel that alone has this luma, by the weights of ITU-R BT.709.
fn value_of(luma: u32, weight: u32) -> u8 {
    (0..=255u32).find(|value| value * weight / 10_000 == luma).unwrap() as u8
}

/// 8 x 8 pixels, all red or all green, each pixel with a luma drawn at random: nothing but the hue tells the class.
fn picture(index: u32, red: bool) -> RgbImage {
    let mut draws = Sequence::new(1, Stream::Check, index, u32::from(red));
    RgbImage::from_fn(8, 8, |_, _| {
        let luma = 5 + draws.below(45);
        Rgb(if red { [value_of(luma, 2126), 0, 0] } else { [0, value_of(luma, 7152), 0] })
    })
}

/// Two classes that differ by hue: 60 training and 60 test images of each.
fn hues() -> TempDir {
    let folder = tempdir().unwrap();
    for (part, first) in [("train", 0), ("test", 60)] {
        for (class, red) in [("red", true), ("green", false)] {
            let class = folder.path().join("hues").join(part).join(class);
            fs::create_dir_all(&class).unwrap();
            for index in first..first + 60 {
                picture(index, red).save(class.join(format!("{index}.png"))).unwrap();
            }
        }
    }
    folder
}

/// Trains into a folder `run` of its own: that of another configuration is refused.
fn train(folder: &Path, data: &str, more: &str, run: &str) -> Ended {
    let line = format!(
        "train --device cpu --epochs 40 --replicates 1 --depth 2 --width 12 --filters 4 --batch 10 --json --out {run} \
         {more} --data"
    );
    // Each network in the folder that the one before had.
    let _ = fs::remove_dir_all(folder.join("run"));
    holdfast(folder, &line, &[OsStr::new(data)])
}

fn test_accuracy(ended: &Ended) -> f64 {
    ended.json()["cells"][0]["test_accuracies"][0].as_f64().unwrap()
}

#[test]
fn classes_that_differ_by_hue_alone_are_learnt_in_colour_and_not_in_gray() {
    let folder = hues();
    for model in ["dnn", "cnn"] {
        let colour = train(folder.path(), "any=hues", &format!("--model {model}"), model).succeeded();
        assert!(test_accuracy(&colour) >= 0.95, "{model}: {}", colour.stdout);
        let colour = colour.says(&["8 x 8, 120 training and 120 test images, colour, 3 channels"]);
        assert_eq!(manifest(&folder.path().join(model))["data_sets"]["hues"]["channels"], 3, "{}", colour.stderr);
    }
    // Of 120 images a coin gets 60 right, with a standard deviation of 5.5: three and a half of these to either side.
    let gray = train(folder.path(), "any=hues", "--model dnn --gray", "gray").succeeded();
    assert!((test_accuracy(&gray) - 0.5).abs() < 0.16, "{}", gray.stdout);
    gray.says(&["120 training and 120 test images, gray"]);
    assert_eq!(manifest(&folder.path().join("gray"))["data_sets"]["hues"]["channels"], 1);
}

#[test]
fn gray_is_a_setting_of_files_too_and_part_of_the_configuration() {
    let folder = hues();
    let printed =
        |more: &str| holdfast(folder.path(), &format!("train --print-config {more} --data"), &[OsStr::new("any=hues")]);
    assert!(!printed("").succeeded().stdout.contains("gray"));
    assert!(printed("--gray").succeeded().stdout.contains("gray = true"));
    fs::write(folder.path().join("gray.toml"), "gray = true\n").unwrap();
    assert!(printed("--config gray.toml").succeeded().stdout.contains("gray = true"));
    assert!(!printed("--config gray.toml --gray=false").succeeded().stdout.contains("gray"));
}

#[test]
fn one_image_in_colour_makes_a_set_colour_and_equal_channels_make_none() {
    let folder = tempdir().unwrap();
    let write = |class: &str, index: u32, colour: [u8; 3]| {
        let class = folder.path().join("few").join(class);
        fs::create_dir_all(&class).unwrap();
        let shade = |x: u32, y: u32| Rgb(colour.map(|value| value + (10 * x + y) as u8));
        RgbImage::from_fn(8, 8, shade).save(class.join(format!("{index}.png"))).unwrap();
    };
    for index in 0..4 {
        write("dark", index, [index as u8; 3]);
        write("bright", index, [100 + index as u8; 3]);
    }
    let export =
        |more: &str| holdfast(folder.path(), &format!("data export any=few out --fresh {more}"), &[]).succeeded();
    export("").says(&["test images, gray", "training pixels, 0 to 255: gray "]);
    write("dark", 9, [0, 0, 1]);
    let said = export("").says(&["colour, 3 channels"]);
    for channel in ["red ", "green ", "blue "] {
        assert!(said.stderr.contains(channel), "{}", said.stderr);
    }
    export("--gray").says(&["test images, gray"]);
    // The paper's sets are gray.
    holdfast(folder.path(), "data export sc=few out --fresh", &[]).succeeded().says(&["100 x 100", "images, gray"]);
}

#[test]
fn colours_come_back_from_every_exported_form() {
    let folder = hues();
    let statistics = |set: &str, format: &str, out: &str| {
        let line = format!("data export {set} {out} --format {format} --json");
        holdfast(folder.path(), &line, &[]).succeeded().json()["pixel_statistics"].clone()
    };
    let own = statistics("any=hues", "png", "as-png");
    assert_eq!(own.as_array().unwrap().len(), 3);
    assert_eq!(statistics("any=as-png", "idx", "as-idx"), own);
    assert!(folder.path().join("as-idx/train-images-idx4-ubyte.gz").is_file());
    assert_eq!(statistics("any=as-idx", "npz", "as-npz"), own);
    let archive = fs::read_dir(folder.path().join("as-npz")).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.extension() == Some(OsStr::new("npz"))).unwrap();
    assert_eq!(statistics(&format!("any={}", archive.display()), "png", "again"), own);
}

#[test]
fn images_of_two_four_and_five_channels_are_refused_with_what_is_read() {
    let folder = tempdir().unwrap();
    for channels in [2, 4, 5] {
        let path = folder.path().join(format!("of-{channels}.npz"));
        let values = vec![0; 6 * 8 * 8 * channels];
        let images = [6, 8, 8, channels];
        let labels = [0, 1, 0, 1, 0, 1];
        let array = |name, shape, values| NamedArray { name, shape, values: Values::U8(values) };
        let both = ["train", "test"].map(|part| [format!("{part}_images"), format!("{part}_labels")]);
        let named: Vec<NamedArray<'_>> = both
            .iter()
            .flat_map(|[image, label]| [array(image, &images, &values), array(label, &[6], &labels)])
            .collect();
        arrays::write(&path, &named).unwrap();
        let ended = train(folder.path(), &format!("any=of-{channels}.npz"), "", "run");
        ended.refused(5, &[&format!("images of {channels} channels"), "1 (gray) and 3 (red, green and blue) are read"]);
        assert!(!folder.path().join("run").exists(), "a run folder was begun for data that cannot be used");
    }
}
