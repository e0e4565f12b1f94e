//! Names, settings files, bookkeeping and refusals.

use std::ops::ControlFlow;
use std::sync::Mutex;

use tweedie::Dims;
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::method::{self, Ddnm, DiffPir, Dpir, Dps, Method, NextLevel, Start, StepRule};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::Identity;
use tweedie::prior::{Prior, Stationary};
use tweedie::registry::Need;
use tweedie::run::{Error, Progress, Run};
use tweedie::sampler::{self, Ddim, Edm, Renoise, Sampler};

use crate::fixture::*;

/// Methods that take one evaluation a step, and as many steps as they are told.
const STEPPED: &[&str] = &[
    "diffpir",
    "ddnm",
    "dps",
    "dpir",
    "idbp",
    "pnp-admm",
    "pnp-drs",
    "pnp-fista",
    "pnp-hqs",
    "pnp-pgd",
    "red-admm",
    "red-bp",
    "red-fp",
    "red-sd",
    "ddiff",
    "red-diff",
    "flower",
    "pigdm",
    "dmps",
    "ot-ode",
    "hqs",
    "exact-guidance",
];

#[test]
fn names_and_round_trips() {
    for name in STEPPED {
        assert!(method::Settings::NAMES.contains(name));
    }
    for name in method::Settings::NAMES {
        let settings = method::Settings::named(name).unwrap();
        assert_eq!(&settings.name(), name);
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<method::Settings>(&json).unwrap(),
            settings,
            "{json}"
        );
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(
            toml::from_str::<method::Settings>(&text).unwrap(),
            settings,
            "{text}"
        );
        assert!(!settings.card().summary.is_empty() && !settings.card().paper.is_empty());
    }
    for name in sampler::Settings::NAMES {
        let settings = sampler::Settings::named(name).unwrap();
        assert_eq!(&settings.name(), name);
        assert!(!settings.card().summary.is_empty() && !settings.card().paper.is_empty());
        let text = toml::to_string(&settings).unwrap();
        let read = toml::from_str::<sampler::Settings>(&text).unwrap();
        assert_eq!(read, settings, "{text}");
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<sampler::Settings>(&json).unwrap(),
            settings,
            "{json}"
        );
    }
    assert!(method::Settings::named("magic").is_none());
    let dps = method::Settings::named("dps").unwrap();
    assert_eq!(dps.as_dyn().needs(), [Need::Pullback]);
}

/// What a file leaves out is as by default; what is unknown is an error.
#[test]
fn partial_and_misspelt_settings() {
    let some: method::Settings = toml::from_str("name = 'diffpir'\nzeta = 0.1").unwrap();
    let expected = DiffPir {
        zeta: 0.1,
        ..DiffPir::default()
    };
    assert_eq!(some, expected.into());
    let rule = "name = 'dps'\nrule = { kind = 'normalized-gradient', zeta = 0.5 }";
    let some: method::Settings = toml::from_str(rule).unwrap();
    let expected = Dps {
        rule: StepRule::NormalizedGradient { zeta: 0.5 },
        ..Dps::default()
    };
    assert_eq!(some, expected.into());
    for wrong in [
        "name = 'diffpir'\nzetta = 0.1",
        "name = 'magic'",
        "name = 'dps'\nrule = { kind = 'residual-norm', scale = 1.0, zeta = 1.0 }",
        "zeta = 0.1",
    ] {
        assert!(
            toml::from_str::<method::Settings>(wrong).is_err(),
            "{wrong}"
        );
    }
}

