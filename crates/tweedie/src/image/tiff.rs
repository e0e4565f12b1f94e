//! TIFF, straight through the `tiff` crate: of what it knows, `image` passes on a part.

use std::io::Cursor;

use ::image::metadata::Orientation;
use tiff::decoder::{BufferLayoutPreference, Decoder, DecodingResult, Limits as Allowed};
use tiff::encoder::colortype::{
    ColorType as Written, Gray8, Gray16, Gray32Float, RGB8, RGB16, RGB32Float,
};
use tiff::encoder::{Compression, Rational, TiffEncoder, TiffValue, compression::DeflateLevel};
use tiff::tags::{ExtraSamples, ResolutionUnit, Tag};
use tiff::{ColorType, TiffError, TiffResult};

use super::directory::Tiff;
use super::raw::{Quantised, Raw, Samples};
use super::tiff_samples::{Stored, checked, scaled};
use super::{CMYK_NOTE, Depth, Fault, Format, Limits, Resolution, exif};

type Open<'a> = Decoder<Cursor<&'a [u8]>>;

/// Texts and the keys that they have in a PNG.
const TEXTS: [(Tag, &str); 3] = [
    (Tag::ImageDescription, "Description"),
    (Tag::Artist, "Author"),
    (Tag::Copyright, "Copyright"),
];

/// XMP specification, part 3, section 3.2.
const XMP: u16 = 700;

/// Decodes the first page of a TIFF.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Raw, Fault> {
    if is_camera_raw(bytes) {
        return Err(Fault::CameraRaw);
    }
    let resolution = exif::resolution(bytes);
    let indices = palette_as_grey(bytes);
    let file = indices.as_deref().unwrap_or(bytes);
    let mut decoder = Decoder::new(Cursor::new(file)).map_err(fault)?;
    let size = decoder.dimensions().map_err(fault)?;
    limits.check(size)?;
    let kind = Kind::of(&mut decoder, indices.is_some())?;

    // Before the limits for the pixels, which would let a tag take as much.
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation);
    let orientation = orientation.ok().flatten().and_then(Orientation::from_exif);
    let icc = decoder.get_tag_u8_vec(Tag::IccProfile).ok();
    let text = texts(&mut decoder);
    let xmp = decoder.find_tag(Tag::Unknown(XMP)).ok().flatten().is_some();
    let mut allowed = Allowed::unlimited();
    allowed.decoding_buffer_size = usize::try_from(limits.decoder_bytes()).unwrap_or(usize::MAX);
    decoder = decoder.with_limits(allowed);

    let mut raw = kind.read(&mut decoder, size, limits.beyond)?;
    raw.note_xmp(xmp);
    let pages = pages(&mut decoder);
    if pages > 1 {
        raw.notes
            .push(format!("1 of {pages} pages is read, the first"));
    }
    Ok(Raw {
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        // One of inks says nothing about red, green and blue.
        icc: icc.filter(|_| kind.color != Colors::Cmyk),
        text,
        resolution,
        ..raw
    })
}

/// Whether this is what a camera's sensor recorded. DNG and most makers' formats are TIFF files, whose first directory may
/// hold a thumbnail, or numbers behind a mosaic of colour filters (DNG 1.7; TIFF/EP, ISO 12234-2).
fn is_camera_raw(bytes: &[u8]) -> bool {
    const NEW_SUBFILE_TYPE: u16 = 254;
    const PHOTOMETRIC: u16 = 262;
    const SUB_IFDS: u16 = 330;
    const DNG_VERSION: u16 = 50706;
    const CFA: u32 = 32803;
    const LINEAR_RAW: u32 = 34892;
    let Some(tiff) = Tiff::of(bytes) else {
        return false;
    };
    let ifd = tiff.first(bytes);
    let find = |tag| tiff.find(bytes, ifd, tag);
    let value = |tag| tiff.value(bytes, find(tag)?);
    let reduced = value(NEW_SUBFILE_TYPE).is_some_and(|kind| kind & 1 == 1);
    find(DNG_VERSION).is_some()
        || reduced && find(SUB_IFDS).is_some()
        || matches!(value(PHOTOMETRIC), Some(CFA | LINEAR_RAW))
        // Canon's CR2.
        || bytes.get(8..10) == Some(b"CR")
}

