//! Runs that are watched and stopped, starts, ends, and learned variances.

use std::ops::ControlFlow;
use std::sync::Mutex;

use tweedie::grid::{Grid, Schedule};
use tweedie::level::{Level, Range};
use tweedie::method::{self, Descent, DiffPir, Dpir, Dps, Mean, Method, Output, Start};
use tweedie::noise::Zeros;
use tweedie::operator::{
    Bayer, Blur, Boundary, Gray, GrayWeights, Identity, Kernel, Mask, Mosaic, Operator, norm,
    norm_at,
};
use tweedie::prior::{Card, Prior};
use tweedie::problem::{Noise, Problem};
use tweedie::run::{Error, Observer, Progress, Run};
use tweedie::sampler::{Ddpm, Sampler, Variance};
use tweedie::{Dims, Image};

use crate::fixture::{Square, V, White, measured, noisy, truth};

const PLANE: Dims = Dims::new(1, 6, 7);

/// The start counts the noise that the guess has. One level of sigma 0.25, a measurement with noise of 0.2: all in all the image
/// is as noisy as the level says, and the estimate's error is the posterior variance at 0.25. Wrong: all of the level's noise on
/// top, whose error is a quarter larger.
#[test]
fn a_guess_has_its_own_noise() {
    let (level, sigma_y): (f64, f64) = (0.25, 0.2);
    let method = DiffPir {
        grid: Grid::all(Schedule::Sigmas {
            sigmas: vec![level],
        }),
        start: Start::Guess,
        output: Output::Denoised,
        clamp: false,
        ..DiffPir::default()
    };
    let dims = Dims::new(1, 200, 200);
    let problem = noisy(dims, sigma_y);
    let x = method
        .restore(&White::any(), &problem, &mut Run::new(3))
        .unwrap()
        .x;
    let error = (&x - &truth(dims, 1)).mapv(|e| f64::from(e).powi(2)).sum() / 40_000.0;
    let gain = V / (V + level * level);
    let of = |noise: f64| (1.0 - gain).powi(2) * V + gain * gain * noise;
    let (right, wrong) = (of(level * level), of(level * level + sigma_y * sigma_y));
    assert!((right - V * (1.0 - gain)).abs() < 1e-12 && wrong > 1.24 * right);
    // One standard error is 0.7 %.
    assert!((error / right - 1.0).abs() < 0.03, "{error}, not {right}");
}

/// A guess that is noisier than the level is not made noisier. Wrong: the root of a negative number.
#[test]
fn a_noisy_guess_is_left_as_it_is() {
    let method = DiffPir {
        grid: Grid::all(Schedule::Sigmas { sigmas: vec![0.1] }),
        start: Start::Guess,
        output: Output::Level,
        ..DiffPir::default()
    };
    let problem = noisy(PLANE, 0.2);
    let x = method
        .restore(&White::any(), &problem, &mut Run::new(3))
        .unwrap()
        .x;
    assert!(x == problem.y);
}

/// Exact measurements are put back exactly: known pixels and the numbers of a mosaic bit by bit, grey to less than half a step of 16 bits. Wrong: a prox that
/// leaves a percent of the prior's opinion.
#[test]
fn exact_measurements_end_exact() {
    let methods: [(&str, Box<dyn Method>); 3] = [
        ("dpir", Box::new(Dpir::default())),
        ("diffpir", Box::new(DiffPir::default())),
        ("fresh", Box::new(DiffPir::fresh())),
    ];
    for (name, method) in methods {
        let mask = Mask::random(PLANE, 0.5, 1).unwrap();
        let known = mask.known().clone();
        let problem = measured(mask, 0.0);
        let x = method
            .restore(&White::any(), &problem, &mut Run::new(3))
            .unwrap()
            .x;
        for ((i, &known), (x, y)) in known.indexed_iter().zip(x.iter().zip(&problem.y)) {
            assert!(
                !known || x.to_bits() == y.to_bits(),
                "{name} at {i:?}: {x}, not {y}"
            );
        }
        let green = GrayWeights::Rgb([0.0, 1.0, 0.0]);
        for weights in [GrayWeights::Mean, GrayWeights::Luma, green] {
            let gray = Gray::new(Dims { c: 3, ..PLANE }, weights).unwrap();
            let problem = measured(gray, 0.0);
            let prior = White::new(Card::any());
            let x = method
                .restore(&prior, &problem, &mut Run::new(3))
                .unwrap()
                .x;
            let off = problem
                .residual(&x)
                .iter()
                .fold(0.0, |m: f32, r| m.max(r.abs()));
            assert!(off < 0.1 / 65535.0, "{name}, {weights}: {off:e}");
        }
        let mosaic = Mosaic::new(Dims { c: 3, ..PLANE }, Bayer::Grbg).unwrap();
        let problem = measured(mosaic, 0.0);
        let prior = White::new(Card::any());
        let x = method
            .restore(&prior, &problem, &mut Run::new(3))
            .unwrap()
            .x;
        assert!(mosaic.apply(&x) == problem.y, "{name}: mosaic");
        // With noise they are not: the prior has the last word.
        let problem = measured(Mask::random(PLANE, 0.5, 1).unwrap(), 0.1);
        let x = method
            .restore(&White::any(), &problem, &mut Run::new(3))
            .unwrap()
            .x;
        assert!(x[[0, 0, 0, 0]] != problem.y[[0, 0, 0, 0]], "{name}");
    }
}

