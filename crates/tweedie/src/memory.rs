//! Refusing what does not fit into memory before it is taken.

use std::fs;

/// So many numbers do not fit.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "this takes about {} of memory, more than {}; make the picture smaller, or cut it into parts",
    gib(*bytes), free.map_or("there is".to_owned(), |free| format!("the {} that are free", gib(free)))
)]
pub struct NoRoom {
    /// What it would take.
    pub bytes: usize,
    /// What there is, where the system tells.
    pub free: Option<usize>,
}

fn gib(bytes: usize) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// More than any machine that this runs on.
const MOST: usize = 1 << 40;

/// That so many f32 numbers can be had.
///
/// What Linux says is free is believed. Then the memory is asked for and given back untouched, which costs nothing: that finds
/// the limits of a process, and on other systems what is more than all there is.
///
/// # Errors
/// [`NoRoom`] if not.
pub fn ensure(numbers: usize) -> Result<(), NoRoom> {
    let bytes = numbers.saturating_mul(size_of::<f32>());
    let free = free();
    if bytes > MOST || free.is_some_and(|free| bytes > free) {
        return Err(NoRoom { bytes, free });
    }
    let mut probe: Vec<u8> = Vec::new();
    match probe.try_reserve_exact(bytes) {
        // Looked at, so that the allocation is not optimised away.
        Ok(()) if std::hint::black_box(&probe).capacity() >= bytes => Ok(()),
        _ => Err(NoRoom { bytes, free: None }),
    }
}

/// Memory and swap that are free or can be freed, and no more than a container may take, in bytes; `None` where the system does
/// not tell.
fn free() -> Option<usize> {
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let free = in_meminfo(&info)?;
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit = limit.and_then(|text| text.trim().parse().ok());
    Some(limit.map_or(free, |limit| free.min(limit)))
}

/// `MemAvailable` and `SwapFree`, which are in KiB.
fn in_meminfo(info: &str) -> Option<usize> {
    let field = |name: &str| -> Option<usize> {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let kib = field("MemAvailable:")? + field("SwapFree:").unwrap_or(0);
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read_and_told() {
        let info = "MemTotal:  100 kB\nMemFree:  7 kB\nMemAvailable:   64 kB\nSwapFree:  8 kB\n";
        assert_eq!(in_meminfo(info), Some(72 * 1024));
        assert_eq!(in_meminfo("MemTotal: 100 kB"), None);
        assert!(ensure(1000).is_ok());
        let error = ensure(MOST).unwrap_err().to_string();
        assert!(
            error.contains("takes about 4096.0 GiB of memory, more than"),
            "{error}"
        );
        assert!(ensure(usize::MAX).is_err());
    }
}
