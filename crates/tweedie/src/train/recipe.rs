//! Recipes: all that decides a training run, in a TOML file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Cut, Error, Maps, NoiseLaw, Optimizer, Teacher};
use crate::Dims;
use crate::checkpoint::ModelSpec;
use crate::files;
use crate::net::Architecture;
use crate::operator::{Imitated, Motion};
use crate::prior::{Conditioning, Parametrisation, TrainedFor};

/// What to train, on what, how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the model is, in a line; goes into its file.
    pub about: String,
    /// Seed of the initial weights, the crops and the noise.
    #[serde(default)]
    pub seed: u64,
    /// A model to start from, relative to the recipe, in the place of random weights: to train it further in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// Parts of that model that have another name in this network, which may be larger: `"middle.2.0" = "encode.2.0"`. What
    /// the model lacks starts as in a new network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<BTreeMap<String, String>>,
    /// Parts of that model that this network does not have: `["stem.map"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// The pictures.
    pub data: Data,
    /// The network.
    pub network: Architecture,
    /// What it answers.
    pub parametrisation: Parametrisation,
    /// How it is told the noise level.
    #[serde(default)]
    pub conditioning: Conditioning,
    /// At which noise levels it is trained.
    pub noise: NoiseLaw,
    /// What it is to undo, if it is conditional: each crop is measured so, and the network shown the first guess beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<TrainedFor>,
    /// What it is to imitate, if it is no prior but an operator: the network is shown each crop, and what is told of its motion
    /// beside it. Its parametrisation is `x0` on the path `ve`, and there is no noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imitate: Option<Imitated>,
    /// Which maps of noise it is told, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maps: Option<Maps>,
    /// What to answer to pictures whose error is no noise, if it is taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<Teacher>,
    /// Steps and step sizes.
    pub optimizer: Optimizer,
    /// When to look, and when to save.
    #[serde(default)]
    pub schedule: Schedule,
}

/// The training pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Folder of pictures to train on; relative to the recipe.
    pub train: PathBuf,
    /// Folder of pictures to validate on; relative to the recipe.
    pub valid: PathBuf,
    /// Side of the square crops, in pixels.
    pub crop: usize,
    /// Crops in a step.
    pub batch: usize,
    /// Steps take crops with sides these times as long, in turn, and as many fewer as keeps the pixels of a step the same.
    /// A network that only saw small crops misjudges the very noisy levels of large pictures.
    #[serde(default = "one")]
    pub growth: Vec<usize>,
    /// Whether crops stay as they are, for what has an upside; else they are turned and mirrored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub upright: bool,
    /// Whether each picture is a sheet of small ones side by side, each as large as a crop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sheets: bool,
    /// Each picture is also used reduced by these factors (1 is the picture itself).
    #[serde(default = "one")]
    pub scales: Vec<usize>,
    /// Share of crops that are made grey, with the same noise in all channels.
    #[serde(default)]
    pub grey: f64,
    /// Share of crops whose noisy version is limited and rounded to 8 bits, as in a file.
    #[serde(default)]
    pub rounded: f64,
    /// Standard deviation of the logarithm of a random gamma, and twice that of a gain of each channel.
    #[serde(default)]
    pub jitter: f64,
    /// Pictures are the magnitudes of complex ones: each crop gets a random phase without waves shorter than so many pixels, and
    /// the network takes and answers two channels, real and imaginary part in [-1, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<f64>,
}

fn one() -> Vec<usize> {
    vec![1]
}

impl Data {
    /// How many crops step `n` (from 0) takes, and of which side.
    pub fn crops_of(&self, n: u64) -> (usize, usize) {
        let growth = self.growth[(n % self.growth.len() as u64) as usize];
        (self.batch / (growth * growth), self.crop * growth)
    }

    /// The side of the largest crops.
    pub fn largest_crop(&self) -> usize {
        self.crop * self.growth.iter().max().unwrap_or(&1)
    }
}

