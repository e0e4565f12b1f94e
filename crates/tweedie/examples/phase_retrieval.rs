//! Phase retrieval from scratch: a picture is made, a detector records the magnitudes of its Fourier transform, and the picture is found
//! again.
//!
//! ```sh
//! cargo run --release --example phase_retrieval -- [OUT.png]
//! ```
//!
//! Behind random masks the classical way finds it up to the noise, which the prior then removes. With nothing but zeros around it the
//! magnitudes are those of the picture turned by half a turn, too, so that the answer is turned as the truth is before it is judged.
//! Writes truth, magnitudes, first guess and result side by side, a row for each kind of measurement.

use ndarray::{Axis, concatenate, s};
use tweedie::checkpoint::Model;
use tweedie::image::{Overwrite, Picture, write};
use tweedie::method::{Method, Settings, Task};
use tweedie::metric::{aligned, psnr};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::Spec;
use tweedie::prior::{Network, Prior};
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Device, Dims, Image, recommend};

const SIDE: usize = 96;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args()
        .nth(1)
        .unwrap_or("phase_retrieval.png".into());
    let prior = Network::new(&Model::photo()?, &Device::default())?;
    let truth = scene();
    let mut rows = Vec::new();
    for (kind, sigma) in [
        ("{ of = 'coded', masks = 4 }", 0.05),
        ("{ of = 'fourier', oversampling = 2.0 }", 0.01),
    ] {
        let spec: Spec = toml::from_str(&format!("kind = 'phase'\ndiffraction = {kind}"))?;
        let operator = spec.build(Dims::of(&truth))?;
        // What the detector records, in units of the transform.
        let mut y = operator.apply(&truth);
        y.scaled_add(
            sigma,
            &Seeded::new(1, "detector").normal(1, operator.output()),
        );
        let problem = Problem::new(y, operator, f64::from(sigma))?;

        let guess = aligned(&truth, &problem.operator.guess(&problem.y))?;
        let settings = recommend::method(&Task {
            maps: prior.card().maps,
            ..Task::of(&problem, None)
        });
        let found = restored(&settings, &prior, &problem)?;
        let found = aligned(&truth, &found)?;
        println!(
            "{kind}, noise {sigma}: guess {:.2} dB, {} {:.2} dB",
            psnr(&truth, &guess)?,
            settings.name(),
            psnr(&truth, &found)?
        );
        let seen = magnitudes(&problem);
        let tiles = [&truth, &seen, &guess, &found].map(|x| x.view());
        rows.push(concatenate(Axis(3), &tiles)?);
    }
    let sheet = concatenate(Axis(2), &[rows[0].view(), rows[1].view()])?;
    write(
        &out,
        &Picture::new(sheet),
        &Default::default(),
        Overwrite::Allow,
    )?;
    println!("wrote {out}");
    Ok(())
}

fn restored(
    settings: &Settings,
    prior: &dyn Prior,
    problem: &Problem,
) -> Result<Image, tweedie::run::Error> {
    let method: &dyn Method = settings.as_dyn();
    Ok(method.restore(prior, problem, &mut Run::new(1))?.x)
}

/// A sky, hills, a sun and its house: edges, colours and even parts.
fn scene() -> Image {
    Image::from_shape_fn((1, 3, SIDE, SIDE), |(_, c, i, j)| {
        let (y, x) = (i as f32 / SIDE as f32, j as f32 / SIDE as f32);
        let hill = 0.62 + 0.08 * (7.0 * x).sin() + 0.04 * (19.0 * x + 1.0).sin();
        let sun = (y - 0.22).hypot(x - 0.72) < 0.11;
        let wall = (0.45..0.75).contains(&y) && (0.18..0.45).contains(&x);
        let roof = (0.3..0.45).contains(&y) && (x - 0.315).abs() < 0.2 * (y - 0.25) / 0.2;
        let window =
            (0.53..0.62).contains(&y) && ((0.22..0.29).contains(&x) || (0.34..0.41).contains(&x));
        let colour = match () {
            () if window => [0.15, 0.2, 0.3],
            () if wall => [0.85, 0.8, 0.7],
            () if roof => [0.6, 0.2, 0.15],
            () if y > hill => [0.2 + 0.1 * y, 0.45 - 0.2 * y, 0.15],
            () if sun => [0.98, 0.85, 0.35],
            () => [0.35 + 0.3 * y, 0.55 + 0.25 * y, 0.85],
        };
        colour[c]
    })
}

/// The middle of the first transform, by its logarithm.
fn magnitudes(problem: &Problem) -> Image {
    let (_, _, h, w) = problem.y.dim();
    let top = if w > SIDE { (h - SIDE) / 2 } else { 0 };
    let left = (w - SIDE) / 2;
    let part = problem
        .y
        .slice(s![.., .., top..top + SIDE, left..left + SIDE]);
    part.mapv(|v| ((v.max(1e-3).log10() + 2.0) / 4.0).clamp(0.0, 1.0))
}
