//! The exact posterior of operators that act on each pixel alone: means to rounding, draws as the theory says.

use nalgebra::{DMatrix, DVector};
use ndarray::{Array2, Array3, Axis};
use tweedie::level::{Level, Range, walk};
use tweedie::method::{Exact, Method};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::noise_map::{Basis, NoiseMap};
use tweedie::operator::{Gray, GrayWeights, Identity, Mask, Operator, Pixelwise, Spec};
use tweedie::prior::{Gaussian, Mixture, Prior};
use tweedie::problem::Problem;
use tweedie::registry::Described;
use tweedie::run::Run;
use tweedie::sampler::Edm;
use tweedie::{Dims, Image};

use crate::fixture::*;
use crate::priors::dense_texture;

const COLOURS: Dims = Dims::new(3, 2, 3);

/// A Gaussian whose numbers all depend on each other.
fn dense(dims: Dims, seed: u64) -> (Gaussian, DMatrix<f64>, DVector<f64>) {
    let d = dims.len();
    let white = Seeded::new(seed, "test").normal(1, Dims::new(1, d, d));
    let root = DMatrix::from_iterator(d, d, white.iter().map(|&v| 0.3 * f64::from(v)));
    let covariance = &root * root.transpose() / d as f64 + DMatrix::identity(d, d) * 0.01;
    let mean = DVector::from_fn(d, |i, _| 0.4 + 0.02 * i as f64);
    let rows = Array2::from_shape_fn((d, d), |at| covariance[at]);
    let prior = Gaussian::new(dims, mean.as_slice(), &rows, Range::IMAGE).unwrap();
    (prior, covariance, mean)
}

fn spec(text: &str) -> Box<dyn Operator> {
    let spec: Spec = toml::from_str(text).unwrap();
    spec.build(COLOURS).unwrap()
}

/// One of every kind.
fn operators() -> Vec<(&'static str, Box<dyn Operator>)> {
    let mask = |seed| Mask::random(COLOURS, 0.4, seed).unwrap();
    vec![
        ("identity", Box::new(Identity::new(COLOURS).unwrap()) as _),
        ("mask", Box::new(mask(3))),
        (
            "grey",
            Box::new(Gray::new(COLOURS, GrayWeights::Luma).unwrap()),
        ),
        ("mosaic", spec("kind = 'mosaic'\npattern = 'grbg'")),
        ("gain", spec("kind = 'gain'\ngain = 'vignette:0.3'")),
        (
            "grey of what a vignette leaves",
            spec(
                "kind = 'compose'\nsteps = [{kind = 'gain', gain = 'vignette:0.3'}, {kind = 'gray', weights = '0.2,0.5,0.9'}]",
            ),
        ),
        (
            "grey of some pixels",
            spec(
                "kind = 'compose'\nsteps = [{kind = 'mask', shape = 'random', hidden = 0.4}, {kind = 'gray'}]",
            ),
        ),
        (
            "two greys",
            spec("kind = 'stack'\nof = [{kind = 'gray'}, {kind = 'gray', weights = 'luma'}]"),
        ),
    ]
}

/// `A` as a matrix.
fn matrix(operator: &dyn Operator) -> DMatrix<f64> {
    let dims = operator.input();
    let units = Image::from_shape_fn(dims.batch(dims.len()), |(k, c, y, x)| {
        f32::from(u8::from(k == (c * dims.h + y) * dims.w + x))
    });
    columns(&operator.apply(&units))
}

/// Mean and covariance of `x0` given `y = A x0 + n`; rows of zeros tell nothing.
fn given(
    (c, mean): (&DMatrix<f64>, &DVector<f64>),
    a: &DMatrix<f64>,
    y: &DVector<f64>,
    sigma: f64,
) -> (DVector<f64>, DMatrix<f64>) {
    let seen: Vec<usize> = (0..a.nrows()).filter(|&i| a.row(i).amax() > 0.0).collect();
    let (a, y) = (a.select_rows(&seen), y.select_rows(&seen));
    let inner = &a * c * a.transpose() + DMatrix::identity(seen.len(), seen.len()) * sigma * sigma;
    let gain = c * a.transpose() * inner.try_inverse().unwrap();
    (mean + &gain * (y - &a * mean), c - &gain * &a * c)
}

