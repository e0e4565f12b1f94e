//! How noisy is a picture? The standard deviation of white Gaussian noise, from the picture alone.
//!
//! Patches of a photograph lie near a subspace; in the direction where they vary least, the noise is all that is left.
//! Liu, Tanaka and Okutomi 2013, "Single-image noise level estimation for blind denoising", IEEE TIP 22(12): take the
//! smallest eigenvalue of the patches' covariance, keep the patches whose gradients that much noise explains, repeat
//! (algorithm 1, eqs. 9 to 14). Different here:
//!
//! - colours are one long patch (noise is independent between them, details are not), as Chen, Zhu and Heng do (ICCV
//!   2015, "An efficient statistical method for image noise level estimation");
//! - the direction comes from one half of the patches (a checkerboard of blocks) and the variance along it from the
//!   other, and the reverse: the smallest eigenvalue of few patches is biased down, this is not;
//! - patches with saturated values are left out, since clipping has taken some of their noise.
//!
//! Pictures too small for that get the median of the diagonal Haar details (Donoho and Johnstone 1994). Where pixels are
//! missing so densely that hardly a patch is whole, nothing is told: the few squares that are left show detail, and what
//! they say is several times too much.

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Zip, s};

use crate::Image;

/// Sides of patches, the first choice first.
const SIDES: [usize; 3] = [7, 5, 3];
/// Patches that each half needs, for each number in a patch: to choose a side, and to go on after a selection.
const PATCHES_TO_START: f64 = 5.0;
const PATCHES_TO_GO_ON: f64 = 1.5;
/// Most patches of a half that are looked at; more change nothing but the time.
const MOST_PATCHES: usize = 20_000;
/// Rounds of selection; it settles in three or four.
const ROUNDS: usize = 6;
/// Largest share of saturated values in a patch.
const SATURATED: f64 = 0.1;
/// Least blocks of 2x2 pixels for the median.
const LEAST_BLOCKS: usize = 16;
/// Least share of such blocks that are known, of all there are.
const LEAST_SHARE: f64 = 0.5;

/// Why no noise level could be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too few pixels.
    #[error("{blocks} blocks of 2x2 known pixels are too few, or too few of all")]
    TooSmall {
        /// Blocks of 2x2 known pixels.
        blocks: usize,
    },
    /// The mask has another size.
    #[error("the mask is {mask:?}, the picture {picture:?} (rows, columns)")]
    Mask {
        /// Rows and columns of the mask.
        mask: (usize, usize),
        /// Rows and columns of the picture.
        picture: (usize, usize),
    },
    /// NaN or infinite values.
    #[error("the picture holds NaN or infinite values")]
    NotFinite,
}

/// Standard deviation of the white Gaussian noise in `x`, in its units: 0.02 for 5/255 in [0, 1].
///
/// `x` is `[n, channel, height, width]`; the variances of several pictures are averaged. With a mask `known`
/// (`[height, width]`, the same for all pictures), only neighbourhoods without an unknown pixel are looked at.
///
/// On photographs the answer is right to a few per cent from 2/255 to 25/255; values clipped to [0, 1] take 5 to 10 per
/// cent off at 50/255. Noise that is not white, such as that of a JPEG or of a demosaiced or resized picture, counts
/// less than its power.
///
/// # Errors
/// [`Error`] if there are fewer than 16 blocks of 2x2 known pixels, if patches are few and fewer than half of the blocks are
/// known, or if a known value is NaN.
pub fn estimate(x: &Image, known: Option<ArrayView2<'_, bool>>) -> Result<f64, Error> {
    let (n, _, h, w) = x.dim();
    if x.is_empty() {
        return Err(Error::TooSmall { blocks: 0 });
    }
    let known = match known {
        Some(mask) if mask.dim() != (h, w) => {
            return Err(Error::Mask {
                mask: mask.dim(),
                picture: (h, w),
            });
        }
        Some(mask) => mask.to_owned(),
        None => Array2::from_elem((h, w), true),
    };
    let mut variance = 0.0;
    for picture in x.outer_iter() {
        let mut planes = picture.indexed_iter();
        if planes.any(|((_, i, j), v)| known[(i, j)] && !v.is_finite()) {
            return Err(Error::NotFinite);
        }
        // Sums run over the unknown pixels too, and would carry a NaN or a huge number on.
        let mut picture = picture.to_owned();
        for mut plane in picture.outer_iter_mut() {
            Zip::from(&mut plane)
                .and(&known)
                .for_each(|v, &known| *v = if known { *v } else { 0.0 });
        }
        let picture = picture.view();
        let by_patches = SIDES.iter().find_map(|&side| {
            let patches = Patches::new(picture, &known, side)?;
            Some(patches.noise_variance())
        });
        variance += match by_patches {
            Some(variance) => variance,
            None => haar_sigma(picture, &known)?.powi(2),
        };
    }
    Ok((variance / n as f64).sqrt())
}

