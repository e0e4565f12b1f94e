//! What a network was trained to answer, and how its answer becomes a denoised image.

use serde::{Deserialize, Serialize};

/// What a network answers.
///
/// All are one affine form of the noisy image `x = x0 + sigma*eps` (in the units of the network's data) and the network's
/// answer `F`: `x0 = skip*x + out*F(input*x)`, Karras et al. 2022, eq. 7.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Parametrisation {
    /// EDM's preconditioning (Karras et al. 2022, table 1).
    Edm {
        /// Standard deviation of the data, 0.5 in the paper.
        sigma_data: f64,
    },
    /// The noise, on a variance-preserving path (Ho et al. 2020).
    Eps,
    /// `v = a*eps - b*x0` on a variance-preserving path (Salimans and Ho 2022).
    V,
    /// The velocity `eps - x0` of the straight path (Lipman et al. 2023).
    Velocity,
    /// The clean image.
    X0 {
        /// How the noisy image is scaled.
        path: Path,
    },
    /// The score, the gradient of the noisy images' log-density; Tweedie's formula, `x0 = (x + b^2*score)/a`.
    Score {
        /// How the noisy image is scaled.
        path: Path,
    },
}

/// How a network is shown the noisy image: `a*(x0 + sigma*eps)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// Variance-preserving: `a^2 + b^2 = 1`.
    Vp,
    /// Variance-exploding: `a = 1`.
    Ve,
    /// Straight: `a + b = 1`.
    Flow,
}

impl Path {
    /// `a` at noise level `sigma`.
    fn scale(self, sigma: f64) -> f64 {
        match self {
            Path::Vp => 1.0 / (1.0 + sigma * sigma).sqrt(),
            Path::Ve => 1.0,
            Path::Flow => 1.0 / (1.0 + sigma),
        }
    }
}

/// Factors of `x0 = skip*x + out*F(input*x)`.
#[derive(Clone, Copy, Debug)]
pub struct Factors {
    /// What the network's input is multiplied by.
    pub input: f64,
    /// Weight of the noisy image.
    pub skip: f64,
    /// Weight of the network's answer.
    pub out: f64,
}

impl Factors {
    /// Weights of `x0` and `eps` in what the network should have answered, `(x0 - skip*x)/out`.
    pub(crate) fn target(self, sigma: f64) -> (f64, f64) {
        ((1.0 - self.skip) / self.out, -self.skip * sigma / self.out)
    }
}

impl Parametrisation {
    /// The factors at noise level `sigma`, in the units of the network's data.
    pub fn factors(self, sigma: f64) -> Factors {
        match self {
            Parametrisation::Edm { sigma_data: d } => {
                let norm = (sigma * sigma + d * d).sqrt();
                Factors {
                    input: 1.0 / norm,
                    skip: d * d / (norm * norm),
                    // Of infinite noise, the deviation of the data.
                    out: d / (1.0 + (d / sigma).powi(2)).sqrt(),
                }
            }
            Parametrisation::Eps => Factors {
                input: Path::Vp.scale(sigma),
                skip: 1.0,
                out: -sigma,
            },
            Parametrisation::V => {
                let a = Path::Vp.scale(sigma);
                Factors {
                    input: a,
                    skip: a * a,
                    out: -a * sigma,
                }
            }
            Parametrisation::Velocity => {
                let a = Path::Flow.scale(sigma);
                Factors {
                    input: a,
                    skip: a,
                    out: -a * sigma,
                }
            }
            Parametrisation::X0 { path } => Factors {
                input: path.scale(sigma),
                skip: 0.0,
                out: 1.0,
            },
            Parametrisation::Score { path } => {
                let a = path.scale(sigma);
                Factors {
                    input: a,
                    skip: 1.0,
                    out: a * sigma * sigma,
                }
            }
        }
    }

    /// That the numbers make a parametrisation.
    pub(crate) fn check(self) -> Result<(), String> {
        match self {
            Parametrisation::Edm { sigma_data: d } if !(d > 0.0 && d.is_finite()) => {
                Err(format!("`sigma_data` must be positive and finite, not {d}"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x0` and `eps` back from what each network would answer for them, `c*x0 + d*eps` shown to it, by the identities
    /// `eps = (x - c*x0)/d`, `score = -eps/d`, `v = c*eps - d*x0`, `velocity = eps - x0`.
    #[test]
    fn answers_become_the_clean_image() {
        let (x0, eps) = (0.3, -1.7);
        for sigma in [0.002, 0.3, 1.0, 20.0, 157.0] {
            let vp = 1.0 / f64::sqrt(1.0 + sigma * sigma);
            let flow = 1.0 / (1.0 + sigma);
            let score = |c: f64| -eps / (c * sigma);
            let cases = [
                (Parametrisation::Eps, vp, eps),
                (Parametrisation::V, vp, vp * eps - vp * sigma * x0),
                (Parametrisation::Velocity, flow, eps - x0),
                (Parametrisation::X0 { path: Path::Vp }, vp, x0),
                (Parametrisation::X0 { path: Path::Ve }, 1.0, x0),
                (Parametrisation::X0 { path: Path::Flow }, flow, x0),
                (Parametrisation::Score { path: Path::Vp }, vp, score(vp)),
                (Parametrisation::Score { path: Path::Ve }, 1.0, score(1.0)),
                (
                    Parametrisation::Score { path: Path::Flow },
                    flow,
                    score(flow),
                ),
            ];
            for (parametrisation, c, answer) in cases {
                let f = parametrisation.factors(sigma);
                let x = x0 + sigma * eps;
                let (shown, got) = (f.input * x, f.skip * x + f.out * answer);
                assert!(
                    (shown - c * x).abs() < 1e-12 * x.abs(),
                    "{parametrisation:?}"
                );
                assert!(
                    (got - x0).abs() < 1e-11,
                    "{parametrisation:?} {sigma}: {got}"
                );
                let (of_x0, of_eps) = f.target(sigma);
                let target = of_x0 * x0 + of_eps * eps;
                let error = (target - answer).abs() / answer.abs();
                assert!(
                    error < 1e-9,
                    "{parametrisation:?} {sigma}: {target} {answer}"
                );
            }
        }
    }

    /// EDM's target is `(x0 - skip*x)/out`, of which Karras et al. give the weights in closed form.
    #[test]
    fn the_target_of_edm() {
        for sigma in [0.002, 0.5, 80.0] {
            let d = 0.5;
            let norm = f64::sqrt(sigma * sigma + d * d);
            let f = Parametrisation::Edm { sigma_data: d }.factors(sigma);
            let (of_x0, of_eps) = f.target(sigma);
            assert!((of_x0 / (sigma / (d * norm)) - 1.0).abs() < 1e-10);
            assert!((of_eps / (-d / norm) - 1.0).abs() < 1e-10);
        }
    }
}
