//! Was the picture once a JPEG? Its pixels tell: on the grid of 8x8 blocks, and on no other, the coefficients of the luma lie near
//! multiples of the quantisation's steps.
//!
//! Noise that was rounded so is no longer Gaussian: most of its coefficients at high frequencies are zero, and some are a step.
//! A denoiser takes these for detail unless it is told more noise than there is.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, Zip, s};

use super::blocks::{SIDE, dct};
use super::white::box_sums;

/// Most blocks that are looked at to find the grid, and to tell the steps on it.
const TO_FIND: usize = 300;
const TO_TELL: usize = 4_000;
/// A coefficient of less, in steps of 8 bits, was rounded to zero; as many others must be left to tell a step.
const ZERO: f64 = 1.5;
const LEAST: usize = 20;
/// So many blocks are enough to leave others out.
const ENOUGH: usize = 60;
/// Coefficients are a JPEG's if the mean of their phases, in steps, is as long; those of others are about 0.1.
const PERIODIC: f64 = 0.6;
/// Steps below are as good as none.
const FINE: f64 = 3.0;
/// As many of the 63 coefficients must tell a step.
const TOLD: usize = 8;

/// Root mean square of the steps of the luma's quantisation, for pictures in [0, 1], over the coefficients that it left any
/// of; `None` if `picture` (`[channel, height, width]`, in [0, 1]) does not look like a JPEG, or like one of steps too fine to matter.
pub(super) fn steps(picture: ArrayView3<'_, f32>, known: ArrayView2<'_, bool>) -> Option<f64> {
    let pixels = Pixels::of(picture, known)?;
    let grid = (0..SIDE * SIDE).map(|k| (k / SIDE, k % SIDE));
    let strength = |&corner: &(usize, usize)| {
        let told = pixels.told(corner, TO_FIND);
        told.iter().map(|t| t.periodicity - PERIODIC).sum::<f64>()
    };
    let corner = grid.max_by(|a, b| strength(a).total_cmp(&strength(b)))?;
    let told = pixels.told(corner, TO_TELL);
    let (like, unlike): (Vec<_>, Vec<_>) = told.iter().partition(|t| t.periodicity > PERIODIC);
    if like.len() < TOLD.max(2 * unlike.len()) {
        return None;
    }
    let mean = like.iter().map(|t| t.step.powi(2)).sum::<f64>() / like.len() as f64;
    Some(mean.sqrt() / 255.0)
}

/// A picture's pixels, as [`steps`] needs them.
struct Pixels {
    /// The luma in steps of 8 bits, about 0.
    luma: Array2<f64>,
    /// At the corner of each block: how many of its pixels are not known, and how many are black or white in a channel, as if cut off.
    unknown: Array2<f64>,
    cut: Array2<f64>,
}

impl Pixels {
    fn of(picture: ArrayView3<'_, f32>, known: ArrayView2<'_, bool>) -> Option<Pixels> {
        if known.dim().0 < SIDE || known.dim().1 < SIDE {
            return None;
        }
        let weights: &[f64] = match picture.dim().0 {
            3 => &[0.299, 0.587, 0.114],
            _ => &[1.0],
        };
        let mut luma = Array2::from_elem(known.dim(), -128.0);
        let mut cut = Array2::from_elem(known.dim(), 0.0);
        for (plane, weight) in picture.axis_iter(Axis(0)).zip(weights) {
            let both = Zip::from(&mut luma).and(&mut cut);
            both.and(&plane).for_each(|l, cut, &v| {
                *l += 255.0 * weight * f64::from(v);
                if v <= 0.0 || v >= 1.0 {
                    *cut = 1.0;
                }
            });
        }
        let unknown = known.mapv(|k| f64::from(u8::from(!k)));
        Some(Pixels {
            luma,
            unknown: box_sums(&unknown, SIDE, SIDE),
            cut: box_sums(&cut, SIDE, SIDE),
        })
    }

