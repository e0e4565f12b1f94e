//! What is known of a pixel through its neighbours, before a network is asked.
//!
//! Where a pixel is missing and those beside it are not, a network would have to find out first what any interpolation knows.
//! So it is shown the picture as a simple Gaussian model completes it, and is told how sure that model is: the noise of every
//! pixel is then of the kind that denoisers have seen. Nothing is lost by it, since what is shown is a function of picture
//! and map.
//!
//! The model is a tree (Chou, Willsky and Benveniste 1994): a pixel is the mean of its 2x2 block and a detail, the mean that
//! of the block of blocks and a detail, and so on, with the variances that details of photographs have. Given any noise, what
//! is expected of each pixel is found by one pass up the tree and one down.

use ndarray::parallel::prelude::*;
use ndarray::{Array2, ArrayView2, Axis, Zip, s};

use crate::Image;
use crate::noise_map::{Basis, NoiseMap};

/// Variance of the details of single pixels, mean over the channels, for pictures in [-1, 1] (measured on the photographs
/// of the photo prior), and by what factor it grows from scale to scale.
const DETAIL: (f32, f32) = (0.0114, 1.3);

/// Variance of the mean of a whole picture.
const WHOLE: f32 = 0.25;

/// How much more than the mean channel's the variance along grey is, and along colours.
const GREY: f32 = 2.7;
const COLOUR: f32 = 0.13;

/// Pixels a side of the blocks in which knowledge is compared, as a number of halvings.
const NEIGHBOURHOOD: usize = 4;

/// The largest precision that counts.
const MOST: f32 = 2.5e5;

/// `m` `[n, c, h, w]` in [-1, 1] and its noise, with what neighbours tell added where they know more. A pixel that knows
/// about as much as those around it stays as it is; so does a whole picture of one level.
///
/// Maps with directions of each pixel are left alone: those of neighbours differ.
pub(crate) fn informed(m: &Image, noise: &NoiseMap) -> (Image, NoiseMap) {
    if matches!(noise.basis(), Basis::Each(_)) {
        return (m.clone(), noise.clone());
    }
    let mut z = noise.basis().coordinates(m);
    let mut variance = noise
        .variance()
        .broadcast(z.raw_dim())
        .expect("a map that fits")
        .to_owned();
    let scales: Vec<f32> = (0..z.dim().1)
        .map(|i| scale(noise.basis(), i, z.dim().1))
        .collect();
    let planes = z
        .outer_iter_mut()
        .into_par_iter()
        .zip(variance.outer_iter_mut());
    planes.for_each(|(mut z, mut variance)| {
        let planes = z
            .outer_iter_mut()
            .into_par_iter()
            .zip(variance.outer_iter_mut());
        planes
            .zip(&scales)
            .for_each(|((mut z, mut variance), &scale)| {
                if let Some((x, p)) = completed(z.view(), variance.view(), scale) {
                    z.assign(&x);
                    variance.assign(&p);
                }
            });
    });
    let noise = NoiseMap::new(variance, noise.basis().clone());
    (noise.basis().picture(&z), noise)
}

/// The variance of details along direction `i`, relative to the mean channel's.
fn scale(basis: &Basis, i: usize, c: usize) -> f32 {
    let along: f32 = (0..c).map(|j| basis.entry(0, i, j, [0, 0])).sum();
    let grey = along * along / c as f32;
    GREY * grey + COLOUR * (1.0 - grey)
}

