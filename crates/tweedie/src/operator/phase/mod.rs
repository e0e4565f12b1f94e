//! Phase retrieval: of a Fourier transform only the magnitudes were recorded, as detectors of X-rays and electrons do.
//!
//! [`Diffraction`] says of what: of the picture with zeros around it (the papers' problem, hard and ambiguous), or of the picture
//! behind random masks (coded diffraction, easy with three or four).

mod input_output;
mod spec;

use std::sync::{Mutex, PoisonError};

use ndarray::ArrayView2;
use rand::RngExt;
use rayon::prelude::*;
pub use spec::{Diffraction, PhaseSpec};

use super::{Error, Loss, Operator, not_empty, plane};
use crate::fft::{Complex, Fft2};
use crate::noise::generator;
use crate::{Dims, Image};

/// `y_k = |F (m_k * x)|/sqrt(K)` for each channel and each of `K` masks, `F` the unitary Fourier transform of the picture with
/// zeros below and to the right of it; the zero frequency in the middle, the masks' planes one below the other.
///
/// Masks turn the phase of each pixel by a random number of quarters; a transform without any has one that turns nothing.
/// Not linear. A picture turned by half a turn has the same magnitudes as it, and so has one that is moved within the zeros;
/// [`metric::aligned`](crate::metric::aligned) tells them apart from the truth. Behind masks there is one answer.
#[derive(Debug)]
pub struct Phase {
    dims: Dims,
    fft: Fft2,
    /// By how many quarters each mask turns each pixel, row by row.
    masks: Vec<Vec<u8>>,
    /// The last measurement and what was guessed of it, which takes seconds and is asked for more than once.
    guessed: Mutex<Option<(Image, Image)>>,
}

/// The most numbers a side of a transform has, so that its square is within an image.
const MAX_SIDE: usize = 1 << 15;

impl Phase {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for a transform that is not 1 to 8 times as large a side, or
    /// larger than 32768, and for other than 1 to 64 masks.
    pub fn new(dims: Dims, diffraction: Diffraction) -> Result<Phase, Error> {
        not_empty("phase", dims)?;
        diffraction.check()?;
        let (h, w) = diffraction.size(dims);
        if h.max(w) > MAX_SIDE {
            return Err(Error::Invalid(format!(
                "a transform of {h} x {w} is too large: a side may have {MAX_SIDE} numbers"
            )));
        }
        let masks = match diffraction {
            Diffraction::Fourier { .. } => vec![vec![0; dims.h * dims.w]],
            Diffraction::Coded { masks, seed } => {
                let mut rng = generator(seed, "mask");
                let mut quarter = || rng.random_range(0..4);
                let mask = |_| (0..dims.h * dims.w).map(|_| quarter()).collect();
                (0..masks).map(mask).collect()
            }
        };
        Ok(Phase {
            dims,
            fft: Fft2::new(h, w),
            masks,
            guessed: Mutex::default(),
        })
    }

    /// Height and width of the transform.
    fn size(&self) -> (usize, usize) {
        (self.fft.height(), self.fft.width())
    }

    /// Whether there is nothing but zeros around the picture to tell its phase from.
    fn bare(&self) -> bool {
        self.masks.iter().all(|mask| mask.iter().all(|&q| q == 0))
    }

    /// What the transform is multiplied by, so that all masks together are an isometry.
    fn unit(&self) -> f64 {
        let (h, w) = self.size();
        1.0 / ((h * w * self.masks.len()) as f64).sqrt()
    }

    /// `F (m * x)/sqrt(K)` of a plane, row by row, from frequency 0.
    fn transformed(&self, x: &[f32], mask: &[u8]) -> Vec<Complex> {
        let turned = |quarter: u8| -> Vec<f64> {
            let part = x.iter().zip(mask).map(|(&x, &q)| match (q + quarter) % 4 {
                0 => f64::from(x),
                2 => -f64::from(x),
                _ => 0.0,
            });
            part.collect()
        };
        // The real part is not turned, or by half; the imaginary part by a quarter, which three more make a whole.
        let real = self.fft.forward(&turned(0), self.dims.w);
        let odd = mask.iter().any(|q| q % 2 == 1);
        let imaginary = odd.then(|| self.fft.forward(&turned(3), self.dims.w));
        let (_, w) = self.size();
        let unit = self.unit();
        let mut out = vec![Complex::ZERO; real.len() / self.fft.half() * w];
        out.par_chunks_mut(w).enumerate().for_each(|(v, row)| {
            for (u, z) in row.iter_mut().enumerate() {
                *z = self.at(&real, v, u);
                if let Some(imaginary) = &imaginary {
                    *z += Complex::I * self.at(imaginary, v, u);
                }
                *z *= unit;
            }
        });
        out
    }

