//! Any matrix: each number of the measurement is a sum over all numbers of the image.
//!
//! The image is a list of its numbers, channel by channel, row by row; so is the measurement, as one row of one channel. Matrices
//! of compressed sensing (Candes and Wakin 2008) and of quantised compressed sensing (QCS-SGM: Meng and Kabashima 2022;
//! QCS-SGM+: 2023).

mod gaussian;
mod source;
mod svd;

pub use source::MatrixSpec;
use svd::Svd;
pub(super) use svd::orthonormal;

use std::fmt;

use ndarray::{Array2, ArrayView2};

use self::gaussian::Gaussian;
use super::dense::Rows;
use super::{Error, Gain, Linear, Loss, Operator, Spectrum, cg, not_empty, plane};
use crate::memory::ensure;
use crate::{Dims, Image};

/// `y = A x`, for any matrix `A`.
pub struct Matrix {
    input: Dims,
    /// Rows.
    rows: usize,
    entries: Entries,
    /// Where it is known from the making.
    svd: Option<Svd>,
}

/// Where the numbers are.
enum Entries {
    Stored(Array2<f32>),
    /// Made anew each time.
    Drawn(Gaussian),
}

/// The most numbers of a matrix that are stored: 2^28, 1 GiB. Of Gaussian ones more are made anew each time.
const MOST_STORED: usize = 1 << 28;

impl Matrix {
    /// From its entries, `[numbers of the measurement, numbers of an image]`.
    ///
    /// # Errors
    /// [`Error::Input`] if the image has no pixel, [`Error::Invalid`] if the columns are not as many as its numbers, or there is no
    /// row, [`Error::NotFinite`].
    pub fn new(input: Dims, entries: Array2<f32>) -> Result<Matrix, Error> {
        not_empty("matrix", input)?;
        let (rows, columns) = entries.dim();
        check_columns(columns, input)?;
        if rows == 0 {
            return Err(Error::Invalid(
                "a matrix without rows measures nothing".into(),
            ));
        }
        if !entries.iter().all(|v| v.is_finite()) {
            return Err(Error::NotFinite("matrix"));
        }
        Ok(Matrix {
            input,
            rows,
            entries: Entries::Stored(entries.as_standard_layout().into_owned()),
            svd: None,
        })
    }

    /// Independent numbers of N(0, 1/rows): `E |A|_F^2` is the number of columns. Those of a large matrix (more than 2^28 numbers,
    /// or than fit into memory) are made anew from the seed whenever they are used.
    ///
    /// # Errors
    /// [`Error::Input`], and [`Error::Invalid`] for a matrix of no row or of more than 2^36 numbers.
    pub fn gaussian(input: Dims, rows: usize, seed: u64) -> Result<Matrix, Error> {
        not_empty("matrix", input)?;
        let drawn = Gaussian::new(rows, input.len(), seed)?;
        let n = rows * input.len();
        let entries = match n <= MOST_STORED && ensure(n).is_ok() {
            true => Entries::Stored(drawn.stored()),
            false => Entries::Drawn(drawn),
        };
        Ok(Matrix {
            input,
            rows,
            entries,
            svd: None,
        })
    }

    /// `A = V diag(l) U^T` with random orthonormal `V` and `U` (Haar), singular values that fall evenly on a logarithmic scale,
    /// `l_i/l_{i+1} = condition^(1/n)` for `n` of them, and `sum l^2` the number of columns (QCS-SGM+). The published code takes
    /// the condition for that of `A A^T`: `as_coded`.
    ///
    /// # Errors
    /// [`Error::Input`], and [`Error::Invalid`] for a condition outside of 1 to 1e12, or a matrix so large that its vectors would
    /// take minutes to find.
    pub fn ill_conditioned(
        input: Dims,
        rows: usize,
        condition: f64,
        as_coded: bool,
        seed: u64,
    ) -> Result<Matrix, Error> {
        not_empty("matrix", input)?;
        storable(rows, input.len())?;
        let svd = Svd::ill_conditioned(rows, input.len(), condition, as_coded, seed)?;
        Ok(Matrix {
            input,
            rows,
            entries: Entries::Stored(svd.entries()),
            svd: Some(svd),
        })
    }

