//! Levels, transitions, schedules and grids against their definitions and published values.

use tweedie::level::{Grid, Level, Range, Rate, Schedule, Subset, Transition, walk};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::{Dims, Image};

use crate::fixture::difference;

fn images() -> (Image, Image) {
    let mut noise = Seeded::new(1);
    let dims = Dims::new(2, 3, 5);
    (noise.normal(2, dims), noise.normal(2, dims))
}

/// One level of each kind, with the derivatives of its path.
fn kinds() -> [(&'static str, Level, Rate); 4] {
    let t: f64 = 0.4;
    let turn = std::f64::consts::FRAC_PI_2;
    [
        // abar = exp(-u): da = -a/2, db = abar/(2 sqrt(1 - abar)), at abar = 0.3.
        (
            "vp",
            Level::vp(0.3, 0.5),
            Rate {
                da: -0.5 * 0.3_f64.sqrt(),
                db: 0.5 * 0.15 / 0.7_f64.sqrt(),
            },
        ),
        ("ve", Level::ve(0.7), Rate { da: 0.0, db: 1.0 }),
        (
            "flow",
            Level {
                a: 1.0 - t,
                b: 0.5 * t,
            },
            Rate::straight(0.5),
        ),
        (
            "trigonometric",
            Level {
                a: (turn * t).cos(),
                b: (turn * t).sin(),
            },
            Rate {
                da: -turn * (turn * t).sin(),
                db: turn * (turn * t).cos(),
            },
        ),
    ]
}

fn largest(x: &Image) -> f64 {
    x.iter().fold(0.0, |m, v| f64::from(v.abs()).max(m))
}

/// Wrong: `b` for `b^2` in Tweedie's formula, a sign in `v` or the velocity, or `a^2 + b^2 = 1` taken for granted.
#[test]
fn conversions_agree_with_their_definitions() {
    let (x0, eps) = images();
    for (name, level, rate) in kinds() {
        let Level { a, b } = level;
        let x = level.mix(&x0, &eps);
        let near = |got: Image, expected: &Image, what: &str| {
            let off = difference(&got, expected) / largest(expected).max(1.0);
            assert!(off < 2e-6, "{name}: {what} is off by {off:.1e}");
        };
        let score = &eps * (-1.0 / b) as f32;
        let v = &eps * a as f32 - &x0 * b as f32;
        let velocity = &x0 * rate.da as f32 + &eps * rate.db as f32;
        near(level.x0_from_eps(&x, &eps), &x0, "x0 from eps");
        near(level.eps_from_x0(&x, &x0), &eps, "eps from x0");
        near(level.score_from_eps(&eps), &score, "score from eps");
        near(level.score_from_x0(&x, &x0), &score, "score from x0");
        near(level.x0_from_score(&x, &score), &x0, "x0 from score");
        near(level.v_from_x0(&x, &x0), &v, "v from x0");
        near(level.x0_from_v(&x, &v), &x0, "x0 from v");
        near(
            level.velocity_from_x0(rate, &x, &x0),
            &velocity,
            "velocity from x0",
        );
        near(
            level.x0_from_velocity(rate, &x, &velocity),
            &x0,
            "x0 from velocity",
        );
    }
}

/// An error `d` of the clean image is one of `-a/b d` in eps, `a/b^2 d` in the score and `-(a^2 + b^2)/b d` in `v`: the
/// weights that make the losses of the parametrisations equal.
#[test]
fn errors_scale_as_the_losses_say() {
    let (x0, eps) = images();
    let wrong = &x0 + 0.25;
    for (name, level, _) in kinds() {
        let Level { a, b } = level;
        let x = level.mix(&x0, &eps);
        let all_are = |got: Image, expected: f64, what: &str| {
            let off = got
                .iter()
                .fold(0.0_f64, |m, &v| m.max((f64::from(v) - expected).abs()));
            assert!(off < 1e-5, "{name}: {what} is off by {off:.1e}");
        };
        let change = |f: &dyn Fn(&Image) -> Image| f(&wrong) - f(&x0);
        all_are(
            change(&|x0| level.eps_from_x0(&x, x0)),
            -a / b * 0.25,
            "eps",
        );
        all_are(
            change(&|x0| level.score_from_x0(&x, x0)),
            a / (b * b) * 0.25,
            "score",
        );
        all_are(
            change(&|x0| level.v_from_x0(&x, x0)),
            -(a * a + b * b) / b * 0.25,
            "v",
        );
    }
}

fn near(got: f64, expected: f64, digits: i32) {
    let off = (got / expected - 1.0).abs();
    assert!(off < 0.6 * 10_f64.powi(-digits), "{got} is not {expected}");
}

/// Values of Ho et al.'s schedule. Wrong: betas linear in the square root (Stable Diffusion), or starting at 0.
#[test]
fn linear_schedule() {
    let levels = Schedule::DDPM.levels(Range::NETWORK);
    let abar = |t: usize| levels[t].a.powi(2);
    near(abar(0), 0.9999, 9);
    near(abar(499), 0.0785872, 5);
    near(abar(999), 4.03583e-5, 5);
    for (t, sigma, digits) in [
        (0, 0.0100005, 5),
        (950, 97.10, 3),
        (990, 143.78, 4),
        (999, 157.41, 4),
    ] {
        near(levels[t].sigma(), sigma, digits);
    }
    let nearest = |sigma: f64| {
        let gap = |t: &usize| (levels[*t].sigma() - sigma).abs();
        (0..1000).min_by(|p, q| gap(p).total_cmp(&gap(q))).unwrap()
    };
    let found = [0.1, 0.2, 100.0 / 255.0, 1.0, 10.0, 100.0].map(nearest);
    assert_eq!(found, [26, 57, 114, 258, 674, 953]);
    let first = Transition::new(levels[1], levels[0]);
    near(first.var, 1.19920e-4, 5);
    near(first.posterior_var, 5.4532e-5, 4);
    let last = Transition::new(levels[999], levels[998]);
    near(last.var, 0.02, 9);
    near(last.posterior_var, 0.02, 4);
}

/// For another number of steps both ends of the betas scale. Wrong: 1e-4 to 0.02 whatever the number, which ends at
/// `abar = 0.08` for 250 steps.
#[test]
fn linear_schedule_of_other_lengths() {
    let levels = Schedule::VpLinear { steps: 250 }.levels(Range::NETWORK);
    near(1.0 - levels[0].a.powi(2), 4e-4, 9);
    near(Transition::new(levels[249], levels[248]).var, 0.08, 9);
    assert!(levels[249].a.powi(2) < 1e-4);
}

#[test]
fn cosine_schedule() {
    let levels = Schedule::VpCosine { steps: 1000 }.levels(Range::NETWORK);
    near(levels[0].a.powi(2), 0.9999587, 7);
    near(levels[499].a.powi(2), 0.49384, 4);
    near(levels[999].a.powi(2), 2.43e-9, 2);
    for (t, beta) in [(997, 0.5556), (998, 0.75), (999, 0.999)] {
        near(Transition::new(levels[t], levels[t - 1]).var, beta, 3);
    }
}

/// The ladder of Karras et al.'s table 1. Wrong: uniform in log sigma, whose second value is 43.
#[test]
fn edm_ladder() {
    let mut sigmas: Vec<f64> = Schedule::edm(18)
        .levels(Range::NETWORK)
        .iter()
        .map(|l| l.b)
        .collect();
    sigmas.reverse();
    let published = [
        80.0, 57.586, 40.786, 28.375, 19.353, 12.910, 8.4009, 5.3152, 3.2568, 1.9233, 1.0882,
        0.5853, 0.2964, 0.1395, 0.0599, 0.0229, 0.0075, 0.002,
    ];
    for (sigma, expected) in sigmas.iter().zip(published) {
        let rounding = if expected < 10.0 { 6e-5 } else { 6e-4 };
        assert!((sigma - expected).abs() < rounding, "{sigma} {expected}");
    }
}

#[test]
fn ve_and_flow_schedules() {
    let ve = Schedule::Ve {
        sigma_min: 0.01,
        sigma_max: 50.0,
        steps: 5,
    };
    let sigmas: Vec<f64> = ve.levels(Range::IMAGE).iter().map(|l| l.b).collect();
    near(sigmas[0], 0.01, 12);
    near(sigmas[2], (0.01_f64 * 50.0).sqrt(), 12);
    near(sigmas[4], 50.0, 12);
    let flow = Schedule::Flow { steps: 4 }.levels(Range::IMAGE);
    near(flow[1].a, 0.5, 12);
    near(flow[1].b, 0.25, 12);
    assert!(flow[3].a > 0.0 && flow[3].sigma() > 100.0);
}

/// In image units a sigma is half of what it is for [-1, 1]; the signal's share is the same.
#[test]
fn image_units_halve_the_noise() {
    for schedule in [
        Schedule::DDPM,
        Schedule::VpCosine { steps: 50 },
        Schedule::edm(18),
        Schedule::Flow { steps: 10 },
    ] {
        let wide = schedule.levels(Range::NETWORK);
        for (image, network) in schedule.levels(Range::IMAGE).iter().zip(wide) {
            near(image.a, network.a, 12);
            near(image.b, network.b / 2.0, 12);
        }
    }
}

/// Wrong: truncation for rounding in `Spaced` (995 becomes 994), `last` for the total in DiffPIR's rule.
#[test]
fn subsets_as_published() {
    let spaced = Subset::Spaced { steps: 250 }.indices(1000);
    assert_eq!(spaced.len(), 250);
    assert_eq!(&spaced[..3], [999, 995, 991]);
    assert_eq!(&spaced[246..], [12, 8, 4, 0]);
    let spaced = Subset::Spaced { steps: 100 }.indices(1000);
    assert_eq!(&spaced[..3], [999, 989, 979]);
    assert_eq!(&spaced[95..], [40, 30, 20, 10, 0]);

    let uniform = Subset::Uniform { steps: 20 }.indices(1000);
    assert_eq!((uniform[0], uniform[1], uniform.len()), (950, 900, 20));
    assert_eq!(Subset::Uniform { steps: 100 }.indices(1000)[0], 990);

    let quad = Subset::DiffpirQuad { steps: 100 }.indices(1000);
    assert_eq!(quad.len(), 100);
    assert_eq!(&quad[..6], [999, 899, 857, 825, 798, 775]);
    assert_eq!(&quad[94..], [25, 20, 15, 10, 5, 0]);
    assert_eq!(
        Subset::DiffpirQuad { steps: 20 }.indices(1000),
        [
            999, 770, 675, 602, 541, 487, 438, 393, 351, 311, 274, 239, 205, 172, 141, 111, 82, 54,
            26, 0
        ]
    );
    let uniform = Subset::DiffpirUniform { steps: 100 }.indices(1000);
    assert_eq!((uniform.len(), uniform[0], uniform[1]), (101, 999, 989));
    assert_eq!(&uniform[98..], [19, 9, 0]);

    let quad = Subset::DdimQuad { steps: 50 }.indices(1000);
    // The published list has index 0 twice.
    assert_eq!((quad.len(), quad[48]), (49, 0));
    assert!((799..=800).contains(&quad[0]));
    assert_eq!(
        Subset::All.indices(1000),
        Subset::Spaced { steps: 1000 }.indices(1000)
    );
}

/// A grid stays within what the prior knows, and keeps one level whatever that is.
#[test]
fn grids_respect_the_prior() {
    let grid = Grid {
        schedule: Schedule::DDPM,
        subset: Subset::Spaced { steps: 10 },
    };
    let levels = grid.levels(Range::IMAGE, 0.5);
    assert_eq!(levels.len(), 10);
    assert!(levels[0].sigma() <= 0.5 && levels[0].sigma() > 0.49);
    assert!(levels.windows(2).all(|w| w[0].sigma() > w[1].sigma()));
    assert_eq!(grid.levels(Range::IMAGE, 0.0).len(), 1);

    let hops: Vec<_> = walk(&levels).collect();
    assert_eq!(hops.len(), 10);
    assert_eq!(hops[3], (levels[3], levels[4]));
    assert_eq!(hops[9], (levels[9], Level::CLEAN));
}

/// Three forms of the ancestral mean, and the posterior variance as precisions add up. Wrong: `sqrt(abar)` for
/// `sqrt(alpha)` in front of `x`.
#[test]
fn ancestral_step_in_all_forms() {
    let (x0, eps) = images();
    let levels = Schedule::DDPM.levels(Range::NETWORK);
    for t in [1, 10, 200, 999] {
        let (now, next) = (levels[t], levels[t - 1]);
        let hop = Transition::new(now, next);
        let (alpha, beta) = ((now.a / next.a).powi(2), hop.var);
        near(beta, 1.0 - alpha, 9);
        let precisions = alpha / beta + 1.0 / (1.0 - next.a * next.a);
        near(hop.posterior_var, 1.0 / precisions, 9);

        let x = now.mix(&x0, &eps);
        let mean = hop.posterior_mean(&x, &x0);
        let by_eps = (&x - &eps * (beta / now.b) as f32) / alpha.sqrt() as f32;
        let score = now.score_from_eps(&eps);
        let by_score = (&x + &score * beta as f32) / alpha.sqrt() as f32;
        assert!(difference(&mean, &by_eps) < 3e-6, "t {t}");
        assert!(difference(&mean, &by_score) < 3e-6, "t {t}");
    }
    let last = Transition::new(levels[0], Level::CLEAN);
    assert_eq!(last.posterior_var, 0.0);
    let x = levels[0].mix(&x0, &eps);
    assert!(difference(&last.posterior_mean(&x, &x0), &x0) < 1e-6);
}

/// The Markov step composed with the cleaner level is the noisier level, on every path.
#[test]
fn transitions_compose() {
    for schedule in [
        Schedule::VpCosine { steps: 20 },
        Schedule::edm(20),
        Schedule::Flow { steps: 20 },
    ] {
        let levels = schedule.levels(Range::IMAGE);
        for pair in levels.windows(2) {
            let hop = Transition::new(pair[1], pair[0]);
            near(hop.ratio * hop.s.a, hop.t.a, 9);
            near((hop.ratio * hop.s.b).powi(2) + hop.var, hop.t.b.powi(2), 9);
        }
    }
}
