//! Large pictures through a network in tiles.
//!
//! A tile is cut with a margin of the network's reach, and the margin is thrown away afterwards. Within the reach the
//! network sees exactly what it would see of the whole picture, so that the result is the same up to rounding: there is
//! no seam to blend.

use ndarray::s;

use super::Error;
use crate::Image;

/// How a picture is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    reach: usize,
    multiple: usize,
    pixels: usize,
}

impl Tiling {
    /// For a network whose output depends on inputs up to `reach` pixels away, and whose coarsest block has `multiple`
    /// pixels a side.
    pub(crate) fn new(reach: usize, multiple: usize) -> Tiling {
        Tiling {
            reach: reach.next_multiple_of(multiple),
            multiple,
            pixels: 1 << 21,
        }
    }

    /// With at most `pixels` in a tile, its margin included (as far as the margin allows).
    pub(crate) fn with_pixels(self, pixels: usize) -> Tiling {
        Tiling { pixels, ..self }
    }

    /// Pixels a side of a tile without its margin.
    fn core(&self) -> usize {
        let side = self.pixels.isqrt().saturating_sub(2 * self.reach);
        let core = side / self.multiple * self.multiple;
        core.max(self.multiple)
            .max(64usize.next_multiple_of(self.multiple))
    }

    /// Applies `network` to a batch, one picture and tile at a time where it is large.
    pub(crate) fn map(
        &self,
        x: &Image,
        network: impl Fn(&Image) -> Result<Image, Error>,
    ) -> Result<Image, Error> {
        let (n, _, h, w) = x.dim();
        if n * h * w <= self.pixels {
            return network(x);
        }
        let mut out = Image::zeros(x.raw_dim());
        for i in 0..n {
            for (top, bottom) in self.cuts(h) {
                for (left, right) in self.cuts(w) {
                    let (t, l) = (
                        top.saturating_sub(self.reach),
                        left.saturating_sub(self.reach),
                    );
                    let (b, r) = ((bottom + self.reach).min(h), (right + self.reach).min(w));
                    let tile = x.slice(s![i..i + 1, .., t..b, l..r]).to_owned();
                    let answer = network(&tile)?;
                    let core = answer.slice(s![.., .., top - t..bottom - t, left - l..right - l]);
                    out.slice_mut(s![i..i + 1, .., top..bottom, left..right])
                        .assign(&core);
                }
            }
        }
        Ok(out)
    }

    /// `0..length` in tile sides.
    fn cuts(&self, length: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let core = self.core();
        (0..length)
            .step_by(core)
            .map(move |start| (start, (start + core).min(length)))
    }
}
