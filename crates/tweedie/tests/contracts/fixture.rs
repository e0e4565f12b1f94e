//! A prior and an operator that are as simple as can be.

use std::sync::Mutex;

use tweedie::level::Level;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::noise_map::NoiseMap;
use tweedie::operator::{Identity, Loss, Operator};
use tweedie::prior::{Card, Error, Estimate, Measured, Prior, Pullback};
use tweedie::problem::Problem;
use tweedie::{Dims, Image};

/// Its variance.
pub(crate) const V: f64 = 0.04;

/// Independent pixels of N(0.5, V), for pictures of any size, with any card; it remembers what it was asked.
#[derive(Debug)]
pub(crate) struct White {
    pub(crate) card: Card,
    /// Its learned variance, everywhere the same.
    pub(crate) share: Option<f32>,
    pub(crate) asked: Mutex<Vec<f64>>,
}

impl White {
    pub(crate) fn new(card: Card) -> White {
        White {
            card,
            share: None,
            asked: Mutex::default(),
        }
    }

    /// One channel, any size, a pullback, maps of noise, a likelihood.
    pub(crate) fn any() -> White {
        White::new(Card {
            channels: vec![1],
            maps: true,
            likelihood: true,
            ..Card::any()
        })
    }

    /// As a method wants it: of noise, a conditional prior for the one that is for no other.
    pub(crate) fn suiting(self, method: &str) -> White {
        let trained =
            || serde_json::from_value(serde_json::json!({"operator": {"kind": "identity"}}));
        let condition = (method == "sr3").then(|| trained().unwrap());
        White {
            card: Card {
                condition,
                ..self.card
            },
            ..self
        }
    }

    pub(crate) fn knowing(sigma: [f64; 2]) -> White {
        White::new(Card {
            sigma,
            ..White::any().card
        })
    }

    /// The different sigmas that it was asked for.
    pub(crate) fn visited(&self) -> usize {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort_by(f64::total_cmp);
        asked.dedup();
        asked.len()
    }
}

fn gain(level: Level) -> f64 {
    level.a * V / (level.a * level.a * V + level.b * level.b)
}

impl Prior for White {
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.asked.lock().unwrap().push(level.sigma());
        let (gain, mean) = (gain(level) as f32, 0.5 * level.a as f32);
        Ok(Estimate {
            x0: x.mapv(|x| 0.5 + gain * (x - mean)),
            share: self.share.map(|share| Image::from_elem(x.dim(), share)),
        })
    }

    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        let gain = |v: f32| V as f32 / (V as f32 + v);
        Ok((noise.filter(&(m - 0.5), gain) + 0.5).into())
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        let pullback = move |v: &Image| Ok(v * gain(level) as f32);
        Ok((self.estimate(x, level)?, Box::new(pullback)))
    }

    /// Whatever is shown tells nothing.
    fn given(&self, _: &Image) -> Result<Box<dyn Prior + '_>, Error> {
        let card = Card {
            condition: None,
            ..self.card.clone()
        };
        Ok(Box::new(Shown(self, card)))
    }

    /// Whatever is measured tells nothing.
    fn likelihood_score(&self, x: &Image, _: Level, _: &Measured) -> Result<Image, Error> {
        Ok(Image::zeros(x.dim()))
    }
}

/// [`White`], shown a first guess.
struct Shown<'a>(&'a White, Card);

impl Prior for Shown<'_> {
    fn card(&self) -> &Card {
        &self.1
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.0.estimate(x, level)
    }
}

/// `A(x) = x^2`, pixel by pixel: not linear.
#[derive(Debug)]
pub(crate) struct Square(pub(crate) Dims);

impl Operator for Square {
    fn name(&self) -> &'static str {
        "square"
    }

    fn input(&self) -> Dims {
        self.0
    }

    fn output(&self) -> Dims {
        self.0
    }

    fn apply(&self, x: &Image) -> Image {
        x.mapv(|x| x * x)
    }

    fn vjp(&self, x: &Image, u: &Image) -> Image {
        2.0 * x * u
    }

    fn guess(&self, y: &Image) -> Image {
        y.mapv(|y| y.max(0.0).sqrt())
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }
}

/// A draw of the prior.
pub(crate) fn truth(dims: Dims, seed: u64) -> Image {
    Seeded::new(seed, "truth").normal(1, dims) * V.sqrt() as f32 + 0.5
}

/// What an operator makes of such a draw, with noise.
pub(crate) fn measured(operator: impl Operator + 'static, sigma: f64) -> Problem {
    measured_by(Box::new(operator), sigma)
}

pub(crate) fn measured_by(operator: Box<dyn Operator>, sigma: f64) -> Problem {
    let (x, dims) = (truth(operator.input(), 1), operator.output());
    let noise = Seeded::new(2, "noise").normal(1, dims) * sigma as f32;
    let y = match operator.binned() {
        // What is rounded has its noise by then.
        Some(binned) => binned.rounded(&(binned.before().apply(&x) + noise)),
        None => operator.apply(&x) + noise,
    };
    Problem::new(y, operator, sigma).unwrap()
}

/// The same of nothing but noise.
pub(crate) fn noisy(dims: Dims, sigma: f64) -> Problem {
    measured(Identity::new(dims).unwrap(), sigma)
}
