//! Methods: draws from the posterior, or its best estimate. One file each, written like its paper; a folder for each family.

mod accelerated;
mod adam;
mod classical;
mod differences;
mod direct;
mod guided;
mod langevin;
mod plug_and_play;
mod projected;
mod residual;
mod split;
mod start;
mod task;
mod wide;

pub use adam::Moments;
pub use classical::wavelets::Family as WaveletFamily;
pub use direct::draws::{Draws, summary};
pub use direct::exact::Answer;
pub use guided::descent::Descent;
pub use guided::dmps::Where;
pub use guided::dps::StepRule;
pub use guided::hqs::{MeasuredAt, Towards};
pub use guided::ot_ode::Gamma;
pub use guided::pigdm::Weight;
pub use langevin::annealed::Pull;
pub use langevin::pnp_ula::{Kept, Scheme};
pub use langevin::qcs_sgm_plus::SensingPull;
pub use langevin::score_ald::Weight as LikelihoodWeight;
pub use projected::ddnm::NextLevel;
pub use projected::dds::Correction;
pub use projected::ilvr::LowPass;
pub use projected::projection::NoisedAt;
pub use projected::repaint::Replace;
pub use split::daps::Around;
pub use split::data::DataStep;
pub use split::diffpir::Output;
pub use start::Start;
pub use task::Task;

use serde::Serialize;

use crate::Image;
use crate::operator::Operator;
use crate::prior::{self, Prior};
use crate::problem::{Noise, Problem};
use crate::registry::{Need, registry};
use crate::run::{Error, Run};

/// What a method makes of a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// The image, `[batch, channel, height, width]` of the operator's input.
    pub x: Image,
    /// How much it may be otherwise, where the method knows: the standard deviation of each number.
    pub std: Option<Image>,
}

impl From<Image> for Restored {
    fn from(x: Image) -> Restored {
        Restored { x, std: None }
    }
}

/// What a method makes of the noise in a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// Nothing: the measurement is taken for exact, and its noise comes back in the result.
    Ignored,
    /// It is told the level of white noise; a problem with other noise is given to it whitened ([`Problem::whitened`]).
    White,
    /// It takes noise as it is, also where that depends on brightness or neighbours share it.
    Any,
}

/// A way back from a measurement to an image.
///
/// Who restores calls [`Method::restore`], which checks the needs; who makes a method writes [`Method::needs`] and
/// [`Method::solve`].
pub trait Method: Send + Sync {
    /// What it asks of the prior and the operator, with these settings.
    fn needs(&self) -> Vec<Need> {
        Vec::new()
    }

    /// Whether its answer is one of many that it might have given, by chance.
    fn draws(&self) -> bool {
        true
    }

    /// Whether it knows how sure it is, [`Restored::std`].
    fn knows_spread(&self) -> bool {
        false
    }

    /// What it makes of the noise in the measurement.
    fn handling(&self) -> Handling {
        Handling::White
    }

    /// An image that explains the measurement and that the prior finds likely, where the needs are met.
    ///
    /// # Errors
    /// [`Error`] if the settings do not work, the prior fails, or the observer stops the run.
    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error>;

    /// [`Method::solve`], once the needs are met.
    ///
    /// # Errors
    /// Those of [`Method::check`] and of [`Method::solve`].
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check(prior.card(), problem)?;
        match problem.noise {
            Noise::Exact | Noise::White(_) => self.solve(prior, problem, run),
            _ if self.handling() == Handling::Any => self.solve(prior, problem, run),
            _ => self.solve(prior, &problem.whitened(), run),
        }
    }

    /// That a prior of this card and the problem meet its needs.
    ///
    /// # Errors
    /// [`Error::Lacks`], which names the methods that would do; [`Error::Unfit`] for a conditional prior that was trained for
    /// another task.
    fn check(&self, card: &prior::Card, problem: &Problem) -> Result<(), Error> {
        if let Some(trained) = &card.condition {
            suits(trained, &self.needs(), problem.operator.as_ref())?;
        }
        let unmet = |need: &Need| !need.met(card, problem.operator.as_ref());
        match self.needs().into_iter().find(unmet) {
            None => Ok(()),
            Some(need) => Err(Error::Lacks {
                need,
                who: need.of_whom(problem),
                fitting: fitting(card, problem.operator.as_ref()),
            }),
        }
    }
}

