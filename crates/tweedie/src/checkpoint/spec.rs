//! What must be known of a network besides its weights.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::level;
use crate::net::{Architecture, ParamsError};
use crate::operator::Imitated;
use crate::prior::{Conditioning, Parametrisation, Path, TrainedFor};

/// What must be known of a network besides its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its shape.
    pub network: Architecture,
    /// What it answers.
    pub parametrisation: Parametrisation,
    /// How it is told the noise level.
    #[serde(default)]
    pub conditioning: Conditioning,
    /// The smallest and the largest sigma that it was trained on, in the units of its data.
    pub sigma: [f64; 2],
    /// What a network with maps is told of a number that is known; if nothing is said, the smallest sigma. It is below that where
    /// it means so much to the network that it takes the noise of that level for the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<f64>,
    /// What black and white are to it.
    #[serde(default = "symmetric")]
    pub data: [f64; 2],
    /// The channels of its answer that the parametrisation speaks of; the first ones, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Range<usize>>,
    /// Those that hold the learned variance of an ancestral step, as `v` in [-1, 1] (Nichol and Dhariwal 2021).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance: Option<Range<usize>>,
    /// Whether its two channels are the real and the imaginary part of complex pictures. Their magnitudes are in [0, 1], so that
    /// black and white are -1 and 1 outside of the network, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complex: bool,
    /// What it was trained for, if it is conditional: a first guess of each picture comes as further channels of its input, as
    /// many as the picture's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<TrainedFor>,
    /// What it imitates, if it is no prior but an operator: it is shown what is told of that as further channels of its input, and
    /// answers what is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imitates: Option<Imitated>,
    /// What the file is, in a line.
    #[serde(default)]
    pub about: String,
}

fn symmetric() -> [f64; 2] {
    [-1.0, 1.0]
}

impl ModelSpec {
    /// A network that is told `ln(sigma)/4`, for data in [-1, 1], without a learned variance.
    pub fn new(
        network: impl Into<Architecture>,
        parametrisation: Parametrisation,
        sigma: [f64; 2],
    ) -> ModelSpec {
        ModelSpec {
            network: network.into(),
            parametrisation,
            conditioning: Conditioning::default(),
            sigma,
            known: None,
            data: symmetric(),
            mean: None,
            variance: None,
            complex: false,
            condition: None,
            imitates: None,
            about: String::new(),
        }
    }

    /// The channels of its pictures.
    pub fn channels(&self) -> usize {
        let shown = self.network.facts().channels_in;
        match self.condition.is_some() || self.imitates.is_some() {
            true => shown / 2,
            false => shown,
        }
    }

    /// The channels of the answer that the parametrisation speaks of.
    pub fn mean(&self) -> Range<usize> {
        let first = || 0..self.channels();
        self.mean.clone().unwrap_or_else(first)
    }

    /// The range of the network's data.
    pub fn range(&self) -> level::Range {
        let [low, high] = self.data;
        level::Range {
            center: 0.5 * (low + high),
            half: 0.5 * (high - low),
        }
    }

    /// The range of pictures outside of the network.
    pub fn range_outside(&self) -> level::Range {
        match self.complex {
            true => level::Range::NETWORK,
            false => level::Range::IMAGE,
        }
    }

    /// That the numbers describe a prior, or an operator.
    ///
    /// # Errors
    /// [`ParamsError::Config`] names the key and what is wrong with it.
    pub fn check(&self) -> Result<(), ParamsError> {
        self.network.check()?;
        let wrong =
            |key: &str, what: String| ParamsError::Config(format!("model, `{key}`: {what}"));
        let [low, high] = self.data;
        if !(low < high && (high - low).is_finite()) {
            let what = format!("black must be below white, not {:?}", self.data);
            return Err(wrong("data", what));
        }
        let [least, most] = self.sigma;
        if !(0.0 < least && least <= most && most.is_finite()) {
            let what = format!(
                "must be a positive sigma and a larger, finite one, not {:?}",
                self.sigma
            );
            return Err(wrong("sigma", what));
        }
        if self
            .known
            .is_some_and(|known| !(0.0 < known && known <= least))
        {
            let what = format!("must be positive and at most the smallest sigma, {least}");
            return Err(wrong("known", what));
        }
        self.parametrisation
            .check()
            .map_err(|what| wrong("parametrisation", what))?;
        self.conditioning
            .check(self.range(), self.sigma)
            .map_err(|what| wrong("conditioning", what))?;
        let pixelwise = matches!(self.parametrisation, Parametrisation::Edm { .. })
            && self.conditioning == Conditioning::LogSigma;
        if self.network.facts().maps && !pixelwise {
            let what =
                "a network with maps answers as `edm` does and is told `log-sigma`".to_owned();
            return Err(wrong("parametrisation", what));
        }
        self.check_channels()
            .map_err(|(key, what)| wrong(key, what))
    }

    /// What maps tell: of what is known, and at most.
    pub(crate) fn told(&self) -> [f64; 2] {
        [self.known.unwrap_or(self.sigma[0]), self.sigma[1]]
    }

    /// That the network takes a picture and answers what is read from its answer.
    fn check_channels(&self) -> Result<(), (&'static str, String)> {
        let facts = self.network.facts();
        if let Some(n) = facts.classes {
            let what = format!("a network that is told one of {n} classes makes no prior");
            return Err(("network", what));
        }
        let (own, out) = (self.channels(), facts.channels_out);
        if let Some(trained) = &self.condition {
            trained.check().map_err(|what| ("condition", what))?;
            if facts.channels_in != 2 * own || own == 0 || facts.maps || self.complex {
                let what = "a conditional network takes twice the channels of its pictures, no maps and no complex pictures";
                return Err(("condition", what.to_owned()));
            }
        }
        if let Some(imitated) = &self.imitates {
            imitated.check().map_err(|e| ("imitates", e.to_string()))?;
            let answers = Parametrisation::X0 { path: Path::Ve };
            let three = own == 3 && facts.channels_in == 6 && out == 3;
            let other = self.complex || self.condition.is_some() || facts.maps || !facts.any_size;
            if !three || other || self.parametrisation != answers || self.data != symmetric() {
                let what = "an operator takes 6 channels of any size and answers 3, as `x0` on the path `ve`, for data in [-1, 1]";
                return Err(("imitates", what.to_owned()));
            }
        }
        if self.complex && own != 2 {
            let what = format!("a complex picture has two channels, not {own}");
            return Err(("complex", what));
        }
        let mean = self.mean();
        let parts = [("mean", Some(&mean)), ("variance", self.variance.as_ref())];
        for (key, part) in parts {
            let Some(part) = part else { continue };
            if part.len() != own || part.end > out {
                let shown = match out < own {
                    true => {
                        "; a network that is shown a first guess says in `condition` what it undoes"
                    }
                    false => "",
                };
                let what =
                    format!("{own} of the answer's {out} channels are wanted, not {part:?}{shown}");
                return Err((key, what));
            }
        }
        match &self.variance {
            Some(variance) if variance.start < mean.end && mean.start < variance.end => {
                let what = format!("{variance:?} are channels of the mean, {mean:?}, too");
                Err(("variance", what))
            }
            _ => Ok(()),
        }
    }
}
