//! The U-Net of guided diffusion, ADM (Dhariwal and Nichol 2021), and of improved diffusion (Nichol and Dhariwal 2021).
//!
//! Arrays are named as in the authors' files; vectors and matrices have ones appended to rank 4.
//!
//! ```text
//! embedding = time_embed(cos, sin of t) [+ label_emb]
//! stem 3x3 -> level 0: `blocks` times Res [Attn] -> Res down -> level 1 .. -> Res Attn Res ->
//!             level L-1: `blocks + 1` times Res(concat with what the way down left) [Attn], Res up -> .. -> norm, silu, 3x3
//! Res: x' + conv(silu(norm(conv(resample(silu(norm(x))))) modulated by the embedding))),  x' = skip(resample(x))
//! ```

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Uniform};
use serde::{Deserialize, Serialize};

use super::layer::{Layer, Recorder, Source};
use super::ops::{
    Features, Norm, NormConv, add, attention, average_pool, concat, conv1x1_concat,
    conv3x3_stride2, group_norm, group_norm_pool, nearest_upsample, silu,
};
use super::{Array, Condition, Facts, Loader, Net, Params, ParamsError, Shapes};

/// The shape of an ADM network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmConfig {
    /// Channels of its input: a picture's, or twice as many with a low-resolution picture beside it.
    pub channels_in: usize,
    /// Channels of its answer: a picture's, or twice as many with a learned variance.
    pub channels_out: usize,
    /// Width of the time's features; the embedding is four times as wide. `model_channels` in the original.
    pub base: usize,
    /// Channels at each level, the finest first.
    pub widths: Vec<usize>,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub blocks: usize,
    /// Which levels have attention; the middle always has.
    pub attention: Vec<bool>,
    /// How channels are shared among heads.
    pub heads: Heads,
    /// The order of queries, keys and values.
    pub order: QkvOrder,
    /// Whether the embedding scales and shifts (`use_scale_shift_norm`) or is added.
    pub film: bool,
    /// What changes the resolution.
    pub resampling: Resampling,
    /// Classes, if the network is told one.
    pub classes: Option<usize>,
}

/// How attention shares its channels among heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heads {
    /// So many channels a head.
    Channels(usize),
    /// So many heads.
    Count(usize),
}

/// The order of the channels that hold queries, keys and values, which shapes do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QkvOrder {
    /// Of each head its queries, keys and values.
    HeadFirst,
    /// All queries, all keys, all values (`use_new_attention_order`).
    QkvFirst,
}

/// What halves and doubles the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resampling {
    /// Pooling and repeating pixels inside of residual blocks (`resblock_updown`).
    Block,
    /// Convolutions with stride 2, and after repeating pixels (`conv_resample`).
    Conv,
    /// Pooling and repeating pixels.
    Plain,
}

/// Groups of every normalisation.
const GROUPS: usize = 32;
const EPS: f32 = 1e-5;

impl AdmConfig {
    /// The network of `ffhq_10m.pt` (Choi et al. 2021; Chung et al. 2023): faces of 256x256, 93.6 million parameters.
    pub fn ffhq() -> AdmConfig {
        AdmConfig {
            channels_in: 3,
            channels_out: 6,
            base: 128,
            widths: [1, 1, 2, 2, 4, 4].map(|m| 128 * m).to_vec(),
            blocks: 1,
            attention: vec![false, false, false, false, true, false],
            heads: Heads::Channels(64),
            order: QkvOrder::HeadFirst,
            film: true,
            resampling: Resampling::Block,
            classes: None,
        }
    }

