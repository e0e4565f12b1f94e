//! The projected family: golden numbers of G4, identities, and limits that must be reached.
//!
//! The numbers are those of the methods written in f64, in beta and abar (`tests/golden/README.md`); "mask" is G4 with its first two
//! coordinates measured, without noise.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use nalgebra::DMatrix;
use ndarray::{Array4, Axis};
use rustfft::num_complex::Complex64;
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::Range;
use tweedie::method::{
    Cdim, Correction, Ddnm, Ddrm, Dds, Ilvr, LowPass, Mcg, Method, NextLevel, NoisedAt, Projection,
    RePaint, Replace, SdEdit, Start,
};
use tweedie::noise::{Seeded, Zeros};
use tweedie::operator::{
    AnySpectrum, Downsample, Gray, GrayWeights, Identity, Linear, Mask, Operator,
};
use tweedie::prior::{Prior, Stationary};
use tweedie::problem::Problem;
use tweedie::registry::Described;
use tweedie::run::{Error, Progress, Run};
use tweedie::sampler::{Ddim, Ddpm, Renoise, Sampler, Variance};
use tweedie::{Dims, Image};

use crate::fixture::*;

/// Means, which agree to the last printed digit.
const MEAN: f64 = 3e-6;
/// Step rules with a norm.
const NORM: f64 = 1e-3;
/// Variances; see `table.rs`.
const VARIANCE: f64 = 2.5e-5;

type Moments = (Vec<f64>, Vec<f64>);

fn check(name: &str, got: Moments, mean: [f64; 4], variance: [f64; 4]) {
    let (dm, dv) = (distance(&got.0, &mean), distance(&got.1, &variance));
    println!("{name}: mean off by {dm:.1e}, variance by {dv:.1e}");
    assert!(dm < MEAN, "{name}: mean {:?}, off by {dm:.1e}", got.0);
    assert!(
        dv < VARIANCE,
        "{name}: variance {:?}, off by {dv:.1e}",
        got.1
    );
}

/// The first two coordinates, without noise.
fn first_two() -> Dense {
    Dense(DMatrix::identity(2, 4))
}

/// Moments of a method on the mask problem.
fn mask_moments(method: &dyn Method) -> Moments {
    let prior = prior();
    moments(|batch, run| {
        let problem = problem_of(first_two(), &Y, batch, 0.0);
        method.restore(&prior, &problem, run).unwrap().x
    })
}

// ---------------------------------------------------------------------------------------------- DDRM

fn ddrm(steps: usize, eta_b: f64) -> Ddrm {
    Ddrm {
        grid: grid(Subset::Uniform { steps }),
        eta_b,
        ..Ddrm::default()
    }
}

/// Through Lanczos, since G4's matrix knows no singular vectors, and through them. With a step in VP scaling where VE's is meant the
/// first coordinate is off by 0.02; with the measurement's noise added on top of the level's the variances are.
#[test]
fn ddrm_rows() {
    let rows = [
        (
            ddrm(20, 1.0),
            [0.574422, 0.358579, 0.041868, -0.249535],
            [0.030587, 0.083164, 0.094837, 0.033615],
        ),
        (
            ddrm(100, 1.0),
            [0.592400, 0.375043, 0.045903, -0.286999],
            [0.041578, 0.099007, 0.107759, 0.039825],
        ),
        (
            ddrm(20, 0.5),
            [0.478572, 0.228653, 0.113675, -0.148187],
            [0.057016, 0.093831, 0.099828, 0.043302],
        ),
    ];
    let prior = prior();
    assert!(matches!(
        problem(1, SIGMA_Y).spectrum(),
        AnySpectrum::Lanczos(_)
    ));
    for (method, mean, variance) in rows {
        let name = format!("{} steps", method.grid.len(prior.card()));
        check(&name, method_moments(&method, SIGMA_Y), mean, variance);
        let closed = moments(|batch, run| {
            let problem = problem_of(Spectral(operator().0), &Y, batch, SIGMA_Y);
            method.restore(&prior, &problem, run).unwrap().x
        });
        check(&name, closed, mean, variance);
    }
}

