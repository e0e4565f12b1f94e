//! Model files: a safetensors file whose metadata say which network it is and what it answers.

mod spec;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::net::{Array, Params, ParamsError};
use crate::{files, image};

pub use spec::ModelSpec;

/// A network's description and weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it is.
    pub spec: ModelSpec,
    /// Its weights.
    pub params: Params,
}

/// Why a model file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] image::Error),
    /// Not a safetensors file, or a damaged one.
    #[error("not a readable safetensors file ({0}); was it downloaded completely?")]
    Format(String),
    /// Another kind of file.
    #[error("not a safetensors file: it {looks}")]
    Unknown {
        /// What it looks like, and what to do.
        looks: &'static str,
    },
    /// A safetensors file that Tweedie did not write.
    #[error(
        "the file says nothing of its network (metadata `{0}` is missing or not understood: {1})"
    )]
    Metadata(&'static str, String),
    /// A weight that 16 bits do not hold; a file with it would not load.
    #[error("`{array}` holds {value}, but 16-bit numbers end at 65504; keep the model at 32 bits")]
    Half {
        /// The array.
        array: String,
        /// Its first such weight.
        value: f32,
    },
    /// The description makes no sense, or the weights do not make the network.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

/// The metadata entry that holds a [`ModelSpec`] as JSON.
const KEY: &str = "tweedie";

/// Largest model file that is read, in bytes.
const LIMIT: u64 = 16 << 30;

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point.
    F16,
}

impl Model {
    /// Reads a model file.
    pub fn open(path: &Path) -> Result<Model, Error> {
        Model::from_bytes(&read(path)?)
    }

    /// Reads a model from the bytes of its file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, Error> {
        let (params, metadata) = decode(bytes)?;
        let json = metadata
            .get(KEY)
            .ok_or_else(|| Error::Metadata(KEY, "not there".into()))?;
        let spec: ModelSpec =
            serde_json::from_str(json).map_err(|e| Error::Metadata(KEY, e.to_string()))?;
        spec.check()?;
        Ok(Model { spec, params })
    }

    /// Writes a model file, beside the old one first, which it then replaces.
    pub fn save(&self, path: &Path, precision: Precision) -> Result<(), Error> {
        write(path, &self.to_bytes(precision)?)
    }

    /// The bytes of a model file.
    ///
    /// # Errors
    /// [`Error::Half`] if a weight is beyond what the precision holds.
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>, Error> {
        let json = serde_json::to_string(&self.spec).expect("a spec is plain data");
        let metadata = HashMap::from([(KEY.to_owned(), json)]);
        encode(&self.params, metadata, precision)
    }

    /// The embedded photo prior.
    pub fn photo() -> Result<Model, Error> {
        Model::from_bytes(include_bytes!("../../../../models/photo/photo.safetensors"))
    }

    /// The embedded network that is an operator, a camera that blurs.
    pub fn camera() -> Result<Model, Error> {
        Model::from_bytes(include_bytes!(
            "../../../../models/camera/camera.safetensors"
        ))
    }
}

/// Reads a file of bounded size; what is no safetensors file is refused by its first bytes, however long it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let file = files::Opened::new(path).map_err(fail)?;
    if !begins_as_safetensors(file.head()) {
        let looks = looks_like(file.head());
        return Err(Error::Unknown { looks });
    }
    file.read(LIMIT).map_err(fail)
}

/// What else people hand over, and what to do about it.
fn looks_like(head: &[u8]) -> &'static str {
    let text = head.trim_ascii_start();
    match head {
        [] => "is empty (0 bytes); get it again",
        h if h.starts_with(b"PK\x03\x04") || h.starts_with(b"\x80\x02") || is_pickle(h) => {
            "looks like a PyTorch file (.pth, .pt, .ckpt, .bin), which can run code when it is opened and is therefore not read; \
             convert it to safetensors"
        }
        h if h.starts_with(b"version https://git-lfs") => {
            "is a Git LFS pointer; run `git lfs pull` to get the model"
        }
        _ if text.starts_with(b"<") => {
            "looks like a web page, perhaps a failed download; get it again"
        }
        h if h.starts_with(b"\x89HDF") => "is an HDF5 file (Keras); convert it to safetensors",
        h if h.starts_with(b"GGUF") => {
            "is a GGUF file, of language models as a rule; name a model of `tweedie train`"
        }
        h if h.starts_with(b"\x93NUMPY") => "is a NumPy array; convert it to safetensors",
        _ => "does not begin like one; get it again, or name a model of `tweedie train`",
    }
}

