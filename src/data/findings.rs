//! What was found in image files that changes what a network sees of them, counted over a set.

/// How many files had it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// One colour all over, the shape in the transparency: that was taken for the gray values.
    pub(super) opacity_taken: usize,
    /// Pixels that are not opaque; their colour counts as if they were.
    pub(super) transparency_ignored: usize,
    /// JPEG files with bytes between their segments, which were skipped.
    pub(super) stray_bytes: usize,
    /// Of images of 16 bits the brightest colour, 0 to 65535.
    pub(super) brightest_of_sixteen_bits: Option<u16>,
}

/// Below this, images of 16 bits use less than a quarter of what their type can hold.
const FAINT: u16 = 1 << 14;

impl Findings {
    /// Of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            opacity_taken: self.opacity_taken + other.opacity_taken,
            transparency_ignored: self.transparency_ignored + other.transparency_ignored,
            stray_bytes: self.stray_bytes + other.stray_bytes,
            brightest_of_sixteen_bits: self.brightest_of_sixteen_bits.max(other.brightest_of_sixteen_bits),
        }
    }

    /// Sentences about the set `name`.
    pub(super) fn notices(self, name: &str) -> Vec<String> {
        let files = |count: usize| if count == 1 { "1 image".into() } else { format!("{count} images") };
        let mut notices = Vec::new();
        if self.opacity_taken > 0 {
            notices.push(format!(
                "{name}: the shape of {} is in the alpha channel alone, under one colour: alpha was read as gray, opaque as \
                 white",
                files(self.opacity_taken)
            ));
        }
        if self.transparency_ignored > 0 {
            notices.push(format!(
                "{name}: {} with transparent pixels: alpha was ignored and the colours under it were read; save the images \
                 without alpha if another background is meant",
                files(self.transparency_ignored)
            ));
        }
        if self.stray_bytes > 0 {
            notices.push(format!(
                "{name}: {} JPEG {} with stray bytes between the segments, which were skipped as libjpeg does",
                self.stray_bytes,
                if self.stray_bytes == 1 { "file" } else { "files" }
            ));
        }
        if let Some(brightest) = self.brightest_of_sixteen_bits.filter(|brightest| (1..FAINT).contains(brightest)) {
            notices.push(format!(
                "{name}: images of 16 bits hold values up to {brightest} of 65535, which became 0 to {} of 255; multiplied by \
                 {} before they are read, they would keep their shades",
                (u32::from(brightest) * 255 + 32_767) / 65_535,
                u16::MAX / brightest
            ));
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_found_is_not_said() {
        assert!(Findings::default().notices("pets").is_empty());
        let full = Findings { brightest_of_sixteen_bits: Some(FAINT), ..Findings::default() };
        assert!(full.notices("pets").is_empty());
    }

    #[test]
    fn findings_are_counted() {
        let one = Findings { opacity_taken: 1, brightest_of_sixteen_bits: Some(4095), ..Findings::default() };
        let other = Findings { transparency_ignored: 2, stray_bytes: 1, ..Findings::default() };
        let notices = one.and(other).and(one).notices("pets");
        let numbers =
            [&["2 images"][..], &["2 images"], &["1 JPEG file "], &["4095 of 65535", "0 to 16 of 255", "by 16 "]];
        assert_eq!(notices.len(), numbers.len());
        for (notice, numbers) in notices.iter().zip(numbers) {
            assert!(notice.starts_with("pets: ") && numbers.iter().all(|number| notice.contains(number)), "{notice}");
        }
    }
}
