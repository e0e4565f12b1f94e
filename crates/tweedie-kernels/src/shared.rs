//! One output slice, written by many tasks at places that interleave.
#![expect(
    unsafe_code,
    reason = "tiles of different tasks interleave in memory, so the output cannot be split into slices"
)]

use std::marker::PhantomData;

/// A mutable slice that several tasks may write to, each at its own places.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer stands for an exclusive borrow of plain numbers, and whoever takes a part of it with `part`
// promises that no other task holds an overlapping part.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            borrow: PhantomData,
        }
    }

    /// The `len` numbers from `at` on.
    ///
    /// # Safety
    /// While the result lives, no other part that overlaps it may be taken, by this or another thread.
    ///
    /// # Panics
    /// If the part does not lie inside the slice.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        reason = "exclusive use is what the caller promises"
    )]
    pub(crate) unsafe fn part(&self, at: usize, len: usize) -> &mut [f32] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: inside the borrowed slice by the assertion, not aliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }
    /// Asks for the line at `at`, which may lie beyond the end, in order to write to it.
    #[inline(always)]
    pub(crate) fn prefetch(&self, at: usize) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            // SAFETY: a prefetch of any address is harmless.
            unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.start.wrapping_add(at).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}
