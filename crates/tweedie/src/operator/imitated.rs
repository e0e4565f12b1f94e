//! What a network that is an operator imitates, how it is told with what, and the pairs that it learns from.

use ndarray::Axis;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::nonlinear_blur::{self, NonlinearBlur};
use super::{Blur, Boundary, Error, Kernel, Operator};
use crate::{Dims, Image};

/// A camera: the blur of light by a straight motion, behind its response (`nonlinear-blur`), as a network learned it. The motion is
/// told with each picture; the response is the network's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imitated {
    /// The shortest and the longest motion that was learned, in pixels; angles are any.
    pub length: [f64; 2],
    /// The power of a picture's numbers that is light, 1 to 5.
    #[serde(default = "nonlinear_blur::usual")]
    pub response: f64,
    /// How many times more light there is than can be recorded, 1 to 100.
    #[serde(default = "nonlinear_blur::none")]
    pub gain: f64,
}

/// A straight motion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// In pixels.
    pub length: f64,
    /// In degrees, counter-clockwise from the horizontal.
    pub angle: f64,
}

impl Imitated {
    /// That the numbers make a camera.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is wrong.
    pub fn check(&self) -> Result<(), Error> {
        let [least, most] = self.length;
        if !(1.0 <= least && least <= most && most <= 100.0) {
            return Err(Error::Invalid(format!(
                "`length` is a shortest and a longest motion from 1 to 100 pixels, not {:?}",
                self.length
            )));
        }
        let shortest = Motion {
            length: least,
            angle: 0.0,
        };
        self.truth(Dims::new(1, 1, 1), shortest).map(drop)
    }

    /// What is imitated.
    ///
    /// # Errors
    /// Those of [`Kernel::motion`], [`Blur::new`] and [`NonlinearBlur::new`].
    pub fn truth(&self, input: Dims, motion: Motion) -> Result<NonlinearBlur, Error> {
        let kernel = Kernel::motion(motion.length, motion.angle)?;
        let blur = Blur::new(input, kernel, Boundary::Symmetric)?;
        NonlinearBlur::new(Box::new(blur), self.response, self.gain)
    }

    /// A motion in the numbers of [0, 1] that are shown beside a picture, as three planes: `l*cos^2`, `1/2 + l*cos*sin` and `l*sin^2` of
    /// its angle, `l` its length in the longest. They are the root of the kernel's covariance, so that angles that are half a turn
    /// apart are the same.
    pub(crate) fn told(&self, motion: Motion, Dims { h, w, .. }: Dims) -> Image {
        let l = motion.length / self.length[1];
        let (sine, cosine) = motion.angle.to_radians().sin_cos();
        let planes = [
            l * cosine * cosine,
            0.5 + l * cosine * sine,
            l * sine * sine,
        ];
        Image::from_shape_fn((1, 3, h, w), |(_, c, _, _)| planes[c] as f32)
    }

    /// Clean crops in [-1, 1] as they are recorded, each with a motion of its own, and what is told of that, in the same range.
    ///
    /// # Errors
    /// Those of [`Imitated::truth`].
    pub(crate) fn pairs(&self, x0: &Image, rng: &mut impl Rng) -> Result<Pairs, Error> {
        let dims = Dims::of(x0);
        let mut recorded = Image::zeros(x0.raw_dim());
        let mut told = Image::zeros(Dims::new(3, dims.h, dims.w).batch(x0.dim().0));
        let [least, most] = self.length;
        for (i, x0) in x0.outer_iter().enumerate() {
            let motion = Motion {
                length: least + rng.random::<f64>() * (most - least),
                angle: 180.0 * rng.random::<f64>(),
            };
            let picture = x0.mapv(|v| 0.5 * v + 0.5).insert_axis(Axis(0));
            let y = self.truth(dims, motion)?.apply(&picture);
            let y = y.index_axis_move(Axis(0), 0);
            recorded.index_axis_mut(Axis(0), i).assign(&(y * 2.0 - 1.0));
            let planes = self.told(motion, dims).index_axis_move(Axis(0), 0);
            told.index_axis_mut(Axis(0), i)
                .assign(&(planes * 2.0 - 1.0));
        }
        Ok(Pairs { told, recorded })
    }
}

/// What a network that imitates is shown beside clean pictures, and what it should answer.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    /// The motions.
    pub(crate) told: Image,
    /// What was recorded.
    pub(crate) recorded: Image,
}
