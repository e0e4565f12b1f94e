//! What a conditional prior was trained for.
//!
//! Most priors know pictures, and methods bring the measurement in. A conditional one was trained on pairs: it is shown the
//! operator's first guess of a picture beside the noisy picture (SR3, Saharia et al. 2021, arXiv:2104.07636: the small picture,
//! made as large as the result by bicubic interpolation), and answers what both say together. It knows one task, and that one
//! without any approximation of a likelihood.

use ndarray::Axis;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::level::Range;
use crate::noise::{NoiseSource, Seeded};
use crate::operator::{self, Operator, Spec};
use crate::{Dims, Image};

/// The task that a conditional prior was trained for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedFor {
    /// What was done to the pictures.
    pub operator: Spec,
    /// The least and the largest standard deviation of the noise in the measurements, for pictures in [0, 1]; each had one in
    /// between.
    #[serde(default)]
    pub noise: [f64; 2],
}

/// Operators are the same if what they make of noise differs by less.
const SAME: f32 = 1e-3;

impl TrainedFor {
    /// That the numbers make sense, and nothing outside of the description is needed.
    pub(crate) fn check(&self) -> Result<(), String> {
        let [least, most] = self.noise;
        if !(0.0 <= least && least <= most && most <= 1.0) {
            return Err(format!(
                "`noise` is a least and a largest standard deviation from 0 to 1, not {:?}",
                self.noise
            ));
        }
        // A model file goes from hand to hand, and no other file with it.
        match self.operator.clone().files().first() {
            Some(file) => Err(format!(
                "an operator whose file ({}) would have to go with the model cannot be trained for; describe it in words",
                file.display()
            )),
            None => Ok(()),
        }
    }

    /// The operator for clean pictures of these dimensions, as it is to be undone.
    ///
    /// # Errors
    /// Those of [`Spec::build`].
    pub fn build(&self, input: Dims) -> Result<Box<dyn Operator>, operator::Error> {
        self.operator.undone().build(input)
    }

    /// Whether an operator is the one that it was trained for, by what both make of the same noise.
    pub fn is(&self, operator: &dyn Operator) -> bool {
        let Ok(own) = self.build(operator.input()) else {
            return false;
        };
        if own.name() != operator.name() || own.output() != operator.output() {
            return false;
        }
        let Range { center, half } = operator.range();
        let probe = Seeded::new(0, "probe").normal(1, operator.input());
        let probe = probe.mapv(|z| (center + 0.3 * half * f64::from(z)) as f32);
        let apart = own.apply(&probe) - operator.apply(&probe);
        apart.iter().all(|v| v.abs() < SAME)
    }

    /// Whether measurements were as noisy in training, or nearly: rounding to 8 bits is not told from noise.
    pub fn knows_noise(&self, sigma: f64) -> bool {
        let [least, most] = self.noise;
        (0.5 * least..=most + 2.0 / 255.0).contains(&sigma)
    }

    /// In words, for messages.
    pub fn in_words(&self) -> String {
        let json = serde_json::to_value(&self.operator).expect("a spec is plain data");
        let settings = json.as_object().into_iter().flatten();
        let rest: Vec<String> = settings
            .filter(|(key, _)| *key != "kind")
            .map(|(key, value)| match value.as_str() {
                Some(text) => format!("{key} {text}"),
                None => format!("{key} {value}"),
            })
            .collect();
        match rest.is_empty() {
            true => format!("`{}`", self.operator.name()),
            false => format!("`{}` ({})", self.operator.name(), rest.join(", ")),
        }
    }

