//! The spectrum of noise that neighbouring pixels and colours share.
//!
//! In the cosine basis of the whole picture (DCT-II, as for a boundary that repeats the edge) such noise is independent, with a
//! deviation that depends on frequency. It is told as an estimator can tell it: for three bands of frequency, grey and colours apart, alike
//! in all directions. Between the bands its logarithm is linear.

use std::f64::consts::PI;
use std::sync::LazyLock;

use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::fft::Basis2;
use crate::noise_level::blocks::{BANDS, COUNTS, OPPONENT, dct};

/// Noise in three bands of frequency. A frequency is the sum of the two indices that a cosine has in blocks of 8x8: the bands are 2 to 3, 4
/// to 6, 7 to 14.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// Standard deviation of a coefficient of the grey, which is the sum of the channels over the root of their number, in each band; for
    /// pictures in [0, 1].
    pub grey: [f64; 3],
    /// The same of each of the two colours that are orthogonal to it.
    pub colours: [f64; 3],
    /// The level of white noise at which a denoiser does most good.
    pub white: f64,
    /// Where it depends on brightness too: `a` and `b` of the variance `a + b*x` that such white noise would have where the picture is `x`.
    pub brightness: Option<[f64; 2]>,
}

/// The middles of the bands.
const KNOTS: [f64; 3] = [2.6, 5.2, 9.0];

/// Grey and two colours, orthonormal.
static AXES: LazyLock<[[f32; 3]; 3]> = LazyLock::new(|| {
    OPPONENT.map(|row| {
        let square: f32 = row.iter().map(|v| v * v).sum();
        row.map(|v| v / square.sqrt())
    })
});

impl Spectrum {
    /// That its numbers make sense.
    pub(crate) fn check(&self) -> Result<(), String> {
        let all = self.grey.iter().chain(&self.colours).chain([&self.white]);
        let sensible = |v: &f64| *v >= 0.0 && v.is_finite();
        match all.clone().all(sensible) && self.white > 0.0 {
            true => Ok(()),
            false => Err(format!(
                "the deviations of noise in bands must be finite and not below 0, its level above; not {all:?}",
                all = all.collect::<Vec<_>>()
            )),
        }
    }

    /// The same noise, even, as strong as that.
    pub(crate) fn scaled(&self, by: f64) -> Spectrum {
        Spectrum {
            grey: self.grey.map(|s| by * s),
            colours: self.colours.map(|s| by * s),
            white: by * self.white,
            brightness: None,
        }
    }

    /// Noise of such a spectrum as `normal`, which is standard normal, `[batch, 1 or 3, height, width]`, becomes.
    pub(crate) fn coloured(&self, normal: &Image) -> Image {
        self.deviations().mapped(normal, None, |n, _, s| s * n)
    }

    /// What its bands say of each frequency.
    pub(crate) fn deviations(&self) -> Deviations {
        Deviations {
            grey: Curve::of(self.grey),
            colours: Curve::of(self.colours),
        }
    }
}

/// The standard deviation of noise at each frequency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deviations {
    grey: Curve,
    colours: Curve,
}

impl Deviations {
    /// The largest, in pictures of so many channels.
    pub(crate) fn largest(&self, channels: usize) -> f64 {
        match channels {
            3 => self.grey.largest().max(self.colours.largest()),
            _ => self.grey.largest(),
        }
    }

