//! The table of docs/non-linear.md: problems that are not linear, each by several methods, and a sheet of what came of them.
//!
//! ```sh
//! cargo run --release --example non_linear -- OUT FOLDER...
//! ```
//!
//! Takes the middle of each picture, reduced to 128x128. Measurements go through files, with 8 bits, but those of phase retrieval, which are
//! arrays; noise is stated. Results are rounded to 8 bits; those of phase retrieval are turned as the truth is. The first two pictures are
//! on the sheet, `OUT/sheet.png`: truth, measurement, and what each method made of it, a problem a row.

#[allow(dead_code, reason = "each example uses a part")]
mod common;

use std::path::{Path, PathBuf};

use common::{Result, pictures};
use ndarray::{Axis, concatenate, s};
use tweedie::checkpoint::Model;
use tweedie::image::{self, Depth, Format, Limits, Overwrite, Picture};
use tweedie::metric::{Metrics, aligned, compare};
use tweedie::operator::{Downsample, Operator, Spec};
use tweedie::prior::{Network, Prior};
use tweedie::restore::{Choice, Job, degrade};
use tweedie::{Device, Dims, Image};

/// Pixels a side.
const SIDE: usize = 128;

/// Pictures on the sheet.
const SHOWN: usize = 2;

struct Problem {
    name: &'static str,
    spec: &'static str,
    /// Of white noise in the measurement; none for what is rounded.
    sigma: f64,
    methods: &'static [&'static str],
}

/// Those of the papers, as far as a file of settings says them: DPS, DAPS, RED-diff and PiGDM.
const PROBLEMS: [Problem; 7] = [
    Problem {
        name: "phase, 4 masks",
        spec: "kind = 'phase'\ndiffraction = { of = 'coded', masks = 4 }",
        sigma: 0.025,
        methods: &["guess", "dps", "diffpir", "daps", "red-diff", "pigdm"],
    },
    Problem {
        name: "phase, zeros x2",
        spec: "kind = 'phase'\ndiffraction = { of = 'fourier', oversampling = 2.0 }",
        sigma: 0.01,
        methods: &["guess", "dps", "diffpir", "daps", "red-diff", "best"],
    },
    Problem {
        name: "hdr x2",
        spec: "kind = 'hdr'\ngain = 2.0",
        sigma: 0.025,
        methods: &["guess", "dps", "diffpir", "daps", "red-diff", "pigdm"],
    },
    Problem {
        name: "8 levels",
        spec: "kind = 'quantise'\nlevels = 8",
        sigma: 0.0,
        methods: &["guess", "dps", "diffpir", "dequantise", "red-diff", "pigdm"],
    },
    Problem {
        name: "blur of light",
        spec: "kind = 'nonlinear-blur'\nkernel = 'motion:9:30'\nboundary = 'symmetric'",
        sigma: 0.025,
        methods: &["guess", "dps", "diffpir", "daps", "red-diff", "pigdm"],
    },
    Problem {
        name: "camera, a network",
        spec: "kind = 'network'\nkernel = 'motion:9:30'",
        sigma: 0.025,
        methods: &["guess", "dps", "diffpir", "daps", "red-diff", "pigdm"],
    },
    Problem {
        name: "JPEG 10",
        spec: "kind = 'jpeg'\nquality = 10",
        sigma: 0.0,
        methods: &["guess", "dps", "diffpir", "dequantise", "red-diff", "pigdm"],
    },
];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: non_linear OUT FOLDER...";
    let out = PathBuf::from(args.next().ok_or(usage)?);
    let mut files = Vec::new();
    for folder in args {
        files.extend(pictures(Path::new(&folder))?);
    }
    let truths = files.iter().map(|file| reduced(file));
    let truths: Vec<Picture> = truths.collect::<Result<_>>()?;
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    std::fs::create_dir_all(&out)?;
    println!("| problem | method | PSNR | SSIM | LPIPS | NFE | seconds |");
    println!("|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for problem in &PROBLEMS {
        rows.push(solved(problem, &truths, &prior)?);
    }
    let file = out.join("sheet.png");
    let sheet = Picture::new(sheet(&rows));
    image::write(&file, &sheet, &Default::default(), Overwrite::Allow)?;
    println!(
        "\nMeans over {} pictures; bold is the default.",
        truths.len()
    );
    Ok(())
}