fn mean_of(prior: &dyn Prior, operator: Box<dyn Operator>, y: Image, sigma: f64) -> Image {
    let problem = Problem::new(y, operator, sigma).unwrap();
    let exact = Exact::default().with_steps(1);
    exact.restore(prior, &problem, &mut Run::new(1)).unwrap().x
}

/// One evaluation is the posterior mean, with and without noise, for every kind of operator. Wrong: directions that are not
/// orthonormal, a pseudo-inverse in the place of the adjoint, a level in the place of "nothing known".
#[test]
fn one_evaluation_is_the_posterior_mean() {
    let (prior, c, mu) = dense(COLOURS, 1);
    for sigma in [0.0, 0.05, 0.5] {
        for (name, operator) in operators() {
            let x0 = prior.sample(1, &mut Seeded::new(4, "truth"));
            let noise = Seeded::new(5, "noise").normal(1, operator.output());
            let y = operator.apply(&x0) + noise * sigma as f32;
            let a = matrix(operator.as_ref());
            let (expected, _) = given((&c, &mu), &a, &columns(&y).column(0).into_owned(), sigma);
            let x = columns(&mean_of(&prior, operator, y, sigma));
            let off = (x.column(0) - expected).amax();
            assert!(off < 1e-6, "{name}, noise {sigma}: {off:.1e}");
        }
    }
}

/// G4 is one pixel of four channels, so that its dense operator acts on each pixel alone.
#[test]
fn g4_is_one_pixel() {
    for sigma in [SIGMA_Y, 0.02, 1.0] {
        let x = quiet(
            &Exact::default().with_steps(1),
            &prior(),
            &problem(1, sigma),
        );
        let off = distance(&x, &posterior(sigma).0);
        assert!(off < 1e-6, "{sigma}: {off:.1e}");
    }
}

/// DAPS whose image of each level is drawn from `p(x0 | x, y)` itself draws from the posterior, few levels or many (B-25). The way from `x` to
/// `E[x0 | x, y]` is what the prior says when it is told both. Wrong: the measurement told at the level alone, or twice.
#[test]
fn daps_with_exact_draws_is_exact() {
    let a = operator().0;
    let inverse = |m: DMatrix<f64>| m.try_inverse().unwrap();
    let precision = inverse(DMatrix::from_fn(4, 4, |i, j| covariance()[[i, j]]));
    let seen = a.transpose() / (SIGMA_Y * SIGMA_Y);
    let told = &seen * DVector::from_row_slice(&Y);
    for levels in [6, 40] {
        let sigma = |k: usize| 100.0 * 1e-3f64.powf(k as f64 / (levels - 1) as f64);
        let (mut mean, mut spread) = (DVector::zeros(4), DMatrix::zeros(4, 4));
        for s in (0..levels).map(sigma) {
            spread += DMatrix::identity(4, 4) * (s * s);
            let known = DMatrix::identity(4, 4) / (s * s) + &seen * &a;
            let eigen = known.clone().symmetric_eigen();
            let rows = Array2::from_shape_fn((4, 4), |(i, j)| eigen.eigenvectors[(j, i)] as f32);
            let variance = Image::from_shape_fn((1, 4, 1, 1), |(_, i, ..)| {
                (1.0 / eigen.eigenvalues[i]) as f32
            });
            let noise = NoiseMap::new(variance, Basis::One(rows));
            // At zero, and at as much as the noise in each number.
            let at = |k: usize| DVector::from_fn(4, |i, _| if i + 1 == k { s } else { 0.0 });
            let m: Vec<DVector<f64>> = (0..5)
                .map(|k| inverse(known.clone()) * (at(k) / (s * s) + &told))
                .collect();
            let m = Image::from_shape_fn((5, 4, 1, 1), |(k, i, ..)| m[k][i] as f32);
            let x0 = columns(&prior().denoise_mapped(&m, &noise).unwrap().x0);
            let base = x0.column(0).into_owned();
            let slope = DMatrix::from_fn(4, 4, |i, j| (x0[(i, j + 1)] - base[i]) / s);
            mean = base + &slope * mean;
            spread = &slope * spread * slope.transpose() + inverse(&precision + known);
        }
        let (expected, variance) = posterior(SIGMA_Y);
        assert!(distance(mean.as_slice(), &expected) < 1e-5, "{mean}");
        assert!(
            distance(spread.diagonal().as_slice(), &variance) < 1e-5,
            "{spread}"
        );
    }
}

