//! Attention and its gradients against f64.

mod common;

use common::{noise, relative_error, threads};
use proptest::prelude::*;
use tweedie_kernels::{AttentionShape, attention, attention_gradient};

fn inputs(s: AttentionShape, size: f32) -> [Vec<f32>; 4] {
    [1, 2, 3, 4].map(|seed| noise(s.len(), seed).iter().map(|v| size * v).collect())
}

/// `y`, `dq`, `dk`, `dv`.
fn run(s: AttentionShape, size: f32) -> [Vec<f32>; 4] {
    let [q, k, v, dy] = inputs(s, size);
    let mut out = [(); 4].map(|()| vec![f32::NAN; s.len()]);
    let [y, dq, dk, dv] = &mut out;
    attention(s, &q, &k, &v, y);
    attention_gradient(s, [&q, &k, &v], &dy, [dq, dk, dv]);
    out
}

fn plain(s: AttentionShape, size: f32) -> [Vec<f64>; 4] {
    let [q, k, v, dy] = inputs(s, size).map(|t| t.into_iter().map(f64::from).collect::<Vec<_>>());
    let mut out = [(); 4].map(|()| vec![0.0; s.len()]);
    let scale = 1.0 / (s.depth as f64).sqrt();
    for head in 0..s.heads {
        let at = |c: usize, i: usize| (head * s.depth + c) * s.tokens + i;
        for i in 0..s.tokens {
            let dot = |j: usize| (0..s.depth).map(|c| q[at(c, i)] * k[at(c, j)]).sum::<f64>();
            let scores: Vec<f64> = (0..s.tokens).map(|j| scale * dot(j)).collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|v| (v - largest).exp()).sum();
            let p: Vec<f64> = scores.iter().map(|v| (v - largest).exp() / total).collect();
            let dp: Vec<f64> = (0..s.tokens)
                .map(|j| (0..s.depth).map(|c| v[at(c, j)] * dy[at(c, i)]).sum())
                .collect();
            let along: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for j in 0..s.tokens {
                let ds = scale * p[j] * (dp[j] - along);
                for c in 0..s.depth {
                    out[0][at(c, i)] += v[at(c, j)] * p[j];
                    out[1][at(c, i)] += ds * k[at(c, j)];
                    out[2][at(c, j)] += ds * q[at(c, i)];
                    out[3][at(c, j)] += p[j] * dy[at(c, i)];
                }
            }
        }
    }
    out
}

fn check(s: AttentionShape, size: f32) {
    let names = ["y", "dq", "dk", "dv"];
    for ((name, got), want) in names.iter().zip(run(s, size)).zip(plain(s, size)) {
        let error = relative_error(&got, &want);
        assert!(error < 3e-6, "{name} of {s:?} at {size}: {error:e}");
    }
}

const SMALL: AttentionShape = AttentionShape {
    heads: 3,
    depth: 64,
    tokens: 256,
};

#[test]
fn agrees_with_plain_loops() {
    check(SMALL, 1.0);
}

#[test]
fn large_scores_do_not_overflow() {
    let y = &run(SMALL, 1e3)[0];
    assert!(y.iter().all(|v| v.is_finite()));
}

#[test]
fn one_token_looks_at_itself() {
    let s = AttentionShape {
        heads: 2,
        depth: 5,
        tokens: 1,
    };
    let [y, dq, dk, dv] = run(s, 1.0);
    let [_, _, v, dy] = inputs(s, 1.0);
    assert_eq!((y, dv), (v, dy));
    assert!(dq.iter().chain(&dk).all(|v| v.abs() < 1e-6));
}

#[test]
fn same_bits_with_any_number_of_threads() {
    let [one, two, five] = [1, 2, 5].map(|n| threads(n, || run(SMALL, 1.0)));
    assert!(one == two && one == five);
}

#[test]
#[should_panic(expected = "`k` has 3 numbers")]
fn a_wrong_length_panics() {
    let s = AttentionShape {
        heads: 1,
        depth: 2,
        tokens: 2,
    };
    attention(s, &[0.0; 4], &[0.0; 3], &[0.0; 4], &mut [0.0; 4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn agrees_at_any_size(heads in 1_usize..4, depth in 1_usize..130, tokens in 2_usize..120) {
        check(AttentionShape { heads, depth, tokens }, 1.0);
    }
}
