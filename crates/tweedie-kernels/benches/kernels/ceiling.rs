//! What the machine can do at most, measured, and throughput shown as a share of it.

use std::time::{Duration, Instant};

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Wall time. `Elements` are floating-point operations, `Bytes` what is read and written.
pub(crate) struct OfCeiling {
    /// Operations a nanosecond, that is GFLOP/s, of all threads.
    flops: f64,
    /// Bytes a nanosecond of a large copy, read and written.
    bytes: f64,
}

impl OfCeiling {
    /// Measures the machine; called from inside the pool.
    pub(crate) fn measure() -> Self {
        let ceiling = Self {
            flops: best(|| {
                (
                    rayon::broadcast(|_| Arch::new().dispatch(Fma)).iter().sum(),
                    (),
                )
            }),
            bytes: copies(),
        };
        println!(
            "ceiling: {:.0} GFLOP/s, {:.0} GB/s, {} threads\n",
            ceiling.flops,
            ceiling.bytes,
            rayon::current_num_threads()
        );
        ceiling
    }
}

/// The highest of several rates of a run that tells how much it did.
fn best<T>(mut run: impl FnMut() -> (f64, T)) -> f64 {
    let rate = |_| {
        let start = Instant::now();
        let (done, _) = run();
        done / start.elapsed().as_nanos() as f64
    };
    (0..20).map(rate).fold(0.0, f64::max)
}

fn copies() -> f64 {
    const LEN: usize = 1 << 25;
    let (from, mut to) = (vec![1.0_f32; LEN], vec![0.0_f32; LEN]);
    best(|| {
        to.par_chunks_mut(1 << 16)
            .zip(from.par_chunks(1 << 16))
            .for_each(|(to, from)| to.copy_from_slice(from));
        (8.0 * LEN as f64, ())
    })
}

/// Independent chains of multiply-adds in registers; answers with the number of operations.
struct Fma;

impl WithSimd for Fma {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const CHAINS: usize = 12;
        const ROUNDS: usize = 1 << 20;
        let (a, b) = (simd.splat_f32s(0.999), simd.splat_f32s(0.001));
        let mut sums = [b; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(a, *sum, b);
            }
        }
        std::hint::black_box(sums);
        (2 * CHAINS * ROUNDS * S::F32_LANES) as f64
    }
}

impl ValueFormatter for OfCeiling {
    fn format_throughput(&self, throughput: &Throughput, nanoseconds: f64) -> String {
        let (work, ceiling, unit) = self.of(throughput);
        let rate = work / nanoseconds;
        format!("{rate:.0} {unit} = {:.0} %", 100.0 * rate / ceiling)
    }

    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }

    fn scale_throughputs(
        &self,
        _: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let (work, _, unit) = self.of(throughput);
        values.iter_mut().for_each(|v| *v = work / *v);
        unit
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "ns"
    }
}

impl OfCeiling {
    fn of(&self, throughput: &Throughput) -> (f64, f64, &'static str) {
        match *throughput {
            Throughput::Elements(n) => (n as f64, self.flops, "GFLOP/s"),
            Throughput::Bytes(n) => (n as f64, self.bytes, "GB/s"),
            _ => unreachable!("the benches give operations or bytes"),
        }
    }
}

impl Measurement for OfCeiling {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        Instant::now()
    }

    fn end(&self, start: Instant) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}
