//! Filtered back-projection: the inverse of the Radon transform, where enough is measured.
//!
//! Each projection is convolved with the ramp filter, sampled in space (Ramachandran and Lakshminarayanan 1971; Kak and Slaney
//! 1988, eq. 61), which unlike a sampled ramp keeps the mean right, and laid back along its rays.

use std::f64::consts::PI;

use rayon::prelude::*;
use realfft::RealFftPlanner;

use crate::fft::good_length;

/// The plane of `h` by `w` that a sinogram `[angles, detectors]` of line integrals in pixels shows, where an angle stands for
/// `step` radians.
pub(super) fn reconstructed(
    sinogram: &[f32],
    angles: &[f64],
    step: f64,
    (h, w): (usize, usize),
    out: &mut [f32],
) {
    let detectors = sinogram.len() / angles.len();
    let filtered = filtered(sinogram, detectors);
    let middle = |n: usize| (n as f64 - 1.0) / 2.0;
    let directions: Vec<(f64, f64)> = angles.iter().map(|a| a.sin_cos()).collect();
    out.par_chunks_exact_mut(w)
        .enumerate()
        .for_each(|(i, row)| {
            let y = middle(h) - i as f64;
            for (j, out) in row.iter_mut().enumerate() {
                let x = j as f64 - middle(w);
                let views = directions.iter().zip(filtered.chunks_exact(detectors));
                let sum: f64 = views
                    .map(|(&(sin, cos), view)| between(view, x * cos + y * sin + middle(detectors)))
                    .sum();
                *out = (step * sum) as f32;
            }
        });
}

/// A value between two of a list; beyond it nothing.
fn between(view: &[f64], at: f64) -> f64 {
    let low = at.floor();
    let part = at - low;
    let value = |i: f64| match i >= 0.0 && i < view.len() as f64 {
        true => view[i as usize],
        false => 0.0,
    };
    (1.0 - part) * value(low) + part * value(low + 1.0)
}

/// Each projection, convolved with the ramp.
fn filtered(sinogram: &[f32], detectors: usize) -> Vec<f64> {
    let n = good_length(2 * detectors);
    let mut planner = RealFftPlanner::<f64>::new();
    let (there, back) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
    let mut ramp: Vec<f64> = (0..n).map(|i| tap(i.min(n - i))).collect();
    let mut gain = there.make_output_vec();
    there
        .process(&mut ramp, &mut gain)
        .expect("lengths are those of the plan");
    let mut out = vec![0.0; sinogram.len()];
    out.par_chunks_exact_mut(detectors)
        .zip(sinogram.par_chunks_exact(detectors))
        .for_each(|(out, view)| {
            let mut line = vec![0.0; n];
            line.iter_mut()
                .zip(view)
                .for_each(|(to, &v)| *to = f64::from(v));
            let mut spectrum = there.make_output_vec();
            there
                .process(&mut line, &mut spectrum)
                .expect("lengths are those of the plan");
            for (v, g) in spectrum.iter_mut().zip(&gain) {
                // The taps are even: their spectrum is real.
                *v *= g.re / n as f64;
            }
            back.process(&mut spectrum, &mut line)
                .expect("lengths are those of the plan");
            out.copy_from_slice(&line[..detectors]);
        });
    out
}

/// The ramp filter at a distance of so many detectors.
fn tap(i: usize) -> f64 {
    match i {
        0 => 0.25,
        i if i % 2 == 1 => -1.0 / (PI * i as f64).powi(2),
        _ => 0.0,
    }
}
