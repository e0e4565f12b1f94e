//! Cases of which the posterior is known, and its draws.

use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use ndarray::Array2;
use ndarray::Array4;
use rustfft::num_complex::Complex64;
use tweedie::level::{Level, Range};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Linear, Loss, Operator, cg};
use tweedie::prior::{Gaussian, Mixture, Prior, Stationary};
use tweedie::problem::Problem;
use tweedie::{Dims, Image};

use crate::{Result, gaussian};

/// A measurement of a draw of a prior, and draws of the posterior.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) prior: Arc<dyn Prior>,
    pub(crate) problem: Problem,
    pub(crate) law: Image,
}

/// A Gaussian prior that can be drawn from.
pub(crate) trait Draws: Prior {
    fn draw(&self, n: usize, noise: &mut Seeded) -> Image;
}

impl Draws for Gaussian {
    fn draw(&self, n: usize, noise: &mut Seeded) -> Image {
        self.sample(n, noise)
    }
}

impl Draws for Stationary {
    fn draw(&self, n: usize, noise: &mut Seeded) -> Image {
        self.sample(n, noise)
    }
}

/// Noise far above all data: there the denoiser's derivative is the covariance, but for a factor.
const FAR: f64 = 100.0;

/// `C v`.
fn covariance(prior: &dyn Prior, v: &Image) -> Result<Image> {
    let zero = Image::zeros(v.raw_dim());
    let (_, pullback) = prior.denoise_with_pullback(&zero, Level::ve(FAR))?;
    Ok(pullback(v)? * (FAR * FAR) as f32)
}

impl Case {
    /// By Matheron's rule: `x + C A^T (A C A^T + sigma^2)^-1 (y - A x - n)` for draws `x` of the prior and `n` of the noise.
    pub(crate) fn gaussian<P: Draws + 'static>(
        name: &str,
        prior: Arc<P>,
        operator: Box<dyn Operator>,
        sigma: f64,
        draws: usize,
    ) -> Result<Case> {
        let truth = prior.draw(1, &mut Seeded::new(1, "truth"));
        let problem = measured(&truth, operator, sigma)?;
        let a = problem.operator.linear().ok_or("a linear operator")?;
        let mut law = prior.draw(draws, &mut Seeded::new(3, "prior"));
        let output = a.output();
        let noise = Seeded::new(4, "noise").normal(draws, output) * sigma as f32;
        let params = cg::Params {
            tolerance: 1e-5,
            iterations: 400,
        };
        for k in 0..draws {
            let mut x = law.slice_mut(ndarray::s![k..k + 1, .., .., ..]);
            let n = noise.slice(ndarray::s![k..k + 1, .., .., ..]);
            let misfit = &problem.y - &a.apply(&x.to_owned()) - n;
            let system = |v: &[f64], out: &mut [f64]| {
                let v: Vec<f32> = v.iter().map(|&v| v as f32).collect();
                let v = Image::from_shape_vec(output.batch(1), v).expect("as long");
                let spread = covariance(prior.as_ref(), &a.adjoint(&v)).expect("a pullback");
                let seen = a.apply(&spread);
                for ((out, &s), &v) in out.iter_mut().zip(&seen).zip(&v) {
                    *out = f64::from(s) + sigma * sigma * f64::from(v);
                }
            };
            let right = misfit.iter().map(|&v| f64::from(v)).collect();
            let (q, _) = cg::solve(system, cg::unconditioned, right, params);
            let q: Vec<f32> = q.iter().map(|&v| v as f32).collect();
            let q = Image::from_shape_vec(output.batch(1), q)?;
            x += &covariance(prior.as_ref(), &a.adjoint(&q))?;
        }
        Ok(Case {
            name: name.to_owned(),
            prior,
            problem,
            law,
        })
    }
}

/// A measurement, with noise.
pub(crate) fn measured(truth: &Image, operator: Box<dyn Operator>, sigma: f64) -> Result<Problem> {
    let mut y = operator.apply(truth);
    // What is hidden holds no noise.
    let seen = operator.apply(&Image::from_elem(truth.raw_dim(), 0.7));
    let noise = Seeded::new(2, "noise").normal(1, operator.output());
    ndarray::Zip::from(&mut y)
        .and(&noise)
        .and(&seen)
        .for_each(|y, &n, &s| *y += if s == 0.0 { 0.0 } else { sigma as f32 * n });
    Ok(Problem::new(y, operator, sigma)?)
}

/// The prior of the fixture G4.
pub(crate) fn g4() -> Result<Gaussian> {
    let c = [
        [0.30, 0.10, 0.05, 0.00],
        [0.10, 0.25, 0.08, 0.04],
        [0.05, 0.08, 0.20, 0.06],
        [0.00, 0.04, 0.06, 0.15],
    ];
    let covariance = Array2::from_shape_fn((4, 4), |(i, j)| c[i][j]);
    gaussian(Dims::new(4, 1, 1), &[0.2, -0.1, 0.3, 0.05], &covariance)
}

