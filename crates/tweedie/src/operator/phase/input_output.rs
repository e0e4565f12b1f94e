//! Hybrid input-output: a plane from the magnitudes of its transform, given that it is surrounded by zeros and lies between black
//! and white (Fienup 1982, "Phase retrieval algorithms: a comparison").
//!
//! ```text
//! p  = F^-1 of the measured magnitudes with the phases of F x
//! x' = p            where p may be a picture: within it, and between 0 and 1
//!      x - beta*p   elsewhere
//! ```
//!
//! The last rounds put `p` to its limits instead (error reduction). Where it begins decides where it ends: of several starts the
//! one that explains most is kept.

use rand::RngExt;
use rayon::prelude::*;

use crate::fft::{Complex, Fft2};
use crate::noise::generator;

/// Rounds of each.
const ROUNDS: usize = 400;
/// Of these, the last that reduce the error alone.
const LAST: usize = 50;
/// How much of what may not be is taken back.
const BETA: f64 = 0.9;

/// A plane of this size that explains magnitudes, `amplitudes` of half a transform, the best from so many planes of noise, and what
/// it leaves unexplained.
pub(super) fn from_noise(
    fft: &Fft2,
    size: (usize, usize),
    amplitudes: &[f64],
    starts: u64,
) -> (Vec<f64>, f64) {
    let starts = (0..starts).into_par_iter().map(|k| {
        let mut rng = generator(k, "phase");
        let noise = (0..fft.height() * fft.width()).map(|_| rng.random::<f64>());
        run(fft, size, amplitudes, noise.collect(), ROUNDS)
    });
    let results: Vec<_> = starts.collect();
    let best = results.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    best.expect("there are several starts")
}

/// The same from a plane that looks alike.
pub(super) fn from_another(
    fft: &Fft2,
    (h, w): (usize, usize),
    amplitudes: &[f64],
    other: &[f64],
) -> Vec<f64> {
    let mut x = vec![0.0; fft.height() * fft.width()];
    for (to, from) in x.chunks_mut(fft.width()).zip(other.chunks(w)) {
        to[..w].copy_from_slice(from);
    }
    run(fft, (h, w), amplitudes, x, ROUNDS / 2).0
}

/// The plane and what it leaves unexplained.
fn run(
    fft: &Fft2,
    (h, w): (usize, usize),
    amplitudes: &[f64],
    mut x: Vec<f64>,
    rounds: usize,
) -> (Vec<f64>, f64) {
    let width = fft.width();
    let mut p = vec![0.0; x.len()];
    for round in 0..rounds {
        let mut spectrum = fft.forward(&x, width);
        put(&mut spectrum, amplitudes);
        fft.inverse(spectrum, &mut p, width, |to, v| *to = v);
        let last = round + LAST >= rounds;
        for (i, (x, &p)) in x.iter_mut().zip(&p).enumerate() {
            let within = i / width < h && i % width < w;
            *x = match within {
                true if last => p.clamp(0.0, 1.0),
                true if (0.0..=1.0).contains(&p) => p,
                false if last => 0.0,
                _ => *x - BETA * p,
            };
        }
    }
    let left = misfit(&fft.forward(&x, width), amplitudes);
    let rows = x.chunks(width).take(h);
    (rows.flat_map(|row| &row[..w]).copied().collect(), left)
}

/// Measured magnitudes in the place of those that a transform has.
fn put(spectrum: &mut [Complex], amplitudes: &[f64]) {
    for (z, &to) in spectrum.iter_mut().zip(amplitudes) {
        let size = z.norm();
        *z = match size > 0.0 {
            true => *z * (to / size),
            false => to.into(),
        };
    }
}

fn misfit(spectrum: &[Complex], amplitudes: &[f64]) -> f64 {
    let pairs = spectrum.iter().zip(amplitudes);
    pairs.map(|(z, a)| (z.norm() - a).powi(2)).sum()
}
