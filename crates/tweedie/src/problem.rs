//! A measurement: what was recorded, how, and how noisily.

use std::sync::Arc;

use ndarray::Axis;
use serde::{Deserialize, Serialize};

use crate::level::Range;
use crate::operator::{
    AnySpectrum, Error, Lanczos, Linear, Operator, Weighted, cg, lanczos, norm_at, tikhonov,
};
use crate::spectrum::Spectrum;
use crate::{Dims, Image};

/// What stands between `A(x)` and the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Noise {
    /// Nothing: `y = A(x)`, as closely as numbers tell.
    Exact,
    /// White Gaussian noise of this standard deviation, in the units of the measurement.
    White(f64),
    /// Noise that depends on brightness, as every sensor's does: variance `a + b*A(x)`, `a` for what the electronics add and
    /// `b` for the light's own grain (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting"). A gamma
    /// curve may leave more of it in the dark: then `b` is negative.
    Poisson {
        /// Variance of black.
        a: f64,
        /// What brightness adds to it, from black to white.
        b: f64,
    },
    /// Noise that neighbouring pixels and colours share, as demosaicing, resizing, compression and in-camera denoising make it.
    Correlated(Spectrum),
}

impl Noise {
    /// Its variance where the measurement, without noise, is `v`; beyond black and white it is theirs. Of noise that neighbours share that
    /// of its level.
    pub fn variance(self, v: f64) -> f64 {
        match self {
            Noise::Exact => 0.0,
            Noise::White(sigma) => sigma * sigma,
            Noise::Poisson { a, b } => a + b * v.clamp(0.0, 1.0),
            Noise::Correlated(spectrum) => match spectrum.brightness {
                Some([a, b]) => a + b * v.clamp(0.0, 1.0),
                None => spectrum.white * spectrum.white,
            },
        }
    }

    /// The same noise as a prior knows it that knows white noise: its neighbours share nothing.
    pub fn unshared(self) -> Noise {
        match self {
            Noise::Correlated(spectrum) => match spectrum.brightness {
                Some([a, b]) => Noise::Poisson { a, b },
                None => Noise::from(spectrum.white),
            },
            noise => noise,
        }
    }

    /// The standard deviation in a measurement `y`: where it depends on brightness, the root of the mean variance; where neighbours share
    /// it, the level of white noise at which a denoiser does most good.
    pub fn level(self, y: &Image) -> f64 {
        match self {
            Noise::Exact => 0.0,
            Noise::White(sigma) => sigma,
            Noise::Correlated(spectrum) => spectrum.white,
            Noise::Poisson { .. } => {
                let variances = y.iter().map(|&v| self.variance(f64::from(v)));
                (variances.sum::<f64>() / y.len() as f64).sqrt()
            }
        }
    }

    /// That its numbers make sense.
    fn check(self) -> Result<(), Error> {
        let finite = |v: f64| v >= 0.0 && v.is_finite();
        match self {
            Noise::White(sigma) if !(sigma > 0.0 && sigma.is_finite()) => Err(Error::Invalid(
                format!("the noise level must be a finite number >= 0, not {sigma}"),
            )),
            Noise::Poisson { a, b } if !(finite(a) && finite(a + b) && a.max(a + b) > 0.0) => {
                Err(Error::Invalid(format!(
                    "noise of variance a + b*x must have some from x = 0 to 1, finite and never below 0; not {a} + {b}*x"
                )))
            }
            Noise::Correlated(spectrum) => spectrum.check().map_err(Error::Invalid),
            _ => Ok(()),
        }
    }
}

impl From<f64> for Noise {
    /// White noise; 0 is [`Noise::Exact`].
    fn from(sigma: f64) -> Noise {
        match sigma {
            0.0 => Noise::Exact,
            sigma => Noise::White(sigma),
        }
    }
}

/// `y = A(x) + noise`, to be solved for `x`.
#[derive(Debug)]
pub struct Problem {
    /// The measurement, `[batch, channel, height, width]` of the operator's output.
    pub y: Image,
    /// What the camera did.
    pub operator: Arc<dyn Operator>,
    /// The noise in `y`.
    pub noise: Noise,
}

/// The squared norm of an operator that records nothing, so that a step may be its inverse.
const NOTHING: f64 = 1e-12;

impl Problem {
    /// A problem whose parts fit together and hold no NaN. A number for the noise is the standard deviation of white noise
    /// in the units of `y`, 0 for none.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NotFinite`], or [`Error::Invalid`] for noise that is negative or not finite.
    pub fn new(
        y: Image,
        operator: Box<dyn Operator>,
        noise: impl Into<Noise>,
    ) -> Result<Problem, Error> {
        let (expected, got) = (operator.output(), Dims::of(&y));
        if expected != got {
            return Err(Error::Shape { expected, got });
        }
        if !y.iter().all(|v| v.is_finite()) {
            return Err(Error::NotFinite("measurement"));
        }
        let noise = noise.into();
        noise.check()?;
        let operator = operator.into();
        Ok(Problem { y, operator, noise })
    }

