//! Working memory that is used again, since fresh pages cost more than the arithmetic on small layers.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use bytemuck::{Pod, Zeroable};

/// One cache line. Buffers are made of these, so that a vector never straddles two lines.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Idle buffers. The lock is only held to take one or to give it back, never while a kernel runs.
static IDLE: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// Buffers beyond this count are freed: enough for a few per thread.
const KEPT: usize = 64;

/// Numbers on loan from the pool, 64-byte aligned, with arbitrary but initialised contents.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    pub(crate) fn take(len: usize) -> Self {
        let wanted = len.div_ceil(16);
        let found = {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |b: &Vec<Line>| b.len() >= wanted && b.len() <= 2 * wanted.max(1024);
            let best = (0..idle.len())
                .filter(|&i| fits(&idle[i]))
                .min_by_key(|&i| idle[i].len());
            best.map(|i| idle.swap_remove(i))
        };
        let lines = found.unwrap_or_else(|| vec![Line([0.0; 16]); wanted]);
        Self { lines, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == KEPT {
            // The oldest shape is the least likely to come again.
            idle.remove(0);
        }
        idle.push(std::mem::take(&mut self.lines));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_used_again() {
        let len = 1_234_567;
        let first = Scratch::take(len);
        let address = first.as_ptr();
        assert_eq!(address.align_offset(64), 0);
        assert_eq!(first.len(), len);
        drop(first);
        assert_eq!(Scratch::take(len - 7).as_ptr(), address);
    }
}
