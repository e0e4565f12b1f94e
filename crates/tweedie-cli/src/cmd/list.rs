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
    #[serde(skip_serializing_if = "Option::is_none")]
    nfe: Option<usize>,
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
            if let Some(nfe) = row.nfe {
                write!(f, "\n{:width$}  {nfe} evaluations by default", "")?;
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
            (settings.card(), needs, settings.nfe(&any))
        }),
        What::Samplers => registered(sampler::Settings::NAMES, |name| {
            let settings = sampler::Settings::named(name).expect("listed names exist");
            (settings.card(), Vec::new(), settings.nfe(&any))
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

fn registered(
    names: &[&'static str],
    of: impl Fn(&str) -> (tweedie::registry::Card, Vec<Need>, usize),
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
    let card = prior::Card {
        variance: true,
        ..prior::Card::any()
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
