//! Networks: one architecture a file, written beside its paper, over the operations of `ops`.
//!
//! A network is made from named arrays ([`Params`]) on a device, strictly: a missing, extra or misshapen array is an
//! error that names it. Making one is cheap next to evaluating it, so that training makes it anew at each step.

mod adm;
mod layer;
pub(crate) mod ops;
mod params;
mod photo;

pub use adm::{Adm, AdmConfig, Heads, QkvOrder, Resampling};
pub use params::{Array, Loader, Params, ParamsError};
pub use photo::{Photo, PhotoConfig};
