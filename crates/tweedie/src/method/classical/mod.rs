//! What is done without a learned prior: the baselines of tables.

pub(super) mod wiener;
