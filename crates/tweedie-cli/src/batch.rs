//! One picture after the other: one that fails does not stop the others, and is named at the end.

use std::fmt::Display;

use anyhow::bail;
use serde::Serialize;

use crate::interrupt::Interrupted;
use crate::options::OutputArgs;
use crate::output;
use crate::places::{Pair, Plan};
use crate::watched::Watch;

/// Does `work`, which writes a result and reports, for each picture of the plan.
///
/// # Errors
/// That of a single picture. Of many, how many failed, after a line for each on stderr; and Ctrl-C, at once.
pub(crate) fn each<R: Serialize + Display>(
    plan: &Plan,
    output: &OutputArgs,
    watch: &Watch,
    mut work: impl FnMut(&Pair) -> anyhow::Result<R>,
) -> anyhow::Result<()> {
    plan.begin()?;
    let mut failed = Vec::new();
    for (i, pair) in plan.pairs.iter().enumerate() {
        watch.next(i, plan.many.then_some(&pair.source))?;
        let taken = || match plan.many {
            true => output.check(&pair.sink),
            false => Ok(()),
        };
        match taken().and_then(|()| work(pair)) {
            Ok(report) => {
                watch.written();
                watch.suspend(|| output.print(&pair.sink, &report))?;
            }
            Err(error) if !plan.many || error.is::<Interrupted>() => {
                watch.clear();
                return Err(error);
            }
            Err(error) => failed.push(reason(pair, &error)),
        }
    }
    watch.clear();
    if failed.is_empty() {
        return Ok(());
    }
    for line in &failed {
        eprintln!("{line}");
    }
    let all = output::count(plan.pairs.len(), "picture", "pictures");
    bail!("{} of {all} failed", failed.len())
}

/// Why a picture failed, with its name once.
fn reason(pair: &Pair, error: &anyhow::Error) -> String {
    let (name, line) = (pair.source.to_string(), output::one_line(error));
    match line.starts_with(&name) {
        true => line,
        false => format!("{name}: {line}"),
    }
}
