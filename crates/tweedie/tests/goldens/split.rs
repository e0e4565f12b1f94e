//! The split family: golden numbers of G4, what the methods share, and the laws that they draw from.

use nalgebra::{DMatrix, DVector};
use ndarray::{Array2, s};
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::Range;
use tweedie::method::{
    Answer, Around, Daps, DataStep, Ddiff, DiffPir, Flower, Method, Output, PnpFlow, RedDiff,
    SplitGibbs, Start,
};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::Gaussian;
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Dims, Image};

use crate::fixture::*;

fn solve(method: &dyn Method, sigma: f64) -> Image {
    method
        .restore(&prior(), &problem(8, sigma), &mut Run::new(5))
        .unwrap()
        .x
}

/// One level, so many times.
fn again(sigma: f64, steps: usize) -> Grid {
    Grid {
        // Listed sigmas are for data in [0, 1].
        schedule: Schedule::Sigmas {
            sigmas: vec![sigma / 2.0],
        },
        subset: Subset::Uniform { steps },
    }
}

// ---------------------------------------------------------------------------------------------- RED-diff

/// Appendix A, 2.17. With sums for means, or the weights of the prior by `1/sigma`, the first coordinate is off by 0.02; with an
/// Adam that does not correct its averages the first row is off by more.
#[test]
fn red_diff_without_noise() {
    let rows = [
        (20, 0.1, [0.588367, 0.434275, -0.091332, -0.237767]),
        (100, 0.1, [0.632818, 0.419077, 0.033131, -0.345116]),
        (100, 0.5, [0.631628, 0.419013, 0.029793, -0.344953]),
    ];
    for (steps, rate, expected) in rows {
        let method = RedDiff {
            grid: grid(Subset::Uniform { steps }),
            rate,
            ..RedDiff::default()
        };
        let got = quiet(&method, &prior(), &problem(1, SIGMA_Y));
        let off = distance(&got, &expected);
        assert!(off < 2e-5, "{steps}, {rate}: {got:?}, off by {off:.1e}");
    }
}

/// At one level, without noise, the steps end where data and the expected gradient of the prior balance. Wrong: a weight that
/// does not grow with the level, with which both rows are alike.
#[test]
fn red_diff_ends_where_forces_balance() {
    let rows = [
        (20, [0.629513, 0.402001, 0.017302, -0.339663]),
        (500, [0.479277, 0.335114, -0.006258, -0.233434]),
    ];
    for (t, expected) in rows {
        let abar: f64 = (0..=t)
            .map(|i| 1.0 - 1e-4 - (0.02 - 1e-4) * f64::from(i) / 999.0)
            .product();
        let method = RedDiff {
            grid: again((1.0 / abar - 1.0).sqrt(), 4000),
            rate: 2e-3,
            ..RedDiff::default()
        };
        let got = quiet(&method, &prior(), &problem(1, SIGMA_Y));
        let off = distance(&got, &expected);
        assert!(off < 1e-3, "{t}: {got:?}, off by {off:.1e}");
    }
}

// ---------------------------------------------------------------------------------------------- DAPS

/// Appendix A, 2.18: an exact draw of the surrogate. With the estimate itself in the place of the ODE's end the trace is a fifth
/// more (the prior's posterior mean varies less than its draws, and 5 Euler steps lie between), with `sigma_(k+1)` for `sigma_k`
/// in the draw less.
#[test]
fn daps_draws_the_surrogate() {
    let method = Daps {
        around: Around::Draw,
        ..Daps::default()
    };
    let (mean, variance) = method_moments(&method, SIGMA_Y);
    let off = distance(&mean, &[0.610202, 0.392106, 0.032359, -0.314648]);
    assert!(off < 2e-5, "{mean:?}, off by {off:.1e}");
    let off = distance(&variance, &[0.104359, 0.243500, 0.266018, 0.102853]);
    assert!(off < 5e-5, "{variance:?}, off by {off:.1e}");
}

/// The same with Langevin steps as in the authors' code: their mean, which with `1/(2 tau^2)` in the place of `1/tau^2` is off by
/// 0.003, and their variance from 2000 chains, which with noise of `sqrt(rate)` is a good part less.
#[test]
fn daps_by_langevin_steps() {
    let method = Daps::default();
    let got = quiet(&method, &prior(), &problem(1, SIGMA_Y));
    let off = distance(&got, &[0.623586, 0.413381, 0.018460, -0.335040]);
    assert!(off < 1e-4, "{got:?}, off by {off:.1e}");
    let many = problem(2000, SIGMA_Y);
    let x = method.restore(&prior(), &many, &mut Run::new(5)).unwrap().x;
    let variance = x.map_axis(ndarray::Axis(0), |v| f64::from(v.var(1.0)));
    let trace = variance.sum();
    // One standard error is about 2 %.
    assert!(
        (trace / 0.32154 - 1.0).abs() < 0.08,
        "{variance:?}: {trace}"
    );
}

