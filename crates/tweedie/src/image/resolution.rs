//! How large a picture is on paper.

/// How many pixels fill a length, across and down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolution {
    /// Pixels an inch across.
    pub across: f64,
    /// Pixels an inch down.
    pub down: f64,
    /// Whether both are pixels an inch; if not, only their ratio means something: the pixels are not square.
    pub absolute: bool,
}

/// Inches in a metre.
const INCHES: f64 = 1.0 / 0.0254;

/// What a ratio of 1 is in a format of whole numbers.
const ONE: f64 = 10_000.0;

impl Resolution {
    /// `None` for numbers that cannot be meant, and for square pixels of no size, which say nothing.
    fn new(across: f64, down: f64, absolute: bool) -> Option<Resolution> {
        let meant = |v: f64| (0.1..1e7).contains(&v) && (1e-3..1e3).contains(&(across / down));
        (meant(across) && meant(down) && (absolute || across != down)).then_some(Resolution {
            across,
            down,
            absolute,
        })
    }

    /// From pixels a metre, or a ratio: PNG's pHYs and BMP's header.
    pub(super) fn of_metres(across: u32, down: u32, absolute: bool) -> Option<Resolution> {
        let scale = if absolute { INCHES } else { 1.0 };
        Resolution::new(f64::from(across) / scale, f64::from(down) / scale, absolute)
    }

    /// From a JFIF segment (JFIF 1.02: units at byte 7, then both densities).
    pub(super) fn of_jfif(segment: &[u8]) -> Option<Resolution> {
        let &[unit, x0, x1, y0, y1] = segment.get(7..12)?.as_array()?;
        let scale = if unit == 2 { 2.54 } else { 1.0 };
        let density = |bytes| scale * f64::from(u16::from_be_bytes(bytes));
        Resolution::new(density([x0, x1]), density([y0, y1]), unit != 0)
    }

    /// From TIFF's tags, whose unit is the inch (2) unless they say the centimetre (3) or none (1).
    pub(super) fn of_tiff(across: f64, down: f64, unit: Option<u32>) -> Option<Resolution> {
        let scale = if unit == Some(3) { 2.54 } else { 1.0 };
        Resolution::new(scale * across, scale * down, unit != Some(1))
    }

    /// Pixels a metre, or a ratio in whole numbers.
    pub(super) fn to_metres(self) -> (u32, u32) {
        let scale = if self.absolute { INCHES } else { self.ratio() };
        let whole = |v: f64| (v * scale).round() as u32;
        (whole(self.across), whole(self.down))
    }

    /// Pixels an inch, or a ratio, in JFIF's whole numbers; `None` where they do not fit.
    pub(super) fn to_jfif(self) -> Option<(u16, u16)> {
        let scale = if self.absolute { 1.0 } else { self.ratio() };
        let whole = |v: f64| Some((v * scale).round() as u16).filter(|v| (1..u16::MAX).contains(v));
        Some((whole(self.across)?, whole(self.down)?))
    }

    /// Pixels an inch, or a ratio, as fractions `(numerator, denominator)`.
    pub(super) fn to_fractions(self) -> [(u32, u32); 2] {
        // Four digits after the point, and room for 10^5 before it.
        [self.across, self.down].map(|v| match v < 1e5 && v.fract() != 0.0 {
            true => ((v * ONE).round() as u32, ONE as u32),
            false => (v.round() as u32, 1),
        })
    }

    fn ratio(&self) -> f64 {
        ONE / self.across.max(self.down)
    }

    /// With rows and columns swapped.
    pub(super) fn transposed(self) -> Resolution {
        Resolution {
            across: self.down,
            down: self.across,
            ..self
        }
    }
}
