//! The numbers that a JPEG file holds: quantised DCT coefficients, baseline and progressive (ITU T.81, annexes F.2 and G).
//!
//! Decoders give pixels, which are rounded, clipped and interpolated once more; what was recorded are these. No crate under a
//! free licence that we know gives those of progressive files, so they are read here; pixels still come from the decoder.

use super::entropy::{Bits, Broken, Code};
use super::jpeg::{is_frame, next_marker, skip_scan, split_segment};
use super::quantisation::ZIGZAG;
use super::{Fault, Format};

/// The coefficients of all components, as they lie in the file: before EXIF turns the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coefficients {
    /// Rows and columns of the picture.
    pub size: (usize, usize),
    /// One a component, in the file's order.
    pub planes: Vec<Plane>,
}

/// The blocks of one component.
#[derive(Clone, PartialEq, Eq)]
pub struct Plane {
    /// Blocks down and across that hold something of the picture.
    pub blocks: (usize, usize),
    /// Block by block, row by row; in each, row by row, `8 * v + u` for `u` waves across and `v` down, in multiples of the
    /// table's steps.
    pub values: Vec<[i16; 64]>,
}

impl std::fmt::Debug for Plane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (down, across) = self.blocks;
        write!(f, "Plane({down}x{across} blocks)")
    }
}

