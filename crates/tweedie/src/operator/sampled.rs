//! Some coefficients of an orthonormal transform: compressed sensing in closed form.
//!
//! Each plane is a list of `N` numbers. They may change places and signs at random first, which spreads every picture evenly over
//! all coefficients, so that any few of them tell as much as any others (structurally random matrices: Do, Gan, Nguyen and Tran
//! 2012); then they are transformed, and a random choice of the coefficients is kept, the same for each channel.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::ratio::Ratio;
use super::sensed::{OrthonormalRows, Sensed};
use super::{Error, not_empty};
use crate::Dims;
use crate::noise::generator;

/// A square matrix of orthonormal rows.
pub trait Orthonormal: Send + Sync {
    /// What the operator is called in messages.
    const NAME: &'static str;

    /// Coefficients of a plane's numbers.
    fn forward(&self, plane: Vec<f64>) -> Vec<f64>;

    /// Numbers of a plane's coefficients.
    fn inverse(&self, coefficients: Vec<f64>) -> Vec<f64>;
}

/// `S T D`: `D` the scrambling, `T` the transform, `S` the choice.
#[derive(Debug)]
pub struct Sampled<T> {
    transform: T,
    scramble: Option<Scramble>,
    /// Which coefficients are kept, in their order.
    kept: Vec<u32>,
}

/// Where each number comes from, and whether its sign is changed.
#[derive(Debug)]
struct Scramble {
    from: Vec<u32>,
    flipped: Vec<bool>,
}

impl<T: Orthonormal> Sampled<T> {
    /// For images of these dimensions and a transform of planes of a height and a width.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for a ratio above 1 or planes of 2^32 pixels.
    pub(super) fn of(
        input: Dims,
        transform: impl FnOnce(usize, usize) -> T,
        ratio: Ratio,
        scrambled: bool,
        seed: u64,
    ) -> Result<Sensed<Sampled<T>>, Error> {
        not_empty(T::NAME, input)?;
        let n = input.h * input.w;
        let most = u32::try_from(n).map_err(|_| {
            Error::Invalid(format!("{} takes planes of less than 2^32 pixels", T::NAME))
        })?;
        let rows = ratio.within(T::NAME, n)?;
        let mut rng = generator(seed, "rows");
        let mut kept: Vec<u32> = rand::seq::index::sample(&mut rng, n, rows)
            .into_iter()
            .map(|i| i as u32)
            .collect();
        kept.sort_unstable();
        let scramble = scrambled.then(|| {
            let mut rng = generator(seed, "scramble");
            let mut from: Vec<u32> = (0..most).collect();
            from.shuffle(&mut rng);
            let flipped = (0..n).map(|_| rng.random()).collect();
            Scramble { from, flipped }
        });
        let by = Sampled {
            transform: transform(input.h, input.w),
            scramble,
            kept,
        };
        Sensed::of(input, by)
    }
}

impl Scramble {
    fn apply(&self, x: &[f32]) -> Vec<f64> {
        let places = self.from.iter().zip(&self.flipped);
        places
            .map(|(&i, &flip)| signed(x[i as usize].into(), flip))
            .collect()
    }

    fn undo(&self, plane: &[f64], x: &mut [f32]) {
        for ((&i, &flip), &v) in self.from.iter().zip(&self.flipped).zip(plane) {
            x[i as usize] = signed(v, flip) as f32;
        }
    }
}

fn signed(v: f64, flip: bool) -> f64 {
    if flip { -v } else { v }
}

impl<T: Orthonormal> OrthonormalRows for Sampled<T> {
    const NAME: &'static str = T::NAME;

    fn rows(&self) -> usize {
        self.kept.len()
    }

    fn measure(&self, x: &[f32], y: &mut [f32]) {
        let plane: Vec<f64> = match &self.scramble {
            None => x.iter().map(|&v| v.into()).collect(),
            Some(scramble) => scramble.apply(x),
        };
        let coefficients = self.transform.forward(plane);
        for (y, &k) in y.iter_mut().zip(&self.kept) {
            *y = coefficients[k as usize] as f32;
        }
    }

    fn back_project(&self, u: &[f32], x: &mut [f32]) {
        let mut coefficients = vec![0.0; x.len()];
        for (&u, &k) in u.iter().zip(&self.kept) {
            coefficients[k as usize] = u.into();
        }
        let plane = self.transform.inverse(coefficients);
        match &self.scramble {
            None => x.iter_mut().zip(plane).for_each(|(x, v)| *x = v as f32),
            Some(scramble) => scramble.undo(&plane, x),
        }
    }
}

/// That a transform and its inverse are those of this orthonormal matrix, `entry(k, i)`, within rounding.
#[cfg(test)]
pub(super) fn check_transform(
    transform: &impl Orthonormal,
    n: usize,
    entry: Option<&dyn Fn(usize, usize) -> f64>,
) {
    let unit = |at: usize| -> Vec<f64> { (0..n).map(|i| f64::from(u8::from(i == at))).collect() };
    let columns: Vec<Vec<f64>> = (0..n).map(|i| transform.forward(unit(i))).collect();
    for i in 0..n {
        for j in 0..n {
            let product: f64 = columns[i].iter().zip(&columns[j]).map(|(a, b)| a * b).sum();
            let expected = f64::from(u8::from(i == j));
            assert!(
                (product - expected).abs() < 1e-12,
                "{n}: {i} and {j} give {product}"
            );
        }
        if let Some(entry) = entry {
            for (k, v) in columns[i].iter().enumerate() {
                assert!(
                    (v - entry(k, i)).abs() < 1e-12,
                    "{n}: entry {k}, {i} is {v}"
                );
            }
        }
        let row = transform.inverse(unit(i));
        for (j, column) in columns.iter().enumerate() {
            assert!(
                (row[j] - column[i]).abs() < 1e-12,
                "{n}: the inverse is another matrix"
            );
        }
    }
}
