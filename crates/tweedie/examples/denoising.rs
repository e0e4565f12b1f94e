//! Gaussian denoising over a folder of pictures by Tweedie's formula: mean PSNR at sigma 15, 25 and 50.
//!
//! ```sh
//! cargo run --release --example denoising -- FOLDER [MODEL]
//! ```
//!
//! The noise of a picture is decided by its place in the folder, so that the figures can be repeated exactly. As in the
//! literature values are not rounded to 8 bits between adding noise and removing it, and results are limited to [0, 1]. The
//! second figure is that of noisy pictures that were saved in 8 bits, which cuts the noise off at black and white; of many of them
//! the method makes two evaluations in the place of one, as `tweedie denoise` does.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::Path;
use std::time::Instant;

use common::{Result, pictures};
use tweedie::checkpoint::Model;
use tweedie::level::Level;
use tweedie::method::{Method, Tweedie};
use tweedie::metric::psnr;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::Identity;
use tweedie::prior::Network;
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Device, Dims};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: denoising FOLDER [MODEL]")?;
    let model = match args.next() {
        Some(path) => Model::open(Path::new(&path))?,
        None => Model::photo()?,
    };
    let network = Network::new(&model, &Device::default())?;
    let files = pictures(Path::new(&folder))?;
    println!("{} pictures", files.len());
    for sigma in [15.0, 25.0, 50.0] {
        let begun = Instant::now();
        let mut sums = [0.0; 2];
        for (i, file) in files.iter().enumerate() {
            let clean = tweedie::image::read(file)?.pixels;
            let level = Level::ve(sigma / 255.0);
            let noise = Seeded::new(i as u64, "denoising").normal(1, Dims::of(&clean));
            let noisy = level.mix(&clean, &noise);
            let saved = noisy.mapv(|v| (v * 255.0).round().clamp(0.0, 255.0) / 255.0);
            for (sum, noisy) in sums.iter_mut().zip([noisy, saved]) {
                let operator = Box::new(Identity::new(Dims::of(&clean))?);
                let problem = Problem::new(noisy, operator, level.b)?;
                let restored = Tweedie::default()
                    .restore(&network, &problem, &mut Run::new(0))?
                    .x;
                *sum += psnr(&clean, &restored.mapv(|v| v.clamp(0.0, 1.0)))?;
            }
        }
        let [mean, saved] = sums.map(|sum| sum / files.len() as f64);
        println!(
            "sigma {sigma:2}: mean PSNR {mean:.3} dB, saved in 8 bits {saved:.3} dB, {:.1} s",
            begun.elapsed().as_secs_f64()
        );
    }
    Ok(())
}
