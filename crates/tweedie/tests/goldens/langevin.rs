//! Langevin chains in the posterior: golden numbers, their formulas in f64, limits and safety.

use nalgebra::{DMatrix, DVector};
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::Range;
use tweedie::method::*;
use tweedie::noise::{NoiseSource, Zeros};
use tweedie::operator::norm;
use tweedie::prior::{Gaussian, Prior};
use tweedie::run::{Error, Run};
use tweedie::sampler::{Ddpm, Sampler, Variance};
use tweedie::{Dims, Image};

use crate::fixture::*;

fn check(name: &str, method: &dyn Method, mean: [f64; 4], variance: [f64; 4], tolerance: f64) {
    let got = method_moments(method, SIGMA_Y);
    let (dm, dv) = (distance(&got.0, &mean), distance(&got.1, &variance));
    assert!(dm < tolerance, "{name}: mean {:?}, off by {dm:.1e}", got.0);
    assert!(
        dv < 2.5e-5_f64.max(tolerance),
        "{name}: variance {:?}, off by {dv:.1e}",
        got.1
    );
}

// ---------------------------------------------------------------------------------------------- Score-ALD

fn score_ald(weight: LikelihoodWeight) -> ScoreAld {
    ScoreAld {
        weight,
        ..ScoreAld::default()
    }
}

/// With the pull at the new image instead of the old one the first coordinate is off by 1e-4, with `gamma` for its square, or the
/// gradient's factor of 2 not cancelled, by 0.01.
#[test]
fn score_ald_rows() {
    check(
        "gamma^2 = 1",
        &score_ald(LikelihoodWeight::Constant { gamma2: Some(1.0) }),
        [0.608163, 0.427849, 0.004759, -0.317668],
        [0.047100, 0.138136, 0.159524, 0.052618],
        3e-6,
    );
    check(
        "gamma^2 = 10",
        &score_ald(LikelihoodWeight::Constant { gamma2: Some(10.0) }),
        [0.595618, 0.413043, 0.009373, -0.303835],
        [0.052248, 0.140759, 0.162619, 0.053713],
        3e-6,
    );
    // The norm in it comes from power iteration.
    check(
        "clock",
        &score_ald(LikelihoodWeight::Clock { scale: 1.0 }),
        [0.517260, 0.330544, 0.029025, -0.250283],
        [0.079481, 0.152496, 0.170434, 0.060919],
        1e-5,
    );
}

/// Of a measurement of nothing it is DDPM. Wrong: anything beside the pull.
#[test]
fn score_ald_of_nothing_is_the_sampler() {
    let nothing = Dense(DMatrix::zeros(2, 4));
    let thinned = grid(Subset::Spaced { steps: 50 });
    for (sigma, weight) in [
        (SIGMA_Y, LikelihoodWeight::Constant { gamma2: None }),
        (0.0, LikelihoodWeight::Constant { gamma2: None }),
        (SIGMA_Y, LikelihoodWeight::Clock { scale: 2.0 }),
    ] {
        let method = ScoreAld {
            grid: thinned.clone(),
            ..score_ald(weight)
        };
        let ddpm = Ddpm {
            grid: thinned.clone(),
            variance: Variance::Large,
            clamp: false,
        };
        let problem = problem_of(nothing.clone(), &Y, 8, sigma);
        let x = method
            .restore(&prior(), &problem, &mut Run::new(5))
            .unwrap()
            .x;
        let drawn = ddpm.sample(&prior(), 8, DIMS, &mut Run::new(5)).unwrap();
        assert_eq!(x, drawn);
    }
}

/// A pull that would throw the image beyond the measurement, and further with each step, is refused with the least that works.
#[test]
fn score_ald_says_where_it_diverges() {
    let solve = |gamma2| {
        let method = score_ald(LikelihoodWeight::Constant {
            gamma2: Some(gamma2),
        });
        method.restore(&prior(), &problem(1, 0.0), &mut Run::new(1))
    };
    let text = solve(0.2).unwrap_err().to_string();
    assert!(text.contains("0.320"), "{text}");
    assert!(solve(0.33).is_ok());
}

// ---------------------------------------------------------------------------------------------- PnP-ULA and its kin

