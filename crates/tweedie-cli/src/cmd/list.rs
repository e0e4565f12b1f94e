//! `tweedie list`.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use tweedie::method::{Handling, Task};
use tweedie::operator::{Entry, Spec};
use tweedie::prior::TrainedFor;
use tweedie::registry::Need;
use tweedie::{Dims, method, metric, prior, recommend, sampler};

use crate::output;

/// List what there is to choose from.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tweedie list methods
  tweedie list matrix --json")]
pub(crate) struct Args {
    /// Of what.
    what: What,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Methods,
    Operators,
    Priors,
    Samplers,
    Metrics,
    /// Which methods fit which operator.
    Matrix,
}

#[derive(Default, Serialize)]
struct Row {
    name: &'static str,
    summary: String,
    /// The folder of methods that are alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<&'static str>,
    /// `draw` or `estimate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// What it makes of the noise in the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    noise: Option<Handling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<Vec<Need>>,
    /// Evaluations of the prior that the command takes, the least and the most that a task wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    nfe: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<&'static str>,
}

impl Row {
    /// What a list tells of a method or sampler, but for its name and summary.
    fn facts(&self) -> String {
        let needs = |needs: &Vec<Need>| {
            let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
            (!needs.is_empty()).then(|| format!("needs {}", needs.join(", ")))
        };
        let facts = [
            self.kind.map(str::to_owned),
            self.nfe.map(|nfe| match nfe {
                [least, most] if least == most => format!("evaluations: {least}"),
                [least, most] => format!("evaluations: {least} to {most}, by the task"),
            }),
            (self.noise == Some(Handling::Ignored))
                .then(|| "takes measurements as exact".to_owned()),
            self.needs.as_ref().and_then(needs),
            self.paper.map(str::to_owned),
        ];
        facts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Table(Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|r| r.name.len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        let mut family = None;
        for row in &self.0 {
            if row.family != family {
                family = row.family;
                lines.extend(family.map(|name| format!("-- {}", name.replace('_', " "))));
            }
            lines.push(format!("{:width$}  {}", row.name, row.summary));
            let facts = row.facts();
            if !facts.is_empty() {
                lines.push(format!("{:width$}  {facts}", ""));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let any = prior::Card::any();
    let rows = match args.what {
        What::Methods => method::Settings::NAMES
            .iter()
            .map(|name| method(name))
            .collect(),
        What::Samplers => sampler::Settings::NAMES
            .iter()
            .map(|name| {
                let settings = sampler::Settings::named(name).expect("listed names exist");
                registered(name, settings.card(), [settings.nfe(&any); 2])
            })
            .collect(),
        What::Operators => plain(Spec::LIST.iter().map(|o| (o.name, o.summary))),
        What::Metrics => plain(metric::METRICS.iter().map(|m| (m.name, m.about))),
        What::Priors => plain([(
            "photo",
            "photographs of any size, colour or grey; embedded. Model files are named by their path",
        )]),
        What::Matrix => matrix(),
    };
    output::print(args.json, &Table(rows))
}

/// Evaluations with the settings that the command gives a method, the least and the most over all operators that suit it, with
/// noise and without; with a prior that is told the noise of each pixel, or is conditional, only if it takes one.
fn tuned_nfe(name: &str) -> [usize; 2] {
    let over = |maps: bool, condition: Option<TrainedFor>| {
        let card = prior::Card {
            maps,
            condition,
            ..everything()
        };
        let mut all = Vec::new();
        for entry in Spec::LIST {
            let operator = entry.example(Dims::new(3, 16, 16));
            if !method::fitting(&card, operator.as_ref()).contains(&name) {
                continue;
            }
            all.extend([0.0, 0.05].map(|sigma| {
                let task = Task {
                    sigma,
                    maps,
                    conditional: card.condition.is_some(),
                    ..Task::exact(operator.as_ref())
                };
                let settings = method::Settings::tuned(name, &task).expect("listed names exist");
                settings.nfe(&card)
            }));
        }
        Some([*all.iter().min()?, *all.iter().max()?])
    };
    let identity = serde_json::json!({ "kind": "identity" });
    let any = TrainedFor {
        operator: serde_json::from_value(identity).expect("an operator without settings"),
        noise: [0.0; 2],
    };
    over(false, None)
        .or_else(|| over(true, None))
        .or_else(|| over(false, Some(any)))
        .expect("a method suits some operator")
}

/// The card of a prior that has everything.
fn everything() -> prior::Card {
    prior::Card {
        variance: true,
        likelihood: true,
        ..prior::Card::any()
    }
}

fn registered(name: &'static str, card: tweedie::registry::Card, nfe: [usize; 2]) -> Row {
    Row {
        name,
        summary: card.summary.to_owned(),
        nfe: Some(nfe),
        paper: Some(card.paper),
        ..Row::default()
    }
}

fn method(name: &'static str) -> Row {
    let settings = method::Settings::named(name).expect("listed names exist");
    let method = settings.as_dyn();
    Row {
        family: Some(settings.family()),
        kind: Some(if method.draws() { "draw" } else { "estimate" }),
        noise: Some(method.handling()),
        needs: Some(method.needs()),
        ..registered(name, settings.card(), tuned_nfe(name))
    }
}

/// Which methods restore from which operator, with a prior that has all that a network may have, the one that is chosen by
/// default first.
fn matrix() -> Vec<Row> {
    let card = prior::Card {
        likelihood: false,
        ..everything()
    };
    let row = |entry: &Entry| {
        let operator = entry.example(Dims::new(3, 16, 16));
        let usual = recommend::name(&Task::exact(operator.as_ref()));
        let others = method::fitting(&card, operator.as_ref());
        let others = others.into_iter().filter(|name| *name != usual);
        let all: Vec<&str> = [usual].into_iter().chain(others).collect();
        Row {
            name: entry.name,
            summary: all.join(", "),
            ..Row::default()
        }
    };
    Spec::LIST.iter().map(row).collect()
}

fn plain(rows: impl IntoIterator<Item = (&'static str, &'static str)>) -> Vec<Row> {
    rows.into_iter()
        .map(|(name, summary)| Row {
            name,
            summary: summary.to_owned(),
            ..Row::default()
        })
        .collect()
}