    /// That it describes a network.
    pub(super) fn check(&self) -> Result<(), ParamsError> {
        let fail = |what: String| Err(ParamsError::Config(format!("{what}: {self:?}")));
        let levels = self.widths.len();
        if !(1..=10).contains(&levels) || self.attention.len() != levels {
            return fail(
                "1 to 10 levels, and as many entries of `attention` as of `widths`".into(),
            );
        }
        let sizes = [self.channels_in, self.channels_out, self.base, self.blocks];
        if !sizes
            .iter()
            .chain(&self.widths)
            .all(|v| (1..=1 << 16).contains(v))
        {
            return fail("sizes must lie between 1 and 65536".into());
        }
        if self.base == 1 || self.classes == Some(0) {
            return fail("the time needs two features, and classes must be some".into());
        }
        if let Some(width) = self.widths.iter().find(|w| !w.is_multiple_of(GROUPS)) {
            return fail(format!("{width} channels are no {GROUPS} groups"));
        }
        let last = self.widths[levels - 1];
        let attending = self.widths.iter().zip(&self.attention);
        let attending = attending.filter(|(_, a)| **a).map(|(w, _)| *w);
        for width in attending.chain([last]) {
            let of = match self.heads {
                Heads::Channels(n) | Heads::Count(n) => n,
            };
            if of == 0 || !width.is_multiple_of(of) {
                return fail(format!("{width} channels are no heads of {:?}", self.heads));
            }
        }
        Ok(())
    }

    /// What must be known to ask the network; of a configuration that describes one.
    pub fn facts(&self) -> Facts {
        Facts {
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            // Attention and the means of normalisations see the whole picture.
            reach: None,
            multiple: 1 << (self.widths.len() - 1),
            any_size: false,
            classes: self.classes,
            maps: false,
        }
    }

    /// Names and shapes of all arrays, in the order in which the network takes them.
    pub(super) fn shapes(&self) -> Result<Shapes, ParamsError> {
        let mut recorder = Recorder::default();
        Adm::build(self, &mut recorder)?;
        Ok(recorder.shapes)
    }

    pub(super) fn load(&self, loader: &mut Loader<'_>) -> Result<Box<dyn Net>, ParamsError> {
        Ok(Box::new(Adm::load(self, loader)?))
    }

    /// Random weights to start training from, as the authors draw them: uniform within `1/sqrt(fan in)`, and zeros where a
    /// branch or the network ends.
    pub fn init(&self, seed: u64) -> Result<Params, ParamsError> {
        let shapes = self.shapes()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let array = |(name, shape): (String, [usize; 4])| {
            let len = shape.iter().product();
            let values = if is_norm(&name) {
                vec![if name.ends_with("weight") { 1.0 } else { 0.0 }; len]
            } else if ends_branch(&name) {
                vec![0.0; len]
            } else {
                let bound = 1.0 / (shape[1..].iter().product::<usize>() as f32).sqrt();
                let law = Uniform::new_inclusive(-bound, bound).expect("a bound above zero");
                (0..len).map(|_| law.sample(&mut rng)).collect()
            };
            (name, Array { shape, values })
        };
        Ok(shapes.into_iter().map(array).collect())
    }
}

/// Whether an array is a normalisation's.
fn is_norm(name: &str) -> bool {
    ["in_layers.0.", "out_layers.0.", "norm.", "out.0."]
        .iter()
        .any(|part| name.contains(&format!(".{part}")) || name.starts_with(part))
}

/// Whether an array belongs to the last layer of a branch or of the network.
fn ends_branch(name: &str) -> bool {
    [".out_layers.3.", ".proj_out."]
        .iter()
        .any(|part| name.contains(part))
        || name.starts_with("out.2.")
}

/// What happens to the resolution inside of a residual block.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Keep,
    Halve,
    Double,
}

#[derive(Clone, Debug)]
struct Res<T> {
    norm1: Layer<T>,
    conv1: Layer<T>,
    embedding: Layer<T>,
    norm2: Layer<T>,
    conv2: Layer<T>,
    skip: Option<Layer<T>>,
    change: Change,
    film: bool,
}

#[derive(Clone, Debug)]
struct Attn<T> {
    norm: Layer<T>,
    qkv: Layer<T>,
    out: Layer<T>,
    heads: Heads,
    order: QkvOrder,
}

