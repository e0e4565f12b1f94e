//! The methods without a prior against closed forms and independent solutions in f64.

use ndarray::{Array2, Array4, s};
use tweedie::level::Level;
use tweedie::method::{self, Method, Tikhonov, Tv, TvAdmm, Wavelet, WaveletFamily};
use tweedie::noise::{NoiseSource, Seeded, Zeros};
use tweedie::operator::{Blur, Boundary, Downsample, Identity, Kernel, Linear, Mask, Operator};
use tweedie::prior::{self, Card, Estimate, Prior};
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Dims, Image};

use crate::fixture::difference;

/// A prior that must not be asked.
#[derive(Debug)]
struct Unasked(Card);

impl Prior for Unasked {
    fn card(&self) -> &Card {
        &self.0
    }

    fn estimate(&self, _: &Image, _: Level) -> Result<Estimate, prior::Error> {
        panic!("a classical method asked the prior")
    }
}

fn unasked() -> Unasked {
    Unasked(Card::any())
}

fn solved(method: &dyn Method, problem: &Problem) -> Image {
    let mut run = Run::with(Zeros, ());
    let x = method.restore(&unasked(), problem, &mut run).unwrap().x;
    assert_eq!(run.nfe(), 0);
    x
}

/// A picture with edges, slopes and noise.
fn picture(dims: Dims, sigma: f64) -> Image {
    let noise = Seeded::new(3, "test").normal(1, dims);
    let clean = Image::from_shape_fn(dims.batch(1), |(_, c, i, j)| {
        let disk = (i as f32 - 7.0).hypot(j as f32 - 6.0) < 4.5;
        0.2 + 0.02 * (i + c) as f32 + if disk { 0.5 } else { 0.0 }
    });
    clean + noise * sigma as f32
}

fn problem(operator: impl Operator + 'static, y: Image, sigma: f64) -> Problem {
    Problem::new(y, Box::new(operator), sigma).unwrap()
}

/// A step of 8 and 4 pixels loses its height at both ends: each side moves by the weight over its length, `|mean - y|`, in every
/// row. Wrong: twice that, as without the half of the data term; the weight as a variance; rows that pull at each other.
#[test]
fn total_variation_of_a_step() {
    let dims = Dims::new(1, 5, 12);
    let y = Image::from_shape_fn(dims.batch(1), |(_, _, _, j)| if j < 8 { 0.2 } else { 0.8 });
    let problem = problem(Identity::new(dims).unwrap(), y, 0.05);
    let weight = 0.8 * 0.05;
    let expected = Image::from_shape_fn(dims.batch(1), |(_, _, _, j)| match j < 8 {
        true => 0.2 + weight as f32 / 8.0,
        false => 0.8 - weight as f32 / 4.0,
    });
    let tv = Tv {
        steps: 1000,
        lambda: 0.8,
    };
    let admm = TvAdmm {
        steps: 300,
        ..TvAdmm::default()
    };
    for (name, method) in [("tv", &tv as &dyn Method), ("tv-admm", &admm)] {
        let off = difference(&solved(method, &problem), &expected);
        assert!(off < 1e-4, "{name}: {off:.1e}");
    }
}

/// `|A x - y|^2/2 + weight*|D x|_1`, in f64.
fn objective(problem: &Problem, x: &Image, weight: f64) -> f64 {
    let data: f64 = problem
        .residual(x)
        .iter()
        .map(|&r| f64::from(r).powi(2))
        .sum();
    let (n, c, h, w) = x.dim();
    let mut tv = 0.0;
    for (n, c, i, j) in ndarray::indices((n, c, h, w)) {
        let at = |i: usize, j: usize| f64::from(x[[n, c, i.min(h - 1), j.min(w - 1)]]);
        tv += (at(i + 1, j) - at(i, j)).hypot(at(i, j + 1) - at(i, j));
    }
    data / 2.0 + weight * tv
}

/// Chambolle and Pock's steps and ADMM's lead to the same objective, for every kind of operator. Wrong: steps too long for the
/// operator's norm (which diverge), a multiplier of the wrong sign, anisotropic differences in one of them.
#[test]
fn the_two_ways_to_total_variation_agree() {
    let dims = Dims::new(2, 16, 14);
    let kernel = Kernel::gaussian(1.2, None).unwrap();
    let operators: [Box<dyn Operator>; 4] = [
        Box::new(Identity::new(dims).unwrap()),
        Box::new(Blur::new(dims, kernel, Boundary::Symmetric).unwrap()),
        Box::new(Mask::random(dims, 0.5, 1).unwrap()),
        Box::new(Downsample::bicubic(dims, 2).unwrap()),
    ];
    for operator in operators {
        let name = operator.name();
        let clean = operator.apply(&picture(dims, 0.0));
        let noise = Seeded::new(5, "noise").normal(1, operator.output());
        let problem = Problem::new(clean + noise * 0.05, operator, 0.05).unwrap();
        let weight = 0.5 * 0.05;
        let tv = Tv {
            steps: 3000,
            lambda: 0.5,
        };
        let admm = TvAdmm {
            steps: 600,
            lambda: 0.5,
            ..TvAdmm::default()
        };
        let of = |method: &dyn Method| objective(&problem, &solved(method, &problem), weight);
        let (a, b) = (of(&tv), of(&admm));
        assert!((a / b - 1.0).abs() < 1e-3, "{name}: {a} and {b}");
        let usual = objective(
            &problem,
            &solved(
                &Tv {
                    lambda: 0.5,
                    ..Tv::default()
                },
                &problem,
            ),
            weight,
        );
        assert!(
            usual < 1.01 * a,
            "{name}: {usual} after the usual steps, {a} at the end"
        );
    }
}

