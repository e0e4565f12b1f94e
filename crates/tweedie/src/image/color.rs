//! What a PNG says of its colours beside an ICC profile (PNG 3, section 11.3.2).

/// The chunks of a PNG that say what its numbers mean: kept as they are, since only a PNG holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PngColor(Vec<([u8; 4], Vec<u8>)>);

/// Their names and lengths: gamma, primaries, sRGB, code points for video, mastering display, light levels.
const KINDS: [(&[u8; 4], usize); 6] = [
    (b"gAMA", 4),
    (b"cHRM", 32),
    (b"sRGB", 1),
    (b"cICP", 4),
    (b"mDCV", 24),
    (b"cLLI", 8),
];

impl PngColor {
    /// Those before the pixels of a PNG file.
    pub(super) fn of(file: &[u8]) -> PngColor {
        let mut kept: Vec<([u8; 4], Vec<u8>)> = Vec::new();
        let mut rest = file.get(8..).unwrap_or_default();
        while let Some((name, data, after)) = chunk(rest)
            && name != b"IDAT"
        {
            let known = KINDS.contains(&(name, data.len()));
            if known && kept.iter().all(|(n, _)| n != name) {
                kept.push((*name, data.to_vec()));
            }
            rest = after;
        }
        PngColor(kept)
    }

    /// Name and content of each.
    pub(super) fn chunks(&self) -> impl Iterator<Item = ([u8; 4], &[u8])> {
        self.0.iter().map(|(name, data)| (*name, data.as_slice()))
    }

    /// Whether a viewer that knows none of them sees the same colours: they say sRGB, or nothing.
    ///
    /// `profile` tells whether there is an ICC profile, which goes before gamma and primaries.
    pub(super) fn is_usual(&self, profile: bool) -> bool {
        let of = |wanted: &[u8; 4]| {
            let mut hits = self.chunks().filter(|(name, _)| name == wanted);
            hits.next().map(|(_, data)| data)
        };
        match of(b"cICP") {
            // BT.709 primaries, the curve of sRGB, RGB, full range.
            Some(code) => code == [1, 13, 0, 1],
            None if profile || of(b"sRGB").is_some() => true,
            None => {
                of(b"gAMA").is_none_or(|g| near(g, &[45_455]))
                    && of(b"cHRM").is_none_or(|c| near(c, &SRGB))
            }
        }
    }
}

/// White, red, green and blue of sRGB, x and y, in units of 1/100000.
const SRGB: [i64; 8] = [
    31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000,
];

/// Whether numbers of 32 bits are those expected, up to the rounding that writers do.
fn near(data: &[u8], expected: &[i64]) -> bool {
    let numbers = data.as_chunks::<4>().0.iter();
    let numbers = numbers.map(|&b| i64::from(u32::from_be_bytes(b)));
    numbers.zip(expected).all(|(v, e)| (v - e).abs() <= 100)
}

/// Name and content of the first chunk, and what follows it.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    let data = rest.get(..length)?;
    // Four bytes of checksum follow.
    Some((name, data, rest.get(length.checked_add(4)?..)?))
}
