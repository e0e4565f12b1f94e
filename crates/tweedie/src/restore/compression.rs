//! Noise that was there before a picture was compressed: how much, and whether it was white.
//!
//! A JPEG changes noise: it takes that of the colours between their samples, rounds most of what is at high frequencies away, and turns the
//! rest of it into single steps. What it would make of white noise can be tried: noise on the picture's means is compressed as the
//! file says, and looked at as the picture was. If for some level all bands show about the same, the noise was white before, and
//! the file is best undone together with it; and where rounding did more than the noise, in any case.
//!
//! Texture was compressed too, and shows in the bands as noise does. But noise is everywhere, in the flattest blocks as in the others: no
//! more is believed than these can hold.

use std::sync::Arc;

use ndarray::s;

use crate::image::Picture;
use crate::noise::{NoiseSource, Seeded};
use crate::noise_level::{self, Shown};
use crate::operator::{Jpeg, Loss, Operator};
use crate::problem::{Noise, averaged};
use crate::spectrum::Spectrum;
use crate::{Dims, Image};

/// Pixels a side of the part that is compressed.
const SIDE: usize = 512;
/// Blocks of samples of 4x4 pixels begin at multiples.
const CORNERS: usize = 32;
/// Means over so many pixels to each side stand for the picture without noise.
const REACH: usize = 3;
/// Times that the level is put right.
const ROUNDS: usize = 4;
/// Levels below are as good as none, for pictures in [0, 1].
const LITTLE: f64 = 1.5 / 255.0;
/// By how much more noise may show at low frequencies of the grey than white noise would, beside high ones, as a logarithm; how far the
/// middle may be off; and how much less the colours may show. More they may: compression takes their texture too.
const COARSER: f64 = 0.25;
const ALIKE: f64 = 0.2;
const PALER: f64 = 1.0;
/// By how much less than the noise would show the flattest blocks may show, as a logarithm.
const LESS: f64 = 0.3;
/// What shows so much more at high frequencies, beside low ones, than white noise would is texture.
const FINER: f64 = 0.55;
/// Noise of more than so many times what the decoded picture was cautiously said to have is texture.
const MOST: f64 = 8.0;
/// By how much a level is lowered at a time that the flattest blocks cannot hold.
const LOWER: f64 = 0.8;
/// Rounding by no more, of colours that have all their samples, is not worth several evaluations: quality 92 and more.
const COARSE: f64 = 15.0 / 255.0;
/// Of noise that is less than this part of what rounding makes it does not matter whether it was white; and where colours have all
/// their samples.
const SMALL: f64 = 0.35;
const SMALL_IN_COLOURS: f64 = 0.2;

/// The file as an operator, and the noise before it, if the noise in the picture was white then and undoing both is worth several
/// evaluations.
pub(super) fn before(
    picture: &Picture,
    operator: &dyn Operator,
    noise: Noise,
    notes: &mut Vec<String>,
) -> Option<(Box<dyn Operator>, Noise)> {
    let file = picture.jpeg.as_ref()?;
    if operator.loss() != Loss::NOTHING || noise == Noise::Exact {
        return None;
    }
    let jpeg = Jpeg::of_file(picture.dims(), &Arc::new(file.clone())).ok()?;
    let middle = middle(&picture.pixels);
    let law = noise.unshared();
    let trial = Trial::new(&jpeg, &middle, law);
    let seen = noise_level::shown(&middle)?;
    let (sigma, off) = trial.white_before(&seen)?;
    let ratio = sigma / jpeg.rounding();
    let matters = ratio < 1.0 && jpeg.rounding() > COARSE || jpeg.shares_colours();
    let small = match jpeg.shares_colours() {
        true => SMALL,
        false => SMALL_IN_COLOURS,
    };
    if !matters || ratio > small && !was_white(&off, picture.dims().c) {
        return None;
    }
    let likely = sigma <= MOST * law.level(&picture.pixels) && off[2] - off[0] < FINER;
    let sigma = trial.at_most(if likely { sigma } else { LITTLE }, &seen)?;
    let noise = match law {
        Noise::Poisson { a, b } => {
            let more = (sigma / law.level(&picture.pixels)).powi(2);
            Noise::Poisson {
                a: more * a,
                b: more * b,
            }
        }
        _ => Noise::White(sigma),
    };
    notes.push(match sigma > LITTLE {
        true => format!(
            "noise of {:.1}/255 was there before the picture was compressed: both are undone together",
            255.0 * sigma
        ),
        false => "no more noise than texture may show: the compression alone is undone".to_owned(),
    });
    Some((Box::new(jpeg), noise))
}

