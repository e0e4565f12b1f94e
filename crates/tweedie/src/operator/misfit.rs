//! Whether a kernel can have made a blurred picture.
//!
//! A kernel that is wider than the true one, or lies another way, weakens frequencies which the picture still has. Undoing it
//! amplifies them, and the result is worse than the measurement, however small the residual is: it is explained. The
//! picture's spectrum tells before the work. With `P` its power, `S` the power of the scene, a power law through the
//! frequencies that the kernel leaves alone, and `W` what Wiener's filter amplifies each frequency by,
//!
//! ```text
//! excess(k) = max over groups g of  exp( mean_g log P/(|k|^2 S + sigma^2) ),    weighted by |W|^2 (|k|^2 S + sigma^2)/S
//! ```
//!
//! is about 1 to 4 for the true kernel (scenes are no power law) and 10 for one that is a quarter too wide. `|k|^2 S` is taken as the
//! window shows it through which the picture is seen: what strong frequencies leak into the zeros of a kernel, and more of it where
//! burnt-out pixels are cut out, is no excess. Groups are rings of
//! frequencies, each split in three by how much the kernel weakens them. Means of logarithms are not moved by the few strong
//! lines that streets and windows have.
//!
//! A kernel with excess is mixed with no blur at all, `(1 - a) k + a`, by as little as brings the excess down, and a little
//! more: what is amplified by at most `1/a` is sharper than the measurement and does no harm.

use ndarray::{Array3, ArrayView2, Axis};

use super::convolve::transfer;
use super::{Kernel, ValidBlur};
use crate::fft::{Complex, Fft2};
use crate::{Dims, Image};

/// What a picture's spectrum says of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Misfit {
    /// How many times more power than the kernel explains there is where it matters most, against a kernel that does
    /// nothing.
    pub excess: f64,
    /// How much of no blur the kernel is best mixed with, 0 to 1.
    pub softened: f64,
    /// Standard deviation of all that the kernel cannot have let through: never less than the noise that was stated.
    pub sigma: f64,
    /// Whether the operator was found from the measurement itself, so that it may be wrong where the noise was stated, too.
    pub found: bool,
}

/// Excess from which a kernel is taken for wrong; of round kernels, which weaken all directions alike, a smaller one tells.
const WRONG: [f64; 2] = [4.0, 1.8];

/// The same where the noise is not white, or not all is believed.
const WRONG_IF_UNSURE: [f64; 2] = [5.0, 3.5];

/// The most that may be left out of a picture which says that a kernel is wrong: the rims of large holes look like it.
const HIDDEN: f64 = 0.02;

/// Noise in which the glow around what is burnt out is lost. Of 40 JPEGs of scenes with little of it, true disks had an excess
/// of 1.2 at most, and disks a fifth too wide one of 1.3 to 9.
const DROWNS_GLOW: f64 = 1.5 / 255.0;

/// Excess of a kernel that does no harm.
const TAME: f64 = 1.5;

/// Parts of no blur that are tried.
const PARTS: [f64; 6] = [0.1, 0.2, 0.35, 0.5, 0.7, 0.85];

/// Pictures with a shorter side have too few frequencies to tell.
const LEAST: usize = 64;

/// `exp` of Euler's constant: the mean of what has an exponential distribution, against the `exp` of its mean logarithm.
const MEAN: f64 = 1.781_072_4;

/// The picture's spectrum beside the kernel's.
struct Spectra {
    /// Frequency of each cell, in cycles a pixel.
    frequency: Vec<f64>,
    /// Mean power of the channels, and their mean logarithm as an `exp`, brought to the mean.
    power: Vec<f64>,
    typical: Vec<f64>,
    kernel: Vec<Complex>,
    scene: Vec<f64>,
    fft: Fft2,
    /// Mean autocorrelation of the channels' windows, 1 at no lag.
    window: Vec<f64>,
}