    /// The same measurement, taken for as noisy as this.
    pub fn with_noise(&self, noise: Noise) -> Problem {
        Problem {
            y: self.y.clone(),
            operator: Arc::clone(&self.operator),
            noise,
        }
    }

    /// Pictures in the batch.
    pub fn batch(&self) -> usize {
        self.y.dim().0
    }

    /// Whether the measurement is `A(x)` itself.
    pub fn exact(&self) -> bool {
        self.noise == Noise::Exact
    }

    /// Standard deviation of the noise, 0 where there is none; of noise that grows with brightness, the root of the mean
    /// variance.
    pub fn sigma(&self) -> f64 {
        self.noise.level(&self.y)
    }

    /// The same problem with white noise: where the noise differs from pixel to pixel, operator and measurement are weighted,
    /// `W A x = W y`, so that all of it has the level [`Problem::sigma`]. Noise that neighbours share is taken for white noise
    /// ([`Noise::unshared`]).
    ///
    /// The brightness that says how noisy a pixel is comes from the measurement, averaged over 5x5 pixels.
    pub fn whitened(&self) -> Problem {
        let noise = self.noise.unshared();
        let Noise::Poisson { .. } = noise else {
            return self.with_noise(noise);
        };
        let sigma = noise.level(&self.y);
        if self.operator.binned().is_some() || self.operator.quantised().is_some() {
            // Weights do not reach what was rounded: the mean variance must do.
            return self.with_noise(Noise::White(sigma));
        }
        let weights = averaged(&self.y, 2).mapv(|v| {
            // No pixel is trusted more than a hundred times the others.
            let variance = noise.variance(f64::from(v)).max(1e-4 * sigma * sigma);
            (sigma / variance.sqrt()) as f32
        });
        Problem {
            y: &self.y * &weights,
            operator: Arc::new(Weighted::new(Arc::clone(&self.operator), weights)),
            noise: Noise::White(sigma),
        }
    }

    /// The least noise that a measurement is taken to have where a method divides by it: 0.001 for images in [0, 1] (DPIR
    /// and DiffPIR). It stands for quantisation, and keeps exact problems well-posed.
    pub fn sigma_floored(&self, range: Range) -> f64 {
        self.sigma().max(0.001 * range.width())
    }

    /// The operator as a linear one, for methods that need [`Need::Linear`](crate::registry::Need::Linear).
    ///
    /// # Panics
    /// If it is not linear: a method's needs are checked before it runs.
    pub fn linear(&self) -> &dyn Linear {
        self.operator
            .linear()
            .expect("a method that needs a linear operator is given one")
    }

    /// Functions of the operator's singular values: its own, or those that a Lanczos process finds, as closely as
    /// [`lanczos::Params::STEP`] says.
    ///
    /// # Panics
    /// Where [`Problem::linear`] does.
    pub fn spectrum(&self) -> AnySpectrum<'_> {
        self.spectrum_within(lanczos::Params::STEP)
    }

    /// The same, found as closely as `params` ask where the operator has none in closed form.
    ///
    /// # Panics
    /// Where [`Problem::linear`] does.
    pub fn spectrum_within(&self, params: lanczos::Params) -> AnySpectrum<'_> {
        match self.linear().spectrum() {
            Some(closed) => AnySpectrum::Closed(closed),
            None => AnySpectrum::Lanczos(Lanczos::with(self.linear(), params)),
        }
    }

    /// `argmin_x |A x - y|^2 + rho*|x - z|^2`: the data step, as closely as [`cg::Params::STEP`] says.
    ///
    /// # Panics
    /// Where [`Problem::linear`] does.
    pub fn prox(&self, z: &Image, rho: f64) -> Image {
        self.linear().prox_within(&self.y, z, rho, cg::Params::STEP)
    }

    /// The last word on an estimate `z` of an exact problem: where what is measured is measured equally well, the
    /// measurement put back into it, exactly; else the prox with `rho`, since a projection would amplify what rounding has
    /// done to the measurement.
    ///
    /// # Panics
    /// Where [`Problem::linear`] does.
    pub fn settle(&self, z: &Image, rho: f64) -> Image {
        match self.linear().isometry() {
            Some(_) => self.linear().project(&self.y, z),
            None => self.prox(z, rho),
        }
    }

    /// What a careful tool without a prior makes of it, the baseline of comparisons: the smooth solution that suits the noise
    /// ([`tikhonov`]), or where there is none, or the operator is not linear, the first guess ([`Operator::guess`]).
    pub fn classical(&self) -> Image {
        match self.operator.linear() {
            Some(linear) if !self.exact() => {
                linear.tikhonov(&self.y, tikhonov::lambda(self.sigma()))
            }
            _ => self.operator.guess(&self.y),
        }
    }

    /// `J^T (y - A(x))` with `J = dA/dx`: half of the gradient of `-|y - A(x)|^2`, the way towards the measurement.
    pub fn pull(&self, x: &Image) -> Image {
        self.operator.vjp(x, &self.residual(x))
    }

    /// `|J|^2`: the operator's bound, or what it is at the first guess, and a little more: steps along [`Problem::pull`] are safe up to twice its inverse.
    pub fn norm2(&self) -> f64 {
        if let Some(bound) = self.operator.lipschitz() {
            return bound.powi(2).max(NOTHING);
        }
        if let Some(spectrum) = self.operator.linear().and_then(|linear| linear.spectrum()) {
            return spectrum.norm().powi(2).max(NOTHING);
        }
        let guess = self.operator.guess(&self.y);
        // Power iteration comes within 2 % of the norm from below.
        let norm = 1.02 * norm_at(self.operator.as_ref(), &guess, 20);
        norm.powi(2).max(NOTHING)
    }

    /// `y - A(x)`.
    pub fn residual(&self, x: &Image) -> Image {
        &self.y - &self.operator.apply(x)
    }
}

