//! The noisy picture that was compressed, drawn anew: Gibbs sampling of a Gaussian of which intervals of DCT coefficients are known.
//!
//! White noise in red, green and blue is not independent in luma and differences of colour. Of one component, with the others as they are,
//! it is: around what is expected for those others, with the deviation that they leave. So components are drawn in turn:
//!
//! ```text
//! r_a | r_b  ~  N(-sum_b Q_ab r_b / Q_aa, sigma^2 / Q_aa),     Q the precision of the components, r = w - x
//! ```
//!
//! What the samples of a component say is an interval for each of their coefficients, from which a truncated Gaussian is drawn; what
//! they do not say, the differences of pixels in a sample, is drawn freely.

use ndarray::{Array2, ArrayView3, Axis, Zip};
use rayon::prelude::*;

use super::colours;
use super::component::Component;
use super::intervals::Coefficients;
use crate::Image;
use crate::image::Plane;
use crate::truncated;

impl Coefficients<'_> {
    /// As [`Intervals::drawn`](crate::operator::Intervals::drawn).
    pub(super) fn drawn_from(&self, x: &Image, sigma: &Image, w: &Image, normal: &Image) -> Image {
        let mut out = w.clone();
        for (n, recorded) in self.recorded.iter().enumerate() {
            let one = |x: &Image| x.slice_axis(Axis(0), (n..=n).into()).to_owned();
            let sigma = self.deviation(&one(sigma));
            let sweep = Sweep {
                expected: self.operator.planes(&one(x)),
                normal: self.operator.as_filed(&one(normal)),
                sigma,
            };
            let mut planes = self.operator.planes(&one(w));
            let precision = colours::precision(self.operator.transform, planes.len());
            for a in 0..planes.len() {
                let component = &self.operator.components[a];
                planes[a] = sweep.component(a, &precision[a], &planes, component, &recorded[a]);
            }
            let picture = self.operator.picture(&planes);
            out.slice_axis_mut(Axis(0), (n..=n).into()).assign(&picture);
        }
        out
    }

    /// The root of the channels' mean variance, in the units of components.
    fn deviation(&self, sigma: &Image) -> Array2<f32> {
        let filed = self.operator.as_filed(sigma);
        let squares = filed.mapv(|s| s * s).mean_axis(Axis(1));
        let mean = squares.expect("there are channels").remove_axis(Axis(0));
        mean.mapv(|v| colours::WHITE * v.sqrt())
    }
}

/// What one sweep over the components is made of.
struct Sweep {
    /// The means of the components.
    expected: Vec<Array2<f32>>,
    /// White noise, a channel for each component.
    normal: Image,
    /// The deviation of each pixel's channels.
    sigma: Array2<f32>,
}

impl Sweep {
    /// Component `a`, drawn anew for the others in `planes`.
    fn component(
        &self,
        a: usize,
        precision: &[f32],
        planes: &[Array2<f32>],
        component: &Component,
        recorded: &Plane,
    ) -> Array2<f32> {
        let mut mean = self.expected[a].clone();
        for (b, plane) in planes.iter().enumerate().filter(|&(b, _)| b != a) {
            let weight = precision[b] / precision[a];
            let others = Zip::from(&mut mean).and(plane).and(&self.expected[b]);
            others.for_each(|mean, &w, &x| *mean -= weight * (w - x));
        }
        let sigma = self.sigma.mapv(|s| s / precision[a].sqrt());
        let normal: ArrayView3<'_, f32> = self.normal.index_axis(Axis(0), 0);
        let free = &sigma * &normal.index_axis(Axis(0), a);
        // A sample is the mean of several pixels, and as much less noisy.
        let (down, across) = component.factors();
        let steadier = ((down * across) as f32).sqrt();
        let of = |plane: &Array2<f32>| component.analysed(&component.sampled(plane.view()));
        let (means, mut frees) = (of(&mean), of(&free));
        let deviations = component.sampled(sigma.view());
        let across = component.blocks().1;
        let blocks = frees.par_iter_mut().zip(&means).zip(&recorded.values);
        blocks.enumerate().for_each(|(k, ((free, mean), values))| {
            let corner = (8 * (k / across), 8 * (k % across));
            let deviation = of_block(&deviations, corner) / steadier;
            for i in 0..64 {
                let (step, value) = (component.steps[i], f32::from(values[i]));
                let interval = ((value - 0.5) * step, (value + 0.5) * step);
                let normal = free[i] / deviation;
                let drawn = truncated::of_normal(mean[i], deviation, interval, normal);
                free[i] = drawn - mean[i] - free[i];
            }
        });
        let mut out = mean + free;
        component.add(&component.synthesised(frees), &mut out);
        out
    }
}

