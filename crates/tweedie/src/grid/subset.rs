//! The few of a schedule's levels that are visited.

use serde::{Deserialize, Serialize};

use super::schedule::fraction;

/// Which of a schedule's levels a sampler visits, always from the noisiest down. Each visits as many as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subset {
    /// Every level.
    All,
    /// guided-diffusion's spacing: `steps` indices from 0 to the last, evenly.
    Spaced {
        /// Number of levels.
        steps: usize,
    },
    /// DDIM, DDRM and DDNM: every `T/steps`-th index from 0.
    Uniform {
        /// Number of levels.
        steps: usize,
    },
    /// Every `T/steps`-th index from the last (Lin et al. 2024, "Common diffusion noise schedules are flawed").
    Trailing {
        /// Number of levels.
        steps: usize,
    },
    /// DDIM's quadratic grid, which starts at 0.8 T.
    DdimQuad {
        /// Number of levels.
        steps: usize,
    },
    /// DiffPIR's quadratic grid: dense at little noise, sparse at much.
    DiffpirQuad {
        /// Number of levels.
        steps: usize,
    },
    /// DiffPIR's uniform grid: every `T/(steps - 1)`-th index from the last, and index 0.
    DiffpirUniform {
        /// Number of levels.
        steps: usize,
    },
}

impl Subset {
    /// The same rule with another number of steps. `All` becomes `Spaced`.
    pub fn with_steps(self, steps: usize) -> Subset {
        match self {
            Subset::All | Subset::Spaced { .. } => Subset::Spaced { steps },
            Subset::Uniform { .. } => Subset::Uniform { steps },
            Subset::Trailing { .. } => Subset::Trailing { steps },
            Subset::DdimQuad { .. } => Subset::DdimQuad { steps },
            Subset::DiffpirQuad { .. } => Subset::DiffpirQuad { steps },
            Subset::DiffpirUniform { .. } => Subset::DiffpirUniform { steps },
        }
    }

    /// How many levels it visits; `None` for all.
    pub fn steps(self) -> Option<usize> {
        match self {
            Subset::All => None,
            Subset::Spaced { steps }
            | Subset::Uniform { steps }
            | Subset::Trailing { steps }
            | Subset::DdimQuad { steps }
            | Subset::DiffpirQuad { steps }
            | Subset::DiffpirUniform { steps } => Some(steps),
        }
    }

    /// The indices into a schedule of `total` levels, decreasing and without repeats; at most `total`.
    ///
    /// They are the published ones. Where those repeat themselves, or where `total` is no multiple of the steps, the
    /// nearest free ones are taken, so that the number is right.
    pub fn indices(self, total: usize) -> Vec<usize> {
        let n = self.steps().unwrap_or(total).min(total);
        let last = total.saturating_sub(1);
        let stride = |i: usize, n: usize| i * total / n.max(1);
        let at = |i: usize| match self {
            Subset::All => i,
            Subset::Spaced { .. } => (fraction(i, n) * last as f64).round_ties_even() as usize,
            Subset::Uniform { .. } => stride(i, n),
            Subset::Trailing { .. } => last - stride(n - 1 - i, n),
            Subset::DdimQuad { .. } => (fraction(i, n).powi(2) * 0.8 * total as f64) as usize,
            Subset::DiffpirQuad { .. } => {
                let q = (fraction(n - 1 - i, n) * (total * total) as f64).sqrt() as usize;
                last - q.min(last)
            }
            Subset::DiffpirUniform { .. } if i == 0 => 0,
            Subset::DiffpirUniform { .. } => last - stride(n - 1 - i, n - 1),
        };
        let mut indices: Vec<usize> = (0..n).map(at).collect();
        // Strictly rising, and room above for those that follow.
        for i in 1..n {
            indices[i] = indices[i].max(indices[i - 1] + 1);
        }
        for (i, index) in indices.iter_mut().enumerate() {
            *index = (*index).min(total - (n - i));
        }
        indices.reverse();
        indices
    }

    /// The same as positions, which lie between the levels where more steps are asked for than there are levels.
    pub(super) fn positions(self, total: usize) -> Vec<f64> {
        match self.steps() {
            Some(n) if n > total => {
                let last = total.saturating_sub(1) as f64;
                let at = |i: usize| last * self.curve(fraction(i, n));
                (0..n).rev().map(at).collect()
            }
            _ => self.indices(total).into_iter().map(|i| i as f64).collect(),
        }
    }

    /// The rule for infinitely many steps: from the part of the steps to the part of the levels.
    fn curve(self, part: f64) -> f64 {
        match self {
            Subset::DdimQuad { .. } => 0.8 * part * part,
            Subset::DiffpirQuad { .. } => 1.0 - (1.0 - part).sqrt(),
            _ => part,
        }
    }
}
