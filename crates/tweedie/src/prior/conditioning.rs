//! How a network is told the noise level.

use serde::{Deserialize, Serialize};

use crate::grid::Schedule;
use crate::level::{Level, Range};

/// The number that a network is told, beside the noisy image.
///
/// Sigmas are in the units of the network's data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Conditioning {
    /// `ln(sigma)/4` (Karras et al. 2022, table 1).
    #[default]
    LogSigma,
    /// The place of the level in the list that the network was trained on, from 0, times `scale`; between two levels by
    /// their `ln(sigma)`.
    Index {
        /// The list.
        schedule: Schedule,
        /// 1, or 1000 over the number of levels where times were rescaled.
        #[serde(default = "one")]
        scale: f64,
    },
    /// The time of the straight path, `t = sigma/(1 + sigma)`, times `scale` (Lipman et al. 2023).
    Time {
        /// 1, or 1000 where times are counted in thousandths.
        #[serde(default = "one")]
        scale: f64,
    },
    /// Nothing; a network that takes a number all the same is given 0.
    None,
}

fn one() -> f64 {
    1.0
}

impl Conditioning {
    /// What the network is told of noise of `sigma`, for data in `data`.
    pub fn of(&self, sigma: f64, data: Range) -> f32 {
        let told = match self {
            Conditioning::LogSigma => sigma.ln() / 4.0,
            Conditioning::Index { schedule, scale } => {
                scale * place(&levels(schedule, data), sigma)
            }
            Conditioning::Time { scale } => scale * sigma / (1.0 + sigma),
            Conditioning::None => 0.0,
        };
        told as f32
    }

    /// The levels that the network was trained on, if it names them, the noisiest last.
    pub(crate) fn native(&self, data: Range) -> Option<Vec<Level>> {
        match self {
            Conditioning::Index { schedule, .. } => Some(levels(schedule, data)),
            _ => None,
        }
    }

    /// That the numbers make a conditioning, for every sigma from `least` to `most`.
    pub(crate) fn check(&self, data: Range, [least, most]: [f64; 2]) -> Result<(), String> {
        if let Conditioning::Index { scale, .. } | Conditioning::Time { scale } = self
            && !(scale.is_finite() && *scale != 0.0)
        {
            return Err(format!(
                "`scale` must be a finite number but 0, not {scale}"
            ));
        }
        let Conditioning::Index { schedule, .. } = self else {
            return Ok(());
        };
        schedule.check().map_err(|e| e.to_string())?;
        let known: Vec<f64> = levels(schedule, data).iter().map(|l| l.sigma()).collect();
        let [first, .., last] = known.as_slice() else {
            return Err("`schedule` must list at least two levels".into());
        };
        if !known.is_sorted_by(|p, q| p < q) {
            return Err("the sigmas of `schedule` must rise".into());
        }
        if least < first * (1.0 - 1e-6) || most > last * (1.0 + 1e-6) {
            return Err(format!(
                "`schedule` has the sigmas {first} to {last}, which do not hold {least} to {most}"
            ));
        }
        Ok(())
    }
}

/// The levels of a schedule. Chains and flows add noise to the data as the network has them, whatever their range.
fn levels(schedule: &Schedule, data: Range) -> Vec<Level> {
    let range = match schedule {
        Schedule::Ve { .. } | Schedule::Edm { .. } | Schedule::Sigmas { .. } => data,
        _ => Range::NETWORK,
    };
    schedule.levels(range)
}

/// Where `sigma` lies in a rising list, linear in `ln(sigma)` between two neighbours (as k-diffusion's `sigma_to_t`).
fn place(levels: &[Level], sigma: f64) -> f64 {
    let above = levels.partition_point(|level| level.sigma() <= sigma);
    let below = above.clamp(1, levels.len() - 1) - 1;
    let (lo, hi) = (levels[below].sigma(), levels[below + 1].sigma());
    below as f64 + (sigma / lo).ln() / (hi / lo).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At each level of DDPM's chain its index, halfway (in `ln(sigma)`) between two the half; times the scale.
    #[test]
    fn an_index_is_the_place_in_the_list() {
        let index = |scale| Conditioning::Index {
            schedule: Schedule::DDPM,
            scale,
        };
        let levels = index(1.0).native(Range::NETWORK).unwrap();
        let sigmas: Vec<f64> = levels.iter().map(|l| l.sigma()).collect();
        for t in [0, 1, 26, 500, 998, 999] {
            let told = index(1.0).of(sigmas[t], Range::NETWORK);
            assert!((told - t as f32).abs() < 1e-4, "{t}: {told}");
        }
        let between = (sigmas[500] * sigmas[501]).sqrt();
        assert!((index(1.0).of(between, Range::NETWORK) - 500.5).abs() < 1e-4);
        assert!((index(0.25).of(between, Range::NETWORK) - 125.125).abs() < 1e-4);
    }

    /// Published numbers: of 1000 levels those nearest to these sigmas.
    #[test]
    fn published_places() {
        let index = Conditioning::Index {
            schedule: Schedule::DDPM,
            scale: 1.0,
        };
        for (sigma, t) in [
            (0.1, 26.0),
            (0.2, 57.0),
            (1.0, 258.0),
            (10.0, 674.0),
            (100.0, 953.0),
        ] {
            let told = index.of(sigma, Range::NETWORK);
            assert!((told - t).abs() <= 0.5, "{sigma}: {told}");
        }
    }

    /// A chain adds unit noise to data of any range; a list of sigmas for [0, 1] is one for its own data.
    #[test]
    fn lists_are_in_the_units_of_the_data() {
        let native = |schedule| {
            let index = Conditioning::Index {
                schedule,
                scale: 1.0,
            };
            let levels = index.native(Range::IMAGE).unwrap();
            levels.iter().map(|l| l.sigma()).collect::<Vec<_>>()
        };
        assert!((native(Schedule::DDPM)[0] - 0.0100005).abs() < 1e-7);
        let sigmas = vec![0.1, 0.3];
        assert_eq!(
            native(Schedule::Sigmas {
                sigmas: sigmas.clone()
            }),
            sigmas
        );
    }

    #[test]
    fn times_and_logarithms() {
        let of = |c: Conditioning, sigma| c.of(sigma, Range::NETWORK);
        assert_eq!(of(Conditioning::Time { scale: 1000.0 }, 3.0), 750.0);
        assert_eq!(of(Conditioning::LogSigma, 1f64.exp()), 0.25);
        assert_eq!(of(Conditioning::None, 3.0), 0.0);
    }
}