/// Without noise the boundary decides at the last step: `>=` gives `A x = y`; the released code's strict inequalities return the prior's
/// estimate, 0.601899 and 0.427800 in the first two coordinates.
#[test]
fn ddrm_without_noise_measures_exactly() {
    check(
        "sigma 0",
        method_moments(&ddrm(20, 1.0), 0.0),
        [0.601995, 0.428074, -0.008301, -0.310799],
        [0.025862, 0.080043, 0.094408, 0.028926],
    );
    let exact = problem(8, 0.0);
    let x = ddrm(20, 1.0).restore(&prior(), &exact, &mut Run::new(5));
    let off = difference(&operator().apply(&x.unwrap().x), &exact.y);
    assert!(off < 1e-6, "{off:.1e}");
}

// ---------------------------------------------------------------------------------------------- projection and RePaint

fn projection(noised: NoisedAt) -> Projection {
    Projection {
        noised,
        ..Projection::default()
    }
}

/// The measurement as noisy as the level that is reached ends exact; at the level before it keeps that level's noise, 1e-4.
#[test]
fn projection_rows() {
    check(
        "reached",
        mask_moments(&projection(NoisedAt::Reached)),
        [0.400000, -0.300000, 0.281374, 0.026331],
        [0.000000, 0.000000, 0.180889, 0.145885],
    );
    check(
        "code",
        mask_moments(&projection(NoisedAt::Asked)),
        [0.399980, -0.299985, 0.281396, 0.026367],
        [0.000100, 0.000100, 0.180890, 0.145885],
    );
}

fn repaint(replace: Replace, jump_length: usize, jump_repeat: usize) -> RePaint {
    RePaint {
        replace,
        jump_length,
        jump_repeat,
        variance: Variance::Large,
        clamp: false,
        ..RePaint::default()
    }
}

/// The paper's form; going back one level fewer or more often moves the third coordinate by 0.002 and more. The step to the clean image
/// has nowhere to go back to and is made once: made U times, each from the last one's result, as if that were noisy, U = 10 has a hundredth
/// less variance and 0.261420 in the third coordinate.
#[test]
fn repaint_rows() {
    let rows = [
        (
            1,
            [0.400000, -0.300000, 0.281596, 0.026579],
            [0.000000, 0.000000, 0.183441, 0.148205],
        ),
        (
            10,
            [0.400000, -0.300000, 0.261326, 0.006106],
            [0.000000, 0.000000, 0.174927, 0.143782],
        ),
    ];
    for (u, mean, variance) in rows {
        let method = repaint(Replace::After, 1, u);
        check(&format!("U {u}"), mask_moments(&method), mean, variance);
    }
    let quiet = |method: &RePaint| quiet(method, &prior(), &problem_of(first_two(), &Y, 1, 0.0));
    let off = distance(
        &quiet(&repaint(Replace::After, 1, 50)),
        &[0.400000, -0.300000, 0.256874, 0.002101],
    );
    assert!(off < MEAN, "U 50: {off:.1e}");
    // The code's schedule; its last step leaves known coordinates to the network, here they end exact.
    let off = distance(
        &quiet(&repaint(Replace::Before, 10, 10)),
        &[0.400000, -0.300000, 0.262096, 0.006952],
    );
    assert!(off < MEAN, "code: {off:.1e}");
}

/// The variances of the code's schedule, of its unknown coordinates. Replacing after each step, which lets the measured part that goes
/// back up be the one that came down, has 0.0005 less.
#[test]
fn repaint_of_the_code() {
    let (_, variance) = mask_moments(&repaint(Replace::Before, 10, 10));
    let off = distance(&variance, &[0.0, 0.0, 0.175492, 0.144176]);
    assert!(off < VARIANCE, "{variance:?}: {off:.1e}");
}

// ---------------------------------------------------------------------------------------------- MCG

fn mcg(noised: NoisedAt, weight: f64) -> Mcg {
    Mcg {
        weight,
        noised,
        variance: Variance::Large,
        clamp: false,
        ..Mcg::default()
    }
}

/// A gradient of constant length goes on pushing, and amplifies rounding: 2e-4 in f32. With the gradient of the square the last
/// coordinate is 0.01.
#[test]
fn mcg_rows() {
    let rows = [
        (
            NoisedAt::Reached,
            [0.400000, -0.300000, 0.319848, -1.659968],
        ),
        (NoisedAt::Asked, [0.399980, -0.299985, 0.324099, -1.703768]),
    ];
    for (noised, expected) in rows {
        let got = quiet(
            &mcg(noised, 1.0),
            &prior(),
            &problem_of(first_two(), &Y, 1, 0.0),
        );
        let off = distance(&got, &expected);
        println!("{noised:?}: {got:?} off by {off:.1e}");
        assert!(off < NORM, "{noised:?}: {got:?}, off by {off:.1e}");
    }
}

