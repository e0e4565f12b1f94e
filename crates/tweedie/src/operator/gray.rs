//! Colour to gray.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Error, Operator, cg, not_empty, plane};
use crate::{Dims, Image};

/// How much each channel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrayWeights {
    /// All the same: `1/channels`, what DDRM, DDNM and RED-diff colourise from.
    #[default]
    Mean,
    /// Luma of ITU-R BT.601, `.299 R + .587 G + .114 B`: what most programs make a gray picture with.
    Luma,
}

impl FromStr for GrayWeights {
    type Err = Error;

    fn from_str(s: &str) -> Result<GrayWeights, Error> {
        match s {
            "mean" => Ok(GrayWeights::Mean),
            "luma" => Ok(GrayWeights::Luma),
            _ => Err(Error::Invalid(format!(
                "`{s}` is not a way to weigh channels; there are mean and luma"
            ))),
        }
    }
}

impl fmt::Display for GrayWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GrayWeights::Mean => "mean",
            GrayWeights::Luma => "luma",
        })
    }
}

/// `y = sum_c w_c x_c`: one channel from several.
///
/// `A A^T = |w|^2 I`, with `|w| = 1/sqrt(channels)` for the mean, so that everything is in closed form.
#[derive(Clone, Debug, PartialEq)]
pub struct Gray {
    input: Dims,
    weights: Vec<f64>,
}

impl Gray {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, or for luma if there are not three channels.
    pub fn new(input: Dims, weights: GrayWeights) -> Result<Gray, Error> {
        not_empty("gray", input)?;
        let weights = match weights {
            GrayWeights::Mean => vec![1.0 / input.c as f64; input.c],
            GrayWeights::Luma if input.c == 3 => vec![0.299, 0.587, 0.114],
            GrayWeights::Luma => {
                return Err(Error::Input {
                    operator: "gray by luma",
                    expected: "three channels",
                    got: input,
                });
            }
        };
        Ok(Gray { input, weights })
    }

    /// `|w|^2`.
    fn norm2(&self) -> f64 {
        self.weights.iter().map(|w| w * w).sum()
    }

    /// Each channel is `factor(w_c)` times the gray.
    fn spread(&self, y: &Image, factor: impl Fn(f64) -> f64) -> Image {
        plane::check(y, self.output());
        let mut x = Image::zeros(self.input.batch(y.dim().0));
        for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
            let gray = y.index_axis(ndarray::Axis(0), 0);
            for (mut x, &w) in x.outer_iter_mut().zip(&self.weights) {
                let factor = factor(w);
                x.zip_mut_with(&gray, |x, &y| *x = (factor * y as f64) as f32);
            }
        }
        x
    }
}

impl Operator for Gray {
    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims { c: 1, ..self.input }
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.input);
        let mut y = Image::zeros(self.output().batch(x.dim().0));
        for (mut y, x) in y.outer_iter_mut().zip(x.outer_iter()) {
            for (y, pixel) in y.iter_mut().zip(x.lanes(ndarray::Axis(0))) {
                let sum: f64 = self
                    .weights
                    .iter()
                    .zip(&pixel)
                    .map(|(w, &x)| w * x as f64)
                    .sum();
                *y = sum as f32;
            }
        }
        y
    }

    fn adjoint(&self, u: &Image) -> Image {
        self.spread(u, |w| w)
    }

    /// `w*y/|w|^2`.
    fn pseudo_inverse(&self, y: &Image) -> Image {
        let norm2 = self.norm2();
        self.spread(y, |w| w / norm2)
    }

    /// `z_c + w_c/(|w|^2 + rho) * (y - sum_k w_k z_k)`.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, _: cg::Params) -> Image {
        plane::check(y, self.output());
        plane::check(z, self.input);
        let scale = 1.0 / (self.norm2() + rho);
        let mut x = z.as_standard_layout().into_owned();
        for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
            for (mut pixel, &y) in x.lanes_mut(ndarray::Axis(0)).into_iter().zip(y.iter()) {
                let gray: f64 = self
                    .weights
                    .iter()
                    .zip(&pixel)
                    .map(|(w, &z)| w * z as f64)
                    .sum();
                let q = scale * (y as f64 - gray);
                for (x, w) in pixel.iter_mut().zip(&self.weights) {
                    *x = (*x as f64 + w * q) as f32;
                }
            }
        }
        x
    }

    /// The gray in every channel.
    fn guess(&self, y: &Image) -> Image {
        self.spread(y, |_| 1.0)
    }

    fn gram(&self) -> Option<f64> {
        Some(self.norm2())
    }
}
