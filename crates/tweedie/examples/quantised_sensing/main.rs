//! Handwritten digits from a few bits: QCS-SGM and QCS-SGM+ beside LASSO and DiffPIR, over kinds of matrices, bits and numbers of measurements.
//!
//! ```sh
//! python models/digits/prepare.py models/digits/data
//! cargo run --release --example quantised_sensing -- models/digits/data/test/0 docs/quantised-sensing.png 64 > tables.md
//! ```
//!
//! The first digits of the folder are measured, all by one matrix; sixteen after them choose LASSO's lambda. Signs do not tell how
//! bright a picture was: there LASSO's answers are scaled to the truth's length, which it cannot know.

#[allow(dead_code, reason = "each example uses a part")]
#[path = "../common/mod.rs"]
mod common;
mod lasso;

use std::path::Path;
use std::time::Instant;

use common::{Result, pictures};
use lasso::Lasso;
use ndarray::{Array2, Axis, s};
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::method::{Settings, Task};
use tweedie::metric::{psnr, ssim};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Binned, Matrix, Operator, Quantiser};
use tweedie::prior::Network;
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Device, Dims, Image};

const SIDE: usize = 28;
const SIGMA: f64 = 0.05;
/// Digits that choose lambda.
const CHOOSING: usize = 16;
const LAMBDAS: [f64; 7] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
/// Digits of the sheet.
const SHOWN: usize = 12;

/// What kind of matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Gaussian,
    /// The ratio of the largest singular value to the least.
    Ill(f64),
    /// The correlation of neighbouring rows and columns.
    Correlated(f64),
}

impl Kind {
    fn name(self) -> String {
        match self {
            Kind::Gaussian => "Gaussian".to_owned(),
            Kind::Ill(condition) => format!("condition {condition}"),
            Kind::Correlated(correlation) => format!("correlated {correlation}"),
        }
    }

    fn matrix(self, m: usize) -> Result<Matrix> {
        let input = Dims::new(1, SIDE, SIDE);
        Ok(match self {
            Kind::Gaussian => Matrix::gaussian(input, m, 1)?,
            Kind::Ill(condition) => Matrix::ill_conditioned(input, m, condition, false, 1)?,
            Kind::Correlated(correlation) => Matrix::correlated(input, m, correlation, false, 1)?,
        })
    }
}

/// One line of the table.
struct Case {
    kind: Kind,
    bits: u8,
    m: usize,
    /// Whether the sheet shows it.
    shown: bool,
}

fn cases() -> Vec<Case> {
    let case = |kind, bits, m, shown| Case {
        kind,
        bits,
        m,
        shown,
    };
    let mut cases = vec![
        case(Kind::Gaussian, 1, 100, false),
        case(Kind::Gaussian, 1, 200, true),
    ];
    for kind in [Kind::Gaussian, Kind::Ill(1e3), Kind::Correlated(0.4)] {
        cases.push(case(kind, 1, 400, kind != Kind::Gaussian));
        cases.push(case(kind, 2, 200, kind == Kind::Gaussian));
        cases.push(case(kind, 3, 133, false));
    }
    cases
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: quantised_sensing FOLDER SHEET [DIGITS [MODEL]]";
    let (folder, sheet) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let count: usize = args.next().map_or(Ok(64), |n| n.parse())?;
    let path = args.next();
    let path = path.unwrap_or_else(|| "models/digits/digits.safetensors".into());
    let network = Network::new(&Model::open(Path::new(&path))?, &Device::default())?;
    let all = read(Path::new(&folder), count + CHOOSING)?;
    let truth = all.slice(s![..count, .., .., ..]).to_owned();
    let shown = SHOWN.min(count);
    let mut strips = vec![truth.slice(s![..shown, .., .., ..]).to_owned()];
    println!(
        "| matrix | bits | numbers | LASSO | `qcs-sgm` | `qcs-sgm+` | `diffpir` |\n|---|---|---|---|---|---|---|"
    );
    for case in cases() {
        let begun = Instant::now();
        let matrix = case.kind.matrix(case.m)?;
        let a = matrix
            .dense()
            .expect("a small matrix is stored")
            .mapv(f64::from);
        let (problem, all_y) = measured(&case, matrix, &all, count)?;
        let mut found = vec![lasso(&case, &a, &all, &all_y, count)?];
        for name in ["qcs-sgm", "qcs-sgm+", "diffpir"] {
            let settings = Settings::tuned(name, &Task::of(&problem, None)).expect("a listed name");
            let x = settings
                .as_dyn()
                .restore(&network, &problem, &mut Run::new(1))?
                .x;
            found.push(x.mapv(|v| v.clamp(0.0, 1.0)));
        }
        let scores: Vec<String> = found
            .iter()
            .map(|x| scores(&truth, x))
            .collect::<Result<_>>()?;
        println!(
            "| {} | {} | {} | {} |",
            case.kind.name(),
            case.bits,
            case.m,
            scores.join(" | ")
        );
        eprintln!("{:.0} s", begun.elapsed().as_secs_f64());
        if case.shown {
            strips.extend(
                found
                    .iter()
                    .map(|x| x.slice(s![..shown, .., .., ..]).to_owned()),
            );
        }
    }
    let picture = Picture::new(tiled(&strips));
    tweedie::image::write(&sheet, &picture, &Default::default(), Overwrite::Allow)?;
    Ok(())
}