/// The variance that Heun's rule gives a Gaussian number of variance `v`, from pure noise down the levels: along each
/// eigenvector of a covariance it is a product of numbers.
fn heun(levels: &[Level], v: f64) -> f64 {
    let slope = |x: f64, sigma: f64| x * sigma / (v + sigma * sigma);
    let mut x = levels[0].sigma();
    for (t, s) in walk(levels) {
        let (t, s) = (t.sigma(), s.sigma());
        let first = slope(x, t);
        let second = match s {
            0.0 => first,
            s => slope(x + (s - t) * first, s),
        };
        x += (s - t) * 0.5 * (first + second);
    }
    x * x
}

/// Draws by Heun's rule have the covariance that theory gives them, which is the posterior's as closely as the steps allow.
/// Wrong: a sampler that is told of the measurement twice, or forgets it at a level.
#[test]
fn draws_have_the_posteriors_moments() {
    let (prior, c, mu) = dense(COLOURS, 1);
    for (k, (name, operator)) in operators().into_iter().enumerate() {
        for (sigma, steps) in [(0.05, 10), (0.05, 40), (0.0, 20)] {
            let x0 = prior.sample(1, &mut Seeded::new(4, "truth"));
            let noise = Seeded::new(5, "noise").normal(1, operator.output());
            let y = operator.apply(&x0) + noise * sigma as f32;
            let a = matrix(operator.as_ref());
            let y_column = columns(&y).column(0).into_owned();
            let (mean, covariance) = given((&c, &mu), &a, &y_column, sigma);
            let method = Exact::default().with_steps(steps);
            let (drawn_mean, drawn) = covariance_of(|batch, run| {
                let y = y.broadcast(operator.output().batch(batch)).unwrap();
                let operator = operators().swap_remove(k).1;
                let problem = Problem::new(y.to_owned(), operator, sigma).unwrap();
                flat(&method.restore(&prior, &problem, run).unwrap().x)
            });
            let Edm { grid, .. } = Exact::edm(steps);
            let levels = grid.levels(prior.card()).unwrap();
            let eigen = covariance.clone().symmetric_eigen();
            let values = eigen.eigenvalues.map(|v| heun(&levels, v.max(0.0)));
            let expected = &eigen.eigenvectors
                * DMatrix::from_diagonal(&values)
                * eigen.eigenvectors.transpose();
            let what = format!("{name}, noise {sigma}, {steps} steps");
            let off = (&drawn - &expected).amax() / covariance.amax().max(1e-4 * c.amax());
            assert!(off < 1e-3, "{what}: {off:.1e}");
            let off = (drawn_mean - &mean).amax();
            assert!(off < 1e-5, "{what}: mean {off:.1e}");
            if steps == 40 {
                let ratio = drawn.trace() / covariance.trace();
                assert!((0.98..1.02).contains(&ratio), "{what}: {ratio}");
            }
        }
    }
}

/// All numbers of a picture as its channels, as the fixture's impulses want them.
fn flat(x: &Image) -> Image {
    let (n, c, h, w) = x.dim();
    x.to_shape((n, c * h * w, 1, 1)).unwrap().into_owned()
}