/// The chain's law in f64: `x <- M x + c` with noise of variance `q` a step, towards the posterior of the prior smoothed by `e`.
struct Chain {
    m: DMatrix<f64>,
    c: DVector<f64>,
    q: f64,
}

/// The gradient is `pull - curvature*x`.
fn gradient(e: f64) -> (DMatrix<f64>, DVector<f64>) {
    let (a, c) = (operator().0, DMatrix::from_fn(4, 4, |i, j| C[i][j]));
    let (mu, y) = (DVector::from_row_slice(&MU), DVector::from_row_slice(&Y));
    let smoothed = (c + DMatrix::identity(4, 4) * e).try_inverse().unwrap();
    let precision = 1.0 / (SIGMA_Y * SIGMA_Y);
    (
        a.transpose() * &a * precision + &smoothed,
        a.transpose() * y * precision + smoothed * mu,
    )
}

impl Chain {
    fn new(e: f64, d: f64) -> Chain {
        let (curvature, pull) = gradient(e);
        Chain {
            m: DMatrix::identity(4, 4) - curvature * d,
            c: pull * d,
            q: 2.0 * d,
        }
    }

    /// Mean and variances after so many steps from a point.
    fn after(&self, steps: usize, start: &DVector<f64>) -> (Vec<f64>, Vec<f64>) {
        let (mut mean, mut spread) = (start.clone(), DMatrix::zeros(4, 4));
        for _ in 0..steps {
            mean = &self.m * mean + &self.c;
            spread = &self.m * spread * self.m.transpose() + DMatrix::identity(4, 4) * self.q;
        }
        let variances = spread.diagonal().iter().copied().collect();
        (mean.iter().copied().collect(), variances)
    }
}

const E: f64 = 0.0025;
const D: f64 = 4.311e-4;

/// `d` as a part of the longest step of the projected chain.
fn part_of_longest(d: f64) -> f64 {
    let l_y = (1.02 * norm(&operator(), 20)).powi(2) / (SIGMA_Y * SIGMA_Y);
    d * (l_y + 1.0 / E)
}

/// The last place of a chain of the fixture's problem. Sigma 0.025 is for [0, 1].
fn chain(scheme: Scheme, steps: usize, step: f64) -> PnpUla {
    PnpUla {
        scheme,
        steps,
        step,
        sigma: E.sqrt() / 2.0,
        burn_in: 1.0 - 0.5 / steps as f64,
        ..PnpUla::default()
    }
}

/// The law that the formula settles in is the specification's, and the code's law after 40 steps is the formula's. Wrong: the
/// prior's `C` for `C + e` (its means are off by 6e-4), noise of `sqrt(d)`, half the variance; the denoiser told `e` for its
/// root, a weight of `sigma_y^2/2`.
#[test]
fn pnp_ula_has_the_law_of_its_formula() {
    let formula = Chain::new(E, D);
    let (mean, variance) = formula.after(60_000, &DVector::zeros(4));
    assert!(
        distance(&mean, &[0.607540, 0.367157, 0.041622, -0.306863]) < 2e-6,
        "{mean:?}"
    );
    assert!(
        distance(&variance, &[0.068161, 0.143295, 0.151555, 0.062814]) < 2e-6,
        "{variance:?}"
    );
    let start = columns(&problem(1, SIGMA_Y).classical())
        .column(0)
        .into_owned();
    let (mean, variance) = formula.after(40, &start);
    let projected = chain(Scheme::Projected, 40, part_of_longest(D));
    let got = method_moments(&projected, SIGMA_Y);
    assert!(distance(&got.0, &mean) < 3e-6, "{:?} {mean:?}", got.0);
    assert!(
        distance(&got.1, &variance) < 3e-6,
        "{:?} {variance:?}",
        got.1
    );
}

/// Without noise every scheme goes to the peak of the smoothed posterior, which of a Gaussian is its mean; at the longest steps
/// too. Wrong: a projection that is active, stages with a wrong coefficient, steps beyond what is stable.
#[test]
fn every_scheme_settles_in_the_smoothed_posterior() {
    let mean = [0.607540, 0.367157, 0.041622, -0.306863];
    for (scheme, steps, step) in [
        (Scheme::Plain, 40_000, 1.0),
        (Scheme::Projected, 6000, 0.9),
        (Scheme::SkRock { stages: 2 }, 4000, 0.9),
        (Scheme::SkRock { stages: 5 }, 400, 1.0),
        (Scheme::SkRock { stages: 15 }, 60, 1.0),
    ] {
        let method = chain(scheme, steps, step);
        let got = quiet(&method, &prior(), &problem(1, SIGMA_Y));
        let off = distance(&got, &mean);
        // The last steps of the slow directions are below what f32 rounds.
        assert!(off < 1e-4, "{scheme:?}: {got:?}, off by {off:.1e}");
    }
}

