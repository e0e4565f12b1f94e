//! A trained network as a prior.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use burn::tensor::{Device, Tensor};
use ndarray::{ArrayView4, Axis, Zip, s};

use super::tensor::{from_tensor, in_pool, to_tensor};
use super::tiles::Tiling;
use super::{
    AnyChannels, Card, Conditioning, Error, Estimate, Factors, Parametrisation, Parts, Prior,
    Pullback, Shown, Sides,
};
use crate::Image;
use crate::checkpoint::{Model, ModelSpec};
use crate::level::{self, Level};
use crate::net::{Condition, Facts, Loader, Net, ParamsError};
use crate::noise_map::NoiseMap;

/// A network with what is needed to ask it: [`Prior`] for pictures in [0, 1], large ones in tiles where the network
/// allows.
///
/// Pictures with other numbers of channels than its own are shown to it as [`AnyChannels`] says; our networks were trained
/// for grey ones, too.
#[derive(Debug)]
pub struct Network(AnyChannels<Adapter>);

impl Network {
    /// A model's network on a device.
    ///
    /// # Errors
    /// If the model's description makes no sense ([`ModelSpec::check`]), or its weights do not make the network.
    pub fn new(model: &Model, device: &Device) -> Result<Network, ParamsError> {
        match model.spec.imitates {
            None => Network::of(model, device),
            Some(_) => Err(ParamsError::Config(
                "this model is an operator (--operator network --network FILE), and no prior"
                    .into(),
            )),
        }
    }

    /// The same, also of a model that is an operator.
    pub(crate) fn of(model: &Model, device: &Device) -> Result<Network, ParamsError> {
        Ok(Network(AnyChannels::new(Adapter::new(model, device)?)))
    }

    /// The level that a network was trained at, where it is one.
    pub(crate) fn only_level(&self) -> Level {
        Level::ve(self.0.card().sigma[0])
    }

    /// The network as it answers pictures of `c` channels that it is shown beside this, which has its own channels.
    pub(crate) fn beside<'a>(&'a self, shown: &Image, c: usize) -> impl Prior + use<'a> {
        self.0.around(Given::new(self.0.inner(), shown), c)
    }

    /// The same with another limit on the pixels that go through the network at once.
    pub fn with_tile_pixels(self, pixels: usize) -> Network {
        let mut adapter = self.0.into_inner();
        adapter.tiling = adapter.tiling.with_pixels(pixels);
        Network(AnyChannels::new(adapter))
    }

    /// The same, telling `hear` after each tile of an answer how many are done, and of how many. Small pictures have one.
    pub fn telling(self, hear: impl Fn(usize, usize) + Send + Sync + 'static) -> Network {
        let mut adapter = self.0.into_inner();
        adapter.tell = Tell(Some(Box::new(hear)));
        Network(AnyChannels::new(adapter))
    }

    /// The network's bare answer to its bare input, for training.
    pub(crate) fn answer(&self, input: &Image, condition: Condition<'_>) -> Result<Image, Error> {
        let adapter = self.0.inner();
        let input = to_tensor(input, &adapter.device);
        from_tensor(in_pool(|| adapter.net.forward(input, condition)))
    }
}

impl Prior for Network {
    fn card(&self) -> &Card {
        self.0.card()
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.0.estimate(x, level)
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        self.0.estimate_with_pullback(x, level)
    }

    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        self.0.estimate_mapped(m, noise)
    }

    fn given(&self, guess: &Image) -> Result<Box<dyn Prior + '_>, Error> {
        if self.0.card().condition.is_none() {
            return Err(Error::NoCondition);
        }
        self.0.card().check_shape(guess)?;
        Ok(Box::new(
            self.beside(&self.0.with_own(guess), guess.dim().1),
        ))
    }
}

/// The network as a prior for pictures of its own channels.
#[derive(Debug)]
struct Adapter {
    net: Box<dyn Net>,
    facts: Facts,
    parametrisation: Parametrisation,
    conditioning: Conditioning,
    mean: Range<usize>,
    variance: Option<Range<usize>>,
    /// What the network's data lie in.
    data: level::Range,
    /// The sigmas that maps tell, for them.
    told: [f64; 2],
    card: Card,
    device: Device,
    tiling: Tiling,
    tell: Tell,
}

/// Who is told how far an answer is.
struct Tell(Option<Box<dyn Fn(usize, usize) + Send + Sync>>);

impl Tell {
    fn done(&self, tile: usize, tiles: usize) {
        if let Some(hear) = &self.0 {
            hear(tile, tiles);
        }
    }
}

impl fmt::Debug for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tell({})", self.0.is_some())
    }
}

/// A question in the network's terms: `x/a` in its range, and what follows from the noise.
struct Question<'a> {
    x: Image,
    /// The picture that is shown beside it.
    guess: Option<&'a Image>,
    factors: Factors,
    condition: f32,
}

