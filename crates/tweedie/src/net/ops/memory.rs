//! Tensors in memory of the kernels' pool: without it every result costs fresh pages, and clearing them.
#![expect(
    unsafe_code,
    reason = "burn's memory interface is made of bytes that may be uninitialised"
)]

use std::mem::MaybeUninit;
use std::slice;

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape, TensorData};
use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty};
use tweedie_kernels::Scratch;

/// A tensor that `fill` writes completely.
pub(super) fn tensor(dims: [usize; 4], fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let [tensor] = tensors([dims], |[values]| fill(values));
    tensor
}

/// Tensors that `fill` writes completely.
pub(super) fn tensors<const N: usize>(
    dims: [[usize; 4]; N],
    fill: impl FnOnce([&mut [f32]; N]),
) -> [FlexTensor; N] {
    let mut values = dims.map(|dims| Scratch::take(dims.iter().product()));
    fill(values.each_mut().map(|v| &mut **v));
    let mut dims = dims.into_iter();
    values.map(|values| wrap(dims.next().expect("as many shapes as values"), values))
}

/// A tensor's data, which `fill` writes completely.
pub(crate) fn data(dims: [usize; 4], fill: impl FnOnce(&mut [f32])) -> TensorData {
    let mut values = Scratch::take(dims.iter().product());
    fill(&mut values);
    TensorData::from_bytes(bytes(values), dims, DType::F32)
}

/// Makes values a tensor, without a copy.
fn wrap(dims: [usize; 4], values: Scratch) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from(dims));
    FlexTensor::new(bytes(values), layout, DType::F32)
}

fn bytes(values: Scratch) -> Bytes {
    let len = size_of_val(&*values);
    // SAFETY: the memory holds `len` bytes of numbers, all initialised.
    unsafe { Bytes::from_controller(Box::new(Pooled(values)), len) }
}

/// A tensor's shape.
pub(super) fn dims(t: &FlexTensor) -> [usize; 4] {
    let shape = t.layout().shape();
    std::array::from_fn(|i| shape[i])
}

/// A contiguous tensor's values.
pub(super) fn values(t: &FlexTensor) -> &[f32] {
    t.as_slice()
        .expect("contiguous, and f32 like all tensors of these operations")
}

/// Memory that goes back to the pool.
struct Pooled(Scratch);

impl AllocationController for Pooled {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(
        &mut self,
        _: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let len = size_of_val(&*self.0);
        // SAFETY: the same memory, exclusively borrowed; the caller promises to write initialised bytes only.
        Ok(unsafe { slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let len = size_of_val(&*self.0);
        // SAFETY: the same memory, borrowed.
        Ok(unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), len) })
    }
}