/// Denoising by projected gradients on the dual (Chambolle 2004), in f64: another algorithm for the same picture.
fn dual(y: &Array2<f64>, weight: f64, steps: usize) -> Array2<f64> {
    let (h, w) = y.dim();
    let mut p = [Array2::<f64>::zeros((h, w)), Array2::zeros((h, w))];
    let back = |p: &[Array2<f64>; 2]| {
        Array2::from_shape_fn((h, w), |(i, j)| {
            let mut sum = 0.0;
            if i + 1 < h {
                sum -= p[0][[i, j]];
            }
            if i > 0 {
                sum += p[0][[i - 1, j]];
            }
            if j + 1 < w {
                sum -= p[1][[i, j]];
            }
            if j > 0 {
                sum += p[1][[i, j - 1]];
            }
            sum
        })
    };
    for _ in 0..steps {
        let x = y - &back(&p);
        for (i, j) in ndarray::indices((h, w)) {
            let down = if i + 1 < h {
                x[[i + 1, j]] - x[[i, j]]
            } else {
                0.0
            };
            let right = if j + 1 < w {
                x[[i, j + 1]] - x[[i, j]]
            } else {
                0.0
            };
            let (a, b) = (p[0][[i, j]] + down / 8.0, p[1][[i, j]] + right / 8.0);
            let over = (a.hypot(b) / weight).max(1.0);
            p[0][[i, j]] = a / over;
            p[1][[i, j]] = b / over;
        }
    }
    y - &back(&p)
}

/// Both ways give the picture of a third one. Wrong: differences across the edges, channels that share their edges.
#[test]
fn total_variation_as_by_the_dual() {
    let dims = Dims::new(2, 16, 14);
    let y = picture(dims, 0.08);
    let problem = problem(Identity::new(dims).unwrap(), y.clone(), 0.08);
    let tv = solved(
        &Tv {
            steps: 6000,
            lambda: 0.8,
        },
        &problem,
    );
    let admm = solved(
        &TvAdmm {
            steps: 1500,
            ..TvAdmm::default()
        },
        &problem,
    );
    for c in 0..2 {
        let of = |x: &Image| x.slice(s![0, c, .., ..]).mapv(f64::from);
        let expected = dual(&of(&y), 0.8 * 0.08, 30_000);
        for x in [&tv, &admm] {
            let off = (of(x) - &expected)
                .iter()
                .fold(0.0_f64, |m, v| m.max(v.abs()));
            assert!(off < 1e-3, "{off:.1e}");
        }
        assert!((of(&y) - &expected).iter().any(|v| v.abs() > 0.05));
    }
}

/// The coefficients of 2x2 blocks: their sum over 2, and three differences over 2.
fn haar(x: &Array4<f64>) -> Array4<f64> {
    Array4::from_shape_fn(x.dim(), |(n, c, i, j)| {
        let (top, left) = (i / 2 * 2, j / 2 * 2);
        let sign = |k: usize, odd: bool| if odd && k == 1 { -0.5 } else { 0.5 };
        let mut sum = 0.0;
        for (k, l) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let sign = 2.0 * sign(k, i % 2 == 1) * sign(l, j % 2 == 1);
            sum += sign * x[[n, c, top + k, left + l]];
        }
        sum
    })
}

/// Removing noise with an orthonormal transform has a closed form: each detail nearer to 0 by `lambda*sigma`. Wrong: means that
/// shrink too, hard thresholds, a variance for the threshold.
#[test]
fn an_orthonormal_transform_shrinks_each_detail() {
    let dims = Dims::new(2, 8, 6);
    let y = picture(dims, 0.1);
    let problem = problem(Identity::new(dims).unwrap(), y.clone(), 0.1);
    let wavelet = Wavelet {
        lambda: 0.7,
        family: WaveletFamily::Haar,
        levels: 1,
        cycle_spin: false,
        ..Wavelet::default()
    };
    let got = haar(&solved(&wavelet, &problem).mapv(f64::from));
    let before = haar(&y.mapv(f64::from));
    let mut shrunk = 0;
    for ((n, c, i, j), &v) in before.indexed_iter() {
        let detail = i % 2 == 1 || j % 2 == 1;
        let expected = if detail {
            v.signum() * (v.abs() - 0.07).max(0.0)
        } else {
            v
        };
        assert!((got[[n, c, i, j]] - expected).abs() < 1e-5, "{i} {j}: {v}");
        shrunk += usize::from(detail && expected == 0.0);
    }
    assert!((10..60).contains(&shrunk), "{shrunk}");
}

