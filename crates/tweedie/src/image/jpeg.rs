//! What the JPEG decoder does not say: how many components there are, and whether the file is whole.
//!
//! The decoder fills what is missing with grey, which a restoration would take for truth. So the markers are walked
//! here (ITU T.81, annex B).

use super::quantisation::{Gathered, Jpeg};
use super::{Fault, Format};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;

/// Refuses a JPEG that is cut short, is not 8-bit, or is not grey or colour in three components. Of others, how coarsely they
/// are stored, where they say it.
pub(super) fn check(bytes: &[u8]) -> Result<Option<Jpeg>, Fault> {
    let mut gathered = Gathered::default();
    let cut = || Fault::damaged(Format::Jpeg, "it ends before its end-of-image marker");
    let mut rest = bytes.strip_prefix(&[0xFF, SOI]).ok_or_else(cut)?;
    loop {
        let (marker, after) = next_marker(rest).ok_or_else(cut)?;
        rest = after;
        match marker {
            EOI => return Ok(gathered.finish()),
            // No length follows these: TEM and the restart markers.
            0x01 | 0xD0..=0xD7 | SOI => continue,
            _ => {}
        }
        let (segment, after) = split_segment(rest).ok_or_else(cut)?;
        match marker {
            DQT => gathered.tables(segment),
            SOS => gathered.scan(segment),
            0xE0..=0xEF => gathered.application(marker & 15, segment),
            _ if is_frame(marker) => {
                check_frame(segment)?;
                gathered.frame(segment);
            }
            _ => {}
        }
        rest = if marker == SOS {
            skip_scan(after)
        } else {
            after
        };
    }
}

/// The next marker and what follows it; fill bytes are skipped.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&b| b == 0xFF)?;
    let rest = &bytes[start..];
    let at = rest.iter().position(|&b| b != 0xFF)?;
    Some((rest[at], &rest[at + 1..]))
}

/// A segment starts with its length in two bytes, which counts itself.
fn split_segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    Some((bytes.get(2..length)?, &bytes[length..]))
}

/// SOF0..SOF15, which leave out DHT (C4), JPG (C8) and DAC (CC).
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

fn check_frame(segment: &[u8]) -> Result<(), Fault> {
    match (segment.first(), segment.get(5)) {
        (Some(8), Some(1 | 3)) => Ok(()),
        (Some(8), Some(4)) => Err(Fault::unsupported(Format::Jpeg, "CMYK")),
        (Some(8), Some(n)) => Err(Fault::unsupported(Format::Jpeg, format!("{n} components"))),
        (Some(bits), Some(_)) => Err(Fault::unsupported(Format::Jpeg, format!("{bits} bits"))),
        _ => Err(Fault::damaged(
            Format::Jpeg,
            "its frame header is too short",
        )),
    }
}

/// Skips entropy-coded data, where FF is followed by 00 (a byte FF) or a restart marker; gives what starts with the
/// next marker.
fn skip_scan(bytes: &[u8]) -> &[u8] {
    let ends = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF | 0xD0..=0xD7);
    match bytes.windows(2).position(ends) {
        Some(at) => &bytes[at..],
        None => &[],
    }
}