/// Reads them.
///
/// # Errors
/// [`Fault`] for what is not Huffman-coded, not 8-bit or damaged.
pub(super) fn read(bytes: &[u8]) -> Result<Coefficients, Fault> {
    let mut file = File::default();
    let mut rest = bytes;
    while let Some((marker, after)) = next_marker(rest) {
        rest = after;
        match marker {
            EOI => break,
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let (segment, after) = split_segment(rest).ok_or_else(damaged)?;
        rest = after;
        match marker {
            DHT => file.codes(segment).ok_or_else(damaged)?,
            DRI => file.restart = segment.first_chunk().copied().map_or(0, u16::from_be_bytes),
            SOS => {
                file.scan(segment, rest)?;
                rest = skip_scan(rest);
            }
            _ if is_frame(marker) => file.frame(marker, segment)?,
            _ => {}
        }
    }
    file.finish()
}

const DHT: u8 = 0xC4;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DRI: u8 = 0xDD;

fn damaged() -> Fault {
    Fault::damaged(Format::Jpeg, "its coefficients cannot be read")
}

/// What has been read so far.
#[derive(Default)]
struct File {
    size: (usize, usize),
    progressive: bool,
    /// Sampling factors of the finest component.
    finest: (usize, usize),
    components: Vec<Stored>,
    /// Codes of means, and of all others.
    means: [Option<Code>; 4],
    others: [Option<Code>; 4],
    /// Units between restart markers; 0 for none.
    restart: u16,
}

/// A component of the frame.
struct Stored {
    id: u8,
    /// Samples across and down where the finest component has the most.
    sampling: (usize, usize),
    /// Blocks down and across that hold something of the picture.
    blocks: (usize, usize),
    /// Blocks across, with those that fill up the last unit of several components.
    stride: usize,
    values: Vec<[i16; 64]>,
}

/// Which bits of which coefficients a scan holds.
struct Band {
    first: usize,
    last: usize,
    /// The bit that earlier scans went down to; 0 for none.
    high: u8,
    /// The bit that this one goes down to.
    low: u8,
}

impl File {
    fn codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((&head, rest)) = segment.split_first() {
            let tables = if head >> 4 == 0 {
                &mut self.means
            } else {
                &mut self.others
            };
            let (code, rest) = Code::read(rest)?;
            *tables.get_mut(usize::from(head & 15))? = Some(code);
            segment = rest;
        }
        Some(())
    }

    /// A frame header; memory for the blocks is taken here. The decoder has bounded the size.
    fn frame(&mut self, marker: u8, segment: &[u8]) -> Result<(), Fault> {
        if !matches!(marker, 0xC0..=0xC2) {
            return Err(Fault::unsupported(
                Format::Jpeg,
                "coefficients that are not Huffman-coded or not lossy",
            ));
        }
        if !self.components.is_empty() {
            return Err(damaged());
        }
        let (&[_, h1, h0, w1, w0, count], rest) =
            segment.split_first_chunk().ok_or_else(damaged)?;
        let (h, w) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
        let listed = rest.as_chunks::<3>().0;
        let listed = listed.get(..count.into()).ok_or_else(damaged)?;
        let sampling = |s: u8| (usize::from(s >> 4), usize::from(s & 15));
        let factors: Vec<_> = listed.iter().map(|c| sampling(c[1])).collect();
        if factors
            .iter()
            .any(|&(x, y)| !(1..=4).contains(&x) || !(1..=4).contains(&y))
        {
            return Err(damaged());
        }
        self.progressive = marker == 0xC2;
        self.size = (h.into(), w.into());
        self.finest = factors
            .iter()
            .fold((1, 1), |(x, y), &f| (f.0.max(x), f.1.max(y)));
        for (&[id, ..], &sampling) in listed.iter().zip(&factors) {
            let stored = self.component(id, sampling);
            self.components.push(stored);
        }
        Ok(())
    }

    fn component(&self, id: u8, sampling: (usize, usize)) -> Stored {
        let samples = |n: usize, own: usize, finest: usize| (n * own).div_ceil(finest);
        let (across, down) = sampling;
        let (down_units, across_units) = self.units();
        let stride = across_units * across;
        Stored {
            id,
            sampling,
            blocks: (
                samples(self.size.0, down, self.finest.1).div_ceil(8),
                samples(self.size.1, across, self.finest.0).div_ceil(8),
            ),
            stride,
            values: vec![[0; 64]; stride * down_units * down],
        }
    }

    /// Units of several components down and across.
    fn units(&self) -> (usize, usize) {
        let (h, w) = self.size;
        (h.div_ceil(8 * self.finest.1), w.div_ceil(8 * self.finest.0))
    }

    /// A scan: its header and what follows.
    fn scan(&mut self, segment: &[u8], data: &[u8]) -> Result<(), Fault> {
        let (&count, rest) = segment.split_first().ok_or_else(damaged)?;
        let (listed, rest) = rest
            .split_at_checked(2 * usize::from(count))
            .ok_or_else(damaged)?;
        let &[first, last, bits] = rest.first_chunk().ok_or_else(damaged)?;
        let band = match self.progressive {
            true => Band {
                first: first.into(),
                last: last.into(),
                high: bits >> 4,
                low: bits & 15,
            },
            false => Band {
                first: 0,
                last: 63,
                high: 0,
                low: 0,
            },
        };
        // Only means are interleaved in progressive files, and 13 bits are all there are.
        let sound = band.first <= band.last
            && band.last < 64
            && band.low <= 13
            && (!self.progressive || (band.first == 0) == (band.last == 0))
            && (band.first == 0 || count == 1);
        let members: Option<Vec<Member>> = listed
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&[id, tables]| self.member(id, tables))
            .collect();
        let members = members.filter(|m| sound && !m.is_empty());
        self.walk(&members.ok_or_else(damaged)?, &band, data)
            .map_err(|Broken| damaged())
    }

    fn member(&self, id: u8, tables: u8) -> Option<Member> {
        let at = |tables: &[Option<Code>; 4], n: u8| tables.get(usize::from(n))?.clone();
        Some(Member {
            component: self.components.iter().position(|c| c.id == id)?,
            means: at(&self.means, tables >> 4),
            others: at(&self.others, tables & 15),
            mean: 0,
        })
    }

    /// Reads all blocks of a scan. A single component's come row by row; those of several in units, each with as many blocks of a
    /// component as its sampling says (A.2).
    fn walk(&mut self, members: &[Member], band: &Band, data: &[u8]) -> Result<(), Broken> {
        let mut members = members.to_vec();
        let alone = members.len() == 1;
        let (down, across) = match alone {
            true => self.components[members[0].component].blocks,
            false => self.units(),
        };
        let mut scan = Scan {
            bits: Bits::new(data),
            progressive: self.progressive,
            band,
            skip: 0,
        };
        for unit in 0..down * across {
            let restart = usize::from(self.restart);
            if restart > 0 && unit > 0 && unit.is_multiple_of(restart) {
                scan.bits.restart()?;
                scan.skip = 0;
                members.iter_mut().for_each(|m| m.mean = 0);
            }
            let (row, column) = (unit / across, unit % across);
            for member in &mut members {
                let stored = &mut self.components[member.component];
                let (x, y) = if alone { (1, 1) } else { stored.sampling };
                for k in 0..x * y {
                    let at = (row * y + k / x) * stored.stride + column * x + k % x;
                    let block = stored.values.get_mut(at).ok_or(Broken)?;
                    scan.block(member, block)?;
                }
            }
        }
        Ok(())
    }

    /// Without the blocks that only fill up units.
    fn finish(self) -> Result<Coefficients, Fault> {
        if self.components.is_empty() {
            return Err(damaged());
        }
        let plane = |stored: Stored| {
            let (down, across) = stored.blocks;
            let rows = stored.values.chunks(stored.stride.max(1)).take(down);
            Plane {
                blocks: stored.blocks,
                values: rows.flat_map(|row| row[..across].to_vec()).collect(),
            }
        };
        Ok(Coefficients {
            size: self.size,
            planes: self.components.into_iter().map(plane).collect(),
        })
    }
}