    /// `A = L^(1/2) H R^(1/2)` with independent `H` of N(0, 1/rows), and `L` and `R` the correlations `c^|i-j|` of rows and of
    /// columns (QCS-SGM+). The law is that of the paper; the root is the triangular one, which is the same to a Gaussian. The
    /// published code takes the root of each entry, and another scale: `as_coded`.
    ///
    /// # Errors
    /// [`Error::Input`], and [`Error::Invalid`] for a correlation outside of 0 to 0.999, or a matrix too large to store.
    pub fn correlated(
        input: Dims,
        rows: usize,
        correlation: f64,
        as_coded: bool,
        seed: u64,
    ) -> Result<Matrix, Error> {
        not_empty("matrix", input)?;
        storable(rows, input.len())?;
        let entries = gaussian::correlated(rows, input.len(), correlation, as_coded, seed)?;
        Matrix::new(input, entries)
    }

    /// Its entries, `[numbers of the measurement, numbers of an image]`; `None` if they are too many to be stored.
    pub fn dense(&self) -> Option<ArrayView2<'_, f32>> {
        match &self.entries {
            Entries::Stored(entries) => Some(entries.view()),
            Entries::Drawn(_) => None,
        }
    }

    fn rows(&self) -> &dyn Rows {
        match &self.entries {
            Entries::Stored(entries) => entries,
            Entries::Drawn(drawn) => drawn,
        }
    }
}

impl Rows for Array2<f32> {
    fn part(&self, row: usize, first: usize, n: usize, with: &mut dyn FnMut(&[f32])) {
        let columns = self.ncols();
        let all = self.as_slice().expect("in rows");
        with(&all[row * columns + first..][..n]);
    }
}

/// That a matrix has a column for each number of an image.
fn check_columns(columns: usize, input: Dims) -> Result<(), Error> {
    match columns == input.len() {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the matrix has {columns} columns, but an image of {input} (channels x height x width) has {} numbers",
            input.len()
        ))),
    }
}

/// That a matrix of this kind can be stored.
fn storable(rows: usize, columns: usize) -> Result<(), Error> {
    let n = rows.checked_mul(columns).filter(|&n| n <= MOST_STORED);
    let Some(n) = n else {
        return Err(Error::Invalid(format!(
            "a matrix of {rows} x {columns} is too large to store; take a smaller picture, or a kind that needs no storage: hadamard, transform, gaussian"
        )));
    };
    ensure(n).map_err(|e| Error::Invalid(e.to_string()))
}

/// What `f` makes of the list of numbers of each picture.
fn lists(x: &Image, from: Dims, to: Dims, f: impl Fn(&[f32], &mut [f32])) -> Image {
    plane::check(x, from);
    let mut out = Image::zeros(to.batch(x.dim().0));
    let x = x.as_standard_layout();
    let pictures = x.as_slice().expect("in standard layout");
    let outs = plane::values(&mut out).chunks_exact_mut(to.len());
    for (x, out) in pictures.chunks_exact(from.len()).zip(outs) {
        f(x, out);
    }
    out
}