/// The middle of a picture, with antialiased bicubic reduction.
fn reduced(file: &Path) -> Result<Picture> {
    let pixels = image::read(file)?.with_file_channels().pixels;
    let (_, _, h, w) = pixels.dim();
    let side = h.min(w);
    let (top, left) = ((h - side) / 2, (w - side) / 2);
    let middle = pixels.slice(s![.., .., top..top + side, left..left + side]);
    let small = Downsample::bicubic_to(Dims::new(3, side, side), (SIDE, SIDE))?;
    filed(&Picture::new(small.apply(&middle.to_owned())))
}

/// After a file.
fn filed(picture: &Picture) -> Result<Picture> {
    let bytes = image::encode(picture, Format::Png, &Default::default())?;
    let mut read = image::decode(&bytes, &Limits::default())?;
    read.pixels = read.with_file_channels().pixels;
    Ok(read)
}

/// Prints the methods of a problem; the tiles that are shown.
fn solved(problem: &Problem, truths: &[Picture], prior: &dyn Prior) -> Result<Vec<Image>> {
    let spec: Spec = toml::from_str(problem.spec)?;
    let mut measured = Vec::new();
    for (k, truth) in truths.iter().enumerate() {
        let y = degrade(truth, &spec, problem.sigma, k as u64)?.picture;
        measured.push(if spec.records_pictures() {
            filed(&y)?
        } else {
            y
        });
    }
    let mut tiles: Vec<Image> = Vec::new();
    for (truth, y) in truths.iter().zip(&measured).take(SHOWN) {
        tiles.push(truth.pixels.clone());
        tiles.push(fitted(y));
    }
    for method in problem.methods {
        let (mut all, mut nfe, mut seconds, mut usual) = (Vec::new(), 0, 0.0, false);
        for (k, (truth, y)) in truths.iter().zip(&measured).enumerate() {
            let choice = Choice::Named((*method).to_owned());
            let job = Job {
                method: choice,
                noise: Some(problem.sigma.into()),
                ..Job::new(spec.clone())
            };
            let usual_job = Job {
                method: Choice::Best,
                ..job.clone()
            };
            usual = usual_job.prepare(y, prior.card())?.settings().name() == *method;
            let (result, report) = job.prepare(y, prior.card())?.run(prior, ())?;
            let mut x = filed(&Picture {
                depth: Depth::Eight,
                ..result
            })?
            .pixels;
            if matches!(spec, Spec::Phase(_)) {
                x = aligned(&truth.pixels, &x)?;
            }
            if k < SHOWN {
                tiles.push(x.clone());
            }
            all.push(compare(&truth.pixels, &x)?);
            (nfe, seconds) = (report.nfe, seconds + report.seconds);
        }
        let mean =
            |value: fn(&Metrics) -> f64| all.iter().map(value).sum::<f64>() / all.len() as f64;
        let mark = if usual { "**" } else { "" };
        println!(
            "| {} | {mark}{method}{mark} | {:.2} | {:.3} | {:.3} | {nfe} | {:.1} |",
            problem.name,
            mean(|m| m.psnr),
            mean(|m| m.ssim.unwrap_or(0.0)),
            mean(|m| m.lpips.unwrap_or(0.0)),
            seconds / all.len() as f64
        );
    }
    Ok(tiles)
}

/// A measurement as a tile: pictures as they are, magnitudes of the first mask by their logarithm.
fn fitted(y: &Picture) -> Image {
    let Dims { h, w, .. } = y.dims();
    if (h, w) == (SIDE, SIDE) {
        return y.pixels.clone();
    }
    let (top, left) = (if w > SIDE { (h - SIDE) / 2 } else { 0 }, (w - SIDE) / 2);
    let part = y
        .pixels
        .slice(s![.., .., top..top + SIDE, left..left + SIDE]);
    part.mapv(|v| ((v.max(1e-3).log10() + 2.0) / 4.0).clamp(0.0, 1.0))
}

/// Rows of tiles: for each picture that is shown truth and measurement, then the methods.
fn sheet(rows: &[Vec<Image>]) -> Image {
    let mut lines = Vec::new();
    for tiles in rows {
        let methods = tiles.len() / SHOWN - 2;
        for k in 0..SHOWN {
            let mut line = vec![tiles[2 * k].view(), tiles[2 * k + 1].view()];
            line.extend((0..methods).map(|m| tiles[SHOWN * (2 + m) + k].view()));
            lines.push(concatenate(Axis(3), &line).expect("tiles are of one size"));
        }
    }
    let views: Vec<_> = lines.iter().map(|line| line.view()).collect();
    concatenate(Axis(2), &views).expect("rows are of one length")
}
