//! Kernels from pictures whose black is not black: photographed, scanned or kept as JPEG.
//!
//! A background of 8/255 around a line of fifteen white pixels on 31 by 31 carries twice the weight of the line: deblurring
//! would take most of the picture for haze.

use ndarray::Array2;

/// Sides below this have hardly a background: most of their taps lie at the border.
const SIDE: usize = 7;

/// The most that a background may have of the largest weight.
const DARK: f64 = 0.3;

/// The least background that is one: a tail that was cut off is fainter, or uneven.
const LEAST: f64 = 2.0 / 255.0;

/// Weights in [0, 1] without the background that all of them stand on, and how large it was: `None` if there is none, since
/// the border is black, or far from even as where a kernel was cut off.
///
/// What differs from the background no more than the border itself does becomes zero.
pub(super) fn removed(weights: Array2<f64>) -> (Array2<f64>, Option<f64>) {
    let (h, w) = weights.dim();
    if h < SIDE || w < SIDE {
        return (weights, None);
    }
    let border = |(i, j): (usize, usize)| i == 0 || j == 0 || i == h - 1 || j == w - 1;
    let taps = weights.indexed_iter().filter(|(at, _)| border(*at));
    let taps: Vec<f64> = taps.map(|(_, &t)| t).collect();
    let level = quantile(taps.clone(), 0.5);
    let spread = quantile(taps.iter().map(|t| (t - level).abs()).collect(), 0.9);
    let peak = weights.iter().copied().fold(0.0, f64::max);
    let even = spread <= (0.2 * level + 1.5 / 255.0).min(0.5 * level);
    if !(level >= LEAST && level <= DARK * peak && even) {
        return (weights, None);
    }
    let least = 2.0 * spread;
    let without = |t: f64| if t - level > least { t - level } else { 0.0 };
    (weights.mapv(without), Some(level))
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Kernel;

    fn scaled(kernel: Kernel) -> Array2<f64> {
        let peak = kernel.taps().iter().copied().fold(0.0, f64::max);
        kernel.taps() / peak
    }

    /// A line on grey, with the ripples of a JPEG, is a line again, to the ripples; without its background removed it has
    /// less than half of the weight.
    #[test]
    fn a_line_on_grey_is_a_line() {
        let mut line = Array2::<f64>::zeros((21, 23));
        (5..18).for_each(|j| line[[10, j]] = 1.0);
        let ripple = |i: usize, j: usize| ((i * 7 + j * 13) % 3) as f64 - 1.0;
        let grey = Array2::from_shape_fn((21, 23), |(i, j)| {
            (line[[i, j]] + (8.0 + ripple(i, j)) / 255.0).min(1.0)
        });
        let (found, level) = removed(grey.clone());
        assert!((level.unwrap() * 255.0 - 8.0).abs() < 1.0, "{level:?}");
        let share = |k: &Array2<f64>| (k * &line).sum() / k.sum();
        assert!(share(&found) > 0.99 && share(&grey) < 0.5);
    }

    #[test]
    fn other_kernels_are_left_alone() {
        for kernel in [
            Kernel::gaussian(2.0, None),
            Kernel::gaussian(2.0, Some(9)),
            Kernel::gaussian(10.0, Some(21)),
            Kernel::disk(4.0),
            Kernel::uniform(9),
            Kernel::motion(15.0, 30.0),
            Kernel::random_motion(31, 0.5, 1),
        ] {
            let weights = scaled(kernel.unwrap());
            let (same, level) = removed(weights.clone());
            assert!(level.is_none() && same == weights, "{level:?}");
        }
    }
}
