//! The numbers of a TIFF, of all their kinds, in [0, 1].

use tiff::decoder::DecodingResult;

use super::{Depth, Fault, Format};

/// Samples scaled to [0, 1], it is hoped.
pub(super) struct Stored {
    pub(super) values: Vec<f32>,
    pub(super) depth: Depth,
    /// What is to be said about them.
    pub(super) note: Option<String>,
}

/// Whole numbers by the greatest of their kind, floating-point ones as they are.
pub(super) fn scaled(samples: &DecodingResult, bits: u8) -> Result<Stored, Fault> {
    use DecodingResult::{F16, F32, F64, I8, I16, I32, U8, U16, U32};
    let whole = |values, depth| Stored {
        values,
        depth,
        note: None,
    };
    Ok(match samples {
        U8(v) => {
            let most = f32::from(u8::MAX >> (8 - bits.min(8)));
            whole(
                v.iter().map(|&v| f32::from(v) / most).collect(),
                Depth::Eight,
            )
        }
        U16(v) => whole(
            v.iter().map(|&v| f32::from(v) / 65535.0).collect(),
            Depth::Sixteen,
        ),
        U32(v) => deep(v.iter().map(|&v| v.into()), u32::MAX.into(), 32)?,
        I8(v) => deep(v.iter().map(|&v| v.into()), i8::MAX.into(), 8)?,
        I16(v) => deep(v.iter().map(|&v| v.into()), i16::MAX.into(), 16)?,
        I32(v) => deep(v.iter().map(|&v| v.into()), i32::MAX.into(), 32)?,
        F16(v) => float(v.iter().map(|v| v.to_f32())),
        F32(v) => float(v.iter().copied()),
        F64(v) => float(v.iter().map(|&v| v as f32)),
        _ => return Err(Fault::unsupported(Format::Tiff, "64-bit whole numbers")),
    })
}

fn float(values: impl Iterator<Item = f32>) -> Stored {
    Stored {
        values: values.collect(),
        depth: Depth::Sixteen,
        note: Some("floating-point samples: as a picture they have at most 16 bits".to_owned()),
    }
}

/// Whole numbers that are not the usual bytes and words. White is the greatest that there is, unless the picture says
/// otherwise: numbers below 0, or so small that only another white would make a picture of them.
fn deep(values: impl Iterator<Item = i64> + Clone, white: i64, bits: u8) -> Result<Stored, Fault> {
    let unclear = |detail: String| Err(Fault::unsupported(Format::Tiff, detail));
    let least = values.clone().min().unwrap_or(0);
    let most = values.clone().max().unwrap_or(0);
    if least < 0 {
        return unclear(format!("signed numbers that go down to {least}"));
    }
    // Bytes in words, or words in double words.
    if bits > 8 && (1..1 << (bits / 2)).contains(&most) {
        return unclear(format!(
            "{bits}-bit numbers that end at {most}: white is unknown"
        ));
    }
    let values = values.map(|v| (v as f64 / white as f64) as f32).collect();
    let (depth, limit) = match bits {
        8 => (Depth::Eight, ""),
        _ => (Depth::Sixteen, ", at most 16 bits of it are kept"),
    };
    let note = format!("samples of an unusual kind: {white} is taken as white{limit}");
    Ok(Stored {
        values,
        depth,
        note: Some(note),
    })
}

/// Floating-point samples are taken as they are, so they must be in [0, 1], unless they may lie beyond.
pub(super) fn checked(values: Vec<f32>, beyond: bool) -> Result<Vec<f32>, Fault> {
    let bad = values.iter().filter(|v| !v.is_finite()).count();
    if bad > 0 {
        return Err(Fault::NotFinite(bad));
    }
    let (min, max) = values
        .iter()
        .fold((0.0f32, 1.0f32), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    if !beyond && (min < 0.0 || max > 1.0) {
        return Err(Fault::Range { min, max });
    }
    Ok(values)
}
