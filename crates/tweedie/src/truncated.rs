//! A standard Gaussian of which is known that it lies in an interval: its mean, its variance, and how likely that was.
//!
//! ```text
//! Z = Phi(u) - Phi(l),   mean = (phi(l) - phi(u))/Z,   variance = 1 + (l*phi(l) - u*phi(u))/Z - mean^2
//! ```
//!
//! As they stand these lose all their digits in the tails and in narrow intervals, and `Z` becomes 0 from `l = 38` on. Here tails
//! are written with the scaled complementary error function, `erfcx(x) = exp(x^2)*erfc(x)`, and narrow intervals as series.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

use statrs::function::erf::erfc_inv;

/// What is known of `t ~ N(0, 1)` given `l <= t <= u`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Truncated {
    /// `E[t]`.
    pub(crate) mean: f64,
    /// `Var[t]`, above 0.
    pub(crate) variance: f64,
    /// The logarithm of the probability of the interval.
    pub(crate) log_mass: f64,
}

/// Where the interval is so narrow beside the slope of the density that series have all digits.
const NARROW: f64 = 1e-2;
/// Numbers that are surer are drawn as if they were no surer than this.
const LEAST_SIGMA: f64 = 1e-9;
/// Variances are not told below this.
const LEAST: f64 = 1e-12;

impl Truncated {
    /// In `[low, high]`, with `low < high`; either may be infinite.
    pub(crate) fn within(low: f64, high: f64) -> Truncated {
        debug_assert!(low < high, "an interval, not {low} to {high}");
        if low == f64::NEG_INFINITY && high == f64::INFINITY {
            return Truncated {
                mean: 0.0,
                variance: 1.0,
                log_mass: 0.0,
            };
        }
        // Mirrored so that the upper tail counts, which has all its digits.
        if low == f64::NEG_INFINITY || (high < f64::INFINITY && low + high < 0.0) {
            let mirrored = Truncated::within(-high, -low);
            return Truncated {
                mean: -mirrored.mean,
                ..mirrored
            };
        }
        let found = match high {
            f64::INFINITY => above(low),
            _ => between(low, high),
        };
        Truncated {
            variance: found.variance.max(LEAST),
            ..found
        }
    }
}

/// `E[v | low <= v <= high]` for `v ~ N(mean, sigma^2)`: where an estimate of a number is best put of which an interval is known.
///
/// Between the estimate itself, where the interval is wide, and the middle of the interval, where it is narrow. Continuous and in
/// the interval for all numbers with `low < high` and `sigma > 0`.
pub(crate) fn mean(mean: f64, sigma: f64, low: f64, high: f64) -> f64 {
    let standard = Truncated::within((low - mean) / sigma, (high - mean) / sigma);
    (mean + sigma * standard.mean).clamp(low, high)
}

/// A draw of `v ~ N(mean, sigma^2)` of which is known that `low <= v <= high`: the one below which a share `u` of them lies, from 0 to 1.
/// In the interval for all numbers with `low < high` and `sigma > 0`.
pub(crate) fn drawn(mean: f64, sigma: f64, low: f64, high: f64, u: f64) -> f64 {
    let (l, h) = ((low - mean) / sigma, (high - mean) / sigma);
    // Mirrored so that the lower tail counts, which has all its digits.
    if l + h > 0.0 {
        return -drawn_below(-mean, sigma, (-high, -low), 1.0 - u);
    }
    drawn_below(mean, sigma, (low, high), u)
}

/// [`drawn`], with a standard normal number in the place of the share of them that lie below.
pub(crate) fn of_normal(mean: f32, sigma: f32, (low, high): (f32, f32), normal: f32) -> f32 {
    let share = 0.5 * libm::erfc(-f64::from(normal) * FRAC_1_SQRT_2);
    let sigma = f64::from(sigma).max(LEAST_SIGMA);
    drawn(mean.into(), sigma, low.into(), high.into(), share) as f32
}

fn drawn_below(mean: f64, sigma: f64, (low, high): (f64, f64), u: f64) -> f64 {
    let below = |v: f64| libm::erfc(-(v - mean) / sigma * FRAC_1_SQRT_2);
    let (l, h) = (below(low), below(high));
    let twice = l + (h - l) * u;
    let t = -erfc_inv(twice) / FRAC_1_SQRT_2;
    // Where even the tail has no digits left, the nearer end is all that there is.
    let v = if t.is_finite() {
        mean + sigma * t
    } else {
        high
    };
    v.clamp(low, high)
}