/// Steps as asked for; evaluations as announced, and as shown.
#[test]
fn steps_evaluations_and_progress() {
    let watched = |run: &dyn Fn(&mut Run<'_>)| {
        let mut seen = Vec::new();
        let mut watched = Run::with(tweedie::noise::Zeros, |p: &Progress<'_>| {
            seen.push((p.step, p.total, p.nfe));
            ControlFlow::Continue(())
        });
        run(&mut watched);
        let nfe = watched.nfe();
        drop(watched);
        assert!(
            seen.iter()
                .enumerate()
                .all(|(k, s)| s.0 == k + 1 && s.1 == Some(seen.len()))
        );
        assert_eq!(seen.last().unwrap().2, nfe);
        nfe
    };
    for name in STEPPED {
        let settings = method::Settings::named(name).unwrap().with_steps(10);
        assert_eq!(settings.nfe(prior().card()), 10, "{name}");
        let run = |run: &mut Run<'_>| {
            settings
                .as_dyn()
                .restore(&prior(), &problem(1, SIGMA_Y), run)
                .unwrap();
        };
        assert_eq!(watched(&run), 10, "{name}");
    }
    let mean = method::Settings::named("mean").unwrap().with_steps(10);
    assert_eq!(mean.nfe(prior().card()), 40);
    let run = |run: &mut Run<'_>| {
        let problem = problem(1, SIGMA_Y);
        mean.as_dyn().restore(&prior(), &problem, run).unwrap();
    };
    assert_eq!(watched(&run), 40);
    for (name, nfe) in [
        ("ddpm", 10),
        ("ddim", 10),
        ("edm", 19),
        ("dpm-solver", 10),
        ("flow", 20),
        ("probability-flow", 19),
        ("euler-maruyama", 10),
        ("reverse-diffusion", 10),
        ("ve-ancestral", 10),
        ("predictor-corrector", 20),
        ("annealed-langevin", 51),
        ("langevin", 11),
    ] {
        let settings = sampler::Settings::named(name).unwrap().with_steps(10);
        assert_eq!(settings.nfe(prior().card()), nfe, "{name}");
        let run = |run: &mut Run<'_>| {
            settings.as_dyn().sample(&prior(), 1, DIMS, run).unwrap();
        };
        assert_eq!(watched(&run), nfe, "{name}");
    }
    // RePaint's schedule for 100 levels: 9 places to turn back, twice each, 10 levels at a time.
    let travelling = Ddnm {
        travel_length: 10,
        travel_repeat: 3,
        ..Ddnm::default()
    };
    let settings = method::Settings::from(travelling.clone());
    assert_eq!(settings.nfe(prior().card()), 100 + 9 * 2 * 10);
    let run = |run: &mut Run<'_>| {
        travelling.restore(&prior(), &problem(1, 0.0), run).unwrap();
    };
    assert_eq!(watched(&run), settings.nfe(prior().card()));
    assert_eq!(
        method::Settings::named("diffpir")
            .unwrap()
            .nfe(prior().card()),
        100
    );
    assert_eq!(
        method::Settings::named("dps").unwrap().nfe(prior().card()),
        1000
    );
    assert_eq!(
        sampler::Settings::named("edm").unwrap().nfe(prior().card()),
        35
    );
}