/// A file of palette indices as one of greys, which the crate reads.
fn palette_as_grey(bytes: &[u8]) -> Option<Vec<u8>> {
    const PHOTOMETRIC: u16 = 262;
    let tiff = Tiff::of(bytes)?;
    let entry = tiff.find(bytes, tiff.first(bytes), PHOTOMETRIC)?;
    (tiff.value(bytes, entry)? == 3).then(|| {
        let mut grey = bytes.to_vec();
        tiff.set_value(&mut grey, entry, 1);
        grey
    })
}

/// Descriptions, but for those of arrays that ImageJ and tifffile write, which would not fit another picture.
fn texts(decoder: &mut Open<'_>) -> Vec<(String, String)> {
    let text = |(tag, key): (Tag, &str)| {
        let text = decoder.get_tag_ascii_string(tag).ok()?;
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        let of_an_array = text.starts_with("ImageJ=") || text.starts_with("{\"shape\":");
        (!text.is_empty() && !of_an_array).then(|| (key.to_owned(), text.to_owned()))
    };
    TEXTS.into_iter().filter_map(text).collect()
}

/// How many pages there are; smaller copies and masks of others (NewSubfileType 1 and 4) are none.
fn pages(decoder: &mut Open<'_>) -> usize {
    let mut pages = 1;
    while decoder.more_images() {
        let kind = decoder
            .next_image()
            .and_then(|()| decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType));
        let of_another = matches!(kind, Ok(Some(kind)) if kind & 5 != 0);
        pages += usize::from(!of_another);
    }
    pages
}

/// What the colours of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colors {
    Grey,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
}

/// What the samples of a file are.
struct Kind {
    color: Colors,
    bits: u8,
    /// Samples a pixel that are read.
    samples: usize,
    /// Samples a pixel of the file.
    stored: usize,
    /// Whether the colours are multiplied by alpha.
    associated: bool,
}

impl Kind {
    fn of(decoder: &mut Open<'_>, palette: bool) -> Result<Kind, Fault> {
        let color = decoder.colortype().map_err(fault)?;
        let (colors, bits) = match color {
            ColorType::Gray(bits @ (1 | 2 | 4 | 8 | 16)) if palette => (Colors::Palette, bits),
            ColorType::Gray(bits @ (1 | 2 | 4 | 8..)) if !palette => (Colors::Grey, bits),
            ColorType::Multiband {
                bit_depth: bits @ 8..,
                num_samples: 2,
            } if !palette => (Colors::Grey, bits),
            ColorType::RGB(bits @ 8..) | ColorType::RGBA(bits @ 8..) => (Colors::Rgb, bits),
            ColorType::CMYK(bits @ (8 | 16)) => (Colors::Cmyk, bits),
            ColorType::YCbCr(bits @ 8) => (Colors::YCbCr, bits),
            _ => return Err(Fault::unsupported(Format::Tiff, in_words(color, palette))),
        };
        let stored = decoder.find_tag_unsigned(Tag::SamplesPerPixel);
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples);
        let associated = ExtraSamples::AssociatedAlpha.to_u16();
        Ok(Kind {
            color: colors,
            bits,
            samples: color.num_samples().into(),
            stored: stored.map_err(fault)?.unwrap_or(1),
            associated: extra.map_err(fault)?.unwrap_or_default().first() == Some(&associated),
        })
    }

    /// Reads the pixels, which may lie beyond [0, 1] if they are floating-point numbers and `beyond` says so.
    fn read(
        &self,
        decoder: &mut Open<'_>,
        (width, height): (u32, u32),
        beyond: bool,
    ) -> Result<Raw, Fault> {
        let size = (width as usize, height as usize);
        let map = match self.color {
            Colors::Palette => Some(decoder.get_tag_u16_vec(Tag::ColorMap).map_err(fault)?),
            _ => None,
        };
        let mut samples = DecodingResult::U8(Vec::new());
        let layout = decoder.read_image_to_buffer(&mut samples).map_err(fault)?;
        if samples.as_buffer(0).as_bytes().len() < layout.complete_len {
            return Err(fault(TiffError::LimitsExceeded));
        }
        if let DecodingResult::U8(packed) = &samples
            && self.bits < 8
        {
            samples = DecodingResult::U8(unpacked(packed, self.bits, size));
        }
        let stored = match map {
            Some(map) => colours(&samples, &map, self.bits)?,
            None => scaled(&samples, self.bits)?,
        };
        let values = checked(chunky(stored.values, &layout), beyond)?;
        let (values, channels) = self.colours_of(values);
        let samples = Samples::Float(values, stored.depth);
        let mut raw = Raw::new(Format::Tiff, size, channels, samples);
        raw.chroma = self.color == Colors::YCbCr;
        raw.notes.extend(stored.note);
        raw.notes.extend(self.notes());
        Ok(raw)
    }

    /// Grey or red, green and blue, of interleaved samples in [0, 1], and how many channels there are then.
    fn colours_of(&self, mut values: Vec<f32>) -> (Vec<f32>, usize) {
        let is_multiplied = match self.color {
            Colors::Cmyk => return (values.as_chunks().0.iter().flat_map(of_inks).collect(), 3),
            Colors::YCbCr => return (values.as_chunks().0.iter().flat_map(of_luma).collect(), 3),
            Colors::Palette => return (values, 3),
            Colors::Grey | Colors::Rgb => self.associated && self.samples.is_multiple_of(2),
        };
        if is_multiplied {
            values.chunks_exact_mut(self.samples).for_each(divide);
        }
        (values, self.samples)
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.color == Colors::Cmyk {
            notes.push(CMYK_NOTE.to_owned());
        }
        if self.stored > self.samples {
            let more = self.stored - self.samples;
            let are = if more == 1 { " is" } else { "s are" };
            notes.push(format!(
                "{more} channel{are} not read, beside those of the picture"
            ));
        }
        notes
    }
}

