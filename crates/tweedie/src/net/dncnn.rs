//! DnCNN: a plain stack of convolutions that answers the noise it sees (Zhang et al. 2017, arXiv:1608.03981), without batch
//! normalisation, as its authors' later code ships it.
//!
//! ```text
//! x -3x3-> [width] -relu- (depth - 2) times 3x3, relu -3x3-> residual;   F(x) = x - residual
//! ```
//!
//! It is trained for one noise level and not told any: in a model file its conditioning is `none`, its parametrisation `x0`
//! on the VE path, its least and largest sigma the same.

use burn::tensor::{Tensor, activation::relu};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::layer::{Layer, Recorder, Source};
use super::{Array, Condition, Facts, Loader, Net, Params, ParamsError, Shapes};

/// The shape of a DnCNN: 64 channels and 17 convolutions in the paper, 20 for several levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DncnnConfig {
    /// Channels of its pictures.
    pub channels: usize,
    /// Channels between the convolutions.
    pub width: usize,
    /// Convolutions.
    pub depth: usize,
}

impl DncnnConfig {
    /// That it describes a network.
    pub(super) fn check(&self) -> Result<(), ParamsError> {
        let sound = (1..=64).contains(&self.channels)
            && (1..=4096).contains(&self.width)
            && (2..=100).contains(&self.depth);
        match sound {
            true => Ok(()),
            false => Err(ParamsError::Config(format!(
                "a DnCNN has 1 to 64 channels, a width of 1 to 4096 and a depth of 2 to 100: {self:?}"
            ))),
        }
    }

    /// What must be known to ask the network; of a configuration that describes one.
    pub fn facts(&self) -> Facts {
        Facts {
            channels_in: self.channels,
            channels_out: self.channels,
            reach: Some(self.depth),
            multiple: 1,
            any_size: true,
            classes: None,
            maps: false,
        }
    }

    /// Names and shapes of all arrays, in the order in which the network takes them.
    pub(super) fn shapes(&self) -> Result<Shapes, ParamsError> {
        let mut recorder = Recorder::default();
        Dncnn::build(self, &mut recorder)?;
        Ok(recorder.shapes)
    }

    /// Random weights to start training from: He's normal; the last convolution is zero, so that at first nothing changes.
    pub fn init(&self, seed: u64) -> Result<Params, ParamsError> {
        let last = format!("conv.{}.weight", self.depth - 1);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let array = |(name, shape): (String, [usize; 4])| {
            let [_, i, h, w] = shape;
            let zero = name.ends_with(".bias") || name == last;
            let std = if zero {
                0.0
            } else {
                (2.0 / (i * h * w) as f32).sqrt()
            };
            let mut value = || std * Distribution::<f32>::sample(&StandardNormal, &mut rng);
            let values = (0..shape.iter().product()).map(|_| value()).collect();
            (name, Array { shape, values })
        };
        Ok(self.shapes()?.into_iter().map(array).collect())
    }

    pub(super) fn load(&self, loader: &mut Loader<'_>) -> Result<Box<dyn Net>, ParamsError> {
        Ok(Box::new(Dncnn::build(self, loader)?))
    }
}

/// The network; see the module's head.
#[derive(Clone, Debug)]
pub struct Dncnn<T = Tensor<4>> {
    convolutions: Vec<Layer<T>>,
}

impl<T> Dncnn<T> {
    fn build<S: Source<Item = T>>(
        config: &DncnnConfig,
        source: &mut S,
    ) -> Result<Dncnn<T>, ParamsError> {
        config.check()?;
        let last = config.depth - 1;
        let channels = |i: usize| {
            [
                if i == last {
                    config.channels
                } else {
                    config.width
                },
                if i == 0 {
                    config.channels
                } else {
                    config.width
                },
                3,
            ]
        };
        let layer = |i| Layer::take(source, &format!("conv.{i}"), channels(i));
        Ok(Dncnn {
            convolutions: (0..config.depth).map(layer).collect::<Result<_, _>>()?,
        })
    }
}

impl Net for Dncnn {
    fn forward(&self, x: Tensor<4>, _: Condition<'_>) -> Tensor<4> {
        let (last, hidden) = self
            .convolutions
            .split_last()
            .expect("at least two convolutions");
        let features = hidden.iter().fold(x.clone(), |x, conv| relu(conv.conv3(x)));
        x - last.conv3(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Model, ModelSpec, Precision};
    use crate::level::Level;
    use crate::prior::{Conditioning, Network, Parametrisation, Path, Prior};
    use crate::{Device, Image};

    fn model() -> Model {
        let config = DncnnConfig {
            channels: 1,
            width: 4,
            depth: 3,
        };
        let mut params = config.init(1).unwrap();
        // So that the last convolution is not zero.
        let last = params.get_mut("conv.2.weight").unwrap();
        last.values.fill(0.1);
        let parametrisation = Parametrisation::X0 { path: Path::Ve };
        let sigma = 25.0 / 255.0;
        let spec = ModelSpec {
            conditioning: Conditioning::None,
            data: [0.0, 1.0],
            ..ModelSpec::new(config, parametrisation, [sigma, sigma])
        };
        Model { spec, params }
    }

    /// Through a file of ours it is a prior of one noise level, whose answer is the picture less the last features; colours are
    /// shown to it one by one.
    #[test]
    fn a_file_is_a_prior_of_one_level() {
        let bytes = model().to_bytes(Precision::F32).unwrap();
        let model = Model::from_bytes(&bytes).unwrap();
        let prior = Network::new(&model, &Device::default()).unwrap();
        let level = Level::ve(25.0 / 255.0);
        let x = Image::from_shape_fn((1, 3, 5, 6), |(_, c, i, j)| {
            0.1 * c as f32 + 0.05 * (i * j % 7) as f32
        });
        let x0 = prior.denoise(&x, level).unwrap().x0;
        assert!(x0.dim() == x.dim() && x0 != x);
        let plane = x.slice(ndarray::s![.., 1..2, .., ..]).to_owned();
        let alone = prior.denoise(&plane, level).unwrap().x0;
        let off = &x0.slice(ndarray::s![.., 1..2, .., ..]) - &alone;
        assert!(off.iter().all(|v| v.abs() < 1e-6));
        let other = prior.denoise(&x, Level::ve(0.2)).unwrap_err().to_string();
        assert!(other.contains("0.2") && other.contains("0.098"), "{other}");
    }
}
