//! The two things in an EXIF block that change with the picture, the orientation and the thumbnail; and its resolution, for
//! formats that hold no such block.
//!
//! An EXIF block is a small TIFF file (TIFF 6.0, section 2): a byte-order mark, then image file directories (IFDs). The
//! first is about the picture, the second about its thumbnail. Source: CIPA DC-008 (Exif 2.32), section 4.6.

use ::image::metadata::Orientation;

use super::Resolution;
use super::directory::Tiff;

const X_RESOLUTION: u16 = 0x011A;
const Y_RESOLUTION: u16 = 0x011B;
const RESOLUTION_UNIT: u16 = 0x0128;
const JPEG_OFFSET: u16 = 0x0201;
const JPEG_LENGTH: u16 = 0x0202;
const EXIF_IFD: u16 = 0x8769;
const PIXEL_WIDTH: u16 = 0xA002;
const PIXEL_HEIGHT: u16 = 0xA003;

/// The block without the `Exif\0\0` mark that some writers put before it; `None` if it is no EXIF at all.
pub(super) fn strip(block: Vec<u8>) -> Option<Vec<u8>> {
    let block = match block.strip_prefix(b"Exif\0\0") {
        Some(rest) => rest.to_vec(),
        None => block,
    };
    (block.starts_with(b"II*\0") || block.starts_with(b"MM\0*")).then_some(block)
}

/// Takes the orientation out of the block (leaving "upright" there) and the thumbnail, which shows the picture as it
/// was before.
pub(super) fn take_orientation(block: &mut [u8]) -> Orientation {
    drop_thumbnail(block);
    Orientation::remove_from_exif_chunk(block).unwrap_or(Orientation::NoTransforms)
}

/// Writes the picture's present size where the block states it.
pub(super) fn set_size(block: &mut [u8], width: usize, height: usize) {
    let Some(tiff) = Tiff::of(block) else { return };
    let ifd0 = tiff.first(block);
    let Some(exif) = tiff.find(block, ifd0, EXIF_IFD) else {
        return;
    };
    let Some(exif) = tiff.value(block, exif) else {
        return;
    };
    for (tag, size) in [(PIXEL_WIDTH, width), (PIXEL_HEIGHT, height)] {
        if let Some(entry) = tiff.find(block, exif as usize, tag) {
            tiff.set_value(block, entry, size);
        }
    }
}

/// Blanks the thumbnail's bytes and unlinks its directory.
fn drop_thumbnail(block: &mut [u8]) {
    let Some(tiff) = Tiff::of(block) else { return };
    let ifd0 = tiff.first(block);
    let Some(link) = tiff.next(block, ifd0) else {
        return;
    };
    let ifd1 = tiff.u32(block, link).unwrap_or(0) as usize;
    let field = |tag| tiff.value(block, tiff.find(block, ifd1, tag)?);
    if let (Some(start), Some(length)) = (field(JPEG_OFFSET), field(JPEG_LENGTH)) {
        let (start, length) = (start as usize, length as usize);
        // Beyond the header, or a crafted offset would wipe the byte-order mark.
        if let Some(bytes) = block.get_mut(start.max(8)..start.saturating_add(length)) {
            bytes.fill(0);
        }
    }
    if let Some(bytes) = block.get_mut(link..link + 4) {
        bytes.fill(0);
    }
}

/// How large the block says the picture is on paper.
pub(super) fn resolution(block: &[u8]) -> Option<Resolution> {
    let tiff = Tiff::of(block)?;
    let ifd0 = tiff.first(block);
    let rational = |tag| tiff.rational(block, tiff.find(block, ifd0, tag)?);
    let unit = tiff.find(block, ifd0, RESOLUTION_UNIT);
    let unit = unit.and_then(|entry| tiff.value(block, entry));
    Resolution::of_tiff(rational(X_RESOLUTION)?, rational(Y_RESOLUTION)?, unit)
}