impl Adapter {
    fn new(model: &Model, device: &Device) -> Result<Adapter, ParamsError> {
        let spec = &model.spec;
        spec.check()?;
        let mut loader = Loader::new(&model.params, device);
        let net = spec.network.load(&mut loader)?;
        loader.finish()?;
        let facts = spec.network.facts();
        Ok(Adapter {
            net,
            facts,
            parametrisation: spec.parametrisation,
            conditioning: spec.conditioning.clone(),
            mean: spec.mean(),
            variance: spec.variance.clone(),
            data: spec.range(),
            told: spec.told(),
            card: card(spec, facts),
            device: device.clone(),
            tiling: Tiling::new(facts.reach, facts.multiple),
            tell: Tell(None),
        })
    }

    fn question<'a>(&self, x: &Image, guess: Option<&'a Image>, level: Level) -> Question<'a> {
        let (data, range) = (self.data, self.card.range);
        let unit = data.half / range.half;
        let (scale, shift) = (unit / level.a, data.center - unit * range.center);
        let (scale, shift) = (scale as f32, shift as f32);
        let sigma = level.sigma() * unit;
        Question {
            x: x.mapv(|v| v * scale + shift),
            guess,
            factors: self.parametrisation.factors(sigma),
            condition: self.conditioning.of(sigma, data),
        }
    }

    /// `F(input*x)` for a part of what the question [shows](Question::shown).
    fn forward(&self, question: &Question<'_>, shown: Tensor<4>) -> Tensor<4> {
        let [n, both, h, w] = shown.dims();
        let condition = vec![question.condition; n];
        let (c, input) = (question.x.dim().1, question.factors.input as f32);
        let input = match both == c {
            true => shown * input,
            false => {
                let x = shown.clone().slice([0..n, 0..c, 0..h, 0..w]) * input;
                Tensor::cat(vec![x, shown.slice([0..n, c..both, 0..h, 0..w])], 1)
            }
        };
        self.net.forward(input, Condition::Levels(&condition))
    }

    /// `F(input*x)` of the whole question, in tiles.
    fn answer(&self, question: &Question<'_>) -> Result<Image, Error> {
        let network = |tile: &Image| {
            let tile = to_tensor(tile, &self.device);
            from_tensor(in_pool(|| self.forward(question, tile)))
        };
        let done = |tile, tiles| self.tell.done(tile, tiles);
        self.tiling
            .map(&question.shown(), self.facts.channels_out, network, done)
    }

    /// `F` of a question with a map, in tiles: the picture and what is told of its noise are cut together.
    fn answer_mapped(&self, input: &Image, map: &Image) -> Result<Image, Error> {
        let both = ndarray::concatenate(Axis(1), &[input.view(), map.view()]);
        let both = both.expect("of one size");
        let c = input.dim().1;
        let network = |tile: &Image| {
            let (x, map) = tile.view().split_at(Axis(1), c);
            let (x, map) = (to_tensor(&x.to_owned(), &self.device), map.to_owned());
            from_tensor(in_pool(|| self.net.forward(x, Condition::Map(&map))))
        };
        let done = |tile, tiles| self.tell.done(tile, tiles);
        self.tiling
            .map(&both, self.facts.channels_out, network, done)
    }

    /// What the network's answer says.
    fn read(&self, question: &Question<'_>, answer: &Image) -> Estimate {
        let channels = |of: &Range<usize>| answer.slice(s![.., of.clone(), .., ..]);
        let share = |of| channels(of).mapv(|v| 0.5 * (v + 1.0));
        Estimate {
            x0: self.x0(question, channels(&self.mean)),
            share: self.variance.as_ref().map(share),
        }
    }

    /// `skip*x + out*F`, back in the range of pictures.
    fn x0(&self, question: &Question<'_>, f: ArrayView4<'_, f32>) -> Image {
        let (data, range) = (self.data, self.card.range);
        let unit = range.half / data.half;
        let Factors { skip, out, .. } = question.factors;
        let (skip, out) = ((skip * unit) as f32, (out * unit) as f32);
        let shift = (range.center - data.center * unit) as f32;
        Zip::from(&question.x)
            .and(f)
            .par_map_collect(|&x, &f| skip * x + out * f + shift)
    }

    /// Input and answer, for the gradient.
    fn tracked(&self, question: &Question<'_>, shown: &Image) -> Tracked {
        let input = to_tensor(shown, &self.device.clone().autodiff()).require_grad();
        let answer = in_pool(|| self.forward(question, input.clone()));
        Tracked { input, answer }
    }

    /// The channels of an answer that are the mean.
    fn mean_of(&self, answer: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = answer.dims();
        match self.mean == (0..c) {
            true => answer,
            false => answer.slice([0..n, self.mean.clone(), 0..h, 0..w]),
        }
    }

    /// The transposed derivative of the mean's channels of `F(input*x)`, times `v`.
    fn pull(&self, Tracked { input, answer }: Tracked, v: &Image) -> Result<Image, Error> {
        let cotangent = to_tensor(v, &answer.device());
        let through = in_pool(|| {
            let product = self.mean_of(answer) * cotangent;
            input.grad(&product.sum().backward())
        });
        from_tensor(
            through
                .ok_or_else(|| Error::Network("the answer does not depend on the image".into()))?,
        )
    }
}

/// The two ends of a way through the network.
struct Tracked {
    input: Tensor<4>,
    answer: Tensor<4>,
}

