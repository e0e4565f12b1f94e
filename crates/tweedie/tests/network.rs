//! The photo network as a prior: any size, tiles, grey pictures, gradients, strict loading.

use ndarray::{Axis, s};
use tweedie::checkpoint::{Architecture, Error, Model, ModelSpec, Precision};
use tweedie::level::Level;
use tweedie::net::{ParamsError, PhotoConfig};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::prior::{Network, Parametrisation, Prior};
use tweedie::{Device, Dims, Image};

/// A small network whose every weight is random, so that nothing cancels.
fn model(parametrisation: Parametrisation) -> Model {
    let config = PhotoConfig {
        channels: 3,
        widths: vec![8, 16],
        blocks: vec![1, 1],
        embedding: 8,
    };
    let mut params = config.init(1).unwrap();
    for (i, array) in params.values_mut().enumerate() {
        let [_, c, h, w] = array.shape;
        let noise = Seeded::new(i as u64).normal(1, Dims::new(1, 1, array.values.len()));
        let scale = 1.0 / ((c * h * w) as f32).sqrt();
        array.values = noise.iter().map(|v| v * scale).collect();
    }
    Model {
        spec: ModelSpec {
            network: Architecture::Photo(config),
            parametrisation,
            sigma: [0.002, 80.0],
            about: "random".into(),
        },
        params,
    }
}

fn edm() -> Model {
    model(Parametrisation::Edm { sigma_data: 0.5 })
}

fn network() -> Network {
    Network::new(&edm(), &Device::default()).unwrap()
}

fn picture(seed: u64, c: usize, h: usize, w: usize) -> Image {
    Seeded::new(seed).normal(1, Dims::new(c, h, w)) * 0.2 + 0.5
}

fn largest(x: &Image) -> f32 {
    x.iter().fold(0.0, |m, v| m.max(v.abs()))
}

#[test]
fn any_size_is_answered_in_its_own_size() {
    let network = network();
    for (h, w) in [(1, 1), (1, 37), (7, 5), (16, 8), (33, 40)] {
        let x0 = network
            .denoise(&picture(1, 3, h, w), Level::ve(0.1))
            .unwrap();
        assert_eq!(x0.dim(), (1, 3, h, w));
        assert!(x0.iter().all(|v| v.is_finite()));
    }
}

/// Catches a reach that is too small, and tiles that are cut out of step with the network's blocks.
#[test]
fn tiles_leave_no_trace() {
    let x = picture(2, 3, 150, 201);
    let level = Level::ve(0.2);
    let whole = network().denoise(&x, level).unwrap();
    let tiled = network()
        .with_tile_pixels(128 * 128)
        .denoise(&x, level)
        .unwrap();
    let seam = largest(&(&whole - &tiled));
    assert!(seam < 2e-6, "tiles differ from the whole by {seam:e}");
}

#[test]
fn pictures_of_a_batch_do_not_touch_each_other() {
    let (x, y) = (picture(3, 3, 24, 20), picture(4, 3, 24, 20));
    let level = Level { a: 0.6, b: 0.4 };
    let network = network();
    let both = ndarray::concatenate![Axis(0), x, y];
    let together = network.denoise(&both, level).unwrap();
    let alone = network.denoise(&y, level).unwrap();
    let difference = largest(&(together.slice(s![1..2, .., .., ..]).to_owned() - alone));
    assert!(difference < 2e-6, "{difference:e}");
}

#[test]
fn grey_is_three_equal_channels_averaged() {
    let network = network();
    let grey = picture(5, 1, 20, 28);
    let level = Level::ve(0.1);
    let rgb = grey.broadcast((1, 3, 20, 28)).unwrap().to_owned();
    let expected = network.denoise(&rgb, level).unwrap();
    let expected = expected.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let got = network.denoise(&grey, level).unwrap();
    assert_eq!(got.dim(), (1, 1, 20, 28));
    assert!(largest(&(got - expected)) < 1e-6);
}

/// Scaling `x` and its level together changes nothing: only `x/a` and `b/a` matter.
#[test]
fn vp_and_ve_levels_are_the_same_question() {
    for parametrisation in [
        Parametrisation::Edm { sigma_data: 0.5 },
        Parametrisation::Eps,
        Parametrisation::V,
        Parametrisation::Velocity,
    ] {
        let network = Network::new(&model(parametrisation), &Device::default()).unwrap();
        let x = picture(6, 3, 16, 16);
        let ve = network.denoise(&x, Level::ve(0.3)).unwrap();
        let vp = network
            .denoise(&(&x * 0.5), Level { a: 0.5, b: 0.15 })
            .unwrap();
        let difference = largest(&(ve - vp));
        assert!(difference < 1e-5, "{parametrisation:?}: {difference:e}");
    }
}

