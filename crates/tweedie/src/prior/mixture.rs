//! The exact denoiser of a mixture of Gaussians.
//!
//! With component `k` of weight `w_k` and denoiser `D_k`, and its share `r_k` in the present `x`
//! (`r_k ~ w_k N(x; a*mu_k, C_k)`, `C_k = a^2*K_k + b^2*I`):
//!
//! ```text
//! E[x0 | x] = sum r_k D_k(x)
//! score     = sum r_k s_k
//! J^T v     = sum r_k [ J_k v + (D_k . v)(s_k - score) ]        since grad r_k = r_k (s_k - score)
//! ```
//!
//! It is the simplest prior with several modes, on which samplers are no longer affine. Narrow components centred on
//! pictures make the empirical law of those pictures.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::{Card, Error, Estimate, Gaussian, Measured, Prior, Pullback};
use crate::Image;
use crate::level::Level;
use crate::noise_map::NoiseMap;

/// A mixture of Gaussians over pictures of one small size.
#[derive(Clone, Debug)]
pub struct Mixture {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    log_weight: f64,
    gaussian: Gaussian,
}

/// What each component says of a batch of rows.
struct Votes {
    /// `r_k`, one array of rows a component; they sum to one over the components.
    shares: Vec<Array1<f64>>,
    /// `D_k`.
    x0: Vec<Array2<f64>>,
    /// `s_k`.
    score: Vec<Array2<f64>>,
    /// `log p(x)` of the whole mixture.
    log_density: Array1<f64>,
}

impl Votes {
    /// `sum r_k m_k` of per-component rows.
    fn mean(&self, of: &[Array2<f64>]) -> Array2<f64> {
        let mut sum = Array2::zeros(of[0].dim());
        for (share, rows) in self.shares.iter().zip(of) {
            sum += &(rows * &share.view().insert_axis(Axis(1)));
        }
        sum
    }
}

impl Mixture {
    /// Components with their weights, which are normalised to sum one.
    ///
    /// Fails where there is no component, a weight is not positive, or sizes or ranges differ.
    pub fn new(parts: Vec<(f64, Gaussian)>) -> Result<Mixture, Error> {
        let total: f64 = parts.iter().map(|(w, _)| w).sum();
        if !parts.iter().all(|(w, _)| *w > 0.0) || !total.is_finite() {
            return Err(Error::Invalid(
                "the weights of a mixture must be positive and finite".into(),
            ));
        }
        let Some((_, first)) = parts.first() else {
            return Err(Error::Invalid("a mixture needs a component".into()));
        };
        let (dims, range) = (first.dims(), first.card().range);
        if parts
            .iter()
            .any(|(_, g)| g.dims() != dims || g.card().range != range)
        {
            return Err(Error::Invalid(
                "the components of a mixture must agree in size and range".into(),
            ));
        }
        let parts = parts
            .into_iter()
            .map(|(w, gaussian)| Part {
                log_weight: (w / total).ln(),
                gaussian,
            })
            .collect();
        Ok(Mixture { parts })
    }

    /// The gradient of the log-density of `x` at `level`, which needs noise (`b > 0`).
    pub fn score(&self, x: &Image, level: Level) -> Result<Image, Error> {
        let votes = self.votes(self.first().rows(x)?.view(), level)?;
        Ok(self.first().picture(votes.mean(&votes.score).view()))
    }

    /// The log-density of each picture of the batch `x` at `level`, which needs noise (`b > 0`), in nats.
    pub fn log_density(&self, x: &Image, level: Level) -> Result<Vec<f64>, Error> {
        let votes = self.votes(self.first().rows(x)?.view(), level)?;
        Ok(votes.log_density.to_vec())
    }

    /// The probability of each component given each picture of the batch `x` at `level`: `[picture, component]`.
    pub fn responsibilities(&self, x: &Image, level: Level) -> Result<Array2<f64>, Error> {
        let votes = self.votes(self.first().rows(x)?.view(), level)?;
        let shape = (x.dim().0, self.parts.len());
        Ok(Array2::from_shape_fn(shape, |(n, k)| votes.shares[k][n]))
    }

    fn first(&self) -> &Gaussian {
        &self.parts[0].gaussian
    }

