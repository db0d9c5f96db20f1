//! One image file: its size and its gray pixels.

use super::findings::Findings;
use super::jpeg;
use image::error::ImageError;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

/// The formats that are read, for messages.
pub(super) const FORMATS: &str = "PNG, JPEG, BMP or TIFF";

/// A larger image is no data for these networks, or no image: 8192 x 8192 pixels.
const MOST_PIXELS: u64 = 1 << 26;
/// What decoding one image may take: its pixels with four colours of 16 bits, and as much again.
const MOST_BYTES: u64 = MOST_PIXELS * 16;

/// Whether a file's name ends as that of an image, of whatever format.
pub(super) fn is_named_as_image(path: &Path) -> bool {
    ImageFormat::from_path(path).is_ok()
}

/// An image as it was read.
#[derive(Debug)]
pub(super) struct Picture {
    /// Its gray pixels, upright.
    pub(super) gray: GrayImage,
    /// What the user should know of it.
    pub(super) findings: Findings,
}

/// Width and height of the upright image, from the header of its file; or why it cannot be used.
pub(super) fn size(path: &Path) -> Result<(u32, u32), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    upright_size(BufReader::new(file)).or_else(|why| {
        // Stray bytes may hide the header from the decoder.
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        match jpeg::tidied(&bytes) {
            Some(Cow::Owned(tidy)) => upright_size(Cursor::new(tidy)),
            _ => Err(why),
        }
    })
}

fn upright_size(file: impl BufRead + Seek) -> Result<(u32, u32), String> {
    let (decoder, orientation) = open(file)?;
    let (width, height) = decoder.dimensions();
    Ok(match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    })
}

/// The gray pixels of the upright image: luma as ITU-R BT.709 weighs colours, without regard to transparency unless that
/// alone has a shape. Or why the file cannot be used.
pub(super) fn decode(path: &Path) -> Result<Picture, String> {
    let mut bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let mut findings = Findings::default();
    if bytes.starts_with(&[0xff, 0xd8]) {
        match jpeg::tidied(&bytes) {
            None => return Err("the JPEG data are cut off".into()),
            Some(Cow::Borrowed(_)) => {}
            Some(Cow::Owned(tidy)) => {
                findings.stray_bytes = 1;
                bytes = tidy;
            }
        }
    }
    let (decoder, orientation) = open(Cursor::new(bytes))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(sentence)?;
    if matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        return Err("its pixels are floats; save it with 8 or 16 bits".into());
    }
    image.apply_orientation(orientation);
    findings.brightest_of_sixteen_bits = brightest_of_sixteen_bits(&image);
    Ok(Picture { gray: gray(image, &mut findings), findings })
}

/// Luma; of an image whose colours make no shape and whose transparency does, its opacity.
fn gray(image: DynamicImage, findings: &mut Findings) -> GrayImage {
    if !image.color().has_alpha() {
        return image.into_luma8();
    }
    let mut opacity = GrayImage::new(image.width(), image.height());
    for (place, pixel) in opacity.pixels_mut().zip(image.to_luma_alpha8().pixels()) {
        place.0 = [pixel.0[1]];
    }
    let luma = image.into_luma8();
    // A step or two may come from how a program stored one colour.
    let has_shape = |image: &GrayImage| {
        let (darkest, brightest) = image.iter().fold((255, 0), |(low, high), &gray| (gray.min(low), gray.max(high)));
        u8::saturating_sub(brightest, darkest) > 2
    };
    if !has_shape(&luma) && has_shape(&opacity) {
        findings.opacity_taken = 1;
        return opacity;
    }
    findings.transparency_ignored = opacity.iter().any(|&gray| gray != 255).into();
    luma
}

/// The brightest colour of an image of 16 bits, 0 to 65535.
fn brightest_of_sixteen_bits(image: &DynamicImage) -> Option<u16> {
    let colours = image.color();
    let sixteen = matches!(colours, ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16);
    sixteen.then(|| image.to_luma16().iter().copied().max().unwrap_or(0))
}

/// Endings of image files in formats that are not even known.
const OTHER_IMAGES: [&str; 12] = ["heic", "heif", "jxl", "jp2", "j2k", "svg", "psd", "dcm", "nef", "cr2", "arw", "dng"];

/// Whether a file's name ends as that of an image in a format that is not known here: a user may take it for one of the set.
pub(super) fn is_named_as_other_image(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    OTHER_IMAGES.contains(&ending.as_str())
}

/// A decoder that has read the header, and which side is up.
fn open<'a>(mut file: impl BufRead + Seek + 'a) -> Result<(impl ImageDecoder + 'a, Orientation), String> {
    if file.fill_buf().is_ok_and(<[u8]>::is_empty) {
        return Err(format!("it is empty, not {FORMATS}"));
    }
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(|error| error.to_string())?;
    match reader.format() {
        None => return Err(format!("it is not {FORMATS}")),
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Bmp | ImageFormat::Tiff) => {}
        Some(other) => return Err(format!("it is {other:?}; convert it to {FORMATS}")),
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(sentence)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(format!("its header says {width} x {height} pixels; up to {MOST_PIXELS} are read"));
    }
    let orientation = decoder.orientation().map_err(sentence)?;
    Ok((decoder, orientation))
}