/// `v . (D(x + h u) - D(x - h u)) / 2h = u . J^T v`, for colour and grey, VE and VP levels.
#[test]
fn pullback_is_the_transposed_derivative() {
    let network = network();
    for (c, level) in [
        (3, Level::ve(0.3)),
        (3, Level { a: 0.4, b: 0.4 }),
        (1, Level { a: 0.7, b: 0.3 }),
    ] {
        let (x, u, v) = (
            picture(7, c, 13, 18),
            picture(8, c, 13, 18),
            picture(9, c, 13, 18),
        );
        let h = 1e-2;
        let ahead = network.denoise(&(&x + &u * h), level).unwrap();
        let behind = network.denoise(&(&x - &u * h), level).unwrap();
        let slope = ((ahead - behind) * &v).mapv(f64::from).sum() / (2.0 * h as f64);
        let (x0, pullback) = network.denoise_with_pullback(&x, level).unwrap();
        let pulled = (pullback(&v).unwrap() * &u).mapv(f64::from).sum();
        assert!(
            (slope - pulled).abs() < 2e-3 * slope.abs(),
            "{slope} {pulled} (channels {c}, {level:?})"
        );
        let plain = network.denoise(&x, level).unwrap();
        assert!(largest(&(x0 - plain)) < 1e-6);
    }
}

#[test]
fn model_files_round_trip_and_load_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let model = edm();
    model.save(&path, Precision::F32).unwrap();
    let back = Model::open(&path).unwrap();
    assert_eq!(back.spec, model.spec);
    assert_eq!(back.params, model.params);

    let device = Device::default();
    let mut missing = model.clone();
    missing.params.remove("stem.weight");
    assert!(
        matches!(Network::new(&missing, &device), Err(ParamsError::Missing(n)) if n == "stem.weight")
    );
    let mut extra = model.clone();
    extra
        .params
        .insert("ghost".into(), model.params["stem.bias"].clone());
    assert!(matches!(Network::new(&extra, &device), Err(ParamsError::Extra(n)) if n == "ghost"));
    let mut misshapen = model.clone();
    misshapen.params.get_mut("stem.weight").unwrap().shape = [12, 8, 3, 3];
    assert!(matches!(
        Network::new(&misshapen, &device),
        Err(ParamsError::Shape { .. })
    ));
    let mut nan = model.clone();
    nan.params.get_mut("stem.weight").unwrap().values[0] = f32::NAN;
    assert!(matches!(
        Network::new(&nan, &device),
        Err(ParamsError::NotFinite(_))
    ));
}

/// Beyond 65504 a half is infinite, and a file that holds one does not load.
#[test]
fn weights_too_large_for_halves_are_named() {
    let mut model = edm();
    let weights = &mut model.params.get_mut("stem.weight").unwrap().values;
    weights[1] = 65504.0;
    let half = Model::from_bytes(&model.to_bytes(Precision::F16).unwrap()).unwrap();
    assert!(Network::new(&half, &Device::default()).is_ok());
    model.params.get_mut("stem.weight").unwrap().values[1] = -65520.0;
    let error = model.to_bytes(Precision::F16).unwrap_err();
    assert!(
        matches!(&error, Error::Half { array, value } if array == "stem.weight" && *value == -65520.0),
        "{error}"
    );
    assert!(model.to_bytes(Precision::F32).is_ok());
}

#[test]
fn broken_model_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    edm().save(&path, Precision::F16).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for cut in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(
            Model::from_bytes(&bytes[..cut]),
            Err(Error::Format(_))
        ));
    }
    // A header length of 2^63 bytes must not be believed.
    let mut huge = bytes.clone();
    huge[7] = 0x80;
    assert!(matches!(Model::from_bytes(&huge), Err(Error::Format(_))));
    assert!(matches!(
        Model::open(&folder.path().join("none")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let network = network();
    let level = Level::ve(0.1);
    assert!(network.denoise(&picture(1, 2, 8, 8), level).is_err());
    assert!(network.denoise(&Image::zeros((1, 3, 0, 8)), level).is_err());
    assert!(
        network
            .denoise_with_pullback(&picture(1, 4, 8, 8), level)
            .is_err()
    );
}

#[test]
fn configurations_without_sense_are_refused() {
    for (widths, blocks) in [
        (vec![], vec![]),
        (vec![8], vec![1, 1]),
        (vec![0, 8], vec![1, 1]),
        (vec![8; 9], vec![1; 9]),
    ] {
        let config = PhotoConfig {
            widths,
            blocks,
            ..PhotoConfig::default()
        };
        assert!(matches!(config.init(0), Err(ParamsError::Config(_))));
    }
}