    /// The blocks of the grid from `corner` on, without those that are cut off somewhere if enough are left.
    fn blocks(&self, corner: (usize, usize)) -> Vec<ArrayView2<'_, f64>> {
        let (h, w) = self.unknown.dim();
        let rows = (corner.0..h).step_by(SIDE);
        let places = rows.flat_map(|i| (corner.1..w).step_by(SIDE).map(move |j| (i, j)));
        let (mut all, mut whole) = (Vec::new(), Vec::new());
        for (i, j) in places.filter(|&p| self.unknown[p] < 0.5) {
            let block = self.luma.slice(s![i..i + SIDE, j..j + SIDE]);
            all.push(block);
            if self.cut[(i, j)] < 0.5 {
                whole.push(block);
            }
        }
        if whole.len() >= ENOUGH { whole } else { all }
    }

    /// Of the coefficients, but for the mean, that are told often enough on that grid, by so many blocks at most.
    fn told(&self, corner: (usize, usize), most: usize) -> Vec<Told> {
        let blocks = self.blocks(corner);
        let every = blocks.len().div_ceil(most).max(1);
        let dct = dct().mapv(f64::from);
        let mut values = vec![Vec::new(); SIDE * SIDE];
        for block in blocks.into_iter().step_by(every) {
            let coefficients = dct.dot(&block).dot(&dct.t());
            for (of, &c) in values.iter_mut().zip(&coefficients).skip(1) {
                if c.abs() > ZERO {
                    of.push(c);
                }
            }
        }
        let told = values.iter().filter(|v| v.len() >= LEAST);
        told.map(|v| Told::by(v)).collect()
    }
}

/// What the values of one coefficient tell.
struct Told {
    /// Their likely step.
    step: f64,
    /// How near they are to its multiples: 1 if all are multiples, 0 of values that know no step.
    periodicity: f64,
}

impl Told {
    /// The least values of all are likely to be one step, which is refined by how well it explains them.
    fn by(values: &[f64]) -> Told {
        let mut sizes: Vec<f64> = values.iter().map(|v| v.abs()).collect();
        let (_, &mut least, _) = sizes.select_nth_unstable_by(values.len() / 10, f64::total_cmp);
        let explained = |step: f64| {
            let phase = |v: &f64| (std::f64::consts::TAU * v / step).cos();
            let periodicity = values.iter().map(phase).sum::<f64>() / values.len() as f64;
            Told { step, periodicity }
        };
        // The tables' steps are whole numbers.
        let near = (0.8 * least).floor().max(FINE) as usize..=(1.2 * least).ceil() as usize;
        let all = near.map(|step| explained(step as f64));
        let none = Told {
            step: least,
            periodicity: 0.0,
        };
        all.max_by(|a, b| a.periodicity.total_cmp(&b.periodicity))
            .unwrap_or(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{self, Format, Limits, Picture, WriteOptions};
    use crate::noise::{NoiseSource, Seeded};
    use crate::{Dims, Image};

    /// A slope of brightness with white noise of so many steps of 8 bits.
    fn noisy(sigma: f32) -> Image {
        let slope = Image::from_shape_fn((1, 3, 200, 200), |(_, c, i, j)| {
            0.3 + 0.001 * (i + j) as f32 + 0.02 * c as f32
        });
        slope + Seeded::new(1, "test").normal(1, Dims::new(3, 200, 200)) * (sigma / 255.0)
    }

    fn through_jpeg(x: &Image, quality: u8) -> Image {
        let options = WriteOptions {
            quality,
            ..WriteOptions::default()
        };
        let bytes = image::encode(&Picture::new(x.clone()), Format::Jpeg, &options).unwrap();
        image::decode(&bytes, &Limits::default()).unwrap().pixels
    }

    /// In steps of 8 bits, without what lies above and left of a corner.
    fn seen(x: &Image, corner: (usize, usize)) -> Option<f64> {
        let part = x.slice(s![0, .., corner.0.., corner.1..]);
        let (_, h, w) = part.dim();
        let known = Array2::from_elem((h, w), true);
        steps(part, known.view()).map(|s| 255.0 * s)
    }

    /// libjpeg's steps of the luma at quality 75 are 5 to 61, most of them 20 to 50, and a fifth of those at quality 95 (by the standard's
    /// annex K).
    #[test]
    fn a_jpeg_is_known_by_its_steps() {
        for sigma in [12.0, 25.0] {
            let x = noisy(sigma);
            assert_eq!(seen(&x, (0, 0)), None);
            let jpeg = through_jpeg(&x, 75);
            for corner in [(0, 0), (3, 5)] {
                let found = seen(&jpeg, corner).unwrap();
                assert!((20.0..40.0).contains(&found), "{sigma} {corner:?}: {found}");
            }
            let found = seen(&through_jpeg(&x, 95), (0, 0)).unwrap();
            assert!((4.0..9.0).contains(&found), "{sigma}: {found}");
        }
    }
}
