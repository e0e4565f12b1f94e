//! Which method, with which settings, for which task: what the command chooses where the user does not.
//!
//! The settings were chosen on photographs with the photo prior; the table in the README shows what each gives.

use crate::method::{Ddnm, DiffPir, Dpir, Dps, Settings};
use crate::operator::Spec;

/// The method that suits a degradation best, with its settings.
pub fn method(spec: &Spec, sigma: f64) -> Settings {
    let name = match spec {
        Spec::Identity {} => "tweedie",
        _ => "diffpir",
    };
    tuned(name, spec, sigma).expect("the name is a method's")
}

/// A method's settings for a degradation; `None` if there is no such method.
pub fn tuned(name: &str, _spec: &Spec, _sigma: f64) -> Option<Settings> {
    let settings = Settings::named(name)?;
    Some(match settings {
        Settings::DiffPir(s) => DiffPir { ..s }.into(),
        Settings::Ddnm(s) => Ddnm { ..s }.into(),
        Settings::Dps(s) => Dps { ..s }.into(),
        Settings::Dpir(s) => Dpir { ..s }.into(),
        other => other,
    })
}
