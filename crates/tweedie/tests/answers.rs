//! Answers of methods and samplers on a photograph, as they were when they were last looked at: a change that is meant to
//! leave them alone must.
//!
//! `tests/golden/answers` holds a sheet of 16-bit pictures a method, an operator a row. `TWEEDIE_BLESS=1` writes them anew.

use ndarray::s;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tweedie::checkpoint::Model;
use tweedie::image::{Depth, Overwrite, Picture};
use tweedie::noise::NoiseSource;
use tweedie::operator::Spec;
use tweedie::prior::Network;
use tweedie::problem::Problem;
use tweedie::run::Run;
use tweedie::{Device, Dims, Image, method, sampler};

/// Operators and the noise of their measurements.
const OPERATORS: [(&str, f64); 8] = [
    ("kind = 'identity'", 0.1),
    ("kind = 'blur'\nkernel = 'gaussian:1.2'", 0.02),
    ("kind = 'blur'\nkernel = 'motion:7:30'", 0.02),
    ("kind = 'downsample'\nfactor = 2", 0.0),
    (
        "kind = 'downsample'\nfactor = 2\nfilter = 'gaussian:1.2'\nboundary = 'circular'",
        0.01,
    ),
    ("kind = 'mask'\nshape = 'box'\nheight = 10\nwidth = 12", 0.0),
    ("kind = 'gray'", 0.0),
    (
        "kind = 'compose'\nsteps = [{kind = 'blur', kernel = 'box:3'}, {kind = 'gray'}]",
        0.02,
    ),
];

/// Noise of its own, so that the library's may change.
struct Fixed(u64);

impl NoiseSource for Fixed {
    fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        self.0 += 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.0);
        Image::from_shape_simple_fn(dims.batch(batch), || {
            Distribution::<f32>::sample(&StandardNormal, &mut rng)
        })
    }
}

fn prior() -> Network {
    Network::new(&Model::photo().unwrap(), &Device::default()).unwrap()
}

fn truth() -> Image {
    let path = format!(
        "{}/../../examples/photos/chelsea.png",
        env!("CARGO_MANIFEST_DIR")
    );
    let photo = tweedie::image::read(path).unwrap().pixels;
    photo.slice(s![.., .., 90..122, 180..212]).to_owned()
}

/// The answers one below the other, against the sheet of that name.
fn check(name: &str, answers: &[Image], tolerance: impl Fn(usize) -> f32) {
    let path = format!(
        "{}/../../tests/golden/answers/{name}.png",
        env!("CARGO_MANIFEST_DIR")
    );
    let views: Vec<_> = answers.iter().map(|a| a.view()).collect();
    let sheet = ndarray::concatenate(ndarray::Axis(2), &views).unwrap();
    let sheet = sheet.mapv(|v| v.clamp(0.0, 1.0));
    if std::env::var_os("TWEEDIE_BLESS").is_some() {
        let picture = Picture {
            depth: Depth::Sixteen,
            ..Picture::new(sheet.clone())
        };
        tweedie::image::write(&path, &picture, &Default::default(), Overwrite::Allow).unwrap();
    }
    let golden = tweedie::image::read(&path).unwrap().pixels;
    let rows = golden.axis_chunks_iter(ndarray::Axis(2), 32);
    let off: Vec<f32> = answers
        .iter()
        .zip(rows)
        .map(|(got, expected)| {
            let pairs = got.iter().zip(expected);
            pairs.fold(0.0, |m, (g, e)| f32::max(m, (g.clamp(0.0, 1.0) - e).abs()))
        })
        .collect();
    assert_eq!(off.len(), answers.len(), "{name}");
    let near = off.iter().enumerate().all(|(i, &off)| off < tolerance(i));
    assert!(near, "{name}: off by {off:?}");
}

/// One method on every operator whose noise it is made for.
fn method(name: &str, settings: &str, exact_only: bool, tolerance: impl Fn(usize) -> f32) {
    let (prior, truth) = (prior(), truth());
    let settings: method::Settings = toml::from_str(settings).unwrap();
    let answers: Vec<Image> = OPERATORS
        .iter()
        .filter(|(_, sigma)| !exact_only || *sigma == 0.0)
        .map(|(spec, sigma)| {
            let spec: Spec = toml::from_str(spec).unwrap();
            let operator = spec.build(Dims::of(&truth)).unwrap();
            let mut y = operator.apply(&truth);
            let noise = Fixed(1000).normal(1, Dims::of(&y));
            y.scaled_add(*sigma as f32, &noise);
            let problem = Problem::new(y, operator, *sigma).unwrap();
            let mut run = Run::with(Fixed(0), ());
            // The answers to exact measurements are from before they ended in an exact projection; tests of its own say
            // that they do now.
            let settings = match settings.clone() {
                method::Settings::DiffPir(diffpir) if problem.exact() => {
                    let output = method::Output::Prox;
                    method::DiffPir { output, ..diffpir }.into()
                }
                other => other,
            };
            settings
                .as_dyn()
                .restore(&prior, &problem, &mut run)
                .unwrap()
                .x
        })
        .collect();
    check(name, &answers, tolerance);
}

/// These two sheets were made by the code as it was, but for the noise of the guess, which the start now counts.
#[test]
fn diffpir() {
    let tolerance = |_| 5e-4;
    let grid = "grid = { schedule = { kind = 'vp-linear', steps = 1000 }, subset = { kind = 'diffpir-quad', steps = 10 } }";
    method(
        "diffpir",
        &format!("name = 'diffpir'\n{grid}"),
        false,
        tolerance,
    );
    let fresh = format!("name = 'diffpir'\nlambda = 1.0\nzeta = 1.0\n{grid}");
    method("diffpir-fresh", &fresh, false, tolerance);
}

#[test]
fn dpir() {
    method("dpir", "name = 'dpir'", false, |_| 6e-4);
}

#[test]
fn ddnm() {
    let grid = "grid = { schedule = { kind = 'vp-linear', steps = 1000 }, subset = { kind = 'uniform', steps = 10 } }";
    method("ddnm", &format!("name = 'ddnm'\n{grid}"), true, |_| 5e-4);
}

#[test]
fn dps() {
    let grid = "grid = { schedule = { kind = 'vp-linear', steps = 1000 }, subset = { kind = 'spaced', steps = 10 } }";
    let rule = "rule = { kind = 'residual-norm', scale = 10.0 }";
    method(
        "dps",
        &format!("name = 'dps'\n{grid}\n{rule}"),
        false,
        |_| 2e-3,
    );
}

#[test]
fn samplers() {
    let prior = prior();
    let answers: Vec<Image> = [
        "name = 'ddpm'\ngrid = { schedule = { kind = 'vp-linear', steps = 1000 }, subset = { kind = 'spaced', steps = 10 } }",
        "name = 'ddim'\ngrid = { schedule = { kind = 'vp-linear', steps = 1000 }, subset = { kind = 'uniform', steps = 10 } }",
        "name = 'edm'\nchurn = 5.0",
    ]
    .iter()
    .map(|settings| {
        let settings: sampler::Settings = toml::from_str(settings).unwrap();
        let mut run = Run::with(Fixed(0), ());
        let dims = Dims::new(3, 32, 32);
        settings.as_dyn().sample(&prior, 1, dims, &mut run).unwrap()
    })
    .collect();
    check("samplers", &answers, |_| 5e-4);
}