    /// First guesses of clean crops in [-1, 1], in that range: each is measured with noise, limited and rounded as a file of 8
    /// bits does it where the operator records pictures.
    ///
    /// # Errors
    /// Those of [`TrainedFor::build`].
    pub(crate) fn guesses(&self, x0: &Image, rng: &mut impl Rng) -> Result<Image, operator::Error> {
        let operator = self.build(Dims::of(x0))?;
        let mut y = operator.apply(&x0.mapv(|v| 0.5 * v + 0.5));
        let [least, most] = self.noise;
        let n = y.dim().0;
        let sigmas: Vec<f64> = (0..n)
            .map(|_| least + rng.random::<f64>() * (most - least))
            .collect();
        let noise = Seeded::new(rng.random(), "measurement").normal(n, operator.output());
        let pictures = y.axis_iter_mut(Axis(0)).zip(noise.axis_iter(Axis(0)));
        for ((mut y, noise), sigma) in pictures.zip(sigmas) {
            y.scaled_add(sigma as f32, &noise);
        }
        if self.operator.records_pictures() {
            y.mapv_inplace(|v| (v * 255.0).round().clamp(0.0, 255.0) / 255.0);
        }
        Ok(operator.guess(&y).mapv(|v| 2.0 * v - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn trained(text: &str) -> TrainedFor {
        toml::from_str(text).unwrap()
    }

    /// The same operator by another description is the same; another factor, filter or place in the picture is not. Wrong: a
    /// comparison of descriptions, or of names and sizes alone.
    #[test]
    fn an_operator_is_known_by_what_it_does() {
        let quarter = trained("operator = { kind = 'downsample', factor = 4 }");
        let dims = Dims::new(3, 24, 32);
        for (text, same) in [
            ("kind = 'downsample'\nfactor = 4", true),
            (
                "kind = 'downsample'\nfactor = 4.0\nfilter = 'bicubic'",
                true,
            ),
            ("kind = 'downsample'\nfactor = 2", false),
            ("kind = 'downsample'\nfactor = 4\nfilter = 'average'", false),
            ("kind = 'identity'", false),
        ] {
            let spec: Spec = toml::from_str(text).unwrap();
            let operator = spec.build(dims).unwrap();
            assert_eq!(quarter.is(operator.as_ref()), same, "{text}");
        }
        assert_eq!(
            quarter.in_words(),
            "`downsample` (boundary symmetric, factor 4, filter bicubic)"
        );
        assert!(quarter.knows_noise(0.0) && !quarter.knows_noise(0.02));
    }

    /// Wrong: noise that every crop shares or that is beyond the range, a guess in [0, 1], numbers that no file holds.
    #[test]
    fn guesses_are_those_of_noisy_files() {
        let mut noisy = trained("operator = { kind = 'identity' }\nnoise = [0.1, 0.2]");
        let x0 = Image::zeros((8, 3, 16, 16));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let guesses = noisy.guesses(&x0, &mut rng).unwrap();
        let steps = guesses.mapv(|v| (v + 1.0) * 127.5);
        assert!(steps.iter().all(|v| (v - v.round()).abs() < 1e-3));
        let mut seen = Vec::new();
        for guess in guesses.outer_iter() {
            let sigma = 0.5 * guess.mapv(|v| f64::from(v).powi(2)).mean().unwrap().sqrt();
            // A standard error is 2.6 %.
            assert!((0.09..0.22).contains(&sigma), "{sigma}");
            seen.push(sigma);
        }
        let spread = seen
            .iter()
            .fold(0.0, |m: f64, v| m.max((v - seen[0]).abs()));
        assert!(spread > 0.02, "{seen:?}");
        noisy.noise = [0.0, 0.0];
        let exact = noisy.guesses(&x0, &mut rng).unwrap();
        // Half a step of 8 bits, in a range of 2.
        assert!(exact.iter().all(|v| v.abs() < 1.01 / 255.0));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let dims = Dims::new(3, 8, 8);
        assert!(trained("operator = { kind = 'identity' }").check().is_ok());
        for text in [
            "operator = { kind = 'identity' }\nnoise = [0.2, 0.1]",
            "operator = { kind = 'identity' }\nnoise = [-0.1, 0.1]",
            "operator = { kind = 'identity' }\nnoise = [nan, nan]",
            "operator = { kind = 'blur', kernel = 'k.txt' }",
        ] {
            assert!(trained(text).check().is_err(), "{text}");
        }
        let chain = trained("operator = { kind = 'compose', steps = [] }");
        assert!(chain.build(dims).is_err());
        assert!(toml::from_str::<TrainedFor>("noise = [0, 1]").is_err());
        let unknown = "operator = { kind = 'identity' }\nsigma = 1";
        assert!(toml::from_str::<TrainedFor>(unknown).is_err());
    }
}