// ---------------------------------------------------------------------------------------------- DDS

fn dds(gamma: f64) -> Dds {
    Dds {
        correction: Correction::constant(gamma),
        abrupt: true,
        ..Dds::default()
    }
}

/// The code's loop, with its step to the last level that adds no noise. With a step as all others there, the variances are larger by
/// a hundredth of themselves.
#[test]
fn dds_rows() {
    check(
        "noiseless",
        method_moments(&dds(1.0), 0.0),
        [0.619147, 0.421378, 0.015039, -0.329792],
        [0.030209, 0.090292, 0.101201, 0.033715],
    );
    check(
        "gamma 1",
        method_moments(&dds(1.0), SIGMA_Y),
        [0.569031, 0.388505, 0.002478, -0.296244],
        [0.040397, 0.096341, 0.111532, 0.035195],
    );
    check(
        "gamma 10",
        method_moments(&dds(10.0), SIGMA_Y),
        [0.616733, 0.421236, 0.010633, -0.327077],
        [0.030309, 0.090758, 0.103082, 0.033814],
    );
}

// ---------------------------------------------------------------------------------------------- SDEdit

/// The guess of G4 is `A^+ y`; five hundred steps from index 499.
#[test]
fn sdedit_row() {
    let method = SdEdit {
        repeat: 1,
        variance: Variance::Large,
        ..SdEdit::default()
    };
    assert_eq!(method.nfe(prior().card()), 500);
    check(
        "sdedit",
        method_moments(&method, 0.0),
        [0.207941, -0.091405, 0.293507, 0.046493],
        [0.300456, 0.250477, 0.200550, 0.150594],
    );
}

// ---------------------------------------------------------------------------------------------- identities

fn solved(method: &dyn Method, problem: &Problem) -> Image {
    method
        .restore(&prior(), problem, &mut Run::new(5))
        .unwrap()
        .x
}

const FIFTY: Subset = Subset::Uniform { steps: 50 };

fn ddnm(eta: f64) -> Ddnm {
    Ddnm {
        grid: grid(FIFTY),
        next: NextLevel::Constant { eta },
        ..Ddnm::default()
    }
}

/// Without noise and with all noise fresh DDRM is DDNM (B-09), up to what the start is; with some of the noise kept it is not, since
/// DDNM keeps it in what is measured too (B-10: 0.03 in the mean).
#[test]
fn ddrm_and_ddnm_without_noise() {
    let ddrm = |eta| Ddrm {
        eta,
        ..ddrm(50, 1.0)
    };
    let exact = problem(8, 0.0);
    let off = difference(&solved(&ddrm(1.0), &exact), &solved(&ddnm(1.0), &exact));
    assert!(off < 1e-5, "{off:.1e}");
    let (p, q) = (
        method_moments(&ddrm(0.85), 0.0).0,
        method_moments(&ddnm(0.85), 0.0).0,
    );
    let off = distance(&p, &q);
    assert!((0.01..0.05).contains(&off), "{off}");
}

/// With noise DDRM is DDNM+ for every eta (B-11), up to the start.
#[test]
fn ddrm_and_ddnm_with_noise() {
    for eta in [0.5, 0.85, 1.0] {
        let ddrm = Ddrm {
            eta,
            ..ddrm(50, 1.0)
        };
        let noisy = problem(8, SIGMA_Y);
        let off = difference(&solved(&ddrm, &noisy), &solved(&ddnm(eta), &noisy));
        assert!(off < 1e-4, "eta {eta}: {off:.1e}");
    }
}

/// The prior's estimate at a single level, corrected.
fn corrected(iterations: usize, gamma: f64, sigma: f64) -> Image {
    let method = Dds {
        grid: Grid::all(Schedule::edm(1)),
        correction: Correction::constant(gamma),
        iterations,
        start: Start::Noise,
        ..Dds::default()
    };
    solved(&method, &problem(4, sigma))
}

