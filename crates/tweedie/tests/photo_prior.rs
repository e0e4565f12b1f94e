//! The embedded photo prior: is it a prior at every level, and not just a denoiser at a few?

use ndarray::{Axis, s};
use tweedie::checkpoint::Model;
use tweedie::level::Level;
use tweedie::metric::psnr;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::{Network, Prior, Stationary};
use tweedie::run::Run;
use tweedie::sampler::{Edm, Sampler};
use tweedie::{Device, Dims, Image};

fn photo() -> Network {
    Network::new(&Model::photo().unwrap(), &Device::default()).unwrap()
}

fn photographs() -> Vec<Image> {
    ["astronaut", "chelsea", "coffee", "rocket"]
        .iter()
        .map(|name| {
            let path = format!(
                "{}/../../examples/photos/{name}.png",
                env!("CARGO_MANIFEST_DIR")
            );
            tweedie::image::read(path).unwrap().pixels
        })
        .collect()
}

/// 64x64 parts of each example photograph.
fn crops() -> Vec<Vec<Image>> {
    let parts = |photo: &Image| {
        let (_, _, h, w) = photo.dim();
        let corners = (0..=h - 64)
            .step_by(64)
            .flat_map(|top| (0..=w - 64).step_by(64).map(move |left| (top, left)));
        corners
            .map(|(i, j)| photo.slice(s![.., .., i..i + 64, j..j + 64]).to_owned())
            .collect()
    };
    photographs().iter().map(parts).collect()
}

fn mean_square(x: &Image) -> f64 {
    x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / x.len() as f64
}

/// At twelve levels from 0.01 to 10 the network's error lies below that of the exact Gaussian prior fitted to the other
/// example photographs. Catches a wrong preconditioning, a wrong noise level and levels that training did not reach.
#[test]
fn beats_the_gaussian_prior_at_every_level() {
    let network = photo();
    let crops = crops();
    let gaussians: Vec<Stationary> = (0..crops.len())
        .map(|held_out| {
            let others = crops.iter().enumerate().filter(|(i, _)| *i != held_out);
            let others: Vec<Image> = others.flat_map(|(_, c)| c.clone()).collect();
            Stationary::fit(&others).unwrap()
        })
        .collect();
    for k in 0..12 {
        let level = Level::ve(0.01 * 1000f64.powf(f64::from(k) / 11.0));
        let (mut ours, mut theirs, mut n) = (0.0, 0.0, 0);
        for (crops, gaussian) in crops.iter().zip(&gaussians) {
            for clean in crops {
                n += 1;
                let noise = Seeded::new(100 * k as u64 + n, "test").normal(1, Dims::of(clean));
                let x = level.mix(clean, &noise);
                ours += mean_square(&(network.denoise(&x, level).unwrap().x0 - clean));
                theirs += mean_square(&(gaussian.denoise(&x, level).unwrap().x0 - clean));
            }
        }
        let sigma = level.sigma();
        let ratio = ours / theirs;
        eprintln!(
            "sigma {sigma:6.3}: mean squared error {:.6}, {ratio:.3} of the Gaussian's",
            ours / n as f64
        );
        assert!(ratio < 1.0, "at sigma {sigma}: {ratio}");
    }
}

/// Pure noise becomes something with the brightness, contrast and smoothness of photographs: no blow-up, no grey mush.
#[test]
fn draws_from_pure_noise_have_natural_statistics() {
    let network = photo();
    let sampler = Edm::default();
    let drawn = sampler
        .sample(&network, 4, Dims::new(3, 64, 64), &mut Run::new(1))
        .unwrap();
    let outside = drawn.iter().filter(|v| !(-0.1..=1.1).contains(*v)).count();
    assert!(
        outside * 50 < drawn.len(),
        "{outside} of {} values",
        drawn.len()
    );
    let mut contrasts = Vec::new();
    for picture in drawn.outer_iter() {
        let mean = picture.mean().unwrap();
        assert!((0.02..0.98).contains(&mean), "brightness {mean}");
        let contrast = picture.std(0.0);
        let step = &picture.slice(s![.., .., 1..]) - &picture.slice(s![.., .., ..-1]);
        // White noise has 1.41; photographs 0.1 to 0.7.
        let roughness = step.std(0.0) / contrast;
        assert!(roughness < 1.0, "roughness {roughness}");
        contrasts.push(contrast);
    }
    let mean = contrasts.iter().sum::<f32>() / 4.0;
    assert!((0.04..0.45).contains(&mean), "contrasts {contrasts:?}");
}

#[test]
fn removes_noise_from_colour_and_grey_photographs() {
    let network = photo();
    let level = Level::ve(25.0 / 255.0);
    for (i, colour) in photographs().iter().enumerate() {
        let grey = colour.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
        for clean in [colour, &grey] {
            let noise = Seeded::new(i as u64, "test").normal(1, Dims::of(clean));
            let restored = network
                .denoise(&level.mix(clean, &noise), level)
                .unwrap()
                .x0;
            let gain = psnr(clean, &restored).unwrap() - 20.17;
            assert!(gain > 5.0, "{} channels: {gain} dB", clean.dim().1);
        }
    }
}

/// A picture of a megapixel, whole and in tiles: up to rounding the same.
#[test]
fn tiles_leave_no_seam() {
    let part = &photographs()[0];
    let (_, _, h, w) = part.dim();
    let clean = Image::from_shape_fn((1, 3, 1024, 1024), |(_, c, i, j)| {
        part[[0, c, i % h, j % w]]
    });
    let level = Level::ve(0.1);
    let x = level.mix(&clean, &Seeded::new(1, "test").normal(1, Dims::of(&clean)));
    let whole = photo().denoise(&x, level).unwrap().x0;
    let tiled = photo()
        .with_tile_pixels(320 * 320)
        .denoise(&x, level)
        .unwrap()
        .x0;
    let seam = (whole - tiled).iter().fold(0f32, |m, v| m.max(v.abs()));
    eprintln!("largest difference between tiled and whole: {seam:.1e}");
    assert!(seam < 1e-5, "{seam:e}");
}
