//! Which method, with which settings, for which task: what the command chooses where the user does not.
//!
//! Papers tune their constants for pictures of 256x256 pixels and up to a thousand steps; these were chosen on photographs
//! for few steps and any size, with the photo prior. The table in the README shows what each gives.

use crate::Dims;
use crate::level::{Grid, Schedule, Subset};
use crate::method::{Ddnm, DiffPir, Dpir, Dps, Mean, Settings, StepRule};
use crate::operator::Spec;
use crate::registry::Described;

/// What there is to restore.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// What the camera did.
    pub spec: &'a Spec,
    /// Standard deviation of the noise in the measurement.
    pub sigma: f64,
    /// The clean image's dimensions.
    pub input: Dims,
    /// How many noise levels to visit; `None` for as many as suit the method.
    pub steps: Option<usize>,
}

impl Task<'_> {
    /// The method that suits the task best, with its settings.
    ///
    /// Noise alone takes one evaluation. Blurred pictures and those with holes still show their structure, and the best
    /// estimate comes from denoising alone (DPIR). Where whole scales are missing, fresh noise at each level finds more of
    /// them (DiffPIR). Of colours a draw invents too many, and the mean of a few is closer to the truth.
    pub fn method(&self) -> Settings {
        let name = match self.spec {
            Spec::Identity {} => "tweedie",
            Spec::Blur { .. } | Spec::Mask(_) => "dpir",
            Spec::Gray { .. } => "mean",
            _ => "diffpir",
        };
        self.tuned(name).expect("the name is a method's")
    }

    /// A method's settings for the task; `None` if there is no method of that name.
    pub fn tuned(&self, name: &str) -> Option<Settings> {
        Some(match Settings::named(name)? {
            Settings::DiffPir(_) => self.diffpir().into(),
            Settings::Ddnm(_) => Ddnm::default().with_steps(self.steps.unwrap_or(50)).into(),
            Settings::Dps(_) => self.dps().into(),
            Settings::Dpir(_) => self.dpir().into(),
            Settings::Mean(mean) => Mean {
                of: Box::new(self.diffpir().into()),
                ..mean
            }
            .into(),
            other @ Settings::Tweedie(_) => other,
        })
    }

    /// Colours of large areas are decided at high noise levels, and nothing else is missing from a grey picture: so the
    /// grid is EDM's, and ends early.
    fn diffpir(&self) -> DiffPir {
        if !matches!(self.spec, Spec::Gray { .. }) {
            return DiffPir::fresh().with_steps(self.steps.unwrap_or(30));
        }
        let schedule = Schedule::Edm {
            sigma_min: 0.3,
            sigma_max: 20.0,
            rho: 7.0,
            steps: self.steps.unwrap_or(15),
        };
        DiffPir {
            grid: Grid {
                schedule,
                subset: Subset::All,
            },
            ..DiffPir::fresh()
        }
    }

    /// The authors' scale of 0.3 is for a thousand steps on 256x256 pixels. The way to go is shared by the steps and grows
    /// with the root of the number of pixels; with few steps, four times as far is better.
    fn dps(&self) -> Dps {
        let steps = self.steps.unwrap_or(50);
        let side = ((self.input.h * self.input.w) as f64).sqrt();
        let scale = 4.0 * 0.3 * (1000.0 / steps as f64) * (side / 256.0);
        Dps {
            rule: StepRule::ResidualNorm { scale },
            ..Dps::default()
        }
        .with_steps(steps)
    }

    /// Holes are filled from their edges inwards, a little in each step.
    fn dpir(&self) -> Dpir {
        let (steps, lambda) = match self.spec {
            Spec::Blur { .. } => (8, 0.15),
            Spec::Mask(_) => (48, 0.23),
            _ => (24, 0.23),
        };
        Dpir {
            lambda,
            ..Dpir::default()
        }
        .with_steps(self.steps.unwrap_or(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Settings;

    fn task(spec: &Spec, steps: Option<usize>) -> Task<'_> {
        Task {
            spec,
            sigma: 0.01,
            input: Dims::new(3, 128, 512),
            steps,
        }
    }

    /// Every method has settings for every task, and visits as many levels as it is told.
    #[test]
    fn every_method_is_tuned() {
        let gray = Spec::Gray {
            weights: Default::default(),
        };
        for spec in [&Spec::Identity {}, &gray] {
            for name in Settings::NAMES {
                let settings = task(spec, Some(10)).tuned(name).unwrap();
                assert_eq!(settings.name(), *name);
                let nfe = match *name {
                    "tweedie" => 1,
                    "mean" => 40,
                    _ => 10,
                };
                assert_eq!(settings.nfe(), nfe, "{name}");
            }
            assert!(task(spec, None).tuned("nonsense").is_none());
        }
        assert_eq!(task(&Spec::Identity {}, None).method().name(), "tweedie");
        assert_eq!(task(&gray, None).method().name(), "mean");
    }

    /// The published scale at the published size and number of steps, but for the factor 4.
    #[test]
    fn the_scale_of_dps_follows_steps_and_size() {
        let spec = Spec::Identity {};
        let Settings::Dps(Dps { rule, .. }) = task(&spec, Some(1000)).tuned("dps").unwrap() else {
            panic!("another method")
        };
        assert_eq!(rule, StepRule::ResidualNorm { scale: 1.2 });
    }
}