fn in_words(color: ColorType, palette: bool) -> String {
    match color {
        _ if palette => format!("palette of {} bits", color.bit_depth()),
        ColorType::Multiband { num_samples, .. } => format!("{num_samples} channels"),
        ColorType::Lab(_) => "CIE L*a*b*".to_owned(),
        ColorType::CMYKA(_) => "CMYK with transparency".to_owned(),
        color => format!("{color:?}"),
    }
}

/// Samples of 1, 2 or 4 bits, a byte each; rows begin with a byte.
fn unpacked(packed: &[u8], bits: u8, (width, height): (usize, usize)) -> Vec<u8> {
    let bits = usize::from(bits);
    let mut samples = Vec::with_capacity(width * height);
    for row in packed.chunks_exact((width * bits).div_ceil(8)) {
        samples.extend((0..width * bits).step_by(bits).map(|at| {
            let from_left = row[at / 8] << (at % 8);
            from_left >> (8 - bits)
        }));
    }
    samples
}

/// The colours of palette indices. A palette holds all reds, then all greens, then all blues, of 16 bits; some writers took 8.
fn colours(indices: &DecodingResult, map: &[u16], bits: u8) -> Result<Stored, Fault> {
    let n = 1usize << bits;
    let wrong = || Fault::damaged(Format::Tiff, "its palette has not all colours");
    let map = map.get(..3 * n).ok_or_else(wrong)?;
    let shift = if map.iter().all(|&v| v < 256) { 0 } else { 8 };
    let of = |i: usize| [0, 1, 2].map(|c| f32::from(map[c * n + i] >> shift) / 255.0);
    let values = match indices {
        DecodingResult::U8(v) => v.iter().flat_map(|&i| of(i.into())).collect(),
        DecodingResult::U16(v) => v.iter().flat_map(|&i| of(i.into())).collect(),
        _ => return Err(Fault::unsupported(Format::Tiff, "palette of odd numbers")),
    };
    Ok(Stored {
        values,
        depth: Depth::Eight,
        note: None,
    })
}

/// Planes one after another as interleaved samples.
fn chunky(values: Vec<f32>, layout: &BufferLayoutPreference) -> Vec<f32> {
    let planes = layout.planes;
    if planes <= 1 {
        return values;
    }
    let n = values.len() / planes;
    (0..n)
        .flat_map(|i| (0..planes).map(move |p| p * n + i))
        .map(|at| values[at])
        .collect()
}

/// The naive conversion: each ink takes its light away, and black from all.
fn of_inks(&[c, m, y, k]: &[f32; 4]) -> [f32; 3] {
    [c, m, y].map(|ink| (1.0 - ink) * (1.0 - k))
}

