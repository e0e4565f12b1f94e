//! The two things in an EXIF block that change with the picture: the orientation and the thumbnail.
//!
//! An EXIF block is a small TIFF file (TIFF 6.0, section 2): a byte-order mark, then image file directories (IFDs). The
//! first is about the picture, the second about its thumbnail. Source: CIPA DC-008 (Exif 2.32), section 4.6.

use ::image::metadata::Orientation;

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
    let ifd0 = tiff.u32(block, 4).unwrap_or(0) as usize;
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
    let ifd0 = tiff.u32(block, 4).unwrap_or(0) as usize;
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

/// Reads and writes numbers in the block's byte order. Every position comes from an untrusted file, hence the `get`s.
struct Tiff {
    big_endian: bool,
}

impl Tiff {
    fn of(block: &[u8]) -> Option<Tiff> {
        match block.get(..4)? {
            b"II*\0" => Some(Tiff { big_endian: false }),
            b"MM\0*" => Some(Tiff { big_endian: true }),
            _ => None,
        }
    }

    fn u16(&self, block: &[u8], at: usize) -> Option<u16> {
        let bytes = block.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(&self, block: &[u8], at: usize) -> Option<u32> {
        let bytes = block.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// Position of the 12-byte entry of `tag` in the directory at `ifd`.
    fn find(&self, block: &[u8], ifd: usize, tag: u16) -> Option<usize> {
        // A directory at 0 would be the header: "no directory".
        let entries = self.u16(block, (ifd > 0).then_some(ifd)?)? as usize;
        (0..entries)
            .map_while(|i| ifd.checked_add(2 + 12 * i))
            .find(|&entry| self.u16(block, entry) == Some(tag))
    }

    /// Position of the link from the directory at `ifd` to the next.
    fn next(&self, block: &[u8], ifd: usize) -> Option<usize> {
        let entries = self.u16(block, (ifd > 0).then_some(ifd)?)? as usize;
        let link = ifd.checked_add(2 + 12 * entries)?;
        block.get(link..link.checked_add(4)?).map(|_| link)
    }

    /// The SHORT (3) or LONG (4) of an entry.
    fn value(&self, block: &[u8], entry: usize) -> Option<u32> {
        let at = entry.checked_add(8)?;
        match self.u16(block, entry + 2)? {
            3 => self.u16(block, at).map(u32::from),
            4 => self.u32(block, at),
            _ => None,
        }
    }

    fn set_value(&self, block: &mut [u8], entry: usize, value: usize) {
        let (Ok(short), Ok(long)) = (u16::try_from(value).or(Err(())), u32::try_from(value)) else {
            return;
        };
        let bytes: &[u8] = match (self.u16(block, entry + 2), self.big_endian) {
            (Some(3), true) => &short.to_be_bytes(),
            (Some(3), false) => &short.to_le_bytes(),
            (Some(4), true) => &long.to_be_bytes(),
            (Some(4), false) => &long.to_le_bytes(),
            _ => return,
        };
        if let Some(field) = block.get_mut(entry + 8..entry + 8 + bytes.len()) {
            field.copy_from_slice(bytes);
        }
    }
}
