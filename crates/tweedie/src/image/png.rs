//! PNG, straight through the `png` crate: `image` does not pass on its text chunks.

use std::borrow::Cow;
use std::io::Cursor;

use ::image::metadata::Orientation;
use png::chunk::ChunkType;
use png::{
    BitDepth, ColorType, Decoder, DecodingError, Encoder, Info, PixelDimensions, Transformations,
    Unit,
};

use super::raw::{Raw, Samples};
use super::{Depth, Fault, Format, Limits, PngColor, Resolution, exif};

/// XMP repeats the orientation, which has been applied by then.
const XMP: &str = "XML:com.adobe.xmp";

/// Decodes a PNG; of an animation, the default image.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Raw, Fault> {
    let memory = png::Limits {
        bytes: usize::try_from(limits.decoder_bytes()).unwrap_or(usize::MAX),
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), memory);
    // Palettes to RGB, 1, 2 and 4 bits to 8, a transparent colour to alpha.
    decoder.set_transformations(Transformations::EXPAND);
    let size = decoder.read_header_info().map_err(fault)?.size();
    limits.check(size)?;

    let mut reader = decoder.read_info().map_err(fault)?;
    let length = reader.output_buffer_size();
    let length = length.ok_or_else(|| Fault::damaged(Format::Png, "it has no size"))?;
    let mut buffer = vec![0; length];
    let frame = reader.next_frame(&mut buffer).map_err(fault)?;
    buffer.truncate(frame.buffer_size());
    let mut notes = Vec::new();
    if reader.finish().is_err() {
        // The pixels are whole; only a text behind them may be lost.
        notes.push("the PNG breaks off behind its pixels: what followed them is lost".to_owned());
    }
    let info = reader.info();
    let mut exif = owned(&info.exif_metadata).and_then(exif::strip);
    let orientation = exif
        .as_mut()
        .map_or(Orientation::NoTransforms, |e| exif::take_orientation(e));
    let size = (size.0 as usize, size.1 as usize);
    let channels = frame.color_type.samples();
    let samples = samples(frame.bit_depth, buffer);
    let mut raw = Raw {
        orientation,
        icc: owned(&info.icc_profile),
        text: text(info, &mut notes),
        png_color: PngColor::of(bytes),
        resolution: match info.pixel_dims {
            Some(dims) => Resolution::of_metres(dims.xppu, dims.yppu, dims.unit == Unit::Meter),
            None => exif.as_deref().and_then(exif::resolution),
        },
        exif,
        notes,
        ..Raw::new(Format::Png, size, channels, samples)
    };
    raw.note_xmp(info.utf8_text.iter().any(|t| t.keyword == XMP));
    raw.note_frames(
        info.animation_control()
            .map_or(1, |a| a.num_frames as usize),
    );
    Ok(raw)
}

fn owned(bytes: &Option<Cow<'_, [u8]>>) -> Option<Vec<u8>> {
    bytes.as_ref().map(|b| b.to_vec())
}

fn samples(depth: BitDepth, bytes: Vec<u8>) -> Samples {
    match depth {
        BitDepth::Sixteen => {
            let pairs = bytes.as_chunks().0.iter();
            Samples::Sixteen(pairs.map(|&b| u16::from_be_bytes(b)).collect())
        }
        _ => Samples::Eight(bytes),
    }
}

/// All keys and texts, plain, compressed and international. What cannot be decompressed is left out; keys that break the rules
/// are mended, or left out if they cannot be, since writing would refuse them.
fn text(info: &Info<'_>, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let plain = info.uncompressed_latin1_text.iter();
    let plain = plain.map(|t| (t.keyword.clone(), Ok(t.text.clone())));
    let compressed = info.compressed_latin1_text.iter();
    let compressed = compressed.map(|t| (t.keyword.clone(), t.get_text()));
    let utf8 = info.utf8_text.iter();
    let utf8 = utf8.map(|t| (t.keyword.clone(), t.get_text()));
    plain
        .chain(compressed)
        .chain(utf8)
        .filter(|(key, _)| key != XMP)
        .filter_map(|(key, text)| {
            let Ok(text) = text else {
                notes.push(format!("the text {key:?} is damaged, and left out"));
                return None;
            };
            if check_key(&key).is_ok() {
                return Some((key, text));
            }
            let mended = key.split_whitespace().collect::<Vec<_>>().join(" ");
            let is_good = check_key(&mended).is_ok();
            notes.push(match is_good {
                true => format!("the text {key:?} is kept as {mended:?}, as PNG's rules are"),
                false => format!("the text {key:?} is left out: PNG has no such keys"),
            });
            is_good.then_some((mended, text))
        })
        .collect()
}

/// What goes into a PNG.
pub(super) struct Content<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: usize,
    pub(super) depth: Depth,
    /// Interleaved; 16-bit samples in big-endian order.
    pub(super) bytes: &'a [u8],
    pub(super) icc: Option<&'a [u8]>,
    pub(super) exif: Option<&'a [u8]>,
    pub(super) text: &'a [(String, String)],
    pub(super) color: &'a PngColor,
    pub(super) resolution: Option<Resolution>,
}

/// Encodes a PNG.
pub(super) fn encode(content: &Content<'_>) -> Result<Vec<u8>, Fault> {
    let wrong = |e: png::EncodingError| Fault::encode(Format::Png, e);
    let mut info = Info::with_size(content.width, content.height);
    info.color_type = match content.channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    };
    info.bit_depth = match content.depth {
        Depth::Eight => BitDepth::Eight,
        Depth::Sixteen => BitDepth::Sixteen,
        Depth::Float => return Err(Fault::NoFloats(Format::Png)),
    };
    info.icc_profile = content.icc.map(Cow::Borrowed);
    info.exif_metadata = content.exif.map(Cow::Borrowed);
    info.pixel_dims = content.resolution.map(|resolution| {
        let (xppu, yppu) = resolution.to_metres();
        let unit = match resolution.absolute {
            true => Unit::Meter,
            false => Unit::Unspecified,
        };
        PixelDimensions { xppu, yppu, unit }
    });

    let mut out = Vec::new();
    let mut encoder = Encoder::with_info(&mut out, info).map_err(wrong)?;
    for (key, value) in content.text {
        check_key(key)?;
        // tEXt is Latin-1; iTXt is UTF-8.
        if value.is_ascii() {
            encoder.add_text_chunk(key.clone(), value.clone())
        } else {
            encoder.add_itxt_chunk(key.clone(), value.clone())
        }
        .map_err(wrong)?;
    }
    let mut writer = encoder.write_header().map_err(wrong)?;
    for (name, data) in content.color.chunks() {
        writer.write_chunk(ChunkType(name), data).map_err(wrong)?;
    }
    writer.write_image_data(content.bytes).map_err(wrong)?;
    writer.finish().map_err(wrong)?;
    Ok(out)
}

/// PNG specification, section 11.3.3.2: 1 to 79 printable Latin-1 characters, no space at either end.
fn check_key(key: &str) -> Result<(), Fault> {
    let printable = |c: char| matches!(c as u32, 0x20..=0x7E | 0xA1..=0xFF);
    let fits = (1..=79).contains(&key.chars().count());
    if fits && key.trim() == key && key.chars().all(printable) {
        Ok(())
    } else {
        Err(Fault::TextKey(key.to_owned()))
    }
}

fn fault(error: DecodingError) -> Fault {
    match error {
        DecodingError::LimitsExceeded => {
            Fault::damaged(Format::Png, "it asks for more memory than its size needs")
        }
        e => Fault::damaged(Format::Png, e),
    }
}
