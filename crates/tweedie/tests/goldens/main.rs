//! Priors, samplers and methods against closed forms and golden numbers.
//!
//! With a Gaussian prior a diffusion sampler is an affine map of its noise. A run without noise therefore gives the mean
//! of its output, and runs with a single one in the noise give its variance, both exactly: no statistics, no tolerance
//! for luck. `tests/golden/` at the root of the repository tells how the numbers were made.

mod exact;
mod fixture;
mod identities;
mod langevin;
mod levels;
mod mixture;
mod priors;
mod samplers;
mod settings;
mod table;
mod units;