    fn votes(&self, x: ArrayView2<'_, f64>, level: Level) -> Result<Votes, Error> {
        let mut logits = Vec::with_capacity(self.parts.len());
        let mut score = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            logits.push(part.gaussian.log_density_rows(x, level)? + part.log_weight);
            score.push(part.gaussian.score_rows(x, level)?);
        }
        let denoise = |p: &Part| p.gaussian.denoise_rows(x, level);
        let log_density = log_sum_exp(&logits);
        Ok(Votes {
            shares: logits
                .iter()
                .map(|l| (l - &log_density).mapv(f64::exp))
                .collect(),
            x0: self.parts.iter().map(denoise).collect(),
            score,
            log_density,
        })
    }

    fn pull(&self, votes: &Votes, v: ArrayView2<'_, f64>, level: Level) -> Array2<f64> {
        let score = votes.mean(&votes.score);
        let parts: Vec<_> = self
            .parts
            .iter()
            .enumerate()
            .map(|(k, part)| {
                let agreement = (&votes.x0[k] * &v).sum_axis(Axis(1));
                part.gaussian.jacobian_rows(v, level)
                    + (&votes.score[k] - &score) * agreement.insert_axis(Axis(1))
            })
            .collect();
        votes.mean(&parts)
    }
}

/// `log sum exp` over the components, row by row, without overflow far from all of them.
fn log_sum_exp(logits: &[Array1<f64>]) -> Array1<f64> {
    Array1::from_shape_fn(logits[0].len(), |n| {
        let top = logits.iter().fold(f64::NEG_INFINITY, |m, l| m.max(l[n]));
        top + logits.iter().map(|l| (l[n] - top).exp()).sum::<f64>().ln()
    })
}

impl Prior for Mixture {
    fn card(&self) -> &Card {
        self.first().card()
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        let votes = self.votes(self.first().rows(x)?.view(), level)?;
        Ok(self.first().picture(votes.mean(&votes.x0).view()).into())
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        let votes = self.votes(self.first().rows(x)?.view(), level)?;
        let x0 = self.first().picture(votes.mean(&votes.x0).view());
        let pullback = move |v: &Image| {
            let rows = self.first().rows(v)?;
            let pulled = self.pull(&votes, rows.view(), level);
            Ok(self.first().picture(pulled.view()))
        };
        Ok((x0.into(), Box::new(pullback)))
    }

    fn log_density(&self, x: &Image, level: Level) -> Result<Vec<f64>, Error> {
        Mixture::log_density(self, x, level)
    }

    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        let mut rows = self.first().rows(m)?;
        for (k, mut row) in rows.outer_iter_mut().enumerate() {
            let mut logits = Vec::with_capacity(self.parts.len());
            let mut x0 = Vec::with_capacity(self.parts.len());
            for part in &self.parts {
                let (mean, log_density) = part.gaussian.condition(m, noise, k);
                let log_density = log_density.ok_or_else(|| {
                    Error::Invalid(
                        "what is known for certain has no density under a component".into(),
                    )
                })?;
                logits.push(Array1::from_elem(1, log_density + part.log_weight));
                x0.push(mean);
            }
            let total = log_sum_exp(&logits)[0];
            row.fill(0.0);
            for (logit, x0) in logits.iter().zip(&x0) {
                row.scaled_add((logit[0] - total).exp(), x0);
            }
        }
        Ok(self.first().picture(rows.view()).into())
    }

    /// With `L_k = p(y | x, k)` it is that of `sum r_k L_k`: `sum q_k (s_k - score + grad log L_k)`, `q_k ~ r_k L_k`.
    fn likelihood_score(&self, x: &Image, level: Level, of: &Measured) -> Result<Image, Error> {
        let rows = self.first().rows(x)?;
        let votes = self.votes(rows.view(), level)?;
        let score = votes.mean(&votes.score);
        let (mut logits, mut parts) = (Vec::new(), Vec::new());
        for (k, part) in self.parts.iter().enumerate() {
            let (gradient, densities) = part.gaussian.likelihood_rows(rows.view(), level, of);
            let densities = densities.ok_or_else(|| {
                Error::Invalid(
                    "a measurement without noise has no density under a component".into(),
                )
            })?;
            logits.push(votes.shares[k].mapv(f64::ln) + densities);
            parts.push(gradient + &votes.score[k] - &score);
        }
        let total = log_sum_exp(&logits);
        let mut sum = Array2::zeros(rows.dim());
        for (logit, part) in logits.iter().zip(&parts) {
            let share = (logit - &total).mapv(f64::exp);
            sum += &(part * &share.insert_axis(Axis(1)));
        }
        Ok(self.first().picture(sum.view()))
    }
}
