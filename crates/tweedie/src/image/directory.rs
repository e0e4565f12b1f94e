//! Entries in the directories of a TIFF file, or of the small one that is an EXIF block (TIFF 6.0, section 2).

/// Reads and writes numbers in the file's byte order. Every position comes from an untrusted file, hence the `get`s.
pub(super) struct Tiff {
    big_endian: bool,
}

impl Tiff {
    pub(super) fn of(block: &[u8]) -> Option<Tiff> {
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

    pub(super) fn u32(&self, block: &[u8], at: usize) -> Option<u32> {
        let bytes = block.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    /// Position of the first directory.
    pub(super) fn first(&self, block: &[u8]) -> usize {
        self.u32(block, 4).unwrap_or(0) as usize
    }

    /// Position of the 12-byte entry of `tag` in the directory at `ifd`.
    pub(super) fn find(&self, block: &[u8], ifd: usize, tag: u16) -> Option<usize> {
        // A directory at 0 would be the header: "no directory".
        let entries = self.u16(block, (ifd > 0).then_some(ifd)?)? as usize;
        (0..entries)
            .map_while(|i| ifd.checked_add(2 + 12 * i))
            .find(|&entry| self.u16(block, entry) == Some(tag))
    }

    /// Position of the link from the directory at `ifd` to the next.
    pub(super) fn next(&self, block: &[u8], ifd: usize) -> Option<usize> {
        let entries = self.u16(block, (ifd > 0).then_some(ifd)?)? as usize;
        let link = ifd.checked_add(2 + 12 * entries)?;
        block.get(link..link.checked_add(4)?).map(|_| link)
    }

    /// The SHORT (3) or LONG (4) of an entry.
    pub(super) fn value(&self, block: &[u8], entry: usize) -> Option<u32> {
        let at = entry.checked_add(8)?;
        match self.u16(block, entry + 2)? {
            3 => self.u16(block, at).map(u32::from),
            4 => self.u32(block, at),
            _ => None,
        }
    }

    /// The RATIONAL (5) of an entry, which points to two LONGs.
    pub(super) fn rational(&self, block: &[u8], entry: usize) -> Option<f64> {
        if self.u16(block, entry + 2)? != 5 {
            return None;
        }
        let at = self.u32(block, entry + 8)? as usize;
        let (n, d) = (self.u32(block, at)?, self.u32(block, at.checked_add(4)?)?);
        Some(f64::from(n) / f64::from(d))
    }

    /// Writes the SHORT or LONG of an entry.
    pub(super) fn set_value(&self, block: &mut [u8], entry: usize, value: usize) {
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