/// A part of a block of the original's lists.
#[derive(Clone, Debug)]
enum Part<T> {
    Res(Res<T>),
    Attn(Attn<T>),
    /// Half the resolution, by a convolution or by pooling.
    Down(Option<Layer<T>>),
    /// Double the resolution, with a convolution after it or not.
    Up(Option<Layer<T>>),
}

/// Blocks of the original's lists.
type Blocks<T> = Vec<Vec<Part<T>>>;

/// The network; see the module's head.
#[derive(Clone, Debug)]
pub struct Adm<T = Tensor<4>> {
    config: AdmConfig,
    time: [Layer<T>; 2],
    label: Option<T>,
    stem: Layer<T>,
    input: Blocks<T>,
    middle: Vec<Part<T>>,
    output: Blocks<T>,
    norm: Layer<T>,
    out: Layer<T>,
}

/// Takes arrays in the order of the graph.
struct Builder<'a, S> {
    config: &'a AdmConfig,
    source: &'a mut S,
}

impl<T, S: Source<Item = T>> Builder<'_, S> {
    fn layer(&mut self, name: &str, shape: [usize; 3]) -> Result<Layer<T>, ParamsError> {
        Layer::take(self.source, name, shape)
    }

    /// Weight and bias, each `[1, c, 1, 1]`.
    fn norm(&mut self, name: &str, c: usize) -> Result<Layer<T>, ParamsError> {
        let mut take = |part| self.source.take(format!("{name}.{part}"), [1, c, 1, 1]);
        Ok(Layer {
            weight: take("weight")?,
            bias: take("bias")?,
        })
    }

    fn res(
        &mut self,
        name: &str,
        [i, o]: [usize; 2],
        change: Change,
    ) -> Result<Part<T>, ParamsError> {
        let AdmConfig { base, film, .. } = *self.config;
        let modulation = if film { 2 * o } else { o };
        let embedding = [modulation, 4 * base, 1];
        Ok(Part::Res(Res {
            norm1: self.norm(&format!("{name}.in_layers.0"), i)?,
            conv1: self.layer(&format!("{name}.in_layers.2"), [o, i, 3])?,
            embedding: self.layer(&format!("{name}.emb_layers.1"), embedding)?,
            norm2: self.norm(&format!("{name}.out_layers.0"), o)?,
            conv2: self.layer(&format!("{name}.out_layers.3"), [o, o, 3])?,
            skip: (i != o)
                .then(|| self.layer(&format!("{name}.skip_connection"), [o, i, 1]))
                .transpose()?,
            change,
            film,
        }))
    }

    fn attn(&mut self, name: &str, c: usize) -> Result<Part<T>, ParamsError> {
        Ok(Part::Attn(Attn {
            norm: self.norm(&format!("{name}.norm"), c)?,
            qkv: self.layer(&format!("{name}.qkv"), [3 * c, c, 1])?,
            out: self.layer(&format!("{name}.proj_out"), [c, c, 1])?,
            heads: self.config.heads,
            order: self.config.order,
        }))
    }

    /// From a level of `c` channels to the next.
    fn down(&mut self, name: &str, c: usize) -> Result<Part<T>, ParamsError> {
        Ok(match self.config.resampling {
            Resampling::Block => self.res(name, [c, c], Change::Halve)?,
            Resampling::Conv => Part::Down(Some(self.layer(&format!("{name}.op"), [c, c, 3])?)),
            Resampling::Plain => Part::Down(None),
        })
    }

    /// From a level of `c` channels to the one before.
    fn up(&mut self, name: &str, c: usize) -> Result<Part<T>, ParamsError> {
        Ok(match self.config.resampling {
            Resampling::Block => self.res(name, [c, c], Change::Double)?,
            Resampling::Conv => Part::Up(Some(self.layer(&format!("{name}.conv"), [c, c, 3])?)),
            Resampling::Plain => Part::Up(None),
        })
    }

    /// The way down, and the channels of all that it leaves for the way up.
    fn input(&mut self) -> Result<(Blocks<T>, Vec<usize>), ParamsError> {
        let config = self.config;
        let (mut list, mut left) = (Vec::new(), vec![config.widths[0]]);
        let mut c = config.widths[0];
        for (level, &width) in config.widths.iter().enumerate() {
            for _ in 0..config.blocks {
                let name = format!("input_blocks.{}", list.len() + 1);
                let mut parts = vec![self.res(&format!("{name}.0"), [c, width], Change::Keep)?];
                if config.attention[level] {
                    parts.push(self.attn(&format!("{name}.1"), width)?);
                }
                c = width;
                list.push(parts);
                left.push(c);
            }
            if level + 1 < config.widths.len() {
                list.push(vec![
                    self.down(&format!("input_blocks.{}.0", list.len() + 1), c)?,
                ]);
                left.push(c);
            }
        }
        Ok((list, left))
    }

    /// The way up.
    fn output(&mut self, mut left: Vec<usize>) -> Result<Blocks<T>, ParamsError> {
        let config = self.config;
        let mut list = Vec::new();
        let mut c = *config.widths.last().expect("there is a level");
        for (level, &width) in config.widths.iter().enumerate().rev() {
            for i in 0..=config.blocks {
                let name = format!("output_blocks.{}", list.len());
                let beside = left.pop().expect("as many ways down as up");
                let mut parts =
                    vec![self.res(&format!("{name}.0"), [c + beside, width], Change::Keep)?];
                c = width;
                if config.attention[level] {
                    parts.push(self.attn(&format!("{name}.1"), c)?);
                }
                if level > 0 && i == config.blocks {
                    parts.push(self.up(&format!("{name}.{}", parts.len()), c)?);
                }
                list.push(parts);
            }
        }
        Ok(list)
    }
}

