//! The state of a training run, saved whole.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Adam, Error, Recipe};
use crate::checkpoint::{self, Precision};
use crate::net::{Params, fits};

/// Everything that the next step depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// The weights.
    pub params: Params,
    /// Their moving averages, of which the best is the model that is kept.
    pub averages: Vec<Params>,
    /// The optimiser's moments.
    pub adam: Adam,
    /// The best validation loss so far.
    pub best: f64,
    /// The checksum of the pictures that it is trained on ([`Photos::digest`](super::Photos::digest)).
    pub pictures: u32,
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    best: Option<f64>,
    recipe: Recipe,
    /// Not in files of old.
    pictures: Option<u32>,
}

const KEY: &str = "tweedie-training";

impl State {
    /// Before the first step.
    pub fn new(params: Params, averages: usize, pictures: u32) -> State {
        State {
            step: 0,
            averages: vec![params.clone(); averages],
            adam: Adam::new(&params),
            params,
            best: f64::INFINITY,
            pictures,
        }
    }

    /// Saves the state, replacing an older one only when it is complete.
    pub fn save(&self, path: &Path, recipe: &Recipe) -> Result<(), Error> {
        let all: Params = self
            .parts()
            .into_iter()
            .flat_map(|(part, params)| {
                params
                    .iter()
                    .map(move |(name, array)| (format!("{part}/{name}"), array.clone()))
            })
            .collect();
        let header = Header {
            step: self.step,
            best: self.best.is_finite().then_some(self.best),
            recipe: recipe.clone(),
            pictures: Some(self.pictures),
        };
        let json = serde_json::to_string(&header).expect("a header is plain data");
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        let bytes = checkpoint::encode(&all, metadata, Precision::F32)?;
        Ok(checkpoint::write(path, &bytes)?)
    }

    /// Reads a saved state; `None` where there is none.
    ///
    /// It must come from the same pictures (whose checksum is `pictures`), network, objective and seed. The number of steps,
    /// the step sizes and the intervals may differ: a run may be prolonged.
    ///
    /// # Errors
    /// [`Error::Foreign`] if it does not, [`Error::Broken`] if its arrays are not the network's.
    pub fn open(path: &Path, recipe: &Recipe, pictures: u32) -> Result<Option<State>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let (mut all, metadata) = checkpoint::decode(&checkpoint::read(path)?)?;
        let json = metadata
            .get(KEY)
            .ok_or_else(|| checkpoint::Error::Metadata(KEY, "not there".into()))?;
        let header: Header = serde_json::from_str(json)
            .map_err(|e| checkpoint::Error::Metadata(KEY, e.to_string()))?;
        if header.pictures.is_none() {
            log::warn!(
                "{} does not say what it was trained on; the pictures are taken to be the same",
                path.display()
            );
        }
        let pictures_differ = header.pictures.is_some_and(|saved| saved != pictures);
        let what = difference(&header.recipe, recipe);
        if let Some(what) = what.or(pictures_differ.then_some("the pictures")) {
            return Err(Error::Foreign {
                path: path.to_owned(),
                what,
            });
        }
        let mut part = |name: &str| take(&mut all, name);
        let [params, mean, square] = ["weights", "mean", "square"].map(&mut part);
        let decays = recipe.optimizer.decays_at(0).len();
        let state = State {
            step: header.step,
            params,
            averages: (0..decays).map(|i| part(&average_name(i))).collect(),
            adam: Adam { mean, square },
            best: header.best.unwrap_or(f64::INFINITY),
            pictures,
        };
        let broken = |reason| Error::Broken {
            path: path.to_owned(),
            reason,
        };
        if let Some(name) = all.keys().next() {
            return Err(broken(format!("`{name}` belongs to no part")));
        }
        state.check(recipe).map_err(broken)?;
        Ok(Some(state))
    }

    /// That every part has the arrays of the recipe's network.
    fn check(&self, recipe: &Recipe) -> Result<(), String> {
        let shapes = recipe.network.shapes().map_err(|e| e.to_string())?;
        for (part, params) in self.parts() {
            fits(params, &shapes).map_err(|e| format!("in `{part}`, {e}"))?;
        }
        Ok(())
    }

    /// The maps of arrays, by name.
    fn parts(&self) -> Vec<(String, &Params)> {
        let named = |(name, params): (&str, _)| (name.to_owned(), params);
        let one = [
            ("weights", &self.params),
            ("mean", &self.adam.mean),
            ("square", &self.adam.square),
        ];
        let averages = self.averages.iter().enumerate();
        let averages = averages.map(|(i, params)| (average_name(i), params));
        one.map(named).into_iter().chain(averages).collect()
    }
}

/// The name of an average; the first had it before there were others.
fn average_name(i: usize) -> String {
    match i {
        0 => "ema".to_owned(),
        i => format!("ema-{i}"),
    }
}

/// Takes the arrays of one part.
fn take(all: &mut Params, part: &str) -> Params {
    let prefix = format!("{part}/");
    let taken = all.extract_if(.., |name, _| name.starts_with(&prefix));
    taken
        .map(|(name, array)| (name[prefix.len()..].to_owned(), array))
        .collect()
}

fn difference(a: &Recipe, b: &Recipe) -> Option<&'static str> {
    let data = |r: &Recipe| {
        (
            r.data.crop,
            r.data.batch,
            r.data.growth.clone(),
            r.data.scales.clone(),
            (r.data.grey, r.data.rounded, r.data.jitter),
        )
    };
    [
        ("seed", a.seed == b.seed),
        ("network", a.network == b.network),
        ("parametrisation", a.parametrisation == b.parametrisation),
        ("conditioning", a.conditioning == b.conditioning),
        ("noise", a.noise == b.noise),
        ("maps", a.maps == b.maps),
        ("condition", a.condition == b.condition),
        ("imitate", a.imitate == b.imitate),
        ("data", data(a) == data(b)),
    ]
    .into_iter()
    .find_map(|(what, same)| (!same).then_some(what))
}
