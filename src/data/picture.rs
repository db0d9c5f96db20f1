//! One image file: its size and its gray pixels.

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits};
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

/// Width and height of the upright image, from the header of its file; or why it cannot be used.
pub(super) fn size(path: &Path) -> Result<(u32, u32), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let (decoder, orientation) = open(BufReader::new(file))?;
    let (width, height) = decoder.dimensions();
    Ok(match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    })
}

/// The gray pixels of the upright image: luma as ITU-R BT.709 weighs colours, without regard to transparency. Or why the
/// file cannot be used.
pub(super) fn decode(path: &Path) -> Result<GrayImage, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    if bytes.starts_with(&[0xff, 0xd8]) && !jpeg_has_its_end(&bytes) {
        return Err("the JPEG data are cut off".into());
    }
    let (decoder, orientation) = open(Cursor::new(bytes))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(sentence)?;
    if matches!(image, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        return Err("its pixels are floats; save it with 8 or 16 bits".into());
    }
    image.apply_orientation(orientation);
    Ok(image.into_luma8())
}

/// A decoder that has read the header, and which side is up.
fn open<'a>(file: impl BufRead + Seek + 'a) -> Result<(impl ImageDecoder + 'a, Orientation), String> {
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

/// Whether the pixels of a JPEG file are followed by the marker of its end. The decoder fills what is missing with gray.
///
/// Segments are passed over by their lengths (ITU-T T.81, annex B): a preview among the metadata has an end of its own.
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    let mut rest = &bytes[2..];
    while let [0xff, marker, after @ ..] = rest {
        rest = match marker {
            0xd9 => return true,
            // Fill bytes may stand before a marker.
            0xff => &rest[1..],
            0x01 | 0xd0..=0xd7 => after,
            _ => {
                let [high, low, ..] = after else { return false };
                let Some(after) = after.get(usize::from(u16::from_be_bytes([*high, *low])).max(2)..) else {
                    return false;
                };
                if *marker == 0xda { after_scan(after) } else { after }
            }
        };
    }
    false
}

/// What follows the coded pixels of a scan: in them ff comes only before 00 and before the markers of a restart.
fn after_scan(bytes: &[u8]) -> &[u8] {
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7);
    bytes.windows(2).position(is_marker).map_or(&[], |end| &bytes[end..])
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
            let image = decode(&path).unwrap();
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
        assert_eq!(decode(&path).unwrap().as_raw(), &[0, 128, 255]);
    }

    #[test]
    fn a_cut_file_of_every_format_is_refused() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Jpeg] {
            let bytes = encoded(format);
            for end in [bytes.len() / 2, bytes.len() - 20] {
                let (_folder, path) = file(&bytes[..end]);
                assert!(decode(&path).is_err(), "{format:?} cut at {end} of {}", bytes.len());
            }
        }
    }

    /// The tail of a download that stopped is often zeros.
    #[test]
    fn a_jpeg_without_its_end_is_refused() {
        let whole = encoded(ImageFormat::Jpeg);
        assert!(jpeg_has_its_end(&whole));
        assert!(jpeg_has_its_end(&[whole.as_slice(), b"trailing bytes"].concat()));
        assert_refused(&whole[..whole.len() - 2], "cut off");
        let mut zeros = whole.clone();
        let half = whole.len() / 2;
        zeros[half..].fill(0);
        assert_refused(&zeros, "cut off");
        // A preview in the metadata is a JPEG with an end of its own.
        let preview = [&[0xff, 0xd8, 0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 0, 0][..], &whole[2..half]].concat();
        assert!(!jpeg_has_its_end(&preview));
        for bytes in [&[0xff, 0xd8][..], &[0xff, 0xd8, 0xff], &[0xff, 0xd8, 0xff, 0xe0, 0xff], &[0xff, 0xd8, 1, 2, 3]] {
            assert!(!jpeg_has_its_end(bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert_refused(b"<html>not found</html>", FORMATS);
        assert_refused(b"", FORMATS);
        assert_refused(b"GIF89a\x01\0\x01\0\0\0\0;", "Gif");
    }

    #[test]
    fn a_header_that_claims_too_many_pixels_is_refused_before_they_are_decoded() {
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