/// `sqrt(2/pi)`.
fn c() -> f64 {
    (2.0 / PI).sqrt()
}

/// `ln(sqrt(2 pi))`.
fn k() -> f64 {
    0.5 * (2.0 * PI).ln()
}

/// In `[l, infinity)`.
fn above(l: f64) -> Truncated {
    let t = l * FRAC_1_SQRT_2;
    let mean = match l > -20.0 {
        true => c() / erfcx(t),
        false => (-0.5 * l * l - k()).exp(),
    };
    let r = 1.0 / (l * l);
    let variance = match l <= 25.0 {
        true => 1.0 + l * mean - mean * mean,
        // The terms above cancel; their asymptotic series does not.
        false => r * (1.0 - r * (6.0 - r * (50.0 - r * (518.0 - r * 6354.0)))),
    };
    let log_mass = match l > 0.0 {
        true => erfcx(t).ln() - LN_2 - 0.5 * l * l,
        false => (-0.5 * libm::erfc(-t)).ln_1p(),
    };
    Truncated {
        mean,
        variance,
        log_mass,
    }
}

/// In `[l, u]` with `l + u >= 0`.
fn between(l: f64, u: f64) -> Truncated {
    let d = u - l;
    let (middle, half) = (l + 0.5 * d, 0.5 * d);
    if half * (1.0 + middle.abs()) < NARROW {
        let (m2, h2) = (middle * middle, half * half);
        return Truncated {
            mean: middle - middle * h2 / 3.0 * (1.0 - h2 * (2.0 + m2) / 15.0),
            variance: h2 / 3.0 * (1.0 - h2 * (m2 / 5.0 + 2.0 / 15.0)),
            log_mass: -0.5 * m2 - k() + d.ln() + h2 * (m2 - 1.0) / 6.0,
        };
    }
    if l < 0.0 {
        let density = |t: f64| (-0.5 * t * t - k()).exp();
        let mass = 0.5 * (libm::erf(u * FRAC_1_SQRT_2) - libm::erf(l * FRAC_1_SQRT_2));
        let mean = (density(l) - density(u)) / mass;
        return Truncated {
            mean,
            variance: 1.0 + (l * density(l) - u * density(u)) / mass - mean * mean,
            log_mass: mass.ln(),
        };
    }
    // All in units of the density at `l`, of which that at `u` is a part of exp(-fall).
    let fall = d * middle;
    let part = (-fall).exp();
    let mass = erfcx(l * FRAC_1_SQRT_2) - part * erfcx(u * FRAC_1_SQRT_2);
    let mean = -c() * (-fall).exp_m1() / mass;
    Truncated {
        mean,
        variance: 1.0 + l * mean - d * part * c() / mass - mean * mean,
        log_mass: -0.5 * l * l + (0.5 * mass).ln(),
    }
}

