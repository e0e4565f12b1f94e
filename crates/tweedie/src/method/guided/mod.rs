//! Diffusion, where each step is guided by the gradient of a likelihood of the noisy image.
//!
//! ```text
//! x0  = E[x0 | x_t]
//! x'  = a sampler's step from x_t to the next level, with x0
//! x_s = x' + reach * g,   g ~ grad_x log p(y | x_t)
//! ```
//!
//! The walk is [`descent`]; the members differ in what they take for `g`:
//!
//! | method | `p(y \| x_t)` | through the network |
//! |---|---|---|
//! | `dps` | as if `x0` were certain; in practice a norm | yes |
//! | `pigdm`, `ot-ode` | `x0` with white noise of variance `r^2` around it | yes |
//! | `dmps` | `x_t/a_t` with the noise it has: no prior in it | no |
//! | `hqs` | `x'` against a measurement with noise of its level | no |
//! | `exact-guidance` | the true one, of priors that know it | no |

pub(super) mod descent;
pub(super) mod dmps;
pub(super) mod dps;
pub(super) mod exact_guidance;
pub(super) mod hqs;
pub(super) mod huber;
pub(super) mod ot_ode;
pub(super) mod pigdm;
