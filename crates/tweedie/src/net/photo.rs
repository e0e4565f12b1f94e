//! The photo network: a small, fully convolutional residual U-Net for pictures of any size.
//!
//! A reduced DRUNet (Zhang et al. 2021) that works on 2x2 pixel blocks like FFDNet (Zhang et al. 2018), conditioned on the
//! noise level by feature-wise scale and shift (as ADM, Dhariwal and Nichol 2021). There is no global normalisation and
//! no attention: each output pixel depends on the pixels within its reach ([`PhotoConfig::facts`]) alone, so that a large picture can be
//! worked on in tiles without a trace.
//!
//! With `maps` it can be told the noise of each pixel as well (`photo_map`): every block is then modulated pixel by pixel, by
//! the embedding of the levels around it, and the stem sees what the map says within a block of pixels. Told one level, it
//! is the same network without a map, at the same cost.
//!
//! With a `condition` it is shown another picture beside the noisy one, a first guess of what it should answer: a conditional
//! model, as SR3 (Saharia et al. 2021). The stem has weights of its own for it, which begin at zero, so that training goes on from
//! a network without.
//!
//! ```text
//! x (3) -unshuffle-> 12 -3x3-> [64] ---------- + -> [64] -silu-3x3-> 12 -shuffle-> F (3)
//!                               |down          |up
//!                              [128] --- + -> [128]          down = unshuffle, 1x1;  up = 1x1, shuffle
//!                                |down   |up
//!                               [256 .. 256]                 [c] = `blocks` times  x + conv(silu(film(conv(silu(x)))))
//! ```

use burn::tensor::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::layer::{Layer, Recorder, Source};
use super::ops::{
    add, average_pool, conv3x3, pixel_shuffle, pixel_unshuffle, residual_block, silu,
};
use super::photo_map;
use super::{Array, Condition, Facts, Loader, Net, Params, ParamsError, Shapes};
use crate::Image;
use crate::prior::to_tensor;

/// The shape of a photo network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotoConfig {
    /// Channels of its pictures.
    pub channels: usize,
    /// Channels at each scale, the finest (half the picture's resolution) first.
    pub widths: Vec<usize>,
    /// Residual blocks at each scale, on the way down and again on the way up; once at the coarsest.
    pub blocks: Vec<usize>,
    /// Width of the noise level's embedding.
    pub embedding: usize,
    /// Whether it can be told the noise of each pixel.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maps: bool,
    /// Whether it is shown a picture beside the noisy one, whose channels come after its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub condition: bool,
}

impl Default for PhotoConfig {
    fn default() -> Self {
        PhotoConfig {
            channels: 3,
            widths: vec![64, 128, 256],
            blocks: vec![2, 2, 2],
            embedding: 64,
            maps: false,
            condition: false,
        }
    }
}

impl PhotoConfig {
    /// That it describes a network.
    pub(super) fn check(&self) -> Result<(), ParamsError> {
        let scales = self.widths.len();
        let sound = (1..=6).contains(&scales)
            && self.blocks.len() == scales
            && [&self.widths, &self.blocks]
                .iter()
                .all(|list| list.iter().all(|&v| (1..=4096).contains(&v)))
            && (1..=64).contains(&self.channels)
            && (1..=4096).contains(&self.embedding);
        if sound && self.maps && self.condition {
            return Err(ParamsError::Config(
                "a photo network has `maps` or a `condition`, not both".into(),
            ));
        }
        if sound {
            return Ok(());
        }
        Err(ParamsError::Config(format!(
            "a photo network needs 1 to 6 scales, as many `blocks` as `widths`, and sizes from 1 to 4096: {self:?}"
        )))
    }

    /// What must be known to ask the network; of a configuration that describes one.
    pub fn facts(&self) -> Facts {
        Facts {
            channels_in: self.channels * (1 + usize::from(self.condition)),
            channels_out: self.channels,
            reach: Some(self.reach()),
            multiple: 1 << self.widths.len(),
            any_size: true,
            classes: None,
            maps: self.maps,
        }
    }

