//! Operators that record rounded numbers: of each is known in which interval it lay.

use std::fmt::Debug;

use crate::Image;

/// An operator whose measurement is rounded numbers: of each is known that it lies in an interval.
pub trait Quantised: Debug {
    /// The intervals that made a measurement, `[batch, channel, height, width]`. They are read off it, unless the operator has
    /// them from its file.
    ///
    /// # Panics
    /// If the measurement is not of the operator's size: that is an error in the calling code.
    fn intervals<'a>(&'a self, y: &Image) -> Box<dyn Intervals + 'a>;

    /// How far a decoded picture is off where it is not flat, for images in [0, 1]: the standard deviation of its luma, about.
    fn coarseness(&self) -> f64;
}

/// An interval for each rounded number of each picture of a batch.
pub trait Intervals: Debug {
    /// The mean of what `z` may have been, if it is off by Gaussian errors of standard deviation `sigma` in each number: each is
    /// put where it is expected in its interval. Of a measurement that is noisy besides (`noise`), the noise may have moved it
    /// out. For images in [0, 1].
    fn expected(&self, z: &Image, sigma: f64, noise: f64) -> Image;

    /// A draw of the noisy picture that was rounded: of `w ~ N(x, sigma^2)`, independent in each number, of which is known that the rounded
    /// numbers lie in their intervals. One sweep of Gibbs sampling from `w`, made of the standard normal `normal`; what it makes of
    /// `-normal` is its opposite, as far as the intervals let it. `sigma` is told for each number; it is taken to be alike in the
    /// channels. All `[batch, channel, height, width]`, for images in [0, 1].
    fn drawn(&self, x: &Image, sigma: &Image, w: &Image, normal: &Image) -> Image;

    /// The picture near `z` that is in [0, 1] and in all intervals, a little inside of them where they are wide enough for
    /// that, and how many numbers are not, if no such picture was found.
    fn nearest(&self, z: &Image) -> (Image, usize);

    /// How many numbers of `x` are not in their intervals, made smaller by a margin on each side, in units of 1/255.
    fn outside(&self, x: &Image, by: f32) -> usize;
}
