//! What a file does not hold of a picture.

use super::write::fits;
use super::{Depth, Format, Picture, WriteOptions};

/// What is lost of a picture in a file of this format: a line each, to be told to whoever asked for the file.
///
/// What was asked for, such as fewer bits by [`WriteOptions::depth`], is not named, nor that JPEG is lossy.
pub fn losses(picture: &Picture, format: Format, options: &WriteOptions) -> Vec<String> {
    let mut lost = Vec::new();
    let mut say = |is_lost: bool, line: String| {
        if is_lost {
            lost.push(line);
        }
    };
    let see_through = |alpha: &ndarray::Array2<f32>| alpha.iter().any(|&a| a < 1.0);
    say(
        format == Format::Jpeg && picture.alpha.as_ref().is_some_and(see_through),
        "JPEG has no transparency: the picture is shown over white".to_owned(),
    );
    let too_deep = picture.depth != Depth::Eight && !format.has_16_bits();
    say(
        too_deep && options.depth.is_none(),
        format!("{format} holds 8 bits a channel: of 16, the finer ones are lost"),
    );
    let profile = picture.icc.as_deref();
    let fitting = profile.is_some_and(|icc| fits(icc, picture.written_channels()));
    say(
        profile.is_some() && (format == Format::Bmp || !fitting),
        match fitting {
            true => format!("the colour profile is left out: {format} has no place for one"),
            false => "the colour profile is left out: it is not for this number of channels".into(),
        },
    );
    say(
        format != Format::Png && !picture.png_color.is_usual(fitting && format != Format::Bmp),
        format!(
            "{format} cannot say what colours these are (gAMA, cHRM or cICP): write PNG to keep it"
        ),
    );
    let exif = picture.exif.as_deref();
    say(
        exif.is_some_and(|e| !format.holds_exif(e)),
        format!("the EXIF data is left out: it does not fit into a {format}"),
    );
    let on_paper = picture
        .resolution
        .is_some_and(|r| format.holds_resolution(&r));
    say(
        picture.resolution.is_some() && !on_paper && exif.is_none_or(|e| !format.holds_exif(e)),
        format!("the resolution (pixels an inch) is left out: {format} has no place for it"),
    );
    let lost_text = picture
        .text
        .iter()
        .filter(|(k, v)| !format.holds_text(k, v));
    let keys: Vec<_> = lost_text.map(|(key, _)| key.as_str()).collect();
    say(
        !keys.is_empty(),
        format!(
            "text is left out: {format} has no place for {}",
            keys.join(", ")
        ),
    );
    lost
}
