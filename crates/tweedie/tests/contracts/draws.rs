//! Random numbers: which depend on which, and what draws have in common.

use tweedie::image::Picture;
use tweedie::level::Range;
use tweedie::method::{self, DiffPir, Draws, Mean, Method, Start};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{BlurSpec, Boundary, IdentitySpec, Mask, Spec};
use tweedie::problem::{Noise, Problem};
use tweedie::restore::{Choice, Job, degrade};
use tweedie::run::Run;
use tweedie::{Dims, Image, sampler};

use crate::fixture::{V, White, measured, truth};

const PLANE: Dims = Dims::new(1, 6, 7);

fn mse(x: &Image, y: &Image) -> f64 {
    (x - y).mapv(|e| f64::from(e).powi(2)).sum() / x.len() as f64
}

/// DiffPIR without fresh noise hears but one draw, the start.
fn quiet() -> DiffPir {
    DiffPir {
        zeta: 0.0,
        start: Start::Noise,
        clamp: false,
        ..DiffPir::default()
    }
}

/// Streams of one seed have nothing in common, of one name and other seeds neither.
#[test]
fn streams_are_independent() {
    let dims = Dims::new(1, 200, 200);
    let draw = |seed, name| Seeded::new(seed, name).normal(1, dims);
    let names = ["measurement", "method", "mask", "kernel", "norm"];
    let mut all: Vec<Image> = names.iter().map(|name| draw(7, name)).collect();
    all.push(draw(8, "method"));
    all.push(draw(7 + (1 << 32), "method"));
    for (i, p) in all.iter().enumerate() {
        for q in &all[..i] {
            let correlation = (p * q).sum() / 40_000.0;
            assert!(correlation.abs() < 4.0 / 200.0, "{correlation}");
        }
    }
}

/// Measuring and restoring with one seed is as good as with two. Wrong: one stream for both, with which the method starts from
/// the very noise that it is to remove; the last lines show by how much.
#[test]
fn the_measurement_and_the_method_hear_different_noise() {
    let (prior, sigma) = (White::any(), 0.2);
    let dims = Dims::new(1, 64, 64);
    let spec = Spec::from(IdentitySpec {});
    let restored = |y: &Picture, seed| {
        let mut job = Job::new(spec.clone());
        job.noise = Some(Noise::White(sigma));
        job.method = Choice::Settings(Box::new(quiet().into()));
        job.seed = seed;
        job.prepare(y, &prior.card)
            .unwrap()
            .run(&prior, ())
            .unwrap()
            .0
            .pixels
    };
    let (mut equal, mut different, mut shared) = (0.0, 0.0, 0.0);
    for seed in 0..4 {
        let picture = Picture::new(truth(dims, 10 + seed));
        let y = degrade(&picture, &spec, sigma, seed).unwrap().picture;
        equal += mse(&restored(&y, seed), &picture.pixels);
        different += mse(&restored(&y, 100 + seed), &picture.pixels);
        let noise = Seeded::new(seed, "method").normal(1, dims) * sigma as f32;
        let wrong = picture.with_pixels(&picture.pixels + &noise);
        shared += mse(&restored(&wrong, seed), &picture.pixels);
    }
    // 16384 squared errors: 1.1 % is one standard deviation of either.
    assert!(
        (equal / different - 1.0).abs() < 0.06,
        "{equal} {different}"
    );
    assert!(
        (shared / different - 1.0).abs() > 0.12,
        "{shared} {different}"
    );
}

/// Masks and kernels of a seed are not those of the measurement's noise either, and do not move with the number of pictures.
#[test]
fn seeds_decide() {
    let picture = Picture::new(truth(PLANE, 1));
    let blur = BlurSpec {
        kernel: "box:3".parse().unwrap(),
        boundary: Boundary::Circular.into(),
    };
    let measure = |seed| degrade(&picture, &blur.clone().into(), 0.1, seed).unwrap();
    assert!(measure(3).picture.pixels == measure(3).picture.pixels);
    assert!(measure(3).picture.pixels != measure(4).picture.pixels);
    let mask = |seed| Mask::random(PLANE, 0.5, seed).unwrap();
    assert!(mask(3) == mask(3) && mask(3) != mask(4));
}

