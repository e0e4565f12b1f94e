//! Methods that must agree, limits that must be reached, and laws that must come out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nalgebra::{DMatrix, DVector};
use ndarray::{Array2, Axis, s};
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::{Level, Range, walk};
use tweedie::method::{
    DataStep, Ddnm, DiffPir, Dpir, Dps, Mean, Method, NextLevel, Output, Start, StepRule,
};
use tweedie::noise::{NoiseSource, Seeded, Zeros};
use tweedie::operator::{Operator, Stack};
use tweedie::prior::{Gaussian, Prior};
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::sampler::{Ddim, Ddpm, Edm, Order, Renoise, Sampler, Variance};
use tweedie::{Dims, Image};

use crate::fixture::*;

fn draw(sampler: &dyn Sampler) -> Image {
    sampler.sample(&prior(), 8, DIMS, &mut Run::new(5)).unwrap()
}

fn solve(method: &dyn Method, sigma: f64) -> Image {
    method
        .restore(&prior(), &problem(8, sigma), &mut Run::new(5))
        .unwrap()
        .x
}

fn ddim(subset: Subset, renoise: Renoise) -> Ddim {
    Ddim {
        grid: grid(subset),
        renoise,
        clamp: false,
    }
}

const FIFTY: Subset = Subset::Uniform { steps: 50 };
const HUNDRED: Subset = Subset::Uniform { steps: 100 };

// ---------------------------------------------------------------------------------------------- samplers

/// Wrong: DDIM's sigma with `1 - abar_t/abar_s` outside of the root.
#[test]
fn ddim_with_eta_one_is_ddpm() {
    for subset in [FIFTY, Subset::Spaced { steps: 33 }] {
        let ddpm = Ddpm {
            grid: grid(subset),
            variance: Variance::Small,
            clamp: false,
        };
        let off = difference(
            &draw(&ddim(subset, Renoise::Ddim { eta: 1.0 })),
            &draw(&ddpm),
        );
        assert!(off < 3e-6, "{off:.1e}");
    }
}

/// DDIM without fresh noise is Euler's rule for `x/a` against `b/a`. Wrong: the step in `abar` or in time.
#[test]
fn ddim_without_noise_is_euler_in_sigma() {
    let euler = Edm {
        grid: grid(FIFTY),
        order: Order::Euler,
        ..Edm::default()
    };
    let off = difference(
        &draw(&ddim(FIFTY, Renoise::Ddim { eta: 0.0 })),
        &draw(&euler),
    );
    // EDM's x is up to 500 here, of which f32 keeps 3e-5.
    assert!(off < 1e-4, "{off:.1e}");
}

/// Clamped estimates stay in the range, and so does the result; the noise is that of the clamped estimate.
#[test]
fn clamping_limits_the_result() {
    let wide = Gaussian::new(DIMS, &[1.5, -1.5, 0.0, 0.0], &covariance(), Range::NETWORK).unwrap();
    let run = |clamp, sampler: &dyn Fn(bool) -> Box<dyn Sampler>| {
        let x = sampler(clamp)
            .sample(&wide, 8, DIMS, &mut Run::new(5))
            .unwrap();
        x.iter().fold(0.0_f32, |m, v| m.max(v.abs()))
    };
    let ddim: &dyn Fn(bool) -> Box<dyn Sampler> = &|clamp| {
        Box::new(Ddim {
            clamp,
            ..ddim(FIFTY, Renoise::Ddim { eta: 0.0 })
        })
    };
    let ddpm: &dyn Fn(bool) -> Box<dyn Sampler> = &|clamp| {
        Box::new(Ddpm {
            clamp,
            grid: grid(FIFTY),
            ..Ddpm::default()
        })
    };
    for sampler in [ddim, ddpm] {
        assert!(run(true, sampler) <= 1.0);
        assert!(run(false, sampler) > 1.2);
    }
}

/// The same number from each draw.
struct Fixed(f32);

impl NoiseSource for Fixed {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        Image::from_elem(dims.batch(batch), self.0)
    }
}

