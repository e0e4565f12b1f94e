//! How noisy is a picture, and how? From the picture alone.
//!
//! [`estimate`] tells the standard deviation of white Gaussian noise, exactly where the noise is that. That of real pictures is
//! not: it grows with brightness, and demosaicing, resizing, compression and in-camera denoising have spread it over
//! neighbouring pixels and colours. [`look`] tells of all this what a prior needs to know that was made for white noise: which
//! level of that does most good, and whether it depends on brightness.

pub(crate) mod blocks;
mod brightness;
mod compressed;
mod regression;
mod white;

use ndarray::{Array2, ArrayView2};

pub use white::{Error, estimate};

use crate::problem::Noise;
use crate::spectrum::Spectrum;
use crate::{Dims, Image};
use blocks::Blocks;
use regression::Levels;

/// Noise as a picture shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// What to tell a method.
    pub noise: Noise,
    /// Its level, for pictures in [0, 1]: the one of white noise at which a denoiser does most good.
    pub sigma: f64,
    /// How unsure that is: about the standard deviation of its logarithm. 0 where the noise is white.
    pub doubt: f64,
    /// Over how many pixels a grain of the noise reaches, each way; 1 for white noise.
    pub grain: f64,
}

/// Looks at a picture `[1, 1 or 3, height, width]` in [0, 1]. With a mask `known` (`[height, width]`), only at pixels that are.
///
/// # Errors
/// Those of [`estimate`].
pub fn look(x: &Image, known: Option<ArrayView2<'_, bool>>) -> Result<Found, Error> {
    let white = estimate(x, known)?;
    let Dims { h, w, .. } = Dims::of(x);
    let all = Array2::from_elem((h, w), true);
    let known = known.unwrap_or(all.view());
    if even_share(x, known).is_none_or(|share| share > DRAWN) {
        return Ok(Found::white(white));
    }
    let blocks = Blocks::of(x.index_axis(ndarray::Axis(0), 0), known);
    let Some(levels) = regression::levels(&blocks) else {
        return Ok(Found::white(white));
    };
    let (level, doubt) = effective(&levels);
    let found = match is_white(&levels, white) {
        true => Found::white(white + compressed(x, known)),
        false => {
            // What cannot be told from texture is not taken from the picture.
            let caution = (-CAUTION * (doubt - SURE).max(0.0)).exp();
            Found {
                noise: shared(&levels, caution, level, x.dim().1),
                sigma: caution * level,
                doubt,
                grain: grain(&levels),
            }
        }
    };
    let noise = match (brightness::fit(&blocks), found.noise) {
        (Some(Noise::Poisson { a, b }), Noise::Correlated(spectrum)) => {
            Noise::Correlated(Spectrum {
                brightness: Some([a, b]),
                ..spectrum
            })
        }
        (law, noise) => law.unwrap_or(noise),
    };
    Ok(Found { noise, ..found })
}

/// Bands of which the strongest is no more than so many times the weakest are as good as white.
const EVEN: f64 = 1.25;

/// The noise of which `caution` is taken: that neighbours share, unless all bands are about alike.
fn shared(levels: &Levels, caution: f64, white: f64, channels: usize) -> Noise {
    let taken = levels.sigma.map(|s| caution * s);
    let spectrum = spectrum(taken, caution * white);
    let told = if channels == 3 {
        &taken[..]
    } else {
        &taken[..3]
    };
    let most = told.iter().fold(0.0f64, |m, &s| m.max(s));
    let least = told.iter().fold(f64::INFINITY, |m, &s| m.min(s));
    match most > EVEN * least && spectrum.white > 0.0 {
        true => Noise::Correlated(spectrum),
        false => Noise::from(spectrum.white),
    }
}

/// What a picture shows, noise and texture alike, as standard deviations for pictures in [0, 1].
pub(crate) struct Shown {
    /// The noise in each band.
    pub(crate) bands: Spectrum,
    /// What the flattest hundredth of the blocks has at most, in three bands of the grey.
    pub(crate) flattest: [f64; 3],
}

/// What a picture `[1, 1 or 3, height, width]` in [0, 1] shows; `None` if it is too small to tell.
pub(crate) fn shown(x: &Image) -> Option<Shown> {
    let Dims { h, w, .. } = Dims::of(x);
    let all = Array2::from_elem((h, w), true);
    let blocks = Blocks::of(x.index_axis(ndarray::Axis(0), 0), all.view());
    let levels = regression::levels(&blocks)?;
    Some(Shown {
        bands: spectrum(levels.sigma, effective(&levels).0),
        flattest: blocks.flattest(),
    })
}

