//! Priors, samplers and methods against closed forms and golden numbers.
//!
//! With a Gaussian prior a diffusion sampler is an affine map of its noise. A run without noise therefore gives the mean
//! of its output, and runs with a single one in the noise give its variance, both exactly: no statistics, no tolerance
//! for luck. `tests/golden/` at the root of the repository tells how the numbers were made.

mod any_operator;
mod classical;
mod exact;
mod fixture;
mod flows;
mod guided;
mod identities;
mod langevin;
mod levels;
mod mixture;
mod plug_and_play;
mod priors;
mod projected;
mod samplers;
mod sensing;
mod settings;
mod split;
mod table;
mod units;
