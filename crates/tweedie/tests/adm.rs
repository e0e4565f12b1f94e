//! ADM against the authors' own code: outputs and input gradients of small random networks, made by `tests/golden/adm.py`.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use serde::Deserialize;
use tweedie::checkpoint::{Model, ModelSpec, Precision};
use tweedie::grid::Schedule;
use tweedie::level::Level;
use tweedie::net::{
    Adm, AdmConfig, Array, Heads, Loader, Params, ParamsError, QkvOrder, Resampling,
};
use tweedie::prior::{Conditioning, Network, Parametrisation, Prior, Sides};
use tweedie::{Device, Image};

#[derive(Deserialize)]
struct Golden {
    y: Vec<f32>,
    dx: Vec<f32>,
}

fn goldens() -> BTreeMap<String, Golden> {
    serde_json::from_str(include_str!("../../../tests/golden/adm.json")).unwrap()
}

/// Numbers in [-1, 1) from a hash of a name and their index, as in the script.
fn draw(name: &str, len: usize) -> Vec<f32> {
    let fnv = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(16_777_619);
    let seed = name.bytes().fold(2_166_136_261, fnv);
    let number = |i: usize| {
        let mut h = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        for _ in 0..2 {
            h = (h ^ (h >> 15)).wrapping_mul(2_246_822_519);
        }
        h ^= h >> 13;
        (h >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(number).collect()
}

fn params(config: &AdmConfig) -> Params {
    let weight = |(name, array): (String, Array)| {
        let shape = array.shape;
        let vector = shape[0] == 1;
        let fan_in = if vector {
            16
        } else {
            shape[1..].iter().product()
        };
        let center = if vector && name.ends_with("weight") {
            1.0
        } else {
            0.0
        };
        let scale = (1.5 / (fan_in as f64).sqrt()) as f32;
        let values = draw(&name, shape.iter().product());
        let values = values.iter().map(|v| center + v * scale).collect();
        (name, Array { shape, values })
    };
    config.init(0).unwrap().into_iter().map(weight).collect()
}

fn load(config: &AdmConfig, params: &Params) -> Result<Adm, ParamsError> {
    let mut loader = Loader::new(params, &Device::default());
    let adm = Adm::load(config, &mut loader)?;
    loader.finish()?;
    Ok(adm)
}

fn block() -> AdmConfig {
    AdmConfig {
        channels_in: 3,
        channels_out: 6,
        base: 32,
        widths: vec![32, 64],
        blocks: 1,
        attention: vec![false, true],
        heads: Heads::Channels(16),
        order: QkvOrder::HeadFirst,
        film: true,
        resampling: Resampling::Block,
        classes: None,
    }
}

fn conv() -> AdmConfig {
    AdmConfig {
        channels_in: 6,
        channels_out: 3,
        base: 32,
        widths: vec![32, 32, 64],
        blocks: 2,
        attention: vec![true, false, true],
        heads: Heads::Count(2),
        order: QkvOrder::QkvFirst,
        film: false,
        resampling: Resampling::Conv,
        classes: Some(5),
    }
}

fn plain() -> AdmConfig {
    AdmConfig {
        attention: vec![false; 2],
        heads: Heads::Count(1),
        resampling: Resampling::Plain,
        ..block()
    }
}

fn tensor(values: Vec<f32>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values(x: Tensor<4>) -> Vec<f32> {
    x.into_data().try_into_vec().unwrap()
}

/// Relative L2 distance.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |v: f64| v * v;
    let error: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(a - b))).sum();
    let norm: f64 = b.iter().map(|&b| square(f64::from(b))).sum();
    (error / norm).sqrt()
}

fn agrees(name: &str, config: &AdmConfig, [batch, h, w]: [usize; 3]) {
    let golden = &goldens()[name];
    let adm = load(config, &params(config)).unwrap();
    let device = Device::default().autodiff();
    let shape = [batch, config.channels_in, h, w];
    let x = tensor(draw("x", shape.iter().product()), shape, &device).require_grad();
    let (times, classes) = (&[3.0, 720.5][..batch], &[4, 1][..batch]);
    let y = adm.forward(x.clone(), times, config.classes.map(|_| classes));
    let shape = [batch, config.channels_out, h, w];
    assert_eq!(y.dims(), shape);
    let dy = tensor(draw("dy", shape.iter().product()), shape, &device);
    let grads = (y.clone() * dy).sum().backward();
    let [y, dx] = [y.inner(), x.grad(&grads).unwrap()].map(values);
    // Both sides compute in f32, in another order. A wrong order of queries and keys is off by 0.3 and more.
    for (what, got, want) in [("y", y, &golden.y), ("dx", dx, &golden.dx)] {
        let distance = distance(&got, want);
        println!("{name} {what}: {distance:.1e}");
        assert!(distance < 5e-6, "{what} of `{name}`: {distance:e}");
    }
}

#[test]
fn agrees_with_the_original_with_residual_resampling() {
    agrees("block", &block(), [1, 10, 14]);
}

#[test]
fn agrees_with_the_original_with_convolutions_classes_and_an_added_embedding() {
    agrees("conv", &conv(), [2, 12, 8]);
}

#[test]
fn agrees_with_the_original_with_plain_resampling() {
    agrees("plain", &plain(), [1, 8, 6]);
}

