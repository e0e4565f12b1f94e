//! Walks that turn back: stretches of the way down are walked several times (RePaint, Lugmayr et al. 2022, section 4.2; the
//! "time travel" of DDNM).

use crate::grid::MAX_STEPS;
use crate::run::Error;

/// Turning back after each `length` levels, until each stretch has been walked `repeat` times. The first `length` steps are
/// walked once, since there is nothing above to turn back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Jumps {
    pub(super) length: usize,
    pub(super) repeat: usize,
}

/// One move through the list of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// From the level of this index to the one after it, or to the clean image.
    Down(usize),
    /// From the level of the first index back up to the earlier one.
    Up(usize, usize),
}

impl Jumps {
    /// Straight down.
    pub(super) const NONE: Jumps = Jumps {
        length: 1,
        repeat: 1,
    };

    /// The walk down `n` levels.
    pub(super) fn moves(self, n: usize) -> Vec<Move> {
        let length = self.length.max(1);
        let mut left: Vec<usize> = (0..n)
            .map(|below| {
                // `below` levels are still below; one may turn back at every `length`-th that has as many above it.
                let turns = below % length == 0 && below + length < n;
                if turns {
                    self.repeat.saturating_sub(1)
                } else {
                    0
                }
            })
            .collect();
        let mut moves = Vec::new();
        let mut at = 0;
        while at < n {
            let below = n - 1 - at;
            if left[below] > 0 {
                left[below] -= 1;
                moves.push(Move::Up(at, at - length));
                at -= length;
            } else {
                moves.push(Move::Down(at));
                at += 1;
            }
        }
        moves
    }

    /// That a walk down so many levels ends in time.
    pub(super) fn check(self, levels: usize) -> Result<(), Error> {
        Error::unless(self.length > 0 && self.repeat > 0, || {
            "the length of a jump and how often a stretch is walked start at 1, for no jumps".into()
        })?;
        // Every level may be walked `repeat` times, and no more.
        Error::unless(levels.saturating_mul(self.repeat) <= MAX_STEPS, || {
            format!(
                "{levels} levels walked {} times are more than {MAX_STEPS} steps",
                self.repeat
            )
        })
    }

    /// Evaluations of the prior on a walk down so many levels; 0 where it cannot be.
    pub(super) fn evaluations(self, levels: usize) -> usize {
        self.check(levels)
            .map_or(0, |()| downs(&self.moves(levels)))
    }
}

/// Evaluations of the prior on a walk.
pub(super) fn downs(moves: &[Move]) -> usize {
    moves.iter().filter(|m| matches!(m, Move::Down(_))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RePaint's schedule for 250 levels, jumps of 10, each stretch ten times: 2410 evaluations, 2160 levels back up, the first
    /// jump when 230 levels are left below. Wrong: a turn in the last or first stretch, or `repeat` jumps for `repeat - 1`.
    #[test]
    fn repaints_schedule() {
        let jumps = Jumps {
            length: 10,
            repeat: 10,
        };
        let moves = jumps.moves(250);
        let ups: Vec<_> = moves
            .iter()
            .filter_map(|m| match m {
                Move::Up(from, to) => Some(from - to),
                Move::Down(_) => None,
            })
            .collect();
        assert_eq!((downs(&moves), ups.iter().sum::<usize>()), (2410, 2160));
        assert_eq!(jumps.evaluations(250), 2410);
        let first = moves.iter().find(|m| matches!(m, Move::Up(..)));
        assert_eq!(first, Some(&Move::Up(249 - 230, 249 - 240)));
        assert_eq!(moves.last(), Some(&Move::Down(249)));
        let straight: Vec<_> = (0..250).map(Move::Down).collect();
        assert_eq!(Jumps::NONE.moves(250), straight);
    }
}
