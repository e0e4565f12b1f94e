//! Networks on a GPU, against the CPU. Needs `--features wgpu` and a graphics driver; Mesa's software one will do.
#![cfg(feature = "wgpu")]

use tweedie::checkpoint::Model;
use tweedie::level::Level;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::{Network, Prior};
use tweedie::{Device, Dims};

#[test]
fn the_photo_prior_is_the_same_on_both() {
    let model = Model::photo().expect("the embedded model");
    let x = Seeded::new(1, "test").normal(2, Dims { c: 3, h: 40, w: 56 });
    let level = Level::ve(0.3);
    let [cpu, gpu] = [Device::flex(), Device::wgpu(Default::default())].map(|device| {
        let prior = Network::new(&model, &device).expect("a network");
        let (estimate, pullback) = prior.denoise_with_pullback(&x, level).expect("an answer");
        [
            prior.denoise(&x, level).expect("an answer").x0,
            pullback(&estimate.x0).expect("a gradient"),
            estimate.x0,
        ]
    });
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        let norm = |x: &tweedie::Image| x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let error = norm(&(gpu - cpu)) / norm(cpu);
        assert!(error < 1e-5, "{error:e}");
    }
}
