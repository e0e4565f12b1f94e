//! Magnetic resonance imaging: part of the picture's spectrum, seen by several coils.

mod coils;
mod espirit;
mod sampling;
mod spec;

use std::f64::consts::FRAC_1_SQRT_2;
use std::fmt;

use ndarray::{Array2, ArrayView3, ArrayViewMut3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use coils::Coils;
pub use sampling::{Pattern, Sampling};
pub use spec::MriSpec;

use super::{Error, Gain, Linear, Loss, Misfit, Operator, Spectrum, cg, not_empty, plane};
use crate::fft::{CentredFft2, Complex};
use crate::level::Range;
use crate::{Dims, Image};

/// What the pictures of a scanner are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pictures {
    /// Real, each channel a picture in [0, 1]: what priors of photographs know.
    #[default]
    Real,
    /// Complex, each two channels (real and imaginary part) a picture with a magnitude in [0, 1].
    Complex,
}

impl Pictures {
    /// Channels of a picture.
    pub fn channels(self) -> usize {
        match self {
            Pictures::Real => 1,
            Pictures::Complex => 2,
        }
    }
}

/// `y_c = M F S_c x` for each coil `c`: k-space, orthonormal and with its origin in the middle, zero where it is not sampled.
///
/// What it records of each picture is `[2*coils, height, width]`, the real and the imaginary part of each coil. With one coil
/// the singular values are known: 1 where k-space is sampled; of real pictures, whose spectrum is symmetric, 1 where both of a pair
/// are sampled and the root of a half where one is.
pub struct Mri {
    input: Dims,
    pictures: Pictures,
    places: Array2<bool>,
    maps: Option<Vec<Vec<Complex>>>,
    /// Whether the maps were found from the measurement itself.
    calibrated: bool,
    /// The singular value of each place of k-space, with one coil.
    strength: Vec<f64>,
    fft: CentredFft2,
}

impl Mri {
    /// For pictures of these dimensions, k-space that is sampled at these `[height, width]` places, and the sensitivities of the
    /// coils, row by row; `None` for one that is equally sensitive everywhere.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no pixel or half a picture, [`Error::PictureSize`] if places or maps do not fit,
    /// [`Error::Invalid`] if nothing is sampled.
    pub(crate) fn new(
        input: Dims,
        pictures: Pictures,
        places: Array2<bool>,
        maps: Option<Vec<Vec<Complex>>>,
    ) -> Result<Mri, Error> {
        not_empty("mri", input)?;
        if !input.c.is_multiple_of(pictures.channels()) {
            return Err(Error::Input {
                operator: "mri of complex pictures",
                expected: "two channels for each, real and imaginary part",
                got: input,
            });
        }
        if places.dim() != (input.h, input.w) {
            return Err(Error::PictureSize {
                what: "sampling mask",
                picture: places.dim(),
                image: (input.h, input.w),
            });
        }
        if !places.iter().any(|&p| p) {
            return Err(Error::Invalid("nothing of k-space is sampled".into()));
        }
        let fits = |map: &Vec<Complex>| map.len() == input.h * input.w;
        if maps
            .as_ref()
            .is_some_and(|m| m.is_empty() || !m.iter().all(fits))
        {
            return Err(Error::Invalid(
                "the coils' maps are not of the picture's size".into(),
            ));
        }
        Ok(Mri {
            strength: strength(&places, pictures),
            fft: CentredFft2::new(input.h, input.w),
            input,
            pictures,
            places,
            maps,
            calibrated: false,
        })
    }

    /// With maps that were found from a measurement: as far as they do not explain it, they are wrong ([`Operator::misfit`]).
    fn calibrated(self) -> Mri {
        Mri {
            calibrated: true,
            ..self
        }
    }

    /// Coils of each picture.
    pub fn coils(&self) -> usize {
        self.maps.as_ref().map_or(1, Vec::len)
    }

    /// Which places of k-space are sampled, `[height, width]`.
    pub fn places(&self) -> &Array2<bool> {
        &self.places
    }

    /// How many places of k-space are sampled.
    fn sampled(&self) -> usize {
        self.places.iter().filter(|&&p| p).count()
    }

    /// The picture of some channels.
    fn complex(&self, x: &ArrayView3<'_, f32>) -> Vec<Complex> {
        match self.pictures {
            Pictures::Real => x.iter().map(|&v| Complex::new(v.into(), 0.0)).collect(),
            Pictures::Complex => pairs(x),
        }
    }

    /// Some channels of a picture; what is imaginary of a real one is dropped.
    fn put(&self, z: &[Complex], mut x: ArrayViewMut3<'_, f32>) {
        x.iter_mut().zip(z).for_each(|(x, z)| *x = z.re as f32);
        if self.pictures == Pictures::Complex {
            let mut imaginary = x.index_axis_mut(Axis(0), 1);
            let parts = imaginary.iter_mut().zip(z);
            parts.for_each(|(x, z)| *x = z.im as f32);
        }
    }