/// Whether bytes begin as a pickle of protocol 3 to 5 does.
fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 3..=5, ..])
}

/// The length of the header in 8 bytes, which the format bounds, then the header, a JSON object.
fn begins_as_safetensors(head: &[u8]) -> bool {
    match head.split_first_chunk() {
        Some((length, header)) => {
            u64::from_le_bytes(*length) <= 100_000_000 && header.first() == Some(&b'{')
        }
        None => false,
    }
}

/// Writes a file beside its old version, then puts it in its place, so that no moment leaves a broken file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(image::write_bytes(path, bytes, image::Overwrite::Allow)?)
}

/// Tensors and metadata of a safetensors file; every tensor as f32 of rank 4.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Params, HashMap<String, String>), Error> {
    let format = |e: safetensors::SafeTensorError| Error::Format(e.to_string());
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = SafeTensors::deserialize(bytes).map_err(format)?;
    let params = tensors
        .iter()
        .map(|(name, view)| Ok((name.to_owned(), array(name, &view)?)))
        .collect::<Result<_, Error>>()?;
    Ok((params, metadata))
}

fn array(name: &str, view: &TensorView<'_>) -> Result<Array, Error> {
    let shape: [usize; 4] = view
        .shape()
        .try_into()
        .map_err(|_| Error::Format(format!("`{name}` has rank {}, not 4", view.shape().len())))?;
    let values = match view.dtype() {
        Dtype::F32 => view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        Dtype::F16 => view
            .data()
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| f16::from_le_bytes(*b).to_f32())
            .collect(),
        other => {
            return Err(Error::Format(format!(
                "`{name}` holds {other:?} numbers; f32 and f16 are understood"
            )));
        }
    };
    Ok(Array { shape, values })
}

/// The bytes of a safetensors file.
pub(crate) fn encode(
    params: &Params,
    metadata: HashMap<String, String>,
    precision: Precision,
) -> Result<Vec<u8>, Error> {
    let format = |e: safetensors::SafeTensorError| Error::Format(e.to_string());
    let dtype = match precision {
        Precision::F32 => Dtype::F32,
        Precision::F16 => Dtype::F16,
    };
    let buffers = params
        .iter()
        .map(|(name, array)| match precision {
            Precision::F32 => Ok(array.values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Precision::F16 => halved(name, &array.values),
        })
        .collect::<Result<Vec<Vec<u8>>, Error>>()?;
    let views = params
        .iter()
        .zip(&buffers)
        .map(|((name, array), bytes)| {
            let view = TensorView::new(dtype, array.shape.to_vec(), bytes).map_err(format)?;
            Ok((name, view))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    safetensors::serialize(views, Some(metadata)).map_err(format)
}

fn halved(name: &str, values: &[f32]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(2 * values.len());
    for &value in values {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return Err(Error::Half {
                array: name.to_owned(),
                value,
            });
        }
        bytes.extend(half.to_le_bytes());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is no safetensors file is called what it is. Wrong: any of them called an incomplete download.
    #[test]
    fn other_files_are_called_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pth");
        for (bytes, part) in [
            (&b"PK\x03\x04\0\0\0\0\0\0archive/data.pkl"[..], "PyTorch"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "PyTorch"),
            (b"\x80\x05\x95\x10\0\0\0", "run code"),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            (b"\n<!doctype html><html>", "web page"),
            (b"\x89HDF\r\n\x1a\n", "Keras"),
            (b"", "empty"),
            (b"what is this", "does not begin like one"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Model::open(&path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