fn read(folder: &Path, count: usize) -> Result<Image> {
    let files = pictures(folder)?;
    let digits = files.iter().take(count).map(tweedie::image::read);
    let digits: Vec<_> = digits.collect::<std::result::Result<_, _>>()?;
    let views: Vec<_> = digits.iter().map(|d| d.pixels.view()).collect();
    match views.len() == count {
        true => Ok(ndarray::concatenate(Axis(0), &views)?),
        false => Err(format!("{} holds fewer than {count} digits", folder.display()).into()),
    }
}

/// The problem of the first digits, and what is recorded of all.
fn measured(case: &Case, matrix: Matrix, x: &Image, count: usize) -> Result<(Problem, Image)> {
    let noise = Seeded::new(2, "measurement").normal(x.dim().0, matrix.output());
    let v = matrix.apply(x) + noise * SIGMA as f32;
    let quantiser = Quantiser::new(Box::new(matrix), case.bits, None)?;
    let y = quantiser.rounded(&v);
    let first = y.slice(s![..count, .., .., ..]).to_owned();
    Ok((Problem::new(first, Box::new(quantiser), SIGMA)?, y))
}

/// LASSO's answers for the first digits, with the lambda that suits the others.
fn lasso(case: &Case, a: &Array2<f64>, x: &Image, y: &Image, count: usize) -> Result<Image> {
    let lasso = Lasso::new(a, SIDE);
    let solve = |from: usize, to: usize, lambda: f64| {
        let part = y.slice(s![from..to, 0, 0, ..]).mapv(f64::from);
        let found = lasso.solve(&part.t().to_owned(), lambda);
        let mut out = Image::from_shape_fn((to - from, 1, SIDE, SIDE), |(k, _, i, j)| {
            found[[i * SIDE + j, k]] as f32
        });
        if case.bits == 1 {
            for (mut out, x) in out
                .outer_iter_mut()
                .zip(x.slice(s![from..to, .., .., ..]).outer_iter())
            {
                let length =
                    |v: ndarray::ArrayView3<'_, f32>| v.iter().map(|v| v * v).sum::<f32>().sqrt();
                let factor = length(x) / length(out.view()).max(1e-6);
                out *= factor;
            }
        }
        out.mapv(|v| v.clamp(0.0, 1.0))
    };
    let all = x.dim().0;
    let others = x.slice(s![count.., .., .., ..]).to_owned();
    let mut best = (f64::NEG_INFINITY, 0.0);
    for lambda in LAMBDAS {
        let score = mean(&others, &solve(count, all, lambda), |a, b| Ok(psnr(a, b)?))?;
        if score > best.0 {
            best = (score, lambda);
        }
    }
    Ok(solve(0, count, best.1))
}

/// PSNR, SSIM and cosine, their means.
fn scores(truth: &Image, x: &Image) -> Result<String> {
    let cosine = |a: &Image, b: &Image| {
        let dot =
            |a: &Image, b: &Image| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        Ok(dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12))
    };
    let psnr = mean(truth, x, |a, b| Ok(psnr(a, b)?))?;
    let ssim = mean(truth, x, |a, b| Ok(ssim(a, b)?))?;
    Ok(format!(
        "{psnr:.2}, {ssim:.3}, {:.3}",
        mean(truth, x, cosine)?
    ))
}

fn mean(truth: &Image, x: &Image, of: impl Fn(&Image, &Image) -> Result<f64>) -> Result<f64> {
    let mut sum = 0.0;
    for (a, b) in truth
        .axis_chunks_iter(Axis(0), 1)
        .zip(x.axis_chunks_iter(Axis(0), 1))
    {
        sum += of(&a.to_owned(), &b.to_owned())?;
    }
    Ok(sum / truth.dim().0 as f64)
}

/// Strips of digits below each other, twice as large.
fn tiled(strips: &[Image]) -> Image {
    const LARGE: usize = 2;
    let tile = SIDE * LARGE + 2;
    Image::from_shape_fn(
        (1, 1, strips.len() * tile, strips[0].dim().0 * tile),
        |(_, _, i, j)| {
            let (row, y) = (i / tile, i % tile / LARGE);
            let (column, x) = (j / tile, j % tile / LARGE);
            match y < SIDE && x < SIDE {
                true => strips[row][[column, 0, y, x]],
                false => 0.35,
            }
        },
    )
}