impl<T> Adm<T> {
    fn build<S: Source<Item = T>>(
        config: &AdmConfig,
        source: &mut S,
    ) -> Result<Adm<T>, ParamsError> {
        config.check()?;
        let e = 4 * config.base;
        let (first, last) = (config.widths[0], config.widths[config.widths.len() - 1]);
        let mut builder = Builder { config, source };
        let time = [
            builder.layer("time_embed.0", [e, config.base, 1])?,
            builder.layer("time_embed.2", [e, e, 1])?,
        ];
        let label = config.classes.map(|n| {
            let name = "label_emb.weight".to_owned();
            builder.source.take(name, [n, e, 1, 1])
        });
        let label = label.transpose()?;
        let stem = builder.layer("input_blocks.0.0", [first, config.channels_in, 3])?;
        let (input, left) = builder.input()?;
        let middle = vec![
            builder.res("middle_block.0", [last, last], Change::Keep)?,
            builder.attn("middle_block.1", last)?,
            builder.res("middle_block.2", [last, last], Change::Keep)?,
        ];
        Ok(Adm {
            time,
            label,
            stem,
            input,
            middle,
            output: builder.output(left)?,
            norm: builder.norm("out.0", first)?,
            out: builder.layer("out.2", [config.channels_out, first, 3])?,
            config: config.clone(),
        })
    }
}

impl Adm {
    /// Takes the network's weights from a loader.
    ///
    /// # Errors
    /// If the configuration describes no network, or an array is missing, misshapen or not finite.
    pub fn load(config: &AdmConfig, loader: &mut Loader<'_>) -> Result<Adm, ParamsError> {
        Adm::build(config, loader)
    }

