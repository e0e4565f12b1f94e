//! The exact Gaussian and stationary priors against dense linear algebra and finite differences.

use nalgebra::{DMatrix, DVector};
use ndarray::{Array2, Array4};
use rustfft::num_complex::Complex64;
use tweedie::level::{Level, Range};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::{Error, Gaussian, Prior, Stationary};
use tweedie::{Dims, Image};

use crate::fixture::{C, DIMS, MU, columns, covariance, difference, prior, tweedie_score};

const LEVELS: [Level; 4] = [
    Level { a: 1.0, b: 0.02 },
    Level { a: 0.9, b: 0.4 },
    Level { a: 0.05, b: 0.99 },
    Level { a: 1.0, b: 30.0 },
];

/// `K (a^2 K + b^2)^-1 a`, by a matrix inverse.
fn jacobian(level: Level) -> DMatrix<f64> {
    let k = DMatrix::from_fn(4, 4, |i, j| C[i][j]);
    let noisy = &k * (level.a * level.a) + DMatrix::identity(4, 4) * (level.b * level.b);
    k * noisy.try_inverse().unwrap() * level.a
}

/// Wrong: `a` left out before the mean, or `b` for `b^2`.
#[test]
fn gaussian_denoises_as_dense_algebra_says() {
    let x = Seeded::new(3, "test").normal(5, DIMS);
    for level in LEVELS {
        let (x0, pullback) = prior()
            .denoise_with_pullback(&x, level)
            .map(|(x0, p)| (x0, p(&x).unwrap()))
            .unwrap();
        let mu = DVector::from_row_slice(&MU);
        let (j, x) = (jacobian(level), columns(&x));
        for n in 0..5 {
            let expected = &mu + &j * (x.column(n) - &mu * level.a);
            assert!((columns(&x0.x0).column(n) - expected).amax() < 1e-6);
            assert!((columns(&pullback).column(n) - j.transpose() * x.column(n)).amax() < 1e-6);
        }
    }
}

/// `Cov[x0 | x] = b^2/a J = (K^-1 + a^2/b^2)^-1`. Wrong: `b^2/a^2 J`, right for `a = 1` only.
#[test]
fn second_order_tweedie() {
    let k = DMatrix::from_fn(4, 4, |i, j| C[i][j]);
    for level in LEVELS {
        let precision = k.clone().try_inverse().unwrap()
            + DMatrix::identity(4, 4) * (level.a / level.b).powi(2);
        let units = Image::from_shape_fn(DIMS.batch(4), |(n, i, _, _)| f32::from(u8::from(n == i)));
        let gaussian = prior();
        let (_, pullback) = gaussian.denoise_with_pullback(&units, level).unwrap();
        let left = columns(&pullback(&units).unwrap()) * (level.b * level.b / level.a);
        let expected = precision.try_inverse().unwrap();
        assert!((left - &expected).amax() < 1e-6 * expected.amax().max(1.0));
    }
}

/// The score three ways: directly, from the denoiser (Tweedie), and from differences of the log-density.
#[test]
fn score_density_and_denoiser_agree() {
    let gaussian = prior();
    let level = Level { a: 0.9, b: 0.4 };
    // Steps and points are dyadic, so that f32 holds them exactly.
    let x = Seeded::new(4, "test")
        .normal(1, DIMS)
        .mapv(|v| (v * 64.0).round() / 64.0);
    let score = gaussian.score(&x, level).unwrap();
    let tweedie = tweedie_score(level, &x, &gaussian.denoise(&x, level).unwrap().x0);
    assert!(difference(&score, &tweedie) < 1e-5);
    let h = 1.0 / 64.0;
    for i in 0..4 {
        let density = |step: f64| {
            let mut moved = x.clone();
            moved[[0, i, 0, 0]] += step as f32;
            gaussian.log_density(&moved, level).unwrap()[0]
        };
        let slope = (density(h) - density(-h)) / (2.0 * h);
        assert!((slope - f64::from(score[[0, i, 0, 0]])).abs() < 1e-6);
    }
}

/// In one dimension, against the formula. Wrong: the missing 1/2 in the exponent, `2 pi` without its root.
#[test]
fn log_density_of_one_dimension() {
    let variance = Array2::from_elem((1, 1), 0.0625);
    let gaussian = Gaussian::new(Dims::new(1, 1, 1), &[0.3], &variance, Range::IMAGE).unwrap();
    let level = Level { a: 0.5, b: 0.25 };
    let (mean, var): (f64, f64) = (0.15, 0.25 * 0.0625 + 0.0625);
    let expected = -0.5 * ((0.75 - mean).powi(2) / var + (std::f64::consts::TAU * var).ln());
    let got = gaussian
        .log_density(&Image::from_elem((1, 1, 1, 1), 0.75), level)
        .unwrap();
    assert!((got[0] - expected).abs() < 1e-12);
}

