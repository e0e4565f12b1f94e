//! JPEG: what the decoder does not say, how many components there are, how coarsely they are stored, and whether the file is
//! whole.
//!
//! The decoder fills what is missing with grey, which a restoration would take for truth. So the markers are walked
//! here (ITU T.81, annex B).

use std::io::Cursor;

use ::image::codecs::jpeg::JpegDecoder;

use super::quantisation::Gathered;
use super::raw::{Raw, Samples};
use super::read::{decode_by, fault};
use super::{CMYK_NOTE, Fault, Format, Limits, Resolution};

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;

/// What the markers say.
#[derive(Default)]
struct Headers {
    gathered: Gathered,
    resolution: Option<Resolution>,
    components: usize,
    /// Whether the end-of-image marker is there.
    ended: bool,
}

/// Decodes a JPEG.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Raw, Fault> {
    let headers = walk(bytes)?;
    let mut raw = match headers.ended {
        true => decode_whole(bytes, limits)?,
        false => decode_endless(bytes, limits)?,
    };
    if !headers.ended {
        let note = "the JPEG lacks its end marker; all of its pixels are there";
        raw.notes.push(note.to_owned());
    }
    if headers.components == 4 {
        raw.notes.push(CMYK_NOTE.to_owned());
        // It is one of inks.
        raw.icc = None;
    }
    Ok(Raw {
        jpeg: headers.gathered.finish(bytes),
        chroma: true,
        resolution: headers.resolution.or(raw.resolution),
        ..raw
    })
}

fn decode_whole(bytes: &[u8], limits: &Limits) -> Result<Raw, Fault> {
    let decoder = JpegDecoder::new(Cursor::new(bytes)).map_err(|e| fault(Format::Jpeg, e))?;
    decode_by(Format::Jpeg, decoder, limits)
}

/// Decodes a file without an end, if nothing but that is missing: then it does not matter which bits follow. Where some are
/// missing, different ones make different pictures.
fn decode_endless(bytes: &[u8], limits: &Limits) -> Result<Raw, Fault> {
    // A last FF may be half of a marker, or of a byte FF, which is written as FF 00.
    let whole = bytes.strip_suffix(&[0xFF]).unwrap_or(bytes);
    let ended = |filling: [u8; 2]| {
        let bytes = [whole, &filling.repeat(64), &[0xFF, EOI]].concat();
        decode_whole(&bytes, limits)
    };
    let raw = ended([0, 0])?;
    // Ones alone are no code at all; scans that refine others stop there, and look as if they had nothing to say.
    for filling in [[0xFF, 0], [0x55, 0x55], [0xAA, 0xAA], [0x6D, 0xB6]] {
        match (&raw.samples, ended(filling)?.samples) {
            (Samples::Eight(a), Samples::Eight(b)) if *a == b => {}
            _ => return Err(cut()),
        }
    }
    Ok(raw)
}

fn cut() -> Fault {
    Fault::damaged(Format::Jpeg, "it ends before its end-of-image marker")
}

/// Refuses a JPEG that is cut short, is not 8-bit, or whose components are not those of a known kind of picture.
fn walk(bytes: &[u8]) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    let mut rest = bytes.strip_prefix(&[0xFF, SOI]).ok_or_else(cut)?;
    while let Some((marker, after)) = next_marker(rest) {
        rest = after;
        match marker {
            EOI => {
                headers.ended = true;
                break;
            }
            // No length follows these: TEM and the restart markers.
            0x01 | 0xD0..=0xD7 | SOI => continue,
            _ => {}
        }
        let (segment, after) = split_segment(rest).ok_or_else(cut)?;
        headers.take(marker, segment)?;
        rest = if marker == SOS {
            skip_scan(after)
        } else {
            after
        };
    }
    // Adobe stores inks inverted and says so; others do not say which they do.
    if headers.components == 4 && headers.gathered.adobe.is_none() {
        let detail = "CMYK that does not say whether it is inverted";
        return Err(Fault::unsupported(Format::Jpeg, detail));
    }
    match headers.ended || headers.gathered.is_complete() {
        true => Ok(headers),
        false => Err(cut()),
    }
}

impl Headers {
    fn take(&mut self, marker: u8, segment: &[u8]) -> Result<(), Fault> {
        match marker {
            DQT => self.gathered.tables(segment),
            SOS => self.gathered.scan(segment),
            0xE0..=0xEF => {
                if marker == 0xE0 && segment.starts_with(b"JFIF\0") {
                    self.resolution = Resolution::of_jfif(segment);
                }
                self.gathered.application(marker & 15, segment);
            }
            _ if is_frame(marker) => {
                self.components = check_frame(segment)?;
                self.gathered.frame(segment);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The next marker and what follows it; fill bytes are skipped.
pub(super) fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let start = bytes.iter().position(|&b| b == 0xFF)?;
    let rest = &bytes[start..];
    let at = rest.iter().position(|&b| b != 0xFF)?;
    Some((rest[at], &rest[at + 1..]))
}

/// A segment starts with its length in two bytes, which counts itself.
pub(super) fn split_segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    Some((bytes.get(2..length)?, &bytes[length..]))
}

/// SOF0..SOF15, which leave out DHT (C4), JPG (C8) and DAC (CC).
pub(super) fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// The number of components.
fn check_frame(segment: &[u8]) -> Result<usize, Fault> {
    match (segment.first(), segment.get(5)) {
        (Some(8), Some(&n @ (1 | 3 | 4))) => Ok(n.into()),
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
pub(super) fn skip_scan(bytes: &[u8]) -> &[u8] {
    let ends = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF | 0xD0..=0xD7);
    match bytes.windows(2).position(ends) {
        Some(at) => &bytes[at..],
        None => &[],
    }
}