    /// Pixels beyond which an input pixel cannot influence an output pixel.
    fn reach(&self) -> usize {
        let blocks = &self.blocks;
        let coarsest = blocks.len() - 1;
        let convolutions = |scale: usize| match scale {
            0 if coarsest == 0 => 2 + 2 * blocks[0],
            0 => 2 + 4 * blocks[0],
            s if s == coarsest => 2 * blocks[s],
            s => 4 * blocks[s],
        };
        // A 3x3 convolution at scale s reaches one block of 2^(s+1) pixels; regrouping into blocks, one block more.
        (0..blocks.len())
            .map(|s| (convolutions(s) + 1) << (s + 1))
            .sum()
    }

    /// Random weights to start training from: He's normal, and zeros where a branch ends, so that at first every block and
    /// every coarser scale is the identity, maps and a picture beside say nothing, and the network's answer is 0.
    pub fn init(&self, seed: u64) -> Result<Params, ParamsError> {
        let shapes = self.shapes()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut params = Params::new();
        for (name, shape) in shapes {
            let [_, i, h, w] = shape;
            let zero = name.ends_with(".bias")
                || name.ends_with(".conv2.weight")
                || name.ends_with(".film.weight")
                || name.starts_with("up.")
                || name == "stem.map.weight"
                || name == "stem.condition.weight"
                || name == "out.weight";
            let std = if zero {
                0.0
            } else {
                (2.0 / (i * h * w) as f32).sqrt()
            };
            let values = (0..shape.iter().product())
                .map(|_| std * Distribution::<f32>::sample(&StandardNormal, &mut rng))
                .collect();
            params.insert(name, Array { shape, values });
        }
        Ok(params)
    }

    /// Names and shapes of all arrays, in the order in which the network takes them.
    pub(super) fn shapes(&self) -> Result<Shapes, ParamsError> {
        let mut recorder = Recorder::default();
        Photo::build(self, &mut recorder)?;
        Ok(recorder.shapes)
    }

    pub(super) fn load(&self, loader: &mut Loader<'_>) -> Result<Box<dyn Net>, ParamsError> {
        Ok(Box::new(Photo::load(self, loader)?))
    }
}

/// `x + conv2(silu(film(conv1(silu(x)))))`.
#[derive(Clone, Debug)]
struct Block<T> {
    conv1: Layer<T>,
    conv2: Layer<T>,
    film: Layer<T>,
}

impl<T> Block<T> {
    fn take<S: Source<Item = T>>(
        source: &mut S,
        name: &str,
        width: usize,
        embedding: usize,
    ) -> Result<Block<T>, ParamsError> {
        let mut layer = |part: &str, shape| Layer::take(source, &format!("{name}.{part}"), shape);
        Ok(Block {
            conv1: layer("conv1", [width, width, 3])?,
            conv2: layer("conv2", [width, width, 3])?,
            film: layer("film", [2 * width, embedding, 1])?,
        })
    }
}

impl Block<Tensor<4>> {
    fn forward(&self, x: Tensor<4>, embedding: &Tensor<4>) -> Tensor<4> {
        let film = self.film.conv1(embedding.clone());
        residual_block(x, film, self.conv1.pair(), self.conv2.pair())
    }
}

/// One scale but the coarsest.
#[derive(Clone, Debug)]
struct Scale<T> {
    encode: Vec<Block<T>>,
    down: Layer<T>,
    up: Layer<T>,
    decode: Vec<Block<T>>,
}

/// The photo network; see the module's head.
#[derive(Clone, Debug)]
pub struct Photo<T = Tensor<4>> {
    channels: usize,
    multiple: usize,
    embed: [Layer<T>; 2],
    stem: Layer<T>,
    /// The stem's part for maps, without a bias.
    stem_map: Option<T>,
    /// Its part for the picture beside, without a bias.
    stem_condition: Option<T>,
    scales: Vec<Scale<T>>,
    middle: Vec<Block<T>>,
    out: Layer<T>,
}

