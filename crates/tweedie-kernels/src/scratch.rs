//! Working memory that is used again, since fresh pages cost more than the arithmetic on small layers.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytemuck::{Pod, Zeroable};
use memmap2::{MmapMut, MmapOptions};

/// One cache line. Buffers are made of these, so that a vector never straddles two lines.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// From this many lines on a buffer is a mapping of its own, of huge pages where the system has them: with small ones the
/// rows of large maps miss the page table's cache all the time. 1 MiB.
const MAPPED_LINES: usize = 1 << 14;

/// Memory of a whole number of lines.
#[derive(Debug)]
enum Buffer {
    Lines(Vec<Line>),
    Mapped(MmapMut),
}

impl Buffer {
    fn new(lines: usize) -> Buffer {
        let mapped = || MmapOptions::new().len(lines * size_of::<Line>()).map_anon();
        match (lines >= MAPPED_LINES).then(mapped) {
            Some(Ok(mapped)) => {
                // Advice that the system does not take costs time and nothing else.
                #[cfg(target_os = "linux")]
                let _ = mapped.advise(memmap2::Advice::HugePage);
                Buffer::Mapped(mapped)
            }
            _ => Buffer::Lines(vec![Line([0.0; 16]); lines]),
        }
    }

    /// Number of lines.
    fn len(&self) -> usize {
        match self {
            Buffer::Lines(lines) => lines.len(),
            Buffer::Mapped(mapped) => mapped.len() / size_of::<Line>(),
        }
    }

    fn numbers(&self) -> &[f32] {
        match self {
            Buffer::Lines(lines) => bytemuck::cast_slice(lines),
            Buffer::Mapped(mapped) => bytemuck::cast_slice(mapped),
        }
    }

    fn numbers_mut(&mut self) -> &mut [f32] {
        match self {
            Buffer::Lines(lines) => bytemuck::cast_slice_mut(lines),
            Buffer::Mapped(mapped) => bytemuck::cast_slice_mut(mapped),
        }
    }
}

impl Default for Buffer {
    fn default() -> Buffer {
        Buffer::Lines(Vec::new())
    }
}

/// Idle buffers, the longest idle first. The lock is only held to take one or to give it back, never while a kernel runs.
static IDLE: Mutex<VecDeque<Buffer>> = Mutex::new(VecDeque::new());

/// Idle memory beyond this is freed: 1 GiB.
const KEPT_LINES: usize = 1 << 24;

/// Numbers on loan from a pool, 64-byte aligned, with arbitrary but initialised contents. They go back when dropped.
#[derive(Debug)]
pub struct Scratch {
    buffer: Buffer,
    len: usize,
}

impl Scratch {
    /// Takes `len` numbers.
    pub fn take(len: usize) -> Self {
        let wanted = len.div_ceil(16);
        let found = {
            let mut idle = idle();
            // A buffer of more than twice the size is better kept for whoever needs all of it.
            let fits = |b: &Buffer| b.len() >= wanted && b.len() <= 2 * wanted.max(1024);
            let best = (0..idle.len())
                .filter(|&i| fits(&idle[i]))
                .min_by_key(|&i| idle[i].len());
            best.and_then(|i| idle.remove(i))
        };
        let buffer = found.unwrap_or_else(|| Buffer::new(wanted));
        Self { buffer, len }
    }

    /// Frees all idle buffers.
    pub fn release_idle() {
        idle().clear();
    }
}

fn idle() -> MutexGuard<'static, VecDeque<Buffer>> {
    // Whoever panicked with the lock left a valid list behind.
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut idle = idle();
        idle.push_back(std::mem::take(&mut self.buffer));
        let mut kept: usize = idle.iter().map(Buffer::len).sum();
        while kept > KEPT_LINES {
            kept -= idle.pop_front().map_or(0, |b| b.len());
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.buffer.numbers()[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.buffer.numbers_mut()[..self.len]
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
