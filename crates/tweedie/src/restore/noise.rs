//! The noise in a file's picture: what the picture shows where it can be seen, and never less than what its file can hold.

use ndarray::{Array2, Axis};

use crate::image::{Depth, Jpeg, Picture};
use crate::noise_level::{self, Error, Found};
use crate::operator::{self, Loss, Operator};
use crate::problem::Noise;

/// Less noise than this is none, in a measurement that is no picture.
const LEAST: f64 = 1e-4;
/// A grain of more pixels is told of.
const GRAIN: f64 = 1.3;
/// What is less sure is said to be so.
const DOUBT: f64 = 0.3;

/// The noise of a measurement, with what is worth saying of it.
pub(super) fn estimate(
    picture: &Picture,
    operator: &dyn Operator,
    notes: &mut Vec<String>,
) -> Result<Noise, Error> {
    if let Some(sigma) = operator.noise_in(&picture.pixels) {
        return Ok(match sigma < LEAST {
            true => Noise::Exact,
            false => Noise::White(sigma),
        });
    }
    let found = match look(picture, operator) {
        Ok(found) => found,
        Err(Error::TooSmall { .. }) => {
            notes.push(
                "too few pixels lie side by side to tell the noise from: taken as none".to_owned(),
            );
            return Ok(Noise::Exact);
        }
        Err(e) => return Err(e),
    };
    let noise = match found.sigma < rounding(picture.depth) {
        true => Noise::Exact,
        false if alone(operator) => found.noise,
        // Weights would cost the closed form of a blur more than they give.
        false => found.noise.level(&picture.pixels).into(),
    };
    notes.extend(told(&found, noise, picture));
    Ok(match &picture.jpeg {
        Some(jpeg) if operator.loss() != Loss::NOTHING => at_least(noise, step(jpeg), notes),
        _ => noise,
    })
}

/// Whether the operator looks at each pixel alone.
fn alone(operator: &dyn Operator) -> bool {
    operator.linear().is_some_and(|linear| linear.pixelwise())
}

/// Beside each other in a mosaic lie numbers of different colours, of which only the white part of the noise can be told.
fn look(picture: &Picture, operator: &dyn Operator) -> Result<Found, Error> {
    let known = known(picture, operator);
    let known = known.as_ref().map(|k| k.view());
    let channels = picture.dims().c;
    if channels != 1 && channels != 3 {
        // Several pictures, of which each has its own noise, and methods are told one level.
        let each = if channels.is_multiple_of(3) { 3 } else { 1 };
        let parts = picture.pixels.axis_chunks_iter(Axis(1), each);
        let levels: Result<Vec<f64>, Error> = parts
            .map(|part| noise_level::estimate(&part.to_owned(), known))
            .collect();
        let squares: Vec<f64> = levels?.iter().map(|sigma| sigma * sigma).collect();
        let mean = squares.iter().sum::<f64>() / squares.len() as f64;
        return Ok(Found::white(mean.sqrt()));
    }
    let mosaic = operator.loss().pixels && operator.output().c < operator.input().c;
    match mosaic {
        true => noise_level::estimate(&picture.pixels, known).map(Found::white),
        false => noise_level::look(&picture.pixels, known),
    }
}

/// Which pixels show something: those that were recorded and can be seen.
fn known(picture: &Picture, operator: &dyn Operator) -> Option<Array2<bool>> {
    let seen = picture.alpha.as_ref().map(|alpha| alpha.mapv(|a| a > 0.0));
    match (operator.recorded(), seen) {
        (Some(recorded), Some(seen)) if recorded.dim() == seen.dim() => {
            let both = recorded.iter().zip(&seen).map(|(&r, &s)| r && s).collect();
            Some(Array2::from_shape_vec(seen.dim(), both).expect("of one size"))
        }
        (Some(recorded), _) => Some(recorded),
        (None, seen) => seen,
    }
}

/// The least noise that is more than a file's rounding: twice its standard deviation, 0.29 of a step.
fn rounding(depth: Depth) -> f64 {
    match depth {
        Depth::Eight => 0.6 / 255.0,
        Depth::Sixteen => 0.6 / 65535.0,
        Depth::Float => 0.0,
    }
}

/// What is special about the noise, in a line.
fn told(found: &Found, noise: Noise, picture: &Picture) -> Option<String> {
    let mut parts = Vec::new();
    if let Noise::Poisson { b, .. } = noise.unshared() {
        let where_more = if b > 0.0 { "bright" } else { "dark" };
        parts.push(format!("more in {where_more} parts"));
    }
    if noise != Noise::Exact && found.grain > GRAIN {
        parts.push(format!("grain of {:.1} pixels", found.grain));
    }
    if let Some(quality) = picture.jpeg.as_ref().and_then(Jpeg::quality) {
        parts.push(format!("JPEG quality about {quality:.0}"));
    }
    if noise != Noise::Exact && found.doubt > DOUBT {
        parts.push("hard to tell from texture, so taken cautiously: --noise states it".to_owned());
    }
    let level = match noise.level(&picture.pixels) {
        0.0 => "none to speak of".to_owned(),
        sigma => format!("{:.1}/255", sigma * 255.0),
    };
    (!parts.is_empty()).then(|| format!("noise {level}, {}", parts.join(", ")))
}

/// The noise, at least `sigma`.
fn at_least(noise: Noise, sigma: f64, notes: &mut Vec<String>) -> Noise {
    let less = match noise.unshared() {
        Noise::Exact => true,
        Noise::White(found) => found < sigma,
        _ => false,
    };
    if !less {
        return noise;
    }
    notes.push(format!(
        "noise taken as {:.1}/255, what the JPEG's quantisation makes",
        sigma * 255.0
    ));
    Noise::White(sigma)
}

/// Standard deviation of what quantisation does to the pixels of a JPEG: of each component the steps of the frequencies that it
/// rounds and does not merely drop, over the root of 12; colours count half, since a method is told one level for all.
fn step(jpeg: &Jpeg) -> f64 {
    let variance = |steps: &[u16; 64]| {
        let low = (1..64).filter(|i| i / 8 + i % 8 <= 4);
        let squares: Vec<f64> = low.map(|i| f64::from(steps[i]).powi(2) / 12.0).collect();
        squares.iter().sum::<f64>() / squares.len() as f64
    };
    let mut components = jpeg.components.iter().map(|c| variance(&c.steps));
    let luma = components.next().unwrap_or(0.0);
    let colours: Vec<f64> = components.collect();
    let colour = colours.iter().sum::<f64>() / colours.len().max(1) as f64;
    (luma + 0.5 * colour).sqrt() / 255.0
}

/// JPEGs of less than this quality are better undone as such, unless there is much other noise.
const COARSE: f64 = 60.0;
/// Much is more than so many times what compression does to a picture.
const MUCH: f64 = 1.5;

/// That another verb suits a picture better whose noise is mostly compression.
pub(super) fn compressed(
    picture: &Picture,
    operator: &dyn Operator,
    noise: Noise,
) -> Option<String> {
    let jpeg = picture.jpeg.as_ref()?;
    let coarse = jpeg.quality()? < COARSE;
    let compression = operator::error_of_step(jpeg.coarseness() / 255.0);
    let little = noise.variance(0.5).sqrt() < MUCH * compression;
    (coarse && little && operator.loss() == Loss::NOTHING)
        .then(|| "most of this is JPEG compression, which `dejpeg` undoes better".to_owned())
}
