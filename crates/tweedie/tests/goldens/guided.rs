//! Golden numbers and identities of the guided methods: diffusion with the gradient of a likelihood.

use nalgebra::DMatrix;
use ndarray::Array2;
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::{Level, Range, walk};
use tweedie::method::{
    Descent, Dmps, Dps, ExactGuidance, Hqs, MeasuredAt, Method, Moments, Pigdm, Start, StepRule,
    Task, Towards, Tuned, Weight, Where,
};
use tweedie::noise::Zeros;
use tweedie::operator::{Gray, GrayWeights};
use tweedie::prior::{Card, Gaussian, Measured, Mixture, Prior};
use tweedie::run::{Error, Run};
use tweedie::sampler::{Ddpm, Sampler, Variance};
use tweedie::{Dims, Image};

use crate::fixture::*;

/// f32 against numbers with six decimals.
const MEAN: f64 = 3e-6;
/// The numbers start from N(0, 1), the library from N(0, b^2).
const VARIANCE: f64 = 2.5e-5;

const LARGE: Descent = Descent::Ancestral {
    variance: Variance::Large,
};

fn check(name: &str, method: &dyn Method, sigma: f64, mean: [f64; 4], variance: [f64; 4]) {
    // Through its spectrum, which takes a fraction of the time of the Lanczos process.
    let got = moments(|batch, run| {
        let problem = problem_of(Spectral(operator().0), &Y, batch, sigma);
        method.restore(&prior(), &problem, run).unwrap().x
    });
    let (dm, dv) = (distance(&got.0, &mean), distance(&got.1, &variance));
    assert!(dm < MEAN, "{name}: mean {:?}, off by {dm:.1e}", got.0);
    assert!(
        dv < VARIANCE,
        "{name}: variance {:?}, off by {dv:.1e}",
        got.1
    );
}

fn exact(descent: Descent) -> ExactGuidance {
    ExactGuidance {
        descent,
        ..ExactGuidance::default()
    }
}

/// The control: what is left is the sampler's own error, 2e-6 in the mean and 0.4 % in the trace. Wrong: a covariance without the
/// factor `b^2/a` has 0.5 in the first mean; `beta` for `beta/sqrt(alpha)` moves it by 0.001.
#[test]
fn exact_guidance_reproduces_the_posterior() {
    check(
        "large",
        &exact(LARGE),
        SIGMA_Y,
        [0.608104, 0.365764, 0.041805, -0.306890],
        [0.067596, 0.142024, 0.149531, 0.062045],
    );
    let (mean, variance) = posterior(SIGMA_Y);
    for (descent, closeness) in [(LARGE, 7e-4), (Descent::SMALL, 4e-3), (Descent::ODE, 4e-3)] {
        let got = method_moments(&exact(descent), SIGMA_Y);
        let off = distance(&got.0, &mean).max(distance(&got.1, &variance));
        assert!(off < closeness, "{descent:?}: {got:?}, off by {off:.1e}");
    }
}

/// Without noise in the measurement as well: the measured part is exact. Wrong: a singular system inverted as it stands.
#[test]
fn exact_guidance_without_noise() {
    let (mean, variance) = posterior(0.0);
    let got = method_moments(&exact(LARGE), 0.0);
    let off = distance(&got.0, &mean).max(distance(&got.1, &variance));
    assert!(off < 1e-3, "{got:?}, off by {off:.1e}");
}

