//! The photo network as a prior: any size, tiles, grey pictures, gradients, strict loading.

use burn::tensor::{Tensor, TensorData};
use ndarray::{Axis, s};
use serde_json::{Value, json};
use tweedie::checkpoint::{Error, Model, ModelSpec, Precision};
use tweedie::level::Level;
use tweedie::net::{AdmConfig, Loader, Params, ParamsError, Photo, PhotoConfig};
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::noise_map::{Basis, NoiseMap};
use tweedie::prior::{self, Conditioning, Network, Parametrisation, Path, Prior};
use tweedie::{Device, Dims, Image};

/// A small network whose every weight is random, so that nothing cancels.
fn model(parametrisation: Parametrisation) -> Model {
    let maps = matches!(parametrisation, Parametrisation::Edm { .. });
    let (config, params) = random(3, maps);
    Model {
        spec: ModelSpec {
            about: "random".into(),
            ..ModelSpec::new(config, parametrisation, [0.002, 80.0])
        },
        params,
    }
}

fn random(channels: usize, maps: bool) -> (PhotoConfig, Params) {
    let config = PhotoConfig {
        channels,
        widths: vec![8, 16],
        blocks: vec![1, 1],
        embedding: 8,
        maps,
        condition: false,
    };
    let mut params = config.init(1).unwrap();
    for (i, array) in params.values_mut().enumerate() {
        let [_, c, h, w] = array.shape;
        let noise = Seeded::new(i as u64, "weights").normal(1, Dims::new(1, 1, array.values.len()));
        let scale = 1.0 / ((c * h * w) as f32).sqrt();
        array.values = noise.iter().map(|v| v * scale).collect();
    }
    (config, params)
}

fn edm() -> Model {
    model(Parametrisation::Edm { sigma_data: 0.5 })
}

fn network() -> Network {
    Network::new(&edm(), &Device::default()).unwrap()
}

fn picture(seed: u64, c: usize, h: usize, w: usize) -> Image {
    Seeded::new(seed, "picture").normal(1, Dims::new(c, h, w)) * 0.2 + 0.5
}

fn denoised(prior: &dyn Prior, x: &Image, level: Level) -> Image {
    prior.denoise(x, level).unwrap().x0
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
            .unwrap()
            .x0;
        assert_eq!(x0.dim(), (1, 3, h, w));
        assert!(x0.iter().all(|v| v.is_finite()));
    }
}

/// Catches a reach that is too small, and tiles that are cut out of step with the network's blocks.
#[test]
fn tiles_leave_no_trace() {
    let x = picture(2, 3, 150, 201);
    let level = Level::ve(0.2);
    let whole = denoised(&network(), &x, level);
    let tiled = denoised(&network().with_tile_pixels(128 * 128), &x, level);
    let seam = largest(&(&whole - &tiled));
    assert!(seam < 2e-6, "tiles differ from the whole by {seam:e}");
}

/// The gradient of a large picture is taken in tiles; a margin that is too small, or a tile that is left out or counted
/// twice, shows at once. Colour, grey, a batch; odd sizes.
#[test]
fn tiled_gradients_are_those_of_the_whole() {
    for (n, c, h, w) in [(1, 3, 150, 201), (1, 1, 97, 231), (3, 3, 101, 133)] {
        let draw = |seed| Seeded::new(seed, "picture").normal(n, Dims::new(c, h, w));
        let (x, v) = (draw(2) * 0.2 + 0.5, draw(3));
        let level = Level { a: 0.7, b: 0.2 };
        let answers = |network: Network| {
            let (estimate, pullback) = network.denoise_with_pullback(&x, level).unwrap();
            [estimate.x0, pullback(&v).unwrap()]
        };
        let whole = answers(network());
        let tiled = answers(network().with_tile_pixels(100 * 100));
        for (whole, tiled) in whole.iter().zip(&tiled) {
            let seam = largest(&(whole - tiled)) / largest(whole);
            assert!(seam < 2e-6, "{c}x{h}x{w}: {seam:e}");
        }
    }
}

#[test]
fn pictures_of_a_batch_do_not_touch_each_other() {
    let (x, y) = (picture(3, 3, 24, 20), picture(4, 3, 24, 20));
    let level = Level { a: 0.6, b: 0.4 };
    let network = network();
    let both = ndarray::concatenate![Axis(0), x, y];
    let together = denoised(&network, &both, level);
    let alone = denoised(&network, &y, level);
    let difference = largest(&(together.slice(s![1..2, .., .., ..]).to_owned() - alone));
    assert!(difference < 2e-6, "{difference:e}");
}