/// That a conditional prior was trained for what an operator did, and the method shows it a first guess.
fn suits(
    trained: &prior::TrainedFor,
    needs: &[Need],
    operator: &dyn Operator,
) -> Result<(), Error> {
    Error::unless(trained.is(operator), || {
        format!(
            "the prior was trained to undo {} and nothing else, which `{}` here is not; take a prior of pictures, such as `photo`",
            trained.in_words(),
            operator.name()
        )
    })?;
    Error::unless(needs.contains(&Need::Condition), || {
        format!(
            "the prior was trained to undo {}, and must be shown a first guess, which this method does not; sr3 does",
            trained.in_words()
        )
    })
}

/// The methods whose needs, with the settings that suit the operator, a prior and the operator meet.
pub fn fitting(card: &prior::Card, operator: &dyn Operator) -> Vec<&'static str> {
    let task = Task {
        maps: card.maps,
        conditional: card.condition.is_some(),
        ..Task::exact(operator)
    };
    let fits = |name: &&'static str| {
        let settings = Settings::tuned(name, &task).expect("a listed name");
        let needs = settings.as_dyn().needs();
        // A conditional prior answers no other method.
        (!task.conditional || needs.contains(&Need::Condition))
            && needs.iter().all(|need| need.met(card, operator))
    };
    Settings::NAMES.iter().copied().filter(fits).collect()
}

/// Settings that suit themselves to a task.
pub trait Tuned: Default {
    /// The settings for a task; by default the paper's.
    fn tuned(_task: &Task) -> Self {
        Self::default()
    }
}

registry! {
    /// A method by name, with its settings.
    dyn Method, tuned for Task {
        Tweedie in direct::tweedie = "tweedie",
        Exact in direct::exact = "exact",
        Mean in direct::draws = "mean",
        Best in direct::best = "best",
        Sr3 in direct::sr3 = "sr3",
        DiffPir in split::diffpir = "diffpir",
        Ddiff in split::ddiff = "ddiff",
        RedDiff in split::red_diff = "red-diff",
        Daps in split::daps = "daps",
        PnpFlow in split::pnp_flow = "pnp-flow",
        Flower in split::flower = "flower",
        SplitGibbs in split::gibbs = "split-gibbs",
        Ddnm in projected::ddnm = "ddnm",
        Ddrm in projected::ddrm = "ddrm",
        Dds in projected::dds = "dds",
        RePaint in projected::repaint = "repaint",
        Projection in projected::projection = "projection",
        Mcg in projected::mcg = "mcg",
        Cdim in projected::cdim = "cdim",
        Ilvr in projected::ilvr = "ilvr",
        SdEdit in projected::sdedit = "sdedit",
        Dps in guided::dps = "dps",
        Pigdm in guided::pigdm = "pigdm",
        Dmps in guided::dmps = "dmps",
        OtOde in guided::ot_ode = "ot-ode",
        Hqs in guided::hqs = "hqs",
        ExactGuidance in guided::exact_guidance = "exact-guidance",
        Dpir in plug_and_play::dpir = "dpir",
        Dequantise in plug_and_play::dequantise = "dequantise",
        Mcem in plug_and_play::mcem = "mcem",
        PnpAdmm in plug_and_play::admm = "pnp-admm",
        PnpDrs in plug_and_play::drs = "pnp-drs",
        PnpFista in plug_and_play::fista = "pnp-fista",
        PnpHqs in plug_and_play::hqs = "pnp-hqs",
        PnpPgd in plug_and_play::pgd = "pnp-pgd",
        RedAdmm in plug_and_play::red_admm = "red-admm",
        RedBp in plug_and_play::red_bp = "red-bp",
        RedFp in plug_and_play::red_fp = "red-fp",
        RedSd in plug_and_play::red_sd = "red-sd",
        Idbp in plug_and_play::idbp = "idbp",
        Classical in classical::wiener = "classical",
        PnpUla in langevin::pnp_ula = "pnp-ula",
        Ppgn in langevin::ppgn = "ppgn",
        ScoreAld in langevin::score_ald = "score-ald",
        Annealed in langevin::annealed = "annealed-langevin",
        QcsSgm in langevin::qcs_sgm = "qcs-sgm",
        QcsSgmPlus in langevin::qcs_sgm_plus = "qcs-sgm+",
        Guess in classical::guess = "guess",
        Tikhonov in classical::tikhonov = "tikhonov",
        Tv in classical::tv = "tv",
        TvAdmm in classical::tv_admm = "tv-admm",
        Wavelet in classical::wavelet = "wavelet",
    }
}
