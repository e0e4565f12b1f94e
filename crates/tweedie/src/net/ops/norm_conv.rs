//! Group normalisation, SiLU and a 3x3 convolution as one operation: what lies between them is never written to memory,
//! and made again for the weights' gradient.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use tweedie_kernels::Planes;
use tweedie_kernels::conv3x3::{self, Residual};

use super::concat;
use super::conv::{self, to_bias, to_input, to_weight};
use super::features::{Features, Found};
use super::memory::{dims, tensor, values};
use super::norm::Norm;
use super::operation::{Kept, Operation, has_kernels, quinary, senary};
use super::regroup::{nearest_upsample, pool};

/// What a normalised convolution is made of.
#[derive(Clone, Debug)]
pub(crate) struct NormConv {
    pub(crate) norm: Norm,
    /// Of the normalisation: `[n, i, 1, 1]` or `[1, i, 1, 1]`.
    pub(crate) scale: Tensor<4>,
    pub(crate) shift: Tensor<4>,
    /// `[o, i, 3, 3]`
    pub(crate) weight: Tensor<4>,
    /// `[1, o, 1, 1]`
    pub(crate) bias: Tensor<4>,
}

impl NormConv {
    /// `[n, i, h, w]` to `[n, o, h, w]`.
    pub(crate) fn forward(self, x: Features) -> Features {
        if !has_kernels(&x.tensor) {
            return self.stock(x.tensor).into();
        }
        let (op, [scale, shift, weight, bias]) = self.operation(vec![x.moments], &x.tensor);
        Features {
            moments: op.found.clone(),
            tensor: quinary(op, [x.tensor, scale, shift, weight, bias]),
        }
    }

    /// The same plus `residual`, which has the result's shape, or is to have it by nearest-neighbour upsampling.
    pub(crate) fn forward_add(self, x: Features, residual: Tensor<4>) -> Features {
        let doubled = residual.dims()[2] != x.tensor.dims()[2];
        if !has_kernels(&x.tensor) {
            let residual = match doubled {
                true => nearest_upsample(residual),
                false => residual,
            };
            return (self.stock(x.tensor) + residual).into();
        }
        let (mut op, [scale, shift, weight, bias]) = self.operation(vec![x.moments], &x.tensor);
        op.doubled = doubled;
        Features {
            moments: op.found.clone(),
            tensor: senary(op, [x.tensor, scale, shift, weight, bias, residual]),
        }
    }

    /// The same for the channels of two tensors, one after the other.
    pub(crate) fn forward_concat(self, [a, b]: [Features; 2]) -> Features {
        if !has_kernels(&a.tensor) {
            return self.stock(concat(a.tensor, b.tensor)).into();
        }
        let known = vec![a.moments, b.moments];
        let (op, [scale, shift, weight, bias]) = self.operation(known, &a.tensor);
        Features {
            moments: op.found.clone(),
            tensor: senary(op, [a.tensor, b.tensor, scale, shift, weight, bias]),
        }
    }

    /// The same in operations of their own.
    fn stock(self, x: Tensor<4>) -> Tensor<4> {
        let x = self.norm.stock(x, self.scale, self.shift);
        conv::stock(x, self.weight, self.bias)
    }

    fn operation(self, known: Vec<Found>, x: &Tensor<4>) -> (Fused, [Tensor<4>; 4]) {
        let (n, i) = (x.dims()[0], self.weight.dims()[1]);
        conv::check::<3>(i, &self.weight, &self.bias);
        self.norm.check(i);
        let [scale, shift] = [self.scale, self.shift].map(|t| t.expand([n, i, 1, 1]));
        let op = Fused {
            norm: self.norm,
            known,
            found: Found::default(),
            doubled: false,
        };
        (op, [scale, shift, self.weight, self.bias])
    }
}

/// Inputs are one or two tensors, scale, shift, weight, bias, and perhaps a residual.
#[derive(Clone, Debug)]
struct Fused {
    norm: Norm,
    /// What is known of the first inputs.
    known: Vec<Found>,
    /// What is found out about the result.
    found: Found,
    /// Whether the residual is to be upsampled.
    doubled: bool,
}

impl<const N: usize> Operation<N> for Fused {
    fn forward(&self, inputs: [FlexTensor; N]) -> FlexTensor {
        let (x, rest) = inputs.split_at(self.known.len());
        let [scale, shift, w, bias, residual @ ..] = rest else {
            unreachable!("four inputs at least after the first")
        };
        let planes = |i: usize| x.get(i).map_or(Planes::NONE, |x| self.known[i].planes(x));
        let conv = conv3x3::NormConv {
            shape: conv::shape(self.whole(x), dims(w)),
            norm: self.norm.kernel(scale, shift),
            weight: values(w),
            bias: values(bias),
            residual: residual.first().map(|residual| Residual {
                values: values(residual),
                doubled: self.doubled,
            }),
        };
        let [n, _, height, width] = dims(&x[0]);
        tensor([n, dims(w)[0], height, width], |y| {
            self.found.set(conv.forward([planes(0), planes(1)], y));
        })
    }

    fn keeps(&self, _: [bool; N]) -> [bool; N] {
        // All but bias and residual.
        std::array::from_fn(|i| i < self.known.len() + 3)
    }

    fn gradients(
        &self,
        kept: Kept<FlexTensor, N>,
        dy: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        let sides = self.known.len();
        let kept: Vec<_> = kept.inputs.into_iter().flatten().collect();
        let (x, rest) = kept.split_at(sides);
        let [scale, shift, w] = rest else {
            unreachable!("kept by `keeps`")
        };
        let n = dims(&x[0])[0];
        let (whole, known) = match (x, self.known.as_slice()) {
            ([a, b], [of_a, of_b]) => (concat::join(a, b), of_a.join(of_b, n)),
            _ => (x[0].clone(), self.known[0].clone()),
        };
        let dw = wanted[sides + 2].then(|| {
            let kernel = self.norm.kernel(scale, shift);
            let normed = tensor(dims(&whole), |y| {
                kernel.forward(n, known.planes(&whole), y);
            });
            to_weight::<3>(&normed, &dy)
        });
        let dnormed = to_input::<3>(&dy, w);
        let of_norm = [&whole, scale, shift];
        let [dx, dscale, dshift] = self.norm.gradients(of_norm, &known, &dnormed);
        let dx = match x {
            [a, b] => concat::part(&dx, [a, b].map(|t| dims(t)[1])).to_vec(),
            _ => vec![dx],
        };
        let db = wanted[sides + 3].then(|| to_bias(&dy));
        let dresidual = if self.doubled { pool(dy, 1.0) } else { dy };
        let of_inputs = dx.into_iter().chain([dscale, dshift]).map(Some);
        let mut all = of_inputs.chain([dw, db, Some(dresidual)]);
        std::array::from_fn(|_| all.next().flatten())
    }
}

impl Fused {
    /// Shape of the first inputs beside each other.
    fn whole(&self, x: &[FlexTensor]) -> [usize; 4] {
        match x {
            [a, b] => concat::dims_of(a, b),
            _ => dims(&x[0]),
        }
    }
}
