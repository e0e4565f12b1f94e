//! Convolutions and SiLU by shape. Throughput is in floating-point operations of a direct convolution, so `Gelem/s` reads
//! as GFLOP/s; Winograd's real count is smaller, and the number may exceed what the machine can do. For SiLU it is bytes
//! read and written.
//!
//! ```text
//! cargo bench -p tweedie-kernels -- 'conv3x3/16x64'
//! RAYON_NUM_THREADS=1 cargo bench -p tweedie-kernels
//! ```
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use tweedie_kernels::{ConvShape, FilmGradients, conv1x1, conv3x3, film_silu, film_silu_gradient};
use tweedie_kernels::{silu, silu_gradient};

/// Batch, channels in and out, rows, columns: training of the photo network, whole pictures, and ADM's U-Net.
const CONV3: [[usize; 5]; 17] = [
    [16, 64, 64, 32, 32],
    [16, 128, 128, 16, 16],
    [16, 256, 256, 8, 8],
    [16, 12, 64, 32, 32],
    [16, 64, 12, 32, 32],
    [1, 64, 64, 128, 128],
    [1, 64, 64, 375, 500],
    [1, 128, 128, 187, 250],
    [1, 256, 256, 94, 125],
    [1, 128, 128, 256, 256],
    [1, 256, 256, 64, 64],
    [1, 512, 512, 32, 32],
    [1, 512, 512, 8, 8],
    [1, 512, 512, 16, 16],
    [1, 256, 256, 32, 32],
    [1, 3, 128, 256, 256],
    [1, 128, 6, 256, 256],
];

const CONV1: [[usize; 5]; 4] = [
    [16, 256, 128, 16, 16],
    [16, 128, 256, 16, 16],
    [16, 512, 256, 8, 8],
    [1, 256, 128, 256, 256],
];

type Forward = fn(ConvShape, &[f32], &[f32], Option<&[f32]>, &mut [f32]);
type Gradient = fn(ConvShape, &[f32], &[f32], &mut [f32]);

fn convolutions(c: &mut Criterion) {
    let mut group = settings(c, "conv3x3");
    for shape in CONV3 {
        let to_weight = conv3x3::weight_gradient;
        convolution(
            &mut group,
            shape,
            3,
            conv3x3::forward,
            conv3x3::input_gradient,
            to_weight,
        );
    }
    group.finish();
    let mut group = settings(c, "conv1x1");
    for shape in CONV1 {
        let to_weight = conv1x1::weight_gradient;
        convolution(
            &mut group,
            shape,
            1,
            conv1x1::forward,
            conv1x1::input_gradient,
            to_weight,
        );
    }
    group.finish();
}

fn convolution(
    group: &mut BenchmarkGroup<'_, WallTime>,
    [batch, c_in, c_out, height, width]: [usize; 5],
    k: usize,
    forward: Forward,
    to_input: Gradient,
    to_weight: Gradient,
) {
    let s = ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    };
    let name = |what: &str| format!("{batch}x{c_in}->{c_out}@{height}x{width}/{what}");
    let (x, y) = (noise(s.x_len()), noise(s.y_len()));
    let w = noise(k * k * c_in * c_out);
    let (mut to_x, mut to_y, mut to_w) = (x.clone(), y.clone(), w.clone());
    group.throughput(Throughput::Elements(
        (2 * w.len() * batch * s.plane()) as u64,
    ));
    group.bench_function(name("forward"), |b| {
        b.iter(|| forward(s, &x, &w, None, &mut to_y))
    });
    group.bench_function(name("to input"), |b| {
        b.iter(|| to_input(s, &y, &w, &mut to_x))
    });
    group.bench_function(name("to weight"), |b| {
        b.iter(|| to_weight(s, &x, &y, &mut to_w))
    });
}

fn activations(c: &mut Criterion) {
    let mut group = settings(c, "16x64@32x32");
    let (x, dy) = (noise(16 * 64 * 1024), noise(16 * 64 * 1024));
    let (scale, shift) = (noise(16 * 64), noise(16 * 64));
    let (mut out, mut dscale, mut dshift) = (x.clone(), scale.clone(), shift.clone());
    group.throughput(Throughput::Bytes(8 * x.len() as u64));
    group.bench_function("silu", |b| b.iter(|| silu(&x, &mut out)));
    group.bench_function("film_silu", |b| {
        b.iter(|| film_silu(&x, &scale, &shift, &mut out))
    });
    group.throughput(Throughput::Bytes(12 * x.len() as u64));
    group.bench_function("silu gradient", |b| {
        b.iter(|| silu_gradient(&x, &dy, &mut out))
    });
    group.bench_function("film_silu gradient", |b| {
        b.iter(|| {
            let to = FilmGradients {
                dx: &mut out,
                dscale: &mut dscale,
                dshift: &mut dshift,
            };
            film_silu_gradient(&x, &scale, &shift, &dy, to);
        });
    });
    group.finish();
}

fn settings<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    group
}

fn noise(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5)
        .collect()
}

fn main() {
    // Inside the rayon pool, as a network should run.
    rayon::scope(|_| {
        let mut criterion = Criterion::default().configure_from_args();
        convolutions(&mut criterion);
        activations(&mut criterion);
        criterion.final_summary();
    });
}