/// One evaluation a level and the mean of the draw are DiffPIR with fresh noise. Wrong: `rho` of the next level, noise of this one.
#[test]
fn daps_without_draws_is_diffpir() {
    let levels = Grid::all(Schedule::edm(30));
    let daps = Daps {
        grid: levels.clone(),
        around: Around::Mean,
        ..Daps::cheap()
    };
    let diffpir = DiffPir {
        grid: levels,
        start: Start::Noise,
        clamp: false,
        output: Output::Prox,
        ..DiffPir::fresh()
    };
    for sigma in [0.0, SIGMA_Y] {
        let off = difference(&solve(&daps, sigma), &solve(&diffpir, sigma));
        assert!(off < 1e-5, "{off:.1e}");
    }
}

// ---------------------------------------------------------------------------------------------- DDiff

/// Without a dual it is DiffPIR, bit for bit, whatever the settings; with one it is not.
#[test]
fn ddiff_without_dual_is_diffpir() {
    for (zeta, data, output) in [
        (1.0, DataStep::Prox, Output::Auto),
        (0.3, DataStep::Prox, Output::Prox),
        (0.5, DataStep::Descent { steps: 5 }, Output::Level),
    ] {
        let split = DiffPir {
            zeta,
            data,
            output,
            ..DiffPir::default()
        };
        let ddiff = |dual| Ddiff {
            dual,
            rescale: true,
            split: split.clone(),
        };
        for sigma in [0.0, SIGMA_Y] {
            let plain = solve(&split, sigma);
            assert!(solve(&ddiff(0.0), sigma) == plain, "{zeta}");
            assert!(difference(&solve(&ddiff(1.0), sigma), &plain) > 1e-4);
        }
    }
}

/// At one level, again and again, without noise: the dual's fixed point is the posterior mean itself, whatever the level, since
/// it is that of ADMM; without dual it is not. Wrong: the dual added where the data step should subtract it, or left out of
/// what is noised.
#[test]
fn ddiff_ends_at_the_posterior_mean() {
    for sigma in [0.1, 0.3] {
        let method = |dual| Ddiff {
            dual,
            rescale: true,
            split: DiffPir {
                grid: again(sigma, 3000),
                clamp: false,
                output: Output::Denoised,
                ..DiffPir::fresh()
            },
        };
        let (mean, _) = posterior(SIGMA_Y);
        let got = |dual| quiet(&method(dual), &prior(), &problem(1, SIGMA_Y));
        let off = distance(&got(1.0), &mean);
        assert!(off < 2e-5, "{sigma}: off by {off:.1e}");
        assert!(distance(&got(0.0), &mean) > 5e-3);
    }
}

// ---------------------------------------------------------------------------------------------- Flower and PnP-Flow

/// Where there is little noise Flower's uncertainty is the level's, and it is DiffPIR with fresh noise. Wrong: `r^2 = (1-t)^2`
/// on other paths than the straight one.
#[test]
fn flower_nears_diffpir_where_there_is_little_noise() {
    let levels = Grid::all(Schedule::Ve {
        sigma_min: 0.0005,
        sigma_max: 0.005,
        steps: 20,
    });
    let flower = Flower {
        grid: levels.clone(),
        start: Start::Guess,
        ..Flower::default()
    };
    let diffpir = DiffPir {
        grid: levels,
        clamp: false,
        output: Output::Prox,
        ..DiffPir::fresh()
    };
    let off = difference(&solve(&flower, SIGMA_Y), &solve(&diffpir, SIGMA_Y));
    assert!(off < 1e-5, "{off:.1e}");
}

