//! The entropy-coded numbers of a JPEG (ITU T.81, annex F.2): bits, Huffman codes, and numbers of a stated length.
//!
//! The bytes are untrusted. Each read checks that there is something to read, so that the worst that they do is to end it.

/// The data ended, or held a code that its table does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// Bits of a scan, the most significant first.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    byte: u8,
    /// Bits of `byte` that are still to come.
    left: u8,
}

impl<'a> Bits<'a> {
    /// Those of the data that follows a scan's header.
    pub(super) fn new(rest: &'a [u8]) -> Bits<'a> {
        Bits {
            rest,
            byte: 0,
            left: 0,
        }
    }

    /// One bit. A byte FF is followed by 00; by anything else it is a marker, where the data ends.
    pub(super) fn bit(&mut self) -> Result<u16, Broken> {
        if self.left == 0 {
            (self.byte, self.rest) = match self.rest {
                [0xFF, 0, rest @ ..] => (0xFF, rest),
                [0xFF, ..] | [] => return Err(Broken),
                [byte, rest @ ..] => (*byte, rest),
            };
            self.left = 8;
        }
        self.left -= 1;
        Ok(u16::from(self.byte >> self.left & 1))
    }

    /// A number of `n` bits, at most 16.
    pub(super) fn bits(&mut self, n: u8) -> Result<u16, Broken> {
        (0..n).try_fold(0, |value, _| Ok(value << 1 | self.bit()?))
    }

    /// A number whose first bit says its sign: with a 0 it is negative, and one more than the bits less `2^n` (F.2.2.1).
    pub(super) fn signed(&mut self, n: u8) -> Result<i32, Broken> {
        let value = i32::from(self.bits(n)?);
        let half = 1 << n >> 1;
        Ok(match value < half {
            true => value + 1 - (1 << n),
            false => value,
        })
    }

    /// Goes on after a restart marker, with the next whole byte.
    pub(super) fn restart(&mut self) -> Result<(), Broken> {
        self.left = 0;
        let fill = self.rest.iter().take_while(|&&b| b == 0xFF).count();
        match self.rest.get(fill) {
            Some(0xD0..=0xD7) if fill > 0 => {
                self.rest = &self.rest[fill + 1..];
                Ok(())
            }
            _ => Err(Broken),
        }
    }
}

/// A Huffman code: values in the order of their codes, which are numbered through, length by length (annex C).
#[derive(Clone, Debug)]
pub(super) struct Code {
    /// How many codes there are of 1 to 16 bits.
    counts: [u8; 16],
    values: Vec<u8>,
}

impl Code {
    /// From a DHT segment: 16 counts, then the values. Gives the rest of the segment, too.
    pub(super) fn read(segment: &[u8]) -> Option<(Code, &[u8])> {
        let (counts, rest) = segment.split_first_chunk::<16>()?;
        let total = counts.iter().map(|&n| usize::from(n)).sum();
        let code = Code {
            counts: *counts,
            values: rest.get(..total)?.to_vec(),
        };
        Some((code, &rest[total..]))
    }

    /// The next value.
    pub(super) fn next(&self, bits: &mut Bits<'_>) -> Result<u8, Broken> {
        // The code so far, less the first one of its length.
        let mut beyond = 0;
        let mut before = 0;
        for &count in &self.counts {
            beyond = 2 * beyond + usize::from(bits.bit()?);
            if beyond < usize::from(count) {
                return self.values.get(before + beyond).copied().ok_or(Broken);
            }
            beyond -= usize::from(count);
            before += usize::from(count);
        }
        Err(Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T.81, table F.1: a difference of 2 bits is -3, -2, 2 or 3. Wrong: two's complement.
    #[test]
    fn numbers_have_their_sign_in_front() {
        let mut bits = Bits::new(&[0b0001_1011, 0b0100_0000]);
        let two: Vec<i32> = (0..4).map(|_| bits.signed(2).unwrap()).collect();
        assert_eq!(two, [-3, -2, 2, 3]);
        let one: Vec<i32> = (0..2).map(|_| bits.signed(1).unwrap()).collect();
        assert_eq!(one, [-1, 1]);
        assert_eq!(bits.signed(0), Ok(0));
    }

    /// Codes 00, 01, 10, 110: values in order. Wrong: a code of ones alone, which no table has.
    #[test]
    fn codes_are_numbered_through() {
        let mut segment = [0; 20];
        segment[1] = 3;
        segment[2] = 1;
        segment[16..].copy_from_slice(b"abcd");
        let (code, rest) = Code::read(&segment).unwrap();
        assert!(rest.is_empty());
        let mut bits = Bits::new(&[0b1101_0010, 0b0111_1111, 0xFF, 0, 0xFF, 0xD9]);
        let read: Vec<u8> = (0..4).map(|_| code.next(&mut bits).unwrap()).collect();
        assert_eq!(read, b"dcba");
        assert_eq!(code.next(&mut bits), Err(Broken));
        assert!(Code::read(&segment[..19]).is_none());
    }

    #[test]
    fn markers_end_the_data_and_restarts_go_on() {
        let mut bits = Bits::new(&[0x80, 0xFF, 0xFF, 0xD3, 0xFF, 0, 0xFF, 0xD9]);
        assert_eq!(bits.bit(), Ok(1));
        assert_eq!(bits.restart(), Ok(()));
        assert_eq!(bits.bits(8), Ok(0xFF));
        assert_eq!((bits.bit(), bits.restart()), (Err(Broken), Err(Broken)));
    }
}
