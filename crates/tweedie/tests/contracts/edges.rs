//! Blurs that came from beyond the picture's edges, from picture to picture.

use ndarray::{Array2, s};
use tweedie::Dims;
use tweedie::image::Picture;
use tweedie::operator::{Boundary, Edges, Spec};
use tweedie::problem::Noise;
use tweedie::restore::{Job, degrade};

use crate::fixture::{White, truth};

fn blur(boundary: &str) -> Spec {
    toml::from_str(&format!(
        "kind = 'blur'\nkernel = 'box:4'\nboundary = '{boundary}'"
    ))
    .unwrap()
}

/// Degraded with nothing assumed, a picture loses what it cannot tell, and its alpha the same rows and columns; by default it
/// keeps its size, and is mirrored.
#[test]
fn degrading_keeps_the_size_unless_it_is_asked_not_to() {
    let mut picture = Picture::new(truth(Dims::new(1, 12, 15), 1));
    let alpha = Array2::from_shape_fn((12, 15), |(i, j)| (i * 15 + j) as f32 / 180.0);
    picture.alpha = Some(alpha.clone());
    let degraded = |boundary: &str| degrade(&picture, &blur(boundary), 0.0, 1).unwrap().picture;
    let cropped = degraded("unknown");
    assert_eq!(cropped.dims(), Dims::new(1, 9, 12));
    // Of four taps the third is the origin: one pixel is seen before it, two after.
    assert_eq!(cropped.alpha.unwrap(), alpha.slice(s![1..10, 1..13]));
    let mirrored = degraded("auto");
    assert_eq!(mirrored.pixels, degraded("symmetric").pixels);
    let middle = mirrored.pixels.slice(s![.., .., 1..10, 1..13]);
    let error = (&middle - &cropped.pixels)
        .iter()
        .fold(0.0f32, |m, e| m.max(e.abs()));
    assert!(error < 1e-6, "{error}");
    assert_eq!(Edges::from(Boundary::Reflect).to_string(), "reflect");
}

/// What is restored, its draws and their spread have the measurement's size, whatever the canvas; what is burnt out is left
/// out, and told.
#[test]
fn results_have_the_size_of_the_measurement() {
    let prior = White::any();
    let mut y = Picture::new(truth(Dims::new(1, 40, 36), 2).mapv(|v| v.clamp(0.0, 0.9)));
    let solved = |y: &Picture, samples| {
        let mut job = Job::new(blur("auto"));
        job.noise = Some(Noise::White(0.05));
        job.samples = samples;
        let ready = job.prepare(y, &prior.card).unwrap();
        assert_eq!(ready.output(), y.dims());
        ready.solve(&prior, ()).unwrap()
    };
    let (one, report) = solved(&y, None);
    assert_eq!(one.restored.x.dim(), (1, 1, 40, 36));
    assert!(report.notes.iter().all(|n| !n.contains("full scale")));
    y.pixels[[0, 0, 20, 20]] = 1.0;
    let (many, report) = solved(&y, Some(3));
    assert_eq!(many.samples.unwrap().dim(), (3, 1, 40, 36));
    assert_eq!(many.restored.std.unwrap().dim(), (1, 1, 40, 36));
    let told = |n: &String| n.starts_with("25 pixels (1.7 %) at full scale");
    assert!(report.notes.iter().any(told), "{:?}", report.notes);
}
