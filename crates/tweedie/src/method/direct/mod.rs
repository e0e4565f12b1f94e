//! What is known as soon as the prior has looked: one evaluation, or the exact posterior, or what several draws agree on.

mod clipping;
pub(super) mod draws;
pub(super) mod exact;
mod stabilise;
pub(super) mod tweedie;