/// `exp(x^2)*erfc(x)`, to 14 digits.
fn erfcx(x: f64) -> f64 {
    if x < 5.0 {
        // The square's rounding error is put right: exp would make it 25 times as large.
        let square = x * x;
        let error = x.mul_add(x, -square);
        return square.exp() * (1.0 + error) * libm::erfc(x);
    }
    // Laplace's continued fraction, from its end: here 40 terms are more than enough.
    let tail = (1..=40)
        .rev()
        .fold(0.0, |tail, n| 0.5 * f64::from(n) / (x + tail));
    1.0 / (PI.sqrt() * (x + tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: f64 = f64::INFINITY;

    /// Mean, variance and log-mass, found with 50 digits. Wrong: the formulas as they stand, which give 0 or NaN from `l = 10`
    /// on.
    #[test]
    fn known_values() {
        for (low, high, mean, variance, log_mass) in [
            (-NONE, 0.0, -0.7978845608029, 0.3633802276_f64, -LN_2),
            (-1.0, 1.0, 0.0, 0.2911250948, -0.3817151463021),
            (0.0, 1.0, 0.4598622292864, 0.07965182485, -1.074862326862),
            (1.0, 2.0, 1.383169046632, 0.0727428861, -1.995798269181),
            (3.0, NONE, 3.28309865493, 0.07055918679, -6.60772622151),
            (5.0, NONE, 5.186503967126, 0.03269643462, -15.06499839399),
            (10.0, NONE, 10.09809323396, 0.009445377826, -53.23128515051),
            (40.0, NONE, 40.02496884721, 6.226683786e-4, -804.6084420138),
            (-NONE, 10.0, -7.694598626706e-23, 1.0, -7.619853e-24),
            (6.0, 6.5, 6.137740433344, 0.01355165439, -20.77832659913),
            (30.0, 31.0, 30.03325966743, 0.001103771512, -454.3212439563),
            (30.0, 30.001, 30.0004975, 8.332958057e-8, -457.8416564779),
            (100.0, 101.0, 100.009998001, 9.994005e-5, -5005.524208694),
            (2.0, 2.000001, 2.0000005, 8.3333e-14, -16.73445009103),
            (1e4, NONE, 10000.0001, 9.9999994e-9, -50000010.12928),
        ] {
            for mirrored in [false, true] {
                let found = match mirrored {
                    false => Truncated::within(low, high),
                    true => Truncated::within(-high, -low),
                };
                let sign = if mirrored { -1.0 } else { 1.0 };
                let near = |a: f64, b: f64, within: f64| (a - b).abs() <= within * b.abs();
                let what = format!("[{low}, {high}]: {found:?}");
                assert!(near(sign * found.mean, mean, 1e-9), "{what}");
                // The narrowest is below what is told of variances.
                let variance = variance.max(LEAST);
                assert!(near(found.variance, variance, 1e-3), "{what}");
                assert!(near(found.log_mass, log_mass, 1e-6), "{what}");
            }
        }
    }

    /// The mean is the derivative of the log-mass, also across the borders of the branches: moving both ends by `e` changes it by
    /// `-mean*e`. Wrong: a branch with another sign or another half.
    #[test]
    fn the_mean_is_a_derivative() {
        let e = 1e-4;
        for low in [
            -30.0, -8.0, -1.0, -0.01, 0.0, 0.4, 2.0, 7.1, 24.9, 25.1, 45.0,
        ] {
            for width in [0.003, 0.02, 0.5, 3.0, 60.0, NONE] {
                let high = low + width;
                let mass = |by: f64| Truncated::within(low + by, high + by).log_mass;
                let slope = (mass(e) - mass(-e)) / (2.0 * e);
                let mean = Truncated::within(low, high).mean;
                let off = (slope + mean).abs();
                assert!(
                    off < 1e-6 * (1.0 + mean.abs()),
                    "[{low}, {high}]: {slope} {mean}"
                );
            }
        }
    }

    /// Means lie in their intervals, variances are above 0 and no larger than such an interval can have. Wrong: what cancels left as
    /// it is.
    #[test]
    fn moments_are_possible() {
        for low in [-50.0, -3.0, 0.0, 1.0, 20.0, 24.99, 25.01, 300.0] {
            for width in [1e-6, 1e-3, 0.1, 1.0, 10.0, NONE] {
                let found = Truncated::within(low, low + width);
                let most = (width * width / 4.0).min(1.0);
                assert!(found.variance > 0.0 && found.variance <= most.max(LEAST) * 1.001);
                assert!(
                    found.mean >= low && found.mean <= low + width,
                    "{low}, {width}"
                );
            }
        }
    }

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

    /// Draws have the moments of what is drawn from, in the middle and far out in a tail, of wide and narrow intervals. Wrong: the
    /// other tail, a share of the whole.
    #[test]
    fn draws_have_the_moments() {
        let infinity = f64::INFINITY;
        for (low, high) in [
            (-infinity, infinity),
            (-0.3, 0.4),
            (1.0, infinity),
            (-infinity, 1.5),
            (-infinity, -6.0),
            (-9.0, -8.9),
            (7.0, 30.0),
        ] {
            let n = 20_000;
            let (mu, sigma) = (0.7, 2.0);
            let (from, to) = (mu + sigma * low, mu + sigma * high);
            let shares = (0..n).map(|k| (f64::from(k) + 0.5) / f64::from(n));
            let draws: Vec<f64> = shares.map(|u| drawn(mu, sigma, from, to, u)).collect();
            assert!(draws.is_sorted() && draws.iter().all(|v| (from..=to).contains(v)));
            let mean = draws.iter().sum::<f64>() / f64::from(n);
            let square = draws.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / f64::from(n);
            let law = Truncated::within(low, high);
            assert!(
                (mean - mu - sigma * law.mean).abs() < 1e-3 * sigma,
                "{low} {high}: {mean}"
            );
            let variance = sigma * sigma * law.variance;
            assert!(
                (square / variance - 1.0).abs() < 0.01,
                "{low} {high}: {square} {variance}"
            );
        }
        // Beyond all digits.
        assert_eq!(drawn(0.0, 1.0, 60.0, 61.0, 0.3), 60.0);
        assert_eq!(drawn(0.0, 1.0, -61.0, -60.0, 0.3), -60.0);
    }
}