/// The straight path and the same levels of the VE path give the same results, as both methods are written in `a` and `b`.
#[test]
fn paths_are_alike() {
    let flow = Schedule::flow(40);
    let sigmas = flow
        .levels(Range::IMAGE)
        .iter()
        .map(|l| l.sigma())
        .collect();
    let grids = [flow, Schedule::Sigmas { sigmas }].map(Grid::all);
    let flower = |draw| {
        grids.clone().map(|grid| -> Box<dyn Method> {
            Box::new(Flower {
                grid,
                draw,
                ..Flower::default()
            })
        })
    };
    let pnp = grids.clone().map(|grid| -> Box<dyn Method> {
        Box::new(PnpFlow {
            grid,
            ..PnpFlow::default()
        })
    });
    for [p, q] in [flower(false), flower(true), pnp] {
        let off = difference(&solve(&*p, SIGMA_Y), &solve(&*q, SIGMA_Y));
        assert!(off < 2e-3, "{off:.1e}");
    }
}

/// The test of 1.12 of the second part of the specification: signals of 32 numbers.
struct Signals {
    prior: Gaussian,
    mean: DVector<f64>,
    root: DMatrix<f64>,
}

impl Signals {
    const N: usize = 32;
    const DIMS: Dims = Dims::new(Signals::N, 1, 1);

    fn new() -> Signals {
        let n = Signals::N;
        let covariance = |i: usize, j: usize| {
            let far = (i as f64 - j as f64) / 3.0;
            0.25 * (-far * far).exp() + if i == j { 1e-3 } else { 0.0 }
        };
        let mean: Vec<f64> = (0..n).map(|i| 0.1 * (i as f64 / 5.0).sin()).collect();
        let array = Array2::from_shape_fn((n, n), |(i, j)| covariance(i, j));
        let root = DMatrix::from_fn(n, n, covariance).cholesky().unwrap().l();
        Signals {
            prior: Gaussian::new(Signals::DIMS, &mean, &array, Range::NETWORK).unwrap(),
            mean: mean.into(),
            root,
        }
    }

    /// 64 signals, measured.
    fn measured(&self, a: DMatrix<f64>, sigma: f64) -> (Image, Problem) {
        let z = columns(&Seeded::new(1, "truth").normal(64, Signals::DIMS));
        let x = &self.root * z;
        let truth = Image::from_shape_fn(Signals::DIMS.batch(64), |(k, i, _, _)| {
            (x[(i, k)] + self.mean[i]) as f32
        });
        let operator = Dense(a);
        let output = tweedie::operator::Operator::output(&operator);
        let mut y = tweedie::operator::Operator::apply(&operator, &truth);
        y.scaled_add(sigma as f32, &Seeded::new(2, "noise").normal(64, output));
        (truth, Problem::new(y, Box::new(operator), sigma).unwrap())
    }

    /// PSNR, with a peak of 2, and the residual in units of the noise.
    fn judged(
        &self,
        method: &dyn Method,
        truth: &Image,
        problem: &Problem,
        draws: u64,
    ) -> [f64; 2] {
        let mut sum = Image::zeros(truth.raw_dim());
        let mut residual = 0.0;
        for seed in 0..draws {
            let x = method
                .restore(&self.prior, problem, &mut Run::new(seed))
                .unwrap()
                .x;
            let r = problem.residual(&x).mapv(|r| f64::from(r * r));
            residual += r.mean().unwrap().sqrt() / problem.sigma() / draws as f64;
            sum += &(x / draws as f32);
        }
        let error = (sum - truth).mapv(|e| f64::from(e * e)).mean().unwrap();
        [10.0 * (4.0 / error).log10(), residual]
    }
}

fn circular_blur(n: usize) -> DMatrix<f64> {
    let weight = |d: f64| (-d * d / 8.0).exp();
    let sum: f64 = (0..n).map(|d| weight(d.min(n - d) as f64)).sum();
    DMatrix::from_fn(n, n, |i, j| {
        let d = i.abs_diff(j);
        weight(d.min(n - d) as f64) / sum
    })
}