    /// A number of the transform of a real plane, of which half of the columns are kept.
    fn at(&self, half: &[Complex], v: usize, u: usize) -> Complex {
        let (h, w) = self.size();
        match u < self.fft.half() {
            true => half[u * h + v],
            false => half[(w - u) * h + (h - v) % h].conj(),
        }
    }

    /// Adds `Re(conj(m) F^H z)/sqrt(K)` to a plane.
    fn add_back(&self, z: &[Complex], mask: &[u8], x: &mut [f32]) {
        let (h, w) = self.size();
        // What of it is the transform of a real plane, and of one times i.
        let half = |other: fn(Complex, Complex) -> Complex| -> Vec<Complex> {
            let number = |i: usize| {
                let (u, v) = (i / h, i % h);
                let mirrored = z[(h - v) % h * w + (w - u) % w].conj();
                other(z[v * w + u], mirrored)
            };
            (0..self.fft.half() * h)
                .into_par_iter()
                .map(number)
                .collect()
        };
        let scale = self.unit() * (h * w) as f64;
        let mut add = |half: Vec<Complex>, quarter: u8| {
            let mut plane = vec![0.0; x.len()];
            self.fft
                .inverse(half, &mut plane, self.dims.w, |to, v| *to = v);
            for ((x, v), q) in x.iter_mut().zip(plane).zip(mask) {
                match (q + quarter) % 4 {
                    0 => *x += (scale * v) as f32,
                    2 => *x -= (scale * v) as f32,
                    _ => {}
                }
            }
        };
        add(half(|a, b| 0.5 * (a + b)), 0);
        if mask.iter().any(|q| q % 2 == 1) {
            add(half(|a, b| -0.5 * Complex::I * (a - b)), 3);
        }
    }

    /// Where number `i` of a transform lies in the plane that is recorded: its middle is frequency 0.
    fn centred(&self, i: usize) -> usize {
        let (h, w) = self.size();
        (i / w + h / 2) % h * w + (i % w + w / 2) % w
    }

    /// For each mask of a plane, its transform and where its numbers lie in the measurement of the plane.
    fn each_mask(&self, mut f: impl FnMut(usize, &[u8])) {
        let (h, w) = self.size();
        for (k, mask) in self.masks.iter().enumerate() {
            f(k * h * w, mask);
        }
    }

    /// `Re sum_k conj(m_k) F^H (g(|z_k|, u_k) z_k/|z_k|)` for each plane, with `z_k` the transform of `x`; 0 where that is 0, where
    /// no phase is told.
    fn along_the_phase(&self, x: &Image, u: &Image, g: impl Fn(f64, f64) -> f64) -> Image {
        plane::check(x, self.dims);
        plane::check(u, self.output());
        plane::update(x, self.dims, u, self.output(), |u, out| {
            let x = out.to_vec();
            out.fill(0.0);
            self.each_mask(|first, mask| {
                let mut z = self.transformed(&x, mask);
                for (i, z) in z.iter_mut().enumerate() {
                    let size = z.norm();
                    let to = g(size, u[first + self.centred(i)].into());
                    *z = match size > 0.0 {
                        true => *z * (to / size),
                        false => Complex::ZERO,
                    };
                }
                self.add_back(&z, mask, out);
            });
        })
    }

    /// The picture that explains magnitudes behind masks, found by putting them in turn where they belong, from an even grey
    /// (Gerchberg and Saxton 1972).
    fn behind_masks(&self, y: &Image) -> Image {
        let start = Image::from_elem(self.dims.batch(y.dim().0), 0.5);
        (0..ROUNDS).fold(start, |x, _| {
            self.consistent(y, &x).mapv_into(|v| v.clamp(0.0, 1.0))
        })
    }

