//! Every method, on levels of each kind, with every operator, noise and none, grey, colour and batches: it finishes, is finite,
//! gives the same bits on one thread and on two, and what it found explains the measurement better than the prior's mean does.
//! What cannot work says what is missing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ndarray::Axis;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::{Value, json};
use tweedie::checkpoint::{Model, ModelSpec};
use tweedie::method::{Handling, Settings, Task};
use tweedie::net::PhotoConfig;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::Spec;
use tweedie::prior::{Card, Network, Parametrisation, Prior};
use tweedie::problem::Problem;
use tweedie::run::{Error, Run};
use tweedie::{Device, Dims, Image};

use crate::fixture::{White, truth};

const STEPS: usize = 20;

/// The kinds of levels.
fn schedules() -> [(&'static str, Value); 3] {
    [
        ("vp", json!({"kind": "vp-linear", "steps": 1000})),
        (
            "ve",
            json!({"kind": "ve", "sigma_min": 0.005, "sigma_max": 25.0, "steps": 1000}),
        ),
        ("flow", json!({"kind": "flow", "steps": 1000})),
    ]
}

/// Settings whose grids, also those of a method within, visit a few levels of a schedule, and who repeat little.
fn on(schedule: &Value, settings: &Settings) -> Settings {
    fn put(value: &mut Value, grid: &Value) {
        let Some(map) = value.as_object_mut() else {
            return;
        };
        for (key, value) in map {
            match key.as_str() {
                "grid" => *value = grid.clone(),
                // Of what is repeated twice is enough.
                "jump_repeat" | "runs" | "draws" if value.is_u64() => *value = 2.into(),
                _ => put(value, grid),
            }
        }
    }
    let mut value = serde_json::to_value(settings).unwrap();
    let grid = json!({"schedule": schedule, "subset": {"kind": "uniform", "steps": STEPS}});
    put(&mut value, &grid);
    serde_json::from_value(value).unwrap()
}

/// A measurement of a draw of the prior; `batch` of them, all different.
fn problem(spec: &Spec, dims: Dims, batch: usize, sigma: f64) -> Option<Problem> {
    let operator = spec.build(dims).ok()?;
    let pictures: Vec<Image> = (0..batch).map(|k| truth(dims, k as u64)).collect();
    let views: Vec<_> = pictures.iter().map(|x| x.view()).collect();
    let x = ndarray::concatenate(Axis(0), &views).unwrap();
    let noise = Seeded::new(9, "noise").normal(batch, operator.output()) * sigma as f32;
    let y = match operator.binned() {
        // What is rounded has its noise by then.
        Some(binned) => binned.rounded(&(binned.before().apply(&x) + noise)),
        None => operator.apply(&x) + noise,
    };
    Some(Problem::new(y, operator, sigma).unwrap())
}

fn rms(x: &Image) -> f64 {
    (x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / x.len() as f64).sqrt()
}

/// Pools of one thread and of two.
fn pools() -> [ThreadPool; 2] {
    [1, 2].map(|n| ThreadPoolBuilder::new().num_threads(n).build().unwrap())
}

/// The largest residual that a method promises, given that of the prior's mean; `None` where noise is taken for signal, which may
/// be amplified.
fn promised(settings: &Settings, problem: &Problem) -> Option<impl Fn(f64) -> f64> {
    let sigma = problem.sigma();
    let ignored = settings.as_dyn().handling() == Handling::Ignored;
    let [share, noise] = match settings.family() {
        // Of rounded numbers little is left to explain.
        _ if problem.operator.quantised().is_some() => [1.5, 0.0],
        _ if problem.operator.binned().is_some() => [1.5, 0.0],
        _ if ignored && sigma > 0.0 => return None,
        _ if ignored => [1.5, 0.0],
        // It takes rows for orthogonal, which these are not.
        "langevin" if settings.name() == "qcs-sgm" && !orthogonal(problem) => return None,
        // What tomography sees of a picture spans so many orders that a chain of so few steps is where it began.
        "langevin" if problem.operator.name() == "ct" => return None,
        // Chains of so few steps have not mixed.
        "langevin" => [2.5, 0.0],
        _ => [0.9, 1.6],
    };
    Some(move |nothing: f64| (share * nothing).max(noise * sigma))
}

/// Whether the operator's rows are orthogonal and of one length.
fn orthogonal(problem: &Problem) -> bool {
    let linear = problem.operator.linear();
    linear.is_some_and(|linear| linear.gram().is_some())
}

/// Runs one cell, and says what is wrong with it.
fn cell(
    settings: &Settings,
    prior: &dyn Prior,
    problem: &Problem,
    promised: Option<impl Fn(f64) -> f64>,
    [one, two]: &[ThreadPool; 2],
) -> Result<(), String> {
    let method = settings.as_dyn();
    let run = || Ok(method.restore(prior, problem, &mut Run::new(4))?.x);
    let x = match one.install(run) {
        Ok(x) => x,
        Err(Error::Lacks { need, fitting, .. }) => {
            let lacks = !need.met(prior.card(), problem.operator.as_ref());
            let others = !fitting.is_empty() && !fitting.contains(&settings.name());
            return match lacks && others {
                true => Ok(()),
                false => Err(format!("refused for {need}, of {fitting:?}")),
            };
        }
        Err(e) => return Err(format!("failed: {e}")),
    };
    let expected = problem.operator.input().batch(problem.batch());
    if x.dim() != expected || !x.iter().all(|v| v.is_finite()) {
        return Err(format!("{:?}, not {expected:?}, or not finite", x.dim()));
    }
    // That threads make no difference is asked where there is most to divide.
    if problem.batch() > 1 && two.install(run).map_err(|e| e.to_string())? != x {
        return Err("other bits on two threads".into());
    }
    let Some(most) = promised else {
        return Ok(());
    };
    let left = rms(&problem.residual(&x));
    let nothing = rms(&problem.residual(&Image::from_elem(x.raw_dim(), 0.5)));
    match left <= most(nothing) {
        true => Ok(()),
        false => Err(format!(
            "a residual of {left:.4}, where the mean has {nothing:.4}"
        )),
    }
}

fn white() -> White {
    White::new(Card {
        channels: vec![3, 1],
        maps: true,
        ..Card::any()
    })
}

/// All cells that go wrong, in words. Of a prior that knows the pictures' law promises are kept.
fn faults(prior: &dyn Prior, knows: bool, kinds: &[(&str, Value)], dims: Dims) -> Vec<String> {
    let pools = pools();
    let mut cells = Vec::new();
    for name in Settings::NAMES {
        for entry in Spec::LIST {
            for (kind, schedule) in kinds {
                cells.push((name, entry, kind, schedule));
            }
        }
    }
    let fault = |(name, entry, kind, schedule): &(&&str, &_, &&str, &Value)| {
        let entry: &tweedie::operator::Entry = entry;
        let text = format!("kind = '{}'\n{}", entry.name, entry.example);
        let spec: Spec = toml::from_str(&text).unwrap();
        let mut faults = Vec::new();
        for (c, batch, sigma) in [(3, 1, 0.0), (3, 1, 0.05), (1, 1, 0.05), (3, 2, 0.05)] {
            let Some(problem) = problem(&spec, Dims { c, ..dims }, batch, sigma) else {
                continue;
            };
            if sigma > 0.0 && problem.operator.quantised().is_some() {
                // What was rounded has no noise on top.
                continue;
            }
            let task = Task {
                maps: prior.card().maps,
                ..Task::of(&problem, Some(STEPS))
            };
            let settings = on(schedule, &Settings::tuned(name, &task).unwrap());
            let most = promised(&settings, &problem).filter(|_| knows);
            if let Err(e) = cell(&settings, prior, &problem, most, &pools) {
                faults.push(format!(
                    "{name} on {kind} levels, {} of {c} channels, batch {batch}, noise {sigma}: {e}",
                    entry.name
                ));
            }
        }
        faults
    };
    // Threads of our own: those of a pool would begin another cell while they wait for one.
    let next = AtomicUsize::new(0);
    let work = || {
        let mut faults = Vec::new();
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            faults.extend(fault(cell));
        }
        faults
    };
    let mut all: Vec<String> = thread::scope(|scope| {
        let workers = [0, 1].map(|_| scope.spawn(work));
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    all.sort();
    all
}

/// An exact prior: its pixels are independent, so that six levels are enough. Wrong: whatever holds for one kind of levels alone.
#[test]
fn every_method_with_every_operator() {
    let faults = faults(&white(), true, &schedules(), Dims::new(3, 12, 12));
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// A network whose weights are random, in both channels and with its gradients: nothing cancels.
#[test]
fn every_method_with_a_network() {
    let config = PhotoConfig {
        channels: 3,
        widths: vec![4, 8],
        blocks: vec![1, 1],
        embedding: 4,
        maps: true,
        condition: false,
    };
    let mut params = config.init(1).unwrap();
    for (i, array) in params.values_mut().enumerate() {
        let [_, c, h, w] = array.shape;
        let draws = Seeded::new(i as u64, "weights").normal(1, Dims::new(1, 1, array.values.len()));
        let scale = 1.0 / ((c * h * w) as f32).sqrt();
        array.values = draws.iter().map(|v| v * scale).collect();
    }
    let model = Model {
        params,
        spec: ModelSpec {
            about: "random".into(),
            ..ModelSpec::new(
                config,
                Parametrisation::Edm { sigma_data: 0.5 },
                [0.002, 80.0],
            )
        },
    };
    let network = Network::new(&model, &Device::default()).unwrap();
    let faults = faults(&network, false, &schedules()[..1], Dims::new(3, 16, 16));
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
}
