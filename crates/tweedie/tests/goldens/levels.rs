//! Levels, transitions, schedules and grids against their definitions and published values.

use tweedie::grid::{Error, Grid, MAX_STEPS, Schedule, Subset};
use tweedie::level::{Level, Range, Transition, walk};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::Card;
use tweedie::{Dims, Image};

use crate::fixture::difference;

fn images() -> (Image, Image) {
    let mut noise = Seeded::new(1, "test");
    let dims = Dims::new(2, 3, 5);
    (noise.normal(2, dims), noise.normal(2, dims))
}

/// One level of each kind.
fn kinds() -> [(&'static str, Level); 4] {
    let t: f64 = 0.4;
    let (b, a) = (std::f64::consts::FRAC_PI_2 * t).sin_cos();
    let flow = Level {
        a: 1.0 - t,
        b: 0.5 * t,
    };
    [
        ("vp", Level::vp(0.3, 0.5)),
        ("ve", Level::ve(0.7)),
        ("flow", flow),
        ("trigonometric", Level { a, b }),
    ]
}

fn largest(x: &Image) -> f64 {
    x.iter().fold(0.0, |m, v| f64::from(v.abs()).max(m))
}

/// `x = a*x0 + b*eps` and back. Wrong: `a^2 + b^2 = 1` taken for granted, a sign.
#[test]
fn conversions_agree_with_their_definitions() {
    let (x0, eps) = images();
    for (name, level) in kinds() {
        let Level { a, b } = level;
        let x = level.mix(&x0, &eps);
        let near = |got: Image, expected: &Image, what: &str| {
            let off = difference(&got, expected) / largest(expected).max(1.0);
            assert!(off < 2e-6, "{name}: {what} is off by {off:.1e}");
        };
        near(&x0 * a as f32 + &eps * b as f32, &x, "the mixture");
        near(level.x0_from_eps(&x, &eps), &x0, "x0 from eps");
        near(level.eps_from_x0(&x, &x0), &eps, "eps from x0");
    }
}

/// An error `d` of the clean image is one of `-a/b d` in eps: the weight that makes the losses equal.
#[test]
fn errors_scale_as_the_losses_say() {
    let (x0, eps) = images();
    let wrong = &x0 + 0.25;
    for (name, level) in kinds() {
        let Level { a, b } = level;
        let x = level.mix(&x0, &eps);
        let change = level.eps_from_x0(&x, &wrong) - level.eps_from_x0(&x, &x0);
        let off = largest(&(change + (a / b * 0.25) as f32));
        assert!(off < 1e-5, "{name}: off by {off:.1e}");
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
    let flow = Schedule::flow(4).levels(Range::IMAGE);
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
        Schedule::flow(10),
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
    // The published `iter_num = 100` visits 101: steps are levels here.
    let uniform = Subset::DiffpirUniform { steps: 101 }.indices(1000);
    assert_eq!((uniform.len(), uniform[0], uniform[1]), (101, 999, 989));
    assert_eq!(&uniform[98..], [19, 9, 0]);

    let quad = Subset::DdimQuad { steps: 50 }.indices(1000);
    // The published list has index 0 twice, and so 49 different ones; here the second becomes 1, and there are 50.
    assert_eq!((quad.len(), quad[49], quad[48], quad[47]), (50, 0, 1, 2));
    assert_eq!(&quad[44..47], [8, 5, 3]);
    assert!((799..=800).contains(&quad[0]));
    assert_eq!(
        Subset::All.indices(1000),
        Subset::Spaced { steps: 1000 }.indices(1000)
    );
}

/// The card of a prior that knows these sigmas, in image units.
fn knowing(sigma: [f64; 2]) -> Card {
    Card {
        sigma,
        ..Card::any()
    }
}

/// A grid stays within what the prior knows; where it knows none of the levels, that is an error, which says both. Wrong: the
/// cleanest level whatever the prior knows, which asks it for noise that it has never seen.
#[test]
fn grids_respect_the_prior() {
    let grid = Grid::ddpm(Subset::Spaced { steps: 10 });
    let levels = grid.levels(&knowing([0.0, 0.5])).unwrap();
    assert_eq!(levels.len(), 10);
    assert!(levels[0].sigma() <= 0.5 && levels[0].sigma() > 0.49);
    assert!(levels.windows(2).all(|w| w[0].sigma() > w[1].sigma()));
    let error = grid.levels(&knowing([0.0, 1e-6])).unwrap_err();
    let Error::Unknown { grid: ends, prior } = error else {
        panic!("{error}");
    };
    assert_eq!(prior, [0.0, 1e-6]);
    near(ends[0], 0.00500025, 6);
    assert_eq!(grid.len(&knowing([0.0, 1e-6])), 0);

    let hops: Vec<_> = walk(&levels).collect();
    assert_eq!(hops.len(), 10);
    assert_eq!(hops[3], (levels[3], levels[4]));
    assert_eq!(hops[9], (levels[9], Level::CLEAN));
}

/// Curves of sigma end where the prior does, with all their levels, and so does a flow; their inner levels are those of the
/// curve between the new ends. Wrong: levels beyond the ends dropped, or all set to the end.
#[test]
fn curves_end_where_the_prior_does() {
    let card = knowing([0.002, 0.5]);
    let ve = Schedule::Ve {
        sigma_min: 0.001,
        sigma_max: 50.0,
        steps: 7,
    };
    for schedule in [Schedule::edm(7), ve, Schedule::flow(7)] {
        let levels = Grid::all(schedule.clone()).levels(&card).unwrap();
        assert_eq!(levels.len(), 7, "{schedule:?}");
        near(levels[0].sigma(), 0.5, 9);
        assert!(levels.windows(2).all(|w| w[0].sigma() > w[1].sigma()));
        if !matches!(schedule, Schedule::Flow { .. }) {
            near(levels[6].sigma(), 0.002, 9);
        }
        if let Schedule::Edm { .. } = schedule {
            let root = |sigma: f64| sigma.powf(1.0 / 7.0);
            let middle = ((root(0.5) + root(0.002)) / 2.0).powi(7);
            near(levels[3].sigma(), middle, 9);
        }
    }
}

/// Every rule visits exactly as many different levels as it is told, also where its formula repeats itself, and also more than
/// the schedule has. Wrong: repeats dropped, or the schedule's length as a limit.
#[test]
fn subsets_visit_as_many_as_they_are_told() {
    let rules: [fn(usize) -> Subset; 6] = [
        |steps| Subset::Spaced { steps },
        |steps| Subset::Uniform { steps },
        |steps| Subset::Trailing { steps },
        |steps| Subset::DdimQuad { steps },
        |steps| Subset::DiffpirQuad { steps },
        |steps| Subset::DiffpirUniform { steps },
    ];
    for rule in rules {
        for sigma in [[0.0, f64::INFINITY], [0.002, 0.5], [0.02, 0.3]] {
            for n in [1, 2, 3, 7, 50, 60, 101, 333, 501, 999, 1000, 1001, 1500] {
                let subset = rule(n);
                let levels = Grid::ddpm(subset).levels(&knowing(sigma)).unwrap();
                assert_eq!(levels.len(), n, "{subset:?}, {sigma:?}");
                let falls = levels.windows(2).all(|w| w[0].sigma() > w[1].sigma());
                assert!(falls, "{subset:?}, {sigma:?}");
                let within = |l: &Level| (sigma[0]..=sigma[1]).contains(&l.sigma());
                assert!(levels.iter().all(within), "{subset:?}, {sigma:?}");
            }
        }
    }
}

/// One and the same law at other numbers: `with_steps` keeps the rule, and makes a curve anew. Wrong: EDM's 18 levels thinned
/// out to 9, whose second is 40.8.
#[test]
fn grids_with_other_numbers_of_steps() {
    let card = Card {
        range: Range::NETWORK,
        ..Card::any()
    };
    let edm = Grid::all(Schedule::edm(18)).with_steps(9);
    assert_eq!(edm, Grid::all(Schedule::edm(9)));
    near(edm.levels(&card).unwrap()[1].sigma(), 39.0167, 6);
    let quad = Grid::ddpm(Subset::DiffpirQuad { steps: 100 }).with_steps(20);
    assert_eq!(quad, Grid::ddpm(Subset::DiffpirQuad { steps: 20 }));
    let all = Grid::all(Schedule::DDPM).with_steps(1000);
    assert_eq!(all.levels(&card), Grid::all(Schedule::DDPM).levels(&card));
}

/// Betas that are stated, sigmas that are listed, the prior's own levels, and the shift of a flow. Wrong: a shift of `t/shift`,
/// which has 0.167 in the middle.
#[test]
fn the_other_schedules() {
    let ddpm = Schedule::Vp {
        beta: [1e-4, 0.02],
        steps: 1000,
    };
    let same = |p: &Schedule, q: &Schedule| p.levels(Range::IMAGE) == q.levels(Range::IMAGE);
    assert!(same(&ddpm, &Schedule::DDPM));
    let short = Schedule::Vp {
        beta: [1e-4, 0.02],
        steps: 250,
    };
    assert!(!same(&short, &Schedule::VpLinear { steps: 250 }));

    let listed = Grid::all(Schedule::Sigmas {
        sigmas: vec![0.1, 2.0, 0.5, 0.1],
    });
    let levels = listed.levels(&knowing([0.2, 9.0])).unwrap();
    assert_eq!(levels, [Level::ve(2.0), Level::ve(0.5)]);

    let own = vec![Level::vp(0.9, 0.5), Level::vp(0.1, 0.5)];
    let named = Card {
        levels: Some(own.clone()),
        ..Card::any()
    };
    let native = Grid::all(Schedule::Native {});
    assert_eq!(native.levels(&named).unwrap(), [own[1], own[0]]);
    assert_eq!(
        native.levels(&Card::any()),
        Err(Error::NotNative([0.0, f64::INFINITY]))
    );

    let shifted = Schedule::Flow {
        steps: 4,
        shift: 3.0,
    };
    near(shifted.levels(Range::NETWORK)[1].b, 0.75, 12);
}

/// Numbers that make no schedule, and numbers that would take all memory, are errors at once.
#[test]
fn schedules_that_cannot_be() {
    let card = Card::any();
    let curve = |sigma_min, sigma_max| Schedule::Ve {
        sigma_min,
        sigma_max,
        steps: 3,
    };
    let vp = |lo, hi| Schedule::Vp {
        beta: [lo, hi],
        steps: 3,
    };
    let edm = |rho| Schedule::Edm {
        sigma_min: 0.1,
        sigma_max: 1.0,
        rho,
        steps: 3,
    };
    for schedule in [
        Schedule::VpLinear { steps: 0 },
        Schedule::VpLinear {
            steps: 1_000_000_000_000,
        },
        Schedule::VpCosine { steps: usize::MAX },
        Schedule::flow(usize::MAX),
        Schedule::edm(usize::MAX),
        curve(0.0, 1.0),
        curve(2.0, 1.0),
        curve(f64::NAN, 1.0),
        curve(1.0, f64::INFINITY),
        vp(0.0, 0.1),
        vp(0.2, 0.1),
        vp(0.1, 1.0),
        edm(0.0),
        edm(f64::NAN),
        Schedule::Flow {
            steps: 3,
            shift: -1.0,
        },
        Schedule::Sigmas { sigmas: vec![] },
        Schedule::Sigmas { sigmas: vec![0.0] },
    ] {
        let error = Grid::all(schedule.clone()).levels(&card);
        assert!(matches!(error, Err(Error::Schedule { .. })), "{schedule:?}");
    }
    for steps in [0, MAX_STEPS + 1, 1_000_000_000_000, usize::MAX] {
        for subset in [Subset::Spaced { steps }, Subset::DdimQuad { steps }] {
            let error = Grid::ddpm(subset).levels(&card);
            assert_eq!(error, Err(Error::Steps(steps)));
        }
    }
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
        let score = &eps * (-1.0 / now.b) as f32;
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
        Schedule::flow(20),
    ] {
        let levels = schedule.levels(Range::IMAGE);
        for pair in levels.windows(2) {
            let hop = Transition::new(pair[1], pair[0]);
            near(hop.ratio * hop.s.a, hop.t.a, 9);
            near((hop.ratio * hop.s.b).powi(2) + hop.var, hop.t.b.powi(2), 9);
        }
    }
}
