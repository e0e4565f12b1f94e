//! Every kernel by shape, as a share of what the machine can do.
//!
//! Convolutions and attention: floating-point operations of the direct sum, over the rate of multiply-adds in registers.
//! Winograd's transforms need up to four times fewer, so that theirs may exceed 100 %. Everything else: bytes read and
//! written, over the rate of a large copy; what fits the caches may exceed it.
//!
//! ```text
//! cargo bench -p tweedie-kernels -- 'conv3x3/16x64'
//! RAYON_NUM_THREADS=1 TWEEDIE_SIMD=avx2 cargo bench -p tweedie-kernels
//! ```
#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

mod ceiling;

use std::time::Duration;

use ceiling::OfCeiling;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use tweedie_kernels::{
    AttentionShape, ConvShape, FilmGradients, GroupNorm, NormGradients, add, attention,
    attention_gradient, concat, conv1x1, conv2x2, conv3x3, film_silu, film_silu_gradient,
    pixel_shuffle, pixel_unshuffle, pool, silu, silu_gradient, spread,
};

/// Batch, channels in and out, rows, columns: training of the photo network, whole pictures, and ADM's U-Net.
const CONV3: [[usize; 5]; 18] = [
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
    [1, 256, 128, 256, 256],
    [1, 256, 256, 64, 64],
    [1, 512, 512, 32, 32],
    [1, 512, 512, 8, 8],
    [1, 512, 512, 16, 16],
    [1, 256, 256, 32, 32],
    [1, 3, 128, 256, 256],
    [1, 128, 6, 256, 256],
];

const CONV1: [[usize; 5]; 5] = [
    [16, 256, 128, 16, 16],
    [16, 128, 256, 16, 16],
    [16, 512, 256, 8, 8],
    [1, 256, 128, 256, 256],
    [1, 1024, 512, 16, 16],
];

const RESIZED: [[usize; 5]; 2] = [[1, 128, 128, 256, 256], [16, 64, 128, 32, 32]];

type Forward = fn(ConvShape, &[f32], &[f32], Option<&[f32]>, &mut [f32]);
type Gradient = fn(ConvShape, &[f32], &[f32], &mut [f32]);
type Group<'a> = BenchmarkGroup<'a, OfCeiling>;

/// A family of convolutions: its three functions, the taps of a filter, and the pixels of an output plane.
struct Family {
    name: &'static str,
    forward: Forward,
    to_input: Gradient,
    to_weight: Gradient,
    taps: usize,
    plane: fn(&ConvShape) -> usize,
    /// Multiply-adds for each pair of channels.
    products: fn(&ConvShape) -> usize,
}

const SAME3: Family = Family {
    name: "conv3x3",
    forward: conv3x3::forward,
    to_input: conv3x3::input_gradient,
    to_weight: conv3x3::weight_gradient,
    taps: 9,
    plane: |s| s.plane(),
    products: |s| 9 * s.plane(),
};

const SAME1: Family = Family {
    name: "conv1x1",
    forward: conv1x1::forward,
    to_input: conv1x1::input_gradient,
    to_weight: conv1x1::weight_gradient,
    taps: 1,
    plane: |s| s.plane(),
    products: |s| s.plane(),
};

const HALVED: Family = Family {
    name: "conv3x3 stride 2",
    forward: conv3x3::stride2::forward,
    to_input: conv3x3::stride2::input_gradient,
    to_weight: conv3x3::stride2::weight_gradient,
    taps: 9,
    plane: |s| s.height.div_ceil(2) * s.width.div_ceil(2),
    products: |s| 9 * s.height.div_ceil(2) * s.width.div_ceil(2),
};

const DOUBLED: Family = Family {
    name: "conv2x2 transposed",
    forward: conv2x2::forward,
    to_input: conv2x2::input_gradient,
    to_weight: conv2x2::weight_gradient,
    taps: 4,
    plane: |s| 4 * s.plane(),
    products: |s| 4 * s.plane(),
};

fn convolutions(c: &mut Criterion<OfCeiling>, family: &Family, shapes: &[[usize; 5]]) {
    let mut group = settings(c, family.name);
    for &[batch, c_in, c_out, height, width] in shapes {
        let s = ConvShape {
            batch,
            c_in,
            c_out,
            height,
            width,
        };
        let name = |what: &str| format!("{batch}x{c_in}->{c_out}@{height}x{width}/{what}");
        let pairs = c_in * c_out;
        let (x, w) = (noise(s.x_len()), noise(family.taps * pairs));
        let y = noise(batch * c_out * (family.plane)(&s));
        let (mut to_x, mut to_y, mut to_w) = (x.clone(), y.clone(), w.clone());
        let work = 2 * batch * pairs * (family.products)(&s);
        group.throughput(Throughput::Elements(work as u64));
        group.bench_function(name("forward"), |b| {
            b.iter(|| (family.forward)(s, &x, &w, None, &mut to_y))
        });
        group.bench_function(name("to input"), |b| {
            b.iter(|| (family.to_input)(s, &y, &w, &mut to_x))
        });
        group.bench_function(name("to weight"), |b| {
            b.iter(|| (family.to_weight)(s, &x, &y, &mut to_w))
        });
    }
}