/// As many conjugate gradients as there are singular values are DDNM's projection without noise (B-18), DiffPIR's prox with it
/// (B-17), and one alone is a gradient step with an exact line search (B-19). Wrong: conjugate gradients in the measurement's space,
/// which end at the same place and go another way.
#[test]
fn dds_corrects_as_far_as_it_is_told() {
    let x0 = corrected(2, 1e-12, SIGMA_Y);
    let a = operator();
    let projected = a.project(&problem(4, 0.0).y, &x0);
    let off = difference(&corrected(2, 1.0, 0.0), &projected);
    assert!(off < 2e-6, "projection: {off:.1e}");
    for gamma in [0.3, 1.0, 30.0] {
        let prox = a.prox(&problem(4, 0.0).y, &x0, 1.0 / gamma);
        let off = difference(&corrected(2, gamma, SIGMA_Y), &prox);
        assert!(off < 2e-6, "gamma {gamma}: {off:.1e}");
    }
    let gradient = a.adjoint(&(&problem(4, 0.0).y - &a.apply(&x0)));
    let along = a.apply(&gradient);
    let squares = |x: &Image| x.map_axis(Axis(1), |v| v.dot(&v)).insert_axis(Axis(1));
    let step = &gradient * &(squares(&gradient) / squares(&along));
    let off = difference(&corrected(1, 1.0, 0.0), &(&x0 + &step));
    assert!(off < 2e-6, "one step: {off:.1e}");
}

/// DDS with enough steps is DDNM on the same grid, but for the code's abrupt last step.
#[test]
fn dds_and_ddnm() {
    let dds = |abrupt| Dds {
        abrupt,
        ..Dds::default()
    };
    let exact = problem(8, 0.0);
    let ddnm = solved(&ddnm(0.85), &exact);
    let off = difference(&solved(&dds(false), &exact), &ddnm);
    assert!(off < 3e-6, "{off:.1e}");
    assert!(difference(&solved(&dds(true), &exact), &ddnm) > 1e-4);
}

/// With so much total variation that all colours become one DDS ends in a flat picture; with none it is the sweep's least squares,
/// and near the measurement.
#[test]
fn dds_with_total_variation() {
    let dims = Dims::new(1, 6, 5);
    let prior = white(dims);
    let y = prior.sample(1, &mut Seeded::new(1, "truth"));
    let problem = Problem::new(y.clone(), Box::new(Identity::new(dims).unwrap()), 0.1).unwrap();
    let of = |lambda| {
        let method = Dds {
            correction: Correction::Variation { rho: 1.0, lambda },
            iterations: 50,
            ..Dds::default()
        };
        let mut run = Run::new(1);
        method.restore(&prior, &problem, &mut run).unwrap().x
    };
    assert!(of(100.0).std(0.0) < 0.1 * y.std(0.0));
    let close = (of(0.0) - &y).std(0.0);
    assert!(close < 0.2 * y.std(0.0), "{close}");
}

/// Independent pixels of one channel.
fn white(dims: Dims) -> Stationary {
    let power = Array4::from_elem((dims.h, dims.w, 1, 1), Complex64::from(0.04));
    Stationary::new(&[0.5], &power, Range::IMAGE).unwrap()
}

/// RePaint without jumps is projection, and MCG without its gradient. Wrong: noise that is drawn where none is put in.
#[test]
fn projection_is_repaint_without_jumps_and_mcg_without_gradient() {
    let spaced = grid(Subset::Spaced { steps: 60 });
    let of = |method: &dyn Method| solved(method, &problem(4, 0.0));
    let projection = of(&Projection {
        grid: spaced.clone(),
        ..Projection::default()
    });
    let straight = of(&RePaint {
        grid: spaced.clone(),
        ..repaint(Replace::After, 1, 1)
    });
    assert!(projection == straight);
    let unguided = of(&Mcg {
        grid: spaced,
        ..mcg(NoisedAt::Reached, 0.0)
    });
    assert!(projection == unguided);
}

