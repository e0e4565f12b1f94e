//! Metrics against scikit-image and an independent LPIPS, and their properties.
#![cfg(feature = "lpips")]

use std::path::{Path, PathBuf};

use ndarray::Array4;
use tweedie::Image;
use tweedie::metric::{Error, METRICS, by_name, compare, lpips, psnr, psnr8, ssim};

/// The picture `truth` of tests/golden/metrics.py.
fn truth(c: usize, h: usize, w: usize) -> Image {
    Array4::from_shape_fn((1, c, h, w), |(_, k, i, j)| {
        let (y, x) = (i as f64, j as f64);
        let waves =
            0.5 + 0.2 * (0.3 * y + 0.1 * x * (k + 1) as f64).sin() + 0.15 * (0.02 * y * x).cos();
        let (dy, dx, r) = (y - h as f64 / 2.0, x - w as f64 / 3.0, h as f64 / 4.0);
        let disc = if dy * dy + dx * dx < r * r { 0.3 } else { 0.0 };
        let step = if j > 2 * w / 3 { 0.25 } else { 0.0 };
        (waves + disc - step).clamp(0.0, 1.0) as f32
    })
}

fn scatter(k: usize, i: usize, j: usize) -> f64 {
    let n = (i * 73_856_093) ^ (j * 19_349_663) ^ (k * 83_492_791);
    let n = n.wrapping_mul(2_654_435_761) & 0xFFFF_FFFF;
    2.0 * (n >> 16) as f64 / 65535.0 - 1.0
}

/// Its distortions.
fn distorted(name: &str, x: &Image) -> Image {
    let w = x.dim().3;
    Array4::from_shape_fn(x.dim(), |(_, k, i, j)| {
        let v = f64::from(x[(0, k, i, j)]);
        let v = match name {
            "noise" => v + 0.15 * scatter(k, i, j),
            "shift" => f64::from(x[(0, k, i, (j + w - 2) % w)]),
            "faded" => 0.2 + 0.6 * v,
            _ => panic!("no distortion {name}"),
        };
        v.clamp(0.0, 1.0) as f32
    })
}

#[test]
fn metrics_agree_with_independent_implementations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/metrics.json");
    let cases: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let side = |n: usize| case["shape"][n].as_u64().unwrap() as usize;
        let x = truth(side(0), side(1), side(2));
        let name = case["distortion"].as_str().unwrap();
        let y = distorted(name, &x);
        let near = |metric: &str, got: f64, tolerance: f64| {
            let expected = case[metric].as_f64().unwrap();
            let difference = (got - expected).abs();
            assert!(
                difference < tolerance,
                "{name} {metric}: {got}, not {expected}"
            );
        };
        near("psnr", psnr(&x, &y).unwrap(), 1e-4);
        // A value on the border of two steps may round either way.
        near("psnr8", psnr8(&x, &y).unwrap(), 1e-3);
        near("ssim", ssim(&x, &y).unwrap(), 1e-5);
        near("lpips", lpips(&x, &y).unwrap(), 1e-3);
    }
}

