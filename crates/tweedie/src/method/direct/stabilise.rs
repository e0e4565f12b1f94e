//! Noise that grows with brightness, made equal everywhere: the generalised Anscombe transform.
//!
//! For `y = x + noise` of variance `a + b*x`, `f(y) = 2/b * sqrt(b*y + 3/8*b^2 + a)` has noise of standard deviation 1, nearly
//! whatever `x` is (Starck, Murtagh and Bijaoui 1998). A denoiser answers with the mean of `f(y)`, whose algebraic inverse is
//! not the mean of `y`: that is the exact unbiased inverse (Makitalo and Foi 2013, "Optimal inversion of the generalized
//! Anscombe transformation for Poisson-Gaussian noise", IEEE TIP 22(1), closed form of section III-C). Here `f` is also
//! scaled, so that black and white stay 0 and 1 and a prior sees a picture as it knows them.

use crate::Image;
use crate::problem::Noise;
use crate::run::Error;

/// What `denoised` makes of a measurement of which it is told the level of the noise, alike everywhere: where that depends on brightness, it
/// is made so first, and the answer brought back without bias.
pub(in crate::method) fn evenly(
    noise: Noise,
    y: &Image,
    denoised: impl FnOnce(&Image, f64) -> Result<Image, Error>,
) -> Result<Image, Error> {
    match noise.unshared() {
        Noise::Poisson { a, b } if b != 0.0 => {
            let even = Stabiliser::new(a, b);
            Ok(even.back(&denoised(&even.there(y), even.sigma())?))
        }
        white => denoised(y, white.level(y)),
    }
}

/// The transform of noise of variance `a + b*x`, for pictures in `[0, 1]`.
#[derive(Clone, Copy, Debug)]
struct Stabiliser {
    a: f64,
    b: f64,
    /// `f` of black.
    black: f64,
    /// `f` of white less `f` of black.
    span: f64,
}

impl Stabiliser {
    /// For variances that are not negative from black to white, and `b` other than 0.
    fn new(a: f64, b: f64) -> Stabiliser {
        let black = root(a, b, 0.0);
        Stabiliser {
            a,
            b,
            black,
            span: root(a, b, 1.0) - black,
        }
    }

    /// The noise of what it gives.
    fn sigma(&self) -> f64 {
        1.0 / self.span
    }

    /// A measurement, with equal noise.
    fn there(&self, y: &Image) -> Image {
        y.mapv(|v| ((root(self.a, self.b, f64::from(v)) - self.black) / self.span) as f32)
    }

    /// The mean that belongs to a denoised answer.
    fn back(&self, x: &Image) -> Image {
        if self.b < 0.0 {
            return self.back_plainly(x);
        }
        // Below this the closed form falls again; it is what a mean of nothing gives.
        let least = 2.0 * (3.0f64 / 8.0).sqrt();
        x.mapv(|v| {
            let d = (f64::from(v) * self.span + self.black).max(least);
            let root = 1.5f64.sqrt();
            let photons = d * d / 4.0 + root / (4.0 * d) - 11.0 / (8.0 * d * d)
                + 5.0 * root / (8.0 * d.powi(3))
                - 1.0 / 8.0;
            (self.b * photons - self.a / self.b) as f32
        })
    }

    /// The inverse of `f`, for noise that falls with brightness, which no photons make.
    fn back_plainly(&self, x: &Image) -> Image {
        x.mapv(|v| {
            let root = (f64::from(v) * self.span + self.black) * self.b / 2.0;
            ((root * root - self.a) / self.b - 0.375 * self.b) as f32
        })
    }
}

fn root(a: f64, b: f64, v: f64) -> f64 {
    2.0 / b * (b * v + 0.375 * b * b + a).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};

    /// The noise is even, and the mean of what is stabilised leads back to the mean, which the algebraic inverse misses by up
    /// to a quarter of `b`.
    #[test]
    fn noise_becomes_even_and_the_mean_comes_back() {
        for (a, b) in [
            (0.0005, 0.01),
            (0.0001, 0.002),
            (0.002, 0.03),
            (0.011, -0.01),
        ] {
            let stabiliser = Stabiliser::new(a, b);
            for x in [0.05, 0.2, 0.5, 0.9] {
                let noise = Seeded::new(1, "test").normal(1, Dims::new(1, 300, 300));
                let sigma = (a + b * x).sqrt();
                let y = stabiliser.there(&noise.mapv(|n| (x + sigma * f64::from(n)) as f32));
                let mean = f64::from(y.mean().unwrap());
                let spread = y
                    .mapv(|v| (f64::from(v) - mean).powi(2))
                    .mean()
                    .unwrap()
                    .sqrt();
                let even = spread / stabiliser.sigma();
                assert!((even - 1.0).abs() < 0.1, "{a} {b} {x}: {even}");
                let back = stabiliser.back(&Image::from_elem((1, 1, 1, 1), mean as f32));
                let off = f64::from(back[[0, 0, 0, 0]]) - x;
                assert!(
                    off.abs() < 0.15 * b.abs() + 0.002,
                    "{a} {b} {x}: off by {off}"
                );
            }
        }
    }
}
