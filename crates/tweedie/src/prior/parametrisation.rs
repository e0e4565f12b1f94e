//! What a network was trained to answer, and how its answer becomes a denoised image.

use serde::{Deserialize, Serialize};

/// What a network answers.
///
/// All are one affine form of the noisy image `x = x0 + sigma*eps` (data in [-1, 1]) and the network's answer `F`:
/// `x0 = skip*x + out*F(input*x)`, Karras et al. 2022, eq. 7.
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

impl Parametrisation {
    /// The factors at noise level `sigma`, for data in [-1, 1].
    pub fn factors(self, sigma: f64) -> Factors {
        let s2 = sigma * sigma;
        match self {
            Parametrisation::Edm { sigma_data: d } => {
                let norm = (s2 + d * d).sqrt();
                Factors {
                    input: 1.0 / norm,
                    skip: d * d / (norm * norm),
                    out: sigma * d / norm,
                }
            }
            Parametrisation::Eps => Factors {
                input: 1.0 / (1.0 + s2).sqrt(),
                skip: 1.0,
                out: -sigma,
            },
            Parametrisation::V => Factors {
                input: 1.0 / (1.0 + s2).sqrt(),
                skip: 1.0 / (1.0 + s2),
                out: -sigma / (1.0 + s2).sqrt(),
            },
            Parametrisation::Velocity => Factors {
                input: 1.0 / (1.0 + sigma),
                skip: 1.0 / (1.0 + sigma),
                out: -sigma / (1.0 + sigma),
            },
        }
    }
}

/// How our networks are told the noise level: `ln(sigma)/4` (Karras et al. 2022, table 1).
pub fn condition(sigma: f64) -> f32 {
    (sigma.ln() / 4.0) as f32
}