    /// The picture that explains the magnitudes of its transform and nothing else: see [`input_output`]. Channels of a picture
    /// look alike, so that all others go on from the one that was explained best: then none of them is turned by itself. Which is
    /// easy depends on the picture; white that is clipped is hard.
    fn in_zeros(&self, y: &Image) -> Image {
        let size = (self.dims.h, self.dims.w);
        let starts = (STARTS / self.dims.c as u64).max(4);
        let mut x = Image::zeros(self.dims.batch(y.dim().0));
        for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
            let amplitudes: Vec<Vec<f64>> = y.outer_iter().map(|y| self.amplitudes(y)).collect();
            let each = amplitudes.iter().enumerate().map(|(c, amplitudes)| {
                let (plane, left) = input_output::from_noise(&self.fft, size, amplitudes, starts);
                (c, plane, left)
            });
            let best = each.min_by(|a, b| a.2.total_cmp(&b.2));
            let (first, found, _) = best.expect("there is a channel");
            for (c, mut x) in x.outer_iter_mut().enumerate() {
                let plane = match c == first {
                    true => found.clone(),
                    false => input_output::from_another(&self.fft, size, &amplitudes[c], &found),
                };
                x.iter_mut().zip(plane).for_each(|(x, v)| *x = v as f32);
            }
        }
        x
    }

    /// The magnitudes of half a transform, as [`Fft2`] has it and in its units; each was measured twice.
    fn amplitudes(&self, y: ArrayView2<'_, f32>) -> Vec<f64> {
        let (h, w) = self.size();
        let at = |v: usize, u: usize| {
            let i = self.centred(v * w + u);
            f64::from(y[[i / w, i % w]])
        };
        let number = |i: usize| {
            let (u, v) = (i / h, i % h);
            let both = at(v, u) + at((h - v) % h, (w - u) % w);
            (0.5 * both / self.unit()).max(0.0)
        };
        (0..self.fft.half() * h).map(number).collect()
    }
}

/// Runs of hybrid input-output, over all channels; four of each at least.
const STARTS: u64 = 12;

/// Behind three masks twenty rounds leave errors below a thousandth, and more noise than errors behind two.
const ROUNDS: usize = 20;

