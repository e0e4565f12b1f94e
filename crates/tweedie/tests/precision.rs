//! Whole networks in f32 with our kernels against the same networks in f64 with burn's own operations: answers and
//! gradients to the input, at odd sizes, on every SIMD path.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tweedie::checkpoint::Model;
use tweedie::net::{Adm, AdmConfig, Architecture, Loader, Photo};

/// The relative L2 error that a whole network may have.
const LIMIT: f64 = 1e-5;

/// Answer and gradient of a network, in f64.
fn run(
    network: impl Fn(Tensor<4>) -> Tensor<4>,
    [h, w]: [usize; 2],
    dtype: DType,
) -> [Vec<f64>; 2] {
    let random = |seed: u64| {
        let data = TensorData::new(noise(2 * 3 * h * w, seed), [2, 3, h, w]);
        Tensor::<4>::from_data(data, &Device::flex().autodiff()).cast(dtype)
    };
    let x = random(1).require_grad();
    let y = network(x.clone());
    let [n, c, ..] = y.dims();
    let cotangent = random(2).repeat_dim(1, c.div_ceil(3)).slice([0..n, 0..c]);
    let grads = (y.clone() * cotangent).sum().backward();
    let gradient = x.grad(&grads).expect("a gradient");
    [y.inner(), gradient].map(|t| t.into_data().iter::<f64>().collect())
}

/// Numbers in [-1, 1).
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn compare(name: &str, single: [Vec<f64>; 2], double: [Vec<f64>; 2]) {
    for (what, (a, b)) in ["answer", "gradient"]
        .iter()
        .zip(single.iter().zip(&double))
    {
        let error: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
        let error = (error / b.iter().map(|b| b * b).sum::<f64>()).sqrt();
        println!("{name}, {what}: {error:.1e}");
        assert!(error < LIMIT, "{name}, {what}: {error:e}");
    }
}

#[test]
fn the_photo_network() {
    let model = Model::photo().expect("the embedded model");
    let Architecture::Photo(config) = &model.spec.network else {
        panic!("a photo network")
    };
    let load = |loader: Loader<'_>| {
        let mut loader = loader;
        Photo::load(config, &mut loader).expect("a network")
    };
    let device = Device::flex();
    let single = load(Loader::new(&model.params, &device));
    let double = load(Loader::new(&model.params, &device).in_f64());
    for (size, condition) in [([37, 50], -1.0), ([64, 64], -0.3), ([9, 81], 0.8)] {
        compare(
            &format!("photo {size:?}"),
            run(|x| single.forward(x, &[condition; 2]), size, DType::F32),
            run(|x| double.forward(x, &[condition; 2]), size, DType::F64),
        );
    }
}

#[test]
fn an_adm_network() {
    let config = AdmConfig {
        base: 32,
        widths: vec![32, 32, 64, 64, 128, 128],
        ..AdmConfig::ffhq()
    };
    let mut params = config.init(3).expect("weights");
    // Training begins with zeros where a branch ends; with those nothing would be tested.
    for array in params
        .values_mut()
        .filter(|a| a.values.iter().all(|&v| v == 0.0))
    {
        let bound = 1.0 / (array.shape[1..].iter().product::<usize>() as f32).sqrt();
        let random = noise(array.values.len(), array.shape[0] as u64);
        array.values = random.into_iter().map(|v| bound * v).collect();
    }
    let load = |loader: Loader<'_>| {
        let mut loader = loader;
        Adm::load(&config, &mut loader).expect("a network")
    };
    let device = Device::flex();
    let single = load(Loader::new(&params, &device));
    let double = load(Loader::new(&params, &device).in_f64());
    let size = [64, 96];
    compare(
        "adm",
        run(|x| single.forward(x, &[500.0, 3.0], None), size, DType::F32),
        run(|x| double.forward(x, &[500.0, 3.0], None), size, DType::F64),
    );
}

#[test]
fn on_every_simd_path() {
    let this = std::env::current_exe().expect("the test's own program");
    for path in ["avx2", "scalar"] {
        let run = std::process::Command::new(&this)
            .args(["--skip", "on_every_simd_path", "--nocapture"])
            .env("TWEEDIE_SIMD", path)
            .output()
            .expect("the test's own program starts");
        let said = String::from_utf8_lossy(&run.stdout);
        println!("{said}");
        assert!(run.status.success(), "on path {path}:\n{said}");
    }
}