/// One step of SK-ROCK with five stages against the same in f64. Wrong: the noise left out of the first gradient's argument, or
/// without its weight.
#[test]
fn sk_rock_is_its_recursion() {
    let (s, eta, part) = (5, 0.05, 0.5);
    let n = s as f64;
    let l = part_of_longest(1.0);
    let d = part * ((n - 0.5).powi(2) * (2.0 - 4.0 * eta / 3.0) - 1.5) / l;
    assert!((d / part * l - 37.6).abs() < 0.1);
    let (curvature, pull) = gradient(E);
    let g = |x: &DVector<f64>| &pull - &curvature * x;
    // Chebyshev polynomials by their recursion, and the derivative by that of the second kind.
    let w0 = 1.0 + eta / (n * n);
    let (mut t, mut u) = (vec![1.0, w0], vec![1.0, 2.0 * w0]);
    for j in 2..=s {
        t.push(2.0 * w0 * t[j - 1] - t[j - 2]);
        u.push(2.0 * w0 * u[j - 1] - u[j - 2]);
    }
    let w1 = t[s] / (n * u[s - 1]);
    let step = |x: &DVector<f64>, z: &DVector<f64>| {
        let q = z * (2.0 * d).sqrt();
        let mut before = x.clone();
        let mut now = x + g(&(x + &q * (n * w1 / 2.0))) * (d * w1 / w0) + &q * (n * w1 / w0);
        for j in 2..=s {
            let (mu, nu) = (2.0 * w1 * t[j - 1] / t[j], 2.0 * w0 * t[j - 1] / t[j]);
            let next = g(&now) * (mu * d) + &now * nu + &before * (1.0 - nu);
            before = std::mem::replace(&mut now, next);
        }
        now
    };
    let start = columns(&problem(1, SIGMA_Y).classical())
        .column(0)
        .into_owned();
    let mean = step(&start, &DVector::zeros(4));
    let mut variance = [0.0; 4];
    for i in 0..4 {
        let unit = DVector::from_fn(4, |j, _| f64::from(i == j));
        let response = step(&start, &unit) - &mean;
        variance
            .iter_mut()
            .zip(response.iter())
            .for_each(|(v, r)| *v += r * r);
    }
    let got = method_moments(&chain(Scheme::SkRock { stages: s }, 1, part), SIGMA_Y);
    assert!(
        distance(&got.0, mean.as_slice()) < 1e-5,
        "{:?} {mean}",
        got.0
    );
    assert!(
        distance(&got.1, &variance) < 1e-5,
        "{:?} {variance:?}",
        got.1
    );
}

/// Numbers stay within three times the range. Wrong: a projection onto the range itself, which biases what is near its ends.
#[test]
fn chains_stay_within_their_bounds() {
    struct Loud;
    impl NoiseSource for Loud {
        fn normal(&mut self, batch: usize, dims: Dims) -> Image {
            Image::from_elem(dims.batch(batch), 1e4)
        }
    }
    for scheme in [Scheme::Projected, Scheme::SkRock { stages: 4 }] {
        let method = PnpUla {
            kept: Kept::Mean,
            ..chain(scheme, 1, 0.9)
        };
        let mut run = Run::with(Loud, ());
        let x = method
            .restore(&prior(), &problem(1, SIGMA_Y), &mut run)
            .unwrap()
            .x;
        assert!(x.iter().all(|v| *v == 3.0), "{x}");
    }
}