/// Two components in the plane and `A = (1, .5)`: score of the likelihood against differences of the log-densities of `(x, y)` jointly
/// and of `x`, which are those of mixtures. Wrong: the components' shares taken before the measurement is heard, or the change of
/// the shares left out.
#[test]
fn likelihood_of_a_mixture_is_that_of_its_joint_law() {
    let dims = Dims::new(2, 1, 1);
    let parts = [
        (0.4, [-1.0, 0.0], [[0.2, 0.0], [0.0, 0.5]]),
        (0.6, [1.0, 0.5], [[0.3, 0.1], [0.1, 0.2]]),
    ];
    let (row, sigma, y) = ([1.0, 0.5], 0.2, 0.7);
    let gaussian =
        |dims, mean: &[f64], k: &Array2<f64>| Gaussian::new(dims, mean, k, Range::NETWORK).unwrap();
    let square = |k: [[f64; 2]; 2]| Array2::from_shape_fn((2, 2), |(i, j)| k[i][j]);
    let prior = Mixture::new(
        parts
            .iter()
            .map(|(w, m, k)| (*w, gaussian(dims, m, &square(*k))))
            .collect(),
    )
    .unwrap();
    let level = Level { a: 0.8, b: 0.6 };
    // (x, y) without noise: x = a x0 + b e, y = A x0 + sigma n.
    let joint = Mixture::new(
        parts
            .iter()
            .map(|(w, m, k)| {
                let k = square(*k);
                let kr = [0, 1].map(|i| k[[i, 0]] * row[0] + k[[i, 1]] * row[1]);
                let both = Array2::from_shape_fn((3, 3), |(i, j)| match (i, j) {
                    (2, 2) => kr[0] * row[0] + kr[1] * row[1] + sigma * sigma,
                    (2, i) | (i, 2) => level.a * kr[i],
                    (i, j) => {
                        let noise = if i == j { level.b * level.b } else { 0.0 };
                        level.a * level.a * k[[i, j]] + noise
                    }
                });
                let means = [
                    level.a * m[0],
                    level.a * m[1],
                    row[0] * m[0] + row[1] * m[1],
                ];
                (*w, gaussian(Dims::new(3, 1, 1), &means, &both))
            })
            .collect(),
    )
    .unwrap();
    let operator = Dense(DMatrix::from_row_slice(1, 2, &row));
    let measured = Measured::new(&problem_of(operator, &[y], 1, sigma)).unwrap();
    for at in [[0.5f32, -0.25], [-1.0, 0.125], [0.0, 0.0], [2.0, 1.5]] {
        let x = Image::from_shape_vec((1, 2, 1, 1), at.to_vec()).unwrap();
        let got = prior.likelihood_score(&x, level, &measured).unwrap();
        // f32 holds these points and y nearly: the score of the joint law minus the prior's.
        let xy = Image::from_shape_vec((1, 3, 1, 1), vec![at[0], at[1], y as f32]).unwrap();
        let joint = joint.score(&xy, Level::CLEAN).unwrap();
        let alone = prior.score(&x, level).unwrap();
        for i in 0..2 {
            let expected = joint[[0, i, 0, 0]] - alone[[0, i, 0, 0]];
            let off = (got[[0, i, 0, 0]] - expected).abs();
            assert!(off < 2e-5, "{at:?}: {got:?}, {expected}");
        }
    }
}

/// The toy of a mixture and one measurement: draws end in each mode in proportion, with the posterior's mean. Wrong: the likelihood of
/// the component nearest to `x` alone, with which a tenth and not 2 % end in the first.
#[test]
fn exact_guidance_of_a_mixture_draws_from_its_posterior() {
    let dims = Dims::new(2, 1, 1);
    let part = |w: f64, mean: [f64; 2], k: [[f64; 2]; 2]| {
        let k = Array2::from_shape_fn((2, 2), |(i, j)| k[i][j]);
        (w, Gaussian::new(dims, &mean, &k, Range::NETWORK).unwrap())
    };
    let prior = Mixture::new(vec![
        part(0.4, [-1.0, 0.0], [[0.2, 0.0], [0.0, 0.5]]),
        part(0.6, [1.0, 0.5], [[0.3, 0.1], [0.1, 0.2]]),
    ])
    .unwrap();
    let operator = Dense(DMatrix::from_row_slice(1, 2, &[1.0, 0.5]));
    let problem = problem_of(operator, &[0.7], 4000, 0.2);
    let method = ExactGuidance {
        grid: grid(Subset::Spaced { steps: 200 }),
        descent: LARGE,
    };
    let x = method
        .restore(&prior, &problem, &mut Run::new(5))
        .unwrap()
        .x;
    let mean = |i| {
        x.iter()
            .skip(i)
            .step_by(2)
            .map(|&v| f64::from(v))
            .sum::<f64>()
            / 4000.0
    };
    let off = distance(&[mean(0), mean(1)], &[0.5938485, 0.2930004]);
    // Three standard errors of the mean of 4000, and 200 steps' bias.
    assert!(off < 0.03, "{} {}, off by {off:.3}", mean(0), mean(1));
}

