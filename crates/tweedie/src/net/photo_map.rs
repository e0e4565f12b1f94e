//! What the photo network makes of a map of noise before its first layer.
//!
//! A map says of each pixel the logarithms of the deviations along three directions, the logarithm of the covariance's root,
//! six numbers, and six more of how much of it is a guess ([`Condition::Map`](super::Condition)). Each scale is modulated by Fourier features of the former,
//! averaged over directions and over the pixels of a block: of a map of one level these are the features of that level, so
//! that a network without maps goes on from where it is. The stem is told how the latter differs from the mean level of
//! its 2x2 block, which pixels, channels and colours are the noisy ones, and what is a guess. Both look at whole blocks alone, as the network does,
//! and leave no seam between tiles.

use ndarray::parallel::prelude::*;
use ndarray::{ArrayView3, Axis, s};

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

/// The mean Fourier features of the blocks of each scale, of 2, 4, ... pixels a side, for pictures of `c` channels.
pub(super) fn features(map: &Image, c: usize, scales: usize) -> Vec<Image> {
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
    let mut all = vec![finest];
    while all.len() < scales {
        all.push(halved(&all[all.len() - 1]));
    }
    all
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
        for (row, column) in (0..h / 2).flat_map(|row| (0..w / 2).map(move |x| (row, x))) {
            let mean = block(logs, row, column).mean().expect("not empty");
            let diagonal = (0..c).map(|i| (0..i).map(|k| c - k).sum::<usize>());
            for pair in diagonal {
                let [y, x] = [2 * row, 2 * column];
                let mut entry = out.slice_mut(s![pair, y..y + 2, x..x + 2]);
                entry -= mean;
            }
        }
    }
    out
}

/// Means of 2x2 blocks.
fn halved(x: &Image) -> Image {
    let (n, c, h, w) = x.dim();
    Image::from_shape_fn((n, c, h / 2, w / 2), |(k, i, row, column)| {
        let [y, x_at] = [2 * row, 2 * column];
        let of = |dy: usize, dx: usize| x[[k, i, y + dy, x_at + dx]];
        0.25 * (of(0, 0) + of(0, 1) + of(1, 0) + of(1, 1))
    })
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
