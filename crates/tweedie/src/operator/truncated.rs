//! The mean of a Gaussian of which is known that it lies in an interval.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// `E[c | low <= c <= high]` for `c ~ N(mean, sigma^2)`: where an estimate of a rounded number is best put.
///
/// Between the estimate itself, where the interval is wide, and the middle of the interval, where it is narrow. Continuous and in
/// the interval for all finite numbers with `low < high` and `sigma > 0`.
pub(crate) fn mean(mean: f64, sigma: f64, low: f64, high: f64) -> f64 {
    // Mirrored so that the mean is nearer to the lower end: the tail that counts is the upper one, which has all its digits.
    if mean > 0.5 * (low + high) {
        return -self::mean(-mean, sigma, -high, -low);
    }
    let (a, b) = ((low - mean) / sigma, (high - mean) / sigma);
    let width = b - a;
    let offset = match () {
        // Nearly even.
        _ if width < 0.02 && a * width < 0.02 => {
            let slope = a + 0.5 * width;
            0.5 * width - slope * width * width / 12.0
        }
        // Far below: what is left of it falls like an exponential, a little faster.
        _ if a > 25.0 => {
            let rate = a + 1.0 / a;
            1.0 / rate - width / (rate * width).exp_m1()
        }
        _ => {
            let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * PI).sqrt();
            let tail = |t: f64| 0.5 * libm::erfc(t * FRAC_1_SQRT_2);
            (density(a) - density(b)) / (tail(a) - tail(b)) - a
        }
    };
    (low + sigma * offset).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::mean;

    /// By sums over 20000 points.
    fn summed(mu: f64, sigma: f64, low: f64, high: f64) -> f64 {
        let n = 20_000;
        let point = |i: usize| low + (high - low) * (i as f64 + 0.5) / n as f64;
        let nearest = mu.clamp(low, high);
        let weight =
            |t: f64| (0.5 * ((nearest - mu).powi(2) - (t - mu).powi(2)) / (sigma * sigma)).exp();
        let (sum, all) = (0..n).map(point).fold((0.0, 0.0), |(sum, all), t| {
            (sum + weight(t) * t, all + weight(t))
        });
        sum / all
    }

    /// In all branches and across their borders. Wrong: a sign, the nearest point in the place of the mean.
    #[test]
    fn it_is_the_mean() {
        for mu in [-30.0, -8.0, -1.0, 0.0, 0.3, 2.0, 9.0, 40.0] {
            for sigma in [0.3, 1.0, 1.2, 5.0, 90.0, 150.0, 4000.0] {
                for (low, high) in [(-1.0, 1.0), (0.5, 2.0), (-0.1, 20.0)] {
                    let (found, expected) =
                        (mean(mu, sigma, low, high), summed(mu, sigma, low, high));
                    let off = (found - expected).abs() / (high - low);
                    assert!(off < 2e-4, "{mu} {sigma} {low} {high}: {found} {expected}");
                }
            }
        }
        assert_eq!(mean(0.0, 1.0, -3.0, 3.0), 0.0);
        assert!(mean(1e9, 1e-3, -1.0, 1.0) <= 1.0);
    }
}
