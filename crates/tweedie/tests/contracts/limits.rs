//! As many steps as are asked for, within what the prior knows and what memory holds.

use std::time::{Duration, Instant};

use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::Level;
use tweedie::method::{self, Ddnm, Draws, Mean, Task};
use tweedie::operator::{Gray, GrayWeights, Jpeg, Mask, Operator, Subsampling};
use tweedie::prior::{self, Card, Prior, Sides};
use tweedie::problem::Problem;
use tweedie::run::{Error, Run};
use tweedie::{Dims, Image, sampler};

use crate::fixture::{White, measured, noisy};

const PIXELS: Dims = Dims::new(1, 2, 2);

/// What priors know: little noise, what the photo prior does, everything.
const KNOWN: [[f64; 2]; 3] = [[0.002, 0.5], [0.001, 40.0], [0.0, f64::INFINITY]];

/// The evaluations of a method that has no steps.
fn stepless(name: &str) -> Option<usize> {
    let nfe = |n| {
        let settings = method::Settings::named(name).unwrap().with_steps(n);
        settings.nfe(&Card::any())
    };
    (nfe(1) == nfe(7)).then(|| nfe(1))
}

/// Whether a plug-and-play method asks for the same strength in all steps, or may, where the noise is as strong as its first.
fn at_one_strength(settings: &method::Settings) -> bool {
    settings.family() == "plug_and_play" && !["dpir", "dequantise"].contains(&settings.name())
}

/// What a method takes: noise, or for one that needs intervals a JPEG.
fn suiting(method: &str, sigma: f64) -> Problem {
    let noisy = noisy(PIXELS, sigma);
    match method {
        "dequantise" | "mcem" => {
            let jpeg = Jpeg::new(PIXELS, 50, Subsampling::Full).unwrap();
            Problem::new(noisy.y, Box::new(jpeg), sigma).unwrap()
        }
        _ => noisy,
    }
}

/// Every method visits as many levels as it is told, with every prior, and says so beforehand. Wrong: levels that the prior does
/// not know dropped from the count, more than the schedule has cut off at a thousand.
#[test]
fn methods_visit_as_many_levels_as_they_are_told() {
    for sigma in KNOWN {
        for n in [1, 7, 60, 501, 1000, 1500] {
            for name in method::Settings::NAMES {
                let problem = suiting(name, 0.01);
                let task = Task::of(&problem, Some(n));
                let named = method::Settings::named(name).unwrap().with_steps(n);
                for settings in [named, method::Settings::tuned(name, &task).unwrap()] {
                    let prior = White::knowing(sigma).suiting(name);
                    let mut run = Run::new(1);
                    let result = settings.as_dyn().restore(&prior, &problem, &mut run);
                    result.unwrap_or_else(|e| panic!("{name}, {n}, {sigma:?}: {e}"));
                    let (evaluations, levels) = match (*name, stepless(name)) {
                        (_, Some(nfe)) => (nfe, Some(nfe)),
                        ("mean", _) => (4 * n, Some(n)),
                        ("best", _) => (settings.nfe(prior.card()), None),
                        // Its sampler's.
                        ("sr3", _) => (settings.nfe(prior.card()), Some(n)),
                        // Chains stay at one level; annealed ones are some steps at each.
                        ("pnp-ula" | "ppgn", _) => (n, Some(1)),
                        ("annealed-langevin" | "qcs-sgm" | "qcs-sgm+", _) => {
                            (settings.nfe(prior.card()), Some(n))
                        }
                        // The mean, and Heun's rule; the prior hears of no level, but of what is known of each pixel.
                        ("exact", _) => (if n == 1 { 1 } else { 2 * n }, None),
                        _ if at_one_strength(&settings) => (n, None),
                        // Several evaluations a step: of an ODE, of noised copies, of a way back. A straight path has
                        // two levels of a thousand where a = 0, and some that not every prior knows.
                        ("daps" | "pnp-flow" | "flower" | "split-gibbs", _) => {
                            (settings.nfe(prior.card()), None)
                        }
                        // Stretches are walked again.
                        ("repaint" | "sdedit", _) => (settings.nfe(prior.card()), Some(n)),
                        _ => (n, Some(n)),
                    };
                    // Where residuals ask for more, at least so many are announced.
                    let more = *name == "cdim" && run.nfe() > evaluations;
                    assert!(more || run.nfe() == evaluations, "{name}, {n}, {sigma:?}");
                    assert_eq!(settings.nfe(prior.card()), evaluations, "{name}, {n}");
                    let visited = levels.map(|_| prior.visited());
                    assert_eq!(visited, levels, "{name}, {n}, {sigma:?}");
                }
            }
        }
    }
}

