//! What is done without a learned prior: the baselines of tables. None asks the prior for anything.

pub(super) mod guess;
pub(super) mod tikhonov;
pub(super) mod tv;
pub(super) mod tv_admm;
pub(super) mod wavelet;
pub(super) mod wavelets;
pub(super) mod wiener;
