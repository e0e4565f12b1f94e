//! From what blocks show to the noise in them: a small network, fitted to photographs with noise of every origin.
//!
//! The flattest blocks of a picture show its noise, if they are flat, if it is the same everywhere, and if there are enough of
//! them. How far that holds cannot be told by a formula for white noise, for that of a demosaiced, resized, compressed and
//! smoothed picture, and for texture that only looks like noise; it can be learnt from examples (models/noise).

use std::sync::LazyLock;

use ndarray::{Array1, Array2};
use safetensors::SafeTensors;

use super::blocks::{Blocks, FEATURES, LEVELS};

static WEIGHTS: &[u8] = include_bytes!("../../../../models/noise/noise.safetensors");
static NETWORK: LazyLock<Network> = LazyLock::new(Network::load);

/// The network answers in logarithms of steps of 1/255, to which this was added in its training.
const FLOOR: f64 = 0.2;

/// Standard deviation of the noise, for pictures in [0, 1], in three bands of frequency of the grey (the channels' sum over the
/// root of their number), then of the colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    pub(super) sigma: [f64; LEVELS],
    /// How unsure each is: about the standard deviation of its logarithm.
    pub(super) doubt: [f64; LEVELS],
}

/// What the blocks tell; `None` if they are too few.
pub(super) fn levels(blocks: &Blocks) -> Option<Levels> {
    let answer = NETWORK.answer(&blocks.features()?);
    let level = |g: usize| {
        let variance = (2.0 * answer[g]).exp() - FLOOR * FLOOR;
        variance.max(0.0).sqrt() / 255.0
    };
    Some(Levels {
        sigma: std::array::from_fn(level),
        doubt: std::array::from_fn(|g| answer[LEVELS + g].exp()),
    })
}

/// Three layers, with SiLU between them, after the features were brought to mean 0 and deviation 1.
struct Network {
    mean: Array1<f64>,
    scale: Array1<f64>,
    layers: Vec<(Array2<f64>, Array1<f64>)>,
}

impl Network {
    fn load() -> Network {
        let file = SafeTensors::deserialize(WEIGHTS).expect("the embedded file is whole");
        let array = |name: &str| {
            let tensor = file.tensor(name).expect("the embedded file has it");
            let values = tensor.data().as_chunks().0.iter();
            let values = values.map(|&b| f64::from(f32::from_le_bytes(b)));
            (tensor.shape().to_vec(), values.collect::<Vec<f64>>())
        };
        let vector = |name: &str| Array1::from(array(name).1);
        let matrix = |name: &str| {
            let (shape, values) = array(name);
            Array2::from_shape_vec((shape[0], shape[1]), values).expect("a matrix")
        };
        let layers =
            [0, 2, 4].map(|i| (matrix(&format!("{i}.weight")), vector(&format!("{i}.bias"))));
        let network = Network {
            mean: vector("mean"),
            scale: vector("scale"),
            layers: layers.into(),
        };
        assert_eq!(
            network.mean.len(),
            FEATURES,
            "the features that it was fitted to"
        );
        network
    }

    fn answer(&self, features: &[f64]) -> Array1<f64> {
        let mut x = (&Array1::from(features.to_vec()) - &self.mean) / &self.scale;
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            x = weight.dot(&x) + bias;
            if i + 1 < self.layers.len() {
                x.mapv_inplace(|v| v / (1.0 + (-v).exp()));
            }
        }
        x
    }
}
