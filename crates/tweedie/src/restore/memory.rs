//! Refusing what does not fit into memory before it is taken.

/// So many numbers do not fit.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "this takes about {:.1} GiB of memory, more than there is; make the picture smaller, or cut it into parts",
    *bytes as f64 / (1u64 << 30) as f64
)]
pub struct NoRoom {
    /// What it would take.
    pub bytes: usize,
}

/// More than any machine that this runs on.
const MOST: usize = 1 << 40;

/// That so many f32 numbers can be had.
///
/// The memory is asked for and given back untouched, which costs nothing. Systems that promise more than they have refuse
/// only what is more than all of it.
///
/// # Errors
/// [`NoRoom`] if not.
pub fn ensure(numbers: usize) -> Result<(), NoRoom> {
    let bytes = numbers.saturating_mul(size_of::<f32>());
    let mut probe: Vec<u8> = Vec::new();
    match probe.try_reserve_exact(bytes) {
        // Some systems promise whatever is asked.
        _ if bytes > MOST => Err(NoRoom { bytes }),
        // Looked at, so that the allocation is not optimised away.
        Ok(()) if std::hint::black_box(&probe).capacity() >= bytes => Ok(()),
        _ => Err(NoRoom { bytes }),
    }
}