impl<T> Photo<T> {
    fn build<S: Source<Item = T>>(
        config: &PhotoConfig,
        source: &mut S,
    ) -> Result<Photo<T>, ParamsError> {
        config.check()?;
        let e = config.embedding;
        let pixels = 4 * config.channels;
        let widths = &config.widths;
        let coarsest = widths.len() - 1;
        let blocks = |source: &mut S, name: &str, scale: usize| {
            (0..config.blocks[scale])
                .map(|k| Block::take(source, &format!("{name}.{scale}.{k}"), widths[scale], e))
                .collect::<Result<Vec<_>, _>>()
        };
        let embed = [
            Layer::take(source, "embed.0", [e, photo_map::FEATURES, 1])?,
            Layer::take(source, "embed.1", [e, e, 1])?,
        ];
        let stem = Layer::take(source, "stem", [widths[0], pixels, 3])?;
        let pairs = 4 * photo_map::details_of(config.channels);
        let shape = [widths[0], pairs, 3, 3];
        let stem_map = config
            .maps
            .then(|| source.take("stem.map.weight".to_owned(), shape))
            .transpose()?;
        let stem_condition = config
            .condition
            .then(|| {
                source.take(
                    "stem.condition.weight".to_owned(),
                    [widths[0], pixels, 3, 3],
                )
            })
            .transpose()?;
        let scales = (0..coarsest)
            .map(|i| {
                let (fine, coarse) = (widths[i], widths[i + 1]);
                Ok(Scale {
                    encode: blocks(source, "encode", i)?,
                    down: Layer::take(source, &format!("down.{i}"), [coarse, 4 * fine, 1])?,
                    up: Layer::take(source, &format!("up.{i}"), [4 * fine, coarse, 1])?,
                    decode: blocks(source, "decode", i)?,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Photo {
            embed,
            stem,
            stem_map,
            stem_condition,
            scales,
            middle: blocks(source, "middle", coarsest)?,
            out: Layer::take(source, "out", [pixels, widths[0], 3])?,
            channels: config.channels,
            multiple: config.facts().multiple,
        })
    }
}

impl Photo {
    /// Takes the network's weights from a loader.
    pub fn load(config: &PhotoConfig, loader: &mut Loader<'_>) -> Result<Photo, ParamsError> {
        Photo::build(config, loader)
    }

    /// `F(x, c)`: x `[n, c, h, w]` of any size with unit variance or so, `condition` the noise level as `ln(sigma)/4`
    /// (Karras et al. 2022, table 1), of each picture or each pixel. The answer has the shape of `x`; where a picture is shown
    /// beside, as channels of `x` after its own, that of the noisy one.
    ///
    /// # Panics
    /// If it is told a map, and has no `maps`.
    pub fn forward<'a>(&self, x: Tensor<4>, condition: impl Into<Condition<'a>>) -> Tensor<4> {
        let [n, _, h, w] = x.dims();
        let c = self.channels;
        let (x, shown) = self.apart(self.pad(x));
        let (embeddings, map) = match condition.into() {
            Condition::Levels(levels) => (vec![self.embed_levels(levels, &x)], None),
            Condition::Map(map) => self.embed_map(map, &x),
        };
        // One embedding serves all scales, or each has its own.
        let embedding = |scale: usize| &embeddings[scale.min(embeddings.len() - 1)];
        let mut x = self.stem.conv3(pixel_unshuffle(x));
        for beside in [map, shown].into_iter().flatten() {
            x = add(x, beside);
        }
        let mut skips = Vec::with_capacity(self.scales.len());
        for (i, scale) in self.scales.iter().enumerate() {
            x = forward(&scale.encode, x, embedding(i));
            skips.push(x.clone());
            x = scale.down.conv1(pixel_unshuffle(x));
        }
        x = forward(&self.middle, x, embedding(self.scales.len()));
        for ((i, scale), skip) in self.scales.iter().enumerate().zip(skips).rev() {
            x = add(pixel_shuffle(scale.up.conv1(x)), skip);
            x = forward(&scale.decode, x, embedding(i));
        }
        pixel_shuffle(self.out.conv3(silu(x))).slice([0..n, 0..c, 0..h, 0..w])
    }

    /// The noisy picture, and what the stem adds for the one beside it.
    fn apart(&self, x: Tensor<4>) -> (Tensor<4>, Option<Tensor<4>>) {
        let Some(weight) = &self.stem_condition else {
            return (x, None);
        };
        let ([n, both, h, w], c) = (x.dims(), self.channels);
        let shown = x.clone().slice([0..n, c..both, 0..h, 0..w]);
        let none = beside(&x, &Image::zeros((1, weight.dims()[0], 1, 1)));
        let stem = conv3x3(pixel_unshuffle(shown), weight.clone(), none);
        (x.slice([0..n, 0..c, 0..h, 0..w]), Some(stem))
    }

    /// Repeats the last row and column until both sides are multiples of the coarsest block.
    fn pad(&self, x: Tensor<4>) -> Tensor<4> {
        let m = self.multiple;
        let [n, c, h, w] = x.dims();
        let (dh, dw) = (h.next_multiple_of(m) - h, w.next_multiple_of(m) - w);
        let mut x = x;
        if dh > 0 {
            let last = x.clone().slice([0..n, 0..c, h - 1..h, 0..w]);
            x = Tensor::cat(vec![x, last.repeat_dim(2, dh)], 2);
        }
        if dw > 0 {
            let last = x.clone().slice([0..n, 0..c, 0..h + dh, w - 1..w]);
            x = Tensor::cat(vec![x, last.repeat_dim(3, dw)], 3);
        }
        x
    }

    /// The embedding of one level a picture, `[n, e, 1, 1]`, for the padded `x`.
    fn embed_levels(&self, levels: &[f32], x: &Tensor<4>) -> Tensor<4> {
        let features: Vec<f32> = levels.iter().flat_map(|&l| photo_map::fourier(l)).collect();
        let shape = (levels.len(), photo_map::FEATURES, 1, 1);
        let features = Image::from_shape_vec(shape, features).expect("as many as were made");
        self.embedding(beside(x, &features))
    }

    /// The embeddings of a map at each scale, `[n, e, h, w]` of the scale, and what the stem adds for it.
    fn embed_map(&self, map: &Image, x: &Tensor<4>) -> (Vec<Tensor<4>>, Option<Tensor<4>>) {
        let weight = self.stem_map.as_ref().expect("a network with maps");
        let [_, c, h, w] = x.dims();
        let map = photo_map::pad(map, h, w);
        let mut features = vec![beside(x, &photo_map::features(&map, c))];
        while features.len() <= self.scales.len() {
            features.push(average_pool(features[features.len() - 1].clone()));
        }
        let embeddings = features.into_iter().map(|f| self.embedding(f));
        let details = beside(x, &photo_map::details(&map, c));
        let none = beside(x, &Image::zeros((1, weight.dims()[0], 1, 1)));
        let stem = conv3x3(pixel_unshuffle(details), weight.clone(), none);
        (embeddings.collect(), Some(stem))
    }

    /// Fourier features through two dense layers.
    fn embedding(&self, features: Tensor<4>) -> Tensor<4> {
        let hidden = silu(self.embed[0].conv1(features));
        silu(self.embed[1].conv1(hidden))
    }
}

/// A constant where `x` is, of its type.
fn beside(x: &Tensor<4>, constant: &Image) -> Tensor<4> {
    to_tensor(constant, &x.device().inner()).cast(x.dtype())
}

impl Net for Photo {
    fn forward(&self, x: Tensor<4>, condition: Condition<'_>) -> Tensor<4> {
        Photo::forward(self, x, condition)
    }
}

fn forward(blocks: &[Block<Tensor<4>>], x: Tensor<4>, embedding: &Tensor<4>) -> Tensor<4> {
    blocks
        .iter()
        .fold(x, |x, block| block.forward(x, embedding))
}