/// A stopped run keeps the estimate of that step. Wrong: that of the step before, or the noisy image.
#[test]
fn an_observer_may_stop() {
    for name in STEPPED {
        let settings = method::Settings::named(name).unwrap().with_steps(10);
        let shown = Mutex::new(None);
        let stop = |p: &Progress<'_>| {
            *shown.lock().unwrap() = Some(p.x0.clone());
            if p.step == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut run = Run::with(tweedie::noise::Zeros, stop);
        let result = settings
            .as_dyn()
            .restore(&prior(), &problem(1, SIGMA_Y), &mut run);
        let Err(Error::Stopped {
            step: 3,
            total: Some(10),
            x0,
        }) = result
        else {
            panic!("{name}: {result:?}");
        };
        assert_eq!(Some(*x0), shown.lock().unwrap().take(), "{name}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let none = Grid {
        schedule: Schedule::DDPM,
        subset: Subset::Spaced { steps: 0 },
    };
    const NO_LEVELS: usize = 2;
    let refused: [Box<dyn Method>; 9] = [
        Box::new(DiffPir {
            lambda: 0.0,
            ..DiffPir::default()
        }),
        Box::new(DiffPir {
            zeta: 1.5,
            ..DiffPir::default()
        }),
        Box::new(DiffPir {
            grid: none,
            ..DiffPir::default()
        }),
        Box::new(DiffPir {
            start_sigma: Some(1e-6),
            ..DiffPir::default()
        }),
        Box::new(Ddnm {
            next: NextLevel::Constant { eta: -0.1 },
            ..Ddnm::default()
        }),
        Box::new(Ddnm {
            travel_length: 0,
            ..Ddnm::default()
        }),
        Box::new(Dps {
            rule: StepRule::Likelihood,
            ..Dps::default()
        }),
        Box::new(Dpir {
            steps: 0,
            ..Dpir::default()
        }),
        Box::new(Dpir {
            sigma_end: f64::NAN,
            ..Dpir::default()
        }),
    ];
    for (k, method) in refused.iter().enumerate() {
        let result = method.restore(&prior(), &problem(1, 0.0), &mut Run::new(1));
        let refused = match &result {
            Err(Error::Unfit(_)) => k != NO_LEVELS,
            Err(Error::Grid(_)) => k == NO_LEVELS,
            _ => false,
        };
        assert!(refused, "{k}: {result:?}");
    }
    let noiseless = Schedule::Ve {
        sigma_min: 0.0,
        sigma_max: 1.0,
        steps: 3,
    };
    let samplers: [Box<dyn Sampler>; 3] = [
        Box::new(Ddim {
            renoise: Renoise::Ddim { eta: 2.0 },
            ..Ddim::default()
        }),
        Box::new(Ddim {
            grid: Grid::all(noiseless),
            ..Ddim::default()
        }),
        Box::new(Edm {
            churn: -1.0,
            ..Edm::default()
        }),
    ];
    for (k, sampler) in samplers.iter().enumerate() {
        let result = sampler.sample(&prior(), 1, DIMS, &mut Run::new(1));
        let refused = matches!(result, Err(Error::Unfit(_) | Error::Grid(_)));
        assert!(refused, "{k}: {result:?}");
    }
}

/// Where the noisiest level does not drown the image, `Auto` starts from the guess.
#[test]
fn starts() {
    let low = Grid::all(Schedule::Ve {
        sigma_min: 0.01,
        sigma_max: 0.5,
        steps: 10,
    });
    let run = |grid: &Grid, start| {
        let method = Ddnm {
            grid: grid.clone(),
            start,
            ..Ddnm::default()
        };
        quiet(&method, &prior(), &problem(1, 0.0))
    };
    assert_eq!(run(&low, Start::Auto), run(&low, Start::Guess));
    assert_ne!(run(&low, Start::Auto), run(&low, Start::Noise));
    let high = grid(Subset::Uniform { steps: 10 });
    assert_eq!(run(&high, Start::Auto), run(&high, Start::Noise));
}

/// DPIR turns and mirrors pictures for the denoiser: with a prior that is blind to that nothing changes, with another one
/// it does, also on pictures that are not square.
#[test]
fn dpir_ensemble() {
    use rustfft::num_complex::Complex64;
    let dims = Dims::new(1, 4, 4);
    let angle = |k: usize| std::f64::consts::TAU * k as f64 / 4.0;
    let texture = |directed: f64| {
        let power = ndarray::Array4::from_shape_fn((4, 4, 1, 1), |(y, x, _, _)| {
            let (cy, cx) = (angle(y).cos(), angle(x).cos());
            Complex64::from(0.05 * (2.2 + (1.0 - directed) * cy + (1.0 + directed) * cx))
        });
        Stationary::new(&[0.5], &power, tweedie::level::Range::IMAGE).unwrap()
    };
    let y = Seeded::new(1, "test").normal(1, dims) * 0.25 + 0.5;
    let problem =
        tweedie::problem::Problem::new(y, Box::new(Identity::new(dims).unwrap()), 0.1).unwrap();
    let run = |prior: &Stationary, ensemble| {
        Dpir {
            ensemble,
            ..Dpir::default()
        }
        .restore(prior, &problem, &mut Run::new(1))
        .unwrap()
        .x
    };
    let even = texture(0.0);
    assert!(difference(&run(&even, true), &run(&even, false)) < 1e-6);
    let directed = texture(0.9);
    assert!(difference(&run(&directed, true), &run(&directed, false)) > 1e-3);
}