impl Operator for Matrix {
    fn name(&self) -> &'static str {
        "matrix"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims::new(1, 1, self.rows)
    }

    fn apply(&self, x: &Image) -> Image {
        lists(x, self.input, self.output(), |x, y| self.rows().times(x, y))
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    fn guess(&self, y: &Image) -> Image {
        super::sensed::back_projected(self, y)
    }

    fn loss(&self) -> Loss {
        Loss {
            mixed: true,
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Matrix {
    fn adjoint(&self, u: &Image) -> Image {
        lists(u, self.output(), self.input, |u, x| {
            self.rows().transposed_times(u, x);
        })
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        self.svd.as_ref().map(|_| self as &dyn Spectrum)
    }

    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        let Some(svd) = &self.svd else {
            return cg::prox(self, y, z, rho, params).0;
        };
        plane::check(y, self.output());
        let mut out = z.as_standard_layout().into_owned();
        let y = y.as_standard_layout();
        let measured = y
            .as_slice()
            .expect("in standard layout")
            .chunks_exact(self.rows);
        let images = plane::values(&mut out).chunks_exact_mut(self.input.len());
        for (y, x) in measured.zip(images) {
            let z = x.to_vec();
            svd.prox(y, &z, rho, x);
        }
        out
    }
}

impl Matrix {
    fn svd(&self) -> &Svd {
        self.svd.as_ref().expect("only then is there a spectrum")
    }
}

impl Spectrum for Matrix {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let of = |gain: &Gain<'_>| {
            lists(x, self.input, self.input, |x, out| {
                self.svd().image(x, out, gain);
            })
        };
        gains.iter().map(of).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let of = |gain: &Gain<'_>| {
            lists(y, self.output(), self.input, |y, out| {
                self.svd().back(y, out, gain);
            })
        };
        gains.iter().map(of).collect()
    }

    fn norm(&self) -> f64 {
        self.svd().values[0]
    }
}

