//! One image file: its size, and its pixels, gray or in colour.

use super::array_shape::has_equal_channels;
use super::findings::Findings;
use super::jpeg;
use image::error::ImageError;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
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
    /// Its pixels, upright.
    pub(super) pixels: Pixels,
    /// What the user should know of it.
    pub(super) findings: Findings,
}

/// The pixels of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pixels {
    /// Luma, or opacity.
    Gray(GrayImage),
    /// At least one pixel has a colour.
    Colour(RgbImage),
}

/// What the header of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Width and height of the upright image.
    pub(super) size: (u32, u32),
    /// Whether its pixels can have colours; they may all be gray nevertheless.
    pub(super) colour: bool,
}

/// Reads the header of an image file; or says why it cannot be used.
pub(super) fn header(path: &Path) -> Result<Header, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    header_of(BufReader::new(file)).or_else(|why| {
        // Stray bytes may hide the header from the decoder.
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        match jpeg::tidied(&bytes) {
            Some(Cow::Owned(tidy)) => header_of(Cursor::new(tidy)),
            _ => Err(why),
        }
    })
}

fn header_of(file: impl BufRead + Seek) -> Result<Header, String> {
    let (decoder, orientation) = open(file)?;
    let (width, height) = decoder.dimensions();
    let size = match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    };
    Ok(Header { size, colour: decoder.color_type().has_color() })
}

/// The pixels of the upright image, without regard to transparency unless that alone has a shape: colours where a pixel has
/// one, unless `gray` is asked for; else luma as ITU-R BT.709 weighs colours. Or why the file cannot be used.
pub(super) fn decode(path: &Path, gray: bool) -> Result<Picture, String> {
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
    Ok(Picture { pixels: pixels(image, gray, &mut findings), findings })
}

/// Luma or colours; of an image whose colours make no shape and whose transparency does, its opacity.
fn pixels(image: DynamicImage, gray: bool, findings: &mut Findings) -> Pixels {
    let opacity = image.color().has_alpha().then(|| {
        let mut opacity = GrayImage::new(image.width(), image.height());
        for (place, pixel) in opacity.pixels_mut().zip(image.to_luma_alpha8().pixels()) {
            place.0 = [pixel.0[1]];
        }
        opacity
    });
    let colours = (!gray && image.color().has_color()).then(|| image.to_rgb8());
    let pixels = match colours.filter(|colours| !has_equal_channels(colours)) {
        Some(colours) => Pixels::Colour(colours),
        None => Pixels::Gray(image.into_luma8()),
    };
    let Some(opacity) = opacity else { return pixels };
    let makes_shape = match &pixels {
        Pixels::Gray(gray) => has_shape(gray, 1),
        Pixels::Colour(colours) => (0..3).any(|channel| has_shape(&colours.as_raw()[channel..], 3)),
    };
    if !makes_shape && has_shape(&opacity, 1) {
        findings.opacity_taken = 1;
        return Pixels::Gray(opacity);
    }
    findings.transparency_ignored = opacity.iter().any(|&gray| gray != 255).into();
    pixels
}