/// A patch: its upper left corner and its gradient energy.
struct Patch {
    row: usize,
    column: usize,
    texture: f64,
}

/// The usable patches of a picture, in the two halves of a checkerboard.
struct Patches<'a> {
    picture: ArrayView3<'a, f32>,
    side: usize,
    halves: [Vec<Patch>; 2],
}

impl<'a> Patches<'a> {
    /// `None` if they are too few to tell a direction from.
    fn new(picture: ArrayView3<'a, f32>, known: &Array2<bool>, side: usize) -> Option<Patches<'a>> {
        let (_, h, w) = picture.dim();
        if h < side || w < side {
            return None;
        }
        let unknown = box_sums(&known.mapv(|k| f64::from(u8::from(!k))), side, side);
        let saturated = box_sums(&share(picture, |v| v == 0.0 || v == 1.0), side, side);
        let texture = texture(picture, side);
        let collect = |most_saturated: f64| {
            let mut halves = [Vec::new(), Vec::new()];
            for ((row, column), &texture) in texture.indexed_iter() {
                let at = (row, column);
                if unknown[at] < 0.5 && saturated[at] <= most_saturated {
                    let half = (row / (2 * side) + column / (2 * side)) % 2;
                    halves[half].push(Patch {
                        row,
                        column,
                        texture,
                    });
                }
            }
            Patches {
                picture,
                side,
                halves,
            }
        };
        // The 1e-6 is for the rounding of the sums.
        let area = (side * side) as f64;
        let patches = collect(SATURATED * area + 1e-6);
        if patches.suffice(PATCHES_TO_START, f64::INFINITY) {
            return Some(patches);
        }
        let patches = collect(area);
        let suffice = patches.suffice(PATCHES_TO_START, f64::INFINITY);
        suffice.then_some(patches)
    }

    /// Numbers in a patch.
    fn numbers(&self) -> usize {
        self.picture.dim().0 * self.side * self.side
    }

    /// Whether each half has `per_number` times as many patches with less than `most` texture as a patch has numbers.
    fn suffice(&self, per_number: f64, most: f64) -> bool {
        let least = per_number * self.numbers() as f64;
        self.halves
            .iter()
            .all(|half| half.iter().filter(|p| p.texture < most).count() as f64 >= least)
    }

    /// Selects the patches that the noise found so far explains, and looks again.
    fn noise_variance(&self) -> f64 {
        let mut variance = self.least_variance(f64::INFINITY);
        for _ in 0..ROUNDS {
            let most = variance * self.texture_of_noise();
            if !self.suffice(PATCHES_TO_GO_ON, most) {
                break;
            }
            let next = self.least_variance(most).min(variance);
            if next > 0.999 * variance {
                break;
            }
            variance = next;
        }
        variance.max(0.0)
    }

    /// The gradient energy that a patch of white noise of variance 1 stays below, but for one in a million.
    ///
    /// The energy is nearly a chi-square of N degrees of freedom times `mean/N` (eq. 12); its quantile is Wilson's and
    /// Hilferty's.
    fn texture_of_noise(&self) -> f64 {
        const Z: f64 = 4.753_424; // normal quantile of 1 - 1e-6
        let numbers = self.numbers() as f64;
        // Two directions of d*(d-2) differences (v1 - v2)/2, each of variance 1/2.
        let mean = (self.picture.dim().0 * self.side * (self.side - 2)) as f64;
        let spread = 2.0 / (9.0 * numbers);
        mean * (1.0 - spread + Z * spread.sqrt()).powi(3)
    }

    /// Variance along the direction of least variance: found in one half, measured in the other, both ways.
    fn least_variance(&self, most_texture: f64) -> f64 {
        let [a, b] = [0, 1].map(|half| self.covariance(&self.halves[half], most_texture));
        let [u, v] = [&a, &b].map(|m| {
            let eigen = m.clone().symmetric_eigen();
            eigen
                .eigenvectors
                .column(eigen.eigenvalues.imin())
                .into_owned()
        });
        0.5 * (u.dot(&(&b * &u)) + v.dot(&(&a * &v)))
    }

    fn covariance(&self, patches: &[Patch], most_texture: f64) -> DMatrix<f64> {
        let chosen: Vec<_> = patches
            .iter()
            .filter(|p| p.texture < most_texture)
            .collect();
        let step = chosen.len().div_ceil(MOST_PATCHES).max(1);
        let chosen: Vec<_> = chosen.into_iter().step_by(step).collect();
        let (count, numbers, d) = (chosen.len(), self.numbers(), self.side);

        let mut rows = Array2::<f64>::zeros((count, numbers));
        for (mut row, p) in rows.outer_iter_mut().zip(&chosen) {
            let patch = self
                .picture
                .slice(s![.., p.row..p.row + d, p.column..p.column + d]);
            row.iter_mut()
                .zip(patch)
                .for_each(|(to, &v)| *to = f64::from(v));
        }
        let mean = rows.sum_axis(Axis(0)) / count as f64;
        rows -= &mean;
        let covariance = rows.t().dot(&rows) / count as f64;
        DMatrix::from_iterator(numbers, numbers, covariance)
    }
}

/// Share of the channels where `is` holds, per pixel.
fn share(picture: ArrayView3<'_, f32>, is: impl Fn(f32) -> bool) -> Array2<f64> {
    picture.map_axis(Axis(0), |v| {
        v.iter().filter(|&&v| is(v)).count() as f64 / v.len() as f64
    })
}

/// Gradient energy of each patch: the squares of its horizontal and vertical central differences, summed over channels.
fn texture(picture: ArrayView3<'_, f32>, side: usize) -> Array2<f64> {
    let energy = |plus: ArrayView3<'_, f32>, minus: ArrayView3<'_, f32>| {
        let halves = (&plus - &minus).mapv(|d| f64::from(d * 0.5).powi(2));
        halves.sum_axis(Axis(0))
    };
    let horizontal = energy(
        picture.slice(s![.., .., 2..]),
        picture.slice(s![.., .., ..-2]),
    );
    let vertical = energy(
        picture.slice(s![.., 2.., ..]),
        picture.slice(s![.., ..-2, ..]),
    );
    box_sums(&horizontal, side, side - 2) + box_sums(&vertical, side - 2, side)
}

/// Sums over all boxes of `rows` by `columns`, by way of the integral image.
pub(super) fn box_sums(values: &Array2<f64>, rows: usize, columns: usize) -> Array2<f64> {
    let (h, w) = values.dim();
    let mut integral = Array2::<f64>::zeros((h + 1, w + 1));
    integral.slice_mut(s![1.., 1..]).assign(values);
    integral.accumulate_axis_inplace(Axis(0), |&above, sum| *sum += above);
    integral.accumulate_axis_inplace(Axis(1), |&left, sum| *sum += left);
    let corner = |i: usize, j: usize| {
        let (height, width) = (h + 1 - rows, w + 1 - columns);
        integral.slice(s![i..i + height, j..j + width])
    };
    &corner(rows, columns) - &corner(0, columns) - corner(rows, 0) + corner(0, 0)
}

/// Median of the diagonal Haar details, over 0.6745: robust to edges, fooled by fine texture.
fn haar_sigma(picture: ArrayView3<'_, f32>, known: &Array2<bool>) -> Result<f64, Error> {
    let mut details = Vec::new();
    let mut blocks = 0;
    for (i, square) in known.exact_chunks((2, 2)).into_iter().enumerate() {
        if !square.iter().all(|&k| k) {
            continue;
        }
        blocks += 1;
        let across = known.dim().1 / 2;
        let (row, column) = (2 * (i / across), 2 * (i % across));
        for plane in picture.outer_iter() {
            let v = |di, dj| f64::from(plane[(row + di, column + dj)]);
            details.push((0.5 * (v(0, 0) - v(0, 1) - v(1, 0) + v(1, 1))).abs());
        }
    }
    let all = (known.dim().0 / 2) * (known.dim().1 / 2);
    if blocks < LEAST_BLOCKS || (blocks as f64) < LEAST_SHARE * all as f64 {
        return Err(Error::TooSmall { blocks });
    }
    let middle = details.len() / 2;
    let (_, median, _) = details.select_nth_unstable_by(middle, f64::total_cmp);
    Ok(*median / 0.6745)
}
