//! Samplers: draws from the prior alone. One file each.
//!
//! [`Sampler::first`] says where a sampler begins, [`Sampler::decode`] makes pictures of the noise there. Those that add no
//! noise on the way can be run backwards: [`Sampler::encode`] finds the noise that a picture would have been made of.

mod annealed_langevin;
mod ddim;
mod ddpm;
mod dpm_solver;
mod edm;
mod euler_maruyama;
mod flow;
pub(crate) mod langevin;
mod latent;
mod predictor_corrector;
mod probability_flow;
mod process;
mod reverse_diffusion;
mod rk45;
mod rule;
mod ve_ancestral;

pub use ddim::Renoise;
pub use ddpm::Variance;
pub use edm::Order;
pub use langevin::Acceptance;
pub use latent::{interpolate, reconstruct, slerp};
pub use predictor_corrector::{CorrectorStep, Predictor};
pub use process::Process;
pub use rule::Rule;

use crate::level::Level;
use crate::prior::{Card, Prior};
use crate::registry::registry;
use crate::run::{Error, Run};
use crate::{Dims, Image};

/// A way to draw pictures from a prior.
pub trait Sampler: Send + Sync {
    /// The level that it begins at, with a prior of this card.
    ///
    /// # Errors
    /// [`Error`] if the settings do not work with such a prior.
    fn first(&self, card: &Card) -> Result<Level, Error>;

    /// What becomes of a batch of noise at the first level: pictures in the prior's range.
    ///
    /// # Errors
    /// [`Error`] if the settings do not work with the prior, the prior fails, or the observer stops the run.
    fn decode(&self, prior: &dyn Prior, x: Image, run: &mut Run<'_>) -> Result<Image, Error>;

    /// The other way: what at the first level becomes these pictures, as nearly as the length of the steps allows.
    ///
    /// # Errors
    /// Those of [`Sampler::decode`]; [`Error::Unfit`] for samplers that draw noise on their way, of which there is no way
    /// back.
    fn encode(&self, _prior: &dyn Prior, _x: &Image, _run: &mut Run<'_>) -> Result<Image, Error> {
        Err(no_way_back())
    }

    /// `batch` pictures of size `dims`, in the prior's range.
    ///
    /// # Errors
    /// Those of [`Sampler::decode`].
    fn sample(
        &self,
        prior: &dyn Prior,
        batch: usize,
        dims: Dims,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let first = self.first(prior.card())?;
        let x = run.pure_noise(prior.card().range, first, batch, dims);
        self.decode(prior, x, run)
    }
}

/// The samplers that go both ways, with their default settings.
pub const REVERSIBLE: &[&str] = &[
    "ddim",
    "edm",
    "probability-flow",
    "flow",
    "rk45",
    "dpm-solver",
];

fn no_way_back() -> Error {
    Error::Unfit(format!(
        "with these settings the sampler draws noise on its way, and a picture cannot be taken back to noise; these can: {}",
        REVERSIBLE.join(", ")
    ))
}

registry! {
    /// A sampler by name, with its settings.
    dyn Sampler {
        Ddpm in ddpm = "ddpm",
        Ddim in ddim = "ddim",
        Edm in edm = "edm",
        DpmSolver in dpm_solver = "dpm-solver",
        Flow in flow = "flow",
        Rk45 in rk45 = "rk45",
        ProbabilityFlow in probability_flow = "probability-flow",
        EulerMaruyama in euler_maruyama = "euler-maruyama",
        ReverseDiffusion in reverse_diffusion = "reverse-diffusion",
        VeAncestral in ve_ancestral = "ve-ancestral",
        PredictorCorrector in predictor_corrector = "predictor-corrector",
        AnnealedLangevin in annealed_langevin = "annealed-langevin",
        Langevin in langevin = "langevin",
    }
}