fn spectrum(sigma: [f64; blocks::LEVELS], white: f64) -> Spectrum {
    let [grey, colours] = [0, 3].map(|first| std::array::from_fn(|g| sigma[first + g]));
    Spectrum {
        grey,
        colours,
        white,
        brightness: None,
    }
}

/// What rounding by a JPEG of all its colours, after which white noise still looks white, adds to the level that does most good: its
/// coefficients are zero or a step, which looks like detail. Fitted to the best levels for 144 pictures.
fn compressed(x: &Image, known: ArrayView2<'_, bool>) -> f64 {
    let picture = x.index_axis(ndarray::Axis(0), 0);
    let steps = compressed::steps(picture, known).unwrap_or(0.0);
    0.25 * steps / 12f64.sqrt()
}

/// A picture of whose neighbours more are exactly equal was drawn and not taken: noise leaves few such pairs, and what lies
/// between its flat areas is no noise.
const DRAWN: f64 = 0.5;

/// Of pairs of neighbours in a row the share that is exactly equal; pairs that are black or white in all channels do not count,
/// since clipping makes them. `None` if there are no others.
fn even_share(x: &Image, known: ArrayView2<'_, bool>) -> Option<f64> {
    let (_, channels, h, w) = x.dim();
    let (mut even, mut all) = (0usize, 0usize);
    for i in 0..h {
        for j in 1..w {
            let values = (0..channels).map(|c| (x[[0, c, i, j - 1]], x[[0, c, i, j]]));
            let clipped = |v: f32| v <= 0.0 || v >= 1.0;
            if known[(i, j - 1)]
                && known[(i, j)]
                && !values.clone().all(|(a, b)| clipped(a) && clipped(b))
            {
                all += 1;
                even += usize::from(values.into_iter().all(|(a, b)| a == b));
            }
        }
    }
    (all > 0).then(|| even as f64 / all as f64)
}

/// How unsure a level may be to be taken as it is, and how fast it falls beyond.
const SURE: f64 = 0.12;
const CAUTION: f64 = 4.0;

/// Of the variances squared: the level of white noise at which a denoiser does most good is the fourth root of their weighted
/// mean, times the root of the grain, since grain looks more like texture than white noise does. Fitted to the best levels for 169
/// pictures with noise of 15 kinds (models/noise).
const WEIGHTS: [f64; blocks::LEVELS] = [0.057, 0.0, 0.185, 0.0, 0.758, 0.0];

/// That level, and how unsure it is: as much as the bands that it comes from.
fn effective(levels: &Levels) -> (f64, f64) {
    let parts: [f64; blocks::LEVELS] =
        std::array::from_fn(|g| WEIGHTS[g] * levels.sigma[g].powi(4));
    let sum: f64 = parts.iter().sum();
    let doubt: f64 = parts.iter().zip(levels.doubt).map(|(p, d)| p * d).sum();
    match sum > 0.0 {
        true => (sum.powf(0.25) * grain(levels).sqrt(), doubt / sum),
        false => (0.0, 0.0),
    }
}

/// Whether all bands show what white noise of this level would, as closely as they can tell; or next to nothing.
fn is_white(levels: &Levels, white: f64) -> bool {
    let like = |s: &f64| (s / white).ln().abs() < 0.2;
    let (level, _) = effective(levels);
    level < 1.0 / 255.0 || (level / white).ln().abs() < 0.15 && levels.sigma.iter().all(like)
}

/// The side of a square over which white noise would be averaged to be as much stronger at low frequencies than on average.
fn grain(levels: &Levels) -> f64 {
    let all: f64 = blocks::COUNTS.iter().sum();
    let variances: Vec<f64> = levels.sigma.iter().map(|s| s * s).collect();
    let band = |g: usize| variances[g] + 2.0 * variances[g + 3];
    let mean: f64 = (0..3).map(|g| blocks::COUNTS[g] / all * band(g)).sum();
    (band(0) / mean.max(1e-12)).sqrt().max(1.0)
}

impl Found {
    /// White noise of this standard deviation.
    pub fn white(sigma: f64) -> Found {
        Found {
            noise: Noise::from(sigma),
            sigma,
            doubt: 0.0,
            grain: 1.0,
        }
    }
}
