//! Named parameter arrays, and handing them to a network one by one.

use std::collections::BTreeMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};

/// A parameter array of rank 4, row-major. Vectors are stored as `[1, c, 1, 1]`, matrices as `[out, in, 1, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its shape.
    pub shape: [usize; 4],
    /// Its values.
    pub values: Vec<f32>,
}

/// A network's parameters by name.
pub type Params = BTreeMap<String, Array>;

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
    /// The configuration describes no network.
    #[error("{0}")]
    Config(String),
}

/// Gives a network its parameters as tensors.
#[derive(Debug)]
pub struct Loader<'a> {
    params: &'a Params,
    device: Device,
    track: bool,
    taken: Vec<(String, Tensor<4>)>,
}

impl<'a> Loader<'a> {
    /// Tensors on `device` that no gradient is wanted of.
    pub fn new(params: &'a Params, device: &Device) -> Loader<'a> {
        Loader {
            params,
            device: device.clone(),
            track: false,
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

    /// The array `name`, which must have `shape`.
    pub fn take(&mut self, name: &str, shape: [usize; 4]) -> Result<Tensor<4>, ParamsError> {
        let array = self
            .params
            .get(name)
            .ok_or_else(|| ParamsError::Missing(name.to_owned()))?;
        if array.shape != shape {
            return Err(ParamsError::Shape {
                name: name.to_owned(),
                expected: shape,
                got: array.shape,
            });
        }
        if !array.values.iter().all(|v| v.is_finite()) {
            return Err(ParamsError::NotFinite(name.to_owned()));
        }
        let data = TensorData::new(array.values.clone(), shape);
        let mut tensor = Tensor::<4>::from_data(data, &self.device);
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

/// The tensors that a network was made of, by name.
#[derive(Debug)]
pub struct Tracked(Vec<(String, Tensor<4>)>);

impl Tracked {
    /// The gradient of each, as flat values; `None` where the loss does not depend on it.
    pub fn gradients(
        &self,
        grads: &Gradients,
    ) -> impl Iterator<Item = (&str, Option<Vec<f32>>)> + use<'_> {
        let values: Vec<_> = self
            .0
            .iter()
            .map(|(name, tensor)| {
                let grad = tensor.grad(grads).map(|g| {
                    g.into_data()
                        .try_into_vec::<f32>()
                        .expect("gradients are f32, like the weights")
                });
                (name.as_str(), grad)
            })
            .collect();
        values.into_iter()
    }
}
