//! Sensing matrices: an operator that is a matrix, and how they are made.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::Array2;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Linear, Loss, Operator};
use tweedie::{Dims, Image};

/// What kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Independent `N(0, 1/m)`.
    Gaussian,
    /// Random singular vectors, singular values from this down to 1.
    Ill(f64),
    /// `R^(1/2) H R^(1/2)` with `R_ij = rho^|i - j|` and `H` Gaussian.
    Correlated(f64),
}

impl Kind {
    pub(crate) fn name(self) -> String {
        match self {
            Kind::Gaussian => "Gaussian".to_owned(),
            Kind::Ill(kappa) => format!("condition {kappa:.0}"),
            Kind::Correlated(rho) => format!("correlated {rho}"),
        }
    }

    /// All are scaled so that a row's squared length is `n/m` on average.
    pub(crate) fn matrix(self, m: usize, n: usize) -> Array2<f64> {
        let draw = Seeded::new(1, "matrix").normal(1, Dims::new(1, m, n));
        let scale = 1.0 / (m as f64).sqrt();
        let h = DMatrix::from_fn(m, n, |i, j| scale * f64::from(draw[[0, 0, i, j]]));
        let matrix = match self {
            Kind::Gaussian => h,
            Kind::Ill(kappa) => ill(h, kappa),
            Kind::Correlated(rho) => root(m, rho) * h * root(n, rho),
        };
        Array2::from_shape_fn((m, n), |(i, j)| matrix[(i, j)])
    }
}

fn ill(h: DMatrix<f64>, kappa: f64) -> DMatrix<f64> {
    let (m, n) = h.shape();
    // The singular vectors of a Gaussian matrix are evenly distributed.
    let svd = h.svd(true, true);
    let s: Vec<f64> = (0..m).map(|i| kappa.powf(-(i as f64) / m as f64)).collect();
    let scale = (n as f64 / s.iter().map(|s| s * s).sum::<f64>()).sqrt();
    let s = DMatrix::from_fn(m, m, |i, j| if i == j { scale * s[i] } else { 0.0 });
    svd.u.expect("asked for") * s * svd.v_t.expect("asked for")
}

fn root(n: usize, rho: f64) -> DMatrix<f64> {
    let r = DMatrix::from_fn(n, n, |i, j| rho.powi(i.abs_diff(j) as i32));
    let eigen = SymmetricEigen::new(r);
    let roots = DMatrix::from_diagonal(&eigen.eigenvalues.map(|l| l.max(0.0).sqrt()));
    &eigen.eigenvectors * roots * eigen.eigenvectors.transpose()
}

/// A matrix as an operator.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    input: Dims,
    a: Array2<f32>,
}

impl Matrix {
    pub(crate) fn new(input: Dims, matrix: &Array2<f64>) -> Matrix {
        Matrix {
            input,
            a: matrix.mapv(|v| v as f32),
        }
    }
}

fn rows(x: &Image) -> Array2<f32> {
    let (n, c, h, w) = x.dim();
    let x = x.as_standard_layout().into_owned();
    x.into_shape_with_order((n, c * h * w))
        .expect("as many numbers")
}

impl Operator for Matrix {
    fn name(&self) -> &'static str {
        "matrix"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims::new(1, 1, self.a.nrows())
    }

    fn apply(&self, x: &Image) -> Image {
        let y = rows(x).dot(&self.a.t());
        let shape = self.output().batch(x.dim().0);
        y.as_standard_layout()
            .into_owned()
            .into_shape_with_order(shape)
            .expect("as many numbers")
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    fn guess(&self, y: &Image) -> Image {
        self.pseudo_inverse(y)
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Matrix {
    fn adjoint(&self, u: &Image) -> Image {
        let x = rows(u).dot(&self.a);
        let shape = self.input.batch(u.dim().0);
        x.as_standard_layout()
            .into_owned()
            .into_shape_with_order(shape)
            .expect("as many numbers")
    }
}
