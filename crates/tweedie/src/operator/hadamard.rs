//! Compressed sensing by Walsh-Hadamard patterns: sums of pixels with signs, as a single-pixel camera measures them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::ratio::{self, Ratio};
use super::sampled::{Orthonormal, Sampled};
use super::sensed::Sensed;
use super::spec::{Described, Flag, Flags};
use super::{Error, Operator};
use crate::Dims;

/// Some Walsh-Hadamard coefficients of each channel.
///
/// There are Hadamard matrices of powers of two. A plane of another number of pixels is cut into runs whose lengths are powers of two,
/// the largest first, each with its own transform, so that all rows stay orthonormal whatever the size; scrambled pixels make each
/// run a random choice of the whole plane. (Zeros around the plane would make it a power of two as well, but the rows would no longer
/// be orthogonal.) The order is the natural one (Hadamard's).
pub type Hadamard = Sensed<Sampled<Walsh>>;

impl Hadamard {
    /// For images of these dimensions. Scrambled, pixels change places and signs at random first; else it is the operator of DDRM
    /// and DDNM, of which the mean is measured only if chance has it so.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for a ratio above 1.
    pub fn new(input: Dims, ratio: Ratio, scrambled: bool, seed: u64) -> Result<Hadamard, Error> {
        Sampled::of(input, |_, _| Walsh, ratio, scrambled, seed)
    }
}

/// The transform of a list of any length.
#[derive(Clone, Copy, Debug)]
pub struct Walsh;

/// What fits into a core's first cache.
const NEAR: usize = 4096;

impl Walsh {
    /// Its own inverse.
    fn transform(mut plane: Vec<f64>) -> Vec<f64> {
        let mut rest = plane.as_mut_slice();
        while !rest.is_empty() {
            let run = 1 << rest.len().ilog2();
            let (first, after) = rest.split_at_mut(run);
            transform_run(first);
            rest = after;
        }
        plane
    }
}

/// The orthonormal transform of a power of two.
fn transform_run(run: &mut [f64]) {
    let n = run.len();
    let scale = 1.0 / (n as f64).sqrt();
    run.par_chunks_mut(NEAR).for_each(|near| {
        let mut half = 1;
        while half < near.len() {
            for pair in near.chunks_exact_mut(2 * half) {
                let (a, b) = pair.split_at_mut(half);
                butterflies(a, b);
            }
            half *= 2;
        }
        near.iter_mut().for_each(|v| *v *= scale);
    });
    let mut half = NEAR;
    while half < n {
        run.par_chunks_mut(2 * half).for_each(|pair| {
            let (a, b) = pair.split_at_mut(half);
            let parts = a.par_chunks_mut(NEAR).zip(b.par_chunks_mut(NEAR));
            parts.for_each(|(a, b)| butterflies(a, b));
        });
        half *= 2;
    }
}

fn butterflies(a: &mut [f64], b: &mut [f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        (*a, *b) = (*a + *b, *a - *b);
    }
}

impl Orthonormal for Walsh {
    const NAME: &'static str = "hadamard";

    fn forward(&self, plane: Vec<f64>) -> Vec<f64> {
        Walsh::transform(plane)
    }

    fn inverse(&self, coefficients: Vec<f64>) -> Vec<f64> {
        Walsh::transform(coefficients)
    }
}

/// Hadamard patterns for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HadamardSpec {
    /// Measurements for each pixel, up to 1.
    pub ratio: Ratio,
    /// Whether pixels change places and signs at random before they are transformed.
    #[serde(default = "yes")]
    pub scrambled: bool,
    /// Decides which patterns are measured.
    #[serde(default)]
    pub seed: u64,
}

pub(super) fn yes() -> bool {
    true
}

/// `scrambled`, or `plain`.
pub(super) fn scrambled(text: &str) -> Result<bool, Error> {
    match text {
        "scrambled" => Ok(true),
        "plain" => Ok(false),
        other => Err(Error::Invalid(format!(
            "pixels are `scrambled` or `plain`, not `{other}`"
        ))),
    }
}

/// How the command line asks for it.
pub(super) const PIXELS: Flag = Flag {
    name: "pixels",
    value: "ORDER",
    help: "Whether pixels change places and signs at random before they are transformed: `scrambled`, or `plain` as in DDRM's and \
           DDNM's papers, where the brightness may be lost",
    example: "plain",
    default: Some("scrambled"),
    check: |text| scrambled(text).map(drop),
};

impl Described for HadamardSpec {
    const SUMMARY: &'static str =
        "compressed sensing: a part of a picture's Walsh-Hadamard coefficients, any size";
    const EXAMPLE: &'static str = "ratio = 0.5";
    const FLAGS: &'static [Flag] = &[ratio::FLAG, PIXELS];

    fn from_flags(flags: &Flags<'_>) -> Result<HadamardSpec, Error> {
        Ok(HadamardSpec {
            ratio: flags.need(&ratio::FLAG)?,
            scrambled: scrambled(flags.text(&PIXELS)?)?,
            seed: flags.seed,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Hadamard::new(
            input,
            self.ratio,
            self.scrambled,
            self.seed,
        )?))
    }

    fn input_for(&self, _: Dims) -> Result<Dims, Error> {
        Err(ratio::no_size("hadamard"))
    }

    fn records_pictures(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::sampled::check_transform;
    use super::*;
    use crate::Image;
    use crate::operator::Linear;

    /// Entry `k, i` of Hadamard's matrix is `(-1)^(bits that both have)`. Wrong: another order, zeros around.
    #[test]
    fn the_matrix_of_hadamard() {
        for n in [1, 2, 8, 64] {
            let entry = |k: usize, i: usize| match (k & i).count_ones() % 2 {
                0 => 1.0 / (n as f64).sqrt(),
                _ => -1.0 / (n as f64).sqrt(),
            };
            check_transform(&Walsh, n, Some(&entry));
        }
        for n in [3, 35, 100] {
            check_transform(&Walsh, n, None);
        }
        // Beyond the cache: twice is nothing done.
        let list: Vec<f64> = (0..20_000).map(|i| (i as f64).sin()).collect();
        let twice = Walsh::transform(Walsh::transform(list.clone()));
        assert!(list.iter().zip(twice).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    /// Scrambled, each measurement has its share of the brightness; plain, one has it all. Wrong: signs that leave the mean alone.
    #[test]
    fn scrambling_spreads_what_there_is() {
        let dims = Dims::new(1, 64, 64);
        let flat = Image::from_elem(dims.batch(1), 0.5);
        let whole = Ratio::new(1.0).unwrap();
        let largest = |scrambled| {
            let operator = Hadamard::new(dims, whole, scrambled, 1).unwrap();
            let y = operator.apply(&flat);
            y.iter().fold(0.0f32, |most, v| v.abs().max(most))
        };
        assert!((largest(false) - 32.0).abs() < 1e-3);
        assert!(largest(true) < 3.0, "{}", largest(true));
        let operator = Hadamard::new(dims, Ratio::new(0.25).unwrap(), true, 1).unwrap();
        assert_eq!(operator.output(), Dims::new(1, 1, 1024));
        let guess = operator.guess(&operator.apply(&flat));
        assert!((&guess - &flat).iter().all(|d| d.abs() < 1e-4));
        assert_eq!(operator.gram(), Some(1.0));
        // Another seed measures something else.
        let other = Hadamard::new(dims, Ratio::new(0.25).unwrap(), true, 2).unwrap();
        assert_ne!(other.apply(&flat), operator.apply(&flat));
    }
}