/// PSNR of PnP-Flow at its best `alpha`, of the mean of 5 of Flower's estimates and of one of its draws, within the 0.7 dB that
/// the specification accepts; and the residual of a draw is that of the truth. Wrong: noise of the level before, which costs
/// Flower 1 dB and more; a draw without noise in the measurement, whose residual is a half.
#[test]
fn flow_methods_on_signals() {
    let n = Signals::N;
    let signals = Signals::new();
    let block = DMatrix::from_fn(n / 4, n, |i, j| if j / 4 == i { 0.25 } else { 0.0 });
    let rows = [
        ("blur", circular_blur(n), 0.05, 0.01, [23.1, 23.8, 21.0]),
        ("block", block, 0.05, 0.01, [20.5, 20.3, 17.6]),
        (
            "noise",
            DMatrix::identity(n, n),
            0.2,
            0.8,
            [23.4, 23.5, 21.4],
        ),
    ];
    for (name, a, sigma, alpha, expected) in rows {
        let (truth, problem) = signals.measured(a, sigma);
        let flower = |draw| Flower {
            draw,
            ..Flower::default()
        };
        let pnp = PnpFlow {
            alpha,
            ..PnpFlow::default()
        };
        let got = [
            signals.judged(&pnp, &truth, &problem, 1),
            signals.judged(&flower(false), &truth, &problem, 5),
            signals.judged(&flower(true), &truth, &problem, 1),
        ];
        for (got, expected) in got.iter().zip(expected) {
            assert!((got[0] - expected).abs() < 0.7, "{name}: {got:?}");
        }
        assert!((got[2][1] - 1.0).abs() < 0.08, "{name}: {got:?}");
    }
}

// ---------------------------------------------------------------------------------------------- split Gibbs

/// With a coupling the law is the posterior for noise of covariance `sigma^2 + rho^2 A A^T`, and with the coupling its distance
/// from the posterior vanishes. Wrong: `rho` for `rho^2`, a deterministic way back (whose variances are a quarter), a copy
/// returned in the place of the image. The way back is DDPM's, whose small variance over 60 levels is 8 % too small.
#[test]
fn split_gibbs_nears_the_posterior_as_the_coupling_vanishes() {
    let (mean, variance) = posterior(SIGMA_Y);
    let mut before = f64::INFINITY;
    for (rho, iterations) in [(0.8, 10), (0.4, 20), (0.2, 50)] {
        let method = SplitGibbs {
            iterations,
            coupling_start: rho,
            decay: 1.0,
            coupling_end: rho,
            levels: Grid::all(Schedule::Edm {
                sigma_min: 0.01,
                sigma_max: 1.0,
                rho: 7.0,
                steps: 60,
            }),
            ..SplitGibbs::default()
        };
        let (m, v) = method_moments(&method, SIGMA_Y);
        let (wide_mean, wide_variance) = coupled(rho);
        let off = distance(&m, &wide_mean);
        assert!(off < 1e-3, "{rho}: mean {m:?}, not {wide_mean:?}");
        for (v, w) in v.iter().zip(&wide_variance) {
            assert!((0.9..1.0).contains(&(v / w)), "{rho}: {v} is not {w}");
        }
        let bias = distance(&m, &mean) + distance(&v, &variance);
        assert!(bias < 0.6 * before, "{rho}: {bias} after {before}");
        before = bias;
    }
}

/// Mean and variances of the posterior of G4 for noise of covariance `sigma_y^2 + rho^2 A A^T`.
fn coupled(rho: f64) -> (Vec<f64>, Vec<f64>) {
    let (a, c) = (operator().0, DMatrix::from_fn(4, 4, |i, j| C[i][j]));
    let (mu, y) = (DVector::from_row_slice(&MU), DVector::from_row_slice(&Y));
    let noise = DMatrix::identity(2, 2) * SIGMA_Y.powi(2) + &a * a.transpose() * (rho * rho);
    let gain = &c * a.transpose() * (&a * &c * a.transpose() + noise).try_inverse().unwrap();
    let mean = &mu + &gain * (y - &a * &mu);
    let left = &c - &gain * &a * &c;
    (
        mean.iter().copied().collect(),
        left.diagonal().iter().copied().collect(),
    )
}

/// Its mean is that of the draws after the first, and it knows how far they lie apart.
#[test]
fn split_gibbs_averages() {
    let method = SplitGibbs {
        iterations: 400,
        decay: 0.5,
        levels: Grid::all(Schedule::edm(100)),
        answer: Answer::Mean,
        ..SplitGibbs::default()
    };
    let out = method
        .restore(&prior(), &problem(8, SIGMA_Y), &mut Run::new(5))
        .unwrap();
    let (mean, variance) = coupled(0.3);
    let deviation = variance.iter().map(|v| v.sqrt()).fold(0.0, f64::max);
    let x = out.x.mean_axis(ndarray::Axis(0)).unwrap();
    let x: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    assert!(distance(&x, &mean) < 0.2 * deviation, "{x:?}, not {mean:?}");
    let std = out.std.unwrap();
    for (std, v) in std.slice(s![0, .., 0, 0]).iter().zip(&variance) {
        let ratio = f64::from(std * std) / v;
        assert!((0.5..1.5).contains(&ratio), "{std} for {v}");
    }
    assert!(method.knows_spread() && !method.draws());
}