/// What is measured without noise ends measured, whatever the operator: G4's matrix, and the grey of a picture. Wrong: `A^T` for `A^+`,
/// or no last replacement, which leaves 1e-3.
#[test]
fn measured_parts_end_exact() {
    let spaced = grid(Subset::Spaced { steps: 30 });
    let methods: Vec<(&str, Box<dyn Method>)> = vec![
        (
            "projection",
            Box::new(Projection {
                grid: spaced.clone(),
                ..Projection::default()
            }),
        ),
        (
            "repaint",
            Box::new(RePaint {
                grid: spaced.clone(),
                ..repaint(Replace::Before, 5, 2)
            }),
        ),
        (
            "mcg",
            Box::new(Mcg {
                grid: spaced.clone(),
                ..mcg(NoisedAt::Reached, 0.2)
            }),
        ),
        (
            "ddrm",
            Box::new(Ddrm {
                grid: spaced.clone(),
                ..Ddrm::default()
            }),
        ),
        (
            "cdim",
            Box::new(Cdim {
                grid: spaced,
                ..Cdim::default()
            }),
        ),
    ];
    let colours = Dims::new(3, 4, 5);
    let power = Array4::from_shape_fn((4, 5, 3, 3), |(_, _, i, j)| {
        Complex64::from(if i == j { 0.05 } else { 0.03 })
    });
    let prior = Stationary::new(&[0.5; 3], &power, Range::IMAGE).unwrap();
    for (name, method) in methods {
        let x = solved(method.as_ref(), &problem(4, 0.0));
        let off = difference(&operator().apply(&x), &problem(4, 0.0).y);
        // CDIM's last word is a prox where singular values differ, as everywhere else.
        let most = if name == "cdim" { 2e-3 } else { 1e-6 };
        assert!(off < most, "{name}: {off:.1e}");
        let gray = Gray::new(colours, GrayWeights::Luma).unwrap();
        let y = gray.apply(&prior.sample(1, &mut Seeded::new(2, "truth")));
        let grey = Problem::new(y, Box::new(gray), 0.0).unwrap();
        let x = method.restore(&prior, &grey, &mut Run::new(5)).unwrap().x;
        let off = difference(&grey.operator.apply(&x), &grey.y);
        assert!(off < 1e-6, "{name}, grey: {off:.1e}");
    }
}

/// ILVR with block means keeps those of the guess exactly; with a factor of 1 it keeps all; left free it is DDPM. Cubic resizing is
/// no projection, and keeps them roughly. Wrong: noise of the level before, which is left in what is kept.
#[test]
fn ilvr_keeps_the_low_frequencies() {
    let dims = Dims::new(1, 8, 12);
    let prior = white(dims);
    let ilvr = |low_pass, factor, free| Ilvr {
        low_pass,
        factor,
        free,
        clamp: false,
        ..Ilvr::default()
    };
    let y = prior.sample(1, &mut Seeded::new(2, "truth"));
    let identity = || Box::new(Identity::new(dims).unwrap());
    let of = |method: &Ilvr| {
        let problem = Problem::new(y.clone(), identity(), 0.0).unwrap();
        method
            .restore(&prior, &problem, &mut Run::new(5))
            .unwrap()
            .x
    };
    let means = Downsample::average(dims, 4).unwrap();
    let off = |x: &Image| difference(&means.apply(x), &means.apply(&y));
    let blocks = of(&ilvr(LowPass::Blocks, 4, 0.0));
    assert!(off(&blocks) < 1e-6, "{:.1e}", off(&blocks));
    assert!(difference(&blocks, &y) > 0.1);
    assert!(off(&of(&ilvr(LowPass::Cubic, 4, 0.0))) > 1e-3);
    assert!(difference(&of(&ilvr(LowPass::Blocks, 1, 0.0)), &y) < 1e-6);
    let ddpm = Ddpm {
        grid: grid(Subset::Spaced { steps: 100 }),
        variance: Variance::Small,
        clamp: false,
    };
    let free = ddpm.sample(&prior, 1, dims, &mut Run::new(5)).unwrap();
    assert!(of(&ilvr(LowPass::Cubic, 4, 1.0)) == free);
}

/// SDEdit repeats from its result, and of a mask keeps what is known. Wrong: the guess again, or known pixels from the network.
#[test]
fn sdedit_repeats_and_keeps_what_is_known() {
    let dims = Dims::new(1, 6, 6);
    let prior = white(dims);
    let method = |repeat| SdEdit {
        repeat,
        ..SdEdit::default().with_steps(20)
    };
    let mask = || Mask::random(dims, 0.5, 1).unwrap();
    let known = mask().known().clone();
    let y = mask().apply(&prior.sample(1, &mut Seeded::new(2, "truth")));
    let problem = Problem::new(y.clone(), Box::new(mask()), 0.0).unwrap();
    let mut run = Run::new(5);
    let x = method(3).restore(&prior, &problem, &mut run).unwrap().x;
    assert_eq!(run.nfe(), 60);
    for ((&known, x), y) in known.iter().zip(&x).zip(&y) {
        assert!(!known || x == y);
    }
    // One level of sigma s takes a mean m to m + k(x - m) with k = v/(v + s^2): a second round starts there, not at the guess.
    let one = SdEdit {
        grid: Grid::all(Schedule::Ve {
            sigma_min: 0.2,
            sigma_max: 0.2,
            steps: 1,
        }),
        sigma: 1.0,
        ..method(1)
    };
    let flat = Problem::new(
        Image::from_elem(dims.batch(1), 0.9),
        Box::new(Identity::new(dims).unwrap()),
        0.0,
    );
    let flat = flat.unwrap();
    for (repeat, expected) in [(1, 0.7), (2, 0.6), (3, 0.55)] {
        let got = quiet(
            &SdEdit {
                repeat,
                ..one.clone()
            },
            &prior,
            &flat,
        );
        assert!((got[0] - expected).abs() < 1e-5, "{repeat}: {}", got[0]);
    }
}