    /// `f(c, d, s)` for each coefficient `c` of `x` and, where there is another image, `d` of that, with the deviation `s` of the noise in it.
    pub(crate) fn mapped(
        &self,
        x: &Image,
        other: Option<&Image>,
        f: impl Fn(f64, f64, f64) -> f64 + Sync,
    ) -> Image {
        let mut out = opponent(x);
        let other = other.map(opponent);
        let (_, channels, h, w) = out.dim();
        let basis = Basis2::cosine(h, w);
        for c in 0..channels {
            let curve = if c == 0 { self.grey } else { self.colours };
            for (n, mut picture) in out.axis_iter_mut(Axis(0)).enumerate() {
                let mut plane = picture.index_axis_mut(Axis(0), c);
                let plane = plane.as_slice_mut().expect("planes lie in one piece");
                let mut coefficients = basis.forward(plane);
                let others = other.as_ref().map(|other| {
                    let plane = other.index_axis(Axis(0), n);
                    let plane = plane.index_axis(Axis(0), c);
                    basis.forward(plane.as_slice().expect("planes lie in one piece"))
                });
                // They lie column by column.
                let each = coefficients.par_iter_mut().enumerate();
                each.for_each(|(k, value)| {
                    let (across, down) = ((k / h) as f64 / w as f64, (k % h) as f64 / h as f64);
                    let beside = others.as_ref().map_or(0.0, |others| others[k]);
                    *value = f(*value, beside, curve.at(8.0 * (across + down)));
                });
                basis.inverse(coefficients, plane, |to, v| *to = v as f32);
            }
        }
        back(&out)
    }
}

/// The deviation at each frequency: its logarithm at the middles of the bands, linear between them, and no more or less beyond.
#[derive(Clone, Copy, Debug)]
struct Curve {
    logs: [f64; 3],
}

impl Curve {
    /// The one that blocks of 8x8 show as `bands`. A block is so small that each of its cosines hears frequencies far beside its own, so a
    /// curve that falls shows less at its low end than is there.
    fn of(bands: [f64; 3]) -> Curve {
        let seen = bands.map(|s| s.max(1e-6).ln());
        let mut curve = Curve { logs: seen };
        for _ in 0..ROUNDS {
            let shown = curve.shown();
            for ((log, seen), shown) in curve.logs.iter_mut().zip(seen).zip(shown) {
                *log = (*log + seen - shown).clamp(seen - FAR, seen + FAR);
            }
        }
        curve
    }

    /// The logarithm of what blocks of 8x8 show of it in each band.
    fn shown(&self) -> [f64; 3] {
        let mut sums = [0.0; 3];
        for (i, down) in HEARD.iter().enumerate() {
            for (j, across) in HEARD.iter().enumerate() {
                let variance = self.at(frequency(i) + frequency(j)).powi(2);
                for (u, v) in (0..8).flat_map(|u| (0..8).map(move |v| (u, v))) {
                    if let Some(band) = BANDS.iter().position(|band| band.contains(&(u + v))) {
                        sums[band] += down[u] * across[v] * variance;
                    }
                }
            }
        }
        let pairs = sums.iter().zip(COUNTS);
        let logs: Vec<f64> = pairs.map(|(sum, n)| 0.5 * (sum / n).ln()).collect();
        [logs[0], logs[1], logs[2]]
    }

    fn at(&self, frequency: f64) -> f64 {
        let [a, b, c] = self.logs;
        let between = |k: usize, from: f64, to: f64| {
            let part = (frequency - KNOTS[k]) / (KNOTS[k + 1] - KNOTS[k]);
            from + part * (to - from)
        };
        let log = match frequency {
            f if f <= KNOTS[0] => a,
            f if f <= KNOTS[1] => between(0, a, b),
            // Falling on, but not rising.
            f if f <= KNOTS[2] || c < b => between(1, b, c),
            _ => c,
        };
        log.exp()
    }

    fn largest(&self) -> f64 {
        self.logs
            .iter()
            .fold(f64::NEG_INFINITY, |m, &v| v.max(m))
            .exp()
    }
}

/// Frequencies at which a curve is looked at, from none to the highest.
const FREQUENCIES: usize = 24;
/// Rounds that fit a curve to what blocks show; and how far its logarithm may be from that.
const ROUNDS: usize = 12;
const FAR: f64 = 1.0;

fn frequency(k: usize) -> f64 {
    8.0 * (k as f64 + 0.5) / FREQUENCIES as f64
}

/// How much each of the eight cosines of a block hears of each frequency; of all, one.
static HEARD: LazyLock<[[f64; 8]; FREQUENCIES]> = LazyLock::new(|| {
    let waves = dct().mapv(f64::from);
    std::array::from_fn(|k| {
        let turn = PI * frequency(k) / 8.0;
        std::array::from_fn(|u| {
            let (mut re, mut im) = (0.0, 0.0);
            for (x, wave) in waves.row(u).iter().enumerate() {
                re += wave * (turn * x as f64).cos();
                im += wave * (turn * x as f64).sin();
            }
            (re * re + im * im) / FREQUENCIES as f64
        })
    })
});