/// A texture around mid-grey, of deviation 0.2, whose channels go together.
pub(crate) fn texture(dims: Dims) -> Result<Stationary> {
    let frequency = |k: usize, n: usize| k.min(n - k) as f64 / n as f64;
    let shape = |y: usize, x: usize| {
        let f2 = frequency(y, dims.h).powi(2) + frequency(x, dims.w).powi(2);
        (1.0 + f2 / 0.004).powf(-1.5)
    };
    let all = (0..dims.h).flat_map(|y| (0..dims.w).map(move |x| (y, x)));
    let sum: f64 = all.map(|(y, x)| shape(y, x)).sum();
    let pixels = (dims.h * dims.w) as f64;
    let power = Array4::from_shape_fn((dims.h, dims.w, dims.c, dims.c), |(y, x, i, j)| {
        let together = if i == j { 1.0 } else { 0.8 };
        Complex64::from(0.04 * together * shape(y, x) * pixels / sum)
    });
    Ok(Stationary::new(&vec![0.5; dims.c], &power, Range::IMAGE)?)
}

/// Two numbers around one of two places.
pub(crate) struct Modes {
    parts: Vec<(f64, DVector<f64>, DMatrix<f64>)>,
}

impl Modes {
    pub(crate) const DIMS: Dims = Dims::new(2, 1, 1);

    pub(crate) fn new() -> Modes {
        let spread = |a, b, c| DMatrix::from_row_slice(2, 2, &[a, b, b, c]);
        Modes {
            parts: vec![
                (
                    0.6,
                    DVector::from_vec(vec![-0.5, 0.5]),
                    spread(0.02, 0.01, 0.04),
                ),
                (
                    0.4,
                    DVector::from_vec(vec![0.5, -0.6]),
                    spread(0.04, -0.01, 0.02),
                ),
            ],
        }
    }

    pub(crate) fn prior(&self) -> Result<Mixture> {
        let part = |(weight, mean, c): &(f64, DVector<f64>, DMatrix<f64>)| {
            let c = Array2::from_shape_fn((2, 2), |(i, j)| c[(i, j)]);
            Ok((*weight, gaussian(Modes::DIMS, mean.as_slice(), &c)?))
        };
        let parts = self.parts.iter().map(part).collect::<Result<_>>()?;
        Ok(Mixture::new(parts)?)
    }

    pub(crate) fn draws(&self, n: usize, noise: &mut Seeded) -> Image {
        draw(&self.parts, n, noise)
    }

    pub(crate) fn case(
        &self,
        name: &str,
        prior: Arc<Mixture>,
        operator: Box<Dense>,
        sigma: f64,
    ) -> Result<Case> {
        let a = operator.0.clone();
        // Between the modes, so that both are possible.
        let truth = Image::from_shape_vec((1, 2, 1, 1), vec![-0.35, 0.4])?;
        let problem = measured(&truth, operator, sigma)?;
        let y = DVector::from_iterator(a.nrows(), problem.y.iter().map(|&v| f64::from(v)));
        let mut parts = Vec::new();
        for (weight, mean, c) in &self.parts {
            let noise = DMatrix::identity(a.nrows(), a.nrows()) * (sigma * sigma);
            let seen = &a * c * a.transpose() + noise;
            let inverse = seen.clone().try_inverse().ok_or("a regular matrix")?;
            let misfit = &y - &a * mean;
            let distance = (misfit.transpose() * &inverse * &misfit)[(0, 0)];
            let likely = (-0.5 * distance).exp() / seen.determinant().sqrt();
            let gain = c * a.transpose() * inverse;
            parts.push((weight * likely, mean + &gain * misfit, c - &gain * &a * c));
        }
        let law = draw(&parts, 4000, &mut Seeded::new(3, "law"));
        Ok(Case {
            name: name.to_owned(),
            prior,
            problem,
            law,
        })
    }
}

/// Draws of a mixture of Gaussians: as many of each part as its weight says.
fn draw(parts: &[(f64, DVector<f64>, DMatrix<f64>)], n: usize, noise: &mut Seeded) -> Image {
    let total: f64 = parts.iter().map(|p| p.0).sum();
    let white = noise.normal(n, Modes::DIMS);
    let mut out = white.clone();
    let (mut k, mut sum) = (0, 0.0);
    for (weight, mean, c) in parts {
        sum += weight / total;
        let root = c.clone().cholesky().expect("a covariance").l();
        while k < (sum * n as f64).round() as usize {
            let z = DVector::from_iterator(2, (0..2).map(|i| f64::from(white[[k, i, 0, 0]])));
            let x = mean + &root * z;
            (0..2).for_each(|i| out[[k, i, 0, 0]] = x[i] as f32);
            k += 1;
        }
    }
    shuffled(&out)
}

/// Draws in an order that has nothing to do with their parts: a step through them that meets each once.
fn shuffled(x: &Image) -> Image {
    let n = x.dim().0;
    Image::from_shape_fn(x.raw_dim(), |(k, c, i, j)| x[[(k * 1597) % n, c, i, j]])
}

/// A matrix as an operator.
#[derive(Clone, Debug)]
pub(crate) struct Dense(DMatrix<f64>);

impl Dense {
    pub(crate) fn new<const N: usize, const M: usize>(rows: &[[f64; N]; M]) -> Box<Dense> {
        Box::new(Dense(DMatrix::from_fn(M, N, |i, j| rows[i][j])))
    }

    fn times(matrix: &DMatrix<f64>, x: &Image) -> Image {
        let value = |k: usize, i: usize| -> f64 {
            (0..matrix.ncols())
                .map(|j| matrix[(i, j)] * f64::from(x[[k, j, 0, 0]]))
                .sum()
        };
        Image::from_shape_fn((x.dim().0, matrix.nrows(), 1, 1), |(k, i, _, _)| {
            value(k, i) as f32
        })
    }
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
        Dense::times(&self.0, x)
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
        Dense::times(&self.0.transpose(), u)
    }
}