/// N(0.3, 0.25^2) in one dimension: where the ODE should take two standard deviations of the first level's law, and how far
/// off it ends.
fn ode_error(sampler: &dyn Sampler, first: Level) -> f64 {
    let dims = Dims::new(1, 1, 1);
    let Level { a, b } = first;
    let z = (0.3 * a + 2.0 * (0.0625 * a * a + b * b).sqrt()) / b;
    let variance = Array2::from_elem((1, 1), 0.0625);
    let prior = Gaussian::new(dims, &[0.3], &variance, Range::NETWORK).unwrap();
    let x = sampler
        .sample(&prior, 1, dims, &mut Run::with(Fixed(z as f32), ()))
        .unwrap();
    (f64::from(x[[0, 0, 0, 0]]) - 0.8).abs()
}

/// Heun's rule is of second order and Euler's of first: errors to 2 % of what `g4.py` finds.
#[test]
fn ode_errors_are_of_the_right_order() {
    let heun = [18, 40, 80].map(|steps| {
        let grid = Grid::all(Schedule::edm(steps));
        ode_error(
            &Edm {
                grid: grid.clone(),
                ..Edm::default()
            },
            grid.levels(prior().card()).unwrap()[0],
        )
    });
    let ddim = [10, 50, 100, 1000].map(|steps| {
        let ddim = ddim(Subset::Uniform { steps }, Renoise::Ddim { eta: 0.0 });
        ode_error(&ddim, ddim.grid.levels(prior().card()).unwrap()[0])
    });
    let expected = [
        0.03411, 0.00598, 0.00140, 0.20724, 0.04890, 0.02524, 0.00295,
    ];
    for (got, expected) in heun.iter().chain(&ddim).zip(expected) {
        assert!((got / expected - 1.0).abs() < 0.02, "{heun:?} {ddim:?}");
    }
}

/// The final spread of DDPM on N(0.3, 0.25^2), in closed form. Wrong: the two variances swapped.
#[test]
fn ddpm_spread_in_one_dimension() {
    let dims = Dims::new(1, 1, 1);
    let variance = Array2::from_elem((1, 1), 0.0625);
    let prior = Gaussian::new(dims, &[0.3], &variance, Range::NETWORK).unwrap();
    for (variance, expected) in [(Variance::Large, 0.25094), (Variance::Small, 0.24628)] {
        let ddpm = Ddpm {
            variance,
            clamp: false,
            ..Ddpm::default()
        };
        let (mean, var) = moments(|n, run| ddpm.sample(&prior, n, dims, run).unwrap());
        assert!((mean[0] - 0.3).abs() < 1e-5, "{mean:?}");
        assert!((var[0].sqrt() - expected).abs() < 1e-5, "{}", var[0].sqrt());
    }
}

/// A share of fresh noise that does not shrink with the step has no limit: too little variance however many steps.
#[test]
fn constant_eta_never_converges() {
    let trace = |subset, renoise| {
        let (_, variance) = sampler_moments(&ddim(subset, renoise));
        variance.iter().sum::<f64>() / 0.9
    };
    let constant = trace(Subset::All, Renoise::Constant { eta: 0.85 });
    assert!(constant < 0.85, "{constant}");
    let ddim = trace(Subset::All, Renoise::Ddim { eta: 0.85 });
    assert!((ddim - 1.0).abs() < 0.02, "{ddim}");
}

/// Churn adds noise and takes it away again: with many steps the law stays. Wrong: `sh - sigma` for
/// `sqrt(sh^2 - sigma^2)` loses a quarter of the variance.
#[test]
fn churn_keeps_the_law() {
    let edm = Edm {
        grid: Grid::all(Schedule::edm(300)),
        churn: 60.0,
        ..Edm::default()
    };
    let (mean, variance) = sampler_moments(&edm);
    assert!(distance(&mean, &MU) < 2e-3, "{mean:?}");
    for i in 0..4 {
        assert!((variance[i] / C[i][i] - 1.0).abs() < 0.02, "{variance:?}");
    }
    // Only within its band.
    let never = Edm {
        churn_min: 100.0,
        ..edm.clone()
    };
    let none = Edm {
        churn: 0.0,
        ..edm.clone()
    };
    assert_eq!(draw(&never), draw(&none));
    assert_ne!(draw(&edm), draw(&none));
}