fn pigdm(steps: usize, descent: Descent, weight: Weight) -> Pigdm {
    Pigdm {
        grid: grid(Subset::Uniform { steps }),
        descent,
        weight,
        ..Pigdm::default()
    }
}

/// Wrong: `r^2` that is `sigma_t^2` has 0.54 in the first mean; the prior's noise left out of the step, or `A^T` for `A^+`, more.
#[test]
fn pigdm_score_in_ddpm() {
    let method = Pigdm {
        grid: grid(Subset::All),
        start: Start::Noise,
        ..pigdm(1, LARGE, Weight::Score { factor: 1.0 })
    };
    check(
        "score",
        &method,
        SIGMA_Y,
        [0.577901, 0.356283, 0.064112, -0.265392],
        [0.071462, 0.145557, 0.156590, 0.063818],
    );
}

/// The released weight and the score's differ by 0.03 in the means; a start from noise alone by 1e-4.
#[test]
fn pigdm_without_noise() {
    let released = Weight::Released { factor: 1.0 };
    check(
        "eta 1",
        &pigdm(100, Descent::Ddim { eta: 1.0 }, released),
        0.0,
        [0.646963, 0.398706, 0.035564, -0.359805],
        [0.039316, 0.113259, 0.115545, 0.043674],
    );
    check(
        "eta 0",
        &pigdm(100, Descent::ODE, released),
        0.0,
        [0.654794, 0.393199, 0.042625, -0.368314],
        [0.042768, 0.120360, 0.120148, 0.047511],
    );
    let score = Weight::Score { factor: 1.0 };
    check(
        "score, eta 1",
        &pigdm(100, Descent::Ddim { eta: 1.0 }, score),
        0.0,
        [0.616270, 0.427689, 0.018734, -0.326952],
        [0.039744, 0.118790, 0.130973, 0.044300],
    );
}

/// With a prior N(0, I) the variance that PiGDM takes for granted is the true one (B-05). Wrong: any other `r^2`.
#[test]
fn pigdm_is_exact_where_its_variance_is() {
    let white = Gaussian::new(DIMS, &[0.0; 4], &Array2::eye(4), Range::NETWORK).unwrap();
    for schedule in [Schedule::DDPM, Schedule::flow(50), Schedule::edm(50)] {
        let grid = Grid::all(schedule).with_steps(50);
        let method = Pigdm {
            grid: grid.clone(),
            start: Start::Noise,
            ..pigdm(50, LARGE, Weight::Score { factor: 1.0 })
        };
        let control = ExactGuidance {
            grid,
            descent: LARGE,
        };
        let problem = problem(3, SIGMA_Y);
        let run = |m: &dyn Method| m.restore(&white, &problem, &mut Run::new(2)).unwrap().x;
        let off = difference(&run(&method), &run(&control));
        assert!(off < 2e-5, "{off:.1e}");
    }
}

fn dmps(lambda: f64, at: Where) -> Dmps {
    Dmps {
        descent: LARGE,
        lambda,
        at,
        clamp: false,
        ..Dmps::default()
    }
}

/// Wrong: `A x` for `A x/a`, `1/a` once too few, or `beta` for `beta/sqrt(alpha)`: all off by 0.01 and more. The two points at which
/// the score is taken differ by 6e-4, which the tolerance tells apart.
#[test]
fn dmps_rows() {
    let rows = [
        (
            1.0,
            Where::Here,
            [0.541750, 0.342650, 0.035964, -0.244549],
            [0.068126, 0.147311, 0.167121, 0.060334],
        ),
        (
            1.0,
            Where::Drawn,
            [0.542340, 0.343710, 0.035237, -0.245575],
            [0.067594, 0.147070, 0.166958, 0.060052],
        ),
        (
            1.75,
            Where::Here,
            [0.574894, 0.385724, 0.012827, -0.277868],
            [0.057481, 0.142855, 0.164293, 0.056359],
        ),
        (
            1.75,
            Where::Drawn,
            [0.575508, 0.386803, 0.012095, -0.278989],
            [0.057032, 0.142649, 0.164111, 0.056116],
        ),
    ];
    for (lambda, at, mean, variance) in rows {
        let name = format!("{lambda} {at:?}");
        check(&name, &dmps(lambda, at), SIGMA_Y, mean, variance);
    }
}

