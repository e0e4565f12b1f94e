//! Large pictures through a network in tiles, and back.
//!
//! A tile is cut with a margin of the network's reach, and the margin is thrown away afterwards. Within the reach the
//! network sees exactly what it would see of the whole picture, so that the result is the same up to rounding: there is
//! no seam to blend. Backwards likewise: the gradient of what a tile's middle answers lies within the tile, margin
//! included, and the gradients of all tiles add up to the whole picture's.

use std::ops::Range;

use ndarray::s;
use tweedie_kernels::Scratch;

use super::Error;
use crate::Image;

/// How pictures are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    /// Pixels around a tile that its middle depends on; `None` if the network cannot be asked for parts.
    margin: Option<usize>,
    multiple: usize,
    forward: Limit,
    backward: Limit,
}

/// Pixels at once.
#[derive(Clone, Copy, Debug)]
struct Limit {
    /// Up to so many go through whole.
    whole: usize,
    /// In a tile, margins included (as far as the margins allow).
    tile: usize,
}

/// A part of one picture of a batch.
#[derive(Clone, Debug)]
struct Tile {
    picture: usize,
    /// Rows and columns of its middle, which it answers for.
    core: [Range<usize>; 2],
    /// The same with margins, as far as the picture goes.
    window: [Range<usize>; 2],
}

impl Tile {
    /// The middle's rows and columns within the window.
    fn core_in_window(&self) -> [Range<usize>; 2] {
        [0, 1].map(|i| {
            let start = self.window[i].start;
            self.core[i].start - start..self.core[i].end - start
        })
    }
}

impl Tiling {
    /// For a network whose output depends on inputs up to `reach` pixels away, and whose coarsest block has `multiple`
    /// pixels a side.
    pub(crate) fn new(reach: Option<usize>, multiple: usize) -> Tiling {
        Tiling {
            margin: reach.map(|reach| reach.next_multiple_of(multiple)),
            multiple,
            // The photo prior takes 0.4 GB a megapixel, and of a tile of half as many half would be margin.
            forward: Limit {
                whole: 1 << 22,
                tile: 1 << 22,
            },
            // What a gradient keeps of the way forward is many times the picture: the photo prior's take 1.4 GB a megapixel.
            backward: Limit {
                whole: 1 << 20,
                tile: 850_000,
            },
        }
    }

    /// With at most `pixels` at once, and for gradients no more than before.
    pub(crate) fn with_pixels(self, pixels: usize) -> Tiling {
        Tiling {
            forward: Limit {
                whole: pixels,
                tile: pixels,
            },
            backward: Limit {
                whole: pixels.min(self.backward.whole),
                tile: pixels.min(self.backward.tile),
            },
            ..self
        }
    }

    /// Whether the gradient of a batch can be taken at once.
    pub(crate) fn pulls_whole(&self, x: &Image) -> bool {
        self.whole(x, self.backward)
    }

    fn whole(&self, x: &Image, limit: Limit) -> bool {
        let (n, _, h, w) = x.dim();
        n * h * w <= limit.whole || (n == 1 && self.margin.is_none())
    }

    /// Applies `network`, whose answer has `channels`, to a batch: one picture and tile at a time where it is large. After
    /// each, `done` is told how many are done, and of how many.
    pub(crate) fn map(
        &self,
        x: &Image,
        channels: usize,
        network: impl Fn(&Image) -> Result<Image, Error>,
        done: impl Fn(usize, usize),
    ) -> Result<Image, Error> {
        if self.whole(x, self.forward) {
            return network(x).inspect(|_| done(1, 1));
        }
        let (n, _, h, w) = x.dim();
        let mut out = Image::zeros((n, channels, h, w));
        let tiles: Vec<Tile> = self.tiles(x, self.forward).collect();
        for (i, tile) in tiles.iter().enumerate() {
            let answer = network(&cut(x, tile.picture, &tile.window))?;
            let [rows, columns] = tile.core_in_window();
            let answer = answer.slice(s![0, .., rows, columns]);
            let [rows, columns] = tile.core.clone();
            out.slice_mut(s![tile.picture, .., rows, columns])
                .assign(&answer);
            done(i + 1, tiles.len());
        }
        Ok(out)
    }