    /// The network's answer to `x` `[n, channels_in, h, w]` at `times` (the original's index, 0 to 999, or between) and, of
    /// a network with classes, their numbers: `[n, channels_out, h, w]`.
    ///
    /// # Panics
    /// If sides are no multiple of [`Facts::multiple`], or lengths differ, or a class does not exist.
    pub fn forward(&self, x: Tensor<4>, times: &[f32], classes: Option<&[usize]>) -> Tensor<4> {
        let [n, _, h, w] = x.dims();
        let multiple = self.config.facts().multiple;
        assert!(
            h.is_multiple_of(multiple) && w.is_multiple_of(multiple),
            "{h}x{w} pixels are no multiple of {multiple}"
        );
        assert_eq!(times.len(), n, "a time for each picture");
        let embedding = silu(self.embedding(times, classes, x.dtype(), &x.device().inner()));
        let mut h = self.stem.conv3_features(x);
        let mut left = vec![h.clone()];
        for parts in &self.input {
            h = apply(parts, h, &embedding);
            left.push(h.clone());
        }
        h = apply(&self.middle, h, &embedding);
        for parts in &self.output {
            let [Part::Res(first), rest @ ..] = parts.as_slice() else {
                unreachable!("each step up begins with a block")
            };
            let beside = left.pop().expect("as many ways down as up");
            h = first.forward_concat([h, beside], &embedding);
            h = apply(rest, h, &embedding);
        }
        self.norm.then(&self.out).forward(h).tensor
    }

    /// `[n, 4 base, 1, 1]`
    fn embedding(
        &self,
        times: &[f32],
        classes: Option<&[usize]>,
        dtype: DType,
        device: &Device,
    ) -> Tensor<4> {
        let (n, base) = (times.len(), self.config.base);
        let data = TensorData::new(features(times, base), [n, base, 1, 1]);
        let features = Tensor::<4>::from_data(data, device).cast(dtype);
        let hidden = silu(self.time[0].conv1(features));
        let embedding = self.time[1].conv1(hidden);
        match (&self.label, classes) {
            (None, None) => embedding,
            (Some(label), Some(classes)) => {
                assert_eq!(classes.len(), n, "a class for each picture");
                let known = label.dims()[0];
                assert!(classes.iter().all(|&c| c < known), "a class below {known}");
                let index: Vec<i32> = classes.iter().map(|&c| c as i32).collect();
                let index = Tensor::<1, Int>::from_data(TensorData::new(index, [n]), device);
                embedding + label.clone().select(0, index)
            }
            (Some(_), None) => panic!("this network wants to know the class"),
            (None, Some(_)) => panic!("this network knows no classes"),
        }
    }
}

impl Net for Adm {
    /// A network with classes wants more than this tells it.
    fn forward(&self, x: Tensor<4>, condition: Condition<'_>) -> Tensor<4> {
        Adm::forward(self, x, condition.levels(), None)
    }
}

/// Cosines, then sines of the times at frequencies from 1 down to 1/10000 (Ho et al. 2020; cosines first as in the
/// original), and a zero if their number is odd.
fn features(times: &[f32], count: usize) -> Vec<f32> {
    let half = count / 2;
    let frequency = |i: usize| (-(10_000f32.ln()) * i as f32 / half as f32).exp();
    let row = |&t: &f32| {
        let phases = (0..half).map(move |i| t * frequency(i));
        let sines = phases.clone().map(f32::sin);
        phases
            .map(f32::cos)
            .chain(sines)
            .chain((count % 2 == 1).then_some(0.0))
    };
    times.iter().flat_map(row).collect()
}

fn apply(parts: &[Part<Tensor<4>>], x: Features, embedding: &Tensor<4>) -> Features {
    parts.iter().fold(x, |x, part| match part {
        Part::Res(res) => res.forward(x, embedding),
        Part::Attn(attn) => attn.forward(x).into(),
        Part::Down(None) => average_pool(x.tensor).into(),
        Part::Down(Some(layer)) => {
            conv3x3_stride2(x.tensor, layer.weight.clone(), layer.bias.clone()).into()
        }
        Part::Up(None) => nearest_upsample(x.tensor).into(),
        Part::Up(Some(layer)) => layer.conv3_doubled(x.tensor),
    })
}

impl Layer<Tensor<4>> {
    /// The normalisation that has this weight and bias.
    fn group_norm(&self, x: Features, silu: bool) -> Tensor<4> {
        group_norm(norm(silu), x, self.weight.clone(), self.bias.clone())
    }

    /// The means of 2x2 blocks of that, with SiLU.
    fn group_norm_pool(&self, x: Features) -> Tensor<4> {
        group_norm_pool(norm(true), x, self.weight.clone(), self.bias.clone())
    }