#[test]
fn grey_is_three_equal_channels_averaged() {
    let network = network();
    let grey = picture(5, 1, 20, 28);
    let level = Level::ve(0.1);
    let rgb = grey.broadcast((1, 3, 20, 28)).unwrap().to_owned();
    let expected = denoised(&network, &rgb, level);
    let expected = expected.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
    let got = denoised(&network, &grey, level);
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
        Parametrisation::X0 { path: Path::Vp },
        Parametrisation::Score { path: Path::Ve },
    ] {
        let network = Network::new(&model(parametrisation), &Device::default()).unwrap();
        let x = picture(6, 3, 16, 16);
        let ve = denoised(&network, &x, Level::ve(0.3));
        let vp = denoised(&network, &(&x * 0.5), Level { a: 0.5, b: 0.15 });
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
        let ahead = denoised(&network, &(&x + &u * h), level);
        let behind = denoised(&network, &(&x - &u * h), level);
        let slope = ((ahead - behind) * &v).mapv(f64::from).sum() / (2.0 * h as f64);
        let (estimate, pullback) = network.denoise_with_pullback(&x, level).unwrap();
        let pulled = (pullback(&v).unwrap() * &u).mapv(f64::from).sum();
        assert!(
            (slope - pulled).abs() < 2e-3 * slope.abs(),
            "{slope} {pulled} (channels {c}, {level:?})"
        );
        let plain = denoised(&network, &x, level);
        assert!(largest(&(estimate.x0 - plain)) < 1e-6);
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

/// A grey prior sees the channels of a colour picture one by one.
#[test]
fn a_grey_prior_takes_colour_channel_by_channel() {
    let (config, params) = random(1, false);
    let spec = ModelSpec::new(config, Parametrisation::Eps, [0.01, 100.0]);
    let network = Network::new(&Model { spec, params }, &Device::default()).unwrap();
    let (x, v) = (picture(1, 3, 17, 22), picture(2, 3, 17, 22));
    let level = Level::ve(0.2);
    let (estimate, pullback) = network.denoise_with_pullback(&x, level).unwrap();
    let pulled = pullback(&v).unwrap();
    for c in 0..3 {
        let channel = |of: &Image| of.slice(s![.., c..=c, .., ..]).to_owned();
        let (alone, pullback) = network.denoise_with_pullback(&channel(&x), level).unwrap();
        assert!(largest(&(channel(&estimate.x0) - alone.x0)) < 1e-6);
        assert!(largest(&(channel(&pulled) - pullback(&channel(&v)).unwrap())) < 1e-5);
    }
}

/// A network for data in [0, 2] that is told nothing and answers the clean image: `x0 = F(2x)/2`.
#[test]
fn data_may_have_another_range() {
    let (config, params) = random(3, false);
    let spec = ModelSpec {
        conditioning: Conditioning::None,
        data: [0.0, 2.0],
        ..ModelSpec::new(
            config.clone(),
            Parametrisation::X0 { path: Path::Ve },
            [0.01, 1.0],
        )
    };
    let device = Device::default();
    let model = Model { spec, params };
    let network = Network::new(&model, &device).unwrap();
    assert_eq!(network.card().sigma, [0.005, 0.5]);
    let x = picture(1, 3, 16, 24);
    let photo = Photo::load(&config, &mut Loader::new(&model.params, &device)).unwrap();
    let shown = TensorData::new((&x * 2.0).into_raw_vec_and_offset().0, [1, 3, 16, 24]);
    let answer = photo.forward(Tensor::from_data(shown, &device), &[0.0]);
    let answer: Vec<f32> = answer.into_data().try_into_vec().unwrap();
    let expected = Image::from_shape_vec(x.dim(), answer).unwrap() * 0.5;
    let got = denoised(&network, &x, Level::ve(0.2));
    assert!(largest(&(got - expected)) < 1e-6);
}

/// Nothing is answered for another level than the one that was asked for.
#[test]
fn levels_that_the_network_does_not_know_are_refused() {
    let network = network();
    let x = picture(1, 3, 8, 8);
    for level in [
        Level::ve(40.5),
        Level::ve(0.0009),
        Level::CLEAN,
        Level { a: 0.0, b: 1.0 },
        Level::ve(f64::NAN),
    ] {
        for error in [
            network.denoise(&x, level).err(),
            network.denoise_with_pullback(&x, level).err(),
        ] {
            let error = error.unwrap_or_else(|| panic!("{level:?} was answered"));
            assert!(
                matches!(
                    error,
                    prior::Error::Level {
                        knows: [0.001, 40.0],
                        ..
                    }
                ),
                "{error}"
            );
        }
    }
    assert!(network.denoise(&x, Level::ve(40.0)).is_ok());
}

/// The bytes of a model file whose description was edited.
fn edited(model: &Model, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    model.save(&path, Precision::F32).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let text = header["__metadata__"]["tweedie"].as_str().unwrap();
    let mut spec: Value = serde_json::from_str(text).unwrap();
    edit(&mut spec);
    header["__metadata__"]["tweedie"] = json!(spec.to_string());
    let header = header.to_string();
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&bytes[8 + length..]);
    out
}