/// An operator's spectrum and the Lanczos process give the same (B-08). Wrong: singular vectors of the wrong side.
#[test]
fn dmps_by_spectrum_and_by_lanczos() {
    let method = Dmps {
        grid: grid(Subset::Spaced { steps: 100 }),
        ..dmps(1.0, Where::Here)
    };
    let run = |problem| {
        method
            .restore(&prior(), &problem, &mut Run::new(4))
            .unwrap()
            .x
    };
    let closed = run(problem_of(Spectral(operator().0), &Y, 2, SIGMA_Y));
    let off = difference(&closed, &run(problem(2, SIGMA_Y)));
    assert!(off < 1e-5, "{off:.1e}");
}

/// Where pictures vary without bounds nothing is known of them (B-07): DMPS is exact guidance then, and the distance falls with
/// the square of their spread. Wrong: any factor in the score.
#[test]
fn dmps_is_exact_where_nothing_is_known() {
    let gap = |spread: f64| {
        let wide = Array2::eye(4) * (spread * spread);
        let prior = Gaussian::new(DIMS, &[0.0; 4], &wide, Range::NETWORK).unwrap();
        let grid = Grid::all(Schedule::Ve {
            sigma_min: 0.01,
            sigma_max: 0.5,
            steps: 20,
        });
        let method = Dmps {
            grid: grid.clone(),
            start: Start::Noise,
            ..dmps(1.0, Where::Here)
        };
        let control = ExactGuidance {
            grid,
            descent: LARGE,
        };
        let problem = problem(3, SIGMA_Y);
        let run = |m: &dyn Method| m.restore(&prior, &problem, &mut Run::new(2)).unwrap().x;
        difference(&run(&method), &run(&control))
    };
    let (near, far) = (gap(10.0), gap(40.0));
    assert!(
        far < 2e-3 && (12.0..20.0).contains(&(near / far)),
        "{near} {far}"
    );
}

fn hqs(towards: Towards) -> Hqs {
    Hqs {
        descent: LARGE,
        towards,
        white: true,
        clamp: false,
        ..Hqs::default()
    }
}

/// Wrong: `beta` for `beta/alpha`, or the measurement at the level that the step came from, move the means by 1e-4 and more; a
/// gradient of `|r|^2` without its factor of 2 halves the step.
#[test]
fn hqs_rows() {
    check(
        "prox",
        &hqs(Towards::Prox),
        SIGMA_Y,
        [0.581688, 0.385708, 0.019920, -0.283471],
        [0.059504, 0.142804, 0.161256, 0.057324],
    );
    check(
        "gradient",
        &hqs(Towards::Gradient { rate: 1.0 }),
        SIGMA_Y,
        [0.582616, 0.387041, 0.019144, -0.284796],
        [0.059213, 0.142670, 0.161099, 0.057188],
    );
}

/// A prior of infinite weight leaves the sampler alone; with none, what is measured is the measurement: DDPM, and `y`.
#[test]
fn hqs_limits() {
    let grid = grid(Subset::Spaced { steps: 40 });
    let of = |lambda| Hqs {
        grid: grid.clone(),
        lambda,
        ..hqs(Towards::Prox)
    };
    let ddpm = Ddpm {
        grid: grid.clone(),
        variance: Variance::Large,
        clamp: false,
    };
    let free = ddpm
        .sample(&prior(), 1, DIMS, &mut Run::with(Zeros, ()))
        .unwrap();
    let free: Vec<f64> = free.iter().map(|&v| f64::from(v)).collect();
    let got = quiet(&of(1e12), &prior(), &problem(1, SIGMA_Y));
    assert!(distance(&got, &free) < 1e-6, "{got:?}");
    let all = Dense(DMatrix::identity(4, 4));
    let y = [0.3, -0.2, 0.1, 0.7];
    for method in [
        of(1e-12),
        Hqs {
            white: false,
            ..of(1e-12)
        },
    ] {
        let problem = problem_of(all.clone(), &y, 1, SIGMA_Y);
        let x = method
            .restore(&prior(), &problem, &mut Run::new(3))
            .unwrap()
            .x;
        let got: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        assert!(distance(&got, &y) < 1e-5, "{got:?}");
    }
}

