//! A picture with a map of noise in a network's terms: what the network is shown and told, and what its answer says. Training
//! and asking go the same way.

use super::{Parametrisation, informed};
use crate::Image;
use crate::noise_map::NoiseMap;

/// What a network makes of a map: EDM's preconditioning (Karras et al. 2022, table 1) along each direction of a pixel. What is
/// known comes back as it is, and where nothing is known the network's answer is the estimate.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The picture as neighbours complete it.
    m: Image,
    /// Its noise.
    pub(crate) noise: NoiseMap,
    parametrisation: Parametrisation,
    /// What the network is told ([`Condition::Map`](crate::net::Condition)).
    pub(crate) map: Image,
}

impl Shown {
    /// `m` with this noise, in the units of the network's data, where `sigma` is what it is trained on: beyond, it is told the
    /// least or the largest.
    pub(crate) fn new(
        parametrisation: Parametrisation,
        m: &Image,
        given: &NoiseMap,
        sigma: [f64; 2],
    ) -> Shown {
        let (m, noise) = informed(m, given);
        Shown {
            map: NoiseMap::told(&noise, given, m.dim(), sigma),
            m,
            noise,
            parametrisation,
        }
    }

    fn factors(&self, variance: f32) -> super::Factors {
        self.parametrisation.factors(f64::from(variance).sqrt())
    }

    /// What the network is shown.
    pub(crate) fn input(&self) -> Image {
        self.noise.filter(&self.m, |v| self.factors(v).input as f32)
    }

    /// The clean picture that an answer stands for.
    pub(crate) fn x0(&self, answer: &Image) -> Image {
        let x0 = self.noise.filter(&self.m, |v| self.factors(v).skip as f32);
        x0 + self.noise.filter(answer, |v| self.factors(v).out as f32)
    }

    /// What the network should answer for a clean picture; nothing where it is known for certain.
    pub(crate) fn target(&self, x0: &Image) -> Image {
        let divided = |by: f64, out: f64| if out > 0.0 { by / out } else { 0.0 };
        let of_x0 = |v: f32| divided(1.0, self.factors(v).out) as f32;
        let of_m = |v: f32| divided(self.factors(v).skip, self.factors(v).out) as f32;
        self.noise.filter(x0, of_x0) - self.noise.filter(&self.m, of_m)
    }
}