/// A plane and its variances with what the tree tells; `None` where all pixels know the same.
fn completed(
    m: ArrayView2<'_, f32>,
    variance: ArrayView2<'_, f32>,
    scale: f32,
) -> Option<(Array2<f32>, Array2<f32>)> {
    let first = *variance.first()?;
    if variance.iter().all(|&v| v == first) {
        return None;
    }
    let tree = Node::leaf(m, variance);
    let (x, p) = tree.smoothed(scale);
    let around = around(variance);
    let (mut z, mut v) = (m.to_owned(), variance.to_owned());
    Zip::indexed(&mut z)
        .and(&mut v)
        .and(&x)
        .and(&p)
        .for_each(|(row, column), z, v, &x, &p| {
            let known = precision(*v);
            let at = [row >> NEIGHBOURHOOD, column >> NEIGHBOURHOOD];
            // 0 where the pixel knows as much as the mean around it, 1 where it knows nothing.
            let share = match known > 0.0 {
                true => (1.0 - known / around[at]).max(0.0),
                false => 1.0,
            };
            if share > 0.0 {
                let [own, told] = [(1.0 - share) * known, share / p];
                *z = match own > 0.0 {
                    true => (own * *z + told * x) / (own + told),
                    false => x,
                };
                *v = 1.0 / (own + told);
            }
        });
    Some((z, v))
}

fn precision(variance: f32) -> f32 {
    (1.0 / variance).min(MOST)
}

/// The mean precision of each block of the neighbourhood's size.
fn around(variance: ArrayView2<'_, f32>) -> Array2<f32> {
    let side = 1 << NEIGHBOURHOOD;
    let (h, w) = variance.dim();
    Array2::from_shape_fn((h.div_ceil(side), w.div_ceil(side)), |(y, x)| {
        let (rows, columns) = (
            y * side..((y + 1) * side).min(h),
            x * side..((x + 1) * side).min(w),
        );
        let block = variance.slice(s![rows, columns]);
        block.iter().map(|&v| precision(v)).sum::<f32>() / block.len() as f32
    })
}

/// A level of the tree: what is seen of each node by what lies below it.
struct Node {
    mean: Array2<f32>,
    variance: Array2<f32>,
}

impl Node {
    fn leaf(m: ArrayView2<'_, f32>, variance: ArrayView2<'_, f32>) -> Node {
        Node {
            mean: m.to_owned(),
            variance: variance.to_owned(),
        }
    }

    /// The level above, where the details of this one have variance `detail`.
    fn parent(&self, detail: f32) -> Node {
        let (h, w) = self.mean.dim();
        let mut mean = Array2::zeros((h.div_ceil(2), w.div_ceil(2)));
        let mut variance = Array2::zeros(mean.raw_dim());
        mean.axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(variance.axis_iter_mut(Axis(0)))
            .enumerate()
            .for_each(|(y, (mut means, mut variances))| {
                for (x, (mean, variance)) in means.iter_mut().zip(&mut variances).enumerate() {
                    let (mut precision, mut sum) = (0.0, 0.0);
                    for y in 2 * y..(2 * y + 2).min(h) {
                        for x in 2 * x..(2 * x + 2).min(w) {
                            let q = 1.0 / (self.variance[[y, x]] + detail);
                            precision += q;
                            sum += q * if q > 0.0 { self.mean[[y, x]] } else { 0.0 };
                        }
                    }
                    *mean = if precision > 0.0 {
                        sum / precision
                    } else {
                        0.0
                    };
                    *variance = 1.0 / precision;
                }
            });
        Node { mean, variance }
    }

    /// Mean and variance of each node given all that is seen, where details have the variances of photographs times
    /// `scale`.
    fn smoothed(&self, scale: f32) -> (Array2<f32>, Array2<f32>) {
        self.smoothed_above(scale, scale * DETAIL.0)
    }

