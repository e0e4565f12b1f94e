//! The convolutions that halve or double a picture, against plain f64 loops; their gradients by their definition, that a
//! convolution is linear in its input and in its weight.

mod common;

use common::{noise, relative_error, threads};
use proptest::prelude::*;
use tweedie_kernels::{ConvShape, conv2x2, conv3x3::stride2};

/// A convolution as plain loops: for each product, indices of image, output channel, input channel, and into the planes
/// of output and input and the taps of a filter.
struct Plain {
    shape: ConvShape,
    /// Pixels of an output plane.
    plane: usize,
    taps: usize,
    /// Whether weights are `[c_in, c_out, ..]`.
    transposed: bool,
    products: Vec<[usize; 3]>,
}

impl Plain {
    fn stride2(shape: ConvShape) -> Plain {
        let (down, across) = (shape.height.div_ceil(2), shape.width.div_ceil(2));
        let mut products = Vec::new();
        for (i, j, k) in indices(down, across, 9) {
            let (row, column) = (2 * i + k / 3, 2 * j + k % 3);
            if (1..=shape.height).contains(&row) && (1..=shape.width).contains(&column) {
                products.push([i * across + j, (row - 1) * shape.width + column - 1, k]);
            }
        }
        let plane = down * across;
        Plain {
            shape,
            plane,
            taps: 9,
            transposed: false,
            products,
        }
    }

    fn transposed(shape: ConvShape) -> Plain {
        let products = indices(shape.height, shape.width, 4).map(|(i, j, k)| {
            let to = (2 * i + k / 2) * 2 * shape.width + 2 * j + k % 2;
            [to, i * shape.width + j, k]
        });
        Plain {
            shape,
            plane: 4 * shape.plane(),
            taps: 4,
            transposed: true,
            products: products.collect(),
        }
    }

    fn y_len(&self) -> usize {
        self.shape.batch * self.shape.c_out * self.plane
    }

    fn w_len(&self) -> usize {
        self.taps * self.shape.c_in * self.shape.c_out
    }

    /// Calls `f` with the places in `y`, `x` and `w` of each product.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let s = self.shape;
        for (n, o, c) in indices(s.batch, s.c_out, s.c_in) {
            let filter = if self.transposed {
                c * s.c_out + o
            } else {
                o * s.c_in + c
            };
            for [to, from, tap] in &self.products {
                f(
                    (n * s.c_out + o) * self.plane + to,
                    (n * s.c_in + c) * s.plane() + from,
                    filter * self.taps + tap,
                );
            }
        }
    }

    /// Output and gradients to input and weight.
    fn results(&self, x: &[f32], w: &[f32], bias: &[f32], dy: &[f32]) -> [Vec<f64>; 3] {
        let bias = |i: usize| f64::from(bias[i / self.plane % self.shape.c_out]);
        let mut y: Vec<f64> = (0..self.y_len()).map(bias).collect();
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        self.each(|to, from, tap| {
            y[to] += f64::from(x[from]) * f64::from(w[tap]);
            dx[from] += f64::from(dy[to]) * f64::from(w[tap]);
            dw[tap] += f64::from(dy[to]) * f64::from(x[from]);
        });
        [y, dx, dw]
    }

    fn inputs(&self) -> [Vec<f32>; 4] {
        let lengths = [
            self.shape.x_len(),
            self.w_len(),
            self.shape.c_out,
            self.y_len(),
        ];
        std::array::from_fn(|i| noise(lengths[i], i as u64 + 1))
    }

    fn kernels(&self) -> [Vec<f32>; 3] {
        let [x, w, bias, dy] = self.inputs();
        // Not zeros: what is left of earlier contents would show.
        let mut out = [dy.len(), x.len(), w.len()].map(|len| vec![f32::NAN; len]);
        let [y, dx, dw] = &mut out;
        if self.transposed {
            conv2x2::forward(self.shape, &x, &w, Some(&bias), y);
            conv2x2::input_gradient(self.shape, &dy, &w, dx);
            conv2x2::weight_gradient(self.shape, &x, &dy, dw);
        } else {
            stride2::forward(self.shape, &x, &w, Some(&bias), y);
            stride2::input_gradient(self.shape, &dy, &w, dx);
            stride2::weight_gradient(self.shape, &x, &dy, dw);
        }
        out
    }

    fn worst_error(&self) -> f64 {
        let [x, w, bias, dy] = self.inputs();
        let results = self.results(&x, &w, &bias, &dy);
        let errors = self
            .kernels()
            .into_iter()
            .zip(results)
            .map(|(ours, plain)| relative_error(&ours, &plain));
        errors.fold(0.0, f64::max)
    }
}

fn indices(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

fn both(shape: ConvShape) -> [Plain; 2] {
    [Plain::stride2(shape), Plain::transposed(shape)]
}

const LARGE: ConvShape = ConvShape {
    batch: 2,
    c_in: 40,
    c_out: 70,
    height: 33,
    width: 46,
};

#[test]
fn large_maps_agree_with_plain_loops() {
    for plain in both(LARGE) {
        let error = plain.worst_error();
        assert!(error < 3e-6, "{error:e}");
    }
}

#[test]
fn same_bits_with_any_number_of_threads() {
    for plain in both(LARGE) {
        let [one, two, five] = [1, 2, 5].map(|n| threads(n, || plain.kernels()));
        assert!(one == two && one == five);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn agree_at_any_size(batch in 1_usize..4, c_in in 1_usize..20, c_out in 1_usize..40, height in 1_usize..20, width in 1_usize..20) {
        for plain in both(ConvShape { batch, c_in, c_out, height, width }) {
            let error = plain.worst_error();
            prop_assert!(error < 3e-6, "{error:e}");
        }
    }
}
