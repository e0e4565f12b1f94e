//! Digits from signs alone: of 400 random sums of a picture's 784 pixels nothing is kept but whether each was positive.
//!
//! ```sh
//! cargo run --release --example one_bit -- one_bit.png
//! ```
//!
//! The digits are drawn here, with a broad pen; the prior was trained on handwriting. The picture shows them, what a pseudo-inverse
//! makes of the signs, and what QCS-SGM+ does.

use std::error::Error;
use std::path::Path;

use ndarray::{Axis, concatenate};
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture};
use tweedie::method::{Settings, Task};
use tweedie::metric::psnr;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::{Binned, Matrix, Operator, Quantiser};
use tweedie::prior::Network;
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Device, Dims, Image};

const SIDE: usize = 28;
const SIGNS: usize = 400;
/// Noise that is added before the sign is taken.
const SIGMA: f64 = 0.05;

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args().nth(1).ok_or("usage: one_bit PICTURE")?;
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/digits/digits.safetensors"
    );
    let prior = Network::new(&Model::open(Path::new(weights))?, &Device::default())?;

    let digits = [zero(), two(), four(), seven()].map(|strokes| drawn(&strokes));
    let views: Vec<_> = digits.iter().map(|d| d.view()).collect();
    let truth = concatenate(Axis(0), &views)?;

    let sums = Matrix::gaussian(Dims::of(&truth), SIGNS, 1)?;
    let noise = Seeded::new(1, "measurement").normal(truth.dim().0, sums.output());
    let v = sums.apply(&truth) + noise * SIGMA as f32;
    let signs = Quantiser::new(Box::new(sums), 1, None)?;
    let problem = Problem::new(signs.rounded(&v), Box::new(signs), SIGMA)?;

    let settings = Settings::tuned("qcs-sgm+", &Task::of(&problem, None)).expect("a listed name");
    let found = settings
        .as_dyn()
        .restore(&prior, &problem, &mut Run::new(1))?
        .x;
    let guess = problem.operator.guess(&problem.y);
    for (name, x) in [("pseudo-inverse", &guess), ("qcs-sgm+", &found)] {
        let x = x.mapv(|v| v.clamp(0.0, 1.0));
        println!(
            "{name}: PSNR {:.1} dB, cosine {:.3}",
            psnr(&truth, &x)?,
            cosine(&truth, &x)
        );
    }
    let rows = [truth, guess, found].map(|x| row(&x));
    let views: Vec<_> = rows.iter().map(|r| r.view()).collect();
    let picture = Picture::new(concatenate(Axis(2), &views)?);
    tweedie::image::write(&out, &picture, &Default::default(), Overwrite::Allow)?;
    println!("{out}: drawn, from the signs by a pseudo-inverse, from the signs by qcs-sgm+");
    Ok(())
}

fn cosine(a: &Image, b: &Image) -> f64 {
    let dot = |a: &Image, b: &Image| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Digits side by side, three times as large.
fn row(x: &Image) -> Image {
    let n = x.dim().0;
    Image::from_shape_fn((1, 1, 3 * SIDE, n * 3 * SIDE), |(_, _, i, j)| {
        x[[j / (3 * SIDE), 0, i / 3, j % (3 * SIDE) / 3]]
    })
}

/// Corners of lines, as x and y in pixels.
type Strokes = Vec<Vec<[f32; 2]>>;

fn zero() -> Strokes {
    let point = |k: usize| {
        let t = k as f32 * std::f32::consts::TAU / 24.0;
        [14.0 + 5.5 * t.cos(), 14.0 + 8.5 * t.sin()]
    };
    vec![(0..=24).map(point).collect()]
}

fn two() -> Strokes {
    let arc = |k: usize| {
        let t = (k as f32 / 12.0 - 1.0) * std::f32::consts::PI;
        [14.0 + 5.0 * t.cos(), 10.5 + 4.5 * t.sin()]
    };
    let mut line: Vec<_> = (0..=13).map(arc).collect();
    line.extend([[8.0, 22.0], [20.0, 22.0]]);
    vec![line]
}

fn four() -> Strokes {
    vec![
        vec![[12.0, 5.5], [8.0, 15.0], [20.0, 15.0]],
        vec![[18.0, 6.0], [16.5, 23.0]],
    ]
}

fn seven() -> Strokes {
    vec![vec![[7.5, 7.0], [20.0, 7.0], [13.0, 23.0]]]
}

/// What a pen draws: white lines of about two and a half pixels.
fn drawn(strokes: &Strokes) -> Image {
    let far = |p: [f32; 2]| {
        let lines = strokes.iter().flat_map(|line| line.windows(2));
        let far = lines.map(|ends| distance(p, ends[0], ends[1]));
        far.fold(f32::INFINITY, f32::min)
    };
    Image::from_shape_fn((1, 1, SIDE, SIDE), |(_, _, i, j)| {
        (1.75 - far([j as f32, i as f32])).clamp(0.0, 1.0)
    })
}

/// From a point to a line between two.
fn distance(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (along, to) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let length2 = along[0] * along[0] + along[1] * along[1];
    let t = ((to[0] * along[0] + to[1] * along[1]) / length2).clamp(0.0, 1.0);
    (to[0] - t * along[0]).hypot(to[1] - t * along[1])
}