/// The mean of the pixels up to `reach` rows and columns away, as far as there are any.
pub(crate) fn averaged(y: &Image, reach: usize) -> Image {
    let mut out = y.clone();
    for axis in [2, 3] {
        let before = out.clone();
        let n = before.len_of(Axis(axis));
        for i in 0..n {
            let range = i.saturating_sub(reach)..(i + reach + 1).min(n);
            let near = before.slice_axis(Axis(axis), range.into());
            let mean = near
                .mean_axis(Axis(axis))
                .expect("the pixel itself is near");
            out.index_axis_mut(Axis(axis), i).assign(&mean);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};
    use crate::operator::{Blur, Boundary, Kernel};

    /// A blurred ramp with noise that grows with brightness: whitened, what is left of it is even, `A^T` is still the transpose
    /// of `A`, and the guess is that of the measurement. Wrong: weights that are the standard deviations, or left out of the
    /// adjoint.
    #[test]
    fn noise_that_grows_with_brightness_is_made_white() {
        let dims = Dims::new(1, 60, 60);
        let (a, b) = (0.0004, 0.02);
        let kernel = Kernel::gaussian(1.0, None).unwrap();
        let blur = || Blur::new(dims, kernel.clone(), Boundary::Symmetric).unwrap();
        let ramp = Image::from_shape_fn(dims.batch(1), |(_, _, _, j)| j as f32 / 59.0);
        let draw = Seeded::new(3, "test").normal(1, dims);
        let mut y = blur().apply(&ramp);
        let noise = Noise::Poisson { a, b };
        y.zip_mut_with(&draw, |v, n| {
            *v += noise.variance(f64::from(*v)).sqrt() as f32 * n
        });

        let problem = Problem::new(y.clone(), Box::new(blur()), noise).unwrap();
        let white = problem.whitened();
        let sigma = problem.sigma();
        assert_eq!(white.noise, Noise::White(sigma));
        let left = white.residual(&ramp);
        for columns in [0..20, 20..40, 40..60] {
            let part = left.slice(ndarray::s![.., .., .., columns]);
            let found = part.mapv(|v| f64::from(v).powi(2)).mean().unwrap().sqrt();
            assert!((found / sigma - 1.0).abs() < 0.12, "{found} of {sigma}");
        }
        let (x, u) = (&ramp - 0.3, &draw * 0.5 + 0.1);
        let dot =
            |p: &Image, q: &Image| p.iter().zip(q).map(|(p, q)| f64::from(p * q)).sum::<f64>();
        let there = dot(&white.operator.apply(&x), &u);
        let back = dot(&x, &white.linear().adjoint(&u));
        assert!((there / back - 1.0).abs() < 1e-4, "{there} is not {back}");
        let guess = white.operator.guess(&white.y) - blur().guess(&y);
        assert!(guess.iter().all(|d| d.abs() < 1e-4));
    }

    /// What was rounded keeps its intervals, with the mean of the noise. Wrong: weights, behind which no interval is known.
    #[test]
    fn what_was_rounded_is_not_weighted() {
        use crate::operator::{Jpeg, Subsampling};
        let dims = Dims::new(3, 16, 16);
        let jpeg = Jpeg::new(dims, 50, Subsampling::Quarter).unwrap();
        let y = Image::from_elem(dims.batch(1), 0.5);
        let noise = Noise::Poisson { a: 0.001, b: 0.01 };
        let white = Problem::new(y, Box::new(jpeg), noise).unwrap().whitened();
        assert!(white.operator.quantised().is_some());
        assert!((white.sigma() - 0.006f64.sqrt()).abs() < 1e-6);
    }
}
