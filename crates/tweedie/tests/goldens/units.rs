//! The same problem in [0, 1] and in [-1, 1] has the same solution.
//!
//! Published constants are for one or the other; each is converted where it is used. A factor of 2 lost in any of them
//! moves a result by percents.

use nalgebra::DMatrix;
use tweedie::grid::Subset;
use tweedie::level::Range;
use tweedie::method::{
    Daps, Ddiff, Ddnm, DiffPir, Dpir, Dps, Flower, Method, NextLevel, PnpFlow, RedDiff, SplitGibbs,
    Start, StepRule,
};
use tweedie::prior::Gaussian;
use tweedie::run::Run;
use tweedie::sampler::{Ddim, Ddpm, Edm, Sampler};

use crate::fixture::*;

/// The prior of G4 for data in [0, 1].
fn image_prior() -> Gaussian {
    let mean = MU.map(|m| (m + 1.0) / 2.0);
    Gaussian::new(DIMS, &mean, &(covariance() / 4.0), Range::IMAGE).unwrap()
}

/// Largest difference, in the units of [-1, 1].
fn gap(network: &tweedie::Image, image: &tweedie::Image) -> f64 {
    difference(network, &image.mapv(|v| 2.0 * v - 1.0))
}

pub(crate) fn check(name: &str, method: &dyn Method, operator: &Dense, y: &[f64], sigma: f64) {
    let image_y: Vec<f64> = y
        .iter()
        .zip(operator.0.row_iter())
        .map(|(y, row)| (y + row.sum()) / 2.0)
        .collect();
    let network = problem_of(operator.clone(), y, 4, sigma);
    let image = problem_of(operator.clone(), &image_y, 4, sigma / 2.0);
    let a = method
        .restore(&prior(), &network, &mut Run::new(9))
        .unwrap()
        .x;
    let b = method
        .restore(&image_prior(), &image, &mut Run::new(9))
        .unwrap()
        .x;
    let off = gap(&a, &b);
    assert!(off < 1e-4, "{name}: {off:.1e}");
}

#[test]
fn samplers_are_free_of_units() {
    let thinned = grid(Subset::Spaced { steps: 50 });
    let samplers: [(&str, Box<dyn Sampler>); 4] = [
        (
            "ddpm",
            Box::new(Ddpm {
                grid: thinned.clone(),
                ..Ddpm::default()
            }),
        ),
        (
            "ddim",
            Box::new(Ddim {
                grid: thinned.clone(),
                ..Ddim::default()
            }),
        ),
        ("edm", Box::new(Edm::default())),
        (
            "edm with churn in a band",
            Box::new(Edm {
                churn: 10.0,
                churn_min: 0.05,
                churn_max: Some(50.0),
                ..Edm::default()
            }),
        ),
    ];
    for (name, sampler) in samplers {
        let a = sampler.sample(&prior(), 4, DIMS, &mut Run::new(9)).unwrap();
        let b = sampler
            .sample(&image_prior(), 4, DIMS, &mut Run::new(9))
            .unwrap();
        let off = gap(&a, &b);
        assert!(off < 1e-4, "{name}: {off:.1e}");
    }
}

#[test]
fn methods_are_free_of_units() {
    let hundred = grid(Subset::Uniform { steps: 100 });
    let dps = |rule| Dps {
        grid: hundred.clone(),
        rule,
        ..Dps::default()
    };
    let methods: [(&str, Box<dyn Method>); 9] = [
        ("code", Box::new(dps(StepRule::ResidualNorm { scale: 0.3 }))),
        ("paper", Box::new(dps(StepRule::PaperNorm { zeta: 0.2 }))),
        (
            "squared",
            Box::new(dps(StepRule::SquaredNorm { zeta: 0.05 })),
        ),
        (
            "normalised",
            Box::new(dps(StepRule::NormalizedGradient { zeta: 0.02 })),
        ),
        ("likelihood", Box::new(dps(StepRule::Likelihood))),
        (
            "diffpir",
            Box::new(DiffPir {
                start: Start::Noise,
                ..DiffPir::default()
            }),
        ),
        ("ddnm", Box::new(Ddnm::default())),
        (
            "ddnm, paper",
            Box::new(Ddnm {
                next: NextLevel::Posterior,
                ..Ddnm::default()
            }),
        ),
        (
            "ddnm, time travel",
            Box::new(Ddnm {
                travel_length: 5,
                travel_repeat: 2,
                ..Ddnm::default()
            }),
        ),
    ];
    for (name, method) in methods {
        check(name, &*method, &operator(), &Y, SIGMA_Y);
        if name != "likelihood" {
            check(name, &*method, &operator(), &Y, 0.0);
        }
    }
}

/// Wrong: Adam's rate, Langevin's, an uncertainty or a coupling for data in [-1, 1] where the data are in [0, 1].
#[test]
fn the_split_family_is_free_of_units() {
    let ddiff = Ddiff {
        split: DiffPir {
            start: Start::Noise,
            ..DiffPir::default()
        },
        ..Ddiff::default()
    };
    let few = Daps {
        ode: 3,
        ..Daps::default()
    };
    let flower = |draw| Flower {
        draw,
        ..Flower::default()
    };
    check("ddiff", &ddiff, &operator(), &Y, SIGMA_Y);
    check("langevin", &few, &operator(), &Y, SIGMA_Y);
    check("daps", &Daps::cheap(), &operator(), &Y, SIGMA_Y);
    check("flower", &flower(false), &operator(), &Y, SIGMA_Y);
    check("flower", &flower(true), &operator(), &Y, SIGMA_Y);
}

/// Methods that start from the operator's guess, with an operator whose guess does not depend on units.
#[test]
fn methods_from_a_guess_are_free_of_units() {
    let full = Dense(DMatrix::from_fn(4, 4, |i, j| {
        if i == j { 0.9 } else { 0.1 * (i as f64 - 1.5) }
    }));
    let y = [0.3, -0.2, 0.1, 0.5];
    for sigma in [0.0, 0.1] {
        let dpir = Dpir {
            sigma_end: 0.02,
            ..Dpir::default()
        };
        check("dpir", &dpir, &full, &y, sigma);
        check("diffpir", &DiffPir::default(), &full, &y, sigma);
        check("red-diff", &RedDiff::default(), &full, &y, sigma);
        check("pnp-flow", &PnpFlow::default(), &full, &y, sigma);
        check("split-gibbs", &SplitGibbs::default(), &full, &y, sigma);
    }
    // An image sigma of 0.4 is one of 0.8 for [-1, 1].
    let from = |start_sigma| DiffPir {
        start_sigma: Some(start_sigma),
        ..DiffPir::default()
    };
    let network = problem_of(full.clone(), &y, 1, 0.1);
    let image_y: Vec<f64> = y
        .iter()
        .zip(full.0.row_iter())
        .map(|(y, row)| (y + row.sum()) / 2.0)
        .collect();
    let image = problem_of(full.clone(), &image_y, 1, 0.05);
    let a = from(0.8)
        .restore(&prior(), &network, &mut Run::new(9))
        .unwrap()
        .x;
    let b = from(0.4)
        .restore(&image_prior(), &image, &mut Run::new(9))
        .unwrap()
        .x;
    assert!(gap(&a, &b) < 1e-4);
}
