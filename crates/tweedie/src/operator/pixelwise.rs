//! Operators that act on each pixel alone.
//!
//! A mask, a mosaic of colour filters, grey from colours, a gain, and chains of these give each pixel's colours a small matrix
//! of their own, `y = M x`. Its singular vectors are directions in the colours of that pixel, and all that such a measurement
//! tells is how precisely it knows the colours along each.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, Zip, s};
use rayon::prelude::*;

use super::Linear;
use crate::noise_map::Basis;
use crate::{Dims, Image};

/// The singular values and right singular vectors of each pixel's matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Pixelwise {
    /// The directions.
    pub basis: Basis,
    /// The singular value along each, `[1, channel, height, width]`.
    pub singular: Image,
}

/// Directions along which matrices are diagonal but for this part of their size are common to all.
const ALIKE: f64 = 1e-6;

/// What rounding leaves of an eigenvalue of zero, as a part of the sum of all. Matrices are f32.
const ZERO: f64 = 1e-12;

impl Pixelwise {
    /// Those of an operator; `None` if it does not act on each pixel alone.
    pub fn of(operator: &dyn Linear) -> Option<Pixelwise> {
        let gram = operator.pixelwise().then(|| Gram::of(operator))?;
        Some(match gram.common() {
            Some(rows) => gram.together(&rows),
            None => gram.apart(),
        })
    }
}

/// `M^T M` of each pixel.
struct Gram {
    dims: Dims,
    /// `M e_j` for each channel `j`: `[channel, recorded channel, height, width]`.
    columns: Image,
    /// The squared length of all columns at each pixel.
    size: Array2<f64>,
}

impl Gram {
    fn of(operator: &dyn Linear) -> Gram {
        let dims = operator.input();
        // Channel j of picture j is one: the operator acts on each pixel alone, and answers for all at once.
        let units = Image::from_shape_fn(dims.batch(dims.c), |(j, i, _, _)| {
            f32::from(u8::from(i == j))
        });
        let mut gram = Gram {
            dims,
            columns: operator.apply(&units),
            size: Array2::zeros((dims.h, dims.w)),
        };
        for a in 0..dims.c {
            gram.size += &gram.entry(a, a);
        }
        gram
    }

    /// One entry of all pixels.
    fn entry(&self, a: usize, b: usize) -> Array2<f64> {
        let mut sum = Array2::zeros((self.dims.h, self.dims.w));
        for k in 0..self.columns.dim().1 {
            let [a, b] = [a, b].map(|j| self.columns.slice(s![j, k, .., ..]));
            Zip::from(&mut sum)
                .and(a)
                .and(b)
                .par_for_each(|sum, &a, &b| *sum += f64::from(a) * f64::from(b));
        }
        sum
    }

    /// `u_i M^T M u_j` of all pixels.
    fn turned(&self, rows: &DMatrix<f64>, i: usize, j: usize) -> Array2<f64> {
        let c = self.dims.c;
        let mut sum = Array2::zeros((self.dims.h, self.dims.w));
        for (a, b) in (0..c).flat_map(|a| (0..c).map(move |b| (a, b))) {
            let weight = rows[(i, a)] * rows[(j, b)];
            if weight != 0.0 {
                sum.scaled_add(weight, &self.entry(a, b));
            }
        }
        sum
    }

    fn matrix(&self, (y, x): (usize, usize)) -> DMatrix<f64> {
        let c = self.dims.c;
        let column = |a| self.columns.slice(s![a, .., y, x]);
        DMatrix::from_fn(c, c, |a, b| {
            let pairs = column(a).into_iter().zip(column(b));
            pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        })
    }

    /// Whether all matrices are diagonal along these directions.
    fn is_diagonal(&self, rows: &DMatrix<f64>) -> bool {
        let c = self.dims.c;
        (0..c)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .all(|(i, j)| {
                let off = self.turned(rows, i, j);
                off.iter()
                    .zip(&self.size)
                    .all(|(v, size)| v.abs() <= ALIKE * size)
            })
    }

    /// The simplest directions along which all matrices are diagonal, if they have any in common.
    fn common(&self) -> Option<DMatrix<f64>> {
        let c = self.dims.c;
        let channels = DMatrix::identity(c, c);
        if self.is_diagonal(&channels) {
            return Some(channels);
        }
        let sizes = self.size.indexed_iter();
        let brightest = sizes.max_by(|(_, a), (_, b)| a.total_cmp(b));
        let (at, _) = brightest.expect("there are pixels");
        let (rows, _) = directions(self.matrix(at));
        self.is_diagonal(&rows).then_some(rows)
    }

    /// Along directions that all pixels have in common.
    fn together(&self, rows: &DMatrix<f64>) -> Pixelwise {
        let c = self.dims.c;
        let mut singular = Image::zeros(self.dims.batch(1));
        for i in 0..c {
            Zip::from(singular.slice_mut(s![0, i, .., ..]))
                .and(&self.turned(rows, i, i))
                .and(&self.size)
                .for_each(|s, &square, &size| *s = root(square, size));
        }
        Pixelwise {
            singular,
            basis: match *rows == DMatrix::identity(c, c) {
                true => Basis::Channels,
                false => Basis::One(Array2::from_shape_fn((c, c), |at| rows[at] as f32)),
            },
        }
    }

    /// Each pixel by itself.
    fn apart(&self) -> Pixelwise {
        let Dims { c, h, w } = self.dims;
        let of = |i: usize| directions(self.matrix((i / w, i % w)));
        let parts: Vec<_> = (0..h * w).into_par_iter().map(of).collect();
        let rows = Image::from_shape_fn((1, c * c, h, w), |(_, k, y, x)| {
            parts[y * w + x].0[(k / c, k % c)] as f32
        });
        let singular = Image::from_shape_fn((1, c, h, w), |(_, i, y, x)| {
            let values = &parts[y * w + x].1;
            root(values[i], values.iter().sum())
        });
        Pixelwise {
            basis: Basis::Each(rows),
            singular,
        }
    }
}

/// A singular value from its square; nothing, where rounding explains it beside the sum of all.
fn root(square: f64, sum: f64) -> f32 {
    match square > ZERO * sum {
        true => square.sqrt() as f32,
        false => 0.0,
    }
}

/// Orthonormal rows, and the eigenvalue of each.
fn directions(matrix: DMatrix<f64>) -> (DMatrix<f64>, Vec<f64>) {
    let eigen = SymmetricEigen::new(matrix);
    let values = eigen.eigenvalues.iter().copied().collect();
    (eigen.eigenvectors.transpose(), values)
}