/// How the kernel suits a picture recorded with this noise; `None` where that cannot be told: the picture is too small, or
/// has no spectrum to speak of.
pub(super) fn misfit(
    y: &Image,
    believed: Option<&Array3<bool>>,
    kernel: &Kernel,
    sigma: f64,
) -> Option<Misfit> {
    let Dims { h, w, .. } = Dims::of(y);
    if h.min(w) < LEAST {
        return None;
    }
    let known = sigma.max(ValidBlur::LEAST_SIGMA).powi(2);
    let spectra = Spectra::of(y, believed, kernel, known)?;
    let [mean, most] = spectra.unexplained(known);
    let noise = mean.max(known);
    // White noise is the same everywhere; what a JPEG did is not, and looks a little like a wrong kernel.
    let white = noise < 2.0 * known || most < 1.6 * mean;
    let groups = spectra.groups();
    let excess = |part: f64| spectra.excess(&groups, part, noise);
    let usual = excess(PARTS[PARTS.len() - 1]).max(1.0);
    let found = excess(0.0) / usual;
    let mut misfit = Misfit {
        excess: found,
        softened: 0.0,
        sigma: noise.max(if white { 0.0 } else { most }).sqrt(),
        found: false,
    };
    // What glows around what is burnt out looks a little like one, too: of one that is no circle, even in noise.
    let sure = match (believed, kernel.is_round()) {
        (None, _) => white,
        (Some(_), round) => white && round && sigma >= DROWNS_GLOW,
    };
    let [any, round] = if sure { WRONG } else { WRONG_IF_UNSURE };
    let hidden = believed.map_or(0, |b| b.iter().filter(|b| !**b).count());
    let told = hidden as f64 <= HIDDEN * y.len() as f64;
    if told && found > if kernel.is_round() { round } else { any } {
        let tame = PARTS.iter().position(|&part| excess(part) < TAME * usual);
        let last = PARTS.len() - 1;
        misfit.softened = PARTS[tame.map_or(last, |i| (i + 1).min(last))];
        misfit.sigma = noise.sqrt();
    }
    Some(misfit)
}

impl Spectra {
    fn of(
        y: &Image,
        believed: Option<&Array3<bool>>,
        kernel: &Kernel,
        noise: f64,
    ) -> Option<Spectra> {
        let Dims { c, h, w } = Dims::of(y);
        let fft = Fft2::new(h, w);
        let n = fft.half() * h;
        let (mut power, mut logs) = (vec![0.0; n], vec![0.0; n]);
        let mut seen_through = vec![Complex::ZERO; n];
        for (i, channel) in y.index_axis(Axis(0), 0).outer_iter().enumerate() {
            let plane: Vec<f64> = channel.iter().map(|&v| f64::from(v)).collect();
            let believed = believed.map(|b| b.index_axis(Axis(0), i));
            let window = window(believed, h, w)?;
            for (sum, s) in seen_through.iter_mut().zip(fft.forward(&window, w)) {
                *sum += s.norm_sqr();
            }
            let spectrum = fft.forward(&windowed(plane, &window), w);
            for ((power, log), s) in power.iter_mut().zip(&mut logs).zip(&spectrum) {
                let p = s.norm_sqr() / (h * w) as f64;
                *power += p / c as f64;
                *log += (p + 1e-12).ln() / c as f64;
            }
        }
        let frequency = (0..n).map(|i| {
            let (u, v) = (i / h, i % h);
            (u as f64 / w as f64).hypot(v.min(h - v) as f64 / h as f64)
        });
        let mut window = vec![0.0; h * w];
        fft.inverse(seen_through, &mut window, w, |to, v| *to = v);
        let size = window[0];
        window.iter_mut().for_each(|v| *v /= size);
        let mut spectra = Spectra {
            window,
            frequency: frequency.collect(),
            power,
            typical: logs.iter().map(|log| MEAN * log.exp()).collect(),
            kernel: transfer(&fft, kernel.taps(), kernel.origin()),
            scene: Vec::new(),
            fft,
        };
        let (level, slope) = spectra.power_law(noise)?;
        let least = 1.0 / h.max(w) as f64;
        let scene = |f: &f64| (level + slope * f.max(least).ln()).exp();
        spectra.scene = spectra.frequency.iter().map(scene).collect();
        Some(spectra)
    }