/// Whether every `step`-th value differs from others by more than a step or two, which may come from how a program stored one
/// colour.
fn has_shape(values: &[u8], step: usize) -> bool {
    let ends = values.iter().step_by(step).fold((255, 0), |(low, high), &gray| (gray.min(low), gray.max(high)));
    u8::saturating_sub(ends.1, ends.0) > 2
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
    let found = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        ImageError::Unsupported(_) => {
            format!(
                "{found}; 1 channel (gray) or 3 (red, green and blue) of 8 or 16 bits are read, with or without alpha"
            )
        }
        _ => found,
    }
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

    /// The gray pixels.
    fn gray(picture: Picture) -> GrayImage {
        match picture.pixels {
            Pixels::Gray(gray) => gray,
            Pixels::Colour(_) => panic!("a colour was found"),
        }
    }

    #[test]
    fn colours_are_read_as_they_are_and_equal_ones_as_gray() {
        let (_folder, path) = file(&encoded(ImageFormat::Png));
        assert_eq!(decode(&path, false).unwrap().pixels, Pixels::Colour(picture()));
        let shades = RgbImage::from_fn(5, 4, |x, y| Rgb([(40 * x + y) as u8; 3]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageRgb8(shades.clone()).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let (_folder, path) = file(&bytes.into_inner());
        assert!(header(&path).unwrap().colour);
        let found = gray(decode(&path, false).unwrap());
        assert!(found.pixels().zip(shades.pixels()).all(|(gray, shade)| gray.0[0] == shade.0[0]));
    }

    /// One colour under a shape in the alpha channel, and two colours of one luma.
    #[test]
    fn colours_of_one_brightness_are_a_shape() {
        let decoded = |colour: &dyn Fn(u32) -> [u8; 4]| {
            let image = image::RgbaImage::from_fn(6, 2, |x, _| image::Rgba(colour(x)));
            let mut bytes = Cursor::new(Vec::new());
            DynamicImage::ImageRgba8(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
            let (_folder, path) = file(&bytes.into_inner());
            decode(&path, false).unwrap()
        };
        let flat = decoded(&|x| [200, 30, 30, 40 * x as u8]);
        assert_eq!(flat.findings.opacity_taken, 1);
        assert_eq!(gray(flat).as_raw()[..6], [0, 40, 80, 120, 160, 200]);
        let hues = decoded(&|x| if x < 3 { [100, 100, 0, 40 * x as u8] } else { [100, 93, 69, 255] });
        assert!(matches!(hues.pixels, Pixels::Colour(_)) && hues.findings.transparency_ignored == 1);
    }

    /// A TIFF of 2 x 1 pixels with so many channels of a byte, written by hand after the TIFF 6.0 specification.
    fn tiff_of(channels: u16) -> Vec<u8> {
        let entries: [(u16, u16, u32, u32); 9] = [
            (256, 3, 1, 2),                             // width
            (257, 3, 1, 1),                             // height
            (258, 3, channels.into(), 122),             // bits of each channel
            (259, 3, 1, 1),                             // not compressed
            (262, 3, 1, 2),                             // red, green and blue
            (273, 4, 1, 122 + 2 * u32::from(channels)), // where the pixels lie
            (277, 3, 1, channels.into()),               // channels
            (278, 3, 1, 1),                             // rows of a strip
            (279, 4, 1, 2 * u32::from(channels)),       // its bytes
        ];
        let mut bytes = b"II*\0\x08\0\0\0\x09\0".to_vec();
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(count.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend([0; 4]);
        (0..channels).for_each(|_| bytes.extend(8u16.to_le_bytes()));
        bytes.extend((0..2 * channels).map(|value| value as u8));
        bytes
    }

    #[test]
    fn images_of_five_channels_are_refused_with_what_is_read() {
        let (_folder, path) = file(&tiff_of(5));
        for why in [header(&path).unwrap_err(), decode(&path, false).unwrap_err()] {
            assert!(why.contains("1 channel (gray) or 3") && !why.contains('\n'), "{why}");
        }
    }

    #[track_caller]
    fn assert_refused(bytes: &[u8], word: &str) {
        let (_folder, path) = file(bytes);
        let why = decode(&path, false).expect_err("a damaged image was read");
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
            assert_eq!(header(&path).unwrap(), Header { size: (20, 30), colour: true });
            let image = gray(decode(&path, true).unwrap());
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
        let picture = decode(&path, false).unwrap();
        assert_eq!(picture.findings.brightest_of_sixteen_bits, Some(0xffff));
        assert_eq!(gray(picture).as_raw().as_slice(), [0, 128, 255]);
    }

    /// The tail of a download that stopped is often zeros.
    #[test]
    fn a_cut_file_of_every_format_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Jpeg] {
            let bytes = encoded(format);
            for end in [bytes.len() / 2, bytes.len() - 20] {
                let (_folder, path) = file(&bytes[..end]);
                assert!(decode(&path, false).is_err(), "{format:?} cut at {end} of {}", bytes.len());
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
        let expected = decode(&path, false).unwrap();
        assert_eq!(expected.findings, Findings::default());
        // Behind the start, and after the first segment.
        for place in [2, 4 + usize::from(u16::from_be_bytes([whole[4], whole[5]]))] {
            let (_folder, path) = file(&[&whole[..place], b"stray", &whole[place..]].concat());
            assert_eq!(header(&path).unwrap(), Header { size: (20, 30), colour: true });
            let Picture { pixels, findings } = decode(&path, false).unwrap();
            assert_eq!((pixels, findings.stray_bytes), (expected.pixels.clone(), 1));
        }
    }

    /// An image in which `colour` gives the gray value and the opacity of each place.
    fn with_opacity(colour: impl Fn(u32, u32) -> [u8; 2]) -> Picture {
        let image = image::ImageBuffer::from_fn(6, 4, |x, y| image::LumaA(colour(x, y)));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLumaA8(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let (_folder, path) = file(&bytes.into_inner());
        decode(&path, false).unwrap()
    }

    #[test]
    fn a_shape_that_only_the_transparency_has_is_read_from_it() {
        for colour in [0, 255, 90] {
            let picture = with_opacity(|x, _| [colour, x as u8 * 40]);
            assert_eq!(picture.findings, Findings { opacity_taken: 1, ..Findings::default() });
            assert_eq!(gray(picture).as_raw()[..6], [0, 40, 80, 120, 160, 200]);
        }
    }

    #[test]
    fn a_shape_in_the_colours_is_read_without_regard_to_transparency() {
        let picture = with_opacity(|x, y| [x as u8 * 40, y as u8 * 60]);
        assert_eq!(picture.findings, Findings { transparency_ignored: 1, ..Findings::default() });
        assert_eq!(gray(picture).as_raw()[..6], [0, 40, 80, 120, 160, 200]);
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
        let why = header(&path).unwrap_err();
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
