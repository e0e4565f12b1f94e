//! The law of the residual: at the true image it is the noise of the measurement and nothing else.
//!
//! ```text
//! |y - A(x)|^2/sigma_y^2 ~ chi^2 with m degrees of freedom:  mean m, variance 2m
//! ```
//!
//! for `m` numbers that were measured. An image whose residual is as small as that already explains the measurement, and a
//! further step towards it would fit the noise: CDIM ends its data steps there (Jayaram et al. 2024, arXiv:2411.00359).

use ndarray::Axis;

use crate::Image;
use crate::noise::{NoiseSource, Seeded};
use crate::operator::Operator;
use crate::problem::Problem;

/// Residuals that noise explains.
#[derive(Debug)]
pub(super) struct Law {
    /// The largest `|y - A(x)|^2` that counts as noise.
    most: f64,
}

impl Law {
    /// Residuals up to `width` standard deviations above the mean. Of an exact measurement there are none but zero.
    pub(super) fn new(problem: &Problem, width: f64) -> Law {
        let m = measured(problem.operator.as_ref()) as f64;
        Law {
            most: problem.sigma().powi(2) * (m + width * (2.0 * m).sqrt()),
        }
    }

    /// `moved`, but for the pictures of `x` that explain the measurement as they are: those of `stayed`.
    pub(super) fn unless_explained(
        &self,
        problem: &Problem,
        x: &Image,
        stayed: &Image,
        mut moved: Image,
    ) -> Image {
        let residual = problem.residual(x);
        for (n, r) in residual.axis_iter(Axis(0)).enumerate() {
            let size: f64 = r.iter().map(|&r| f64::from(r).powi(2)).sum();
            if size <= self.most {
                let stayed = stayed.index_axis(Axis(0), n);
                moved.index_axis_mut(Axis(0), n).assign(&stayed);
            }
        }
        moved
    }
}

/// How many numbers of a measurement depend on the image: all, but those that a mask hides. They show themselves by what an
/// image without zeros makes of them.
fn measured(operator: &dyn Operator) -> usize {
    let bright = Seeded::new(0, "norm").normal(1, operator.input());
    let seen = operator.apply(&bright.mapv(|z| 0.3 + 0.1 * z.abs()));
    seen.iter().filter(|&&v| v != 0.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::operator::{Gray, GrayWeights, Mask};

    /// Hidden pixels are not measured. Wrong: the length of `y`, with which residuals twice as large as noise pass.
    #[test]
    fn what_is_hidden_does_not_count() {
        let dims = Dims::new(3, 8, 8);
        assert_eq!(measured(&Mask::random(dims, 0.5, 1).unwrap()), 96);
        assert_eq!(measured(&Gray::new(dims, GrayWeights::Luma).unwrap()), 64);
    }

    /// Of a batch each picture is judged alone; the truth is kept, an image a few standard deviations away is not. Wrong: sums
    /// over the batch, the mean of squares for their sum.
    #[test]
    fn the_truth_explains_the_measurement() {
        let dims = Dims::new(1, 40, 40);
        let mask = Mask::random(dims, 0.5, 1).unwrap();
        let truth = Image::from_elem(dims.batch(2), 0.5);
        let noise = Seeded::new(3, "test").normal(2, dims) * 0.1;
        let y = mask.apply(&(&truth + &noise));
        let problem = Problem::new(y, Box::new(mask), 0.1).unwrap();
        let mut old = truth.clone();
        old.index_axis_mut(Axis(0), 1).fill(0.56);
        let new = Image::zeros(dims.batch(2));
        let kept = Law::new(&problem, 3.0).unless_explained(&problem, &old, &old, new);
        assert!(kept.index_axis(Axis(0), 0).iter().all(|&v| v == 0.5));
        assert!(kept.index_axis(Axis(0), 1).iter().all(|&v| v == 0.0));
    }
}
