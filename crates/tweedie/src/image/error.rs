//! What can be wrong with a picture file.

use std::path::{Path, PathBuf};

use super::Format;

/// A [`Fault`] and the file that has it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

impl Error {
    pub(super) fn new(path: &Path, fault: Fault) -> Error {
        Error {
            path: path.to_owned(),
            fault,
        }
    }
}

/// What is wrong with a picture or its file. Each message is one line that also says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no such file.
    #[error("there is no such file; check the name and the folder")]
    Missing,
    /// It is a folder.
    #[error("this is a folder; name a picture in it")]
    Folder,
    /// It may not be read or written.
    #[error("no permission to {0} it; check who owns it")]
    Permission(&'static str),
    /// Another failure of the file system.
    #[error("could not {doing} it: {source}")]
    Io {
        /// "read" or "write".
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no bytes.
    #[error("the file is empty (0 bytes); get it again")]
    NoBytes,
    /// It is longer than any picture within the limit.
    #[error(
        "the file is longer than {limit} bytes, more than any picture within the limit needs; raise the limit if it is right"
    )]
    LongFile {
        /// The longest that is read.
        limit: u64,
    },
    /// The content is no picture format that is read here.
    #[error("not a PNG, JPEG, TIFF, WebP or BMP picture: it {looks}")]
    Unknown {
        /// What it looks like, and what to do.
        looks: &'static str,
    },
    /// The size is over the limit.
    #[error(
        "the picture is {width}x{height} = {} megapixels, over the limit of {}; make it smaller or raise the limit",
        megapixels(u64::from(*width) * u64::from(*height)), megapixels(*limit)
    )]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Most pixels that are read.
        limit: u64,
    },
    /// It has no pixel.
    #[error("the picture is {width}x{height}: it has no pixels")]
    NoPixels {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The content breaks off or breaks the rules of its format.
    #[error(
        "the {format} file is damaged or cut short ({detail}); get it again or repair it with another tool"
    )]
    Damaged {
        /// Its format.
        format: Format,
        /// What the decoder said.
        detail: String,
    },
    /// The format is known, this flavour of it is not read.
    #[error(
        "this kind of {format} is not read ({detail}); convert it to an 8- or 16-bit grey or RGB picture first"
    )]
    Unsupported {
        /// Its format.
        format: Format,
        /// The flavour.
        detail: String,
    },
    /// What a camera's sensor recorded, in a TIFF.
    #[error("a camera's raw file (DNG or alike); develop it first, for example to a 16-bit TIFF")]
    CameraRaw,
    /// A floating-point picture goes beyond [0, 1].
    #[error("the floating-point values span {min} to {max}; scale them to 0..1 first")]
    Range {
        /// The least value.
        min: f32,
        /// The greatest.
        max: f32,
    },
    /// NaN or infinite numbers.
    #[error("the picture holds {0} NaN or infinite values")]
    NotFinite(usize),
    /// The extension names no format that is written.
    #[error("{}; end its name in .png, .jpg, .tif, .webp or .bmp", match extension {
        Some(e) => format!("pictures are not written as .{e}"),
        None => "the name has no extension to tell the format".to_owned(),
    })]
    Extension {
        /// The extension, if there is one.
        extension: Option<String>,
    },
    /// The file exists and may not be replaced.
    #[error("the file exists already; choose another name or allow overwriting")]
    Exists,
    /// The folder to write to is not there.
    #[error("there is no folder {}; make it first", .0.display())]
    NoFolder(PathBuf),
    /// The format cannot hold so deep a picture.
    #[error("{0} holds 8 bits a channel, not 16; write PNG or TIFF, or ask for 8 bits")]
    TooDeep(Format),
    /// The format has no floating-point numbers.
    #[error("{0} holds no floating-point numbers; write TIFF, or ask for 8 or 16 bits")]
    NoFloats(Format),
    /// The format cannot hold so large a picture.
    #[error(
        "the picture is {width}x{height}, but {format} ends at {most} pixels a side; write PNG or TIFF"
    )]
    TooLargeFor {
        /// The format.
        format: Format,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// The longest side.
        most: usize,
    },
    /// Not one grey or RGB picture.
    #[error(
        "a file holds one picture of 1 or 3 channels, not [batch, channel, height, width] = {0:?}"
    )]
    Shape(Vec<usize>),
    /// The alpha plane has another size than the picture.
    #[error("the alpha plane is {alpha:?}, the picture {picture:?} (rows, columns)")]
    Alpha {
        /// Rows and columns of the alpha plane.
        alpha: (usize, usize),
        /// Rows and columns of the picture.
        picture: (usize, usize),
    },
    /// JPEG quality out of range.
    #[error("the JPEG quality is a number from 1 to 100, not {0}")]
    Quality(u8),
    /// A key of the text cannot be stored in a PNG.
    #[error("{0:?} is no PNG text key: it takes 1 to 79 printable Latin-1 characters")]
    TextKey(String),
    /// The encoder failed.
    #[error("could not be written as {format}: {detail}")]
    Encode {
        /// The format.
        format: Format,
        /// What the encoder said.
        detail: String,
    },
    /// A contact sheet of nothing.
    #[error("a grid takes at least one picture and one column")]
    EmptyGrid,
}

impl Fault {
    pub(super) fn damaged(format: Format, detail: impl ToString) -> Fault {
        let detail = one_line(detail);
        Fault::Damaged { format, detail }
    }

    pub(super) fn unsupported(format: Format, detail: impl ToString) -> Fault {
        let detail = one_line(detail);
        Fault::Unsupported { format, detail }
    }

    pub(super) fn encode(format: Format, detail: impl ToString) -> Fault {
        let detail = one_line(detail);
        Fault::Encode { format, detail }
    }

    /// From an error of the file system.
    pub(super) fn io(doing: &'static str, source: std::io::Error) -> Fault {
        use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied};
        match source.kind() {
            NotFound | NotADirectory => Fault::Missing,
            IsADirectory => Fault::Folder,
            PermissionDenied => Fault::Permission(doing),
            _ => Fault::Io { doing, source },
        }
    }
}

/// Decoders may quote what they found, line breaks and all; and most pass on the system's words for a short file.
fn one_line(detail: impl ToString) -> String {
    let detail = detail.to_string();
    if detail.contains("failed to fill whole buffer") || detail.contains("unexpected end of file") {
        return "it ends too early".to_owned();
    }
    let text: String = detail
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    text.trim_end_matches('.').to_owned()
}

fn megapixels(pixels: u64) -> String {
    let mp = pixels as f64 / 1e6;
    if mp < 1.0 {
        format!("{mp:.3}")
    } else {
        format!("{mp:.0}")
    }
}
