//! The exact mixture prior: its derivatives, and samplers on several modes.

use ndarray::Array2;
use tweedie::grid::{Grid, Schedule, Subset};
use tweedie::level::{Level, Range};
use tweedie::noise::Seeded;
use tweedie::prior::{Error, Gaussian, Mixture, Prior};
use tweedie::run::Run;
use tweedie::sampler::{Ddim, Ddpm, Edm, Renoise, Sampler, Variance};
use tweedie::{Dims, Image};

use crate::fixture::{columns, difference, tweedie_score};

const PLANE: Dims = Dims::new(2, 1, 1);

fn component(mean: [f64; 2], k: [[f64; 2]; 2]) -> Gaussian {
    let covariance = Array2::from_shape_fn((2, 2), |(i, j)| k[i][j]);
    Gaussian::new(PLANE, &mean, &covariance, Range::NETWORK).unwrap()
}

/// Two unequal components that overlap.
fn toy() -> Mixture {
    Mixture::new(vec![
        (0.4, component([-1.0, 0.0], [[0.2, 0.0], [0.0, 0.5]])),
        (0.6, component([1.0, 0.5], [[0.3, 0.1], [0.1, 0.2]])),
    ])
    .unwrap()
}

fn at(x: f32, y: f32) -> Image {
    Image::from_shape_vec((1, 2, 1, 1), vec![x, y]).unwrap()
}

/// Points and steps are dyadic, so that f32 holds them exactly.
const H: f32 = 1.0 / 128.0;
const POINTS: [(f32, f32); 4] = [(0.0, 0.25), (-0.75, 0.5), (0.125, -1.0), (2.0, 1.5)];
const LEVELS: [Level; 3] = [
    Level { a: 1.0, b: 0.3 },
    Level { a: 0.8, b: 0.6 },
    Level { a: 0.4, b: 1.5 },
];

/// Score: from the sum over components, from the denoiser, from differences of the log-density.
#[test]
fn score_density_and_denoiser_agree() {
    let prior = toy();
    for level in LEVELS {
        for (px, py) in POINTS {
            let x = at(px, py);
            let score = prior.score(&x, level).unwrap();
            let tweedie = tweedie_score(level, &x, &prior.denoise(&x, level).unwrap().x0);
            assert!(difference(&score, &tweedie) < 2e-5);
            let density = |x: Image| prior.log_density(&x, level).unwrap()[0];
            let slopes = [
                density(at(px + H, py)) - density(at(px - H, py)),
                density(at(px, py + H)) - density(at(px, py - H)),
            ];
            for (slope, s) in slopes.iter().zip(&score) {
                let slope = slope / f64::from(2.0 * H);
                // Central differences are off by H^2/6 of a third derivative, here at most about 100.
                assert!((slope - f64::from(*s)).abs() < 2e-3, "{slope} {s}");
            }
        }
    }
}

/// `J^T v` against differences of the denoiser. Wrong: without the change of the components' shares, off by 1 and more
/// between the modes; with the transposed outer product, off where `D` and score point different ways.
#[test]
fn pullback_is_the_transposed_derivative() {
    let prior = toy();
    let mut largest = 0.0_f64;
    for level in LEVELS {
        for (px, py) in POINTS {
            let denoise = |x: f32, y: f32| columns(&prior.denoise(&at(x, y), level).unwrap().x0);
            let dx = (denoise(px + H, py) - denoise(px - H, py)) / f64::from(2.0 * H);
            let dy = (denoise(px, py + H) - denoise(px, py - H)) / f64::from(2.0 * H);
            for (v0, v1) in [(1.0, 0.0), (0.0, 1.0), (0.7, -1.3)] {
                let (_, pullback) = prior.denoise_with_pullback(&at(px, py), level).unwrap();
                let pulled = columns(&pullback(&at(v0, v1)).unwrap());
                let (v0, v1) = (f64::from(v0), f64::from(v1));
                let expected = [dx[0] * v0 + dx[1] * v1, dy[0] * v0 + dy[1] * v1];
                for (p, e) in pulled.iter().zip(expected) {
                    assert!((p - e).abs() < 3e-3 * e.abs().max(1.0), "{p} {e}");
                }
                if v0 * v0 + v1 * v1 == 1.0 {
                    largest = largest.max(pulled.norm());
                }
            }
        }
    }
    // The components alone stretch by at most 0.85: the points do see the second term.
    assert!(largest > 1.0, "{largest}");
}

