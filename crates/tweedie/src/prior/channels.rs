//! Pictures with another number of channels than the prior's own.

use ndarray::Axis;

use super::{Card, Error, Estimate, Prior, Pullback};
use crate::Image;
use crate::level::Level;
use crate::noise_map::NoiseMap;

/// A prior for pictures with fewer or more channels than those of the one inside.
///
/// A grey picture is shown to a colour prior with all channels equal, and the answers are averaged. A colour picture is
/// shown to a grey prior channel by channel.
#[derive(Debug)]
pub struct AnyChannels<P> {
    /// Channels of the prior inside.
    own: usize,
    inner: P,
    card: Card,
}

impl<P: Prior> AnyChannels<P> {
    /// Around a prior of a single number of channels.
    pub fn new(inner: P) -> AnyChannels<P> {
        let mut card = inner.card().clone();
        let own = card.channels[0];
        card.channels = match own {
            1 => vec![1, 2, 3, 4],
            // Real and imaginary part: a grey picture has no phase.
            2 => vec![2],
            _ => vec![own, 1],
        };
        AnyChannels { own, inner, card }
    }

    /// The prior inside.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// The prior inside, alone.
    pub fn into_inner(self) -> P {
        self.inner
    }

    /// Another prior with the channels of the one inside, for pictures of `c` channels.
    pub(super) fn around<Q: Prior>(&self, inner: Q, c: usize) -> AnyChannels<Q> {
        let mut card = inner.card().clone();
        card.channels = vec![c];
        AnyChannels {
            own: self.own,
            inner,
            card,
        }
    }

    /// `x` with the channels of the prior inside, whatever its own.
    pub(super) fn with_own(&self, x: &Image) -> Image {
        match x.dim().1 == self.own {
            true => x.clone(),
            false => self.there(x),
        }
    }

    /// `x` with the channels of the prior inside.
    fn there(&self, x: &Image) -> Image {
        let (n, c, h, w) = x.dim();
        let own = self.own;
        if own == 1 {
            let planes = x.as_standard_layout().into_owned();
            return planes
                .into_shape_with_order((n * c, 1, h, w))
                .expect("the same numbers");
        }
        let grey = x.broadcast((n, own, h, w));
        grey.expect("one channel broadcasts").to_owned()
    }

    /// The answer with `c` channels.
    fn back(&self, x: Image, c: usize) -> Image {
        let (n, _, h, w) = x.dim();
        if self.own == 1 {
            return x
                .into_shape_with_order((n / c, c, h, w))
                .expect("the same numbers");
        }
        let mean = x.mean_axis(Axis(1)).expect("there are channels");
        mean.insert_axis(Axis(1))
    }
}

impl<P: Prior> Prior for AnyChannels<P> {
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        let c = x.dim().1;
        if c == self.own {
            return self.inner.estimate(x, level);
        }
        let Estimate { x0, share } = self.inner.estimate(&self.there(x), level)?;
        Ok(Estimate {
            x0: self.back(x0, c),
            share: share.map(|share| self.back(share, c)),
        })
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        let c = x.dim().1;
        if c == self.own {
            return self.inner.estimate_with_pullback(x, level);
        }
        let (estimate, pullback) = self.inner.estimate_with_pullback(&self.there(x), level)?;
        let Estimate { x0, share } = estimate;
        let estimate = Estimate {
            x0: self.back(x0, c),
            share: share.map(|share| self.back(share, c)),
        };
        // Transposed: to repeat becomes to add up, to average becomes to hand on a part.
        let own = self.own as f32;
        let transposed = move |v: &Image| Ok(self.back(pullback(&(self.there(v) / own))?, c) * own);
        Ok((estimate, Box::new(transposed)))
    }

    /// A grey picture's noise is shown as that of each channel.
    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        let c = m.dim().1;
        if c == self.own {
            return self.inner.estimate_mapped(m, noise);
        }
        if self.own == 1 {
            return Err(Error::NoMaps);
        }
        let Estimate { x0, .. } = self.inner.estimate_mapped(&self.there(m), noise)?;
        Ok(self.back(x0, c).into())
    }
}
