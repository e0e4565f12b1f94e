//! How large a picture may be that is read.

use super::Fault;

/// What may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width times height.
    pub pixels: u64,
    /// Whether floating-point samples may lie beyond [0, 1], as those of a noisy measurement do.
    pub beyond: bool,
}

impl Default for Limits {
    /// 256 megapixels, which take 3 GB in f32 colour.
    fn default() -> Limits {
        Limits {
            pixels: 256_000_000,
            beyond: false,
        }
    }
}

impl Limits {
    /// Refuses a size before memory is taken for it.
    pub(super) fn check(&self, (width, height): (u32, u32)) -> Result<(), Fault> {
        if width == 0 || height == 0 {
            let (width, height) = (width as usize, height as usize);
            return Err(Fault::NoPixels { width, height });
        }
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(Fault::TooLarge {
                width,
                height,
                limit: self.pixels,
            });
        }
        Ok(())
    }

    /// Longest file: 32-bit RGBA without compression, and room for profiles and thumbnails.
    pub(super) fn file_bytes(&self) -> u64 {
        self.pixels.saturating_mul(16).saturating_add(64 << 20)
    }

    /// Most memory for a decoder: as much again as the pixels, at least 64 MiB.
    pub(super) fn decoder_bytes(&self) -> u64 {
        self.file_bytes().saturating_mul(2)
    }
}