/// On a grid of flow or VE levels the same sampler draws from the same law.
#[test]
fn samplers_run_on_all_kinds_of_levels() {
    let schedules = [
        Schedule::flow(1000),
        Schedule::edm(1000),
        Schedule::VpCosine { steps: 1000 },
    ];
    for schedule in schedules {
        let grid = Grid::all(schedule.clone());
        let samplers: [Box<dyn Sampler>; 3] = [
            Box::new(Ddpm {
                grid: grid.clone(),
                variance: Variance::Large,
                clamp: false,
            }),
            Box::new(Ddim {
                grid: grid.clone(),
                renoise: Renoise::Ddim { eta: 0.5 },
                clamp: false,
            }),
            Box::new(Edm {
                grid: grid.clone(),
                ..Edm::default()
            }),
        ];
        for sampler in samplers {
            let (mean, variance) = sampler_moments(&*sampler);
            assert!(distance(&mean, &MU) < 4e-3, "{schedule:?}: {mean:?}");
            for i in 0..4 {
                let ratio = variance[i] / C[i][i];
                assert!((ratio - 1.0).abs() < 0.03, "{schedule:?}: {variance:?}");
            }
        }
    }
}

/// Counts draws and gives zeros.
struct Counted(Arc<AtomicUsize>);

impl NoiseSource for Counted {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        self.0.fetch_add(1, Ordering::Relaxed);
        Zeros.normal(batch, dims)
    }
}

fn draws(f: impl FnOnce(&mut Run<'_>)) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    f(&mut Run::with(Counted(count.clone()), ()));
    count.load(Ordering::Relaxed)
}

/// No noise in the step to the clean image, and none where its share is zero.
#[test]
fn noise_is_drawn_only_where_there_is_some() {
    let sampler = |s: &dyn Sampler| draws(|run| drop(s.sample(&prior(), 1, DIMS, run).unwrap()));
    for variance in [Variance::Small, Variance::Large] {
        let ddpm = Ddpm {
            grid: grid(FIFTY),
            variance,
            clamp: false,
        };
        assert_eq!(sampler(&ddpm), 50);
    }
    assert_eq!(sampler(&ddim(FIFTY, Renoise::Ddim { eta: 0.0 })), 1);
    assert_eq!(sampler(&ddim(FIFTY, Renoise::Constant { eta: 0.5 })), 50);
    assert_eq!(sampler(&Edm::default()), 1);
    let method =
        |m: &dyn Method| draws(|run| drop(m.restore(&prior(), &problem(1, 0.0), run).unwrap().x));
    assert_eq!(
        method(&DiffPir {
            zeta: 0.0,
            ..DiffPir::default()
        }),
        1
    );
    assert_eq!(method(&DiffPir::default()), 100);
    assert_eq!(method(&Ddnm::default()), 100);
    assert_eq!(method(&Dpir::default()), 0);
}

// ---------------------------------------------------------------------------------------------- DDNM

fn ddnm(subset: Subset, next: NextLevel) -> Ddnm {
    Ddnm {
        grid: grid(subset),
        next,
        ..Ddnm::default()
    }
}

const CODE: NextLevel = NextLevel::Constant { eta: 0.85 };

/// Wrong: `A^T` for `A^+`, or the projection before the last step only.
#[test]
fn ddnm_matches_an_exact_measurement() {
    for next in [CODE, NextLevel::Ddim { eta: 1.0 }, NextLevel::Posterior] {
        let x = solve(&ddnm(HUNDRED, next), 0.0);
        let off = difference(&operator().apply(&x), &problem(8, 0.0).y);
        assert!(off < 1e-6, "{next:?}: {off:.1e}");
    }
    let travelling = Ddnm {
        travel_length: 10,
        travel_repeat: 3,
        ..ddnm(HUNDRED, CODE)
    };
    let off = difference(
        &operator().apply(&solve(&travelling, 0.0)),
        &problem(8, 0.0).y,
    );
    assert!(off < 1e-6, "time travel: {off:.1e}");
}

#[test]
fn ddnm_of_nothing_is_the_sampler_and_of_everything_the_measurement() {
    let run = |operator: Dense, y: &[f64]| {
        let problem = problem_of(operator, y, 8, 0.0);
        ddnm(HUNDRED, CODE)
            .restore(&prior(), &problem, &mut Run::new(5))
            .unwrap()
            .x
    };
    let nothing = run(Dense(DMatrix::zeros(1, 4)), &[0.0]);
    let unconditional = draw(&ddim(HUNDRED, Renoise::Constant { eta: 0.85 }));
    assert!(difference(&nothing, &unconditional) < 1e-6);

    let y = [0.4, -0.3, 0.9, 0.1];
    let everything = run(Dense(DMatrix::identity(4, 4)), &y);
    for (k, v) in everything.iter().enumerate() {
        assert!((f64::from(*v) - y[k % 4]).abs() < 1e-6);
    }
}

/// With DDIM's share of fresh noise DDNM tends to the exact posterior, with an error that halves as steps double. With the
/// code's constant share it stays at three quarters of the variance.
#[test]
fn ddnm_with_ddim_noise_converges_to_the_posterior() {
    let (mean, variance) = posterior(0.0);
    let trace: f64 = variance.iter().sum();
    for eta in [0.0, 1.0] {
        let errors = [250, 500, 1000].map(|steps| {
            let method = Ddnm {
                grid: Grid::all(Schedule::VpLinear { steps }),
                ..ddnm(Subset::All, NextLevel::Ddim { eta })
            };
            let (m, v) = method_moments(&method, 0.0);
            (
                distance(&m, &mean),
                (v.iter().sum::<f64>() / trace - 1.0).abs(),
            )
        });
        for pair in errors.windows(2) {
            let (means, traces) = (pair[0].0 / pair[1].0, pair[0].1 / pair[1].1);
            // Without fresh noise the start is never forgotten, and it is around 0, not around a*mean.
            assert!(
                means > if eta == 1.0 { 1.7 } else { 1.2 },
                "eta {eta}: {errors:?}"
            );
            assert!((1.7..2.4).contains(&traces), "eta {eta}: {errors:?}");
        }
        assert!(errors[2].1 < 0.02, "eta {eta}: {errors:?}");
    }
    let (_, v) = method_moments(&ddnm(Subset::All, CODE), 0.0);
    assert!(v.iter().sum::<f64>() / trace < 0.85, "{v:?}");
}

/// Noise that is heard, a draw each: of every picture the same.
struct Heard(Seeded);

impl NoiseSource for Heard {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        let one = self.0.normal(1, dims);
        one.broadcast(dims.batch(batch)).unwrap().to_owned()
    }
}