/// The middle of a large picture, from a corner of blocks and samples on.
fn middle(x: &Image) -> Image {
    let (_, _, h, w) = x.dim();
    let range = |n: usize| {
        let side = n.min(SIDE);
        let from = (n - side) / 2 / CORNERS * CORNERS;
        from..from + side
    };
    x.slice(s![.., .., range(h), range(w)]).to_owned()
}

/// Noise on the means of a picture, compressed as its file says.
struct Trial {
    jpeg: Jpeg,
    smooth: Image,
    /// Of a standard deviation of 1 in the mean, and of more where the picture's noise is more.
    normal: Image,
}

impl Trial {
    fn new(jpeg: &Jpeg, middle: &Image, law: Noise) -> Trial {
        let dims = Dims::of(middle);
        let smooth = averaged(middle, REACH);
        let share = |v: f32| (law.variance(v.into()).sqrt() / law.level(&smooth)) as f32;
        Trial {
            jpeg: jpeg.of_size(dims.h, dims.w),
            normal: Seeded::new(0, "measurement").normal(1, dims) * smooth.mapv(share),
            smooth,
        }
    }

    /// What noise of this level shows after compression.
    fn shown(&self, sigma: f64) -> Option<Shown> {
        let noisy = (&self.smooth + &(&self.normal * sigma as f32)).mapv(|v| v.clamp(0.0, 1.0));
        noise_level::shown(&self.jpeg.apply(&noisy).mapv(|v| v.clamp(0.0, 1.0)))
    }

    /// The level that shows most nearly so in the bands, and by how much more is seen in each band.
    fn white_before(&self, seen: &Shown) -> Option<(f64, [f64; 6])> {
        let mut sigma = seen.bands.grey[0].max(LITTLE);
        let mut off = [f64::INFINITY; 6];
        for _ in 0..ROUNDS {
            off = compared(&seen.bands, &self.shown(sigma)?.bands);
            sigma *= (off[..3].iter().sum::<f64>() / 3.0).exp();
        }
        Some((sigma, off))
    }

    /// The level, lowered until the flattest blocks can hold it.
    fn at_most(&self, mut sigma: f64, seen: &Shown) -> Option<f64> {
        while sigma > LITTLE {
            let shown = self.shown(sigma)?;
            let mut both = seen.flattest.iter().zip(shown.flattest);
            if both.all(|(&seen, shown)| more(seen, shown) > -LESS) {
                break;
            }
            sigma *= LOWER;
        }
        Some(sigma)
    }
}

/// Whether noise was white that shows by so much more in each band.
fn was_white(off: &[f64; 6], channels: usize) -> bool {
    let colours = if channels == 3 { &off[3..] } else { &[] };
    off[0] - off[2] < COARSER && off[1].abs() < ALIKE && colours.iter().all(|&v| v > -PALER)
}

/// The logarithms of how many times more is seen in each band, grey and then colours, than is shown.
fn compared(seen: &Spectrum, shown: &Spectrum) -> [f64; 6] {
    let both = seen.grey.iter().chain(&seen.colours);
    let both = both.zip(shown.grey.iter().chain(&shown.colours));
    let mut out = [0.0; 6];
    for (out, (seen, shown)) in out.iter_mut().zip(both) {
        *out = more(*seen, *shown);
    }
    out
}

/// The logarithm of how many times more is seen than is shown.
fn more(seen: f64, shown: f64) -> f64 {
    ((seen + LITTLE) / (shown + LITTLE)).ln()
}
