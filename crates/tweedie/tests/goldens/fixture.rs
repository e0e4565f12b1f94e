//! The four-dimensional problem "G4", a dense operator, and noise that reads a sampler's moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nalgebra::{DMatrix, DVector};
use ndarray::Array2;
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::{Level, Range};
use tweedie::method::Method;
use tweedie::noise::{NoiseSource, Zeros};
use tweedie::operator::{Gain, Linear, Loss, Operator, Spectrum, cg};
use tweedie::prior::{Gaussian, Prior};
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::sampler::Sampler;
use tweedie::{Dims, Image};

pub(crate) const DIMS: Dims = Dims::new(4, 1, 1);
pub(crate) const MU: [f64; 4] = [0.2, -0.1, 0.3, 0.05];
pub(crate) const C: [[f64; 4]; 4] = [
    [0.30, 0.10, 0.05, 0.00],
    [0.10, 0.25, 0.08, 0.04],
    [0.05, 0.08, 0.20, 0.06],
    [0.00, 0.04, 0.06, 0.15],
];
pub(crate) const A: [[f64; 4]; 2] = [[0.5, 0.3, -0.2, 0.1], [0.1, -0.4, 0.3, 0.6]];
pub(crate) const Y: [f64; 2] = [0.4, -0.3];
pub(crate) const SIGMA_Y: f64 = 0.1;

pub(crate) fn covariance() -> Array2<f64> {
    Array2::from_shape_fn((4, 4), |(i, j)| C[i][j])
}

/// The prior of G4, with data in [-1, 1] as the golden numbers have them.
pub(crate) fn prior() -> Gaussian {
    Gaussian::new(DIMS, &MU, &covariance(), Range::NETWORK).unwrap()
}

pub(crate) fn operator() -> Dense {
    Dense(DMatrix::from_fn(2, 4, |i, j| A[i][j]))
}

/// `batch` copies of the measurement of G4.
pub(crate) fn problem(batch: usize, sigma: f64) -> Problem {
    problem_of(operator(), &Y, batch, sigma)
}

pub(crate) fn problem_of(
    operator: impl Operator + 'static,
    y: &[f64],
    batch: usize,
    sigma: f64,
) -> Problem {
    let y = Image::from_shape_fn(operator.output().batch(batch), |(_, i, _, _)| y[i] as f32);
    Problem::new(y, Box::new(operator), sigma).unwrap()
}

/// A matrix as an operator, with exact prox and pseudo-inverse, in f64. It knows no singular vectors.
#[derive(Clone, Debug)]
pub(crate) struct Dense(pub(crate) DMatrix<f64>);

/// What a matrix makes of each picture.
fn times(m: &DMatrix<f64>, x: &Image) -> Image {
    let out = m * columns(x);
    Image::from_shape_fn((x.dim().0, m.nrows(), 1, 1), |(n, i, _, _)| {
        out[(i, n)] as f32
    })
}

/// The pictures of a batch as the columns of a matrix.
pub(crate) fn columns(x: &Image) -> DMatrix<f64> {
    let (n, d) = (x.dim().0, Dims::of(x).len());
    DMatrix::from_iterator(d, n, x.iter().map(|&v| f64::from(v)))
}

impl Operator for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn input(&self) -> Dims {
        Dims::new(self.0.ncols(), 1, 1)
    }

    fn output(&self) -> Dims {
        Dims::new(self.0.nrows(), 1, 1)
    }

    fn apply(&self, x: &Image) -> Image {
        times(&self.0, x)
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

impl Linear for Dense {
    /// Its images are one pixel.
    fn pixelwise(&self) -> bool {
        true
    }

    fn adjoint(&self, u: &Image) -> Image {
        times(&self.0.transpose(), u)
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        times(&self.0.clone().pseudo_inverse(1e-12).unwrap(), y)
    }

    /// `z + A^T (A A^T + rho I)^-1 (y - A z)`, in f64 from end to end.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, _: cg::Params) -> Image {
        let a = &self.0;
        let m = a.nrows();
        let inner = a * a.transpose() + DMatrix::identity(m, m) * rho;
        let (y, z) = (columns(y), columns(z));
        let x = &z + a.transpose() * inner.lu().solve(&(y - a * &z)).unwrap();
        Image::from_shape_fn(self.input().batch(z.ncols()), |(n, i, _, _)| {
            x[(i, n)] as f32
        })
    }
}

/// The same with its singular vectors.
#[derive(Clone, Debug)]
pub(crate) struct Spectral(pub(crate) DMatrix<f64>);

