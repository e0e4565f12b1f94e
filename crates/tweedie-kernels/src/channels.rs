//! Channels of two tensors put together, and taken apart.

use rayon::prelude::*;

use crate::shape::check;

/// Numbers of one task: copying is bound by memory, and larger tasks are not faster.
const CHUNK: usize = 1 << 15;

/// `y = [a, b]` along channels: of each of `batch` images first what is in `a`, then what is in `b`. `y` is overwritten.
///
/// # Panics
/// If the lengths do not fit.
pub fn concat(batch: usize, a: &[f32], b: &[f32], y: &mut [f32]) {
    let [a_len, b_len] = sizes(batch, a.len(), b.len(), y.len());
    for (i, y) in y.chunks_exact_mut((a_len + b_len).max(1)).enumerate() {
        let (to_a, to_b) = y.split_at_mut(a_len);
        copy(&a[i * a_len..(i + 1) * a_len], to_a);
        copy(&b[i * b_len..(i + 1) * b_len], to_b);
    }
}

/// The reverse of [`concat()`]: `a` and `b` are overwritten.
///
/// # Panics
/// If the lengths do not fit.
pub fn split(batch: usize, y: &[f32], a: &mut [f32], b: &mut [f32]) {
    let [a_len, b_len] = sizes(batch, a.len(), b.len(), y.len());
    for (i, y) in y.chunks_exact((a_len + b_len).max(1)).enumerate() {
        let (from_a, from_b) = y.split_at(a_len);
        copy(from_a, &mut a[i * a_len..(i + 1) * a_len]);
        copy(from_b, &mut b[i * b_len..(i + 1) * b_len]);
    }
}

fn copy(from: &[f32], to: &mut [f32]) {
    to.par_chunks_mut(CHUNK)
        .zip(from.par_chunks(CHUNK))
        .for_each(|(to, from)| to.copy_from_slice(from));
}

/// Numbers of one image in each.
#[track_caller]
fn sizes(batch: usize, a: usize, b: usize, y: usize) -> [usize; 2] {
    check("y", y, a + b);
    let size = |len: usize| len.checked_div(batch).unwrap_or(0);
    check("a", a, batch * size(a));
    check("b", b, batch * size(b));
    [size(a), size(b)]
}
