//! MRI without a scanner: a head of ellipses, of whose k-space four coils record a quarter of the columns, with noise. Their
//! sensitivities are found from the calibration area.
//!
//! ```sh
//! cargo run --release --example mri -- [OUT.png] [MODEL]
//! ```
//!
//! Prints the PSNR of the zero-filled picture, of total variation and of what the prior of photographs (or `MODEL`, for real
//! pictures) makes of it, and writes these three and the truth side by side.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::Path;

use common::Result;
use common::head::head;
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::method::{Settings, Task};
use tweedie::metric::psnr;
use tweedie::operator::Spec;
use tweedie::prior::Network;
use tweedie::problem::Problem;
use tweedie::restore::degrade;
use tweedie::run::Run;
use tweedie::{Device, Image, recommend};

const SIDE: usize = 160;
const SIGMA: f64 = 0.01;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let out = args.next().unwrap_or("mri.png".to_owned());
    let model = match args.next() {
        Some(path) => Model::open(Path::new(&path))?,
        None => Model::photo()?,
    };
    let prior = Network::new(&model, &Device::default())?;
    let truth = head(SIDE);
    let scanner: Spec =
        toml::from_str("kind = 'mri'\nsampling = 'gaussian1d:4'\ncoils = 'simulated:4'\nseed = 1")?;
    let recorded = degrade(&Picture::new(truth.clone()), &scanner, SIGMA, 1)?.picture;
    let known: Spec = toml::from_str("kind = 'mri'\ncoils = 'calibrated'")?;
    let mut notes = Vec::new();
    let operator = known.build_for(&recorded, &mut notes)?;
    println!("{}", notes.join("; "));
    let problem = Problem::new(recorded.pixels, operator, SIGMA)?;

    let task = Task::of(&problem, None);
    let run = |settings: Settings| -> Result<(String, Image)> {
        let mut run = Run::new(0);
        let x = settings.as_dyn().restore(&prior, &problem, &mut run)?.x;
        Ok((settings.name().to_owned(), x))
    };
    let results = [
        ("zero-filled".to_owned(), problem.operator.guess(&problem.y)),
        run(Settings::tuned("tv", &task).ok_or("tv is a method")?)?,
        run(recommend::method(&task))?,
        ("truth".to_owned(), truth.clone()),
    ];
    for (name, x) in &results[..3] {
        println!("{name}: {:.2} dB", psnr(x, &truth)?);
    }
    let sheet = tweedie::image::grid(&results.map(|(_, x)| x), 4)?;
    tweedie::image::write(
        &out,
        &Picture::new(sheet),
        &Default::default(),
        Overwrite::Allow,
    )?;
    println!("wrote {out}");
    Ok(())
}
