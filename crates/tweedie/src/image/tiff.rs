//! Grey TIFF with alpha, and TIFF writing, straight through the `tiff` crate: `image` does neither read nor write grey
//! with alpha, and does not mark the alpha channel.

use std::io::Cursor;

use ::image::metadata::Orientation;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::encoder::colortype::{ColorType, Gray8, Gray16, RGB8, RGB16};
use tiff::encoder::{Compression, TiffEncoder, TiffValue, compression::DeflateLevel};
use tiff::tags::{ExtraSamples, PlanarConfiguration, Tag};
use tiff::{TiffError, TiffResult};

use super::raw::{Quantised, Raw, Samples};
use super::{Fault, Format, Limits};

/// Decodes a TIFF of grey and alpha; `None` for all others.
pub(super) fn decode_grey_alpha(bytes: &[u8], limits: &Limits) -> Result<Option<Raw>, Fault> {
    let wrong = |e: TiffError| Fault::damaged(Format::Tiff, e);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(wrong)?;
    let two_samples = tiff::ColorType::Multiband {
        bit_depth: 8,
        num_samples: 2,
    };
    let two_deep_samples = tiff::ColorType::Multiband {
        bit_depth: 16,
        num_samples: 2,
    };
    // What `image` does not know either, it explains.
    match decoder.colortype() {
        Ok(color) if color == two_samples || color == two_deep_samples => {}
        _ => return Ok(None),
    }
    let size = decoder.dimensions().map_err(wrong)?;
    limits.check(size)?;
    let planar = PlanarConfiguration::Planar.to_u16();
    if decoder
        .find_tag_unsigned(Tag::PlanarConfiguration)
        .map_err(wrong)?
        == Some(planar)
    {
        return Err(Fault::unsupported(
            Format::Tiff,
            "grey and alpha in two planes",
        ));
    }
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation);
    let orientation = orientation.ok().flatten().and_then(Orientation::from_exif);
    let icc = decoder.get_tag_u8_vec(Tag::IccProfile).ok();
    let mut allowed = tiff::decoder::Limits::unlimited();
    allowed.decoding_buffer_size = usize::try_from(limits.decoder_bytes()).unwrap_or(usize::MAX);
    let samples = match decoder.with_limits(allowed).read_image().map_err(wrong)? {
        DecodingResult::U8(v) => Samples::Eight(v),
        DecodingResult::U16(v) => Samples::Sixteen(v),
        _ => return Err(Fault::unsupported(Format::Tiff, "not unsigned integers")),
    };
    Ok(Some(Raw {
        format: Format::Tiff,
        width: size.0 as usize,
        height: size.1 as usize,
        channels: 2,
        samples,
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        icc,
        exif: None,
        text: Vec::new(),
        jpeg: None,
    }))
}

/// Encodes a TIFF, compressed by Deflate.
pub(super) fn encode(
    samples: &Quantised,
    (width, height): (u32, u32),
    channels: usize,
    icc: Option<&[u8]>,
) -> Result<Vec<u8>, Fault> {
    let size = (width, height);
    let alpha = channels.is_multiple_of(2);
    match (samples, channels) {
        (Quantised::Eight(v), 1 | 2) => pack::<Gray8>(v, size, alpha, icc),
        (Quantised::Eight(v), _) => pack::<RGB8>(v, size, alpha, icc),
        (Quantised::Sixteen(v), 1 | 2) => pack::<Gray16>(v, size, alpha, icc),
        (Quantised::Sixteen(v), _) => pack::<RGB16>(v, size, alpha, icc),
    }
    .map_err(|e: TiffError| Fault::encode(Format::Tiff, e))
}

fn pack<C: ColorType>(
    samples: &[C::Inner],
    (width, height): (u32, u32),
    alpha: bool,
    icc: Option<&[u8]>,
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
    if let Some(icc) = icc {
        image.encoder().write_tag(Tag::IccProfile, icc)?;
    }
    image.write_data(samples)?;
    Ok(out.into_inner())
}