/// A step that would diverge is shortened, with a measurement of hardly any noise and few steps; the code's variant is another.
#[test]
fn hqs_gradient_steps_stay_finite() {
    let method = Hqs {
        grid: grid(Subset::Spaced { steps: 10 }),
        ..hqs(Towards::Gradient { rate: 1.0 })
    };
    let run = |m: &Hqs| quiet(m, &prior(), &problem(1, 1e-3));
    let near = run(&method);
    let off = distance(&near, &posterior(0.0).0);
    assert!(off < 0.2, "{near:?}");
    let code = Hqs {
        measured_at: MeasuredAt::This,
        towards: Towards::Gradient { rate: 0.35 },
        ..method
    };
    assert!(distance(&run(&code), &near) > 1e-3);
}

/// Adam's first direction is the sign of the gradient, whatever is to be remembered: from one level every number moves by `length`.
/// Wrong: moments that start from 0 and are not made up for it move by 1.4 times as much; a batch that shares them.
#[test]
fn adams_first_step_is_the_sign_of_the_gradient() {
    let step = |length| Dps {
        grid: Grid::all(Schedule::Sigmas { sigmas: vec![0.4] }),
        rule: StepRule::Adam {
            length,
            moments: Moments::default(),
        },
        start: Start::Noise,
        clamp: false,
        ..Dps::default()
    };
    let run = |length| {
        let problem = problem(3, SIGMA_Y);
        let mut run = Run::new(7);
        let x = step(length)
            .restore(&prior(), &problem, &mut run)
            .unwrap()
            .x;
        (x, problem)
    };
    let ((moved, problem), (still, _)) = (run(0.25), run(0.0));
    let back = problem.operator.vjp(&still, &problem.residual(&still));
    let level = Level::ve(0.8);
    let (_, pullback) = prior()
        .estimate_with_pullback(&still, level)
        .map(|(e, p)| (e, p(&back)))
        .unwrap();
    for ((m, s), g) in moved.iter().zip(&still).zip(&pullback.unwrap()) {
        let off = (m - s - 0.25 * g.signum()).abs();
        assert!(off < 1e-5, "{m} {s} {g}");
    }
}

/// Of one wrong number in the measurement Huber's data term hears no more than its threshold. Wrong: the square.
#[test]
fn huber_hears_outliers_less() {
    let spoilt = |huber| {
        let method = Dps {
            rule: StepRule::SquaredNorm { zeta: 0.05 },
            huber,
            clamp: false,
            ..Dps::default()
        };
        let rows = DMatrix::from_fn(4, 4, |i, j| if i == j { 1.0 } else { 0.0 });
        let problem = problem_of(Dense(rows), &[0.4, -0.3, 9.0, 0.1], 1, SIGMA_Y);
        quiet(&method, &prior(), &problem)
    };
    let (square, huber) = (spoilt(None)[2], spoilt(Some(1.345))[2]);
    assert!(square > 5.0, "{square}");
    assert!(huber < 2.0, "{huber}");
    // Where no residual is beyond the threshold nothing changes.
    let plain = |huber| {
        let method = Dps {
            rule: StepRule::SquaredNorm { zeta: 0.05 },
            huber,
            clamp: false,
            ..Dps::default()
        };
        quiet(&method, &prior(), &problem(1, SIGMA_Y))
    };
    assert_eq!(plain(Some(1e6)), plain(None));
}