/// The simplest directions are found: channels, one basis, one for each pixel.
#[test]
fn directions_are_the_simplest() {
    let of = |operator: &dyn Operator| Pixelwise::of(operator.linear().unwrap()).unwrap();
    let mask = of(&Mask::random(COLOURS, 0.4, 3).unwrap());
    assert_eq!(mask.basis, Basis::Channels);
    assert!(mask.singular.iter().all(|&s| s == 0.0 || s == 1.0));
    let greys = operators()
        .into_iter()
        .filter(|(name, _)| name.contains("grey"));
    for (name, operator) in greys {
        let found = of(operator.as_ref());
        let Basis::One(rows) = &found.basis else {
            panic!("{name}: {found:?}")
        };
        let unit = rows.dot(&rows.t()) - Array2::<f32>::eye(3);
        assert!(unit.iter().all(|v| v.abs() < 1e-6), "{name}");
    }
    // Colours that are weighed otherwise at each pixel.
    let weights = Seeded::new(9, "weights").normal(1, COLOURS);
    let found = of(&Weighed(weights.index_axis(Axis(0), 0).to_owned()));
    assert!(matches!(found.basis, Basis::Each(_)), "{found:?}");
}

/// Each pixel's colours added up with weights of their own.
#[derive(Debug)]
struct Weighed(Array3<f32>);

impl Operator for Weighed {
    fn name(&self) -> &'static str {
        "weighed"
    }

    fn input(&self) -> Dims {
        COLOURS
    }

    fn output(&self) -> Dims {
        Dims { c: 1, ..COLOURS }
    }

    fn apply(&self, x: &Image) -> Image {
        (x * &self.0).sum_axis(Axis(1)).insert_axis(Axis(1))
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        let (n, _, h, w) = u.dim();
        u.broadcast((n, 3, h, w)).unwrap().to_owned() * &self.0
    }

    fn guess(&self, y: &Image) -> Image {
        self.vjp(y, y)
    }

    fn loss(&self) -> tweedie::operator::Loss {
        tweedie::operator::Loss::NOTHING
    }

    fn linear(&self) -> Option<&dyn tweedie::operator::Linear> {
        Some(self)
    }
}

impl tweedie::operator::Linear for Weighed {
    fn adjoint(&self, u: &Image) -> Image {
        self.vjp(u, u)
    }

    fn pixelwise(&self) -> bool {
        true
    }
}

/// A basis for each pixel gives the posterior mean as well.
#[test]
fn each_pixel_may_have_its_own_directions() {
    let (prior, c, mu) = dense(COLOURS, 2);
    let weights = Seeded::new(9, "weights").normal(1, COLOURS);
    let operator = Weighed(weights.index_axis(Axis(0), 0).to_owned());
    let x0 = prior.sample(1, &mut Seeded::new(4, "truth"));
    for sigma in [0.0, 0.1] {
        let y = operator.apply(&x0);
        let a = matrix(&operator);
        let (expected, _) = given((&c, &mu), &a, &columns(&y).column(0).into_owned(), sigma);
        let x = mean_of(&prior, Box::new(Weighed(operator.0.clone())), y, sigma);
        let off = (columns(&x).column(0) - expected).amax();
        assert!(off < 1e-6, "noise {sigma}: {off:.1e}");
    }
}

/// A random map: known for certain, noisy and unknown numbers.
fn map(dims: Dims, basis: Basis) -> NoiseMap {
    let u = Seeded::new(6, "map").normal(1, dims);
    let variance = u.mapv(|u| match u {
        u if u < -0.8 => 0.0,
        u if u > 0.8 => f32::INFINITY,
        u => (0.1 * u.exp()).powi(2),
    });
    NoiseMap::new(variance, basis)
}

/// The same at every pixel: the first direction is known as well as that, nothing of the second, and of others something.
fn even_map(dims: Dims, first: f32, basis: Basis) -> NoiseMap {
    let variance = Image::from_shape_fn((1, dims.c, dims.h, dims.w), |(_, i, _, _)| match i {
        0 => first,
        1 => f32::INFINITY,
        _ => 0.01,
    });
    NoiseMap::new(variance, basis)
}