/// A VP level is the VE level of the same sigma on the picture scaled back.
#[test]
fn vp_and_ve_are_one() {
    let x = Seeded::new(5, "test").normal(2, DIMS);
    let level = Level::vp(0.3, 1.0);
    let vp = prior().denoise(&x, level).unwrap().x0;
    let ve = prior()
        .denoise(&(&x / level.a as f32), Level::ve(level.sigma()))
        .unwrap()
        .x0;
    assert!(difference(&vp, &ve) < 1e-6);
}

#[test]
fn gaussian_draws_have_its_moments() {
    let draws = columns(&prior().sample(40_000, &mut Seeded::new(6, "test")));
    let mean = draws.column_mean();
    let centred = DMatrix::from_fn(4, 40_000, |i, n| draws[(i, n)] - mean[i]);
    let cov = &centred * centred.transpose() / 40_000.0;
    for i in 0..4 {
        // Four standard errors.
        assert!((mean[i] - MU[i]).abs() < 4.0 * (0.3_f64 / 40_000.0).sqrt());
        for j in 0..4 {
            assert!((cov[(i, j)] - C[i][j]).abs() < 4.0 * 0.3 * (2.0_f64 / 40_000.0).sqrt());
        }
    }
}

/// Data that fill fewer dimensions than there are have no density, but a denoiser.
#[test]
fn singular_covariance() {
    let gaussian =
        Gaussian::new(DIMS, &MU, &Array2::from_elem((4, 4), 0.25), Range::NETWORK).unwrap();
    let x = Seeded::new(7, "test").normal(1, DIMS);
    for level in [Level::CLEAN, Level::ve(0.1)] {
        let x0 = gaussian.denoise(&x, level).unwrap().x0;
        let offset = x0[[0, 0, 0, 0]] - MU[0] as f32;
        for (v, mu) in x0.iter().zip(MU) {
            assert!(
                (v - mu as f32 - offset).abs() < 1e-6,
                "off the line of the data"
            );
        }
    }
    assert!(gaussian.log_density(&x, Level::ve(0.1)).is_ok());
    let certain = Gaussian::new(DIMS, &MU, &Array2::zeros((4, 4)), Range::NETWORK).unwrap();
    assert!(matches!(
        certain.score(&x, Level::CLEAN),
        Err(Error::Invalid(_))
    ));
    assert!((certain.denoise(&x, Level::CLEAN).unwrap().x0[[0, 2, 0, 0]] - 0.3).abs() < 1e-7);
}

#[test]
fn gaussian_refuses_what_is_none() {
    let refused = |mean: &[f64], covariance: Array2<f64>| {
        let made = Gaussian::new(DIMS, mean, &covariance, Range::NETWORK);
        assert!(matches!(made, Err(Error::Invalid(_))), "{made:?}");
    };
    refused(&MU[..3], covariance());
    refused(&MU, Array2::zeros((4, 3)));
    refused(&[f64::NAN; 4], covariance());
    let mut skew = covariance();
    skew[[0, 3]] = 0.1;
    refused(&MU, skew);
    refused(&MU, -covariance());
    let wrong = Image::zeros((1, 3, 1, 1));
    assert!(matches!(
        prior().denoise(&wrong, Level::ve(1.0)),
        Err(Error::Shape { .. })
    ));
}

/// A stationary law of 2-channel pictures of 3 rows and 4 columns, as power at each frequency.
fn texture() -> (Dims, Stationary, Vec<f64>) {
    let dims = Dims::new(2, 3, 4);
    // Coloured and directed: channel 1 is channel 0 moved by a pixel, and some noise.
    let angle = |k: usize, n: usize| std::f64::consts::TAU * k as f64 / n as f64;
    let power = Array4::from_shape_fn((3, 4, 2, 2), |(y, x, i, j)| {
        let base = 0.02 + 0.05 * (1.0 + angle(y, 3).cos() * angle(x, 4).cos());
        let phase = Complex64::from_polar(1.0, angle(x, 4) - angle(y, 3));
        match (i, j) {
            (0, 0) => Complex64::from(base),
            (1, 1) => Complex64::from(base * 0.64 + 0.01),
            (0, 1) => phase * (base * 0.8),
            _ => phase.conj() * (base * 0.8),
        }
    });
    let mean = vec![0.4, 0.6];
    let stationary = Stationary::new(&mean, &power, Range::IMAGE).unwrap();
    // Its covariance, by the definition: the inverse DFT of the power at the difference of two pixels.
    let n = dims.len();
    let mut dense = vec![0.0; n * n];
    for p in 0..n {
        for q in 0..n {
            let at = |k: usize| (k / 12, k / 4 % 3, k % 4);
            let ((ci, yi, xi), (cj, yj, xj)) = (at(p), at(q));
            let mut sum = Complex64::ZERO;
            for fy in 0..3 {
                for fx in 0..4 {
                    let turn = angle(fy * (yi + 3 - yj), 3) + angle(fx * (xi + 4 - xj), 4);
                    sum += power[[fy, fx, ci, cj]] * Complex64::from_polar(1.0 / 12.0, turn);
                }
            }
            assert!(sum.im.abs() < 1e-12);
            dense[p * n + q] = sum.re;
        }
    }
    (dims, stationary, dense)
}