/// DDRM with `eta_b = 1`, by hand in f64: in VE scaling, with the paper's boundary (`>=`), coordinate by coordinate.
fn ddrm(a: &DMatrix<f64>, y: &[f64], sigma_y: f64, eta: f64, subset: Subset) -> DVector<f64> {
    let svd = Svd::new(a);
    let levels = grid(subset).levels(prior().card()).unwrap();
    let mut heard = Heard(Seeded::new(5, "ddrm"));
    let mut z = || columns(&heard.normal(1, DIMS)).column(0).into_owned();
    let (mu, c) = (
        DVector::from_row_slice(&MU),
        DMatrix::from_fn(4, 4, |i, j| C[i][j]),
    );
    let seen = svd.u.transpose() * DVector::from_row_slice(y);
    let mut x = z() * levels[0].b;
    for (t, s) in walk(&levels) {
        let noisy = &c * (t.a * t.a) + DMatrix::identity(4, 4) * (t.b * t.b);
        let x0 = &mu + &c * noisy.try_inverse().unwrap() * t.a * (&x - &mu * t.a);
        let e = svd.v.transpose() * (&x - &x0 * t.a) / t.b;
        let x0 = svd.v.transpose() * x0;
        let fresh = svd.v.transpose() * if s.b > 0.0 { z() } else { DVector::zeros(4) };
        let to = s.sigma();
        let kept = (1.0 - eta * eta).sqrt();
        let mut next = DVector::zeros(4);
        for i in 0..4 {
            let noise = sigma_y / svd.s[i];
            next[i] = if svd.s[i] < 1e-9 {
                x0[i] + kept * to * e[i] + eta * to * fresh[i]
            } else if to >= noise {
                seen[i] / svd.s[i] + (to * to - noise * noise).sqrt() * fresh[i]
            } else {
                x0[i] + kept * to * (seen[i] / svd.s[i] - x0[i]) / noise + eta * to * fresh[i]
            };
        }
        x = &svd.v * next * s.a;
    }
    x
}

