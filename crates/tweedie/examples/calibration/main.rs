//! How far the answers of every method lie from the exact posterior, and those of every sampler from the prior.
//!
//! ```sh
//! cargo run --release --example calibration > docs/calibration.md
//! ```
//!
//! Priors are such that the truth is known: Gaussians and mixtures by formula, stationary images by conjugate gradients, signals
//! with heavy-tailed steps by a Gibbs sampler. Methods have the settings that suit the task, for a draw; samplers their own. All
//! is seeded, so that the output is the same every time.

mod heavy;
mod reference;

use std::sync::Arc;

use heavy::{Heavy, Law};
use ndarray::Axis;
use reference::{Case, Dense};
use tweedie::level::Range;
use tweedie::method::{self, Task};
use tweedie::operator::{
    Blur, Boundary, Downsample, Gray, GrayWeights, Identity, Kernel, Mask, Operator,
};
use tweedie::prior::{Gaussian, Mixture, Prior, Stationary};
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Dims, Image, sampler};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What is said of answers, beside the draws of the law that they should have.
struct Score {
    /// Root mean square of the error of the mean, in the law's standard deviations, without what chance adds.
    mean: f64,
    /// Sum of variances, as a part of the law's.
    variance: f64,
    /// Parts of the law within the answers' 50 % and 90 % intervals, number by number.
    coverage: [f64; 2],
}

/// `answers` and `law` are batches of draws.
fn score(answers: &Image, law: &Image) -> Score {
    let (k, r) = (answers.dim().0, law.dim().0);
    let numbers = answers.len() / k;
    let (answers, law) = (answers.as_standard_layout(), law.as_standard_layout());
    let column = |x: &[f32], i: usize| -> Vec<f64> {
        let values = x.iter().skip(i).step_by(numbers);
        values.map(|&v| f64::from(v)).collect()
    };
    let [answers, law] = [&answers, &law].map(|x| x.as_slice().expect("in order"));
    let moments = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let square = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        (mean, square / (v.len() - 1).max(1) as f64)
    };
    let (mut squares, mut ours, mut theirs) = (0.0, 0.0, 0.0);
    let mut within = [0.0; 2];
    for i in 0..numbers {
        let (mut a, l) = (column(answers, i), column(law, i));
        let ((am, av), (lm, lv)) = (moments(&a), moments(&l));
        // A number that is known tells nothing.
        let lv = lv.max(1e-12);
        squares += (am - lm).powi(2) / lv - av / lv / k as f64 - 1.0 / r as f64;
        ours += av;
        theirs += lv;
        a.sort_by(f64::total_cmp);
        for (part, within) in [0.5, 0.9].into_iter().zip(&mut within) {
            // Of `k` draws of one law, so many of `k + 1` intervals lie between these two.
            let below = ((k + 1) as f64 * (1.0 - part) / 2.0).round() as usize;
            let (low, high) = (a[below - 1], a[k - below]);
            let inside = l.iter().filter(|v| (low..=high).contains(*v)).count();
            *within += inside as f64 / r as f64 / numbers as f64;
        }
    }
    Score {
        mean: (squares / numbers as f64).max(0.0).sqrt(),
        variance: ours / theirs,
        coverage: within,
    }
}

/// The size of the residual, of which noise alone has 1.
fn residual(problem: &Problem, x: &Image) -> f64 {
    let one = problem.y.index_axis(Axis(0), 0);
    let seen = one.iter().filter(|&&v| v != 0.0).count() as f64;
    let sum: f64 = x
        .axis_chunks_iter(Axis(0), 1)
        .map(|x| {
            let r = problem.operator.apply(&x.to_owned()) - one;
            r.iter().map(|&r| f64::from(r).powi(2)).sum::<f64>()
        })
        .sum();
    (sum / x.dim().0 as f64 / seen).sqrt() / problem.sigma()
}