/// Red, green and blue as grey and colours; other pictures as they are.
fn opponent(x: &Image) -> Image {
    mixed(x, |to, from| AXES[to][from])
}

/// And back.
fn back(x: &Image) -> Image {
    mixed(x, |to, from| AXES[from][to])
}

fn mixed(x: &Image, weight: impl Fn(usize, usize) -> f32) -> Image {
    if x.len_of(Axis(1)) != 3 {
        return x.as_standard_layout().into_owned();
    }
    let mut out = Image::zeros(x.raw_dim());
    for (to, mut plane) in out.axis_iter_mut(Axis(1)).enumerate() {
        for (from, channel) in x.axis_iter(Axis(1)).enumerate() {
            plane.scaled_add(weight(to, from), &channel);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};

    /// What blocks of 8x8 show of an image, in the three bands of its grey and of its colours.
    fn shown(x: &Image) -> [[f64; 3]; 2] {
        let x = opponent(x);
        let block = Basis2::cosine(8, 8);
        let mut sums = [[0.0; 3]; 2];
        let mut blocks = 0.0;
        let (_, channels, h, w) = x.dim();
        for i in (0..=h - 8).step_by(8) {
            for j in (0..=w - 8).step_by(8) {
                blocks += 1.0;
                for c in 0..channels {
                    let here = x.slice(ndarray::s![0, c, i..i + 8, j..j + 8]);
                    let pixels: Vec<f32> = here.iter().copied().collect();
                    for (k, v) in block.forward(&pixels).iter().enumerate() {
                        let sum = k / 8 + k % 8;
                        if let Some(g) = BANDS.iter().position(|band| band.contains(&sum)) {
                            let share = if c == 0 { 1.0 } else { 0.5 };
                            sums[c.min(1)][g] += share * v * v / COUNTS[g];
                        }
                    }
                }
            }
        }
        sums.map(|bands| bands.map(|sum| (sum / blocks).sqrt()))
    }

    /// Noise of a spectrum shows in blocks what the spectrum says, at sides that are no multiples. Wrong: curves through the bands'
    /// numbers as they are, which leave a third of what falls steeply out; colours for grey; rows for columns.
    #[test]
    fn noise_shows_its_bands() {
        let dims = Dims::new(3, 203, 298);
        let normal = Seeded::new(7, "test").normal(1, dims);
        for (grey, colours) in [
            ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1]),
            ([0.12, 0.09, 0.04], [0.12, 0.09, 0.04]),
            ([0.11, 0.12, 0.12], [0.05, 0.015, 0.005]),
        ] {
            let spectrum = Spectrum {
                grey,
                colours,
                white: 0.1,
                brightness: None,
            };
            let found = shown(&spectrum.coloured(&normal));
            for (found, told) in found.iter().flatten().zip(grey.iter().chain(&colours)) {
                let off = found / told - 1.0;
                assert!(off.abs() < 0.06, "{grey:?} {colours:?}: {found} for {told}");
            }
        }
        let even = [0.3; 3];
        assert!((Curve::of(even).largest() - 0.3).abs() < 0.01);
    }

    /// Nothing is lost on the way to coefficients and back, also of one channel and of batches.
    #[test]
    fn there_and_back() {
        let spectrum = Spectrum {
            grey: [0.1, 0.2, 0.3],
            colours: [0.3, 0.2, 0.1],
            white: 0.2,
            brightness: None,
        };
        for dims in [Dims::new(3, 7, 12), Dims::new(1, 5, 4)] {
            let x = Seeded::new(1, "test").normal(2, dims);
            let same = spectrum.deviations().mapped(&x, Some(&x), |c, d, s| {
                assert!(s > 0.0);
                0.25 * c + 0.75 * d
            });
            assert!((same - &x).iter().all(|v| v.abs() < 1e-5));
        }
    }
}