/// The deviation of a block's samples, never none.
fn of_block(deviations: &Array2<f32>, (top, left): (usize, usize)) -> f32 {
    let block = ndarray::s![top..top + 8, left..left + 8];
    let squares = deviations.slice(block).mapv(|s| s * s);
    (squares.sum() / 64.0).sqrt().max(1e-4)
}

#[cfg(test)]
mod tests {
    use crate::Dims;
    use crate::Image;
    use crate::noise::{NoiseSource, Seeded};
    use crate::operator::{Jpeg, Operator, Quantised, Subsampling};

    fn normals(dims: Dims, n: usize) -> Vec<Image> {
        let mut source = Seeded::new(4, "test");
        (0..n).map(|_| source.normal(1, dims)).collect()
    }

    /// What is drawn has the numbers of the file again, whatever noise is drawn and whatever it is drawn around. Wrong: the steps of another
    /// component, deviations of pixels for samples.
    #[test]
    fn what_is_drawn_is_what_was_recorded() {
        for (dims, subsampling) in [
            (Dims::new(3, 32, 48), Subsampling::Quarter),
            (Dims::new(3, 32, 48), Subsampling::Full),
            (Dims::new(1, 17, 21), Subsampling::Full),
        ] {
            let jpeg = Jpeg::new(dims, 60, subsampling).unwrap();
            let sigma = Image::from_elem(dims.batch(1), 0.1f32);
            let normals = normals(dims, 4);
            let noisy = &normals[0] * 0.1 + 0.5;
            let intervals = jpeg.intervals(&jpeg.apply(&noisy));
            let x = Image::from_elem(dims.batch(1), 0.45f32);
            let mut w = &x + &normals[1];
            for normal in &normals[2..] {
                w = intervals.drawn(&x, &sigma, &w, normal);
            }
            // Pixels at the edges of blocks that are not whole count several times.
            let allowed = if dims.w == 21 { 25 } else { 0 };
            let outside = intervals.outside(&w, 0.0);
            assert!(outside <= allowed, "{dims}: {outside}");
        }
    }

    /// Where intervals are so wide that they say nothing, white noise is drawn, alike in all channels and independent, also from a
    /// start that is not. Wrong: a precision for its inverse, samples of colours that stay as noisy as pixels.
    #[test]
    fn what_is_not_known_is_white() {
        let dims = Dims::new(3, 64, 64);
        let mut jpeg = Jpeg::new(dims, 50, Subsampling::Quarter).unwrap();
        for component in &mut jpeg.components {
            component.steps = [1e6; 64];
        }
        let x = Image::from_elem(dims.batch(1), 0.5f32);
        let sigma = Image::from_elem(dims.batch(1), 0.1f32);
        let intervals = jpeg.intervals(&x);
        let mut w = x.clone();
        for normal in &normals(dims, 6) {
            w = intervals.drawn(&x, &sigma, &w, normal);
        }
        let noise = (w - x) / 0.1;
        let covariance = |a: (usize, usize), b: (usize, usize)| {
            let pairs = (0..60).flat_map(|i| (0..60).map(move |j| (i, j)));
            let product = |(i, j)| noise[[0, a.0, i, j]] * noise[[0, b.0, i, j + b.1]];
            pairs.map(product).sum::<f32>() / 3600.0
        };
        for a in 0..3 {
            for b in 0..3 {
                for beside in 0..3 {
                    let expected = if (a, beside) == (b, 0) { 1.0 } else { 0.0 };
                    let found = covariance((a, 0), (b, beside));
                    assert!((found - expected).abs() < 0.09, "{a} {b} {beside}: {found}");
                }
            }
        }
    }
}
