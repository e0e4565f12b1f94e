//! Degrading clean pictures the way a camera would.

use std::borrow::Cow;

use ndarray::{Array2, Axis};
use rand_distr::{Distribution, Poisson};

use super::{Error, ensure, seen};
use crate::image::Picture;
use crate::noise::{NoiseSource, Seeded, generator};
use crate::operator::Spec;
use crate::problem::Noise;
use crate::{Dims, Image};

/// A measurement made of a clean picture.
#[derive(Clone, Debug)]
pub struct Degraded {
    /// What was recorded, with what travels with the picture.
    pub picture: Picture,
    /// Which pixels were recorded, `[height, width]`; `None` if all were.
    pub known: Option<Array2<bool>>,
    /// Dimensions of the clean picture.
    pub clean: Dims,
}

/// `A(x)` with noise, for pictures in [0, 1], from the seed's stream "measurement"; a number is the standard deviation of white
/// noise. Holes hide the noise as they hide the picture. An operator that assumes nothing about what lies beyond the picture's
/// edges records less than all of it.
///
/// Noise that grows with brightness is that of counted light, `b*Poisson(x/b)`, and white noise of variance `a` on top.
///
/// # Errors
/// [`Error::Operator`] if the operator does not fit, [`Error::NoRoom`].
pub fn degrade(
    picture: &Picture,
    spec: &Spec,
    noise: impl Into<Noise>,
    seed: u64,
) -> Result<Degraded, Error> {
    let mut picture = picture.hidden_filled();
    // What tells colours apart wants them, if only to make the grey of greys.
    if spec.channels_recorded().is_some() {
        picture = Cow::Owned(picture.with_file_channels());
    }
    ensure(4 * picture.dims().len())?;
    let operator = spec.build(picture.dims())?;
    let mut y = match operator.binned() {
        // What is rounded has its noise by then.
        Some(binned) => binned.before().apply(&picture.pixels),
        None => operator.apply(&picture.pixels),
    };
    add_noise(&mut y, noise.into(), seed);
    if let Some(binned) = operator.binned() {
        y = binned.rounded(&y);
    }
    let known = operator.recorded();
    if let Some(known) = &known {
        for mut channel in y.index_axis_mut(Axis(0), 0).outer_iter_mut() {
            channel.zip_mut_with(known, |v, &known| *v = if known { *v } else { 0.0 });
        }
    }
    let mut seen = picture.into_owned();
    let clean = seen.dims();
    seen.alpha = seen.alpha.map(|alpha| operator.margins().crop_plane(alpha));
    if !spec.records_pictures() && seen.alpha.take().is_some() {
        seen.notes.push("transparency is left out".to_owned());
    }
    Ok(Degraded {
        picture: seen.with_pixels(y),
        known,
        clean,
    })
}

/// What can be seen of a measurement without a prior: the operator's first guess.
///
/// # Errors
/// [`Error::Operator`] if the operator does not fit.
pub fn preview(degraded: &Degraded, spec: &Spec) -> Result<Image, Error> {
    let operator = spec.build(degraded.clean)?;
    Ok(seen::at_first(operator.as_ref(), &degraded.picture.pixels))
}

fn add_noise(y: &mut Image, noise: Noise, seed: u64) {
    match noise {
        Noise::Exact => return,
        Noise::Poisson { a, b } if b > 0.0 && a >= 0.0 => count(y, b, seed),
        _ => {}
    }
    let draw = Seeded::new(seed, "measurement").normal(1, Dims::of(y));
    if let Noise::Correlated(spectrum) = noise {
        let mut shared = spectrum.coloured(&draw);
        shared.zip_mut_with(y, |n, &y| {
            *n *= (noise.variance(y.into()).sqrt() / spectrum.white) as f32
        });
        *y += &shared;
        return;
    }
    y.zip_mut_with(&draw, |v, n| {
        let variance = match noise {
            // Light was counted.
            Noise::Poisson { a, b } if b > 0.0 => a,
            _ => noise.variance(f64::from(*v)),
        };
        *v += variance.sqrt() as f32 * n
    });
}

/// Light in grains of `b` in the place of light.
fn count(y: &mut Image, b: f64, seed: u64) {
    let mut rng = generator(seed, "photons");
    for v in y.iter_mut() {
        // There is no light below black.
        let mean = f64::from(*v).max(0.0) / b;
        // Zero is no mean, and of less than this no grain comes in an image.
        if let (true, Ok(law)) = (mean > 1e-12, Poisson::new(mean)) {
            *v = (b * law.sample(&mut rng)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted light: its mean and variance, in whole grains, and white noise on top. Wrong: a normal law, which has no grains and
    /// goes below black.
    #[test]
    fn light_is_counted() {
        let (a, b) = (0.0, 0.05);
        let mut y = Image::from_elem((1, 1, 200, 200), 0.12);
        add_noise(&mut y, Noise::Poisson { a, b }, 1);
        let grains = |v: &f32| (v / 0.05 - (v / 0.05).round()).abs() < 1e-3 && *v >= 0.0;
        assert!(y.iter().all(grains));
        let moments = |y: &Image| {
            let y = y.mapv(f64::from);
            (y.mean().unwrap(), y.var(0.0))
        };
        let (mean, variance) = moments(&y);
        assert!((mean - 0.12).abs() < 0.002, "{mean}");
        assert!((variance / (b * 0.12) - 1.0).abs() < 0.03, "{variance}");
        let mut both = Image::from_elem((1, 1, 200, 200), 0.12);
        add_noise(&mut both, Noise::Poisson { a: 0.01, b }, 1);
        let (_, variance) = moments(&both);
        assert!(
            (variance / (0.01 + b * 0.12) - 1.0).abs() < 0.03,
            "{variance}"
        );
        let mut black = Image::zeros((1, 1, 8, 8));
        add_noise(&mut black, Noise::Poisson { a, b }, 1);
        assert!(black.iter().all(|&v| v == 0.0));
    }
}