/// The same of samplers, and of the grid for colours, which is a part of a curve.
#[test]
fn samplers_visit_as_many_levels_as_they_are_told() {
    for sigma in KNOWN {
        for n in [1, 7, 60, 501, 1000, 1500] {
            for name in sampler::Settings::NAMES {
                let settings = sampler::Settings::named(name).unwrap().with_steps(n);
                let (prior, mut run) = (White::knowing(sigma), Run::new(1));
                let x = settings.as_dyn().sample(&prior, 1, PIXELS, &mut run);
                x.unwrap_or_else(|e| panic!("{name}, {n}, {sigma:?}: {e}"));
                let (evaluations, visited) = match *name {
                    "edm" | "probability-flow" => (2 * n - 1, n),
                    // The middle of a step is a level, too; the last may have none.
                    "flow" => (settings.nfe(prior.card()), settings.nfe(prior.card())),
                    "predictor-corrector" => (2 * n, n),
                    "annealed-langevin" => (5 * n + 1, n),
                    "langevin" => (n + 1, 1),
                    // As many as it needs.
                    "rk45" => (run.nfe().min(n), prior.visited()),
                    _ => (n, n),
                };
                assert_eq!(run.nfe(), evaluations, "{name}, {n}, {sigma:?}");
                assert_eq!(prior.visited(), visited, "{name}, {n}, {sigma:?}");
                let said = settings.nfe(prior.card());
                match *name {
                    "rk45" => assert_eq!(said, n),
                    "flow" => assert!((2 * n - 1..=2 * n).contains(&said), "{n}: {said}"),
                    _ => assert_eq!(said, evaluations, "{name}, {n}"),
                }
            }
            let colours = Gray::new(Dims { c: 3, ..PIXELS }, GrayWeights::Mean).unwrap();
            let task = Task::of(&measured(colours, 0.0), Some(n));
            let settings = method::Settings::tuned("diffpir", &task).unwrap();
            assert_eq!(
                settings.nfe(&White::knowing(sigma).card),
                n,
                "{n}, {sigma:?}"
            );
        }
    }
}

/// A curve that begins above all that the prior knows is an error with both ranges. Wrong: its last level, or the prior's end
/// walked through backwards.
#[test]
fn curves_beyond_the_prior_are_errors() {
    let card = White::knowing([0.001, 0.1]).card;
    let edm = Schedule::Edm {
        sigma_min: 0.3,
        sigma_max: 20.0,
        rho: 7.0,
        steps: 15,
    };
    let ve = Schedule::Ve {
        sigma_min: 0.15,
        sigma_max: 10.0,
        steps: 15,
    };
    for schedule in [edm, ve] {
        let error = Grid::all(schedule).levels(&card).unwrap_err();
        let tweedie::grid::Error::Unknown { grid, prior } = error else {
            panic!("{error}");
        };
        assert_eq!(prior, [0.001, 0.1]);
        assert!(
            (grid[0] - 0.15).abs() < 1e-9 && (grid[1] - 10.0).abs() < 1e-9,
            "{grid:?}"
        );
    }
}