/// What DDNM+ makes with the noise that [`ddrm`] hears.
fn heard(operator: impl Operator + 'static, y: &[f64], sigma: f64, method: &Ddnm) -> DVector<f64> {
    let mut run = Run::with(Heard(Seeded::new(5, "ddrm")), ());
    let problem = problem_of(operator, y, 1, sigma);
    let x = method.restore(&prior(), &problem, &mut run).unwrap().x;
    columns(&x).column(0).into_owned()
}

/// DDNM+ is DDRM with `eta_b = 1`, for every eta and noise, through a spectrum and through Lanczos (B-11); also with singular
/// values on both sides of the boundary, and with one of them so weak that noise is amplified twenty times. Wrong: `D2` without
/// the inner `V^T` (off by 0.05 and more), `abar` for its root, `L` without the share of old noise.
#[test]
fn noisy_ddnm_is_ddrm() {
    let weak = DMatrix::from_row_slice(2, 4, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.0, 0.0]);
    for (name, a, y) in [("G4", operator().0, Y), ("weak", weak, [0.4, 0.4])] {
        for sigma in [1e-3, 0.1, 1.0] {
            for eta in [0.0, 0.5, 0.85, 1.0] {
                let method = ddnm(FIFTY, NextLevel::Constant { eta });
                let expected = ddrm(&a, &y, sigma, eta, FIFTY);
                let closed = heard(Spectral(a.clone()), &y, sigma, &method);
                let off = (&closed - &expected).amax();
                assert!(off < 1e-5, "{name}, {sigma}, eta {eta}: {off:.1e}");
                let iterated = heard(Dense(a.clone()), &y, sigma, &method);
                let off = (&iterated - &expected).amax();
                assert!(off < 1e-4, "{name}, {sigma}, eta {eta}, Lanczos: {off:.1e}");
            }
        }
    }
}

/// As the noise vanishes DDNM+ tends to DDRM without noise, which measures exactly: with all noise fresh it is DDNM, else it
/// is not, as DDNM keeps some of the old (B-12). Wrong: a limit of zero noise, that is DDNM for every eta; DDRM's code, whose
/// strict boundary returns the prior's estimate.
#[test]
fn ddnm_with_vanishing_noise_is_ddrm_without() {
    let a = operator().0;
    for eta in [0.0, 0.85, 1.0] {
        let method = ddnm(HUNDRED, NextLevel::Constant { eta });
        let nearly = heard(Spectral(a.clone()), &Y, 1e-7, &method);
        // The last step is to no noise at all, which a measurement with noise is not asked for: what is measured is the prior's
        // estimate there, as close to the measurement as the level before, 0.01, lets it be.
        let limit = ddrm(&a, &Y, 0.0, eta, HUNDRED);
        let unseen = Svd::new(&a).image(|s| f64::from(s == 0.0));
        let off = (&unseen * (&nearly - &limit)).amax();
        assert!(off < 1e-5, "eta {eta}: {off:.1e}");
        let measured = (&a * &limit - DVector::from_row_slice(&Y)).amax();
        assert!(measured < 1e-12, "{measured:.1e}");
        let off = (&nearly - &limit).amax();
        assert!(off < 0.03, "eta {eta}: {off:.1e}");
        let exact = heard(Spectral(a.clone()), &Y, 0.0, &method);
        let off = (&unseen * (&exact - &limit)).amax();
        match eta {
            1.0 => assert!((&exact - &limit).amax() < 1e-5, "{off:.1e}"),
            _ => assert!(off > 5e-3, "eta {eta}: {off:.1e}"),
        }
    }
}

