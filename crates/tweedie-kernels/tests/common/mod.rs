//! What the tests share.
#![allow(dead_code, unreachable_pub, reason = "no test file uses everything")]

/// Numbers in [-1, 1), the same for the same seed.
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// `|a - b| / |b|`
pub fn relative_error(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let error: f64 = a
        .iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - b).powi(2))
        .sum();
    let norm: f64 = b.iter().map(|b| b * b).sum();
    (error / norm.max(1e-30)).sqrt()
}

/// Runs `f` in a pool of `n` threads.
pub fn threads<T: Send>(n: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new()
        .num_threads(n)
        .build()
        .expect("a pool of threads")
        .install(f)
}

/// All tests of the file again on every narrower path than the machine's own.
#[test]
fn on_every_simd_path() {
    let this = std::env::current_exe().expect("the test's own program");
    for path in ["avx2", "scalar"] {
        let run = std::process::Command::new(&this)
            .args(["--skip", "on_every_simd_path"])
            .env("TWEEDIE_SIMD", path)
            .output()
            .expect("the test's own program starts");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "on path {path}:\n{said}");
    }
}