impl fmt::Debug for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.entries {
            Entries::Stored(_) => "stored",
            Entries::Drawn(_) => "drawn",
        };
        write!(f, "Matrix({} x {}, {how})", self.rows, self.input.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    const DIMS: Dims = Dims::new(3, 4, 5);

    fn difference(a: &Image, b: &Image) -> f32 {
        (a - b).iter().fold(0.0, |most, d| d.abs().max(most))
    }

    /// The numbers are the image's, channel by channel. Wrong: rows and columns exchanged.
    #[test]
    fn entries_are_used_as_they_are() {
        let entries = Array2::from_shape_fn((2, 60), |(i, j)| if j == 21 + i { 2.0 } else { 0.0 });
        let matrix = Matrix::new(DIMS, entries).unwrap();
        let x = Image::from_shape_fn(DIMS.batch(2), |(n, c, i, j)| {
            (1000 * n + 100 * c + 10 * i + j) as f32
        });
        let y = matrix.apply(&x);
        assert_eq!(y.dim(), (2, 1, 1, 2));
        assert_eq!(y.as_slice().unwrap(), [202.0, 204.0, 2202.0, 2204.0]);
        assert_eq!(matrix.adjoint(&y)[[0, 1, 0, 1]], 404.0);
        assert_eq!(matrix.dense().unwrap()[[1, 22]], 2.0);
    }

    /// What is stored and what is made anew are the same bits; so is the transpose to the matrix. Wrong: a row that depends on how
    /// it is asked for.
    #[test]
    fn stored_and_drawn_are_one() {
        let dims = Dims::new(1, 70, 90);
        let drawn = Gaussian::new(33, dims.len(), 5).unwrap();
        let stored = Matrix::gaussian(dims, 33, 5).unwrap();
        let anew = Matrix {
            input: dims,
            rows: 33,
            entries: Entries::Drawn(drawn),
            svd: None,
        };
        assert!(anew.dense().is_none());
        let x = Seeded::new(1, "test").normal(1, dims);
        let u = Seeded::new(2, "test").normal(1, stored.output());
        assert_eq!(stored.apply(&x), anew.apply(&x));
        assert_eq!(stored.adjoint(&u), anew.adjoint(&u));
        let entries = stored.dense().unwrap();
        let power: f64 = entries.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert!((power / dims.len() as f64 - 1.0).abs() < 0.02, "{power}");
        let other = Matrix::gaussian(dims, 33, 6).unwrap();
        assert_ne!(other.dense().unwrap(), entries);
        let sum =
            |x: &Image, y: &Image| x.iter().zip(y).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let (there, back) = (sum(&stored.apply(&x), &u), sum(&x, &stored.adjoint(&u)));
        assert!((there - back).abs() < 1e-3, "{there} is not {back}");
    }

    #[test]
    fn what_is_no_matrix_of_the_image() {
        let error = |entries: Array2<f32>| Matrix::new(DIMS, entries).unwrap_err().to_string();
        assert!(error(Array2::zeros((3, 61))).contains("61 columns, but an image of 3x4x5"));
        assert!(error(Array2::zeros((0, 60))).contains("without rows"));
        assert!(error(Array2::from_elem((1, 60), f32::NAN)).contains("NaN"));
        assert!(Matrix::gaussian(DIMS, 0, 1).is_err());
        assert!(Matrix::gaussian(DIMS, 1 << 40, 1).is_err());
        assert!(Matrix::ill_conditioned(DIMS, 10, 0.5, false, 1).is_err());
        assert!(Matrix::ill_conditioned(DIMS, 10, f64::NAN, false, 1).is_err());
        assert!(Matrix::correlated(DIMS, 10, 1.0, false, 1).is_err());
        let large = Dims::new(3, 4096, 4096);
        assert!(Matrix::correlated(large, 1 << 20, 0.4, false, 1).is_err());
    }

    /// Wrong: singular values on another scale, or the published code's condition for the paper's.
    #[test]
    fn ill_conditioned_matrices_are_as_they_should_be() {
        for (rows, as_coded, ratio) in [(20, false, 1e4f64), (20, true, 1e2), (70, false, 1e4)] {
            let matrix = Matrix::ill_conditioned(DIMS, rows, 1e4, as_coded, 3).unwrap();
            let dense = matrix.dense().unwrap().mapv(f64::from);
            let dense = nalgebra::DMatrix::from_fn(rows, 60, |i, j| dense[[i, j]]);
            let mut found: Vec<f64> = dense.singular_values().iter().copied().collect();
            found.sort_by(|a, b| b.total_cmp(a));
            let n = rows.min(60);
            let step = ratio.powf(1.0 / n as f64);
            for pair in found[..n].windows(2) {
                assert!((pair[0] / pair[1] / step - 1.0).abs() < 1e-3, "{found:?}");
            }
            let power: f64 = found.iter().map(|s| s * s).sum();
            assert!((power / 60.0 - 1.0).abs() < 1e-4, "{power}");
            let y = matrix.apply(&Seeded::new(4, "test").normal(1, DIMS));
            let again = matrix.apply(&matrix.pseudo_inverse(&y));
            // Wide: all is explained.
            if rows < 60 {
                assert!(difference(&again, &y) < 2e-3, "{}", difference(&again, &y));
            }
        }
    }

    /// Neighbours are correlated, in rows and in columns; the power is that of the paper, or, as coded, much more.
    #[test]
    fn correlated_matrices_are_as_they_should_be() {
        let dims = Dims::new(1, 20, 30);
        let matrix = Matrix::correlated(dims, 400, 0.8, false, 3).unwrap();
        let a = matrix.dense().unwrap().mapv(f64::from);
        let power = a.mapv(|v| v * v).sum();
        assert!((power / 600.0 - 1.0).abs() < 0.05, "{power}");
        let (m, n) = a.dim();
        let product = |di: usize, dj: usize| -> f64 {
            let one = a.slice(ndarray::s![..m - di, ..n - dj]);
            let other = a.slice(ndarray::s![di.., dj..]);
            (&one * &other).mean().unwrap() / (power / (m * n) as f64)
        };
        for (di, dj, expected) in [(0, 1, 0.8), (1, 0, 0.8), (1, 1, 0.64), (0, 3, 0.512)] {
            let found = product(di, dj);
            assert!((found - expected).abs() < 0.04, "{di} {dj}: {found}");
        }
        let coded = Matrix::correlated(dims, 400, 0.8, true, 3).unwrap();
        let inflated = coded.dense().unwrap().mapv(|v| f64::from(v).powi(2)).sum() / 600.0;
        // Of each entry so many times the neighbours' correlations: 9 for long rows, less where the ends miss neighbours.
        let sum = |n: usize| -> f64 {
            let pairs = (0..n * n).map(|k| 0.8f64.powi((k / n).abs_diff(k % n) as i32));
            pairs.sum::<f64>() / n as f64
        };
        let expected = sum(400) * sum(600);
        assert!(
            (inflated / expected - 1.0).abs() < 0.05,
            "{inflated}, not {expected}"
        );
    }
}
