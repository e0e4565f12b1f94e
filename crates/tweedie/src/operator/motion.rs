//! Random camera shake: the kernels that DPS, DiffPIR and DAPS deblur.
//!
//! The trajectory follows the generator that those papers use (Borodenko's `motionblur`, after the accelerated walks of
//! DeblurGAN, Kupyn et al. 2018): it has the same distribution, not the same pixels. Steps are Beta distributed, the
//! direction is drawn anew at each step, and with a probability that stays the same for a kernel it does not change
//! side.

use std::f64::consts::PI;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma};
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution, Triangular};

use super::kernel::MAX_SIDE;
use super::{Error, Kernel};
use crate::noise::generator;

/// Keeps directions and step lengths from degenerating at the ends of the intensity's range.
const EPSILON: f64 = 0.1;

impl Kernel {
    /// Random camera shake on `size` by `size` taps, from the generator that DPS, DiffPIR and DAPS use, with the same
    /// distribution. `intensity`, 0 to 1, makes the path longer and more winding; 0.5 is usual, with a size of 61.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `size` is not in 3..=1023 or `intensity` not in [0, 1].
    pub fn random_motion(size: usize, intensity: f64, seed: u64) -> Result<Kernel, Error> {
        if !(3..=MAX_SIDE).contains(&size) {
            return Err(Error::Invalid(format!(
                "a random motion kernel has 3 to {} taps a side, not {size}",
                MAX_SIDE
            )));
        }
        if !(0.0..=1.0).contains(&intensity) {
            return Err(Error::Invalid(format!(
                "the intensity of a motion is between 0 and 1, not {intensity}"
            )));
        }
        let mut rng = generator(seed, "kernel");
        // Drawn at twice the size, then made smaller: that is what smooths the line.
        let canvas = 2 * size;
        let diagonal = canvas as f64 * 2f64.sqrt();
        let path = path(&mut rng, diagonal, intensity, canvas as f64 / 2.0)?;
        let width = ((diagonal / 150.0) as usize).max(1);
        let mut picture = draw(&path, canvas, width);
        let radius = (0.01 * diagonal).floor();
        if radius > 0.0 {
            picture = imageops::blur(&picture, radius as f32);
        }
        let side = size as u32;
        let small = imageops::resize(&picture, side, side, FilterType::Lanczos3);
        // To eight bits, as the generator's pictures are: Lanczos' faint negative ripples vanish.
        let taps = small
            .pixels()
            .map(|p| (255.0 * f64::from(p.0[0]).max(0.0)).round());
        let taps = ndarray::Array2::from_shape_vec((size, size), taps.collect())
            .map_err(|e| Error::Invalid(e.to_string()))?;
        Kernel::new(taps)
    }
}

/// The corners of the path in pixels of the canvas, its mean in the middle.
fn path(
    rng: &mut impl Rng,
    diagonal: f64,
    intensity: f64,
    middle: f64,
) -> Result<Vec<(f64, f64)>, Error> {
    let invalid = |e: &dyn std::fmt::Display| Error::Invalid(e.to_string());
    let steps = steps(rng, diagonal, intensity)?;
    let most = rng.random::<f64>() * intensity * PI;
    let flip = Beta::new(2.0, 20.0).map_err(|e| invalid(&e))?.sample(rng);
    let turn = Triangular::new(0.0, most + EPSILON, intensity * most).map_err(|e| invalid(&e))?;
    let mut angle = most * (2.0 * rng.random::<f64>() - 1.0);
    let (mut x, mut y) = (0.0, 0.0);
    let mut corners = Vec::with_capacity(steps.len());
    for (k, step) in steps.into_iter().enumerate() {
        if k > 0 {
            // A direction, not a change of direction: it wavers about the axis, now on this side, now on that.
            let size = turn.sample(rng);
            let other_side = rng.random::<f64>() < flip;
            let positive = (angle >= 0.0) != other_side;
            angle = if positive { size } else { -size };
        }
        x += step * angle.cos();
        y += step * angle.sin();
        corners.push((x, y));
    }
    let n = corners.len() as f64;
    let mean = corners
        .iter()
        .fold((0.0, 0.0), |m, c| (m.0 + c.0 / n, m.1 + c.1 / n));
    let (sine, cosine) = (rng.random::<f64>() * PI).sin_cos();
    for (x, y) in &mut corners {
        let (u, v) = (*x - mean.0, *y - mean.1);
        *x = u * cosine - v * sine + middle;
        *y = u * sine + v * cosine + middle;
    }
    Ok(corners)
}