/// When to look, and when to save.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Steps between log entries.
    pub log: u64,
    /// Steps between validations.
    pub validate: u64,
    /// Steps between saved states.
    pub save: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            log: 50,
            validate: 1000,
            save: 500,
        }
    }
}

impl Recipe {
    /// Reads a recipe; relative folders in it are taken from where it lies.
    pub fn open(path: &Path) -> Result<Recipe, Error> {
        let mut recipe: Recipe = files::read_toml(path).map_err(|e| Error::Data {
            path: e.path,
            reason: e.why,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        recipe.data.train = folder.join(&recipe.data.train);
        recipe.data.valid = folder.join(&recipe.data.valid);
        recipe.from = recipe.from.map(|from| folder.join(from));
        if let Some(teacher) = &mut recipe.teacher {
            teacher.model = folder.join(&teacher.model);
        }
        recipe.check()?;
        Ok(recipe)
    }

    /// Whether the numbers make sense together.
    pub fn check(&self) -> Result<(), Error> {
        let Data {
            crop,
            batch,
            ref growth,
            ref scales,
            grey,
            rounded,
            jitter,
            phase,
            ..
        } = self.data;
        let wrong = |what: &str| Err(Error::Recipe(what.to_owned()));
        if !(8..=4096).contains(&crop) {
            return wrong("data.crop must be from 8 to 4096 pixels");
        }
        if !(1..=65536).contains(&batch) {
            return wrong("data.batch must be from 1 to 65536");
        }
        let uneven = |g: &usize| !(1..=64).contains(g) || !batch.is_multiple_of(g * g);
        if growth.is_empty() || growth.iter().any(uneven) {
            return wrong(
                "data.growth must be factors from 1 to 64 whose squares divide data.batch",
            );
        }
        if scales.is_empty() || scales.iter().any(|s| !(1..=64).contains(s)) {
            return wrong("data.scales must be factors from 1 to 64");
        }
        if !(0.0..=1.0).contains(&grey) {
            return wrong("data.grey must be from 0 to 1");
        }
        if !(0.0..=1.0).contains(&rounded) || !(0.0..=1.0).contains(&jitter) {
            return wrong("data.rounded and data.jitter must be from 0 to 1");
        }
        if phase.is_some_and(|p| !(1.0..=1e6).contains(&p)) {
            return wrong("data.phase must be from 1 to 1000000 pixels");
        }
        let for_photographs =
            self.maps.is_some() || self.teacher.is_some() || grey > 0.0 || rounded > 0.0;
        if phase.is_some() && for_photographs {
            return wrong(
                "with data.phase there are no maps, no teacher, no data.grey and no data.rounded",
            );
        }
        if self
            .teacher
            .as_ref()
            .is_some_and(|t| !(0.0..=1.0).contains(&t.share))
        {
            return wrong("teacher.share must be from 0 to 1");
        }
        if self.data.sheets && (growth != &[1] || scales != &[1]) {
            return wrong(
                "with data.sheets all crops are one small picture: data.growth and data.scales are [1]",
            );
        }
        let Schedule {
            log,
            validate,
            save,
        } = self.schedule;
        if log == 0 || validate == 0 || save == 0 {
            return wrong("the intervals of `schedule` must be at least 1 step");
        }
        self.noise.check().map_err(Error::Recipe)?;
        self.optimizer.check().map_err(Error::Recipe)?;
        if let Some(maps) = &self.maps {
            maps.check().map_err(Error::Recipe)?;
        }
        self.spec()
            .check()
            .map_err(|e| Error::Recipe(e.to_string()))?;
        self.check_network()?;
        self.check_imitate()?;
        self.check_condition()
    }

    /// That an operator is trained on clean pictures, and a prior on noisy ones.
    fn check_imitate(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Recipe(what.to_owned()));
        let without = self.noise == NoiseLaw::None {};
        let clean = Data {
            grey: 0.0,
            rounded: 0.0,
            phase: None,
            ..self.data.clone()
        };
        match &self.imitate {
            None if without => wrong("noise.law may be `none` with `imitate` alone"),
            None => Ok(()),
            Some(_) if !without => wrong("with `imitate`, noise.law is `none`"),
            Some(_) if self.maps.is_some() || self.teacher.is_some() || self.data != clean => {
                wrong(
                    "with `imitate` there are no `maps`, no `teacher`, no data.grey, data.rounded and data.phase",
                )
            }
            Some(imitated) => {
                let crop = Dims::new(3, self.data.crop, self.data.crop);
                let longest = Motion {
                    length: imitated.length[1],
                    angle: 0.0,
                };
                let built = imitated.truth(crop, longest);
                built
                    .map(drop)
                    .map_err(|e| Error::Recipe(format!("imitate: {e}")))
            }
        }
    }

    /// That every crop can be measured.
    fn check_condition(&self) -> Result<(), Error> {
        let Some(condition) = &self.condition else {
            return Ok(());
        };
        if self.maps.is_some() || self.teacher.is_some() || self.data.phase.is_some() {
            return Err(Error::Recipe(
                "with `condition` there are no `maps`, no `teacher` and no data.phase".to_owned(),
            ));
        }
        for growth in &self.data.growth {
            let side = self.data.crop * growth;
            let crop = Dims::new(self.spec().channels(), side, side);
            condition.build(crop).map_err(|e| {
                Error::Recipe(format!("condition, for crops of {side}x{side}: {e}"))
            })?;
        }
        Ok(())
    }

    /// That crops fit the network, and its answer the loss.
    fn check_network(&self) -> Result<(), Error> {
        let facts = self.network.facts();
        let wrong = |what: String| Err(Error::Recipe(what));
        // Those of a first guess, which a conditional network is shown as well, are as many again.
        let channels = (self.spec().channels(), facts.channels_out);
        let (allowed, in_words) = match self.data.phase {
            None => (
                [(3, 3), (1, 1)],
                "3 channels to 3, for coloured pictures, or from 1 to 1, for grey ones",
            ),
            Some(_) => (
                [(2, 2); 2],
                "2 channels to 2: with data.phase pictures are complex",
            ),
        };
        if !allowed.contains(&channels) {
            return wrong(format!(
                "here training takes networks from {in_words}; this one goes from {} to {}",
                channels.0, channels.1
            ));
        }
        if channels == (1, 1) && (self.maps.is_some() || self.teacher.is_some()) {
            return wrong("`maps` and `teacher` are for networks of 3 channels".to_owned());
        }
        if self.maps.is_some() && !facts.maps {
            return wrong("this network can be told no `maps`".to_owned());
        }
        if !facts.any_size && !self.data.crop.is_multiple_of(facts.multiple) {
            let multiple = facts.multiple;
            return wrong(format!(
                "data.crop must be a multiple of {multiple} for this network"
            ));
        }
        Ok(())
    }

    /// How crops are cut from its pictures.
    pub fn cut(&self) -> Cut {
        Cut {
            // Complex pictures are made of grey ones.
            channels: match self.data.phase {
                Some(_) => 1,
                None => self.spec().channels(),
            },
            upright: self.data.upright,
            sheets: self.data.sheets,
        }
    }

    /// What its model is.
    pub fn spec(&self) -> ModelSpec {
        ModelSpec {
            conditioning: self.conditioning.clone(),
            known: self.maps.as_ref().and_then(|maps| maps.known),
            about: self.about.clone(),
            complex: self.data.phase.is_some(),
            condition: self.condition.clone(),
            imitates: self.imitate.clone(),
            ..ModelSpec::new(
                self.network.clone(),
                self.parametrisation,
                self.noise.bounds(),
            )
        }
    }
}