impl Operator for Spectral {
    fn name(&self) -> &'static str {
        "spectral"
    }

    fn input(&self) -> Dims {
        Dense(self.0.clone()).input()
    }

    fn output(&self) -> Dims {
        Dense(self.0.clone()).output()
    }

    fn apply(&self, x: &Image) -> Image {
        times(&self.0, x)
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    fn guess(&self, y: &Image) -> Image {
        self.pseudo_inverse(y)
    }

    fn loss(&self) -> Loss {
        Dense(self.0.clone()).loss()
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Spectral {
    fn adjoint(&self, u: &Image) -> Image {
        times(&self.0.transpose(), u)
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }
}

impl Spectrum for Spectral {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let svd = Svd::new(&self.0);
        gains.iter().map(|g| times(&svd.image(g), x)).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let svd = Svd::new(&self.0);
        gains.iter().map(|g| times(&svd.back(g), y)).collect()
    }

    fn norm(&self) -> f64 {
        Svd::new(&self.0).s.max()
    }
}

/// A singular value decomposition with all right vectors.
pub(crate) struct Svd {
    /// As many as there are columns, zeros for those that are not seen.
    pub(crate) s: DVector<f64>,
    pub(crate) u: DMatrix<f64>,
    pub(crate) v: DMatrix<f64>,
}

impl Svd {
    pub(crate) fn new(a: &DMatrix<f64>) -> Svd {
        let n = a.ncols();
        // Zero rows until it is square: then all right vectors come.
        let tall = a.clone().resize_vertically(n.max(a.nrows()), 0.0);
        let svd = tall.svd(true, true);
        Svd {
            s: svd.singular_values,
            u: svd.u.unwrap().resize_vertically(a.nrows(), 0.0),
            v: svd.v_t.unwrap().transpose(),
        }
    }

    fn gains(&self, g: impl Fn(f64) -> f64) -> DMatrix<f64> {
        DMatrix::from_diagonal(&self.s.map(g))
    }

    /// `V g(S) V^T`.
    pub(crate) fn image(&self, g: impl Fn(f64) -> f64) -> DMatrix<f64> {
        let zero = 1e-9 * self.s.max();
        let g = self.gains(|s| g(if s <= zero { 0.0 } else { s }));
        &self.v * g * self.v.transpose()
    }

    /// `V g(S) U^T`, 0 for singular values of 0.
    pub(crate) fn back(&self, g: impl Fn(f64) -> f64) -> DMatrix<f64> {
        let zero = 1e-9 * self.s.max();
        let g = self.gains(|s| if s <= zero { 0.0 } else { g(s) });
        &self.v * g * self.u.transpose()
    }
}

/// Picture 0 of the batch hears nothing; each other one a single one, at a place of its own of some draw.
#[derive(Clone, Debug, Default)]
struct Impulses {
    /// Places of the draws so far.
    places: Arc<AtomicUsize>,
}

impl NoiseSource for Impulses {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        let first = 1 + self.places.fetch_add(dims.len(), Ordering::Relaxed);
        let mut out = Image::zeros(dims.batch(batch));
        for i in 0..dims.len() {
            if first + i < batch {
                let place = (first + i) * dims.len() + i;
                out.as_slice_mut().unwrap()[place] = 1.0;
            }
        }
        out
    }
}

/// Mean and variance of each coordinate of the output of an affine sampler, exactly.
pub(crate) fn moments(sample: impl Fn(usize, &mut Run<'_>) -> Image) -> (Vec<f64>, Vec<f64>) {
    let (mean, covariance) = covariance_of(sample);
    (
        mean.iter().copied().collect(),
        covariance.diagonal().iter().copied().collect(),
    )
}

/// Mean and covariance matrix of the output of an affine sampler, exactly.
pub(crate) fn covariance_of(
    sample: impl Fn(usize, &mut Run<'_>) -> Image,
) -> (DVector<f64>, DMatrix<f64>) {
    let counter = Impulses::default();
    let mean = columns(&sample(1, &mut Run::with(counter.clone(), ())));
    let batch = 1 + counter.places.load(Ordering::Relaxed);
    let mut responses = columns(&sample(batch, &mut Run::with(Impulses::default(), ())));
    let base = responses.column(0).into_owned();
    for mut column in responses.column_iter_mut() {
        column -= &base;
    }
    (
        mean.column(0).into_owned(),
        &responses * responses.transpose(),
    )
}

/// Moments of a sampler of the prior of G4.
pub(crate) fn sampler_moments(sampler: &dyn Sampler) -> (Vec<f64>, Vec<f64>) {
    let prior = prior();
    moments(|batch, run| sampler.sample(&prior, batch, DIMS, run).unwrap())
}

/// Moments of a method on G4.
pub(crate) fn method_moments(method: &dyn Method, sigma: f64) -> (Vec<f64>, Vec<f64>) {
    let prior = prior();
    moments(|batch, run| {
        method
            .restore(&prior, &problem(batch, sigma), run)
            .unwrap()
            .x
    })
}

/// What a method makes of a problem without any noise of its own.
pub(crate) fn quiet(method: &dyn Method, prior: &dyn Prior, problem: &Problem) -> Vec<f64> {
    let out = method
        .restore(prior, problem, &mut Run::with(Zeros, ()))
        .unwrap()
        .x;
    out.iter().map(|&v| f64::from(v)).collect()
}

/// The exact posterior of G4: mean and variances.
pub(crate) fn posterior(sigma: f64) -> (Vec<f64>, Vec<f64>) {
    let (a, c) = (operator().0, DMatrix::from_fn(4, 4, |i, j| C[i][j]));
    let (mu, y) = (DVector::from_row_slice(&MU), DVector::from_row_slice(&Y));
    let inner = &a * &c * a.transpose() + DMatrix::identity(2, 2) * (sigma * sigma);
    let gain = &c * a.transpose() * inner.try_inverse().unwrap();
    let mean = &mu + &gain * (y - &a * &mu);
    let left = &c - &gain * &a * &c;
    (
        mean.iter().copied().collect(),
        left.diagonal().iter().copied().collect(),
    )
}

/// DDPM's schedule, thinned out.
pub(crate) fn grid(subset: Subset) -> Grid {
    Grid {
        schedule: Schedule::DDPM,
        subset,
    }
}

/// The largest difference between two lists of numbers.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(p, q)| (p - q).abs())
        .fold(0.0, f64::max)
}

/// The largest difference between two images.
pub(crate) fn difference(a: &Image, b: &Image) -> f64 {
    assert_eq!(a.dim(), b.dim());
    a.iter()
        .zip(b)
        .fold(0.0_f64, |m, (p, q)| m.max(f64::from((p - q).abs())))
}

/// The score by Tweedie's formula, `(a*x0 - x)/b^2`.
pub(crate) fn tweedie_score(level: Level, x: &Image, x0: &Image) -> Image {
    (x0 * level.a as f32 - x) / (level.b * level.b) as f32
}
