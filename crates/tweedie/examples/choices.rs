//! What the candidates for the command's own choices give on the development set (docs/development-set.md).
//!
//! ```sh
//! cargo run --release --example choices -- FOLDER [WORD]
//! ```
//!
//! Of each picture the middle 256x256 pixels; everything goes the command's own way. `WORD` picks the tasks whose name holds
//! it.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::Path;

use common::{Result, measured, pictures, restored};
use ndarray::s;
use tweedie::Device;
use tweedie::checkpoint::Model;
use tweedie::image::Picture;
use tweedie::metric::compare;
use tweedie::prior::Network;
use tweedie::restore::Choice;

/// Pixels a side.
const SIDE: usize = 256;

/// Task, operator, noise, and the settings to compare (none: what the command chooses).
const TASKS: &[(&str, &str, f64, &[&str])] = &[
    (
        "blur gaussian:1.6, .02",
        "kind = 'blur'\nkernel = 'gaussian:1.6'",
        0.02,
        DPIR,
    ),
    (
        "blur gaussian:3, .01",
        "kind = 'blur'\nkernel = 'gaussian:3'",
        0.01,
        DPIR,
    ),
    (
        "blur disk:4, .01",
        "kind = 'blur'\nkernel = 'disk:4'",
        0.01,
        DPIR,
    ),
    (
        "blur box:5, .02",
        "kind = 'blur'\nkernel = 'box:5'",
        0.02,
        DPIR,
    ),
    (
        "blur motion:15:30, .01",
        "kind = 'blur'\nkernel = 'motion:15:30'",
        0.01,
        DPIR,
    ),
    (
        "blur shake, .01",
        "kind = 'blur'\nkernel = 'motion-random:31:0.5:3'",
        0.01,
        DPIR,
    ),
    (
        "blur shake, .03",
        "kind = 'blur'\nkernel = 'motion-random:31:0.5:5'",
        0.03,
        DPIR,
    ),
    ("upscale x2", "kind = 'downsample'\nfactor = 2", 0.0, SCALES),
    (
        "upscale x2, .02",
        "kind = 'downsample'\nfactor = 2",
        0.02,
        SCALES,
    ),
    ("upscale x4", "kind = 'downsample'\nfactor = 4", 0.0, SCALES),
    (
        "upscale x4 average",
        "kind = 'downsample'\nfactor = 4\nfilter = 'average'",
        0.0,
        SCALES,
    ),
    (
        "holes 50",
        "kind = 'mask'\nshape = 'random'\nhidden = 0.5\nseed = 1",
        0.0,
        HOLES,
    ),
    (
        "holes 80",
        "kind = 'mask'\nshape = 'random'\nhidden = 0.8\nseed = 1",
        0.0,
        HOLES,
    ),
    (
        "holes box",
        "kind = 'mask'\nshape = 'box'\nheight = 48\nwidth = 48",
        0.0,
        HOLES,
    ),
    ("gray", "kind = 'gray'", 0.0, &[""]),
    ("gray, 10/255", "kind = 'gray'", 10.0 / 255.0, &[""]),
    (
        "gray, x2",
        "kind = 'compose'\nsteps = [{kind = 'gray'}, {kind = 'downsample', factor = 2}]",
        0.0,
        &["", "dpir", "diffpir"],
    ),
    (
        "blur and x2, .01",
        "kind = 'compose'\nsteps = [{kind = 'blur', kernel = 'gaussian:1'}, {kind = 'downsample', factor = 2}]",
        0.01,
        &["", "dpir", "diffpir"],
    ),
];

const DPIR: &[&str] = &[
    "",
    "name = 'dpir'\nsteps = 8\nlambda = 0.10",
    "name = 'dpir'\nsteps = 8\nlambda = 0.15",
    "name = 'dpir'\nsteps = 8\nlambda = 0.19",
    "name = 'dpir'\nsteps = 8\nlambda = 0.23",
    "name = 'dpir'\nsteps = 16\nlambda = 0.19",
    "pnp-drs",
];

const SCALES: &[&str] = &[
    "",
    "diffpir",
    "name = 'dpir'\nsteps = 8\nlambda = 0.23",
    "name = 'dpir'\nsteps = 24\nlambda = 0.23",
    "name = 'dpir'\nsteps = 24\nlambda = 0.4",
    "pnp-drs",
];

const HOLES: &[&str] = &[
    "",
    "exact",
    "diffpir",
    "name = 'dpir'\nsteps = 24\nlambda = 0.23",
    "name = 'dpir'\nsteps = 48\nlambda = 0.23",
    "pnp-drs",
];

fn choice(settings: &str) -> Result<Choice> {
    Ok(match settings {
        "" => Choice::Best,
        toml if toml.contains('=') => Choice::Settings(Box::new(toml::from_str(toml)?)),
        name => Choice::Named(name.to_owned()),
    })
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: choices FOLDER [WORD]")?;
    let word = args.next().unwrap_or_default();
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    let truths: Vec<Picture> = pictures(Path::new(&folder))?
        .iter()
        .map(|path| Ok(middle(&tweedie::image::read(path)?)))
        .collect::<Result<_>>()?;
    for (name, spec, sigma, candidates) in TASKS.iter().filter(|t| t.0.contains(&word)) {
        let spec = toml::from_str(spec)?;
        for settings in *candidates {
            let mut sums = [0.0; 4];
            let mut method = "";
            for (i, truth) in truths.iter().enumerate() {
                let y = measured(truth, &spec, *sigma, i as u64)?;
                let (x, report) = restored(&y, &spec, choice(settings)?, &prior)?;
                let m = compare(&truth.pixels, &x.pixels)?;
                let of = [
                    m.psnr,
                    m.ssim.unwrap_or(0.0),
                    m.lpips.unwrap_or(0.0),
                    report.sigma,
                ];
                sums.iter_mut()
                    .zip(of)
                    .for_each(|(sum, v)| *sum += v / truths.len() as f64);
                method = report.method;
            }
            let [psnr, ssim, lpips, sigma] = sums;
            let shown = if settings.is_empty() {
                "(chosen)"
            } else {
                settings
            };
            println!(
                "{name:24} {method:8} {psnr:6.2} {ssim:.3} {lpips:.3} sigma {sigma:.4}  {}",
                shown.replace('\n', ", ")
            );
        }
    }
    Ok(())
}

fn middle(picture: &Picture) -> Picture {
    let (_, _, h, w) = picture.pixels.dim();
    let (top, left) = ((h.saturating_sub(SIDE)) / 2, (w.saturating_sub(SIDE)) / 2);
    let part = s![.., .., top..(top + SIDE).min(h), left..(left + SIDE).min(w)];
    Picture::new(picture.pixels.slice(part).to_owned())
}
