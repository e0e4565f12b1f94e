//! What a blur sees beyond the picture's edges.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::{Flag, parses};
use super::{Boundary, Error};

/// What lies beyond the edges of a blurred picture.
///
/// The scene of a photograph goes on there, and nothing is known of it: [`Edges::Unknown`]. Any assumption is wrong by
/// as much as came from outside, and deblurring spreads that over the whole picture as rings. To degrade a picture
/// something must be assumed, or what cannot be told cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Edges {
    /// `auto`: unknown where a blur is undone, symmetric where a picture is degraded, which so keeps its size.
    #[default]
    Auto,
    /// `unknown`: nothing is assumed. Only what was recorded counts: the blur takes an image that is wider than what it
    /// records by the kernel's reach. A picture that is degraded loses that much on each side.
    Unknown,
    /// Assumed.
    Assumed(Boundary),
}

impl Edges {
    /// How the command line asks for it.
    pub(super) const FLAG: Flag = Flag {
        name: "boundary",
        value: "KIND",
        help: "What lies beyond the picture's edges: unknown (nothing is assumed; a picture that is degraded loses its \
               edges), symmetric, reflect or circular; auto is unknown to undo a blur, symmetric to degrade a picture",
        example: "symmetric",
        default: Some("auto"),
        check: parses::<Edges>,
    };

    /// What it means where a blur is undone.
    pub(super) fn undone(self) -> Edges {
        match self {
            Edges::Auto => Edges::Unknown,
            other => other,
        }
    }
}

impl From<Boundary> for Edges {
    fn from(boundary: Boundary) -> Edges {
        Edges::Assumed(boundary)
    }
}

impl fmt::Display for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edges::Auto => f.write_str("auto"),
            Edges::Unknown => f.write_str("unknown"),
            Edges::Assumed(boundary) => boundary.fmt(f),
        }
    }
}

impl FromStr for Edges {
    type Err = Error;

    fn from_str(s: &str) -> Result<Edges, Error> {
        match s {
            "auto" => Ok(Edges::Auto),
            "unknown" => Ok(Edges::Unknown),
            _ => s.parse().map(Edges::Assumed).map_err(|_| {
                Error::Invalid(format!(
                    "`{s}` is not a boundary; there are unknown, symmetric, reflect, circular and auto"
                ))
            }),
        }
    }
}

impl TryFrom<String> for Edges {
    type Error = Error;

    fn try_from(text: String) -> Result<Edges, Error> {
        text.parse()
    }
}

impl From<Edges> for String {
    fn from(edges: Edges) -> String {
        edges.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in ["auto", "unknown", "symmetric", "reflect", "circular"] {
            let edges: Edges = text.parse().unwrap();
            assert_eq!(edges.to_string(), text);
            let undone = edges.undone().to_string();
            assert_eq!(undone, if text == "auto" { "unknown" } else { text });
        }
        let error = "mirror".parse::<Edges>().unwrap_err().to_string();
        assert!(error.contains("unknown, symmetric"), "{error}");
    }
}