    /// The normalisation, SiLU, and a convolution after it.
    fn then(&self, conv: &Layer<Tensor<4>>) -> NormConv {
        conv.of_normed(self.weight.clone(), self.bias.clone())
    }

    /// This convolution of what is normalised with `scale` and `shift`.
    fn of_normed(&self, scale: Tensor<4>, shift: Tensor<4>) -> NormConv {
        NormConv {
            norm: norm(true),
            scale,
            shift,
            weight: self.weight.clone(),
            bias: self.bias.clone(),
        }
    }
}

fn norm(silu: bool) -> Norm {
    Norm {
        groups: GROUPS,
        eps: EPS,
        silu,
    }
}

impl Res<Tensor<4>> {
    /// `embedding` comes through its SiLU.
    fn forward(&self, x: Features, embedding: &Tensor<4>) -> Features {
        let (norm1, conv1) = (&self.norm1, &self.conv1);
        let (h, x) = match self.change {
            Change::Keep => (norm1.then(conv1).forward(x.clone()), x.tensor),
            Change::Halve => {
                let pooled = norm1.group_norm_pool(x.clone());
                (conv1.conv3_features(pooled), average_pool(x.tensor))
            }
            Change::Double => {
                let normed = norm1.group_norm(x.clone(), true);
                // `x` is doubled when it is added.
                (conv1.conv3_doubled(normed), x.tensor)
            }
        };
        let x = match &self.skip {
            Some(skip) => skip.conv1(x),
            None => x,
        };
        self.second_half(h, x, embedding)
    }

    /// The same for the channels of two tensors, one after the other.
    fn forward_concat(&self, [a, b]: [Features; 2], embedding: &Tensor<4>) -> Features {
        let (Some(skip), Change::Keep) = (&self.skip, self.change) else {
            return self.forward(concat(a.tensor, b.tensor).into(), embedding);
        };
        let x = [a.tensor.clone(), b.tensor.clone()];
        let h = self.norm1.then(&self.conv1).forward_concat([a, b]);
        let x = conv1x1_concat(x, skip.weight.clone(), skip.bias.clone());
        self.second_half(h, x, embedding)
    }

    /// `x + conv2(silu(norm2(h) modulated by the embedding))`
    fn second_half(&self, h: Features, x: Tensor<4>, embedding: &Tensor<4>) -> Features {
        let embedding = self.embedding.conv1(embedding.clone());
        if !self.film {
            let h = Features::from(h.tensor + embedding);
            return self.norm2.then(&self.conv2).forward_add(h, x);
        }
        let [scale, shift] = embedding.chunk(2, 1).try_into().expect("two halves");
        let scale: Tensor<4> = scale + 1.0;
        let shift = self.norm2.bias.clone() * scale.clone() + shift;
        let scale = self.norm2.weight.clone() * scale;
        self.conv2.of_normed(scale, shift).forward_add(h, x)
    }
}

impl Attn<Tensor<4>> {
    fn forward(&self, x: Features) -> Tensor<4> {
        let [n, c, h, w] = x.tensor.dims();
        let heads = match self.heads {
            Heads::Channels(channels) => c / channels,
            Heads::Count(count) => count,
        };
        let qkv = self.qkv.conv1(self.norm.group_norm(x.clone(), false));
        let (shape, axis) = match self.order {
            QkvOrder::HeadFirst => ([n, heads, 3, c / heads, h * w], 2),
            QkvOrder::QkvFirst => ([n, 3, heads, c / heads, h * w], 1),
        };
        let qkv: [Tensor<5>; 3] = qkv
            .reshape(shape)
            .chunk(3, axis)
            .try_into()
            .expect("three parts");
        let [q, k, v] = qkv.map(|part| part.reshape([n, heads, c / heads, h * w]));
        let out = attention(q, k, v).reshape([n, c, h, w]);
        add(x.tensor, self.out.conv1(out))
    }
}
