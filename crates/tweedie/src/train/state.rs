//! The state of a training run, saved whole.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Adam, Error, Recipe};
use crate::checkpoint::{self, Precision};
use crate::net::Params;

/// Everything that the next step depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// The weights.
    pub params: Params,
    /// Their moving average: the model that is kept.
    pub ema: Params,
    /// The optimiser's moments.
    pub adam: Adam,
    /// The best validation loss so far.
    pub best: f64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    best: Option<f64>,
    recipe: Recipe,
}

const KEY: &str = "tweedie-training";

impl State {
    /// Before the first step.
    pub fn new(params: Params) -> State {
        State {
            step: 0,
            ema: params.clone(),
            adam: Adam::new(&params),
            params,
            best: f64::INFINITY,
        }
    }

    /// Saves the state, replacing an older one only when it is complete.
    pub fn save(&self, path: &Path, recipe: &Recipe) -> Result<(), Error> {
        let parts = [
            ("weights", &self.params),
            ("ema", &self.ema),
            ("mean", &self.adam.mean),
            ("square", &self.adam.square),
        ];
        let all: Params = parts
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
        };
        let json = serde_json::to_string(&header).expect("a header is plain data");
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        let bytes = checkpoint::encode(&all, metadata, Precision::F32)?;
        Ok(checkpoint::write(path, &bytes)?)
    }

    /// Reads a saved state; `None` where there is none.
    ///
    /// It must come from the same data, network, objective and seed. The number of steps, the step sizes and the
    /// intervals may differ: a run may be prolonged.
    pub fn open(path: &Path, recipe: &Recipe) -> Result<Option<State>, Error> {
        if !path.exists() {
            return Ok(None);
        }
        let (mut all, metadata) = checkpoint::decode(&checkpoint::read(path)?)?;
        let json = metadata
            .get(KEY)
            .ok_or_else(|| checkpoint::Error::Metadata(KEY, "not there".into()))?;
        let header: Header = serde_json::from_str(json)
            .map_err(|e| checkpoint::Error::Metadata(KEY, e.to_string()))?;
        if let Some(what) = difference(&header.recipe, recipe) {
            return Err(Error::Foreign {
                path: path.to_owned(),
                what,
            });
        }
        let mut part = |part: &str| -> Params {
            let prefix = format!("{part}/");
            let names: Vec<String> = all
                .keys()
                .filter(|name| name.starts_with(&prefix))
                .cloned()
                .collect();
            names
                .into_iter()
                .map(|name| {
                    let array = all.remove(&name).expect("the name was just listed");
                    (name[prefix.len()..].to_owned(), array)
                })
                .collect()
        };
        Ok(Some(State {
            step: header.step,
            params: part("weights"),
            ema: part("ema"),
            adam: Adam {
                mean: part("mean"),
                square: part("square"),
            },
            best: header.best.unwrap_or(f64::INFINITY),
        }))
    }
}

fn difference(a: &Recipe, b: &Recipe) -> Option<&'static str> {
    let data = |r: &Recipe| {
        (
            r.data.crop,
            r.data.batch,
            r.data.growth.clone(),
            r.data.scales.clone(),
            r.data.grey,
        )
    };
    [
        ("seed", a.seed == b.seed),
        ("network", a.network == b.network),
        ("parametrisation", a.parametrisation == b.parametrisation),
        ("noise", a.noise == b.noise),
        ("data", data(a) == data(b)),
    ]
    .into_iter()
    .find_map(|(what, same)| (!same).then_some(what))
}