/// Stops where it is polled.
struct Impatient;

impl Observer for Impatient {
    fn step(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn poll(&mut self) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

/// Long steps stop where they poll, with the estimate that they had; who does not poll is not stopped. Wrong: a stop that loses
/// the estimate, or that counts a step that was not done.
#[test]
fn polls_stop_long_steps() {
    let mut run = Run::with(Zeros, Impatient);
    let (first, second) = (Image::zeros(PLANE.batch(1)), Image::ones(PLANE.batch(1)));
    run.begin(5);
    run.show(&first, Level::ve(0.1)).unwrap();
    let Err(Error::Stopped { step, total, x0 }) = run.poll(&second) else {
        panic!("it goes on");
    };
    assert_eq!((step, total), (1, Some(5)));
    assert!(*x0 == second);
    // Observers that are functions, or nothing, do not stop at polls.
    let go_on = |_: &Progress<'_>| ControlFlow::Continue(());
    assert!(Run::with(Zeros, go_on).poll(&first).is_ok());
    assert!(Run::new(1).poll(&first).is_ok());
}

/// What is not known is not said. Wrong: "of 0".
#[test]
fn the_number_of_steps_may_be_unknown() {
    let seen = Mutex::new(Vec::new());
    let watch = |p: &Progress<'_>| {
        seen.lock().unwrap().push((p.step, p.total));
        match p.step {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    };
    let mut run = Run::with(Zeros, watch);
    run.begin(None);
    let x = Image::zeros(PLANE.batch(1));
    run.show(&x, Level::ve(0.1)).unwrap();
    let error = run.show(&x, Level::ve(0.1)).unwrap_err();
    assert_eq!(error.to_string(), "stopped after step 2");
    assert_eq!(*seen.lock().unwrap(), [(1, None), (2, None)]);
}

/// Parts within parts are watched as one run. Wrong: totals of the innermost part, steps that begin anew.
#[test]
fn nested_parts_are_one_run() {
    let inner = Mean {
        draws: 3,
        of: Box::new(method::Settings::from(DiffPir::fresh()).with_steps(5)),
    };
    let outer = Mean {
        draws: 2,
        of: Box::new(inner.into()),
    };
    let seen = Mutex::new(Vec::new());
    let watch = |p: &Progress<'_>| {
        seen.lock().unwrap().push((p.step, p.total, p.nfe));
        ControlFlow::Continue(())
    };
    let mut run = Run::with(Zeros, watch);
    let prior = White::any();
    outer.restore(&prior, &noisy(PLANE, 0.1), &mut run).unwrap();
    let expected: Vec<_> = (1..=30).map(|k| (k, Some(30), k)).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(method::Settings::from(outer).nfe(prior.card()), 30);
}

/// No noise is a case of its own, and 0 is none. Wrong: a variance of 0 that is divided by.
#[test]
fn noise_is_none_or_some() {
    assert_eq!(Noise::from(0.0), Noise::Exact);
    assert_eq!(Noise::from(-0.0), Noise::Exact);
    assert_eq!(Noise::from(0.1), Noise::White(0.1));
    let problem = |noise: Noise| {
        let y = Image::zeros(PLANE.batch(1));
        Problem::new(y, Box::new(Identity::new(PLANE).unwrap()), noise)
    };
    let exact = problem(Noise::Exact).unwrap();
    assert!(exact.exact() && exact.sigma() == 0.0);
    assert_eq!(exact.sigma_floored(Range::IMAGE), 0.001);
    assert_eq!(exact.sigma_floored(Range::NETWORK), 0.002);
    let noisy = problem(Noise::White(0.2)).unwrap();
    assert!(!noisy.exact() && noisy.sigma() == 0.2 && noisy.sigma_floored(Range::IMAGE) == 0.2);
    for sigma in [0.0, -0.1, f64::NAN, f64::INFINITY] {
        assert!(problem(Noise::White(sigma)).is_err(), "{sigma}");
    }
    let shape = Image::zeros((1, 1, 7, 6));
    let identity = || Box::new(Identity::new(PLANE).unwrap());
    assert!(Problem::new(shape, identity(), 0.1).is_err());
    let nan = Image::from_elem(PLANE.batch(1), f32::NAN);
    assert!(Problem::new(nan, identity(), 0.1).is_err());
}

/// A learned share of 0 is the small variance, of 1 the large one, of a half their geometric mean. Wrong: shares and ends swapped,
/// a mean of the variances, a share of the deviations.
#[test]
fn learned_variances_lie_between_small_and_large() {
    let prior = |share| {
        let mut prior = White::new(Card {
            variance: true,
            ..White::any().card
        });
        prior.share = share;
        prior
    };
    let sample = |variance, share| {
        let ddpm = Ddpm {
            grid: Grid::all(Schedule::VpLinear { steps: 20 }),
            variance,
            clamp: false,
        };
        ddpm.sample(&prior(share), 2, PLANE, &mut Run::new(5))
            .unwrap()
    };
    let solve = |variance, share| {
        let dps = Dps {
            grid: Grid::all(Schedule::VpLinear { steps: 20 }),
            descent: Descent::Ancestral { variance },
            ..Dps::default()
        };
        let (prior, problem) = (prior(share), noisy(PLANE, 0.1));
        dps.restore(&prior, &problem, &mut Run::new(5)).unwrap().x
    };
    let far = |p: &Image, q: &Image| (p - q).iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let small = sample(Variance::Small, None);
    let large = sample(Variance::Large, None);
    assert!(far(&small, &large) > 1e-3);
    assert!(far(&sample(Variance::Learned, Some(0.0)), &small) < 1e-5);
    assert!(far(&sample(Variance::Learned, Some(1.0)), &large) < 1e-5);
    assert!(
        far(
            &solve(Variance::Learned, Some(0.0)),
            &solve(Variance::Small, None)
        ) < 1e-5
    );
    assert!(
        far(
            &solve(Variance::Learned, Some(1.0)),
            &solve(Variance::Large, None)
        ) < 1e-5
    );
    // Two levels: the one noisy step shows its deviation.
    let once = |variance, share| {
        let ddpm = Ddpm {
            grid: Grid::all(Schedule::Sigmas {
                sigmas: vec![0.5, 2.0],
            }),
            variance,
            clamp: false,
        };
        let noise = ddpm
            .sample(&prior(share), 1, PLANE, &mut Run::new(5))
            .unwrap();
        let mean = ddpm.sample(&prior(share), 1, PLANE, &mut Run::with(Zeros, ()));
        (noise - mean.unwrap()).mapv(f64::from)
    };
    let (small, large) = (once(Variance::Small, None), once(Variance::Large, None));
    // What the start contributes is in all of them: s + d*k with the deviations k of small, large and their middle.
    let half = once(Variance::Learned, Some(0.5));
    let (ks, kl): (f64, f64) = (0.5 * (3.75_f64 / 4.0).sqrt(), 3.75_f64.sqrt());
    let between = ((ks * kl).sqrt() - ks) / (kl - ks);
    let expected = &small + &((&large - &small) * between);
    let off = (&half - &expected)
        .iter()
        .fold(0.0_f64, |m, v| m.max(v.abs()));
    assert!(off < 1e-5, "{off:e}");
}

/// The norm of a derivative is that of the matrix of slopes: 2 max |x| for the square. Wrong: the operator at 0, or the linear
/// norm's `A` for `J`.
#[test]
fn norms_of_operators_that_are_not_linear() {
    let x = truth(PLANE, 3);
    let expected = 2.0 * f64::from(x.iter().fold(0.0_f32, |m, v| m.max(v.abs())));
    let found = norm_at(&Square(PLANE), &x, 400);
    assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
    let blur = Blur::new(PLANE, Kernel::uniform(3).unwrap(), Boundary::Circular).unwrap();
    assert_eq!(norm_at(&blur, &x, 50), norm(blur.linear().unwrap(), 50));
}
