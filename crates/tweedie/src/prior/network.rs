//! A trained network as a prior.

use burn::tensor::{Device, Tensor};

use super::parametrisation::condition;
use super::tiles::Tiling;
use super::{Error, Parametrisation, Prior, Pullback};
use crate::Image;
use crate::checkpoint::{Architecture, Model};
use crate::level::{Level, Range};
use crate::net::ops::data;
use crate::net::{Loader, ParamsError, Photo};

/// A network with what is needed to ask it: [`Prior`] for pictures in [0, 1] of any size.
///
/// Grey pictures (one channel) are shown to it three times over and its three answers averaged; our networks were
/// trained for such pictures too.
#[derive(Debug)]
pub struct Network {
    photo: Photo,
    channels: usize,
    parametrisation: Parametrisation,
    sigma: [f64; 2],
    device: Device,
    tiling: Tiling,
}

impl Network {
    /// A model's network on a device.
    pub fn new(model: &Model, device: &Device) -> Result<Network, ParamsError> {
        let Architecture::Photo(config) = &model.spec.network;
        let mut loader = Loader::new(&model.params, device);
        let photo = Photo::load(config, &mut loader)?;
        loader.finish()?;
        let tiling = Tiling::new(photo.reach(), config.multiple());
        Ok(Network {
            photo,
            channels: config.channels,
            parametrisation: model.spec.parametrisation,
            sigma: model.spec.sigma,
            device: device.clone(),
            tiling,
        })
    }

    /// The same with another limit on the pixels that go through the network at once.
    pub fn with_tile_pixels(mut self, pixels: usize) -> Network {
        self.tiling = self.tiling.with_pixels(pixels);
        self
    }

    /// Noise level for data in [-1, 1], kept to what the network was trained on.
    fn sigma(&self, level: Level) -> f64 {
        let sigma = level.sigma() / self.range().half;
        sigma.clamp(self.sigma[0], self.sigma[1])
    }

    /// `x/a` in [-1, 1] terms, with the network's channels.
    fn to_network(&self, x: &Image, level: Level) -> Image {
        let Range { center, half } = self.range();
        let (scale, shift) = ((1.0 / (level.a * half)) as f32, (center / half) as f32);
        let x = x.mapv(|v| v * scale - shift);
        if x.dim().1 == self.channels {
            return x;
        }
        let (n, _, h, w) = x.dim();
        x.broadcast((n, self.channels, h, w))
            .expect("one channel broadcasts")
            .to_owned()
    }

    /// The network's bare answer to its bare input, for training.
    pub(crate) fn answer(&self, input: &Image, condition: &[f32]) -> Result<Image, Error> {
        let input = to_tensor(input, &self.device);
        from_tensor(in_pool(|| self.photo.forward(input, condition)))
    }

    fn check(&self, x: &Image) -> Result<(), Error> {
        let (n, c, h, w) = x.dim();
        if (c == self.channels || c == 1) && n > 0 && h > 0 && w > 0 {
            return Ok(());
        }
        Err(Error::Shape {
            expected: format!("1 or {} channels and at least one pixel", self.channels),
            got: x.shape().to_vec(),
        })
    }

    /// `F(input*x)` as a tensor, from a tensor in [-1, 1] terms.
    fn forward(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let n = x.dims()[0];
        let input = self.parametrisation.factors(sigma).input as f32;
        self.photo.forward(x * input, &vec![condition(sigma); n])
    }

    /// `skip*x + out*F`, back in [0, 1] and in `channels` channels.
    fn to_image(&self, x: &Image, f: &Image, sigma: f64, channels: usize) -> Image {
        let factors = self.parametrisation.factors(sigma);
        let Range { center, half } = self.range();
        let mut x0 = crate::level::combine(factors.skip * half, x, factors.out * half, f);
        x0 += center as f32;
        to_channels(x0, channels)
    }
}

/// Averages the channels if there is to be one.
fn to_channels(x: Image, channels: usize) -> Image {
    if x.dim().1 == channels {
        return x;
    }
    x.mean_axis(ndarray::Axis(1))
        .expect("there is a channel")
        .insert_axis(ndarray::Axis(1))
}

impl Prior for Network {
    fn denoise(&self, x: &Image, level: Level) -> Result<Image, Error> {
        self.check(x)?;
        let sigma = self.sigma(level);
        let channels = x.dim().1;
        let x = self.to_network(x, level);
        let network = |tile: &Image| {
            let answer = in_pool(|| self.forward(to_tensor(tile, &self.device), sigma));
            from_tensor(answer)
        };
        let f = self.tiling.map(&x, network)?;
        Ok(self.to_image(&x, &f, sigma, channels))
    }

    fn denoise_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Image, Pullback<'a>), Error> {
        self.check(x)?;
        let sigma = self.sigma(level);
        let channels = x.dim().1;
        let x = self.to_network(x, level);
        let input = to_tensor(&x, &self.device.clone().autodiff()).require_grad();
        let output = in_pool(|| self.forward(input.clone(), sigma));
        let x0 = self.to_image(&x, &from_tensor(output.clone().inner())?, sigma, channels);
        let factors = self.parametrisation.factors(sigma);
        let n_channels = self.channels;
        let pullback = move |v: &Image| {
            // x0 = half*(skip*z + out*F(z)) + center with z = x/(a*half) - center/half.
            let spread = match v.dim().1 == n_channels {
                true => v.clone(),
                false => {
                    let (n, _, h, w) = v.dim();
                    let v = v / n_channels as f32;
                    v.broadcast((n, n_channels, h, w))
                        .expect("one channel broadcasts")
                        .to_owned()
                }
            };
            let cotangent = to_tensor(&spread, &output.device());
            let through = in_pool(|| input.grad(&(output * cotangent).sum().backward()))
                .ok_or_else(|| Error::Network("the answer does not depend on the image".into()))?;
            let through = from_tensor(through)?;
            let total = crate::level::combine(
                factors.skip / level.a,
                &spread,
                factors.out / level.a,
                &through,
            );
            Ok(if v.dim().1 == n_channels {
                total
            } else {
                let mean = to_channels(total, 1);
                mean * n_channels as f32
            })
        };
        Ok((x0, Box::new(pullback)))
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn max_sigma(&self) -> f64 {
        self.sigma[1] * self.range().half
    }
}

/// Runs `f` on a thread of the rayon pool: from outside, each of a network's many operations would have to wake the pool.
pub(crate) fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

/// An image as a tensor on a device.
pub(crate) fn to_tensor(x: &Image, device: &Device) -> Tensor<4> {
    let (n, c, h, w) = x.dim();
    let x = x.as_standard_layout();
    let values = x.as_slice().expect("standard layout");
    Tensor::from_data(data([n, c, h, w], |to| to.copy_from_slice(values)), device)
}

/// A tensor as an image.
pub(crate) fn from_tensor(x: Tensor<4>) -> Result<Image, Error> {
    let [n, c, h, w] = x.dims();
    let values = x
        .try_into_data()
        .map_err(|e| Error::Network(e.to_string()))?
        .try_into_vec::<f32>()
        .map_err(|e| Error::Network(e.to_string()))?;
    Image::from_shape_vec((n, c, h, w), values).map_err(|e| Error::Network(e.to_string()))
}