/// CDIM that takes no steps is DDIM; with them it takes a few, far fewer than levels times the most, and its answer explains the
/// measurement about as well as noise does. Wrong: steps at every level, as DPS has them; a band around the residual of the clean
/// estimate, which is left at once.
#[test]
fn cdim_steps_where_it_must() {
    let cdim = |most| Cdim {
        grid: grid(FIFTY),
        most,
        start: Start::Noise,
        ..Cdim::default()
    };
    let ddim = Ddim {
        grid: grid(FIFTY),
        renoise: Renoise::Ddim { eta: 0.0 },
        clamp: false,
    };
    let free = ddim.sample(&prior(), 4, DIMS, &mut Run::new(5)).unwrap();
    assert!(solved(&cdim(0), &problem(4, SIGMA_Y)) == free);
    let mut run = Run::new(5);
    let noisy = problem(1, SIGMA_Y);
    let x = cdim(20).restore(&prior(), &noisy, &mut run).unwrap().x;
    println!("{} evaluations", run.nfe());
    assert!((51..250).contains(&run.nfe()), "{} evaluations", run.nfe());
    let r = noisy.residual(&x).mapv(|v| v * v).sum().sqrt();
    assert!(r < 3.0 * SIGMA_Y as f32, "{r}");
}

/// Steps are announced and counted, settings that cannot work refused.
#[test]
fn settings_and_bookkeeping() {
    let refused: Vec<Box<dyn Method>> = vec![
        Box::new(Ddrm {
            eta: 1.1,
            ..Ddrm::default()
        }),
        Box::new(Ddrm {
            eta_b: f64::NAN,
            ..Ddrm::default()
        }),
        Box::new(Dds {
            iterations: 0,
            ..Dds::default()
        }),
        Box::new(dds(0.0)),
        Box::new(dds(f64::NAN)),
        Box::new(RePaint {
            jump_length: 0,
            ..RePaint::default()
        }),
        Box::new(RePaint {
            jump_repeat: usize::MAX,
            ..RePaint::default()
        }),
        Box::new(SdEdit {
            repeat: 0,
            ..SdEdit::default()
        }),
        Box::new(SdEdit {
            repeat: usize::MAX,
            ..SdEdit::default()
        }),
        Box::new(Mcg {
            weight: f64::INFINITY,
            ..Mcg::default()
        }),
        Box::new(Ilvr {
            factor: 0,
            ..Ilvr::default()
        }),
        Box::new(Ilvr {
            free: -0.1,
            ..Ilvr::default()
        }),
        Box::new(Cdim {
            most: usize::MAX,
            ..Cdim::default()
        }),
    ];
    for (k, method) in refused.iter().enumerate() {
        let result = method.restore(&prior(), &problem(1, SIGMA_Y), &mut Run::new(1));
        assert!(matches!(result, Err(Error::Unfit(_))), "{k}: {result:?}");
    }
    let repaint = RePaint::default();
    assert_eq!(repaint.nfe(prior().card()), 2410);
    let small = repaint.with_steps(30);
    let steps = AtomicUsize::new(0);
    let watch = |p: &Progress<'_>| {
        steps.fetch_add(1, Ordering::Relaxed);
        assert_eq!(p.step, steps.load(Ordering::Relaxed));
        assert_eq!(p.total, Some(small.nfe(prior().card())));
        ControlFlow::Continue(())
    };
    let mut run = Run::with(Zeros, watch);
    small.restore(&prior(), &problem(1, 0.0), &mut run).unwrap();
    assert_eq!(run.nfe(), small.nfe(prior().card()));
}