/// From ITU-R BT.601 luma and differences of colour in full range, as JFIF and TIFF's defaults have them.
fn of_luma(&[y, cb, cr]: &[f32; 3]) -> [f32; 3] {
    let (cb, cr) = (cb - 128.0 / 255.0, cr - 128.0 / 255.0);
    let rgb = [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ];
    rgb.map(|v| ((v * 255.0).round() / 255.0).clamp(0.0, 1.0))
}

/// Colours that were multiplied by the alpha behind them, as they were before; of nothing there is nothing to tell.
fn divide(pixel: &mut [f32]) {
    if let Some((&mut alpha, colors)) = pixel.split_last_mut()
        && alpha > 0.0
    {
        colors.iter_mut().for_each(|v| *v = (*v / alpha).min(1.0));
    }
}

fn fault(error: TiffError) -> Fault {
    match error {
        TiffError::UnsupportedError(e) => Fault::unsupported(Format::Tiff, e),
        TiffError::LimitsExceeded => {
            Fault::damaged(Format::Tiff, "it asks for more memory than its size needs")
        }
        e => Fault::damaged(Format::Tiff, e),
    }
}

/// What a TIFF holds beside its pixels.
pub(super) struct Extras<'a> {
    pub(super) icc: Option<&'a [u8]>,
    pub(super) resolution: Option<Resolution>,
    pub(super) text: &'a [(String, String)],
}

/// Whether a text has a tag, and can stand there.
pub(super) fn holds_text(key: &str, value: &str) -> bool {
    let known = TEXTS.iter().any(|(_, k)| *k == key);
    known && value.is_ascii() && !value.contains('\0')
}

/// Encodes a TIFF, compressed by Deflate.
pub(super) fn encode(
    samples: &Quantised,
    (width, height): (u32, u32),
    channels: usize,
    extras: &Extras<'_>,
) -> Result<Vec<u8>, Fault> {
    let size = (width, height);
    let alpha = channels.is_multiple_of(2);
    match (samples, channels) {
        (Quantised::Eight(v), 1 | 2) => pack::<Gray8>(v, size, alpha, extras),
        (Quantised::Eight(v), _) => pack::<RGB8>(v, size, alpha, extras),
        (Quantised::Sixteen(v), 1 | 2) => pack::<Gray16>(v, size, alpha, extras),
        (Quantised::Sixteen(v), _) => pack::<RGB16>(v, size, alpha, extras),
        (Quantised::Float(v), 1 | 2) => pack::<Gray32Float>(v, size, alpha, extras),
        (Quantised::Float(v), _) => pack::<RGB32Float>(v, size, alpha, extras),
    }
    .map_err(|e: TiffError| Fault::encode(Format::Tiff, e))
}

fn pack<C: Written>(
    samples: &[C::Inner],
    (width, height): (u32, u32),
    alpha: bool,
    extras: &Extras<'_>,
) -> TiffResult<Vec<u8>>
where
    [C::Inner]: TiffValue,
{
    let mut out = Cursor::new(Vec::new());
    let mut encoder =
        TiffEncoder::new(&mut out)?.with_compression(Compression::Deflate(DeflateLevel::Balanced));
    let mut image = encoder.new_image::<C>(width, height)?;
    if alpha {
        image.extra_samples(&[ExtraSamples::UnassociatedAlpha])?;
    }
    if let Some(icc) = extras.icc {
        image.encoder().write_tag(Tag::IccProfile, icc)?;
    }
    if let Some(resolution) = extras.resolution {
        image.resolution_unit(match resolution.absolute {
            true => ResolutionUnit::Inch,
            false => ResolutionUnit::None,
        });
        let [across, down] = resolution.to_fractions().map(|(n, d)| Rational { n, d });
        image.x_resolution(across);
        image.y_resolution(down);
    }
    for (tag, key) in TEXTS {
        let mut of_key = extras.text.iter().filter(|(k, _)| k == key);
        if let Some((key, value)) = of_key.next_back()
            && holds_text(key, value)
        {
            image.encoder().write_tag(tag, value.as_str())?;
        }
    }
    image.write_data(samples)?;
    Ok(out.into_inner())
}