    fn smoothed_above(&self, scale: f32, detail: f32) -> (Array2<f32>, Array2<f32>) {
        if self.mean.len() == 1 {
            let whole = scale * WHOLE;
            let part = whole / (whole + self.variance[[0, 0]]);
            let x = if part > 0.0 {
                part * self.mean[[0, 0]]
            } else {
                0.0
            };
            let left = match part > 0.0 {
                true => part * self.variance[[0, 0]],
                false => whole,
            };
            let one = |v| Array2::from_elem((1, 1), v);
            return (one(x), one(left));
        }
        let above = self.parent(detail);
        let (x, p) = above.smoothed_above(scale, detail * DETAIL.1);
        let (mut own_x, mut own_p) = (self.mean.clone(), self.variance.clone());
        own_x
            .axis_iter_mut(Axis(0))
            .into_par_iter()
            .zip(own_p.axis_iter_mut(Axis(0)))
            .enumerate()
            .for_each(|(row, (mut xs, mut ps))| {
                for (column, (own, variance)) in xs.iter_mut().zip(&mut ps).enumerate() {
                    let above = between(&x, row, column);
                    let p = p[[row / 2, column / 2]];
                    let part = detail / (detail + *variance);
                    let rest = 1.0 - part;
                    *own = match part > 0.0 {
                        true => part * *own + rest * above,
                        false => above,
                    };
                    let own_left = match part > 0.0 {
                        true => part * *variance,
                        false => detail,
                    };
                    *variance = own_left + rest * rest * p;
                }
            });
        (own_x, own_p)
    }
}

/// The level above at a node's place, interpolated: blocks would show.
fn between(above: &Array2<f32>, row: usize, column: usize) -> f32 {
    let (h, w) = above.dim();
    let ends = |at: usize, n: usize| {
        let near = at / 2;
        let far = match at % 2 {
            0 => near.saturating_sub(1),
            _ => (near + 1).min(n - 1),
        };
        [near, far]
    };
    let ([y, y_far], [x, x_far]) = (ends(row, h), ends(column, w));
    let line = |y: usize| 0.75 * above[[y, x]] + 0.25 * above[[y, x_far]];
    0.75 * line(y) + 0.25 * line(y_far)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};

    /// One level, everything known, nothing known: all is left as it is.
    #[test]
    fn pixels_that_know_the_same_stay() {
        let m = Seeded::new(1, "test").normal(2, Dims::new(3, 17, 30));
        for v in [0.0, 0.2, f32::INFINITY] {
            let noise = NoiseMap::new(Image::from_elem((1, 1, 17, 30), v), Basis::Channels);
            let (x, told) = informed(&m, &noise);
            assert_eq!(x, m);
            assert!(told.variance().iter().all(|&told| told == v));
        }
    }

    /// Holes of a smooth picture are filled with what is around them, surer near to it; what is known stays.
    #[test]
    fn holes_are_filled_from_around() {
        let truth = Image::from_shape_fn((1, 3, 64, 64), |(_, c, y, x)| {
            0.5 * ((y as f32 + 2.0 * x as f32) / 40.0 + c as f32).sin()
        });
        let hidden = |y: usize, x: usize| (20..40).contains(&y) && (10..44).contains(&x);
        let variance = Image::from_shape_fn((1, 1, 64, 64), |(_, _, y, x)| match hidden(y, x) {
            true => f32::INFINITY,
            false => 0.0,
        });
        let mut m = truth.clone();
        Zip::from(&mut m).and_broadcast(&variance).for_each(|m, v| {
            if v.is_infinite() {
                *m = 99.0;
            }
        });
        let noise = NoiseMap::new(variance, Basis::Channels);
        let (x, told) = informed(&m, &noise);
        let mut worst = 0.0_f32;
        for ((_, _, row, column), &x) in x.indexed_iter().filter(|((_, c, ..), _)| *c == 0) {
            let off = (x - truth[[0, 0, row, column]]).abs();
            match hidden(row, column) {
                true => worst = worst.max(off),
                false => assert_eq!(off, 0.0),
            }
        }
        assert!(worst < 0.3, "{worst}");
        let variance = told.variance();
        let [edge, middle] = [[20, 12], [30, 27]].map(|[y, x]| variance[[0, 0, y, x]]);
        assert!(
            0.0 < edge && edge < 0.7 * middle && middle < 0.3,
            "{edge} {middle}"
        );
    }
}