impl Operator for Phase {
    fn name(&self) -> &'static str {
        "phase"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        let (h, w) = self.size();
        Dims::new(self.dims.c, h * self.masks.len(), w)
    }

    fn apply(&self, x: &Image) -> Image {
        plane::map(x, self.dims, self.output(), |x, y| {
            self.each_mask(|first, mask| {
                for (i, z) in self.transformed(x, mask).iter().enumerate() {
                    y[first + self.centred(i)] = z.norm() as f32;
                }
            });
        })
    }

    /// The derivative itself, `Re sum_k conj(m_k) F^H (u_k z_k/|z_k|)`; 0 where a magnitude is 0, as the papers' code.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        self.along_the_phase(x, u, |_, u| u)
    }

    /// By putting what was measured where it belongs, a few hundred times; see `input_output` for transforms without masks, whose
    /// picture may be turned.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.output());
        // Not held while others may be made to wait for it.
        let guessed = || self.guessed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, guess)) = guessed().as_ref()
            && of == y
        {
            return guess.clone();
        }
        let guess = match self.bare() {
            true => self.in_zeros(y),
            false => self.behind_masks(y),
        };
        *guessed() = Some((y.clone(), guess.clone()));
        guess
    }

    /// The magnitudes that were measured with the phases of `x`: a guess would begin with other phases.
    fn consistent(&self, y: &Image, x: &Image) -> Image {
        x + &self.along_the_phase(x, y, |size, y| y - size)
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    fn phase(dims: Dims, text: &str) -> Phase {
        Phase::new(dims, text.parse().unwrap()).unwrap()
    }

    /// A picture with edges and colours.
    fn picture(dims: Dims) -> Image {
        Image::from_shape_fn(dims.batch(1), |(_, c, i, j)| {
            let disk = (i as f32 - 5.0).hypot(j as f32 - 9.0) < 4.5;
            let bars = (j / 3 + 2 * c) % 4 == 0 && i > dims.h / 2;
            0.15 + 0.5 * f32::from(disk) + 0.3 * f32::from(bars) + 0.004 * i as f32
        })
    }

    fn rms(x: &Image) -> f32 {
        (x.mapv(|v| v * v).sum() / x.len() as f32).sqrt()
    }

    /// `|F x|` by its definition, zero frequency in the middle, at odd and even sizes; white has the largest there is.
    #[test]
    fn magnitudes_are_those_of_the_transform() {
        for (h, w, size) in [(3, 4, (5, 6)), (4, 5, (6, 8))] {
            let dims = Dims::new(1, h, w);
            let operator = phase(dims, "fourier:1.5");
            assert_eq!(operator.size(), size);
            let x = Seeded::new(1, "test").normal(1, dims);
            let y = operator.apply(&x);
            let (ph, pw) = size;
            for ((_, _, v, u), &found) in y.indexed_iter() {
                let mut sum = Complex::ZERO;
                for ((_, _, i, j), &x) in x.indexed_iter() {
                    let turns = (v as f64 - (ph / 2) as f64) * i as f64 / ph as f64
                        + (u as f64 - (pw / 2) as f64) * j as f64 / pw as f64;
                    sum += Complex::cis(-std::f64::consts::TAU * turns) * f64::from(x);
                }
                let expected = sum.norm() / ((ph * pw) as f64).sqrt();
                assert!((f64::from(found) - expected).abs() < 1e-6, "{u}, {v}");
            }
            let white = operator.apply(&Image::ones(dims.batch(1)));
            let most = white.iter().fold(0.0f32, |m, &v| m.max(v));
            let expected = (h * w) as f64 / ((ph * pw) as f64).sqrt();
            assert!((f64::from(most) - expected).abs() < 1e-5);
            assert_eq!(white[[0, 0, ph / 2, pw / 2]], most);
        }
    }

    /// All energy is recorded, whatever the masks, and what is consistent explains the measurement of another picture better.
    /// Wrong: masks that do not turn, a part of the transform left out.
    #[test]
    fn masks_are_an_isometry() {
        let dims = Dims::new(2, 6, 5);
        let operator = phase(dims, "coded:3");
        let x = Seeded::new(1, "test").normal(1, dims);
        let y = operator.apply(&x);
        assert_eq!(Dims::of(&y), Dims::new(2, 18, 5));
        let energy = |x: &Image| x.mapv(|v| v * v).sum();
        assert!((energy(&x) - energy(&y)).abs() < 1e-4);
        let first = y.slice(ndarray::s![.., .., ..6, ..]);
        let second = y.slice(ndarray::s![.., .., 6..12, ..]);
        assert!((&first - &second).iter().any(|d| d.abs() > 0.1));
        assert!(rms(&(operator.consistent(&y, &x) - &x)) < 1e-6);
        let other = Seeded::new(2, "test").normal(1, dims);
        let near = operator.consistent(&y, &other);
        let left = |x: &Image| rms(&(operator.apply(x) - &y));
        assert!(left(&near) < 0.9 * left(&other));
    }

    /// Behind four masks the picture is found, as it is. Wrong: the imaginary part of the transform with another sign.
    #[test]
    fn behind_masks_there_is_one_answer() {
        let dims = Dims::new(3, 17, 20);
        let operator = phase(dims, "coded:4");
        let x = picture(dims);
        let found = operator.guess(&operator.apply(&x));
        assert!(rms(&(&found - &x)) < 0.01, "{}", rms(&(&found - &x)));
    }

    /// Of a picture with zeros around it magnitudes are explained to a percent of what an even grey leaves, in all channels alike;
    /// the picture, or it turned by half a turn, is found. Wrong: channels that are turned each by itself.
    #[test]
    fn in_zeros_the_picture_is_found_or_turned() {
        let dims = Dims::new(3, 17, 20);
        let operator = phase(dims, "fourier:2");
        let x = picture(dims);
        let y = operator.apply(&x);
        let found = operator.guess(&y);
        let left = |x: &Image| rms(&(operator.apply(x) - &y));
        let grey = Image::from_elem(x.raw_dim(), x.mean().unwrap());
        assert!(
            left(&found) < 0.1 * left(&grey),
            "{} of {}",
            left(&found),
            left(&grey)
        );
        let aligned = crate::metric::aligned(&x, &found).unwrap();
        assert!(rms(&(&aligned - &x)) < 0.06, "{}", rms(&(&aligned - &x)));
    }

    #[test]
    fn sizes_come_back_and_nonsense_is_refused() {
        use super::super::spec::Described;
        for (h, w) in [(1, 1), (7, 12), (128, 95)] {
            let dims = Dims::new(3, h, w);
            for text in [
                "fourier",
                "fourier:2",
                "fourier:1.25",
                "fourier:3.7",
                "coded:3",
            ] {
                let spec = PhaseSpec {
                    diffraction: text.parse().unwrap(),
                };
                let output = spec.build(dims).unwrap().output();
                assert_eq!(spec.input_for(output).unwrap(), dims, "{text}, {dims}");
            }
        }
        let coded = PhaseSpec {
            diffraction: "coded:3".parse().unwrap(),
        };
        assert!(coded.input_for(Dims::new(1, 10, 4)).is_err());
        for text in [
            "fourier:0.5",
            "fourier:9",
            "coded:0",
            "coded:65",
            "coded:1.5",
            "x",
            "coded",
        ] {
            assert!(text.parse::<Diffraction>().is_err(), "{text}");
        }
        let large = Dims::new(1, 30_000, 1);
        assert!(Phase::new(large, "fourier:1.5".parse().unwrap()).is_err());
    }
}
