//! Named parameter arrays, and handing them to a network one by one.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use rayon::prelude::*;

use super::ops::data;

/// A parameter array of rank 4, row-major. Vectors are stored as `[1, c, 1, 1]`, matrices as `[out, in, 1, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its shape.
    pub shape: [usize; 4],
    /// Its values.
    pub values: Vec<f32>,
}

/// Numbers of one task where arrays are read through.
const CHUNK: usize = 1 << 16;

/// A network's parameters by name.
pub type Params = BTreeMap<String, Array>;

/// Names and shapes of arrays.
pub type Shapes = Vec<(String, [usize; 4])>;

/// That parameters are those of `shapes`, no more and no fewer.
pub(crate) fn fits(params: &Params, shapes: &Shapes) -> Result<(), ParamsError> {
    for (name, shape) in shapes {
        shaped(params, name, *shape)?;
    }
    if params.len() > shapes.len() {
        let known = |name: &String| shapes.iter().any(|(known, _)| known == name);
        if let Some(extra) = params.keys().find(|name| !known(name)) {
            return Err(ParamsError::Extra(extra.clone()));
        }
    }
    Ok(())
}

/// The array `name`, which must have `shape`.
fn shaped<'a>(params: &'a Params, name: &str, shape: [usize; 4]) -> Result<&'a Array, ParamsError> {
    let missing = || ParamsError::Missing(name.to_owned());
    let array = params.get(name).ok_or_else(missing)?;
    if array.shape != shape {
        return Err(ParamsError::Shape {
            name: name.to_owned(),
            expected: shape,
            got: array.shape,
        });
    }
    Ok(array)
}

/// Why parameters do not make the network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// An array that the network needs is not there.
    #[error("the weights lack `{0}`")]
    Missing(String),
    /// An array that the network does not know.
    #[error("the weights hold `{0}`, which the network does not have")]
    Extra(String),
    /// An array of another shape.
    #[error("`{name}` is {got:?}, but the network wants {expected:?}")]
    Shape {
        /// The array.
        name: String,
        /// What the network wants.
        expected: [usize; 4],
        /// What came.
        got: [usize; 4],
    },
    /// A NaN or infinite weight.
    #[error("`{0}` holds a NaN or infinite number")]
    NotFinite(String),
    /// The description is of no network, or of none that can be asked.
    #[error("{0}")]
    Config(String),
}

/// Gives a network its parameters as tensors.
#[derive(Debug)]
pub struct Loader<'a> {
    params: &'a Params,
    device: Device,
    track: bool,
    dtype: DType,
    taken: Vec<(String, Tensor<4>)>,
}

impl<'a> Loader<'a> {
    /// Tensors on `device` that no gradient is wanted of.
    pub fn new(params: &'a Params, device: &Device) -> Loader<'a> {
        Loader {
            params,
            device: device.clone(),
            track: false,
            dtype: DType::F32,
            taken: Vec::new(),
        }
    }

    /// Tensors whose gradients are wanted, for training.
    pub fn tracked(params: &'a Params, device: &Device) -> Loader<'a> {
        Loader {
            track: true,
            device: device.clone().autodiff(),
            ..Loader::new(params, device)
        }
    }

    /// Tensors of f64: the network then computes in f64 what is given to it in f64. Slow; to tell how precise f32 is.
    pub fn in_f64(self) -> Loader<'a> {
        Loader {
            dtype: DType::F64,
            ..self
        }
    }

    /// The array `name`, which must have `shape`.
    pub fn take(&mut self, name: &str, shape: [usize; 4]) -> Result<Tensor<4>, ParamsError> {
        let array = shaped(self.params, name, shape)?;
        let mut finite = true;
        let data = data(shape, |to| finite = copy(&array.values, to));
        if !finite {
            return Err(ParamsError::NotFinite(name.to_owned()));
        }
        let mut tensor = Tensor::<4>::from_data(data, &self.device).cast(self.dtype);
        if self.track {
            tensor = tensor.require_grad();
        }
        self.taken.push((name.to_owned(), tensor.clone()));
        Ok(tensor)
    }

    /// Ends loading: an error if an array was not taken; else the tensors by name, whose gradients may be asked for.
    pub fn finish(self) -> Result<Tracked, ParamsError> {
        if self.taken.len() < self.params.len() {
            let extra = self
                .params
                .keys()
                .find(|name| !self.taken.iter().any(|(taken, _)| taken == *name));
            if let Some(name) = extra {
                return Err(ParamsError::Extra(name.clone()));
            }
        }
        Ok(Tracked(self.taken))
    }
}

/// Copies, and tells whether all numbers are finite.
fn copy(from: &[f32], to: &mut [f32]) -> bool {
    let copy = |(to, from): (&mut [f32], &[f32])| {
        to.copy_from_slice(from);
        from.iter().fold(true, |finite, v| finite & v.is_finite())
    };
    to.par_chunks_mut(CHUNK)
        .zip(from.par_chunks(CHUNK))
        .map(copy)
        .reduce(|| true, |a, b| a & b)
}

/// The tensors that a network was made of, by name.
#[derive(Debug)]
pub struct Tracked(Vec<(String, Tensor<4>)>);

impl Tracked {
    /// Takes the gradient of each, in f32; `None` where the loss does not depend on it.
    pub fn gradients<'a>(
        &'a self,
        grads: &'a mut Gradients,
    ) -> impl Iterator<Item = (&'a str, Option<TensorData>)> {
        // Removed rather than copied: whoever holds the only copy need not make another.
        self.0.iter().map(|(name, tensor)| {
            let gradient = tensor.grad_remove(grads).map(Tensor::into_data);
            (name.as_str(), gradient)
        })
    }
}