/// Numbers that would take all memory, or for ever, are errors at once.
#[test]
fn settings_without_bounds_are_refused_at_once() {
    let begun = Instant::now();
    let mut refused = Vec::new();
    for n in [0, 1_000_000_000_000, usize::MAX] {
        for name in method::Settings::NAMES {
            if stepless(name).is_none() {
                refused.push(method::Settings::named(name).unwrap().with_steps(n));
            }
        }
        let mean = Mean {
            draws: n,
            ..Mean::default()
        };
        refused.push(mean.into());
    }
    for travel_repeat in [0, 100_000_000_000, usize::MAX] {
        let ddnm = Ddnm {
            travel_repeat,
            ..Ddnm::default()
        };
        refused.push(ddnm.into());
    }
    for settings in refused {
        // Nothing is to overflow here either.
        let prior = White::any().suiting(settings.name());
        settings.nfe(prior.card());
        let problem = suiting(settings.name(), 0.1);
        let result = settings
            .as_dyn()
            .restore(&prior, &problem, &mut Run::new(1));
        let refused = matches!(result, Err(Error::Grid(_) | Error::Unfit(_)));
        assert!(refused, "{settings:?}: {result:?}");
    }
    let prior = White::any();
    for n in [0, 1_000_000_000_000, usize::MAX] {
        for name in sampler::Settings::NAMES {
            let settings = sampler::Settings::named(name).unwrap().with_steps(n);
            settings.nfe(prior.card());
            let result = settings
                .as_dyn()
                .sample(&prior, 1, PIXELS, &mut Run::new(1));
            let refused = matches!(result, Err(Error::Grid(_) | Error::Unfit(_)));
            assert!(refused, "{settings:?}");
        }
    }
    let of = method::Settings::named("dpir").unwrap();
    let none = Draws { n: 0, of: &of };
    let problem = noisy(PIXELS, 0.1);
    assert!(none.batch(&prior, &problem, &mut Run::new(1)).is_err());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// What a prior does not know is an error that names what it knows and what it was asked, directly, with a pullback and through
/// a run. Wrong: the nearest level, a crop, the first channels.
#[test]
fn priors_are_asked_only_what_they_know() {
    let prior = White::new(Card {
        channels: vec![1, 3],
        sigma: [0.002, 0.5],
        sides: Sides::Multiple(8),
        ..Card::any()
    });
    let of = |c, h, w| Image::zeros((1, c, h, w));
    let pure = Level { a: 0.0, b: 0.1 };
    for (x, level, parts) in [
        (of(1, 8, 8), Level::ve(0.6), ["0.002", "0.5", "0.6"]),
        (of(1, 8, 8), Level::ve(0.001), ["0.002", "0.5", "0.001"]),
        (of(1, 8, 8), Level::ve(f64::NAN), ["0.002", "0.5", "NaN"]),
        (of(1, 8, 8), pure, ["0.002", "0.5", "inf"]),
        (of(2, 8, 8), Level::ve(0.1), ["1 or 3 channels", "2", "8"]),
        (of(1, 8, 9), Level::ve(0.1), ["multiples of 8", "8", "9"]),
        (of(1, 0, 8), Level::ve(0.1), ["multiples of 8", "0", "8"]),
        (
            Image::zeros((0, 1, 8, 8)),
            Level::ve(0.1),
            ["channels", "0", "8"],
        ),
    ] {
        let direct = prior.denoise(&x, level).unwrap_err();
        let pulled = prior.denoise_with_pullback(&x, level).err().unwrap();
        let run = Run::new(1).denoise(&prior, &x, level).unwrap_err();
        for text in [direct.to_string(), pulled.to_string(), run.to_string()] {
            assert!(parts.iter().all(|p| text.contains(p)), "{text}: {parts:?}");
        }
    }
    assert!(prior.asked.lock().unwrap().is_empty());
    assert!(prior.denoise(&of(3, 16, 8), Level::ve(0.5)).is_ok());

    // A measurement noisier than the prior knows, or of a size that it does not.
    let tweedie = method::Settings::named("tweedie").unwrap();
    for (problem, part) in [
        (noisy(Dims::new(1, 8, 8), 0.6), "0.5, and was asked for 0.6"),
        (noisy(Dims::new(1, 8, 4), 0.1), "multiples of 8"),
    ] {
        let mut run = Run::new(1);
        let error = tweedie
            .as_dyn()
            .restore(&prior, &problem, &mut run)
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(matches!(
            error,
            Error::Prior {
                step: 1,
                source: prior::Error::Level { .. } | prior::Error::Shape { .. }
            }
        ));
    }
    // Without a pullback there is none, whatever the prior has written.
    let none = White::new(Card {
        pullback: false,
        ..Card::any()
    });
    let error = none
        .denoise_with_pullback(&of(3, 8, 8), Level::ve(0.1))
        .err();
    assert!(matches!(error, Some(prior::Error::NoPullback)));
}

/// A subset of what a prior knows, all the same: DDPM's steps on a prior of little noise are within it.
#[test]
fn levels_stay_within_what_the_prior_knows() {
    let prior = White::knowing([0.002, 0.5]);
    let mask = Mask::random(PIXELS, 0.5, 1).unwrap();
    let seen = mask.output();
    let ddnm = Ddnm {
        grid: Grid::ddpm(Subset::Uniform { steps: 30 }),
        ..Ddnm::default()
    };
    let settings = method::Settings::from(ddnm);
    let problem = measured(mask, 0.0);
    assert_eq!(Dims::of(&problem.y), seen);
    settings
        .as_dyn()
        .restore(&prior, &problem, &mut Run::new(1))
        .unwrap();
    let asked = prior.asked.lock().unwrap();
    assert_eq!(asked.len(), 30);
    assert!(asked.iter().all(|s| (0.002..=0.5).contains(s)), "{asked:?}");
    assert!(asked[0] > 0.4);
}
