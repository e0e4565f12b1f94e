//! The resolution in a BMP's header: `image` neither reads nor writes it.
//!
//! Pixels a metre are at bytes 38 and 42, in headers of 40 bytes and more (BITMAPINFOHEADER), whose length is at byte 14.

use super::Resolution;

fn number(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?))
}

/// What the header says, if it says anything.
pub(super) fn resolution(file: &[u8]) -> Option<Resolution> {
    number(file, 14).filter(|&length| length >= 40)?;
    Resolution::of_metres(number(file, 38)?, number(file, 42)?, true)
}

/// Writes it into a file that was just encoded.
pub(super) fn set_resolution(file: &mut [u8], resolution: Resolution) {
    let (across, down) = resolution.to_metres();
    if let Some(place) = file.get_mut(38..46) {
        place[..4].copy_from_slice(&across.to_le_bytes());
        place[4..].copy_from_slice(&down.to_le_bytes());
    }
}
