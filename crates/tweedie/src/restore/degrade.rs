//! Degrading clean pictures the way a camera would.

use std::borrow::Cow;

use ndarray::{Array2, Axis};

use super::{Error, ensure};
use crate::image::Picture;
use crate::noise::{NoiseSource, Seeded};
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
    let mut y = operator.apply(&picture.pixels);
    add_noise(&mut y, noise.into(), seed);
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
    let guess = operator.guess(&degraded.picture.pixels);
    Ok(operator.margins().crop(guess))
}

fn add_noise(y: &mut Image, noise: Noise, seed: u64) {
    if noise != Noise::Exact {
        let draw = Seeded::new(seed, "measurement").normal(1, Dims::of(y));
        y.zip_mut_with(&draw, |v, n| {
            *v += noise.variance(f64::from(*v)).sqrt() as f32 * n
        });
    }
}