/// A component in a scan, with its codes.
#[derive(Clone)]
struct Member {
    component: usize,
    means: Option<Code>,
    others: Option<Code>,
    /// The mean of the block before, from which that of the next is told.
    mean: i32,
}

/// The state of a scan.
struct Scan<'a> {
    bits: Bits<'a>,
    progressive: bool,
    band: &'a Band,
    /// Blocks to come in which nothing (new) stands.
    skip: u32,
}

impl Scan<'_> {
    fn block(&mut self, member: &mut Member, block: &mut [i16; 64]) -> Result<(), Broken> {
        let Band { first, high, .. } = *self.band;
        if first == 0 {
            match high {
                0 => self.mean(member, block)?,
                _ => block[0] |= (self.bits.bit()? << self.band.low) as i16,
            }
        }
        if self.progressive && first == 0 {
            return Ok(());
        }
        let code = member.others.as_ref().ok_or(Broken)?;
        match high {
            0 => self.numbers(code, block),
            _ => self.refine(code, block),
        }
    }

    /// The mean, told by its difference from the one before.
    fn mean(&mut self, member: &mut Member, block: &mut [i16; 64]) -> Result<(), Broken> {
        let length = member.means.as_ref().ok_or(Broken)?.next(&mut self.bits)?;
        if length > 15 {
            return Err(Broken);
        }
        member.mean = member.mean.wrapping_add(self.bits.signed(length)?);
        block[0] = narrow(i64::from(member.mean) << self.band.low);
        Ok(())
    }

    /// All others for the first time: a run of zeros and a number, or the end of this block, or of some more (G.1.2.2).
    fn numbers(&mut self, code: &Code, block: &mut [i16; 64]) -> Result<(), Broken> {
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        let mut k = self.band.first.max(1);
        while k <= self.band.last {
            let (run, length) = split(code.next(&mut self.bits)?);
            match (run, length) {
                (15, 0) => k += 16,
                (_, 0) => {
                    self.skip = self.run(run)? - 1;
                    break;
                }
                _ => {
                    k += usize::from(run);
                    let value = i64::from(self.bits.signed(length)?) << self.band.low;
                    block[at(k, self.band.last)?] = narrow(value);
                    k += 1;
                }
            }
        }
        Ok(())
    }

    /// Blocks that end here, this one included.
    fn run(&mut self, length: u8) -> Result<u32, Broken> {
        // Sequential files end one at a time.
        if length > 0 && !self.progressive {
            return Err(Broken);
        }
        Ok((1 << length) + u32::from(self.bits.bits(length)?))
    }

    /// One more bit of all others: numbers that are new have it as their first, and zeros are counted between those that are
    /// known, each of which has a bit of its own in passing (G.1.2.3).
    fn refine(&mut self, code: &Code, block: &mut [i16; 64]) -> Result<(), Broken> {
        let one = 1 << self.band.low;
        let mut k = self.band.first.max(1);
        while self.skip == 0 && k <= self.band.last {
            let (run, length) = split(code.next(&mut self.bits)?);
            let fresh = match (run, length) {
                (15, 0) => 0,
                (_, 0) => {
                    self.skip = self.run(run)?;
                    break;
                }
                (_, 1) if self.bits.bit()? == 1 => one,
                (_, 1) => -one,
                _ => return Err(Broken),
            };
            k = self.pass(block, k, Some(run))?;
            if fresh != 0 {
                block[at(k, self.band.last)?] = fresh;
            }
            k += 1;
        }
        if self.skip > 0 {
            self.pass(block, k, None)?;
            self.skip -= 1;
        }
        Ok(())
    }

    /// Passes `zeros` zeros, or all, and gives each number on the way its bit; says where the next zero is.
    fn pass(
        &mut self,
        block: &mut [i16; 64],
        mut k: usize,
        zeros: Option<u8>,
    ) -> Result<usize, Broken> {
        let one = 1 << self.band.low;
        let mut left = zeros;
        while k <= self.band.last {
            let value = &mut block[usize::from(ZIGZAG[k])];
            match (*value, &mut left) {
                (0, Some(0)) => break,
                (0, Some(n)) => *n -= 1,
                (0, None) => {}
                (v, _) if self.bits.bit()? == 1 && v & one == 0 => {
                    *value = v.saturating_add(one * v.signum());
                }
                _ => {}
            }
            k += 1;
        }
        Ok(k)
    }
}

/// A run of zeros and the length of a number.
fn split(value: u8) -> (u8, u8) {
    (value >> 4, value & 15)
}

/// Where the `k`-th number of a band that ends with `last` lies in its block.
fn at(k: usize, last: usize) -> Result<usize, Broken> {
    match k <= last {
        true => Ok(ZIGZAG[k].into()),
        false => Err(Broken),
    }
}

/// As a file of 8 bits has them.
fn narrow(value: i64) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}