/// With a blur the answer is where the objective has no way down: what pulls at a detail is the weight where the detail is not 0, and
/// no more where it is; nothing pulls at means. Wrong: a weight that still depends on the step, or is the threshold itself.
#[test]
fn sparse_answers_are_optimal() {
    let dims = Dims::new(1, 16, 12);
    let blur = Blur::new(
        dims,
        Kernel::gaussian(0.8, None).unwrap(),
        Boundary::Symmetric,
    )
    .unwrap();
    let y = blur.apply(&picture(dims, 0.0)) + Seeded::new(5, "noise").normal(1, dims) * 0.03;
    let problem = problem(blur, y, 0.03);
    let wavelet = Wavelet {
        steps: 3000,
        lambda: 0.5,
        family: WaveletFamily::Haar,
        levels: 1,
        cycle_spin: false,
    };
    let weight = 0.5 * 0.03;
    let x = solved(&wavelet, &problem);
    let details = haar(&x.mapv(f64::from));
    let pull = haar(&problem.pull(&x).mapv(f64::from));
    let mut zeros = 0;
    for ((n, c, i, j), &v) in details.indexed_iter() {
        let pull = pull[[n, c, i, j]];
        let detail = i % 2 == 1 || j % 2 == 1;
        let off = match detail {
            false => pull.abs(),
            true if v.abs() > 1e-4 => (pull - weight * v.signum()).abs(),
            true => (pull.abs() - weight).max(0.0),
        };
        assert!(off < 2e-4, "{i} {j}: pull {pull} at {v}");
        zeros += usize::from(detail && v.abs() <= 1e-4);
    }
    assert!((20..140).contains(&zeros), "{zeros}");
}

/// What `tikhonov`, `guess` and `classical` give is what the operator says. Wrong: smoothing where `classical` is to interpolate, a
/// variance for a standard deviation.
#[test]
fn the_plain_baselines() {
    let dims = Dims::new(1, 12, 10);
    let down = || Downsample::bicubic(dims, 2).unwrap();
    let y = down().apply(&picture(dims, 0.0));
    let named = |name: &str, sigma: f64| {
        let settings = method::Settings::named(name).unwrap();
        solved(settings.as_dyn(), &problem(down(), y.clone(), sigma))
    };
    let smooth = |lambda: f64| down().tikhonov(&y, lambda);
    assert!(difference(&named("tikhonov", 0.05), &smooth(0.25)) < 1e-6);
    assert!(difference(&named("tikhonov", 0.0), &smooth(1e-4)) < 1e-6);
    let rough = Tikhonov { difference: 0.05 };
    let rough = solved(&rough, &problem(down(), y.clone(), 0.05));
    assert!(difference(&rough, &smooth(1.0)) < 1e-6);
    assert_eq!(named("guess", 0.05), down().guess(&y));
    assert_eq!(named("classical", 0.0), named("guess", 0.0));
    assert_eq!(named("classical", 0.05), named("tikhonov", 0.05));
}

/// No classical method asks the prior, also with settings for the task, of an odd size and of one pixel; numbers that cannot be are
/// refused.
#[test]
fn the_prior_is_not_asked() {
    for dims in [Dims::new(3, 7, 9), Dims::new(1, 1, 1), Dims::new(1, 1, 5)] {
        let operator = Identity::new(dims).unwrap();
        let problem = problem(operator, Image::from_elem(dims.batch(2), 0.4), 0.1);
        for name in ["classical", "guess", "tikhonov", "tv", "tv-admm", "wavelet"] {
            let task = method::Task::of(&problem, None);
            let settings = method::Settings::tuned(name, &task).unwrap();
            let x = solved(settings.as_dyn(), &problem);
            assert!(x.iter().all(|&v| (v - 0.4).abs() < 1e-3), "{name}: {x}");
        }
    }
    let dims = Dims::new(1, 4, 4);
    let wrong: [Box<dyn Method>; 6] = [
        Box::new(Tv {
            steps: 0,
            ..Tv::default()
        }),
        Box::new(Tv {
            lambda: f64::NAN,
            ..Tv::default()
        }),
        Box::new(TvAdmm {
            difference: 0.0,
            ..TvAdmm::default()
        }),
        Box::new(Wavelet {
            levels: 0,
            ..Wavelet::default()
        }),
        Box::new(Wavelet {
            steps: usize::MAX,
            ..Wavelet::default()
        }),
        Box::new(Tikhonov { difference: -1.0 }),
    ];
    for method in wrong {
        let problem = problem(Identity::new(dims).unwrap(), picture(dims, 0.1), 0.1);
        let result = method.restore(&unasked(), &problem, &mut Run::new(1));
        assert!(matches!(result, Err(tweedie::run::Error::Unfit(_))));
    }
}