/// The likelihood's rule and a squared norm agree with what the walk says a score moves, on every kind of level: DPS of a Gaussian with
/// hardly any spread is exact guidance, where `x0` is certain. Wrong: a reach that is DDPM's on DDIM's step.
#[test]
fn likelihood_rule_is_a_score_on_every_walk() {
    let sure = Gaussian::new(DIMS, &MU, &(covariance() * 1e-6), Range::NETWORK).unwrap();
    for descent in [
        LARGE,
        Descent::SMALL,
        Descent::ODE,
        Descent::Ddim { eta: 0.5 },
    ] {
        for schedule in [Schedule::flow(40), Schedule::edm(40), Schedule::DDPM] {
            let grid = Grid::all(schedule).with_steps(40);
            let dps = Dps {
                grid: grid.clone(),
                descent,
                rule: StepRule::Likelihood,
                start: Start::Noise,
                clamp: false,
                ..Dps::default()
            };
            let control = ExactGuidance { grid, descent };
            let problem = problem(2, SIGMA_Y);
            let run = |m: &dyn Method| m.restore(&sure, &problem, &mut Run::new(2)).unwrap().x;
            let off = difference(&run(&dps), &run(&control));
            assert!(off < 1e-5, "{descent:?}: {off:.1e}");
        }
    }
}

/// A score in the step is the step with the estimate that Tweedie's formula makes of it, `x0 + b^2/a*g`. Wrong: the noise kept as it was.
#[test]
fn a_score_moves_the_estimate_by_tweedies_formula() {
    let problem = problem(1, SIGMA_Y);
    let measured = Measured::new(&problem).unwrap();
    let prior = prior();
    let levels = Grid::all(Schedule::flow(12)).levels(prior.card()).unwrap();
    let mut x = Run::new(1).pure_noise(Range::NETWORK, levels[0], 1, DIMS);
    for (t, s) in walk(&levels) {
        let g = prior.likelihood_score(&x, t, &measured).unwrap();
        let x0 = prior.estimate(&x, t).unwrap().x0 + &(g * (t.b * t.b / t.a) as f32);
        x = match s.b {
            0.0 => x0,
            _ => s.mix(&x0, &t.eps_from_x0(&x, &x0)),
        };
    }
    let method = ExactGuidance {
        grid: Grid::all(Schedule::flow(12)),
        descent: Descent::ODE,
    };
    let got = method
        .restore(&prior, &problem, &mut Run::new(1))
        .unwrap()
        .x;
    let off = difference(&got, &x);
    assert!(off < 2e-5, "{off:.1e}");
}

/// Along VP levels a step of one length in the image moves the picture `1/a^2` times as far, which spoils the colours of photographs at
/// the noisiest levels: the settings for tasks keep to VE levels, and end a little above the noise of the measurement.
#[test]
fn settings_for_tasks_keep_to_levels_at_the_pictures_own_scale() {
    let gray = Gray::new(Dims::new(3, 8, 8), GrayWeights::Mean).unwrap();
    for (sigma, least) in [(0.0, 0.005), (0.1, 0.125)] {
        let task = Task {
            sigma,
            ..Task::exact(&gray)
        };
        let levels = Dps::tuned(&task).grid.levels(&Card::any()).unwrap();
        assert!(levels.iter().all(|l| l.a == 1.0));
        assert!((levels.last().unwrap().b - least).abs() < 1e-9);
    }
}

/// Settings that cannot work, and operators or priors that do not fit.
#[test]
fn refusals() {
    let refused: [Box<dyn Method>; 8] = [
        Box::new(Pigdm {
            weight: Weight::Score { factor: f64::NAN },
            ..Pigdm::default()
        }),
        Box::new(Pigdm {
            floor: -1.0,
            ..Pigdm::default()
        }),
        Box::new(Pigdm {
            descent: Descent::Ddim { eta: 2.0 },
            ..Pigdm::default()
        }),
        Box::new(Dmps {
            lambda: 2.0,
            ..Dmps::default()
        }),
        Box::new(tweedie::method::OtOde {
            start: 1.0,
            ..Default::default()
        }),
        Box::new(Hqs {
            lambda: 0.0,
            ..Hqs::default()
        }),
        Box::new(Dps {
            huber: Some(0.0),
            ..Dps::default()
        }),
        Box::new(Dps {
            rule: StepRule::Adam {
                length: 0.1,
                moments: Moments {
                    beta1: 1.0,
                    beta2: 0.5,
                },
            },
            ..Dps::default()
        }),
    ];
    for (k, method) in refused.iter().enumerate() {
        let result = method.restore(&prior(), &problem(1, SIGMA_Y), &mut Run::new(1));
        assert!(matches!(result, Err(Error::Unfit(_))), "{k}: {result:?}");
    }
}
