//! Learned perceptual image patch similarity.
//!
//! Zhang, Isola, Efros, Shechtman and Wang 2018, "The unreasonable effectiveness of deep features as a perceptual
//! metric", arXiv 1801.03924, section 3 and eq. 1; version 0.1 of the authors' weights on AlexNet. Features of both
//! pictures after each of five ReLUs are scaled to unit length per position; their squared difference is weighted per
//! channel, averaged over positions and summed over layers.

use std::sync::OnceLock;

use burn::tensor::activation::relu;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Array1, Array4, ArrayView3, Axis, Zip};
use safetensors::SafeTensors;

use super::{Error, Metric, check, check_side};
use crate::{Dims, Image};

/// What [`METRICS`](super::METRICS) says of it.
pub(super) const LPIPS: Metric = Metric {
    name: "lpips",
    higher_is_better: false,
    about: "learned perceptual distance (Zhang et al. 2018), version 0.1 on AlexNet",
    unit: "",
    measure: lpips,
};

/// Shortest side of a picture: what AlexNet's strides and pools leave a single position of.
pub const LPIPS_MIN_SIDE: usize = 31;

/// AlexNet's convolutions in f16, and the weights of the five layers (`models/lpips`).
static WEIGHTS: &[u8] = include_bytes!("../../../../models/lpips/lpips_alex_f16.safetensors");

/// Mean and spread of the authors' inputs in [-1, 1], per channel.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Number in the file, stride and padding of AlexNet's five convolutions, and whether a 3x3 pool of stride 2 goes
/// before.
const LAYERS: [(usize, usize, usize, bool); 5] = [
    (0, 4, 2, false),
    (3, 1, 2, true),
    (6, 1, 1, true),
    (8, 1, 1, false),
    (10, 1, 1, false),
];

/// LPIPS distance (version 0.1, AlexNet), the mean over the batch: 0 for equal pictures, about 0.1 for a slight and 0.7
/// for a heavy distortion. Grey pictures are compared as RGB of three equal channels.
///
/// # Errors
/// [`Error`] if the shapes differ, a value is NaN, a side is under 31, or there are not 1 or 3 channels.
pub fn lpips(a: &Image, b: &Image) -> Result<f64, Error> {
    check(a, b)?;
    check_side("lpips", LPIPS_MIN_SIDE, a)?;
    let Dims { c: channels, .. } = Dims::of(a);
    if !matches!(channels, 1 | 3) {
        return Err(Error::Channels {
            metric: "lpips",
            channels,
        });
    }
    let network = network()?;
    let mut sum = 0.0;
    // One picture at a time: the features of a large one take a gigabyte.
    for (a, b) in a.outer_iter().zip(b.outer_iter()) {
        sum += network.distance(a, b)?;
    }
    Ok(sum / a.dim().0 as f64)
}

/// A convolution of AlexNet and the weights of its features.
struct Layer {
    weight: Tensor<4>,
    bias: Tensor<1>,
    stride: usize,
    padding: usize,
    pool: bool,
    /// Weight of each channel in the distance, at least 0.
    importance: Array1<f32>,
}

struct Network {
    layers: Vec<Layer>,
    device: Device,
}

/// The network, built once.
fn network() -> Result<&'static Network, Error> {
    static NETWORK: OnceLock<Result<Network, Error>> = OnceLock::new();
    NETWORK
        .get_or_init(Network::load)
        .as_ref()
        .map_err(Error::clone)
}

fn failed(detail: impl ToString) -> Error {
    Error::Network {
        metric: "lpips",
        detail: detail.to_string(),
    }
}

impl Network {
    fn load() -> Result<Network, Error> {
        let file = SafeTensors::deserialize(WEIGHTS).map_err(failed)?;
        // A small network: the CPU beats the way to a GPU and back, and gives the same digits everywhere.
        let device = Device::flex();
        let layers = LAYERS
            .iter()
            .enumerate()
            .map(|(k, &(n, stride, padding, pool))| {
                let (weight, shape) = tensor(&file, &format!("features.{n}.weight"))?;
                let shape: [usize; 4] = shape.try_into().map_err(|_| failed("not 4-D"))?;
                let (bias, _) = tensor(&file, &format!("features.{n}.bias"))?;
                let (importance, _) = tensor(&file, &format!("lin{k}.model.1.weight"))?;
                let outputs = [bias.len()];
                Ok(Layer {
                    weight: Tensor::from_data(TensorData::new(weight, shape), &device),
                    bias: Tensor::from_data(TensorData::new(bias, outputs), &device),
                    stride,
                    padding,
                    pool,
                    importance: Array1::from(importance),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Network { layers, device })
    }

    /// Sum over the layers of the mean weighted squared difference of unit features.
    fn distance(&self, a: ArrayView3<'_, f32>, b: ArrayView3<'_, f32>) -> Result<f64, Error> {
        let mut a = self.input(a);
        let mut b = self.input(b);
        let mut sum = 0.0;
        for layer in &self.layers {
            a = layer.apply(a);
            b = layer.apply(b);
            let (fa, fb) = (features(a.clone())?, features(b.clone())?);
            let mut squares = &fa - &fb;
            squares.mapv_inplace(|d| d * d);
            let positions = (squares.dim().2 * squares.dim().3) as f64;
            for (plane, &weight) in squares.axis_iter(Axis(1)).zip(&layer.importance) {
                let total: f64 = plane.iter().map(|&v| f64::from(v)).sum();
                sum += f64::from(weight) * total / positions;
            }
        }
        Ok(sum)
    }

    /// `[1, 3, height, width]`, from [0, 1] by way of [-1, 1] to the authors' normalisation.
    fn input(&self, x: ArrayView3<'_, f32>) -> Tensor<4> {
        let (channels, h, w) = x.dim();
        let mut values = Vec::with_capacity(3 * h * w);
        for c in 0..3 {
            let plane = x.index_axis(Axis(0), c.min(channels - 1));
            let normal = |&v: &f32| (2.0 * v.clamp(0.0, 1.0) - 1.0 - SHIFT[c]) / SCALE[c];
            values.extend(plane.iter().map(normal));
        }
        Tensor::from_data(TensorData::new(values, [1, 3, h, w]), &self.device)
    }
}

impl Layer {
    fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.pool {
            max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]))
        } else {
            x
        };
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        relu(conv2d(
            x,
            self.weight.clone(),
            Some(self.bias.clone()),
            options,
        ))
    }
}

/// The features, scaled to unit length over the channels at each position.
fn features(x: Tensor<4>) -> Result<Array4<f32>, Error> {
    let shape = x.dims();
    let values: Vec<f32> = x.into_data().try_to_vec().map_err(failed)?;
    let mut f = Array4::from_shape_vec(shape, values).map_err(failed)?;
    let mut length = f.map_axis(Axis(1), |v| v.iter().map(|v| v * v).sum::<f32>());
    length.mapv_inplace(|v| v.sqrt() + 1e-10);
    for mut plane in f.axis_iter_mut(Axis(1)) {
        Zip::from(&mut plane).and(&length).for_each(|v, l| *v /= l);
    }
    Ok(f)
}

/// A tensor of the file as f32, and its shape.
fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<(Vec<f32>, Vec<usize>), Error> {
    let view = file.tensor(name).map_err(failed)?;
    let pairs = view.data().as_chunks().0.iter();
    let values = pairs.map(|&b| half::f16::from_le_bytes(b).to_f32());
    Ok((values.collect(), view.shape().to_vec()))
}
