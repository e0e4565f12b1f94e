//! What a prior says of itself.

use super::{Error, TrainedFor, in_words};
use crate::level::{Level, Range};
use crate::noise_map::NoiseMap;
use crate::{Dims, Image};

/// What a prior knows, so that nobody asks it for anything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The numbers of channels that it takes, its own first.
    pub channels: Vec<usize>,
    /// The range of clean data; [0, 1] but for test fixtures.
    pub range: Range,
    /// The least and the largest sigma, `b/a`, in the units of the range. 0 and infinity where there is no limit.
    pub sigma: [f64; 2],
    /// The levels that it was trained on, where it names them; it may answer between them.
    pub levels: Option<Vec<Level>>,
    /// The sizes that it takes.
    pub sides: Sides,
    /// Whether it has a pullback, `v -> J^T v`.
    pub pullback: bool,
    /// Whether its estimates carry the learned variance of an ancestral step.
    pub variance: bool,
    /// How parts of a picture can be asked for alone; `None` if they cannot.
    pub parts: Option<Parts>,
    /// Whether it can be told the noise of each pixel ([`Prior::denoise_mapped`](super::Prior::denoise_mapped)).
    pub maps: bool,
    /// Whether it knows the likelihood of a noisy image ([`Prior::likelihood_score`](super::Prior::likelihood_score)).
    pub likelihood: bool,
    /// What it was trained for, if it is conditional: then it is asked through [`Prior::given`](super::Prior::given) alone.
    pub condition: Option<TrainedFor>,
}

/// How a part of a picture is cut out, so that a prior answers for it as it would in the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Pixels around the part on which the answer depends.
    pub margin: usize,
    /// The part lies whole multiples of so many pixels from the picture's edges.
    pub multiple: usize,
}

/// Heights and widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Any.
    Any,
    /// Multiples of this.
    Multiple(usize),
    /// One size alone: height and width.
    Exactly(usize, usize),
}

impl Sides {
    fn hold(self, h: usize, w: usize) -> bool {
        match self {
            Sides::Any => h > 0 && w > 0,
            Sides::Multiple(m) => h > 0 && w > 0 && h.is_multiple_of(m) && w.is_multiple_of(m),
            Sides::Exactly(height, width) => (h, w) == (height, width),
        }
    }
}

impl std::fmt::Display for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sides::Any => f.write_str("any size"),
            Sides::Multiple(m) => write!(f, "sides that are multiples of {m}"),
            Sides::Exactly(h, w) => write!(f, "{h}x{w} pixels"),
        }
    }
}

impl Card {
    /// The card of an exact prior for pictures of one size: every level, with a pullback.
    pub fn exact(dims: Dims, range: Range) -> Card {
        Card {
            channels: vec![dims.c],
            range,
            sigma: [0.0, f64::INFINITY],
            levels: None,
            sides: Sides::Exactly(dims.h, dims.w),
            pullback: true,
            variance: false,
            parts: None,
            maps: false,
            likelihood: false,
            condition: None,
        }
    }

    /// The card of a prior without limits, for data in [0, 1].
    pub fn any() -> Card {
        Card {
            sides: Sides::Any,
            ..Card::exact(Dims::new(3, 0, 0), Range::IMAGE)
        }
    }

    /// Whether it knows a sigma.
    pub fn knows(&self, sigma: f64) -> bool {
        let [least, most] = self.sigma;
        (least * (1.0 - 1e-6)..=most * (1.0 + 1e-6)).contains(&sigma)
    }

    /// That it knows pictures of so many channels.
    ///
    /// # Errors
    /// [`Error::Channels`].
    pub fn check_channels(&self, channels: usize) -> Result<(), Error> {
        match self.channels.contains(&channels) {
            true => Ok(()),
            false => Err(Error::Channels {
                takes: self.channels.clone(),
                got: channels,
            }),
        }
    }

    /// That it can be asked for the clean image of `x` at `level`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Level`], which name what it takes and what came; [`Error::Conditional`] if it has to be
    /// shown a first guess.
    pub fn check(&self, x: &Image, level: Level) -> Result<(), Error> {
        if let Some(trained) = &self.condition {
            return Err(Error::Conditional(trained.in_words()));
        }
        self.check_shape(x)?;
        if !(level.a > 0.0 && self.knows(level.sigma())) {
            return Err(Error::Level {
                knows: self.sigma,
                asked: level.sigma(),
            });
        }
        Ok(())
    }

    /// That it can be asked for the clean image of `m` with that noise.
    ///
    /// # Errors
    /// [`Error::NoMaps`] if it can be told of no such noise, [`Error::Shape`] if the picture or the map does not fit.
    pub fn check_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<(), Error> {
        if !self.maps {
            return Err(Error::NoMaps);
        }
        self.check_shape(m)?;
        if noise.fits(m.dim()) {
            return Ok(());
        }
        Err(Error::Shape {
            expected: "the map's size".into(),
            got: m.shape().to_vec(),
        })
    }

    pub(super) fn check_shape(&self, x: &Image) -> Result<(), Error> {
        let (n, c, h, w) = x.dim();
        if n == 0 || !self.channels.contains(&c) || !self.sides.hold(h, w) {
            return Err(Error::Shape {
                expected: format!("{} channels and {}", in_words(&self.channels), self.sides),
                got: x.shape().to_vec(),
            });
        }
        Ok(())
    }
}