fn print(name: &str, nfe: &str, s: &Score, residual: Option<f64>) {
    let [half, most] = s.coverage.map(|c| format!("{:.0}", 100.0 * c));
    let residual = residual.map_or(String::new(), |r| format!(" {r:.2} |"));
    let (mean, variance) = (s.mean, s.variance);
    println!("| {name} | {nfe} | {mean:.2} | {variance:.2} | {half} | {most} |{residual}");
}

/// One table: a measurement, and what every method makes of it.
fn methods(case: &Case, draws: usize) -> Result<()> {
    println!("\n### {}\n", case.name);
    println!("| method | evaluations | mean | variance | 50 % | 90 % | residual |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let exact = &case.law;
    let own = exact.slice(ndarray::s![..draws.min(exact.dim().0), .., .., ..]);
    let own = own.to_owned();
    let residual_of = |x: &Image| residual(&case.problem, x);
    print(
        "exact draws",
        "",
        &score(&own, exact),
        Some(residual_of(&own)),
    );
    for name in method::Settings::NAMES {
        let copies = vec![case.problem.y.view(); draws];
        let problem = Problem {
            y: ndarray::concatenate(Axis(0), &copies)?,
            operator: Arc::clone(&case.problem.operator),
            noise: case.problem.noise,
        };
        let card = case.prior.card();
        let task = Task {
            maps: card.maps,
            conditional: card.condition.is_some(),
            draw: true,
            ..Task::of(&problem, None)
        };
        let settings = method::Settings::tuned(name, &task).ok_or("a listed name")?;
        let method = settings.as_dyn();
        if method.check(card, &problem).is_err() {
            continue;
        }
        let nfe = settings.nfe(card).to_string();
        match method.restore(case.prior.as_ref(), &problem, &mut Run::new(1)) {
            Ok(restored) => {
                let x = restored.x;
                print(name, &nfe, &score(&x, exact), Some(residual_of(&x)));
            }
            Err(_) => println!("| {name} | {nfe} | fails | | | | |"),
        }
    }
    Ok(())
}

/// One table: what every sampler makes of a prior.
fn samplers(name: &str, prior: &dyn Prior, dims: Dims, law: &Image, draws: usize) -> Result<()> {
    println!("\n### {name}\n");
    println!("| sampler | evaluations | mean | variance | 50 % | 90 % |");
    println!("|---|---:|---:|---:|---:|---:|");
    for name in sampler::Settings::NAMES {
        let settings = sampler::Settings::named(name).ok_or("a listed name")?;
        let nfe = settings.nfe(prior.card()).to_string();
        let sampled = settings
            .as_dyn()
            .sample(prior, draws, dims, &mut Run::new(1));
        match sampled {
            Ok(x) => print(name, &nfe, &score(&x, law), None),
            Err(_) => println!("| {name} | {nfe} | fails | | | |"),
        }
    }
    Ok(())
}

const ABOUT: &str = "# Calibration

How far each method's answers lie from the exact posterior, and each sampler's from the prior, where the truth is known. Made by

```text
cargo run --release --example calibration > docs/calibration.md
```

Methods have the settings that suit the task (for a draw, where there is a choice); what they need and a case lacks leaves them
out. One measurement a case, many answers of each method.

- *mean*: error of the answers' mean, root mean square over all numbers, in standard deviations of the posterior; what chance
  adds is taken off. 0 is right.
- *variance*: the sum of the answers' variances, as a part of the posterior's. 1 is right; 0 is a point estimate.
- *50 %*, *90 %*: how much of the posterior lies in the intervals that hold so much of the answers, number by number.
- *residual*: root mean square of `y - A(x)`, as a part of the noise. A draw of the posterior has about that of the first row; a
  best estimate has less or more.

Signals with heavy tails leave the range of [-1, 1] now and then: methods that limit estimates to it (DiffPIR, DDiff, DPS, DDPM,
DDIM) pay for that there. Plug-and-play methods turn pictures, which a prior of signals does not take: they fail.
";

/// Draws of a method, such that quarters and twentieths lie between two of them.
const MANY: usize = 399;
const FEW: usize = 39;

fn main() -> Result<()> {
    println!("{ABOUT}");
    println!("## Methods");
    let small = Dims::new(4, 1, 1);
    let g4 = Arc::new(reference::g4()?);
    let a = Dense::new(&[[0.5, 0.3, -0.2, 0.1], [0.1, -0.4, 0.3, 0.6]]);
    let name = "Four numbers, two measured (the fixture G4)";
    methods(&Case::gaussian(name, g4.clone(), a, 0.1, 4000)?, MANY)?;

    let two = reference::Modes::new();
    let mixture: Arc<Mixture> = Arc::new(two.prior()?);
    let sum = Dense::new(&[[0.6, 0.4]]);
    methods(
        &two.case(
            "Two numbers of two modes, their weighted sum measured",
            mixture.clone(),
            sum,
            0.1,
        )?,
        MANY,
    )?;

    let plane = Dims::new(1, 32, 32);
    let grey = Arc::new(reference::texture(plane)?);
    let colour = Arc::new(reference::texture(Dims { c: 3, ..plane })?);
    let stationary = |name, operator: Box<dyn Operator>, prior: &Arc<Stationary>| {
        let case = Case::gaussian(name, prior.clone(), operator, 0.05, 300)?;
        methods(&case, FEW)
    };
    stationary(
        "A texture of 32x32 pixels, half of them measured",
        Box::new(Mask::random(plane, 0.5, 1)?),
        &grey,
    )?;
    let blur = Blur::new(plane, Kernel::gaussian(1.6, None)?, Boundary::Circular)?;
    stationary("The same, blurred", Box::new(blur), &grey)?;
    stationary(
        "The same at half the size",
        Box::new(Downsample::bicubic(plane, 2)?),
        &grey,
    )?;
    let gray = Gray::new(Dims { c: 3, ..plane }, GrayWeights::Luma)?;
    stationary(
        "The same in colour, of which the grey is measured",
        Box::new(gray),
        &colour,
    )?;

    let signal = Dims::new(1, 1, 64);
    for law in [Law::Laplace, Law::Student] {
        let prior = Arc::new(Heavy::new(law));
        let case = |what: &str, operator: Box<dyn Operator>, sigma| {
            prior.case(
                &format!("A signal of 64 with {} steps, {what}", law.name()),
                operator,
                sigma,
            )
        };
        methods(
            &case("with noise", Box::new(Identity::new(signal)?), 0.2)?,
            FEW,
        )?;
        methods(
            &case(
                "half of it measured",
                Box::new(Mask::random(signal, 0.5, 1)?),
                0.05,
            )?,
            FEW,
        )?;
        let blur = Blur::new(signal, Kernel::gaussian(1.6, None)?, Boundary::Circular)?;
        methods(&case("blurred", Box::new(blur), 0.05)?, FEW)?;
    }

    println!("\n## Samplers");
    let mut noise = tweedie::noise::Seeded::new(7, "law");
    samplers(
        "Four numbers",
        g4.as_ref(),
        small,
        &g4.sample(4000, &mut noise),
        MANY,
    )?;
    let law = two.draws(4000, &mut noise);
    samplers(
        "Two numbers of two modes",
        mixture.as_ref(),
        Dims::new(2, 1, 1),
        &law,
        MANY,
    )?;
    samplers(
        "A texture of 32x32 pixels",
        grey.as_ref(),
        plane,
        &grey.sample(300, &mut noise),
        FEW,
    )?;
    for law in [Law::Laplace, Law::Student] {
        let prior = Heavy::new(law);
        let name = format!("A signal of 64 with {} steps", law.name());
        samplers(&name, &prior, signal, &prior.draws(4000, 7), FEW)?;
    }
    Ok(())
}

/// The range of priors that are not pictures.
const NETWORK: Range = Range::NETWORK;

/// A Gaussian in the units of networks.
fn gaussian(dims: Dims, mean: &[f64], covariance: &ndarray::Array2<f64>) -> Result<Gaussian> {
    Ok(Gaussian::new(dims, mean, covariance, NETWORK)?)
}