    /// Zero where nothing is sampled.
    fn masked(&self, mut k: Vec<Complex>) -> Vec<Complex> {
        for (k, &sampled) in k.iter_mut().zip(&self.places) {
            if !sampled {
                *k = Complex::ZERO;
            }
        }
        k
    }

    /// The picture that `f` makes of each picture `x`.
    fn each(&self, x: &Image, f: impl Fn(Vec<Complex>) -> Vec<Complex>) -> Image {
        plane::check(x, self.input);
        let mut out = Image::zeros(x.dim());
        let channels = self.pictures.channels();
        for (x, mut out) in x.outer_iter().zip(out.outer_iter_mut()) {
            let pictures = x.axis_chunks_iter(Axis(0), channels);
            for (x, out) in pictures.zip(out.axis_chunks_iter_mut(Axis(0), channels)) {
                self.put(&f(self.complex(&x)), out);
            }
        }
        out
    }

    /// With one coil: `g` of each singular value, times the picture's spectrum.
    fn weighed(&self, x: &Image, gain: &[f64]) -> Image {
        self.each(x, |z| {
            let mut k = self.fft.forward(z);
            k.iter_mut().zip(gain).for_each(|(k, g)| *k *= *g);
            self.fft.inverse(k)
        })
    }

    fn per_picture(&self) -> usize {
        2 * self.coils()
    }
}

/// Real and imaginary parts, one channel after the other.
fn pairs(x: &ArrayView3<'_, f32>) -> Vec<Complex> {
    let [re, im] = [0, 1].map(|k| x.index_axis(Axis(0), k));
    let both = re.iter().zip(im);
    both.map(|(&re, &im)| Complex::new(re.into(), im.into()))
        .collect()
}

fn strength(places: &Array2<bool>, pictures: Pictures) -> Vec<f64> {
    let (h, w) = places.dim();
    let opposite = |i: usize, n: usize| (2 * (n / 2) + n - i) % n;
    let value = |((v, u), &here): ((usize, usize), &bool)| {
        let there = match pictures {
            Pictures::Real => places[[opposite(v, h), opposite(u, w)]],
            Pictures::Complex => here,
        };
        match (here, there) {
            (true, true) => 1.0,
            (false, false) => 0.0,
            _ => FRAC_1_SQRT_2,
        }
    };
    places.indexed_iter().map(value).collect()
}