/// With all weights 1 PPGN is PnP-ULA without bounds; with half of the noise it has a quarter of the variance.
#[test]
fn ppgn_is_a_tempered_chain() {
    let ppgn = |noise| Ppgn {
        steps: 30,
        step: 0.5,
        sigma: E.sqrt() / 2.0,
        noise,
        ..Ppgn::default()
    };
    let solve = |method: &dyn Method| {
        let mut run = Run::new(4);
        method
            .restore(&prior(), &problem(3, SIGMA_Y), &mut run)
            .unwrap()
            .x
    };
    let chain = PnpUla {
        kept: Kept::Mean,
        ..chain(Scheme::Projected, 30, 0.5)
    };
    let off = difference(&solve(&ppgn(1.0)), &solve(&chain));
    assert!(off < 1e-6, "{off:.1e}");
    let (mean, wide) = method_moments(&ppgn(1.0), SIGMA_Y);
    let (same, narrow) = method_moments(&ppgn(0.5), SIGMA_Y);
    assert!(distance(&mean, &same) < 1e-6);
    let quarter: Vec<f64> = wide.iter().map(|v| v / 4.0).collect();
    assert!(distance(&narrow, &quarter) < 1e-6, "{narrow:?} {wide:?}");
}

/// The chain's mean and standard deviation are the posterior's, of which a long run tells. Wrong: a burn-in that is not left out, the
/// deviation of the mean for that of the chain.
#[test]
fn pnp_ula_knows_its_spread() {
    let method = PnpUla {
        steps: 4000,
        sigma: E.sqrt() / 2.0,
        scheme: Scheme::SkRock { stages: 5 },
        step: 0.5,
        ..PnpUla::default()
    };
    let Restored { x, std } = method
        .restore(&prior(), &problem(1, SIGMA_Y), &mut Run::new(8))
        .unwrap();
    let (mean, variance) = posterior(SIGMA_Y);
    let off = distance(columns(&x).as_slice(), &mean);
    assert!(off < 0.05, "{x} {mean:?}");
    let std = columns(&std.expect("the mean has a spread"));
    for (std, variance) in std.iter().zip(variance) {
        assert!(
            (std / variance.sqrt() - 1.0).abs() < 0.12,
            "{std} {}",
            variance.sqrt()
        );
    }
}

// ---------------------------------------------------------------------------------------------- annealed

/// With the likelihood of the noisy image the law tends to the posterior; its numbers after 200 levels are `g4.py`'s. Wrong: the
/// residual's noise left out (the mean is off by 0.05 and early steps diverge), steps that are not shortened for the data.
#[test]
fn annealed_langevin_nears_the_posterior() {
    let method = Annealed {
        grid: Grid::all(Schedule::Ve {
            sigma_min: 0.01,
            sigma_max: 10.0,
            steps: 200,
        }),
        repeats: 5,
        step: 0.5,
        pull: Pull::Likelihood,
        denoise: true,
        start: Start::Noise,
    };
    check(
        "likelihood",
        &method,
        [0.603132, 0.366540, 0.043691, -0.301557],
        [0.069275, 0.145076, 0.153293, 0.063009],
        1e-4,
    );
    let (mean, variance) = posterior(SIGMA_Y);
    let got = method_moments(&method, SIGMA_Y);
    assert!(distance(&got.0, &mean) < 0.006 && distance(&got.1, &variance) < 0.005);
}

/// One step of the authors' rule by hand: the measurement's pull is five times as long as the prior's. Wrong: norms over the batch,
/// the ratio upside down, the residual's sign.
#[test]
fn matched_pulls_are_as_long_as_they_say() {
    let method = Annealed {
        grid: Grid::all(Schedule::Sigmas { sigmas: vec![0.3] }),
        repeats: 1,
        step: 0.1,
        pull: Pull::Matched { mse: 5.0 },
        ..Annealed::default()
    };
    let got = quiet(&method, &prior(), &problem(1, SIGMA_Y));
    let (a, c) = (operator().0, DMatrix::from_fn(4, 4, |i, j| C[i][j]));
    let (mu, y) = (DVector::from_row_slice(&MU), DVector::from_row_slice(&Y));
    let variance = 0.36;
    let inverse = (c + DMatrix::identity(4, 4) * variance)
        .try_inverse()
        .unwrap();
    let (score, g) = (inverse * mu, a.transpose() * y);
    let expected = (&score + &g * (5.0 * score.norm() / g.norm())) * (0.1 * variance);
    assert!(
        distance(&got, expected.as_slice()) < 1e-5,
        "{got:?} {expected}"
    );
}