/// A weak singular value, through which noise is amplified twenty times. DDNM+ ends within four standard deviations of the
/// posterior (a weight between prior and measurement would within two: DDRM's pull towards a measurement is not the
/// posterior's), the projection 16 away.
#[test]
fn ddnm_does_not_amplify_noise() {
    let weak = DMatrix::from_row_slice(2, 4, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.05, 0.0, 0.0]);
    // Four standard deviations of noise on the weak one: 0.4/0.05 is 8, in a range of 2.
    let y = [0.4, 0.4];
    let second = |sigma| {
        let problem = problem_of(Spectral(weak.clone()), &y, 1, sigma);
        quiet(&ddnm(HUNDRED, CODE), &prior(), &problem)[1]
    };
    assert!((second(0.0) - 8.0).abs() < 1e-3);
    let plus = second(0.1);
    // The exact posterior of the second coordinate, given both.
    let gain = 0.25 - 0.1 * 0.1 / 0.31;
    let mean = -0.1 + 0.1 / 0.31 * 0.2;
    let exact = mean + gain * 0.05 / (gain * 0.0025 + 0.01) * (0.4 - 0.05 * mean);
    assert!((plus - exact).abs() < 4.0 * gain.sqrt(), "{plus} {exact}");
    assert!(8.0 - exact > 16.0 * gain.sqrt());
}

/// Two measurements of one image are one measurement by both rows: a stack of G4's rows is G4, without noise (through the
/// pseudo-inverse by conjugate gradients) and with it (through Lanczos). Wrong: a stack that takes the parts in another order, or
/// guesses by the first alone.
#[test]
fn ddnm_of_a_stack_is_that_of_the_matrix() {
    let row = |i: usize| Box::new(Dense(operator().0.rows(i, 1).into_owned()));
    let stack = || Stack::new(vec![row(0) as Box<dyn Operator>, row(1)]).unwrap();
    assert_eq!(stack().output(), operator().output());
    for (sigma, tolerance) in [(0.0, 1e-5), (0.1, 1e-4)] {
        let method = ddnm(HUNDRED, CODE);
        let whole = heard(operator(), &Y, sigma, &method);
        let off = (heard(stack(), &Y, sigma, &method) - whole).amax();
        assert!(off < tolerance, "{sigma}: {off:.1e}");
    }
}

// ---------------------------------------------------------------------------------------------- DiffPIR

fn diffpir(zeta: f64, lambda: f64) -> DiffPir {
    DiffPir {
        grid: grid(HUNDRED),
        lambda,
        zeta,
        start: Start::Noise,
        clamp: false,
        ..DiffPir::default()
    }
}

/// With all noise fresh and the prior's weight gone, DiffPIR is DDNM; with no fresh noise it is not, as it takes what
/// the data step changed for noise. Wrong: the network's eps kept, with which both agree.
#[test]
fn diffpir_and_ddnm() {
    let hard = |zeta| solve(&diffpir(zeta, 1e-9), 0.0);
    let ddnm = |eta| solve(&ddnm(HUNDRED, NextLevel::Constant { eta }), 0.0);
    let off = difference(&hard(1.0), &ddnm(1.0));
    assert!(off < 3e-6, "{off:.1e}");
    assert!(difference(&hard(0.0), &ddnm(0.0)) > 0.01);
}

/// A prior of infinite weight: the unconditional sampler.
#[test]
fn diffpir_that_ignores_the_measurement_is_ddim() {
    let free = diffpir(0.0, 1e15);
    let off = difference(
        &solve(&free, SIGMA_Y),
        &draw(&ddim(HUNDRED, Renoise::Ddim { eta: 0.0 })),
    );
    assert!(off < 3e-6, "{off:.1e}");
    // So does no guidance, at any lambda.
    let unguided = DiffPir {
        guidance: 0.0,
        ..diffpir(0.0, 1.0)
    };
    let off = difference(&solve(&unguided, SIGMA_Y), &solve(&free, SIGMA_Y));
    assert!(off < 3e-6, "{off:.1e}");
}

/// The prior's estimate for noisy measurements, the data step for exact ones, as by default; the last level is off by its
/// noise, 0.01 here.
#[test]
fn diffpir_outputs() {
    let of = |output, sigma| {
        solve(
            &DiffPir {
                output,
                ..diffpir(0.3, 1.0)
            },
            sigma,
        )
    };
    assert_eq!(of(Output::Auto, 0.1), of(Output::Denoised, 0.1));
    assert_eq!(of(Output::Auto, 0.0), of(Output::Prox, 0.0));
    let off = difference(&of(Output::Level, 0.1), &of(Output::Denoised, 0.1));
    assert!((1e-4..0.05).contains(&off), "{off:.1e}");
}

