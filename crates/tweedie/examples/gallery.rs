//! The README's picture: what was recorded, what a classical method makes of it, what Tweedie makes of it, the truth.
//!
//! ```sh
//! cargo run --release --example gallery -- examples/photos docs/gallery.jpg
//! ```

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::Path;

use common::{Result, measured, restored};
use ndarray::s;
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::metric::psnr;
use tweedie::operator::Spec;
use tweedie::prior::{Network, Prior};
use tweedie::restore::{Choice, Job};
use tweedie::{Device, Image};

/// Photograph, operator, noise.
const ROWS: [(&str, &str, f64); 5] = [
    ("astronaut", "kind = 'identity'", 25.0 / 255.0),
    ("rocket", "kind = 'blur'\nkernel = 'motion:15:30'", 0.01),
    ("chelsea", "kind = 'downsample'\nfactor = 2", 0.0),
    (
        "coffee",
        "kind = 'mask'\nshape = 'random'\nhidden = 0.8\nseed = 1",
        0.0,
    ),
    ("coffee", "kind = 'gray'", 0.0),
];

/// Pixels of a photograph that are shown, from its centre, and of the gap around it.
const SIDE: usize = 256;
const GAP: usize = 4;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (folder, out) = match (args.next(), args.next()) {
        (Some(folder), Some(out)) => (folder, out),
        _ => return Err("usage: gallery FOLDER OUT".into()),
    };
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    let pitch = SIDE + GAP;
    let mut sheet = Image::ones((1, 3, pitch * ROWS.len() - GAP, pitch * 4 - GAP));
    for (i, (name, spec, sigma)) in ROWS.into_iter().enumerate() {
        let truth = tweedie::image::read(Path::new(&folder).join(format!("{name}.png")))?;
        let row = restore(&prior, &truth, &toml::from_str(spec)?, sigma)?;
        for (j, picture) in row.iter().enumerate() {
            let (top, left) = (i * pitch, j * pitch);
            sheet
                .slice_mut(s![.., .., top..top + SIDE, left..left + SIDE])
                .assign(&shown(picture));
        }
        println!(
            "{name}, {}: classical {:.2} dB, restored {:.2} dB",
            spec.replace('\n', ", "),
            psnr(&row[3], &row[1])?,
            psnr(&row[3], &row[2])?
        );
    }
    tweedie::image::write(
        out,
        &Picture::new(sheet),
        &Default::default(),
        Overwrite::Allow,
    )?;
    Ok(())
}

/// Measurement, classical, restored, truth.
fn restore(prior: &dyn Prior, truth: &Picture, spec: &Spec, sigma: f64) -> Result<[Image; 4]> {
    let y = measured(truth, spec, sigma, 1)?;
    let job = Job::new(spec.clone()).prepare(&y, prior.card())?;
    let problem = job.problem();
    let classical = problem.operator.margins().crop(problem.classical());
    let (restored, _) = restored(&y, spec, Choice::Best, prior)?;
    Ok([y.pixels, classical, restored.pixels, truth.pixels.clone()])
}

/// The centre, in colour; small pictures with each pixel repeated.
fn shown(x: &Image) -> Image {
    let (_, c, h, w) = x.dim();
    let repeat = (SIDE / h.min(w)).max(1);
    let (top, left) = ((h * repeat - SIDE) / 2, (w * repeat - SIDE) / 2);
    Image::from_shape_fn((1, 3, SIDE, SIDE), |(_, k, i, j)| {
        x[[0, k.min(c - 1), (top + i) / repeat, (left + j) / repeat]].clamp(0.0, 1.0)
    })
}
