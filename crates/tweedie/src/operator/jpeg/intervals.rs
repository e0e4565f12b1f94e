//! What a JPEG says of a picture: an interval for each coefficient.

use std::borrow::Cow;

use ndarray::{Axis, Zip};
use rayon::prelude::*;

use super::Jpeg;
use super::component::Block;
use crate::Image;
use crate::image::Plane;
use crate::operator::Intervals;
use crate::truncated;

/// An interval for each DCT coefficient of each picture of a batch.
#[derive(Debug)]
pub(super) struct Coefficients<'a> {
    pub(super) operator: &'a Jpeg,
    /// Of each picture of the batch the components.
    pub(super) recorded: Vec<Cow<'a, [Plane]>>,
}

/// How far inside of its interval a number is put, in units of 1/255, so that it stays there when the pixels are rounded to 8
/// bits, and again as luma and differences of colour by another encoder: five standard deviations of both, and what encoders lose
/// that cut numbers off in the place of rounding them.
const MARGIN: f32 = 3.0;
/// What f32 does to a coefficient, at most, in the same units.
const ROUNDING: f32 = 0.02;
/// But no further than this part of a step.
const MARGIN_OF_STEP: f32 = 0.25;
/// Rounds of [`Intervals::nearest`]. At the edges, where pixels count several times, and at black and white it takes a few.
const ROUNDS: usize = 40;

impl Jpeg {
    pub(super) fn read(&self, y: &Image) -> Coefficients<'_> {
        let recorded = match &self.file {
            Some(file) => vec![Cow::Borrowed(file.coefficients.planes.as_slice())],
            None => {
                let pictures = y.axis_chunks_iter(Axis(0), 1);
                let found = pictures.map(|y| Cow::Owned(self.found(&y.to_owned())));
                found.collect()
            }
        };
        Coefficients {
            operator: self,
            recorded,
        }
    }

    /// The coefficients of a decoded picture.
    fn found(&self, y: &Image) -> Vec<Plane> {
        let planes = self.planes(y);
        let found = self
            .components
            .iter()
            .zip(&planes)
            .map(|(component, plane)| {
                let blocks = component.analysed(&component.downsampled(plane));
                let value = |block: &Block| {
                    std::array::from_fn(|i| (block[i] / component.steps[i]).round() as i16)
                };
                Plane {
                    blocks: component.blocks(),
                    values: blocks.iter().map(value).collect(),
                }
            });
        found.collect()
    }
}

impl Intervals for Coefficients<'_> {
    fn expected(&self, z: &Image, sigma: f64, noise: f64) -> Image {
        let (own, both) = (sigma * sigma, sigma * sigma + noise * noise);
        let spread = 255.0 * both.sqrt();
        self.updated(z, |k, step, c| {
            let (low, high) = ((k - 0.5) * step, (k + 0.5) * step);
            let mean = truncated::mean(c.into(), spread, low.into(), high.into());
            (own / both * (mean - f64::from(c))) as f32
        })
    }

    fn drawn(&self, x: &Image, sigma: &Image, w: &Image, normal: &Image) -> Image {
        self.drawn_from(x, sigma, w, normal)
    }

    /// By projections onto both in turn.
    fn nearest(&self, z: &Image) -> (Image, usize) {
        let mut x = z.clone();
        for _ in 0..ROUNDS {
            x.mapv_inplace(|v| v.clamp(0.0, 1.0));
            if self.outside(&x, MARGIN / 2.0) == 0 {
                break;
            }
            x = self.updated(&x, |k, step, c| {
                let half = 0.5 * step - margin(step, MARGIN);
                c.clamp(k * step - half, k * step + half) - c
            });
        }
        x.mapv_inplace(|v| v.clamp(0.0, 1.0));
        let outside = self.outside(&x, 0.0);
        (x, outside)
    }

    fn outside(&self, x: &Image, by: f32) -> usize {
        let mut outside = 0;
        self.each(x, |recorded, component, blocks| {
            let count = |(values, block): (&[i16; 64], &Block)| {
                let is_out = |&i: &usize| {
                    let step = component.steps[i];
                    let off = block[i] - f32::from(values[i]) * step;
                    off.abs() > 0.5 * step - margin(step, by) + ROUNDING
                };
                (0..64).filter(is_out).count()
            };
            let pairs = recorded.values.par_iter().zip(blocks.par_iter());
            outside += pairs.map(count).sum::<usize>();
        });
        outside
    }
}

impl Coefficients<'_> {
    /// `x` with each coefficient moved by whole steps to where it is rounded to the recorded number.
    pub(super) fn moved(&self, x: &Image) -> Image {
        self.updated(x, |k, step, c| (k - (c / step).round()) * step)
    }

    /// `z` with each coefficient `c` changed by what `f` says of the recorded number, its step and `c`.
    fn updated(&self, z: &Image, f: impl Fn(f32, f32, f32) -> f32 + Sync) -> Image {
        let mut changes = Vec::new();
        self.each(z, |recorded, component, mut blocks| {
            let pairs = recorded.values.par_iter().zip(blocks.par_iter_mut());
            pairs.for_each(|(values, block)| {
                for ((c, &k), &step) in block.iter_mut().zip(values).zip(&component.steps) {
                    *c = f(k.into(), step, *c);
                }
            });
            changes.push(component.synthesised(blocks));
        });
        let mut changes = changes.into_iter();
        let pictures = z.axis_chunks_iter(Axis(0), 1).map(|z| {
            let mut planes = self.operator.planes(&z.to_owned());
            let components = self.operator.components.iter();
            for ((component, plane), change) in components.zip(&mut planes).zip(&mut changes) {
                component.add(&change, plane);
            }
            self.operator.picture(&planes)
        });
        let pictures: Vec<Image> = pictures.collect();
        let mut out = z.clone();
        for (mut out, picture) in out.axis_chunks_iter_mut(Axis(0), 1).zip(&pictures) {
            Zip::from(&mut out)
                .and(picture)
                .for_each(|out, &v| *out = v);
        }
        out
    }

    /// Shows `f` the coefficients of each component of each picture, with what was recorded.
    fn each(&self, x: &Image, mut f: impl FnMut(&Plane, &super::Component, Vec<Block>)) {
        let pictures = x.axis_chunks_iter(Axis(0), 1).zip(&self.recorded);
        for (x, recorded) in pictures {
            let planes = self.operator.planes(&x.to_owned());
            let components = self.operator.components.iter();
            for ((component, plane), recorded) in components.zip(&planes).zip(recorded.iter()) {
                let samples = component.sampled(plane.view());
                f(recorded, component, component.analysed(&samples));
            }
        }
    }
}

fn margin(step: f32, most: f32) -> f32 {
    most.min(MARGIN_OF_STEP * step)
}
