//! The segments of a JPEG file, passed over by their lengths (ITU-T T.81, annex B): is the end there, and does something
//! stand between them that belongs to none?
//!
//! The decoder fills what is missing with gray and stops at bytes between segments; libjpeg, which most programs use, skips
//! such bytes up to the next marker. So does this.

use std::borrow::Cow;

/// The file without bytes that stand between its segments; borrowed if there are none. `None` if the marker of the end is
/// missing, or the file does not begin as JPEG does.
pub(super) fn tidied(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let mut kept: Vec<u8> = Vec::new();
    // From where on bytes are good that are not in `kept` yet, and how far the file has been passed over.
    let (mut good, mut place) = (0, 2);
    loop {
        let marker = next_marker(bytes, place)?;
        // Fill bytes may stand before a marker.
        if bytes[place..marker].iter().any(|&byte| byte != 0xff) {
            kept.extend(&bytes[good..place]);
            good = marker;
        }
        place = match bytes[marker + 1] {
            0xd9 => break,
            // Markers without a segment.
            0x01 | 0xd0..=0xd7 => marker + 2,
            kind => {
                let length = u16::from_be_bytes([*bytes.get(marker + 2)?, *bytes.get(marker + 3)?]);
                let end = marker + 2 + usize::from(length).max(2);
                if end > bytes.len() {
                    return None;
                }
                if kind == 0xda { end_of_scan(bytes, end)? } else { end }
            }
        };
    }
    if good == 0 {
        return Some(Cow::Borrowed(bytes));
    }
    kept.extend(&bytes[good..]);
    Some(Cow::Owned(kept))
}

/// Where the next marker is: ff, followed by neither 00 nor another ff.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    find(bytes, from, |after| !matches!(after, 0x00 | 0xff))
}

/// Where the coded pixels of a scan end: in them ff comes only before 00 and before the markers of a restart.
fn end_of_scan(bytes: &[u8], from: usize) -> Option<usize> {
    find(bytes, from, |after| !matches!(after, 0x00 | 0xd0..=0xd7))
}

/// Where the next ff is with such a byte after it.
fn find(bytes: &[u8], from: usize, is_marker: impl Fn(u8) -> bool) -> Option<usize> {
    let place = bytes.get(from..)?.windows(2).position(|pair| pair[0] == 0xff && is_marker(pair[1]));
    place.map(|place| from + place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, a segment of two bytes, a scan with coded ff, restart and end.
    const WHOLE: [u8; 21] =
        [0xff, 0xd8, 0xff, 0xe0, 0, 4, 7, 7, 0xff, 0xda, 0, 2, 1, 0xff, 0, 0xff, 0xd0, 2, 0xff, 0xff, 0xd9];

    #[test]
    fn a_whole_file_is_left_as_it_is() {
        for bytes in [WHOLE.to_vec(), [&WHOLE[..], b"trailing \xff\xd8 bytes"].concat()] {
            assert!(matches!(tidied(&bytes), Some(Cow::Borrowed(same)) if same == bytes));
        }
    }

    #[test]
    fn bytes_between_segments_are_dropped_wherever_they_stand() {
        for stray in [&b"b"[..], b"bl", &[0xff, 0], &[0xff, 0xff, 0, 9]] {
            for place in [2, 8] {
                let bytes = [&WHOLE[..place], stray, &WHOLE[place..]].concat();
                let tidy = tidied(&bytes).unwrap_or_else(|| panic!("{bytes:x?}"));
                assert_eq!(tidy.as_ref(), WHOLE, "{stray:x?} at {place}");
            }
        }
        // In two places at once, fill bytes before a marker kept.
        let bytes = [&WHOLE[..2], b"ab", &WHOLE[2..8], b"c", &[0xff], &WHOLE[8..]].concat();
        assert_eq!(tidied(&bytes).unwrap().as_ref(), WHOLE);
    }

    #[test]
    fn a_file_without_its_end_is_none() {
        for end in 0..WHOLE.len() - 1 {
            assert!(tidied(&WHOLE[..end]).is_none(), "cut at {end}");
        }
        for bytes in [&[0xff, 0xd8, 0xff, 0xe0, 0xff][..], &[0xff, 0xd8, 1, 2, 3], b"", b"GIF89a"] {
            assert!(tidied(bytes).is_none(), "{bytes:x?}");
        }
        // A preview in the metadata is a JPEG with an end of its own.
        let preview = [&[0xff, 0xd8, 0xff, 0xe1, 0, 8, 0xff, 0xd8, 0xff, 0xd9, 0, 0][..], &WHOLE[2..18]].concat();
        assert!(tidied(&preview).is_none());
    }
}