/// `J = (I + b^2 Hess log p)/a`, the second-order form of Tweedie's formula, so that `J` is symmetric.
#[test]
fn jacobian_is_the_hessian_of_the_log_density() {
    let prior = toy();
    let (level, h) = (Level { a: 0.8, b: 0.6 }, f64::from(H));
    for (px, py) in POINTS {
        let density = |x, y| prior.log_density(&at(x, y), level).unwrap()[0];
        let here = density(px, py);
        let xx = (density(px + H, py) - 2.0 * here + density(px - H, py)) / (h * h);
        let yy = (density(px, py + H) - 2.0 * here + density(px, py - H)) / (h * h);
        let corners = density(px + H, py + H) - density(px + H, py - H) - density(px - H, py + H)
            + density(px - H, py - H);
        let xy = corners / (4.0 * h * h);
        let b2 = level.b * level.b;
        let expected = [[1.0 + b2 * xx, b2 * xy], [b2 * xy, 1.0 + b2 * yy]];
        for (k, row) in expected.iter().enumerate() {
            let unit = if k == 0 { at(1.0, 0.0) } else { at(0.0, 1.0) };
            let (_, pullback) = prior.denoise_with_pullback(&at(px, py), level).unwrap();
            for (j, e) in columns(&pullback(&unit).unwrap()).iter().zip(row) {
                assert!((j - e / level.a).abs() < 2e-3, "{j} {e}");
            }
        }
    }
}

/// Wrong: shares without the log-sum-exp, which are 0/0 far from all components.
#[test]
fn far_away_it_stays_finite() {
    let prior = toy();
    let level = Level::ve(0.01);
    for (x, y) in [(1e4, -1e4), (-300.0, 7.0)] {
        let x0 = prior.denoise(&at(x, y), level).unwrap().x0;
        assert!(x0.iter().all(|v| v.is_finite()));
        let shares = prior.responsibilities(&at(x, y), level).unwrap();
        assert!((shares.sum() - 1.0).abs() < 1e-12);
    }
}

/// Equal components are one, and narrow ones are the softmax over their means.
#[test]
fn limiting_cases() {
    let one = component([0.3, -0.2], [[0.3, 0.1], [0.1, 0.2]]);
    let twice = Mixture::new(vec![(1.0, one.clone()), (3.0, one.clone())]).unwrap();
    let (x, level) = (at(0.7, 0.4), Level { a: 0.8, b: 0.6 });
    assert!(
        difference(
            &twice.denoise(&x, level).unwrap().x0,
            &one.denoise(&x, level).unwrap().x0
        ) < 1e-6
    );

    let means = [[-0.5, 0.25], [0.5, 0.0], [0.0, -0.75]];
    let pictures = means.map(|m| (1.0, component(m, [[0.0; 2]; 2])));
    let prior = Mixture::new(pictures.to_vec()).unwrap();
    let weights = means.map(|m| {
        let d2 = (0.7_f32 as f64 - 0.8 * m[0]).powi(2) + (0.4_f32 as f64 - 0.8 * m[1]).powi(2);
        (-d2 / (2.0 * 0.36)).exp()
    });
    let total: f64 = weights.iter().sum();
    let x0 = prior.denoise(&x, level).unwrap().x0;
    for i in 0..2 {
        let expected: f64 = (0..3).map(|k| weights[k] * means[k][i] / total).sum();
        assert!((f64::from(x0[[0, i, 0, 0]]) - expected).abs() < 1e-6);
    }
}

#[test]
fn refuses_what_is_none() {
    let one = component([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]);
    let small = Gaussian::new(Dims::new(1, 1, 1), &[0.0], &Array2::eye(1), Range::NETWORK).unwrap();
    let bad = [
        vec![],
        vec![(0.0, one.clone())],
        vec![(f64::NAN, one.clone())],
        vec![(1.0, one.clone()), (-0.5, one.clone())],
        vec![(1.0, one), (1.0, small)],
    ];
    for parts in bad {
        assert!(matches!(Mixture::new(parts), Err(Error::Invalid(_))));
    }
    assert!(matches!(
        toy().denoise(&Image::zeros((1, 3, 1, 1)), Level::ve(1.0)),
        Err(Error::Shape { .. })
    ));
}

