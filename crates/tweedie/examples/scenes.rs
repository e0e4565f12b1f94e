//! What deblurring gains where the blur came from beyond the picture's edges, as it does outside of laboratories.
//!
//! ```sh
//! cargo run --release --example scenes -- KERNEL FOLDER...
//! ```
//!
//! The middle of each picture is recorded after all of it was blurred, and restored with nothing assumed about what lies
//! beyond (`unknown`, the default). Beside it stands the easy case: the middle alone, blurred with mirrored edges and restored
//! with the same (`symmetric`), and by the default. Everything goes the command's own way: 8 bits, the noise estimated.
//! `KERNEL` is a file with the shake of a hand. Prints a Markdown table of means.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::Path;

use common::{Result, pictures, through_a_file};
use ndarray::s;
use tweedie::Device;
use tweedie::checkpoint::Model;
use tweedie::image::{Format, Limits, Picture, WriteOptions};
use tweedie::metric::psnr;
use tweedie::operator::{BlurSpec, Boundary, Edges};
use tweedie::prior::{Network, Prior};
use tweedie::restore::{Job, degrade};

/// Rows and columns that are recorded.
const SIDE: usize = 256;

/// How a measurement is spoilt beside the blur.
#[derive(Clone, Copy)]
enum Spoilt {
    Noise(f64),
    Jpeg(u8),
}

impl Spoilt {
    const ALL: [Spoilt; 3] = [
        Spoilt::Noise(0.5 / 255.0),
        Spoilt::Noise(2.0 / 255.0),
        Spoilt::Jpeg(92),
    ];

    fn name(self) -> String {
        match self {
            Spoilt::Noise(sigma) => format!("noise {:.1}/255", sigma * 255.0),
            Spoilt::Jpeg(quality) => format!("JPEG {quality}"),
        }
    }

    fn sigma(self) -> f64 {
        match self {
            Spoilt::Noise(sigma) => sigma,
            Spoilt::Jpeg(_) => 0.0,
        }
    }

    fn file(self, picture: &Picture) -> Result<Picture> {
        match self {
            Spoilt::Noise(_) => through_a_file(picture),
            Spoilt::Jpeg(quality) => {
                let options = WriteOptions {
                    quality,
                    ..Default::default()
                };
                let bytes = tweedie::image::encode(picture, Format::Jpeg, &options)?;
                Ok(tweedie::image::decode(&bytes, &Limits::default())?)
            }
        }
    }
}

/// The middle of a picture, `side` pixels a side.
fn middle(picture: &Picture, side: usize) -> Picture {
    let dims = picture.dims();
    let (top, left) = ((dims.h - side) / 2, (dims.w - side) / 2);
    let part = s![.., .., top..top + side, left..left + side];
    Picture::new(picture.pixels.slice(part).to_owned())
}

/// Decibels gained, and seconds, of a measurement.
fn gain(truth: &Picture, y: &Picture, spec: &BlurSpec, prior: &dyn Prior) -> Result<[f64; 2]> {
    let (x, report) = Job::new(spec.clone().into())
        .prepare(y, prior.card())?
        .run(prior, ())?;
    let x = through_a_file(&x)?;
    let before = psnr(&truth.pixels, &y.pixels)?;
    Ok([psnr(&truth.pixels, &x.pixels)? - before, report.seconds])
}

/// Gains and seconds of one picture: scene and default; mirrored and symmetric; mirrored and default.
fn trial(
    picture: &Picture,
    kernel: &str,
    spoilt: Spoilt,
    prior: &dyn Prior,
) -> Result<[[f64; 2]; 3]> {
    let blur = |boundary: Edges| -> Result<BlurSpec> {
        let kernel = kernel.parse()?;
        Ok(BlurSpec { kernel, boundary })
    };
    let (mirrored, open) = (blur(Boundary::Symmetric.into())?, blur(Edges::Auto)?);
    let measure = |of: &Picture| degrade(of, &mirrored.clone().into(), spoilt.sigma(), 1);
    let truth = middle(picture, SIDE);
    // So much more of the scene than any kernel here reaches that its own edges do not matter.
    let scene = spoilt.file(&middle(
        &measure(&middle(picture, SIDE + 64))?.picture,
        SIDE,
    ))?;
    let easy = spoilt.file(&measure(&truth)?.picture)?;
    Ok([
        gain(&truth, &scene, &open, prior)?,
        gain(&truth, &easy, &mirrored, prior)?,
        gain(&truth, &easy, &open, prior)?,
    ])
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let shake = args.next().ok_or("usage: scenes KERNEL FOLDER...")?;
    let mut files = Vec::new();
    for folder in args {
        files.extend(pictures(Path::new(&folder))?);
    }
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    println!(
        "| kernel | spoilt by | scene, unknown | mirrored, symmetric | mirrored, unknown | time |"
    );
    println!("|---|---|---|---|---|---|");
    let kernels = ["gaussian:1.6", "disk:3", "motion:15:20", "box:5", &shake];
    for kernel in kernels {
        for spoilt in Spoilt::ALL {
            let mut sum = [[0.0; 2]; 3];
            for file in &files {
                let picture = tweedie::image::read(file)?;
                let trial = trial(&picture, kernel, spoilt, &prior)?;
                let numbers = sum.iter_mut().flatten().zip(trial.iter().flatten());
                numbers.for_each(|(sum, v)| *sum += v / files.len() as f64);
            }
            let [scene, easy, open] = sum;
            let name = if kernel == shake { "shake" } else { kernel };
            println!(
                "| {name} | {} | {:+.2} dB | {:+.2} dB | {:+.2} dB | {:.1} s, {:.1} times |",
                spoilt.name(),
                scene[0],
                easy[0],
                open[0],
                scene[1],
                scene[1] / easy[1]
            );
        }
    }
    Ok(())
}