/// One data step, from the prior's mean at a level where the prior knows nothing better.
fn corrected(data: DataStep, rho: f64) -> Image {
    let method = DiffPir {
        grid: Grid::all(Schedule::edm(1)),
        lambda: rho * (80.0 / SIGMA_Y).powi(2),
        data,
        output: Output::Prox,
        ..diffpir(0.0, 1.0)
    };
    let mut run = Run::with(Zeros, ());
    let x = method.restore(&prior(), &problem(1, SIGMA_Y), &mut run);
    x.unwrap().x
}

/// The gradient step is the prox up to `|A|^2/rho`, a tenth for each tenfold `rho` (B-20), and does not diverge below.
/// Wrong: the gradient of the squared residual without its factor of 2, or divided by the norm.
#[test]
fn diffpir_gradient_step_nears_the_prox() {
    let still = corrected(DataStep::Prox, 1e15);
    let moved = |data, rho| &corrected(data, rho) - &still;
    let norm = |x: &Image| x.mapv(|v| v * v).sum().sqrt();
    for (rho, bound) in [(10.0, 0.1), (100.0, 0.01), (1000.0, 0.001)] {
        let exact = moved(DataStep::Prox, rho);
        let off = norm(&(&moved(DataStep::Gradient, rho) - &exact)) / norm(&exact);
        assert!((0.3 * bound..bound).contains(&off), "rho {rho}: {off:.1e}");
    }
    // |A|^2 is about 0.65, and below it the step is that of |A|^2.
    let least = corrected(DataStep::Gradient, 1e-9);
    let off = difference(&least, &corrected(DataStep::Gradient, 1e-3));
    assert!(off < 1e-6, "{off:.1e}");
    assert!(
        norm(&problem(1, SIGMA_Y).residual(&least)) < norm(&problem(1, SIGMA_Y).residual(&still))
    );
}

/// The mean of draws has their mean and their covariance divided by how many they are. Wrong: draws that share noise.
#[test]
fn mean_of_draws() {
    let one = DiffPir {
        grid: grid(Subset::Uniform { steps: 10 }),
        ..diffpir(1.0, 1.0)
    };
    let three = Mean {
        draws: 3,
        of: Box::new(one.clone().into()),
    };
    let (mean, variance) = method_moments(&one, SIGMA_Y);
    let (same, third) = method_moments(&three, SIGMA_Y);
    let third: Vec<f64> = third.iter().map(|v| 3.0 * v).collect();
    assert!(distance(&mean, &same) < 1e-6);
    assert!(distance(&variance, &third) < 1e-6, "{variance:?} {third:?}");
    assert!(variance[0] > 1e-3);
}

/// A lower start is closer to the guess, and cheaper.
#[test]
fn diffpir_from_a_lower_start() {
    let method = DiffPir {
        start_sigma: Some(0.3),
        start: Start::Guess,
        ..diffpir(0.3, 1.0)
    };
    let mut run = Run::with(Zeros, ());
    let problem = problem(1, 0.0);
    let x = method.restore(&prior(), &problem, &mut run).unwrap().x;
    assert!((1..10).contains(&run.nfe()), "{run:?}");
    let guess = problem.operator.guess(&problem.y);
    let far = method_moments(&diffpir(0.3, 1.0), 0.0).0;
    let far = Image::from_shape_vec((1, 4, 1, 1), far.iter().map(|&v| v as f32).collect()).unwrap();
    assert!(difference(&x, &guess) < difference(&far, &guess));
}

// ---------------------------------------------------------------------------------------------- DPS

/// The code's scale is twice the paper's zeta. Wrong: equal, or halved.
#[test]
fn dps_code_and_paper() {
    let dps = |rule| {
        solve(
            &Dps {
                rule,
                grid: grid(HUNDRED),
                clamp: false,
                ..Dps::default()
            },
            SIGMA_Y,
        )
    };
    let code = dps(StepRule::ResidualNorm { scale: 0.3 });
    let off = difference(&code, &dps(StepRule::PaperNorm { zeta: 0.15 }));
    assert!(off < 1e-6, "{off:.1e}");
    assert!(difference(&code, &dps(StepRule::PaperNorm { zeta: 0.3 })) > 1e-3);
}