/// Share of the second component, mean and covariance of many draws, against the mixture's own:
/// mean (0.2, 0.3), covariance `sum w_k (K_k + m_k m_k^T) - m m^T`.
fn check_draws(name: &str, sampler: &dyn Sampler) {
    let (prior, n) = (toy(), 20_000);
    let x = sampler.sample(&prior, n, PLANE, &mut Run::new(21)).unwrap();
    let shares = prior.responsibilities(&x, Level::ve(1e-3)).unwrap();
    let second = shares.column(1).sum() / n as f64;
    // Four standard errors of a share of 0.6, and the same again for the discretisation.
    assert!((second - 0.6).abs() < 0.022 + 0.01, "{name}: {second}");
    let draws = columns(&x);
    let mean = draws.column_mean();
    assert!(
        (mean[0] - 0.2).abs() < 0.065 && (mean[1] - 0.3).abs() < 0.045,
        "{name}: {mean}"
    );
    let mut moments = [0.0; 3];
    for column in draws.column_iter() {
        let (p, q) = (column[0] - mean[0], column[1] - mean[1]);
        for (m, v) in moments.iter_mut().zip([p * p, q * q, p * q]) {
            *m += v / n as f64;
        }
    }
    for (m, expected) in moments.iter().zip([1.22, 0.38, 0.3]) {
        assert!((m - expected).abs() < 0.05, "{name}: {moments:?}");
    }
}

/// Modes are found in their proportion, at any of the three kinds of levels. Wrong: a score that ignores the shares puts
/// all into one mode.
#[test]
fn samplers_find_both_modes_in_proportion() {
    let vp = Grid {
        schedule: Schedule::DDPM,
        subset: Subset::Spaced { steps: 200 },
    };
    let flow = Grid::all(Schedule::flow(200));
    let ddpm = Ddpm {
        grid: vp.clone(),
        variance: Variance::Large,
        clamp: false,
    };
    check_draws("ddpm", &ddpm);
    check_draws(
        "ddpm on a flow",
        &Ddpm {
            grid: flow.clone(),
            ..ddpm
        },
    );
    for eta in [0.0, 1.0] {
        let ddim = Ddim {
            grid: vp.clone(),
            renoise: Renoise::Ddim { eta },
            clamp: false,
        };
        check_draws("ddim", &ddim);
        let flow = Ddim {
            grid: flow.clone(),
            ..ddim
        };
        check_draws("ddim on a flow", &flow);
    }
    let edm = Edm {
        grid: Grid::all(Schedule::edm(40)),
        ..Edm::default()
    };
    check_draws("edm", &edm);
    // Churn makes larger steps of the same number: with 40, variances are 4 % too large.
    let churned = Edm {
        grid: Grid::all(Schedule::edm(80)),
        churn: 20.0,
        ..edm
    };
    check_draws("edm with churn", &churned);
}

/// Draws from the exact components have the moments that the samplers are held to.
#[test]
fn the_moments_are_right() {
    let parts = [
        (0.4, component([-1.0, 0.0], [[0.2, 0.0], [0.0, 0.5]])),
        (0.6, component([1.0, 0.5], [[0.3, 0.1], [0.1, 0.2]])),
    ];
    let (mut mean, mut square) = ([0.0; 2], 0.0);
    for (w, part) in parts {
        let draws = columns(&part.sample(40_000, &mut Seeded::new(2, "test")));
        for column in draws.column_iter() {
            mean[0] += w * column[0] / 40_000.0;
            mean[1] += w * column[1] / 40_000.0;
            square += w * column[0] * column[1] / 40_000.0;
        }
    }
    assert!((mean[0] - 0.2).abs() < 0.01 && (mean[1] - 0.3).abs() < 0.01);
    assert!((square - mean[0] * mean[1] - 0.3).abs() < 0.015);
}