/// Lengths of the steps, at least one, until their sum reaches a random length.
fn steps(rng: &mut impl Rng, diagonal: f64, intensity: f64) -> Result<Vec<f64>, Error> {
    let beta = Beta::new(1.0, 30.0).map_err(|e| Error::Invalid(e.to_string()))?;
    let longest = 0.75 * diagonal * (rng.random::<f64>() + rng.random::<f64>() * intensity.powi(2));
    let (mut sum, mut steps) = (0.0, Vec::new());
    // Steps longer than the whole are drawn again; a length near 0 would never end, hence the bound.
    for _ in 0..100_000 {
        if sum >= longest {
            break;
        }
        let step = beta.sample(rng) * (1.0 - intensity + EPSILON) * diagonal;
        if step < longest {
            steps.push(step);
            sum += step;
        }
    }
    if steps.is_empty() {
        steps.push(longest);
    }
    Ok(steps)
}

/// A poly-line `width` pixels wide, ones on zeros.
fn draw(path: &[(f64, f64)], canvas: usize, width: usize) -> ImageBuffer<Luma<f32>, Vec<f32>> {
    let mut picture = ImageBuffer::new(canvas as u32, canvas as u32);
    let mut dot = |x: f64, y: f64| {
        let reach = (width as i64 - 1) / 2;
        for dy in -reach..=width as i64 - 1 - reach {
            for dx in -reach..=width as i64 - 1 - reach {
                let (x, y) = (x.floor() as i64 + dx, y.floor() as i64 + dy);
                let inside = 0..canvas as i64;
                // What leaves the canvas is cut off.
                if inside.contains(&x) && inside.contains(&y) {
                    picture.put_pixel(x as u32, y as u32, Luma([1.0]));
                }
            }
        }
    };
    if let [only] = path {
        dot(only.0, only.1);
    }
    for pair in path.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let n = (x1 - x0).abs().max((y1 - y0).abs()).ceil().max(1.0);
        for i in 0..=n as usize {
            let t = i as f64 / n;
            dot(x0 + t * (x1 - x0), y0 + t * (y1 - y0));
        }
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::KernelSpec;

    fn kernel(text: &str) -> Kernel {
        text.parse::<KernelSpec>().unwrap().build().unwrap()
    }

    /// Over seeds: the seed decides, weights are not negative, the centroid is near the middle, and a larger intensity
    /// makes paths that leave the straight line (the median of the smaller principal axis grows: some paths are but a dot, which
    /// is as wide as long).
    #[test]
    fn random_motion() {
        assert_eq!(
            kernel("motion-random:61:0.5:3"),
            kernel("motion-random:61:0.5:3")
        );
        assert_ne!(
            kernel("motion-random:61:0.5:3"),
            kernel("motion-random:61:0.5:4")
        );
        let mut winding = Vec::new();
        for intensity in [0.0, 0.5, 1.0] {
            let mut smaller = Vec::new();
            for seed in 0..241 {
                let k = Kernel::random_motion(61, intensity, seed).unwrap();
                assert!(k.taps().iter().all(|&t| t >= 0.0));
                let moment = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                    let taps = k.taps().indexed_iter();
                    taps.map(|((i, j), t)| t * f(j as f64 - 30.0, i as f64 - 30.0))
                        .sum()
                };
                let (mx, my) = (moment(&|x, _| x), moment(&|_, y| y));
                // The mean of the corners is in the middle; that of the line is near it.
                assert!(mx.hypot(my) < 15.0, "seed {seed}: centroid {mx}, {my}");
                let xx = moment(&|x, _| (x - mx).powi(2));
                let yy = moment(&|_, y| (y - my).powi(2));
                let xy = moment(&|x, y| (x - mx) * (y - my));
                let small = (xx + yy) / 2.0 - ((xx - yy).powi(2) / 4.0 + xy * xy).sqrt();
                smaller.push(small / (xx + yy));
            }
            smaller.sort_by(f64::total_cmp);
            winding.push(smaller[120]);
        }
        assert!(
            winding[0] < 0.7 * winding[1] && winding[1] < winding[2],
            "{winding:?}"
        );
        assert!(Kernel::random_motion(15, 1.0, 0).is_ok());
        assert!(Kernel::random_motion(2, 0.5, 0).is_err());
        assert!(Kernel::random_motion(15, 1.5, 0).is_err());
    }
}
