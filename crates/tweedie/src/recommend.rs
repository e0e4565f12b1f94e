//! Which method, with which settings, for which task: what the command chooses where the user does not.
//!
//! The settings were chosen on photographs with the photo prior; the table in the README shows what each gives.

use crate::method::Settings;
use crate::operator::Spec;

/// The method that suits a degradation best, with its settings.
///
/// Noise alone takes one evaluation. Exact measurements are projected upon (DDNM), noisy ones answered by the best
/// estimate (DPIR), which is also the fastest.
pub fn method(spec: &Spec, sigma: f64) -> Settings {
    let name = match spec {
        Spec::Identity {} => "tweedie",
        Spec::Blur { .. } => "dpir",
        _ if sigma == 0.0 => "ddnm",
        _ => "dpir",
    };
    tuned(name, spec, sigma).expect("the name is a method's")
}

/// A method's settings for a degradation; `None` if there is no such method.
pub fn tuned(name: &str, _spec: &Spec, _sigma: f64) -> Option<Settings> {
    Settings::named(name)
}