/// A single step from one VE level, in which `x0 - zeta*grad |y - A clamp(E[x0|x])|^2` must come out, with the gradient by
/// differences. One coordinate of the prior is out of range: with the clamp, no gradient comes through it. Wrong: the clamp
/// taken for the identity in the gradient; a pullback of `r` without `A^T`.
#[test]
fn dps_gradient_is_that_of_the_residual() {
    let prior =
        Gaussian::new(DIMS, &[2.5, -0.1, 0.3, 0.05], &covariance(), Range::NETWORK).unwrap();
    let level = Grid::all(Schedule::Ve {
        // A sigma of 0.5 for [0, 1] is one of 1 for [-1, 1].
        sigma_min: 0.5,
        sigma_max: 0.5,
        steps: 1,
    });
    let (problem, zeta, h) = (problem(1, SIGMA_Y), 0.5, 1.0 / 64.0);
    // What the run draws first.
    let x = Seeded::new(3, "method").normal(1, DIMS);
    for clamp in [false, true] {
        let x0 = |x: &Image| {
            let x0 = prior.denoise(x, Level::ve(1.0)).unwrap().x0;
            if clamp {
                x0.mapv(|v| v.clamp(-1.0, 1.0))
            } else {
                x0
            }
        };
        let square = |x: &Image| {
            let r = problem.residual(&x0(x));
            r.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>()
        };
        let method = Dps {
            grid: level.clone(),
            rule: StepRule::SquaredNorm { zeta },
            start: Start::Noise,
            clamp,
            ..Dps::default()
        };
        let out = method
            .restore(&prior, &problem, &mut Run::new(3))
            .unwrap()
            .x;
        let step = (x0(&x) - out) / zeta as f32;
        for i in 0..4 {
            let moved = |by: f32| {
                let mut x = x.clone();
                x[[0, i, 0, 0]] += by;
                square(&x)
            };
            let slope = (moved(h) - moved(-h)) / f64::from(2.0 * h);
            let got = f64::from(step[[0, i, 0, 0]]);
            assert!((got - slope).abs() < 3e-5, "clamp {clamp}: {got} {slope}");
        }
    }
}

/// At the measurement itself there is nothing to normalise by. Wrong: 0/0.
#[test]
fn dps_stays_finite_without_residual() {
    let nothing = problem_of(Dense(DMatrix::zeros(1, 4)), &[0.0], 8, 0.1);
    for rule in [
        StepRule::ResidualNorm { scale: 0.3 },
        StepRule::PaperNorm { zeta: 0.3 },
        StepRule::NormalizedGradient { zeta: 0.01 },
        StepRule::Likelihood,
    ] {
        let method = Dps {
            rule,
            grid: grid(FIFTY),
            clamp: false,
            ..Dps::default()
        };
        let x = method
            .restore(&prior(), &nothing, &mut Run::new(5))
            .unwrap()
            .x;
        let ddpm = Ddpm {
            grid: grid(FIFTY),
            clamp: false,
            ..Ddpm::default()
        };
        assert!(difference(&x, &draw(&ddpm)) < 1e-6, "{rule:?}");
    }
}

// ---------------------------------------------------------------------------------------------- all

/// A picture's result does not depend on its batch. Wrong: norms over the whole batch.
#[test]
fn pictures_of_a_batch_do_not_see_each_other() {
    let y = problem(1, SIGMA_Y).y;
    let mut pair = Image::zeros((2, 2, 1, 1));
    pair.slice_mut(s![0..1, .., .., ..]).assign(&y);
    pair.slice_mut(s![1..2, .., .., ..]).fill(3.0);
    let methods: [Box<dyn Method>; 5] = [
        Box::new(Dps {
            grid: grid(FIFTY),
            ..Dps::default()
        }),
        Box::new(Dps {
            rule: StepRule::NormalizedGradient { zeta: 0.01 },
            grid: grid(FIFTY),
            ..Dps::default()
        }),
        Box::new(DiffPir::default()),
        Box::new(Ddnm::default()),
        Box::new(Dpir::default()),
    ];
    for method in methods {
        let solve = |y: &Image| {
            let problem = Problem::new(y.clone(), Box::new(operator()), SIGMA_Y).unwrap();
            method
                .restore(&prior(), &problem, &mut Run::new(5))
                .unwrap()
                .x
        };
        let (alone, both) = (solve(&y), solve(&pair));
        assert_eq!(both.index_axis(Axis(0), 0), alone.index_axis(Axis(0), 0));
    }
}