#[test]
fn descriptions_without_sense_are_refused_by_name() {
    let index = |steps: usize| {
        let schedule = json!({"kind": "vp-linear", "steps": steps});
        json!({"kind": "index", "schedule": schedule})
    };
    let network = json!({
        "architecture": "photo", "channels": 3, "widths": [8, 16], "blocks": [1], "embedding": 8
    });
    let cases = [
        ("sigma", json!([80.0, 0.002]), "`sigma`"),
        ("sigma", json!([0.0, 1.0]), "`sigma`"),
        (
            "parametrisation",
            json!({"kind": "edm", "sigma_data": 0.0}),
            "`sigma_data`",
        ),
        (
            "parametrisation",
            json!({"kind": "edm", "sigma_data": -1.0}),
            "`sigma_data`",
        ),
        (
            "parametrisation",
            json!({"kind": "edm", "sigma_date": 0.5}),
            "sigma_date",
        ),
        ("sigmas", json!([0.002, 80.0]), "sigmas"),
        ("data", json!([1.0, -1.0]), "`data`"),
        ("mean", json!({"start": 1, "end": 4}), "`mean`"),
        ("mean", json!({"start": 0, "end": 2}), "`mean`"),
        ("variance", json!({"start": 3, "end": 6}), "`variance`"),
        ("variance", json!({"start": 0, "end": 3}), "`variance`"),
        (
            "conditioning",
            json!({"kind": "time", "scale": 0.0}),
            "`scale`",
        ),
        (
            "conditioning",
            json!({"kind": "time", "scales": 1.0}),
            "scales",
        ),
        ("conditioning", index(0), "levels"),
        ("conditioning", index(1), "two levels"),
        // 1000 levels of DDPM end at 0.01 and 157; the model says that it knows 0.002.
        ("conditioning", index(1000), "0.002"),
        ("network", network, "blocks"),
    ];
    for (key, value, named) in cases {
        let bytes = edited(&edm(), |spec| spec[key] = value.clone());
        let error = match Model::from_bytes(&bytes) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{key} = {value} is taken"),
        };
        assert!(error.contains(named) && !error.contains('\n'), "{error}");
    }
    // What was not written to a file is looked at, too.
    let mut model = edm();
    model.spec.sigma = [80.0, 0.002];
    let error = Network::new(&model, &Device::default()).unwrap_err();
    assert!(matches!(error, ParamsError::Config(_)), "{error}");
}

/// A network that wants to be told a class cannot be asked for a denoised picture alone.
#[test]
fn a_network_with_classes_is_refused_by_name() {
    let config = AdmConfig {
        classes: Some(10),
        ..AdmConfig::ffhq()
    };
    let spec = ModelSpec::new(config, Parametrisation::Eps, [0.01, 100.0]);
    let error = spec.check().unwrap_err().to_string();
    assert!(error.contains("10 classes"), "{error}");
}

/// The embedded file is of the first form, which says nothing of conditioning, channels and data.
#[test]
fn old_model_files_mean_what_they_meant() {
    let spec = Model::photo().unwrap().spec;
    assert_eq!(spec.conditioning, Conditioning::LogSigma);
    assert_eq!(
        (spec.data, spec.mean(), spec.variance),
        ([-1.0, 1.0], 0..3, None)
    );
}

