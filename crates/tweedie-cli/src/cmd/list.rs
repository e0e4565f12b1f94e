//! `tweedie list`.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use tweedie::method::Task;
use tweedie::operator::{Entry, Spec};
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

#[derive(Serialize)]
struct Row {
    name: &'static str,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    /// Evaluations of the prior that the command takes, the least and the most that a task wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    nfe: Option<[usize; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paper: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Table(Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|r| r.name.len()).max().unwrap_or(0);
        for (i, row) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{:width$}  {}", row.name, row.summary)?;
            match row.nfe {
                Some([least, most]) if least == most => {
                    write!(f, "\n{:width$}  evaluations: {least}", "")?;
                }
                Some([least, most]) => {
                    write!(
                        f,
                        "\n{:width$}  evaluations: {least} to {most}, by the task",
                        ""
                    )?;
                }
                None => {}
            }
            if let Some(needs) = &row.needs {
                write!(f, "; needs {needs}")?;
            }
            if let Some(paper) = row.paper {
                write!(f, "; {paper}")?;
            }
        }
        Ok(())
    }
}

pub(crate) fn execute(args: Args) -> anyhow::Result<()> {
    let any = prior::Card::any();
    let rows = match args.what {
        What::Methods => registered(method::Settings::NAMES, |name| {
            let settings = method::Settings::named(name).expect("listed names exist");
            let needs = settings.as_dyn().needs();
            (settings.card(), needs, tuned_nfe(name))
        }),
        What::Samplers => registered(sampler::Settings::NAMES, |name| {
            let settings = sampler::Settings::named(name).expect("listed names exist");
            (settings.card(), Vec::new(), [settings.nfe(&any); 2])
        }),
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
/// noise and without; with a prior that is told the noise of each pixel only if it takes one.
fn tuned_nfe(name: &str) -> [usize; 2] {
    let over = |maps: bool| {
        let card = prior::Card {
            maps,
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
                    ..Task::exact(operator.as_ref())
                };
                let settings = method::Settings::tuned(name, &task).expect("listed names exist");
                settings.nfe(&card)
            }));
        }
        Some([*all.iter().min()?, *all.iter().max()?])
    };
    over(false)
        .or_else(|| over(true))
        .expect("a method suits some operator")
}

/// The card of a prior that has everything.
fn everything() -> prior::Card {
    prior::Card {
        variance: true,
        ..prior::Card::any()
    }
}

fn registered(
    names: &[&'static str],
    of: impl Fn(&str) -> (tweedie::registry::Card, Vec<Need>, [usize; 2]),
) -> Vec<Row> {
    let row = |&name| {
        let (card, needs, nfe) = of(name);
        let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
        Row {
            name,
            summary: card.summary.to_owned(),
            needs: (!needs.is_empty()).then(|| needs.join(", ")),
            nfe: Some(nfe),
            paper: Some(card.paper),
        }
    };
    names.iter().map(row).collect()
}

/// Which methods restore from which operator, with a prior that has everything, the one that is chosen by default first.
fn matrix() -> Vec<Row> {
    let card = everything();
    let row = |entry: &Entry| {
        let operator = entry.example(Dims::new(3, 16, 16));
        let usual = recommend::name(&Task::exact(operator.as_ref()));
        let others = method::fitting(&card, operator.as_ref());
        let others = others.into_iter().filter(|name| *name != usual);
        let all: Vec<&str> = [usual].into_iter().chain(others).collect();
        Row {
            name: entry.name,
            summary: all.join(", "),
            needs: None,
            nfe: None,
            paper: None,
        }
    };
    Spec::LIST.iter().map(row).collect()
}

fn plain(rows: impl IntoIterator<Item = (&'static str, &'static str)>) -> Vec<Row> {
    rows.into_iter()
        .map(|(name, summary)| Row {
            name,
            summary: summary.to_owned(),
            needs: None,
            nfe: None,
            paper: None,
        })
        .collect()
}
