//! What the photo network makes of a map of noise before its first layer.
//!
//! A map says of each pixel the logarithms of the deviations along three directions, the logarithm of the covariance's root,
//! six numbers, and six more of how much of it is a guess ([`Condition::Map`](super::Condition)). Each scale is modulated by Fourier features of the former,
//! averaged over directions and over the pixels of a block: of a map of one level these are the features of that level, so
//! that a network without maps goes on from where it is. The stem is told how the latter differs from the mean level of
//! its 2x2 block, which pixels, channels and colours are the noisy ones, and what is a guess. Both look at whole blocks alone, as the network does,
//! and leave no seam between tiles.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView3, Axis, Zip, s};

use crate::Image;

/// Frequencies of the Fourier features.
const FREQUENCIES: usize = 16;

/// Fourier features of a level.
pub(super) const FEATURES: usize = 2 * FREQUENCIES;

/// What the stem is told of a pixel: two upper triangles of matrices for `c` channels.
pub(super) fn details_of(c: usize) -> usize {
    c * (c + 1)
}

/// Fourier features of `level = ln(sigma)/4`, periods from 1/4 to 64 e-folds: cosines, then sines.
pub(super) fn fourier(level: f32) -> [f32; FEATURES] {
    std::array::from_fn(|i| {
        let k = i % FREQUENCIES;
        let period = 0.25 * 256f32.powf(k as f32 / (FREQUENCIES - 1) as f32);
        let phase = 4.0 * level * std::f32::consts::TAU / period;
        if i < FREQUENCIES {
            phase.cos()
        } else {
            phase.sin()
        }
    })
}

/// The map with its last row and column repeated up to `h` by `w`, as the picture's are.
pub(super) fn pad(map: &Image, h: usize, w: usize) -> Image {
    let (n, c, own_h, own_w) = map.dim();
    if (own_h, own_w) == (h, w) {
        return map.clone();
    }
    Image::from_shape_fn((n, c, h, w), |(k, i, y, x)| {
        map[[k, i, y.min(own_h - 1), x.min(own_w - 1)]]
    })
}

/// The mean Fourier features of the 2x2 blocks, for pictures of `c` channels.
pub(super) fn features(map: &Image, c: usize) -> Image {
    let (n, _, h, w) = map.dim();
    let mut finest = Image::zeros((n, FEATURES, h / 2, w / 2));
    for (mut to, map) in finest.outer_iter_mut().zip(map.outer_iter()) {
        let logs = map.slice(s![..c, .., ..]);
        to.axis_iter_mut(Axis(1))
            .into_par_iter()
            .enumerate()
            .for_each(|(row, mut to)| {
                let mut cache = Cache::default();
                for (column, mut to) in to.axis_iter_mut(Axis(1)).enumerate() {
                    let block = block(logs, row, column);
                    let part = 1.0 / block.len() as f32;
                    for &level in block {
                        let features = cache.features(level);
                        to.iter_mut()
                            .zip(features)
                            .for_each(|(to, f)| *to += part * f);
                    }
                }
            });
    }
    finest
}

fn block(of: ArrayView3<'_, f32>, row: usize, column: usize) -> ArrayView3<'_, f32> {
    let [y, x] = [2 * row, 2 * column];
    of.slice_move(s![.., y..y + 2, x..x + 2])
}

/// How the logarithm of each pixel's covariance differs from the mean level of its 2x2 block, and what of it is a guess:
/// `[n, details_of(c), h, w]`.
pub(super) fn details(map: &Image, c: usize) -> Image {
    let mut out = map.slice(s![.., c.., .., ..]).to_owned();
    let (_, _, h, w) = map.dim();
    for (mut out, map) in out.outer_iter_mut().zip(map.outer_iter()) {
        let logs = map.slice(s![..c, .., ..]);
        let mean = Array2::from_shape_fn((h / 2, w / 2), |(row, column)| {
            block(logs, row, column).mean().expect("not empty")
        });
        // The diagonal's places in the upper triangle.
        for pair in (0..c).map(|i| (0..i).map(|k| c - k).sum::<usize>()) {
            Zip::indexed(out.index_axis_mut(Axis(0), pair))
                .par_for_each(|(y, x), v| *v -= mean[[y / 2, x / 2]]);
        }
    }
    out
}

/// The features of levels that were asked for lately: a mask knows two levels only.
struct Cache([(f32, [f32; FEATURES]); 16]);

impl Default for Cache {
    fn default() -> Cache {
        Cache([(f32::NAN, [0.0; FEATURES]); 16])
    }
}

impl Cache {
    fn features(&mut self, level: f32) -> &[f32; FEATURES] {
        // The upper bits of a product with an odd number depend on all bits.
        let slot = (level.to_bits().wrapping_mul(0x9E37_79B1) >> 28) as usize;
        let (known, features) = &mut self.0[slot];
        if *known != level {
            (*known, *features) = (level, fourier(level));
        }
        features
    }
}
