//! Which axes of an array of images are rows, columns and channels: of `.npz` archives and of IDX files.

use super::Dataset;

/// How the images of an array lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArrayShape {
    /// Rows.
    height: usize,
    /// Columns.
    width: usize,
    /// 1 or 3.
    channels: usize,
    /// Whether an image is `[channel, y, x]`, else `[y, x, channel]`.
    channels_first: bool,
}

impl ArrayShape {
    /// Reads `[sample, y, x]`, `[sample, y, x, channel]` or `[sample, channel, y, x]` with 1 or 3 channels; or says why the
    /// shape is none of these, or could be two of them.
    pub(super) fn of(shape: &[usize]) -> Result<Self, String> {
        let gray = |height, width| Self { height, width, channels: 1, channels_first: false };
        match *shape {
            [_, height, width] | [_, height, width, 1] | [_, 1, height, width] => Ok(gray(height, width)),
            [_, 3, _, 3] => {
                Err("can be read in two ways: three rows, or three channels before rows and columns; write it as \
                                 [sample, y, x, channel] with more than three rows"
                    .into())
            }
            [_, height, width, 3] => Ok(Self { height, width, channels: 3, channels_first: false }),
            [_, 3, height, width] => Ok(Self { height, width, channels: 3, channels_first: true }),
            [_, first, middle, last] => Err(format!(
                "is that of images of {} channels; 1 (gray) and 3 (red, green and blue) are read: [sample, y, x], \
                 [sample, y, x, 3] or [sample, 3, y, x]; leave out other channels, an alpha channel too",
                // Most images are square; of others the shorter axis.
                match (first == middle, middle == last) {
                    (false, true) => first,
                    (true, false) => last,
                    _ => first.min(last),
                }
            )),
            _ => Err("is not that of images; [sample, y, x], [sample, y, x, 3] or [sample, 3, y, x] is read".into()),
        }
    }