// ---------------------------------------------------------------------------------------------- all of them

/// The same problem in [0, 1] and in [-1, 1], where the start does not depend on units. Wrong: a sigma, floor or bound for the
/// other range.
#[test]
fn langevin_methods_are_free_of_units() {
    let full = Dense(DMatrix::from_fn(4, 4, |i, j| {
        if i == j { 0.9 } else { 0.1 * (i as f64 - 1.5) }
    }));
    let y = [0.3, -0.2, 0.1, 0.5];
    let image_y: Vec<f64> = (y.iter().zip(full.0.row_iter()))
        .map(|(y, row)| (y + row.sum()) / 2.0)
        .collect();
    let mean = MU.map(|m| (m + 1.0) / 2.0);
    let image_prior = Gaussian::new(DIMS, &mean, &(covariance() / 4.0), Range::IMAGE).unwrap();
    let methods: [Settings; 7] = [
        PnpUla {
            steps: 30,
            floor: 0.02,
            ..PnpUla::default()
        }
        .into(),
        PnpUla {
            steps: 30,
            floor: 0.02,
            scheme: Scheme::Plain,
            ..PnpUla::default()
        }
        .into(),
        Ppgn {
            steps: 30,
            floor: 0.02,
            ..Ppgn::default()
        }
        .into(),
        ScoreAld::default().with(50),
        ScoreAld {
            weight: LikelihoodWeight::Clock { scale: 1.0 },
            ..ScoreAld::default()
        }
        .with(50),
        Annealed {
            pull: Pull::Matched { mse: 5.0 },
            ..Annealed::default()
        }
        .with(30),
        Annealed {
            pull: Pull::Likelihood,
            denoise: true,
            ..Annealed::default()
        }
        .with(30),
    ];
    for method in methods {
        let solve = |prior: &dyn Prior, y: &[f64]| {
            let problem = problem_of(full.clone(), y, 4, 0.0);
            let mut run = Run::new(9);
            method
                .as_dyn()
                .restore(prior, &problem, &mut run)
                .unwrap()
                .x
        };
        let a = solve(&prior(), &y);
        let b = solve(&image_prior, &image_y);
        let off = difference(&a, &b.mapv(|v| 2.0 * v - 1.0));
        assert!(off < 2e-4, "{method:?}: {off:.1e}");
    }
}

trait With {
    fn with(self, steps: usize) -> Settings;
}

impl<T: Into<Settings>> With for T {
    fn with(self, steps: usize) -> Settings {
        self.into().with_steps(steps)
    }
}

/// Settings without sense are refused, whatever the problem.
#[test]
fn langevin_settings_are_checked() {
    let nan = f64::NAN;
    let refused: [Settings; 12] = [
        PnpUla {
            step: 1.5,
            ..PnpUla::default()
        }
        .into(),
        PnpUla {
            step: nan,
            ..PnpUla::default()
        }
        .into(),
        PnpUla {
            burn_in: 1.0,
            ..PnpUla::default()
        }
        .into(),
        PnpUla {
            sigma: -0.1,
            ..PnpUla::default()
        }
        .into(),
        PnpUla {
            floor: nan,
            ..PnpUla::default()
        }
        .into(),
        PnpUla {
            scheme: Scheme::SkRock { stages: 1 },
            ..PnpUla::default()
        }
        .into(),
        Ppgn {
            step: 2.0,
            ..Ppgn::default()
        }
        .into(),
        Ppgn {
            noise: -1.0,
            ..Ppgn::default()
        }
        .into(),
        Ppgn {
            data: 0.0,
            ..Ppgn::default()
        }
        .into(),
        ScoreAld {
            weight: LikelihoodWeight::Clock { scale: 3.0 },
            ..ScoreAld::default()
        }
        .into(),
        Annealed {
            step: 2.0,
            ..Annealed::default()
        }
        .into(),
        Annealed {
            pull: Pull::Matched { mse: nan },
            ..Annealed::default()
        }
        .into(),
    ];
    for settings in refused {
        let mut run = Run::with(Zeros, ());
        let result = settings
            .as_dyn()
            .restore(&prior(), &problem(1, SIGMA_Y), &mut run);
        assert!(matches!(result, Err(Error::Unfit(_))), "{settings:?}");
    }
}
