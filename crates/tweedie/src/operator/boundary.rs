//! What a filter sees beyond the edge of the picture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use super::spec::{Flag, parses};

/// How a picture goes on beyond its edges, for a filter that assumes something. Where a blur is undone, nothing is assumed
/// unless it is asked for: see [`Edges`](super::Edges).
///
/// `Symmetric` is the default. Beyond its edge a photograph most likely looks as it does at the edge, which `Circular`
/// denies: it joins the left edge to the right one, and a deblurred photograph then shows ripples along all four
/// edges. Of the two mirrors, the symmetric one keeps the mean brightness, and with a kernel that is even in both
/// directions (a Gaussian, a disk, a box) it is diagonalised by the DCT-II, so that nothing needs iterating. `Circular`
/// is what most papers' code blurs with, `Reflect` what DPS, DAPS and their successors do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boundary {
    /// Mirrored with the edge pixel repeated: `c b a | a b c | c b a`.
    #[default]
    Symmetric,
    /// Mirrored without repeating the edge pixel: `c b | a b c | b a`.
    Reflect,
    /// Periodic: `a b c | a b c | a b c`.
    Circular,
}

impl Boundary {
    /// How the command line asks for it.
    pub(super) const FLAG: Flag = Flag {
        name: "boundary",
        value: "KIND",
        help: "What a kernel sees beyond the picture's edges: symmetric, reflect or circular",
        example: "reflect",
        default: Some("symmetric"),
        check: parses::<Boundary>,
    };

    /// The index in `0..n` of the value seen at position `i`, however far outside.
    pub(crate) fn index(self, i: i64, n: usize) -> usize {
        let n = n as i64;
        let index = match self {
            Boundary::Circular => i.rem_euclid(n),
            Boundary::Symmetric => {
                let i = i.rem_euclid(2 * n);
                i.min(2 * n - 1 - i)
            }
            // The period 2n - 2 of a single value would be 0.
            Boundary::Reflect if n == 1 => 0,
            Boundary::Reflect => {
                let i = i.rem_euclid(2 * n - 2);
                i.min(2 * n - 2 - i)
            }
        };
        index as usize
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Boundary::Symmetric => "symmetric",
            Boundary::Reflect => "reflect",
            Boundary::Circular => "circular",
        })
    }
}

impl FromStr for Boundary {
    type Err = Error;

    fn from_str(s: &str) -> Result<Boundary, Error> {
        match s {
            "symmetric" => Ok(Boundary::Symmetric),
            "reflect" => Ok(Boundary::Reflect),
            "circular" => Ok(Boundary::Circular),
            _ => Err(Error::Invalid(format!(
                "`{s}` is not a boundary; there are symmetric, reflect and circular"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Boundary::*;

    #[test]
    fn extensions_are_as_drawn() {
        let line = |b: super::Boundary, n: usize| -> String {
            (-7..10)
                .map(|i| char::from(b'a' + b.index(i, n) as u8))
                .collect()
        };
        assert_eq!(line(Circular, 3), "cabcabcabcabcabca");
        assert_eq!(line(Symmetric, 3), "aabccbaabccbaabcc");
        assert_eq!(line(Reflect, 3), "bcbabcbabcbabcbab");
        for boundary in [Circular, Symmetric, Reflect] {
            assert_eq!(line(boundary, 1), "a".repeat(17));
            assert_eq!(
                boundary.to_string().parse::<super::Boundary>().unwrap(),
                boundary
            );
        }
    }
}