pub(crate) fn dense_texture() -> (Dims, Stationary, Gaussian) {
    let (dims, stationary, covariance) = texture();
    let n = dims.len();
    let mean: Vec<f64> = (0..n).map(|k| if k < 12 { 0.4 } else { 0.6 }).collect();
    let covariance = Array2::from_shape_vec((n, n), covariance).unwrap();
    let gaussian = Gaussian::new(dims, &mean, &covariance, Range::IMAGE).unwrap();
    (dims, stationary, gaussian)
}

/// The filter is the dense denoiser. Wrong: the spectrum transposed over channels, or an FFT that is not unitary.
#[test]
fn stationary_is_the_circulant_gaussian() {
    let (dims, stationary, gaussian) = dense_texture();
    let x = Seeded::new(8, "test").normal(3, dims);
    for level in LEVELS {
        let (x0, pullback) = stationary.denoise_with_pullback(&x, level).unwrap();
        let (expected, dense) = gaussian.denoise_with_pullback(&x, level).unwrap();
        assert!(difference(&x0.x0, &expected.x0) < 2e-6);
        let v = Seeded::new(9, "test").normal(3, dims);
        assert!(difference(&pullback(&v).unwrap(), &dense(&v).unwrap()) < 2e-6);
    }
}

#[test]
fn stationary_draws_and_fit() {
    let (dims, stationary, gaussian) = dense_texture();
    let draws = stationary.sample(20_000, &mut Seeded::new(10, "test"));
    // Learnt back from its own draws, it denoises alike.
    let learnt = Stationary::fit(&[draws]).unwrap();
    let x = Seeded::new(11, "test").normal(2, dims);
    let level = Level::ve(0.3);
    let off = difference(
        &learnt.denoise(&x, level).unwrap().x0,
        &gaussian.denoise(&x, level).unwrap().x0,
    );
    assert!(off < 0.03, "{off}");
}

/// One picture without noise is reproduced: its periodogram leaves room for itself.
#[test]
fn stationary_learns_from_one_picture() {
    let dims = Dims::new(3, 5, 6);
    let picture = Seeded::new(12, "test").normal(1, dims) * 0.25 + 0.5;
    let prior = Stationary::fit(std::slice::from_ref(&picture)).unwrap();
    assert_eq!(
        (prior.card().channels.as_slice(), prior.dims()),
        (&[3][..], dims)
    );
    let x0 = prior.denoise(&picture, Level::ve(1e-6)).unwrap().x0;
    assert!(difference(&x0, &picture) < 1e-5);
    let blurred = prior.denoise(&picture, Level::ve(100.0)).unwrap().x0;
    assert!(difference(&blurred.mapv(|v| v - 0.5), &Image::zeros(blurred.dim())) < 0.2);
}

#[test]
fn stationary_refuses_what_is_none() {
    assert!(matches!(Stationary::fit(&[]), Err(Error::Invalid(_))));
    assert!(matches!(
        Stationary::fit(&[Image::zeros((0, 1, 2, 2))]),
        Err(Error::Invalid(_))
    ));
    let (small, large) = (Image::zeros((1, 1, 2, 2)), Image::zeros((1, 1, 4, 4)));
    assert!(matches!(
        Stationary::fit(&[small, large.clone()]),
        Err(Error::Shape { .. })
    ));
    // Not the power of real pictures: P(-f) is not the conjugate of P(f).
    let lopsided = Array4::from_shape_fn((1, 3, 1, 1), |(_, x, _, _)| Complex64::from(x as f64));
    let made = Stationary::new(&[0.5], &lopsided, Range::IMAGE);
    assert!(matches!(made, Err(Error::Invalid(_))));
    let negative = Array4::from_elem((1, 3, 1, 1), Complex64::from(-1.0));
    let made = Stationary::new(&[0.5], &negative, Range::IMAGE);
    assert!(matches!(made, Err(Error::Invalid(_))));
    let flat = Array4::from_elem((1, 3, 1, 1), Complex64::from(1.0));
    let prior = Stationary::new(&[0.5], &flat, Range::IMAGE).unwrap();
    assert!(matches!(
        prior.denoise(&large, Level::ve(1.0)),
        Err(Error::Shape { .. })
    ));
}