/// What the decoder found, on one line.
fn sentence(error: ImageError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};
    use std::path::PathBuf;
    use tempfile::{TempDir, tempdir};

    /// A picture in which no two rows are alike.
    fn picture() -> RgbImage {
        RgbImage::from_fn(20, 30, |x, y| Rgb([(x * 12) as u8, (y * 8) as u8, (x * y % 251) as u8]))
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(picture()).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("picture");
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[track_caller]
    fn assert_refused(bytes: &[u8], word: &str) {
        let (_folder, path) = file(bytes);
        let why = decode(&path).expect_err("a damaged image was read");
        assert!(why.contains(word) && !why.contains('\n'), "{why}");
    }

    #[test]
    fn every_format_gives_the_luma_of_its_pixels() {
        let luma = |pixel: &Rgb<u8>| {
            let [red, green, blue] = pixel.0.map(f64::from);
            0.2126 * red + 0.7152 * green + 0.0722 * blue
        };
        for (format, tolerance) in
            [(ImageFormat::Png, 1.0), (ImageFormat::Bmp, 1.0), (ImageFormat::Tiff, 1.0), (ImageFormat::Jpeg, 40.0)]
        {
            let (_folder, path) = file(&encoded(format));
            assert_eq!(size(&path).unwrap(), (20, 30));
            let image = decode(&path).unwrap().gray;
            assert_eq!(image.dimensions(), (20, 30));
            for (found, expected) in image.pixels().zip(picture().pixels()) {
                assert!((f64::from(found.0[0]) - luma(expected)).abs() <= tolerance, "{format:?}");
            }
        }
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = [0u16, 0x8000, 0xffff].into_iter().flat_map(u16::to_ne_bytes).collect();
        image::codecs::png::PngEncoder::new(&mut bytes).write_image(&pixels, 3, 1, ExtendedColorType::L16).unwrap();
        let (_folder, path) = file(&bytes);
        let Picture { gray, findings } = decode(&path).unwrap();
        assert_eq!((gray.as_raw().as_slice(), findings.brightest_of_sixteen_bits), (&[0, 128, 255][..], Some(0xffff)));
    }

    /// The tail of a download that stopped is often zeros.
    #[test]
    fn a_cut_file_of_every_format_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Jpeg] {
            let bytes = encoded(format);
            for end in [bytes.len() / 2, bytes.len() - 20] {
                let (_folder, path) = file(&bytes[..end]);
                assert!(decode(&path).is_err(), "{format:?} cut at {end} of {}", bytes.len());
            }
        }
        let mut whole = encoded(ImageFormat::Jpeg);
        assert_refused(&whole[..whole.len() - 2], "cut off");
        let half = whole.len() / 2;
        whole[half..].fill(0);
        assert_refused(&whole, "cut off");
    }

    #[test]
    fn a_jpeg_with_stray_bytes_between_its_segments_is_the_same_image() {
        let whole = encoded(ImageFormat::Jpeg);
        let (_folder, path) = file(&whole);
        let expected = decode(&path).unwrap();
        assert_eq!(expected.findings, Findings::default());
        // Behind the start, and after the first segment.
        for place in [2, 4 + usize::from(u16::from_be_bytes([whole[4], whole[5]]))] {
            let (_folder, path) = file(&[&whole[..place], b"stray", &whole[place..]].concat());
            assert_eq!(size(&path).unwrap(), (20, 30));
            let Picture { gray, findings } = decode(&path).unwrap();
            assert_eq!((gray, findings.stray_bytes), (expected.gray.clone(), 1));
        }
    }

    /// An image in which `colour` gives the gray value and the opacity of each place.
    fn with_opacity(colour: impl Fn(u32, u32) -> [u8; 2]) -> Picture {
        let image = image::ImageBuffer::from_fn(6, 4, |x, y| image::LumaA(colour(x, y)));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLumaA8(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let (_folder, path) = file(&bytes.into_inner());
        decode(&path).unwrap()
    }

    #[test]
    fn a_shape_that_only_the_transparency_has_is_read_from_it() {
        for colour in [0, 255, 90] {
            let picture = with_opacity(|x, _| [colour, x as u8 * 40]);
            assert_eq!(picture.gray.as_raw()[..6], [0, 40, 80, 120, 160, 200]);
            assert_eq!(picture.findings, Findings { opacity_taken: 1, ..Findings::default() });
        }
    }

    #[test]
    fn a_shape_in_the_colours_is_read_without_regard_to_transparency() {
        let picture = with_opacity(|x, y| [x as u8 * 40, y as u8 * 60]);
        assert_eq!(picture.gray.as_raw()[..6], [0, 40, 80, 120, 160, 200]);
        assert_eq!(picture.findings, Findings { transparency_ignored: 1, ..Findings::default() });
        assert_eq!(with_opacity(|x, _| [x as u8 * 40, 255]).findings, Findings::default());
        assert_eq!(with_opacity(|_, _| [7, 255]).findings, Findings::default());
    }

    #[test]
    fn what_is_no_image_and_a_header_that_claims_too_many_pixels_are_refused() {
        assert_refused(b"<html>not found</html>", FORMATS);
        assert_refused(b"", "empty");
        assert_refused(b"GIF89a\x01\0\x01\0\0\0\0;", "Gif");
        let mut bytes = encoded(ImageFormat::Bmp);
        bytes[18..22].copy_from_slice(&60_000i32.to_le_bytes());
        bytes[22..26].copy_from_slice(&60_000i32.to_le_bytes());
        let (_folder, path) = file(&bytes);
        let why = size(&path).unwrap_err();
        assert!(why.contains("60000 x 60000"), "{why}");
    }

    #[test]
    fn names_of_images_are_known_in_any_case() {
        for (name, expected) in [("a.png", true), ("b.JPEG", true), ("c.Tif", true), ("d.bmp", true), ("e.gif", true)] {
            assert_eq!(is_named_as_image(Path::new(name)), expected, "{name}");
        }
        for name in ["README", "notes.txt", "png", "labels.csv"] {
            assert!(!is_named_as_image(Path::new(name)), "{name}");
        }
    }
}