    /// Level and slope of the scene's power over frequency, both as logarithms, from where the kernel leaves more than a
    /// third of it. Slopes are those of photographs.
    fn power_law(&self, noise: f64) -> Option<(f64, f64)> {
        const RINGS: usize = 13;
        let ring = |f: f64| ((f / 0.015).ln() / (0.5f64 / 0.015).ln() * RINGS as f64).floor();
        let mut sums = [(0.0, 0.0, 0usize); RINGS];
        let cells = self.frequency.iter().zip(&self.power).zip(&self.kernel);
        for ((&f, p), k) in cells {
            let (ring, k) = (ring(f), k.norm_sqr());
            if k > 0.3 && (0.0..RINGS as f64).contains(&ring) {
                let (power, passed, n) = &mut sums[ring as usize];
                *power += (p - noise).max(0.0);
                *passed += k;
                *n += 1;
            }
        }
        let points: Vec<(f64, f64)> = (0..RINGS)
            .filter(|&i| sums[i].2 >= 4 && sums[i].0 > 0.0)
            .map(|i| {
                let middle = (i as f64 + 0.5) / RINGS as f64 * (0.5f64 / 0.015).ln();
                (0.015f64.ln() + middle, (sums[i].0 / sums[i].1).ln())
            })
            .collect();
        if points.len() < 3 {
            return None;
        }
        let n = points.len() as f64;
        let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
        let (x, y) = (mean(|p| p.0), mean(|p| p.1));
        let (xy, xx) = points.iter().fold((0.0, 0.0), |(xy, xx), p| {
            (xy + (p.0 - x) * (p.1 - y), xx + (p.0 - x).powi(2))
        });
        let slope = (xy / xx).clamp(-4.0, -1.5);
        Some((y - slope * x, slope))
    }

    /// The scene's power behind the kernel mixed with a part of no blur, as the window shows it: convolved with the window's power.
    fn behind(&self, part: f64) -> Vec<f64> {
        let (h, w) = (self.fft.height(), self.fft.width());
        let passed = self.kernel.iter().zip(&self.scene);
        let mut waves: Vec<Complex> = passed
            .map(|(k, scene)| Complex::from((k * (1.0 - part) + part).norm_sqr() * scene))
            .collect();
        // The mean was taken off.
        waves[0] = Complex::ZERO;
        let mut lags = vec![0.0; h * w];
        self.fft.inverse(waves, &mut lags, w, |to, v| *to = v);
        lags.iter_mut().zip(&self.window).for_each(|(l, w)| *l *= w);
        let waves = self.fft.forward(&lags, w);
        waves.iter().map(|wave| wave.re.max(0.0)).collect()
    }