// ---------------------------------------------------------------------------------------------- the band

/// An endless band takes no data step: DiffPIR that trusts the prior alone. An exact measurement is never explained. Wrong: the
/// law of the wrong side, a band for an exact measurement.
#[test]
fn bands() {
    let diffpir = |band, lambda| DiffPir {
        band,
        lambda,
        clamp: false,
        ..DiffPir::fresh()
    };
    let free = solve(&diffpir(Some(1e12), 1.0), SIGMA_Y);
    assert!(difference(&free, &solve(&diffpir(None, 1e12), SIGMA_Y)) < 1e-5);
    assert!(difference(&free, &solve(&diffpir(None, 1.0), SIGMA_Y)) > 1e-2);
    assert!(solve(&diffpir(Some(3.0), 1.0), 0.0) == solve(&diffpir(None, 1.0), 0.0));
    let red = |band, lambda| RedDiff {
        band,
        lambda,
        ..RedDiff::default()
    };
    // Nothing pulls at all: what was guessed stays.
    let still = solve(&red(Some(1e12), 0.0), SIGMA_Y);
    let guess = problem(8, SIGMA_Y);
    assert!(still == guess.operator.guess(&guess.y));
    assert!(solve(&red(Some(3.0), 0.25), 0.0) == solve(&red(None, 0.25), 0.0));
}

// ---------------------------------------------------------------------------------------------- all

/// A picture's result does not depend on its batch; as many evaluations are made as were announced.
#[test]
fn batches_and_evaluations() {
    let y = problem(1, SIGMA_Y).y;
    let mut pair = Image::zeros((2, 2, 1, 1));
    pair.slice_mut(s![0..1, .., .., ..]).assign(&y);
    pair.slice_mut(s![1..2, .., .., ..]).fill(3.0);
    let red = RedDiff {
        band: Some(3.0),
        ..RedDiff::default()
    };
    let all: [tweedie::method::Settings; 8] = [
        Ddiff::default().into(),
        red.into(),
        Daps::default().into(),
        Daps::cheap().into(),
        PnpFlow::default().into(),
        Flower::default().into(),
        SplitGibbs::default().into(),
        DiffPir {
            band: Some(3.0),
            ..DiffPir::default()
        }
        .into(),
    ];
    for settings in all {
        let settings = settings.with_steps(12);
        let solve = |y: &Image| {
            let problem = Problem::new(y.clone(), Box::new(operator()), SIGMA_Y).unwrap();
            let mut run = Run::new(5);
            let x = settings.as_dyn().restore(&prior(), &problem, &mut run);
            let announced = settings.nfe(tweedie::prior::Prior::card(&prior()));
            assert_eq!(run.nfe(), announced, "{}", settings.name());
            x.unwrap().x
        };
        let (alone, both) = (solve(&y), solve(&pair));
        let name = settings.name();
        assert_eq!(both.slice(s![0..1, .., .., ..]), alone, "{name}");
    }
}

/// Settings that cannot work are errors.
#[test]
fn refusals() {
    use tweedie::run::Error;
    let refused: [Box<dyn Method>; 9] = [
        Box::new(Ddiff {
            dual: f64::NAN,
            ..Ddiff::default()
        }),
        Box::new(DiffPir {
            band: Some(f64::NAN),
            ..DiffPir::default()
        }),
        Box::new(RedDiff {
            lambda: -1.0,
            ..RedDiff::default()
        }),
        Box::new(RedDiff {
            rate: f64::INFINITY,
            ..RedDiff::default()
        }),
        Box::new(Daps {
            ode: 0,
            ..Daps::default()
        }),
        Box::new(Daps {
            around: Around::Langevin {
                steps: 10,
                rate: 1e-4,
                rate_end: 0.01,
                tau: 0.0,
            },
            ..Daps::default()
        }),
        Box::new(PnpFlow {
            draws: 0,
            ..PnpFlow::default()
        }),
        Box::new(SplitGibbs {
            decay: 1.5,
            ..SplitGibbs::default()
        }),
        Box::new(SplitGibbs {
            answer: Answer::Mean,
            burn_in: 100,
            ..SplitGibbs::default()
        }),
    ];
    for (k, method) in refused.iter().enumerate() {
        let result = method.restore(&prior(), &problem(1, SIGMA_Y), &mut Run::new(1));
        assert!(matches!(result, Err(Error::Unfit(_))), "{k}: {result:?}");
    }
}
