//! Complex pictures from grey ones: a random smooth phase.
//!
//! Files of slices from an MRI scanner hold magnitudes; what the scanner records has a phase as well, from the field's
//! unevenness and from the coils, which changes slowly over the picture. Its real and imaginary parts are what a prior of
//! complex pictures is trained on.

use std::f64::consts::TAU;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use crate::Image;

/// Waves that a phase is made of.
const WAVES: usize = 4;

/// Their amplitude, a standard deviation in radians.
const AMPLITUDE: f64 = 1.5;

/// `[batch, 2, h, w]`, real and imaginary parts in [-1, 1], of pictures `[batch, 3, h, w]` in [-1, 1] whose first channel is
/// taken for the magnitude, black for 0 and white for 1. No wave of the phase is shorter than `shortest` pixels.
pub(super) fn complex(pictures: &Image, shortest: f64, rng: &mut impl Rng) -> Image {
    let (n, _, h, w) = pictures.dim();
    let mut out = Image::zeros((n, 2, h, w));
    for (mut out, picture) in out.outer_iter_mut().zip(pictures.outer_iter()) {
        let phase = Phase::random(shortest, rng);
        for i in 0..h {
            for j in 0..w {
                let magnitude = 0.5 * f64::from(picture[[0, i, j]]) + 0.5;
                let (sin, cos) = phase.at(i, j).sin_cos();
                out[[0, i, j]] = (magnitude * cos) as f32;
                out[[1, i, j]] = (magnitude * sin) as f32;
            }
        }
    }
    out
}

/// A constant, and plane waves.
struct Phase {
    middle: f64,
    waves: [Wave; WAVES],
}

struct Wave {
    amplitude: f64,
    /// Turns for each row and each column.
    frequency: [f64; 2],
    offset: f64,
}

impl Phase {
    fn random(shortest: f64, rng: &mut impl Rng) -> Phase {
        let wave = |rng: &mut _| wave(shortest, rng);
        Phase {
            middle: TAU * rng.random::<f64>(),
            waves: std::array::from_fn(|_| wave(rng)),
        }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        let wave = |wave: &Wave| {
            let [of_rows, of_columns] = wave.frequency;
            let turns = of_rows * i as f64 + of_columns * j as f64;
            wave.amplitude * (TAU * turns + wave.offset).cos()
        };
        self.middle + self.waves.iter().map(wave).sum::<f64>()
    }
}

fn wave(shortest: f64, rng: &mut impl Rng) -> Wave {
    let z: f64 = StandardNormal.sample(rng);
    let direction = TAU * rng.random::<f64>();
    let turns = rng.random::<f64>() / shortest;
    Wave {
        amplitude: AMPLITUDE * z,
        frequency: [turns * direction.sin(), turns * direction.cos()],
        offset: TAU * rng.random::<f64>(),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The magnitude is the picture's, the phase is no constant, another for each picture, and turns slowly. Wrong: black
    /// taken for -1.
    #[test]
    fn magnitudes_are_kept_and_phases_are_smooth() {
        let pictures = Image::from_shape_fn((2, 3, 40, 30), |(_, _, i, j)| {
            ((i * j) as f32 * 0.1).sin() * 0.9
        });
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let z = complex(&pictures, 40.0, &mut rng);
        let mut phases = Vec::new();
        for (z, x) in z.outer_iter().zip(pictures.outer_iter()) {
            for i in 0..40 {
                for j in 0..30 {
                    let (re, im) = (z[[0, i, j]], z[[1, i, j]]);
                    assert!((re.hypot(im) - (0.5 * x[[0, i, j]] + 0.5)).abs() < 1e-5);
                    if j > 0 {
                        let (re0, im0) = (z[[0, i, j - 1]], z[[1, i, j - 1]]);
                        let turned = (re * im0 - im * re0).atan2(re * re0 + im * im0);
                        // Four waves of 1.5 radians, of which the steepest turn by TAU/40 a pixel.
                        assert!(turned.abs() < 1.5, "{turned}");
                        phases.push(turned.abs());
                    }
                }
            }
        }
        assert!(phases.iter().sum::<f32>() / phases.len() as f32 > 0.005);
        let [a, b] = [0, 1].map(|n| z.index_axis(ndarray::Axis(0), n).to_owned());
        assert!(a != b);
    }
}