    /// `J^T v` for a batch, one picture and tile at a time; `pull` takes a part of `x` and of `v` to that of `J^T v`.
    pub(crate) fn pull(
        &self,
        x: &Image,
        v: &Image,
        pull: impl Fn(&Image, &Image) -> Result<Image, Error>,
    ) -> Result<Image, Error> {
        let mut out = Image::zeros(x.raw_dim());
        for tile in self.tiles(x, self.backward) {
            // The kernels keep memory for tensors of the same size; a tile of another size would need more on top.
            Scratch::release_idle();
            let part = cut(x, tile.picture, &tile.window);
            let (_, _, h, w) = part.dim();
            let mut cotangent = Image::zeros((1, v.dim().1, h, w));
            let [rows, columns] = tile.core_in_window();
            cotangent.slice_mut(s![.., .., rows, columns]).assign(&cut(
                v,
                tile.picture,
                &tile.core,
            ));
            let [rows, columns] = tile.window;
            let mut sum = out.slice_mut(s![tile.picture..=tile.picture, .., rows, columns]);
            sum += &pull(&part, &cotangent)?;
        }
        Ok(out)
    }

    /// The tiles of a batch.
    fn tiles(&self, x: &Image, limit: Limit) -> impl Iterator<Item = Tile> + use<> {
        let (n, _, h, w) = x.dim();
        let margin = self.margin.unwrap_or(0);
        let [rows, columns] = [h, w].map(|length| self.cuts(length, limit));
        let window = move |core: &Range<usize>, length: usize| {
            core.start.saturating_sub(margin)..(core.end + margin).min(length)
        };
        (0..n).flat_map(move |picture| {
            let columns = columns.clone();
            rows.clone().into_iter().flat_map(move |row| {
                columns.clone().into_iter().map(move |column| Tile {
                    picture,
                    window: [window(&row, h), window(&column, w)],
                    core: [row.clone(), column],
                })
            })
        })
    }

    /// `0..length` in as few parts as the limit allows, about equally long, each but the last whole blocks.
    fn cuts(&self, length: usize, limit: Limit) -> Vec<Range<usize>> {
        let parts = match self.margin {
            Some(margin) => length.div_ceil(self.core(margin, limit)),
            None => 1,
        };
        let side = length.div_ceil(parts).next_multiple_of(self.multiple);
        (0..length)
            .step_by(side)
            .map(|start| start..(start + side).min(length))
            .collect()
    }

    /// Pixels a side of a tile without its margin.
    fn core(&self, margin: usize, limit: Limit) -> usize {
        let side = limit.tile.isqrt().saturating_sub(2 * margin);
        let least = 64usize.next_multiple_of(self.multiple);
        (side / self.multiple * self.multiple).max(least)
    }
}

/// A part of one picture of a batch.
fn cut(x: &Image, picture: usize, [rows, columns]: &[Range<usize>; 2]) -> Image {
    x.slice(s![picture..=picture, .., rows.clone(), columns.clone()])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles of a picture of 4 megapixels with the photo prior's reach keep the limits, and their middles cover it once.
    #[test]
    fn tiles_cover_a_picture_once_within_the_limit() {
        let tiling = Tiling::new(Some(98), 8);
        for (h, w) in [(2048, 2048), (2047, 2055), (300, 9001)] {
            let x = Image::zeros((1, 1, h, w));
            for limit in [tiling.forward, tiling.backward] {
                let mut seen = Image::zeros(x.raw_dim());
                for tile in tiling.tiles(&x, limit) {
                    let [rows, columns] = tile.window.clone();
                    assert!(rows.len() * columns.len() <= limit.tile, "{tile:?}");
                    assert!(rows.start % 8 == 0 && columns.start % 8 == 0, "{tile:?}");
                    let [rows, columns] = tile.core;
                    seen.slice_mut(s![0, 0, rows, columns])
                        .mapv_inplace(|v| v + 1.0);
                }
                assert!(seen.iter().all(|&v| v == 1.0), "{h}x{w}");
            }
        }
    }
}