/// Picture `k` of a batch is what it would be alone as number `k`. Wrong: one stream that the whole batch shares.
#[test]
fn pictures_are_drawn_as_if_alone() {
    let prior = White::any();
    for name in sampler::Settings::NAMES {
        let settings = sampler::Settings::named(name).unwrap().with_steps(5);
        let sample = |batch, first| {
            let noise = Seeded::new(4, "method").from_picture(first);
            let mut run = Run::with(noise, ());
            settings
                .as_dyn()
                .sample(&prior, batch, PLANE, &mut run)
                .unwrap()
        };
        let all = sample(3, 0);
        for k in 0..3 {
            let alone = sample(1, k);
            assert!(
                all.slice(ndarray::s![k..=k, .., .., ..]) == alone,
                "{name}, {k}"
            );
        }
    }
}

fn fresh() -> method::Settings {
    method::Settings::from(DiffPir::fresh()).with_steps(4)
}

fn copies(problem: &Problem, n: usize) -> Problem {
    let views = vec![problem.y.view(); n];
    let y = ndarray::concatenate(ndarray::Axis(0), &views).unwrap();
    let operator = Mask::random(PLANE, 0.5, 1).unwrap();
    Problem::new(y, Box::new(operator), problem.noise).unwrap()
}

/// Draw `k` is what the method makes as picture `k` of a batch; their mean and standard deviation are those of the batch. Wrong:
/// draws that go on with one stream, so that draw 1 depends on the number of steps; a deviation divided by `n`.
#[test]
fn draws_are_pictures_of_a_batch() {
    let (prior, of) = (White::any(), fresh());
    let problem = measured(Mask::random(PLANE, 0.5, 1).unwrap(), 0.1);
    let draws = Draws { n: 3, of: &of };
    let batch = draws.batch(&prior, &problem, &mut Run::new(6)).unwrap();
    let together = of
        .as_dyn()
        .restore(&prior, &copies(&problem, 3), &mut Run::new(6))
        .unwrap();
    assert!(batch == together.x);
    let first = of
        .as_dyn()
        .restore(&prior, &problem, &mut Run::new(6))
        .unwrap();
    assert!(batch.slice(ndarray::s![..1, .., .., ..]) == first.x);

    let summary = draws.mean(&prior, &problem, &mut Run::new(6)).unwrap();
    let mean = batch.mean_axis(ndarray::Axis(0)).unwrap();
    let std = batch.std_axis(ndarray::Axis(0), 1.0);
    let near = |p: &Image, q: &ndarray::Array3<f32>| {
        let off = (&p.index_axis(ndarray::Axis(0), 0) - q).mapv(f32::abs);
        off.iter().all(|&v| v < 1e-6)
    };
    assert!(near(&summary.x, &mean) && near(&summary.std.unwrap(), &std));
    assert!(std.iter().any(|&s| s > 0.01));

    let as_method = Mean {
        draws: 3,
        of: Box::new(of.clone()),
    };
    assert!(as_method.knows_spread());
    let same = as_method
        .restore(&prior, &problem, &mut Run::new(6))
        .unwrap();
    assert!(same.x == summary.x);
    let single = Mean {
        draws: 1,
        ..as_method
    };
    let alone = single.restore(&prior, &problem, &mut Run::new(6)).unwrap();
    assert!(!single.knows_spread() && alone.std.is_none() && alone.x == first.x);
}

/// The draws of means of draws are all different. Wrong: inner draws that begin with picture 0 each time, so that the outer ones
/// are one and the same, and their spread is none.
#[test]
fn nested_draws_share_nothing() {
    let prior = White::any();
    let problem = measured(Mask::random(PLANE, 0.5, 1).unwrap(), 0.1);
    let inner = Mean {
        draws: 2,
        of: Box::new(fresh()),
    };
    let outer = Mean {
        draws: 3,
        of: Box::new(inner.into()),
    };
    let flat = Mean {
        draws: 6,
        of: Box::new(fresh()),
    };
    let solve = |mean: &Mean| mean.restore(&prior, &problem, &mut Run::new(6)).unwrap();
    let (nested, flat) = (solve(&outer), solve(&flat));
    assert!(mse(&nested.x, &flat.x) < 1e-12);
    assert!(nested.std.unwrap().iter().any(|&s| s > 0.01));
}

/// Draws of a prior of independent pixels have its variance: the start and the steps do not share noise.
#[test]
fn samplers_draw_the_variance() {
    let prior = White::any();
    let dims = Dims::new(1, 100, 100);
    let ddpm = sampler::Settings::named("ddpm").unwrap().with_steps(300);
    let x = ddpm
        .as_dyn()
        .sample(&prior, 1, dims, &mut Run::new(2))
        .unwrap();
    let variance = mse(&x, &Image::from_elem(x.dim(), Range::IMAGE.center as f32));
    // The small variance and the clamp take a few percent.
    assert!((variance / V - 1.0).abs() < 0.08, "{variance}");
}