fn attentions(c: &mut Criterion<OfCeiling>) {
    let mut group = settings(c, "attention");
    for [heads, depth, tokens] in [[8, 64, 256], [8, 64, 1024]] {
        let shape = AttentionShape {
            heads,
            depth,
            tokens,
        };
        let [q, k, v, dy] = [(); 4].map(|()| noise(shape.len()));
        let [mut dq, mut dk, mut dv, mut out] = [(); 4].map(|()| noise(shape.len()));
        let work = (4 * heads * depth * tokens * tokens) as u64;
        let name = |what: &str| format!("{heads}x{depth}x{tokens}/{what}");
        group.throughput(Throughput::Elements(work));
        group.bench_function(name("forward"), |b| {
            b.iter(|| attention(shape, &q, &k, &v, &mut out))
        });
        group.throughput(Throughput::Elements(5 * work / 2));
        group.bench_function(name("gradient"), |b| {
            b.iter(|| attention_gradient(shape, [&q, &k, &v], &dy, [&mut dq, &mut dk, &mut dv]));
        });
    }
}

/// Everything that memory limits: 16x64@32x32, as in training, and 1x128@256x256.
fn passes(c: &mut Criterion<OfCeiling>) {
    for [n, channels, side] in [[16, 64, 32], [1, 128, 256]] {
        let mut group = settings(c, &format!("{n}x{channels}@{side}x{side}"));
        let len = n * channels * side * side;
        let (x, dy, mut out) = (noise(len), noise(len), noise(len));
        let (scale, shift) = (noise(n * channels), noise(n * channels));
        let (mut dscale, mut dshift) = (scale.clone(), shift.clone());
        let norm = GroupNorm {
            groups: 32,
            eps: 1e-5,
            scale: &scale,
            shift: &shift,
            silu: true,
        };
        let mut pass = |name: &str, tensors: f64, run: &mut dyn FnMut(&mut [f32])| {
            group.throughput(Throughput::Bytes((4.0 * tensors * len as f64) as u64));
            group.bench_function(name, |b| b.iter(|| run(&mut out)));
        };
        pass("silu", 2.0, &mut |y| silu(&x, y));
        pass("silu gradient", 3.0, &mut |dx| silu_gradient(&x, &dy, dx));
        pass("film + silu", 2.0, &mut |y| {
            film_silu(&x, &scale, &shift, y)
        });
        pass("film + silu gradient", 3.0, &mut |dx| {
            let (dscale, dshift) = (&mut dscale, &mut dshift);
            let to = FilmGradients { dx, dscale, dshift };
            film_silu_gradient(&x, &scale, &shift, &dy, to);
        });
        pass("group norm + silu", 2.0, &mut |y| norm.forward(n, &x, y));
        pass("group norm + silu gradient", 3.0, &mut |dx| {
            let (dscale, dshift) = (&mut dscale, &mut dshift);
            let to = NormGradients { dx, dscale, dshift };
            norm.gradient(n, &x, &dy, to);
        });
        pass("add", 3.0, &mut |y| add(&x, &dy, y));
        pass("concat", 2.0, &mut |y| {
            concat(n, &x[..len / 2], &dy[..len / 2], y);
        });
        let half = side / 2;
        pass("pixel unshuffle", 2.0, &mut |y| {
            pixel_unshuffle(half, half, &x, y)
        });
        pass("pixel shuffle", 2.0, &mut |y| {
            pixel_shuffle(half, half, &x, y)
        });
        pass("average pool", 1.25, &mut |y| {
            pool(half, half, 0.25, &x, &mut y[..len / 4]);
        });
        pass("nearest upsample", 1.25, &mut |y| {
            spread(half, half, 1.0, &x[..len / 4], y);
        });
    }
}

fn settings<'a>(c: &'a mut Criterion<OfCeiling>, name: &str) -> Group<'a> {
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
    // Inside the rayon pool, as networks run.
    rayon::scope(|_| {
        let mut criterion = Criterion::default()
            .with_measurement(OfCeiling::measure())
            .configure_from_args();
        convolutions(&mut criterion, &SAME3, &CONV3);
        convolutions(&mut criterion, &SAME1, &CONV1);
        convolutions(&mut criterion, &HALVED, &RESIZED);
        convolutions(&mut criterion, &DOUBLED, &RESIZED);
        attentions(&mut criterion);
        passes(&mut criterion);
        criterion.final_summary();
    });
}
