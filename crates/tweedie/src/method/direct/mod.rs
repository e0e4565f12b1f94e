//! What is known as soon as the prior has looked: one evaluation, or the exact posterior, or one that was learned, or what several
//! draws agree on.

pub(super) mod best;
mod clipping;
mod correlated;
pub(super) mod draws;
pub(super) mod exact;
pub(super) mod sr3;
pub(super) mod stabilise;
pub(super) mod tweedie;