/// Conjugate gradients over a filter find what the dense matrices say, and so does each frequency alone where all pixels are as noisy.
/// Wrong: unknown numbers that are taken for zeros.
#[test]
fn stationary_maps_are_the_dense_gaussians() {
    let (dims, stationary, gaussian) = dense_texture();
    let c = dims.c;
    let angle = 0.6_f32;
    let mut rows = Array2::eye(c);
    if c > 1 {
        (rows[[0, 0]], rows[[0, 1]]) = (angle.cos(), angle.sin());
        (rows[[1, 0]], rows[[1, 1]]) = (-angle.sin(), angle.cos());
    }
    let x = Seeded::new(8, "test").normal(3, dims) * 0.3 + 0.5;
    for basis in [Basis::Channels, Basis::One(rows)] {
        let even = |first| even_map(dims, first, basis.clone());
        for noise in [
            map(dims, basis.clone()),
            even(0.0),
            even(0.02),
            even(f32::INFINITY),
        ] {
            let expected = gaussian.denoise_mapped(&x, &noise).unwrap().x0;
            let x0 = stationary.denoise_mapped(&x, &noise).unwrap().x0;
            let off = difference(&x0, &expected);
            assert!(off < 2e-6, "{off:.1e}");
        }
    }
}

/// A map of one level is that level, for Gaussians and mixtures; what stands at unknown numbers does not matter.
#[test]
fn a_map_of_one_level_is_the_level() {
    let (first, ..) = dense(COLOURS, 1);
    let (second, ..) = dense(COLOURS, 2);
    let mixture = Mixture::new(vec![(0.3, first.clone()), (0.7, second)]).unwrap();
    let x = Seeded::new(8, "test").normal(2, COLOURS) * 0.3 + 0.5;
    for sigma in [0.05, 0.4] {
        let (level, noise) = (
            Level::ve(sigma),
            NoiseMap::of_sigma(&Image::from_elem((1, 1, 2, 3), sigma as f32)),
        );
        for prior in [&first as &dyn Prior, &mixture] {
            let plain = prior.denoise(&x, level).unwrap().x0;
            let mapped = prior.denoise_mapped(&x, &noise).unwrap().x0;
            assert!(difference(&plain, &mapped) < 1e-6);
        }
    }
    let noise = map(COLOURS, Basis::Channels);
    let mut other = x.clone();
    ndarray::Zip::from(&mut other)
        .and_broadcast(noise.variance())
        .for_each(|x, v| *x += if v.is_infinite() { 7.0 } else { 0.0 });
    for prior in [&first as &dyn Prior, &mixture] {
        let answers = [&x, &other].map(|x| prior.denoise_mapped(x, &noise).unwrap().x0);
        assert_eq!(answers[0], answers[1]);
    }
}

/// Of a mixture, the measurement decides which component speaks. Wrong: shares by the whole picture's density, or none.
#[test]
fn mixtures_weigh_by_what_is_seen() {
    let pixel = Dims::new(2, 1, 1);
    let narrow = Array2::eye(2) * 1e-4;
    let at = |mean: [f64; 2]| Gaussian::new(pixel, &mean, &narrow, Range::IMAGE).unwrap();
    let mixture = Mixture::new(vec![(0.5, at([0.2, 0.9])), (0.5, at([0.8, 0.1]))]).unwrap();
    let variance = Image::from_shape_vec((1, 2, 1, 1), vec![1e-4, f32::INFINITY]).unwrap();
    let noise = NoiseMap::new(variance, Basis::Channels);
    let m = Image::from_shape_vec((1, 2, 1, 1), vec![0.81, 0.9]).unwrap();
    let x0 = mixture.denoise_mapped(&m, &noise).unwrap().x0;
    assert!((x0[[0, 0, 0, 0]] - 0.805).abs() < 1e-4 && (x0[[0, 1, 0, 0]] - 0.1).abs() < 1e-4);
}