#[test]
fn equal_pictures_are_at_distance_nought() {
    let x = truth(3, 40, 40);
    let metrics = compare(&x, &x).unwrap();
    assert_eq!(metrics.psnr, f64::INFINITY);
    assert!((metrics.ssim.unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(metrics.lpips, Some(0.0));
}

#[test]
fn metrics_are_symmetric_and_tell_worse_from_better() {
    let x = truth(3, 48, 64);
    let y = distorted("noise", &x);
    let worse = &x + &((&y - &x) * 2.0);
    for metric in METRICS {
        let there = (metric.measure)(&x, &y).unwrap();
        let back = (metric.measure)(&y, &x).unwrap();
        assert!((there - back).abs() < 1e-9, "{}", metric.name);
        let far = (metric.measure)(&x, &worse).unwrap();
        assert_eq!(there > far, metric.higher_is_better, "{}", metric.name);
        assert_eq!(by_name(metric.name).unwrap().name, metric.name);
    }
    assert!(by_name("nonsense").is_none());
}

#[test]
fn a_batch_gives_the_mean_of_its_pictures() {
    let x = truth(1, 40, 33);
    let (y, z) = (distorted("noise", &x), distorted("faded", &x));
    let both = ndarray::concatenate![ndarray::Axis(0), y, z];
    let twice = ndarray::concatenate![ndarray::Axis(0), x, x];
    for metric in METRICS {
        let m = metric.measure;
        let mean = 0.5 * (m(&x, &y).unwrap() + m(&x, &z).unwrap());
        assert!(
            (m(&twice, &both).unwrap() - mean).abs() < 1e-9,
            "{}",
            metric.name
        );
    }
}

#[test]
fn values_outside_are_clamped() {
    let x = Image::from_elem((1, 1, 40, 40), 1.0);
    let y = Image::from_elem((1, 1, 40, 40), 3.0);
    assert_eq!(psnr(&x, &y).unwrap(), f64::INFINITY);
    assert_eq!(lpips(&x, &y).unwrap(), 0.0);
    let grey = Image::from_elem((1, 1, 40, 40), 0.9);
    assert!((psnr(&x, &grey).unwrap() - 20.0).abs() < 1e-5);
}

#[test]
fn grey_pictures_are_compared_as_rgb_by_lpips() {
    let x = truth(1, 40, 40);
    let y = distorted("noise", &x);
    let rgb = |v: &Image| v.broadcast((1, 3, 40, 40)).unwrap().to_owned();
    let (grey, colour) = (lpips(&x, &y).unwrap(), lpips(&rgb(&x), &rgb(&y)).unwrap());
    assert_eq!(grey, colour);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let of = |c, h, w| Image::from_elem((1, c, h, w), 0.5);
    let error = psnr(&of(3, 20, 20), &of(1, 20, 20)).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }));
    assert_eq!(psnr(&of(3, 0, 5), &of(3, 0, 5)), Err(Error::Empty));
    let nan = Image::from_elem((1, 1, 20, 20), f32::NAN);
    assert_eq!(ssim(&nan, &of(1, 20, 20)), Err(Error::NotFinite));
    assert!(matches!(
        ssim(&of(1, 10, 50), &of(1, 10, 50)),
        Err(Error::TooSmall { least: 11, .. })
    ));
    assert!(ssim(&of(1, 11, 11), &of(1, 11, 11)).is_ok());
    assert!(matches!(
        lpips(&of(3, 50, 30), &of(3, 50, 30)),
        Err(Error::TooSmall { least: 31, .. })
    ));
    assert_eq!(lpips(&of(3, 31, 31), &of(3, 31, 31)), Ok(0.0));
    assert!(matches!(
        lpips(&of(2, 40, 40), &of(2, 40, 40)),
        Err(Error::Channels { channels: 2, .. })
    ));

    let small = compare(&of(3, 8, 8), &of(3, 8, 8)).unwrap();
    assert_eq!((small.ssim, small.lpips), (None, None));
}

/// The distances that the authors of LPIPS state for their example pictures, which are not ours to ship.
#[test]
#[ignore = "needs TWEEDIE_LPIPS_EXAMPLES, the folder of ex_ref.png, ex_p0.png and ex_p1.png of the LPIPS repository"]
fn lpips_of_the_authors_examples() {
    let folder = PathBuf::from(std::env::var("TWEEDIE_LPIPS_EXAMPLES").unwrap());
    let picture = |name: &str| tweedie::image::read(folder.join(name)).unwrap().pixels;
    let reference = picture("ex_ref.png");
    for (name, expected) in [("ex_p0.png", 0.7219), ("ex_p1.png", 0.1376)] {
        let distance = lpips(&reference, &picture(name)).unwrap();
        println!("{name}: {distance:.5}");
        assert!((distance - expected).abs() < 1e-3, "{name}: {distance}");
    }
}