impl Operator for Mri {
    fn name(&self) -> &'static str {
        "mri"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        let pictures = self.input.c / self.pictures.channels();
        Dims {
            c: pictures * self.per_picture(),
            ..self.input
        }
    }

    fn range(&self) -> Range {
        match self.pictures {
            Pictures::Real => Range::IMAGE,
            Pictures::Complex => Range::NETWORK,
        }
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.input);
        let mut y = Image::zeros(self.output().batch(x.dim().0));
        for (x, mut y) in x.outer_iter().zip(y.outer_iter_mut()) {
            let pictures = x.axis_chunks_iter(Axis(0), self.pictures.channels());
            let recorded = y.axis_chunks_iter_mut(Axis(0), self.per_picture());
            for (x, mut y) in pictures.zip(recorded) {
                let z = self.complex(&x);
                y.axis_chunks_iter_mut(Axis(0), 2)
                    .into_par_iter()
                    .enumerate()
                    .for_each(|(c, mut y)| {
                        let seen = match &self.maps {
                            None => z.clone(),
                            Some(maps) => z.iter().zip(&maps[c]).map(|(z, s)| z * s).collect(),
                        };
                        let k = self.masked(self.fft.forward(seen));
                        let [mut re, mut im] = {
                            let (re, im) = y.view_mut().split_at(Axis(0), 1);
                            [re, im]
                        };
                        re.iter_mut().zip(&k).for_each(|(y, k)| *y = k.re as f32);
                        im.iter_mut().zip(&k).for_each(|(y, k)| *y = k.im as f32);
                    });
            }
        }
        y
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// The adjoint: what the scanner would show if all that it did not sample were 0, the coils put together.
    fn guess(&self, y: &Image) -> Image {
        self.adjoint(y)
    }

    fn loss(&self) -> Loss {
        Loss {
            frequencies: true,
            ..Loss::NOTHING
        }
    }

    /// From the twentieth of the sampled places that are farthest from the middle, where a picture shows least: two thirds of the
    /// median of what is there is noise.
    fn noise_in(&self, y: &Image) -> Option<f64> {
        let (h, w) = self.places.dim();
        let away = |i: usize, n: usize| (i as f64 - (n / 2) as f64) / n as f64;
        let mut far: Vec<_> = self.places.indexed_iter().filter(|(_, p)| **p).collect();
        far.sort_by(|((v, u), _), ((y, x), _)| {
            let size = |v: usize, u: usize| away(v, h).hypot(away(u, w));
            size(*y, *x).total_cmp(&size(*v, *u))
        });
        far.truncate((far.len() / 20).max(16));
        let mut sizes: Vec<f32> = far
            .iter()
            .flat_map(|((v, u), _)| y.slice(ndarray::s![.., .., *v, *u]).into_iter().copied())
            .map(f32::abs)
            .collect();
        let middle = sizes.len() / 2;
        let (_, median, _) = sizes.select_nth_unstable_by(middle, f32::total_cmp);
        // Of white noise two thirds of its standard deviation.
        Some(f64::from(*median) / 0.6745)
    }

    /// Of maps that were found: what no picture explains of a measurement with more numbers than the picture has. Maps are smooth all
    /// around; where a picture reaches the frame's edges, the true ones are not.
    fn misfit(&self, y: &Image, sigma: f64) -> Option<Misfit> {
        let (h, w) = self.places.dim();
        let numbers = self.output().c * self.sampled();
        let unknown = self.input.c * h * w;
        if !self.calibrated || numbers < 5 * unknown / 4 {
            return None;
        }
        let (x, _) = cg::pseudo_inverse(self, y, cg::Params::STEP);
        let left = y - &self.apply(&x);
        let sum: f64 = left.iter().map(|v| f64::from(*v).powi(2)).sum();
        Some(Misfit {
            excess: 1.0,
            softened: 0.0,
            sigma: (sum / (numbers - unknown) as f64).sqrt().max(sigma),
            found: true,
        })
    }

    fn recorded(&self) -> Option<Array2<bool>> {
        let all = self.places.iter().all(|&p| p);
        (!all).then(|| self.places.clone())
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Mri {
    fn adjoint(&self, u: &Image) -> Image {
        plane::check(u, self.output());
        let mut x = Image::zeros(self.input.batch(u.dim().0));
        for (u, mut x) in u.outer_iter().zip(x.outer_iter_mut()) {
            let recorded = u.axis_chunks_iter(Axis(0), self.per_picture());
            let pictures = x.axis_chunks_iter_mut(Axis(0), self.pictures.channels());
            for (u, x) in recorded.zip(pictures) {
                let coils: Vec<_> = u.axis_chunks_iter(Axis(0), 2).collect();
                let seen: Vec<Vec<Complex>> = coils
                    .par_iter()
                    .map(|u| self.fft.inverse(self.masked(pairs(u))))
                    .collect();
                self.put(&self.together(seen), x);
            }
        }
        x
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        match self.maps {
            None => Some(self),
            Some(_) => None,
        }
    }

    fn gram(&self) -> Option<f64> {
        let all = self.places.iter().all(|&p| p);
        (self.maps.is_none() && all && self.pictures == Pictures::Complex).then_some(1.0)
    }

    fn isometry(&self) -> Option<f64> {
        let even = self.strength.iter().all(|&s| s == 0.0 || s == 1.0);
        (self.maps.is_none() && even).then_some(1.0)
    }
}

impl Mri {
    /// `sum_c conj(S_c) z_c`, in the order of the coils.
    fn together(&self, seen: Vec<Vec<Complex>>) -> Vec<Complex> {
        let Some(maps) = &self.maps else {
            return seen.into_iter().next().expect("there is a coil");
        };
        let mut sum = vec![Complex::ZERO; self.input.h * self.input.w];
        for (seen, map) in seen.iter().zip(maps) {
            for ((sum, z), s) in sum.iter_mut().zip(seen).zip(map) {
                *sum += z * s.conj();
            }
        }
        sum
    }
}

/// Of one coil.
impl Spectrum for Mri {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let values = |gain: &Gain<'_>| self.strength.iter().map(|&s| gain(s)).collect::<Vec<_>>();
        gains
            .iter()
            .map(|gain| self.weighed(x, &values(gain)))
            .collect()
    }

    /// `V g(S) U^T y = g(S)/S` of the spectrum of `A^T y`.
    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let seen = self.adjoint(y);
        let over = |gain: &Gain<'_>| {
            let value = |&s: &f64| if s > 0.0 { gain(s) / s } else { 0.0 };
            self.strength.iter().map(value).collect::<Vec<_>>()
        };
        gains
            .iter()
            .map(|gain| self.weighed(&seen, &over(gain)))
            .collect()
    }

    fn norm(&self) -> f64 {
        self.strength.iter().fold(0.0, |m, &s| m.max(s))
    }
}

impl fmt::Debug for Mri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sampled = self.sampled();
        write!(
            f,
            "Mri({} {:?}, {} coils, {sampled} places)",
            self.input,
            self.pictures,
            self.coils()
        )
    }
}