    /// Rows, columns and channels of an image.
    pub(super) fn sizes(self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// Whether channels come first and were brought behind rows and columns.
    pub(super) fn channels_first(self) -> bool {
        self.channels_first
    }

    /// The images as `[sample, y, x, channel]`.
    pub(super) fn channels_last(self, values: Vec<u8>) -> Vec<u8> {
        if !self.channels_first {
            return values;
        }
        let pixels = self.height * self.width;
        let image = |image: &[u8]| {
            let pixel = |pixel: usize| [0, 1, 2].map(|channel| image[channel * pixels + pixel]);
            (0..pixels).flat_map(pixel).collect::<Vec<_>>()
        };
        values.chunks_exact(3 * pixels).flat_map(image).collect()
    }
}

/// Whether each pixel has three equal colours.
pub(super) fn has_equal_channels(colours: &[u8]) -> bool {
    colours.chunks_exact(3).all(|colour| colour[0] == colour[1] && colour[1] == colour[2])
}

/// The sets with one channel where no image of them needs three, or where gray is `forced`: then pixels become their luma.
pub(super) fn without_needless_channels(
    training: Dataset,
    test: Option<Dataset>,
    forced: bool,
) -> (Dataset, Option<Dataset>) {
    let needs_colour = |set: &Dataset| set.channels == 3 && !has_equal_channels(&set.images);
    if !forced && (needs_colour(&training) || test.as_ref().is_some_and(needs_colour)) {
        return (widened(training), test.map(widened));
    }
    (narrowed(training), test.map(narrowed))
}

/// Gray images as colours.
fn widened(set: Dataset) -> Dataset {
    if set.channels == 3 {
        return set;
    }
    Dataset { images: set.images.iter().flat_map(|&gray| [gray; 3]).collect(), channels: 3, ..set }
}

/// Colours as their luma; of equal colours that is their value.
fn narrowed(set: Dataset) -> Dataset {
    if set.channels == 1 {
        return set;
    }
    let images = set.images.chunks_exact(3).map(|colour| luma([colour[0], colour[1], colour[2]])).collect();
    Dataset { images, channels: 1, ..set }
}

/// The gray value of a colour, as ITU-R BT.709 weighs it.
pub(super) fn luma(colour: [u8; 3]) -> u8 {
    use image::Pixel;
    image::Rgb(colour).to_luma().0[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_one_and_three_channels_are_read_whichever_axis_they_are_on() {
        for (shape, expected) in [
            (vec![5, 28, 27], [28, 27, 1]),
            (vec![5, 28, 27, 1], [28, 27, 1]),
            (vec![5, 1, 28, 27], [28, 27, 1]),
            (vec![5, 28, 27, 3], [28, 27, 3]),
            (vec![5, 3, 28, 27], [28, 27, 3]),
        ] {
            assert_eq!(ArrayShape::of(&shape).unwrap().sizes(), expected, "{shape:?}");
        }
    }

    #[test]
    fn other_shapes_are_refused_with_the_number_of_their_channels() {
        for (shape, words) in [
            (vec![9, 8, 8, 5], "5 channels"),
            (vec![9, 5, 8, 8], "5 channels"),
            (vec![9, 2, 2, 5], "5 channels"),
            (vec![9, 30, 20, 5], "5 channels"),
            (vec![9, 8, 8, 2], "2 channels"),
            (vec![9, 8, 8, 4], "4 channels"),
            (vec![9, 4, 8, 8], "alpha"),
            (vec![9, 3, 8, 3], "two ways"),
            (vec![9, 8], "not that of images"),
            (vec![9, 1, 8, 8, 3], "not that of images"),
        ] {
            let why = ArrayShape::of(&shape).unwrap_err();
            assert!(why.contains(words), "{shape:?}: {why}");
        }
    }

    #[test]
    fn channels_that_come_first_are_brought_behind_rows_and_columns() {
        let shape = ArrayShape::of(&[2, 3, 1, 2]).unwrap();
        let values = vec![1, 2, 11, 12, 21, 22, 3, 4, 13, 14, 23, 24];
        assert_eq!(shape.channels_last(values), [1, 11, 21, 2, 12, 22, 3, 13, 23, 4, 14, 24]);
    }

    /// White, black, and the three primary colours with the weights of ITU-R BT.709.
    #[test]
    fn colours_become_luma() {
        let colours = [[255; 3], [0; 3], [255, 0, 0], [0, 255, 0], [0, 0, 255]];
        let expected = [255.0, 0.0, 255.0 * 0.2126, 255.0 * 0.7152, 255.0 * 0.0722];
        for (colour, expected) in colours.into_iter().zip(expected) {
            let found = luma(colour);
            assert!((f64::from(found) - expected).abs() <= 1.0, "{found}, not {expected}");
        }
        assert!((0..=255).all(|gray| luma([gray; 3]) == gray));
    }

    #[test]
    fn one_coloured_pixel_of_either_part_keeps_the_colours_of_both() {
        let set = |images: [u8; 3]| Dataset::with_channels("x", images.into(), vec![0], [1, 1, 3], 2).unwrap();
        let (gray, colour) = (set([7, 7, 7]), set([7, 7, 8]));
        let channels = |training: &Dataset, test: &Dataset, forced| {
            let (training, test) = without_needless_channels(training.clone(), Some(test.clone()), forced);
            [training.channels, test.unwrap().channels]
        };
        assert_eq!(channels(&gray, &gray, false), [1, 1]);
        assert_eq!(channels(&gray, &colour, false), [3, 3]);
        assert_eq!(channels(&colour, &gray, false), [3, 3]);
        assert_eq!(channels(&colour, &colour, true), [1, 1]);
        let single = Dataset::new("x", vec![9], vec![0], 1, 1, 2).unwrap();
        assert_eq!(without_needless_channels(single, Some(colour), false).0.images, [9, 9, 9]);
    }
}