    /// Power where the kernel leaves less of the scene than there is noise: the mean, and the most that a ring of
    /// frequencies has.
    fn unexplained(&self, noise: f64) -> [f64; 2] {
        let mut rings = [(0.0, 0usize); 9];
        for i in 0..self.power.len() {
            let scene = self.kernel[i].norm_sqr() * self.scene[i];
            if self.frequency[i] > 0.02 && scene < noise {
                let ring = &mut rings[((self.frequency[i] / 0.06) as usize).min(8)];
                ring.0 += (self.typical[i] / (scene + noise)).ln();
                ring.1 += 1;
            }
        }
        let level = |(sum, n): (f64, usize)| match n {
            0..100 => 0.0,
            _ => noise * (sum / n as f64).exp(),
        };
        let all = rings.iter().fold((0.0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        [level(all), rings.into_iter().map(level).fold(0.0, f64::max)]
    }

    /// Rings of frequencies, in three by the kernel's power.
    fn groups(&self) -> Vec<Vec<usize>> {
        const RINGS: usize = 8;
        let mut rings = vec![Vec::new(); RINGS];
        for (i, f) in self.frequency.iter().enumerate() {
            let ring = (f / 0.03).ln() / (0.5f64 / 0.03).ln() * RINGS as f64;
            if (0.0..RINGS as f64).contains(&ring) {
                rings[ring as usize].push(i);
            }
        }
        let mut groups = Vec::new();
        for mut ring in rings {
            ring.sort_by(|&a, &b| {
                self.kernel[a]
                    .norm_sqr()
                    .total_cmp(&self.kernel[b].norm_sqr())
            });
            let third = ring.len().div_ceil(3).max(1);
            groups.extend(ring.chunks(third).map(<[usize]>::to_vec));
        }
        groups.retain(|group| group.len() >= 8);
        groups
    }

    /// The largest excess of a group, of the kernel mixed with a part of no blur.
    fn excess(&self, groups: &[Vec<usize>], part: f64, noise: f64) -> f64 {
        let behind = self.behind(part);
        let of = |group: &Vec<usize>| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for &i in group {
                let k = (self.kernel[i] * (1.0 - part) + part).norm_sqr();
                let scene = self.scene[i];
                let expected = behind[i] + noise;
                // Wiener's filter squared is k/(k + noise/scene)^2.
                let weight = k * expected / scene / (k + noise / scene).powi(2);
                sum += weight * (self.typical[i] / expected).ln();
                weights += weight;
            }
            if weights > 0.0 {
                (sum / weights).exp()
            } else {
                0.0
            }
        };
        groups.iter().map(of).fold(0.0, f64::max)
    }
}

/// What a plane is weighted with: faded out towards its edges (Hann), and around what is not believed, over so many pixels
/// that the holes show at low frequencies only. `None` if hardly anything is left.
fn window(believed: Option<ArrayView2<'_, bool>>, h: usize, w: usize) -> Option<Vec<f64>> {
    let line = |n: usize| -> Vec<f64> {
        let turn = |i: usize| std::f64::consts::TAU * (i as f64 + 1.0) / (n as f64 + 1.0);
        (0..n).map(|i| 0.5 - 0.5 * turn(i).cos()).collect()
    };
    let (rows, columns) = (line(h), line(w));
    let mut window: Vec<f64> = (0..h * w).map(|i| rows[i / w] * columns[i % w]).collect();
    let size = |window: &[f64]| window.iter().map(|v| v * v).sum::<f64>();
    let whole = size(&window);
    if let Some(believed) = believed {
        let seen: Vec<f64> = believed.iter().map(|&b| f64::from(u8::from(b))).collect();
        let mut seen = around(seen, h, w, 6, |part| part.fold(1.0, f64::min));
        for _ in 0..3 {
            seen = around(seen, h, w, 2, |part| {
                let (sum, n) = part.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
                sum / n
            });
        }
        window.iter_mut().zip(&seen).for_each(|(w, s)| *w *= s);
    }
    (size(&window) > 0.3 * whole).then_some(window)
}

/// `f` of the pixels up to `reach` away, along the rows and then along the columns.
fn around(
    plane: Vec<f64>,
    h: usize,
    w: usize,
    reach: usize,
    f: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
) -> Vec<f64> {
    let part = |i: usize, n: usize| i.saturating_sub(reach)..(i + reach + 1).min(n);
    let rows: Vec<f64> = (0..h * w)
        .map(|i| f(&mut part(i % w, w).map(|j| plane[i / w * w + j])))
        .collect();
    (0..h * w)
        .map(|i| f(&mut part(i / w, h).map(|j| rows[j * w + i % w])))
        .collect()
}

/// A plane without its mean, weighted with a window; of what is left the mean power is kept.
fn windowed(mut plane: Vec<f64>, window: &[f64]) -> Vec<f64> {
    let (mut sum, mut total, mut square) = (0.0, 0.0, 0.0);
    for (v, weight) in plane.iter().zip(window) {
        sum += weight * v;
        total += weight;
        square += weight * weight;
    }
    let scale = (plane.len() as f64 / square).sqrt();
    for (v, weight) in plane.iter_mut().zip(window) {
        *v = (*v - sum / total) * weight * scale;
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};
    use crate::operator::{Blur, Boundary, Operator};

    /// A scene of boxes that hide each other, as things do, blurred, of which the middle is recorded with noise.
    fn recorded(kernel: &Kernel, sigma: f32, seed: u64) -> Image {
        const SIDE: usize = 192;
        let dims = Dims::new(3, SIDE, SIDE);
        let mut scene = Image::from_elem(dims.batch(1), 0.5);
        let draws = Seeded::new(seed, "scene").normal(1, Dims::new(1, 600, 7));
        for draw in draws
            .index_axis(Axis(0), 0)
            .index_axis(Axis(0), 0)
            .outer_iter()
        {
            let place = |v: f32| ((v.rem_euclid(1.0)) * SIDE as f32) as usize;
            let size = |v: f32| (3.0 / (0.04 + v.rem_euclid(1.0))) as usize;
            let (top, left) = (place(draw[0] * 7.0), place(draw[1] * 7.0));
            let (bottom, right) = (top + size(draw[2] * 7.0), left + size(draw[3] * 7.0));
            let (bottom, right) = (bottom.min(SIDE), right.min(SIDE));
            for c in 0..3 {
                let mut part = scene.slice_mut(ndarray::s![0, c, top..bottom, left..right]);
                part.fill((0.5 + 0.2 * draw[4 + c]).clamp(0.0, 0.95));
            }
        }
        let blur = Blur::new(dims, kernel.clone(), Boundary::Symmetric).unwrap();
        let middle = ndarray::s![.., .., 32..160, 32..160];
        let mut y = blur.apply(&scene).slice(middle).to_owned();
        let noise = Seeded::new(seed, "noise").normal(1, Dims::of(&y));
        y.scaled_add(sigma, &noise);
        y
    }

    /// True kernels are left alone, and the noise that is seen is the noise that there is, stated or not; wider ones, and
    /// motions another way, are softened.
    #[test]
    fn wrong_kernels_are_told_from_true_ones() {
        let gaussian = |std: f64| Kernel::gaussian(std, None).unwrap();
        let disk = |radius: f64| Kernel::disk(radius).unwrap();
        let motion = |angle: f64| Kernel::motion(13.0, angle).unwrap();
        let found = |truth: &Kernel, told: &Kernel, stated: f64| {
            misfit(&recorded(truth, 0.004, 1), None, told, stated).unwrap()
        };
        for kernel in [gaussian(1.6), disk(3.0), motion(20.0)] {
            for stated in [0.0, 0.004] {
                let misfit = found(&kernel, &kernel, stated);
                assert_eq!(misfit.softened, 0.0, "{kernel:?}: {misfit:?}");
                assert!((misfit.sigma / 0.004 - 1.0).abs() < 0.15, "{misfit:?}");
            }
        }
        for (truth, told) in [
            (disk(1.7), disk(2.4)),
            (disk(3.0), disk(3.6)),
            (gaussian(1.6), gaussian(2.5)),
            (motion(20.0), motion(110.0)),
        ] {
            let misfit = found(&truth, &told, 0.004);
            assert!(misfit.softened > 0.0, "{truth:?} for {told:?}: {misfit:?}");
        }
        let believed = |rows: usize| Array3::from_shape_fn((3, 128, 128), |(_, i, _)| i >= rows);
        let judged = |rows: usize| {
            let y = recorded(&disk(1.7), 0.004, 1);
            misfit(&y, Some(&believed(rows)), &disk(2.4), 0.004).unwrap()
        };
        assert!(judged(2).softened > 0.0, "{:?}", judged(2));
        assert_eq!(judged(3).softened, 0.0, "more is left out than may be");
        assert!(misfit(&Image::zeros((1, 1, 63, 200)), None, &disk(2.0), 0.0).is_none());
        assert!(misfit(&Image::zeros((1, 1, 64, 64)), None, &disk(2.0), 0.0).is_none());
    }
}