/// A map with every kind of knowledge, in blocks and in single pixels.
fn map(h: usize, w: usize) -> NoiseMap {
    let u = Seeded::new(6, "map").normal(1, Dims::new(3, h, w));
    NoiseMap::new(
        Image::from_shape_fn((1, 3, h, w), |(k, c, y, x)| match u[[k, c, y, x]] {
            _ if x > w / 2 && y > h / 2 => f32::INFINITY,
            u if u < -0.5 => 0.0,
            u if u > 1.0 => f32::INFINITY,
            u => (0.1 * u.exp()).powi(2),
        }),
        Basis::Channels,
    )
}

/// A map of one level is that level. Wrong: features of another scale, details that are not zero, factors of the variance.
#[test]
fn a_map_of_one_level_is_the_level() {
    let network = network();
    for (c, h, w) in [(3, 33, 40), (1, 16, 7)] {
        let x = picture(1, c, h, w);
        for sigma in [0.002, 0.1, 3.0] {
            let plain = denoised(&network, &x, Level::ve(sigma));
            let noise = NoiseMap::of_sigma(&Image::from_elem((1, 1, h, w), sigma as f32));
            let mapped = network.denoise_mapped(&x, &noise).unwrap().x0;
            let off = largest(&(plain - &mapped));
            assert!(off < 1e-5, "{c}x{h}x{w} at {sigma}: {off:e}");
        }
    }
}

/// What is known comes back as it is, and what stands at unknown numbers does not matter.
#[test]
fn known_numbers_stay_and_unknown_ones_do_not_matter() {
    let network = network();
    let (x, noise) = (picture(1, 3, 21, 30), map(21, 30));
    let x0 = network.denoise_mapped(&x, &noise).unwrap().x0;
    let mut other = x.clone();
    for ((x0, x), (other, &v)) in x0
        .iter()
        .zip(&x)
        .zip(other.iter_mut().zip(noise.variance()))
    {
        assert!(v > 0.0 || (x0 - x).abs() < 1e-6, "{x0} for {x}");
        if v.is_infinite() {
            *other = 55.0;
        }
    }
    assert_eq!(x0, network.denoise_mapped(&other, &noise).unwrap().x0);
}

/// Tiles are cut out of map and picture alike.
#[test]
fn maps_leave_no_seam() {
    let (x, noise) = (picture(2, 3, 150, 201), map(150, 201));
    let whole = network().denoise_mapped(&x, &noise).unwrap().x0;
    let tiles = network().with_tile_pixels(10_000);
    let off = largest(&(whole - tiles.denoise_mapped(&x, &noise).unwrap().x0));
    assert!(off < 1e-5, "{off:e}");
}

/// Directions turn with the network's question: noise along one of them is not noise of a channel.
#[test]
fn directions_are_told() {
    let network = network();
    let x = picture(3, 3, 16, 16);
    let (sin, cos) = 0.7f32.sin_cos();
    let rows = ndarray::arr2(&[[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]);
    let variance = Image::from_shape_fn((1, 3, 16, 16), |(_, i, _, _)| [0.0, 0.04, 0.04][i]);
    let turned = NoiseMap::new(variance.clone(), Basis::One(rows.clone()));
    let x0 = network.denoise_mapped(&x, &turned).unwrap().x0;
    // Along the first direction all is known.
    let along = Basis::One(rows).coordinates(&(&x0 - &x));
    assert!(largest(&along.slice(s![.., ..1, .., ..]).to_owned()) < 1e-6);
    let plain = NoiseMap::new(variance, Basis::Channels);
    let other = network.denoise_mapped(&x, &plain).unwrap().x0;
    assert!(largest(&(x0 - other)) > 1e-3);
}

/// A network without maps says so, and one with them does not take a map of another size.
#[test]
fn maps_are_refused_where_they_are_not_known() {
    let mut model = edm();
    let tweedie::net::Architecture::Photo(config) = &mut model.spec.network else {
        unreachable!("a photo network")
    };
    config.maps = false;
    model.params.remove("stem.map.weight");
    let plain = Network::new(&model, &Device::default()).unwrap();
    let x = picture(1, 3, 8, 8);
    let error = plain.denoise_mapped(&x, &map(8, 8)).unwrap_err();
    assert!(matches!(error, prior::Error::NoMaps), "{error}");
    let error = network().denoise_mapped(&x, &map(8, 9)).unwrap_err();
    assert!(matches!(error, prior::Error::Shape { .. }), "{error}");
}