/// The published number of parameters (93.6 million).
#[test]
fn ffhq_has_the_size_of_the_published_file() {
    let params = AdmConfig::ffhq().init(1).unwrap();
    let count: usize = params.values().map(|a| a.values.len()).sum();
    assert_eq!(count, 93_563_910);
    // Some of the published names and shapes.
    for (name, shape) in [
        ("input_blocks.9.1.qkv.weight", [1536, 512, 1, 1]),
        ("output_blocks.3.2.in_layers.2.weight", [512, 512, 3, 3]),
        ("output_blocks.4.0.skip_connection.weight", [256, 768, 1, 1]),
        ("output_blocks.11.0.emb_layers.1.weight", [256, 512, 1, 1]),
    ] {
        assert_eq!(params[name].shape, shape, "{name}");
    }
    // At first the answer is zero, as the authors' is.
    assert!(params["out.2.weight"].values.iter().all(|&v| v == 0.0));
    assert!(params["out.0.weight"].values.iter().all(|&v| v == 1.0));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let mut params = params(&block());
    let removed = params.remove("middle_block.1.qkv.weight").unwrap();
    let error = load(&block(), &params).unwrap_err();
    assert!(matches!(error, ParamsError::Missing(name) if name == "middle_block.1.qkv.weight"));
    params.insert("middle_block.1.qkv.weight".into(), removed.clone());
    params.insert("middle_block.3.qkv.weight".into(), removed);
    let error = load(&block(), &params).unwrap_err();
    assert!(matches!(error, ParamsError::Extra(name) if name == "middle_block.3.qkv.weight"));
}

#[test]
fn configurations_that_describe_no_network_are_refused() {
    let wrong = [
        AdmConfig {
            widths: vec![],
            attention: vec![],
            ..block()
        },
        AdmConfig {
            widths: vec![32, 40],
            ..block()
        },
        AdmConfig {
            attention: vec![true],
            ..block()
        },
        AdmConfig {
            heads: Heads::Channels(24),
            ..block()
        },
        AdmConfig {
            blocks: 0,
            ..block()
        },
    ];
    for config in wrong {
        let error = config.init(0).unwrap_err();
        assert!(matches!(error, ParamsError::Config(_)), "{config:?}");
    }
}

/// A model of improved DDPM's kind: noise and a learned variance, told the index of 1000 levels.
fn learned_variance() -> Model {
    let config = block();
    let params = params(&config);
    let spec = ModelSpec {
        conditioning: Conditioning::Index {
            schedule: Schedule::DDPM,
            scale: 1.0,
        },
        variance: Some(3..6),
        ..ModelSpec::new(config, Parametrisation::Eps, [0.0101, 157.0])
    };
    Model { spec, params }
}

fn picture(h: usize, w: usize) -> Image {
    Image::from_shape_vec((1, 3, h, w), draw("picture", 3 * h * w)).unwrap()
}

/// Written to a file, opened, and asked at a level of its own: the noise that the network names is taken off by hand, and
/// the second half of its answer, `v`, is the share `(v + 1)/2`.
#[test]
fn a_file_is_asked_as_a_prior() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adm.safetensors");
    learned_variance().save(&path, Precision::F32).unwrap();
    let model = Model::open(&path).unwrap();
    assert_eq!(model.spec, learned_variance().spec);
    let prior = Network::new(&model, &Device::default()).unwrap();
    let card = prior.card();
    assert_eq!(card.sides, Sides::Multiple(2));
    assert!(card.variance && card.pullback);

    let adm = load(&block(), &model.params).unwrap();
    let x = picture(10, 14);
    for t in [3, 720] {
        let level = card.levels.as_ref().unwrap()[t];
        let estimate = prior.denoise(&x, level).unwrap();
        // The picture is in [0, 1] and the network's data are in [-1, 1].
        let shown = x.mapv(|v| 2.0 * v - level.a as f32);
        let input = tensor(
            shown.iter().copied().collect(),
            [1, 3, 10, 14],
            &Device::default(),
        );
        let answer = values(adm.forward(input, &[t as f32], None));
        let (eps, v) = answer.split_at(answer.len() / 2);
        let b = (1.0 - level.a * level.a).sqrt();
        let x0 = |(x, eps): (&f32, &f32)| {
            let x0 = (f64::from(*x) - b * f64::from(*eps)) / level.a;
            (0.5 * x0 + 0.5) as f32
        };
        let x0: Vec<f32> = shown.iter().zip(eps).map(x0).collect();
        let share: Vec<f32> = v.iter().map(|v| 0.5 * (v + 1.0)).collect();
        for (got, want) in [(estimate.x0, x0), (estimate.share.unwrap(), share)] {
            let got: Vec<f32> = got.into_iter().collect();
            let distance = distance(&got, &want);
            assert!(distance < 2e-5, "index {t}: {distance:e}");
        }
    }
}

/// `v . (D(x + h u) - D(x - h u)) / 2h = u . J^T v`: of the mean alone, not of the learned variance beside it.
#[test]
fn the_pullback_is_that_of_the_mean() {
    let prior = Network::new(&learned_variance(), &Device::default()).unwrap();
    let (x, h) = (picture(8, 12), 1e-2);
    let direction = |name| Image::from_shape_vec(x.dim(), draw(name, x.len())).unwrap();
    let (u, v) = (direction("u"), direction("v"));
    let level = Level::ve(0.4);
    let at = |x: Image| prior.denoise(&x, level).unwrap().x0;
    let change = at(&x + &u * h) - at(&x - &u * h);
    let slope = (change * &v).mapv(f64::from).sum() / (2.0 * f64::from(h));
    let (_, pullback) = prior.denoise_with_pullback(&x, level).unwrap();
    let pulled = (pullback(&v).unwrap() * &u).mapv(f64::from).sum();
    assert!(
        (slope - pulled).abs() < 2e-3 * slope.abs(),
        "{slope} {pulled}"
    );
}

#[test]
fn sizes_that_the_network_cannot_take_are_refused() {
    let prior = Network::new(&learned_variance(), &Device::default()).unwrap();
    let error = prior.denoise(&picture(9, 12), Level::ve(0.4)).unwrap_err();
    assert!(error.to_string().contains("multiples of 2"), "{error}");
}