/// What the network knows, in the terms of pictures.
fn card(spec: &ModelSpec, facts: Facts) -> Card {
    let range = spec.range_outside();
    let unit = range.half / spec.range().half;
    let native = spec.conditioning.native(spec.range());
    let levels = |levels: Vec<Level>| levels.into_iter().map(|l| l.scaled(unit)).collect();
    Card {
        channels: vec![spec.channels()],
        range,
        sigma: spec.sigma.map(|sigma| sigma * unit),
        levels: native.map(levels),
        sides: match facts.any_size {
            true => Sides::Any,
            false => Sides::Multiple(facts.multiple),
        },
        pullback: true,
        variance: spec.variance.is_some(),
        parts: facts
            .reach
            // A part of a picture is measured by another operator than the one that it was trained for.
            .filter(|_| spec.condition.is_none())
            .map(|reach| Parts {
                margin: reach.next_multiple_of(facts.multiple),
                multiple: facts.multiple,
            }),
        maps: facts.maps,
        likelihood: false,
        condition: spec.condition.clone(),
    }
}

impl Prior for Adapter {
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.estimate_beside(x, None, level)
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        self.tracked_beside(x, None, level)
    }

    /// As [`Shown`] says.
    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        let (data, range) = (self.data, self.card.range);
        let unit = data.half / range.half;
        let z = m.mapv(|v| ((f64::from(v) - range.center) * unit + data.center) as f32);
        let shown = Shown::new(self.parametrisation, &z, &noise.scaled(unit), self.told);
        let answer = self.answer_mapped(&shown.input(), &shown.map)?;
        let mut x0 = shown.x0(&answer);
        x0.par_mapv_inplace(|v| ((f64::from(v) - data.center) / unit + range.center) as f32);
        Ok(x0.into())
    }
}

impl Adapter {
    /// The estimate of a picture, shown this guess beside it in the network's range.
    fn estimate_beside(
        &self,
        x: &Image,
        guess: Option<&Image>,
        level: Level,
    ) -> Result<Estimate, Error> {
        let question = self.question(x, guess, level);
        Ok(self.read(&question, &self.answer(&question)?))
    }

    /// The same with the pullback to the picture.
    fn tracked_beside<'a>(
        &'a self,
        x: &Image,
        guess: Option<&'a Image>,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        let question = self.question(x, guess, level);
        // What the way forward leaves for the way back is kept, or for large pictures made anew, tile by tile.
        let (answer, tracked) = if self.tiling.pulls_whole(&question.x) {
            let tracked = self.tracked(&question, &question.shown());
            (from_tensor(tracked.answer.clone().inner())?, Some(tracked))
        } else {
            (self.answer(&question)?, None)
        };
        let estimate = self.read(&question, &answer);
        let pullback = move |v: &Image| {
            let through = match tracked {
                Some(tracked) => self.pull(tracked, v)?,
                None => self.tiling.pull(&question.shown(), v, |tile, v| {
                    self.pull(self.tracked(&question, tile), v)
                })?,
            };
            // The guess stays as it is.
            let through = through.slice_move(s![.., ..question.x.dim().1, .., ..]);
            // x0 = unit*(skip*z + out*F(input*z)) + shift with z = x/(a*unit) + another shift.
            let Factors { skip, out, .. } = question.factors;
            Ok(level::combine(skip / level.a, v, out / level.a, &through))
        };
        Ok((estimate, Box::new(pullback)))
    }
}

impl Question<'_> {
    /// What is shown: the picture, and the guess as further channels.
    fn shown(&self) -> Cow<'_, Image> {
        match self.guess {
            None => Cow::Borrowed(&self.x),
            Some(guess) => {
                let both = ndarray::concatenate(Axis(1), &[self.x.view(), guess.view()]);
                Cow::Owned(both.expect("of one size"))
            }
        }
    }
}

/// A conditional network that is shown a guess.
struct Given<'a> {
    adapter: &'a Adapter,
    /// In the network's range.
    guess: Image,
    card: Card,
}

impl<'a> Given<'a> {
    fn new(adapter: &'a Adapter, guess: &Image) -> Given<'a> {
        let (data, range) = (adapter.data, adapter.card.range);
        let (unit, (_, _, h, w)) = (data.half / range.half, guess.dim());
        Given {
            guess: guess.mapv(|v| ((f64::from(v) - range.center) * unit + data.center) as f32),
            card: Card {
                condition: None,
                sides: Sides::Exactly(h, w),
                ..adapter.card.clone()
            },
            adapter,
        }
    }

    /// That a batch has as many pictures as there are guesses.
    fn check(&self, x: &Image) -> Result<(), Error> {
        match x.dim() == self.guess.dim() {
            true => Ok(()),
            false => Err(Error::Shape {
                expected: format!("{:?}, as the first guess", self.guess.dim()),
                got: x.shape().to_vec(),
            }),
        }
    }
}

impl Prior for Given<'_> {
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.check(x)?;
        self.adapter.estimate_beside(x, Some(&self.guess), level)
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        self.check(x)?;
        self.adapter.tracked_beside(x, Some(&self.guess), level)
    }
}
