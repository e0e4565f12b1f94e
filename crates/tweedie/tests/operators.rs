//! Every operator against its own dense matrix, and the routes to one answer against each other.

use nalgebra::{DMatrix, DVector};
use ndarray::{Array2, Array3, s};
use proptest::prelude::*;
use tweedie::noise::{NoiseSource, Seeded};
use tweedie::operator::cg::{self, Params};
use tweedie::operator::mask::{BoxSpec, Extent};
use tweedie::operator::{
    Basis, Bayer, Blocks, Blur, Boundary, Compose, Ct, Decimate, Downsample, Edges, Gain, GainMap,
    Gray, GrayWeights, Hadamard, Identity, Kernel, Lanczos, Linear, Mask, Matrix, Mosaic, Operator,
    Ratio, Spec, Spectrum, Stack, Transform, ValidBlur, VaryingBlur, lanczos, norm, spectrum,
};
use tweedie::{Dims, Image};

const BOUNDARIES: [Boundary; 3] = [Boundary::Circular, Boundary::Symmetric, Boundary::Reflect];
const RHOS: [f64; 4] = [1e-6, 1e-3, 1.0, 1e3];

/// A kernel without any symmetry, its largest tap at the origin, so that the blur is well conditioned.
fn lopsided(h: usize, w: usize) -> Kernel {
    Kernel::new(Array2::from_shape_fn((h, w), |(i, j)| {
        let near = i.abs_diff(h / 2) + j.abs_diff(w / 2);
        (1.0 + 0.3 * i as f64 + 0.1 * (i * j) as f64) / (1 + 4 * near * near) as f64
    }))
    .unwrap()
}

fn noise(dims: Dims, seed: u64) -> Image {
    Seeded::new(seed, "test").normal(1, dims)
}

struct Case {
    name: String,
    operator: Box<dyn Operator>,
    /// Without conjugate gradients, whose tolerance is 1e-6 of the residual.
    closed: bool,
    /// Whether `A A^+ A = A`: not for blurs that lose frequencies.
    exact_inverse: bool,
}

fn case(
    name: String,
    operator: impl Operator + 'static,
    closed: bool,
    exact_inverse: bool,
) -> Case {
    Case {
        name,
        operator: Box::new(operator),
        closed,
        exact_inverse,
    }
}

/// Odd and even sides, also of one pixel; one to three channels.
fn dims() -> Vec<Dims> {
    [(1, 8, 6), (3, 5, 7), (2, 1, 9), (1, 4, 1), (2, 6, 9)]
        .map(|(c, h, w)| Dims::new(c, h, w))
        .to_vec()
}

fn pointwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for d in dims() {
        cases.push(case(
            format!("identity {d}"),
            Identity::new(d).unwrap(),
            true,
            true,
        ));
        let random = Mask::random(d, 0.4, 7).unwrap();
        cases.push(case(format!("random mask {d}"), random, true, true));
        let picture = noise(d, 5).remove_axis(ndarray::Axis(0));
        let colours = Mask::new(d, picture.view(), 0.0).unwrap();
        cases.push(case(
            format!("mask of {} channels {d}", d.c),
            colours,
            true,
            true,
        ));
        let gray = Gray::new(d, GrayWeights::Mean).unwrap();
        cases.push(case(format!("gray {d}"), gray, true, true));
        // Four tenths of them 0.
        let gains = picture.mapv(|v| if v > -0.25 { 0.3 + v.abs() } else { 0.0 });
        let one = gains.slice(ndarray::s![..1, .., ..]).mapv(|g| g + 0.1);
        let one = GainMap::new(d, one).unwrap();
        cases.push(case(format!("gain {d}"), one, true, true));
        let each = GainMap::new(d, gains).unwrap();
        cases.push(case(
            format!("gains of {} channels {d}", d.c),
            each,
            true,
            true,
        ));
    }
    for weights in [GrayWeights::Luma, GrayWeights::Rgb([0.0, 1.5, 0.25])] {
        let gray = Gray::new(Dims::new(3, 4, 5), weights).unwrap();
        cases.push(case(format!("gray by {weights}"), gray, true, true));
    }
    for (pattern, (h, w)) in Bayer::ALL.into_iter().zip([(1, 1), (4, 6), (5, 7), (1, 4)]) {
        let mosaic = Mosaic::new(Dims::new(3, h, w), pattern).unwrap();
        cases.push(case(
            format!("mosaic {pattern} {h}x{w}"),
            mosaic,
            true,
            true,
        ));
    }
    cases
}

fn blurs() -> Vec<Case> {
    let mut cases = Vec::new();
    for d in dims() {
        for boundary in BOUNDARIES {
            for (name, kernel) in [
                ("3x3", lopsided(3, 3)),
                ("2x4", lopsided(2, 4)),
                ("gaussian", Kernel::gaussian(0.5, None).unwrap()),
                ("oblique", Kernel::motion(3.0, 30.0).unwrap()),
            ] {
                let closed = boundary == Boundary::Circular
                    || boundary == Boundary::Symmetric && kernel.is_even();
                let name = format!("{boundary} blur {name} {d}");
                let blur = Blur::new(d, kernel, boundary).unwrap();
                cases.push(case(name, blur, closed, false));
            }
        }
        for edges in [
            Edges::Auto,
            Boundary::Reflect.into(),
            Boundary::Circular.into(),
        ] {
            let row = |size| vec![lopsided(3, size), Kernel::motion(3.0, 30.0).unwrap()];
            let field = [row(3), row(2)];
            let blur = VaryingBlur::new(d, &field, edges).unwrap();
            cases.push(case(
                format!("{edges} varying blur {d}"),
                blur,
                false,
                false,
            ));
        }
        let field = [vec![lopsided(3, 3)], vec![lopsided(2, 4)]];
        let canvas = Dims::new(d.c, d.h + 3, d.w + 4);
        let blur = VaryingBlur::new(canvas, &field, Edges::Unknown).unwrap();
        cases.push(case(
            format!("unknown varying blur {canvas}"),
            blur,
            false,
            false,
        ));
        for (name, kernel) in [("3x3", lopsided(3, 3)), ("2x4", lopsided(2, 4))] {
            let blur = || ValidBlur::new(d, &kernel).unwrap();
            let part = Array3::from_shape_fn((d.c, d.h, d.w), |(c, i, j)| (c + i + j) % 3 != 1);
            let believing = blur().believing(part).unwrap();
            cases.push(case(format!("valid blur {name} {d}"), blur(), false, false));
            let name = format!("valid blur {name} of a part of {d}");
            cases.push(case(name, believing, false, false));
        }
    }
    cases
}

fn downsamplings() -> Vec<Case> {
    let mut cases = Vec::new();
    for d in dims()
        .into_iter()
        .chain([Dims::new(1, 12, 8), Dims::new(1, 9, 16)])
    {
        for s in 1..=4 {
            let bicubic = Downsample::bicubic(d, s).unwrap();
            cases.push(case(format!("bicubic /{s} {d}"), bicubic, true, true));
            let average = Downsample::average(d, s).unwrap();
            cases.push(case(format!("average /{s} {d}"), average, true, true));
            // Sizes that do not divide the image's.
            let size = |n: usize| n.min((n + s).div_ceil(s));
            let size = (size(d.h), size(d.w));
            let name = format!("to {size:?} {d}");
            let bicubic = Downsample::bicubic_to(d, size).unwrap();
            cases.push(case(format!("bicubic {name}"), bicubic, true, true));
            let average = Downsample::average_to(d, size).unwrap();
            cases.push(case(format!("average {name}"), average, true, true));
            for boundary in BOUNDARIES {
                let divisible = d.h.is_multiple_of(s) && d.w.is_multiple_of(s);
                let closed = boundary == Boundary::Circular && divisible;
                for (h, w) in [(3, 3), (4, 2)] {
                    let name = format!("{boundary} {h}x{w} every {s} {d}");
                    let op = Decimate::new(d, lopsided(h, w), boundary, s).unwrap();
                    cases.push(case(name, op, closed, true));
                    if let Ok(op) =
                        Decimate::with_offset(d, lopsided(h, w), boundary, s, s.min(3) - 1)
                    {
                        let name =
                            format!("{boundary} {h}x{w} every {s} from {} {d}", s.min(3) - 1);
                        cases.push(case(name, op, closed, true));
                    }
                }
            }
        }
    }
    cases
}

fn chains() -> Vec<Case> {
    let d = Dims::new(3, 6, 8);
    let gray = || Box::new(Gray::new(d, GrayWeights::Luma).unwrap());
    let one = Dims { c: 1, ..d };
    let blur = |d| Box::new(Blur::new(d, lopsided(3, 3), Boundary::Circular).unwrap());
    let down = |d| Box::new(Downsample::bicubic(d, 2).unwrap());
    let half = Dims::new(3, 3, 4);
    let average = Box::new(Downsample::average(d, 2).unwrap());
    let mask = Box::new(Mask::random(half, 0.3, 1).unwrap());
    let mosaic = || Box::new(Mosaic::new(d, Bayer::Grbg).unwrap());
    let chain = |steps| Compose::new(steps).unwrap();
    vec![
        case(
            "gray, blur".into(),
            chain(vec![gray(), blur(one)]),
            true,
            false,
        ),
        case(
            "gray, bicubic".into(),
            chain(vec![gray(), down(one)]),
            true,
            true,
        ),
        case(
            "average, blur".into(),
            chain(vec![average, blur(half)]),
            true,
            false,
        ),
        case(
            "blur, bicubic".into(),
            chain(vec![blur(d), down(d)]),
            false,
            true,
        ),
        case(
            "bicubic, mask".into(),
            chain(vec![down(d), mask]),
            false,
            true,
        ),
        case("blur alone".into(), chain(vec![blur(d)]), true, false),
        case(
            "mosaic, bicubic".into(),
            chain(vec![mosaic(), down(one)]),
            true,
            true,
        ),
        case(
            "blur, mosaic".into(),
            chain(vec![blur(d), mosaic()]),
            false,
            true,
        ),
    ]
}

/// Compressed sensing, of sides that are powers of two and others; matrices that are wide, tall, of less than full rank.
fn sensing() -> Vec<Case> {
    let mut cases = Vec::new();
    for d in dims() {
        for (part, scrambled) in [(0.4, true), (1.0, true), (0.5, false)] {
            let ratio = Ratio::new(part).unwrap();
            let hadamard = Hadamard::new(d, ratio, scrambled, 3).unwrap();
            let name = format!("of {part} {scrambled} {d}");
            cases.push(case(format!("hadamard {name}"), hadamard, true, true));
            for basis in [Basis::Dct, Basis::Dft] {
                let transform = Transform::new(d, basis, ratio, scrambled, 3).unwrap();
                cases.push(case(format!("{basis:?} {name}"), transform, true, true));
            }
        }
        for side in [3, 32] {
            let blocks = Blocks::new(d, side, Ratio::new(0.5).unwrap(), 3).unwrap();
            cases.push(case(format!("blocks of {side} {d}"), blocks, true, true));
        }
        for rows in [1, d.len() / 2, 2 * d.len()] {
            let rows = rows.max(1);
            let gaussian = Matrix::gaussian(d, rows, 3).unwrap();
            cases.push(case(format!("gaussian {rows} {d}"), gaussian, false, true));
            let name = format!("ill-conditioned {rows} {d}");
            let ill = Matrix::ill_conditioned(d, rows, 30.0, false, 3).unwrap();
            cases.push(case(name, ill, true, true));
        }
        let rows = d.len().div_ceil(2);
        let correlated = Matrix::correlated(d, rows, 0.4, false, 3).unwrap();
        cases.push(case(format!("correlated {d}"), correlated, false, true));
        // A row twice, a row of zeros, and rows of other lengths.
        let mut entries = Array2::from_shape_fn((5, d.len()), |(i, j)| {
            ((i * 7 + j * j + 3 * i * j) as f32).sin()
        });
        let first = entries.row(0).to_owned();
        entries.row_mut(1).assign(&first);
        entries.row_mut(2).fill(0.0);
        entries.row_mut(3).mapv_inplace(|v| 3.0 * v);
        let matrix = Matrix::new(d, entries).unwrap();
        cases.push(case(
            format!("matrix of less than full rank {d}"),
            matrix,
            false,
            true,
        ));
    }
    cases
}

/// Scanners: with one coil in closed form.
fn scanners() -> Vec<Case> {
    let mut cases = Vec::new();
    for d in [(2, 8, 6), (4, 5, 7), (2, 1, 9), (2, 7, 4)].map(|(c, h, w)| Dims::new(c, h, w)) {
        for pictures in ["real", "complex"] {
            for (coils, closed) in [("one", true), ("simulated:6", false)] {
                for sampling in ["full", "gaussian2d:1.5:0.3", "uniform1d:1.5:0.2"] {
                    let text = format!(
                        "kind = 'mri'\nsampling = '{sampling}'\ncoils = '{coils}'\npictures = '{pictures}'\nseed = 5"
                    );
                    let spec: Spec = toml::from_str(&text).unwrap();
                    cases.push(Case {
                        name: format!("mri, {sampling}, {coils}, {pictures} {d}"),
                        operator: spec.build(d).unwrap(),
                        closed,
                        exact_inverse: closed,
                    });
                }
            }
        }
    }
    for d in dims() {
        for (angles, arc, detectors) in [(3, 180.0, 5), (4, 100.0, 6)] {
            let ct = Ct::new(d, angles, arc, detectors).unwrap();
            cases.push(case(format!("ct, {angles} angles {d}"), ct, false, true));
        }
    }
    cases
}

fn all() -> Vec<Case> {
    [
        pointwise(),
        blurs(),
        downsamplings(),
        chains(),
        sensing(),
        scanners(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn linear(operator: &dyn Operator) -> &dyn Linear {
    operator.linear().expect("all of them are")
}

/// The matrix, column by column.
fn dense(operator: &dyn Operator) -> DMatrix<f64> {
    let (n, m) = (operator.input().len(), operator.output().len());
    let mut matrix = DMatrix::zeros(m, n);
    for j in 0..n {
        let mut unit = Image::zeros(operator.input().batch(1));
        unit.as_slice_mut().unwrap()[j] = 1.0;
        matrix.set_column(j, &vector(&operator.apply(&unit)));
    }
    matrix
}

fn vector(x: &Image) -> DVector<f64> {
    DVector::from_iterator(x.len(), x.iter().map(|&v| f64::from(v)))
}

fn distance(x: &Image, y: &DVector<f64>) -> f64 {
    (vector(x) - y).norm()
}

/// `<A x, u> = <x, A^T u>` to 1e-6 of the norms: f32 rounding is 1e-7. An adjoint that crops where it should fold, or
/// repeats where it should divide, is off by percents.
#[test]
fn adjoints() {
    for Case { name, operator, .. } in all() {
        let (x, u) = (noise(operator.input(), 1), noise(operator.output(), 2));
        let operator = linear(&*operator);
        let (ax, atu) = (operator.apply(&x), operator.adjoint(&u));
        let (left, right) = (vector(&ax).dot(&vector(&u)), vector(&x).dot(&vector(&atu)));
        let size = vector(&ax).norm() * vector(&u).norm() + 1e-3;
        assert!(
            (left - right).abs() < 1e-6 * size,
            "{name}: {left} is not {right}"
        );
    }
}

/// The prox against the normal equations, solved densely in f64, for a measurement that the operator cannot explain.
///
/// Rounding `y - A z` to f32 may be amplified by `|A^T (A A^T + rho)^-1| <= 1/(2 sqrt(rho))`; so may what conjugate
/// gradients leave of the residual, 1e-6, and of what they apply the operator to, which is as large as the answer. The published block-FFT form in f32 errs by 0.66 at rho = 1e-8, a mirrored
/// kernel, another boundary or a shift by one tap by 0.1 and more.
#[test]
fn prox_is_the_dense_solution() {
    for Case {
        name,
        operator,
        closed,
        ..
    } in all()
    {
        let operator = linear(&*operator);
        let a = dense(operator);
        let (y, z) = (noise(operator.output(), 3), noise(operator.input(), 4));
        for rho in RHOS {
            let x = operator.prox(&y, &z, rho);
            let gram = a.transpose() * &a + DMatrix::identity(a.ncols(), a.ncols()) * rho;
            let right = a.transpose() * vector(&y) + vector(&z) * rho;
            let expected = gram.lu().solve(&right).unwrap();
            let amplified = (1.0 / (2.0 * rho.sqrt())).min(1.0 / rho);
            let (unit, answer) = if closed {
                (5e-8, 0.0)
            } else {
                (4e-7, expected.norm())
            };
            let size = vector(&y).norm() + vector(&z).norm() + answer;
            let mut tolerance = unit * (1.0 + amplified) * size;
            if !closed {
                // Operators see the vectors of conjugate gradients rounded, also where no picture explains them.
                let small = &a * a.transpose() + DMatrix::identity(a.nrows(), a.nrows()) * rho;
                let q = small.lu().solve(&(vector(&y) - &a * vector(&z))).unwrap();
                tolerance += f64::from(f32::EPSILON) * a.norm() * q.norm();
            }
            let error = distance(&x, &expected);
            assert!(
                error < tolerance,
                "{name}, rho {rho}: {error:.2e} off, {tolerance:.2e} allowed"
            );
        }
    }
}

/// The middle of a scene that was blurred under any boundary is what a blur without one records, whatever lies further away
/// than the kernel reaches; zeros around a kernel reach for nothing. Wrong: margins the wrong way round, which a kernel with
/// even sides or an origin beside its middle tells.
#[test]
fn what_lies_beyond_the_reach_has_no_influence() {
    let scene = Dims::new(2, 19, 23);
    let mut padded = Array2::zeros((9, 7));
    padded
        .slice_mut(s![5..7, 1..5])
        .assign(lopsided(2, 4).taps());
    for (kernel, reach) in [
        (lopsided(3, 3), [1, 1, 1, 1]),
        (lopsided(4, 2), [1, 2, 0, 1]),
        (Kernel::new(padded).unwrap(), [2, 0, 1, 2]),
    ] {
        let x = noise(scene, 21);
        let picture = Dims::new(2, 7, 8);
        let blur = ValidBlur::new(picture, &kernel).unwrap();
        let margins = blur.margins();
        let found = [margins.top, margins.bottom, margins.left, margins.right];
        assert_eq!(found, reach, "{kernel:?}");
        let part = s![
            ..,
            ..,
            6 - margins.top..6 + picture.h + margins.bottom,
            7 - margins.left..7 + picture.w + margins.right
        ];
        let seen = blur.apply(&x.slice(part).to_owned());
        for boundary in BOUNDARIES {
            let all = Blur::new(scene, kernel.clone(), boundary)
                .unwrap()
                .apply(&x);
            let expected = all.slice(s![.., .., 6..13, 7..15]);
            let error = (&seen - &expected)
                .iter()
                .fold(0.0f32, |m, e| m.max(e.abs()));
            assert!(error < 1e-6, "{kernel:?}, {boundary}: {error}");
        }
    }
}

/// It is a circular blur of the canvas of which a mask hides what wraps round, also to the prox: to 1e-4, where believing
/// what wraps round is off by 0.1.
#[test]
fn a_valid_blur_is_a_circular_one_behind_a_mask() {
    let (picture, kernel) = (Dims::new(1, 12, 10), lopsided(3, 5));
    let blur = ValidBlur::new(picture, &kernel).unwrap();
    let (canvas, margins) = (blur.input(), blur.margins());
    let inside = |i: usize, j: usize| {
        let row = (margins.top..margins.top + picture.h).contains(&i);
        row && (margins.left..margins.left + picture.w).contains(&j)
    };
    let known = Array3::from_shape_fn((1, canvas.h, canvas.w), |(_, i, j)| {
        inside(i, j) as u8 as f32
    });
    let chain = Compose::new(vec![
        Box::new(Blur::new(canvas, kernel, Boundary::Circular).unwrap()),
        Box::new(Mask::new(canvas, known.view(), 0.5).unwrap()),
    ])
    .unwrap();
    let (y, z) = (noise(canvas, 22), noise(canvas, 23));
    let recorded = margins.crop(y.clone());
    for rho in [1e-3, 1e-1] {
        let (a, b) = (blur.prox(&recorded, &z, rho), chain.prox(&y, &z, rho));
        let error = (&a - &b).iter().fold(0.0f32, |m, e| m.max(e.abs()));
        assert!(error < 1e-4, "rho {rho}: {error}");
    }
}

/// What is left out of a measurement cannot change the answer; the same numbers, believed, change it.
#[test]
fn what_is_not_believed_does_not_count() {
    let picture = Dims::new(2, 9, 8);
    let kernel = lopsided(3, 3);
    let believed = Array3::from_shape_fn((2, 9, 8), |(c, i, j)| (c, i, j) != (1, 4, 4));
    let all = ValidBlur::new(picture, &kernel).unwrap();
    let part = ValidBlur::new(picture, &kernel).unwrap();
    let part = part.believing(believed).unwrap();
    let (y, z) = (noise(picture, 24), noise(all.input(), 25));
    let mut other = y.clone();
    other[[0, 1, 4, 4]] += 5.0;
    assert_eq!(part.prox(&y, &z, 0.01), part.prox(&other, &z, 0.01));
    assert_ne!(all.prox(&y, &z, 0.01), all.prox(&other, &z, 0.01));
    assert_eq!(part.recorded().unwrap().iter().filter(|k| !**k).count(), 1);
    let none = ValidBlur::new(picture, &kernel).unwrap();
    assert!(none.believing(Array3::from_elem((2, 9, 8), false)).is_err());
    let none = ValidBlur::new(picture, &kernel).unwrap();
    assert!(none.believing(Array3::from_elem((1, 9, 8), true)).is_err());
}

/// Undone, a blur is given margins, also in a chain, where they count in pixels of the first step's image; degrading keeps
/// the size unless it is asked not to assume anything.
#[test]
fn an_undone_blur_has_margins() {
    let spec = |text: &str| -> Spec { toml::from_str(text).unwrap() };
    let blur = "kind = 'blur'\nkernel = 'box:4'";
    let y = Dims::new(3, 10, 12);
    let auto = spec(blur);
    assert_eq!(auto.build(y).unwrap().output(), y);
    let undone = auto.undone();
    assert_eq!(undone, spec(&format!("{blur}\nboundary = 'unknown'")));
    let input = undone.input_for(y).unwrap();
    assert_eq!(input, Dims::new(3, 13, 15));
    let operator = undone.build(input).unwrap();
    assert_eq!(
        (operator.output(), operator.margins().within(input)),
        (y, Some(y))
    );
    let stated = spec(&format!("{blur}\nboundary = 'reflect'"));
    assert_eq!(stated.undone(), stated);
    assert!(undone.build(Dims::new(3, 3, 15)).is_err());

    let step = "{kind = 'blur', kernel = 'box:4'}";
    let half = "{kind = 'downsample', factor = 2}";
    for (steps, size, picture) in [
        (format!("{step}, {half}"), (23, 27), (20, 24)),
        (format!("{half}, {step}"), (26, 30), (20, 24)),
        (format!("{step}, {step}"), (16, 18), (10, 12)),
    ] {
        let chain = spec(&format!("kind = 'compose'\nsteps = [{steps}]")).undone();
        let input = chain.input_for(y).unwrap();
        assert_eq!((input.h, input.w), size, "{steps}");
        let operator = chain.build(input).unwrap();
        assert_eq!(operator.output(), y, "{steps}");
        let within = operator.margins().within(input).unwrap();
        assert_eq!((within.h, within.w), picture, "{steps}");
    }
}

/// `A A^+ A = A` to 1e-5: the average of blocks without its factor, or a phase of the up-sampling off, miss by 0.1.
#[test]
fn pseudo_inverse_explains_the_measurement() {
    for Case {
        name,
        operator,
        exact_inverse,
        ..
    } in all()
    {
        if !exact_inverse {
            continue;
        }
        let operator = linear(&*operator);
        let y = operator.apply(&noise(operator.input(), 5));
        let again = operator.apply(&operator.pseudo_inverse(&y));
        let error = (&again - &y).iter().fold(0.0f32, |m, e| m.max(e.abs()));
        assert!(error < 1e-5, "{name}: {error}");
    }
}

/// `A^+ A` is symmetric, hence orthogonal projection: `A^+` gives the smallest image. To 1e-5 of the norms; a guess by
/// interpolation, which explains the measurement as well, is off by 0.1.
#[test]
fn pseudo_inverse_projects_orthogonally() {
    for Case {
        name,
        operator,
        exact_inverse,
        ..
    } in all()
    {
        if !exact_inverse {
            continue;
        }
        let operator = linear(&*operator);
        let (x, z) = (noise(operator.input(), 6), noise(operator.input(), 7));
        let project = |x: &Image| vector(&operator.pseudo_inverse(&operator.apply(x)));
        let (left, right) = (project(&x).dot(&vector(&z)), vector(&x).dot(&project(&z)));
        let size = vector(&x).norm() * vector(&z).norm();
        assert!(
            (left - right).abs() < 1e-5 * size,
            "{name}: {left} is not {right}"
        );
    }
}

/// The pseudo-inverse of a blur is that of the matrix with its singular values below a thousandth cut off.
#[test]
fn pseudo_inverse_of_a_blur_is_truncated() {
    let d = Dims::new(1, 7, 12);
    for (kernel, boundary) in [
        // A box of 4 has zeros on 12 pixels; the Gaussian falls below a thousandth.
        (Kernel::uniform(4).unwrap(), Boundary::Circular),
        (Kernel::gaussian(1.5, None).unwrap(), Boundary::Symmetric),
    ] {
        let blur = Blur::new(d, kernel, boundary).unwrap();
        let svd = dense(&blur).svd(true, true);
        let cut = 1e-3 * svd.singular_values.max();
        assert!(svd.singular_values.min() < cut, "nothing to cut");
        let y = blur.apply(&noise(d, 8));
        let expected = svd.solve(&vector(&y), cut).unwrap();
        let error = distance(&blur.pseudo_inverse(&y), &expected);
        // y is rounded to 6e-8, and divided by a thousandth at most.
        assert!(error < 5e-4, "{boundary}: {error}");
    }
}

/// The closed forms against conjugate gradients on the same operator, at a size with many blocks and channels.
#[test]
fn conjugate_gradients_agree_with_the_closed_forms() {
    let d = Dims::new(3, 24, 36);
    let gray = Box::new(Gray::new(d, GrayWeights::Mean).unwrap());
    let one = Dims { c: 1, ..d };
    let gaussian = || Kernel::gaussian(1.2, None).unwrap();
    let operators: Vec<Box<dyn Operator>> = vec![
        Box::new(Mask::random(d, 0.5, 3).unwrap()),
        Box::new(Mosaic::new(d, Bayer::Rggb).unwrap()),
        Box::new(GainMap::vignette(d, 0.1).unwrap()),
        Box::new(Blur::new(d, lopsided(5, 4), Boundary::Circular).unwrap()),
        Box::new(Blur::new(d, gaussian(), Boundary::Symmetric).unwrap()),
        Box::new(Downsample::bicubic(d, 4).unwrap()),
        Box::new(Downsample::bicubic(d, 5).unwrap()),
        Box::new(Decimate::new(d, gaussian(), Boundary::Circular, 3).unwrap()),
        Box::new(Compose::new(vec![gray, Box::new(Downsample::average(one, 7).unwrap())]).unwrap()),
    ];
    let params = Params {
        tolerance: 1e-7,
        iterations: 1000,
    };
    for operator in operators {
        let operator = linear(&*operator);
        let (y, z) = (noise(operator.output(), 1), noise(operator.input(), 2));
        for rho in [1e-3, 0.1, 10.0] {
            let closed = operator.prox(&y, &z, rho);
            let (iterated, info) = cg::prox(operator, &y, &z, rho, params);
            assert!(info.converged, "{operator:?}: {info:?}");
            let error = distance(&iterated, &vector(&closed)) / vector(&closed).norm();
            assert!(error < 2e-6, "{operator:?}, rho {rho}: {error}");
        }
    }
}

/// Away from the edges bicubic down-sampling is a blur and every s-th pixel: the weight of offset o from pixel s*i is tap
/// 12 - o of 25. A correlation in place of the convolution, or another origin, is off by 0.1.
#[test]
fn bicubic_is_a_kernel_with_a_stride() {
    for s in 2..=3 {
        let (n, middle) = (24 * s, 12);
        let line = dense(&Downsample::bicubic(Dims::new(1, n, 1), s).unwrap());
        let weight = |tap: usize| {
            let column = (middle * s + 12).checked_sub(tap).unwrap();
            line[(middle, column)]
        };
        let taps = Array2::from_shape_fn((25, 25), |(i, j)| weight(i) * weight(j));
        let d = Dims::new(1, n, n);
        let x = noise(d, 9);
        let kernel = Kernel::new(taps).unwrap();
        let stride = Decimate::new(d, kernel, Boundary::Circular, s).unwrap();
        let (a, b) = (
            stride.apply(&x),
            Downsample::bicubic(d, s).unwrap().apply(&x),
        );
        for (i, j) in (4..20).flat_map(|i| (4..20).map(move |j| (i, j))) {
            let (a, b) = (a[[0, 0, i, j]], b[[0, 0, i, j]]);
            assert!((a - b).abs() < 1e-5, "x{s} at ({i}, {j}): {a} is not {b}");
        }
    }
}

/// To a half and a quarter it is the operator of the whole factor. At other ratios bicubic keeps a slope in its place, edge to
/// edge, to the fiftieth of a pixel that widening the cubic costs: 0.0008 here, where a tenth of a pixel would be 0.004.
#[test]
fn any_ratio_agrees_with_whole_factors_and_keeps_slopes() {
    let d = Dims::new(2, 24, 16);
    let x = noise(d, 5);
    for s in [2, 4] {
        let size = (24 / s, 16 / s);
        let pairs = [
            (Downsample::bicubic(d, s), Downsample::bicubic_to(d, size)),
            (Downsample::average(d, s), Downsample::average_to(d, size)),
        ];
        for (whole, any) in pairs {
            let (whole, any) = (whole.unwrap(), any.unwrap());
            assert!(distance(&any.apply(&x), &vector(&whole.apply(&x))) < 1e-6);
            let y = whole.apply(&x);
            assert!(distance(&any.guess(&y), &vector(&whole.guess(&y))) < 1e-6);
        }
    }
    let (h, w) = (96, 72);
    let slope = |h: usize, w: usize| {
        Image::from_shape_fn((1, 1, h, w), |(_, _, i, j)| {
            (i as f32 + 0.5) / h as f32 + 2.0 * (j as f32 + 0.5) / w as f32
        })
    };
    for (h1, w1) in [(64, 48), (90, 31), (55, 72)] {
        let bicubic = Downsample::bicubic_to(Dims::new(1, h, w), (h1, w1)).unwrap();
        let (small, expected) = (bicubic.apply(&slope(h, w)), slope(h1, w1));
        for (i, j) in (8..h1 - 8).flat_map(|i| (8..w1 - 8).map(move |j| (i, j))) {
            let off = small[[0, 0, i, j]] - expected[[0, 0, i, j]];
            assert!(off.abs() < 1e-3, "{h1}x{w1} at ({i}, {j}): off by {off}");
        }
    }
    assert!(Downsample::bicubic_to(d, (25, 16)).is_err());
    assert!(Downsample::bicubic_to(d, (0, 16)).is_err());
}

/// What is kept after a kernel is what the blur has from the offset on. Wrong: a kernel that is moved the other way.
#[test]
fn an_offset_keeps_other_pixels() {
    let d = Dims::new(2, 13, 15);
    let x = noise(d, 11);
    for boundary in BOUNDARIES {
        let blurred = Blur::new(d, lopsided(3, 4), boundary).unwrap().apply(&x);
        for (factor, offset) in [(2, 1), (4, 0), (4, 3)] {
            let operator =
                Decimate::with_offset(d, lopsided(3, 4), boundary, factor, offset).unwrap();
            let step = factor as isize;
            let start = offset as isize;
            let kept = blurred.slice(s![.., .., start..;step, start..;step]);
            assert!(distance(&operator.apply(&x), &vector(&kept.to_owned())) < 1e-5);
        }
    }
    let kernel = lopsided(3, 3);
    assert!(Decimate::with_offset(d, kernel, Boundary::Circular, 2, 2).is_err());
    let spec = |text: &str| toml::from_str::<Spec>(text).unwrap();
    let of = "kind = 'downsample'\nfactor = 4\noffset = 2\nfilter = ";
    let stride = spec(&format!("{of}'gaussian:1'"));
    let small = Dims::new(3, 5, 6);
    let large = stride.input_for(small).unwrap();
    assert_eq!(stride.build(large).unwrap().output(), small);
    assert!(spec(&format!("{of}'bicubic'")).build(large).is_err());
    let nearest = spec(&format!("{of}'nearest'")).build(d).unwrap();
    assert_eq!(nearest.apply(&x), x.slice(s![.., .., 2..;4, 2..;4]));
}

/// The clean size is the measurement's times the factor, rounded, and the operator of that size records the measurement's.
#[test]
fn any_factor_gives_the_size_back() {
    for factor in ["1.5", "4/3", "1.01", "2.7", "3", "17.3"] {
        for n in [1, 2, 3, 5, 64, 127, 128, 801] {
            let toml = format!("kind = 'downsample'\nfactor = {}", factor_in_toml(factor));
            let spec: Spec = toml::from_str(&toml).unwrap();
            let small = Dims::new(3, n, 2 * n + 1);
            let large = spec.input_for(small).unwrap();
            let f: f64 = factor_in_toml(factor).parse().unwrap();
            assert_eq!(large.h, (f * n as f64).round() as usize, "{factor}, {n}");
            assert_eq!(spec.build(large).unwrap().output(), small, "{factor}, {n}");
            let text = serde_json::to_string(&spec).unwrap();
            assert_eq!(text.contains("\"factor\":3,"), factor == "3", "{text}");
        }
    }
    let kernel: Spec =
        toml::from_str("kind = 'downsample'\nfactor = 1.5\nfilter = 'box:3'").unwrap();
    let error = kernel.build(Dims::new(1, 9, 9)).unwrap_err().to_string();
    assert!(error.contains("whole n, not 1.5"), "{error}");
    let nearest: Spec =
        toml::from_str("kind = 'downsample'\nfactor = 1.5\nfilter = 'nearest'").unwrap();
    let error = nearest.build(Dims::new(1, 9, 9)).unwrap_err().to_string();
    assert!(error.contains("whole n, not 1.5"), "{error}");
}

fn factor_in_toml(factor: &str) -> String {
    match factor.split_once('/') {
        Some((a, b)) => (a.parse::<f64>().unwrap() / b.parse::<f64>().unwrap()).to_string(),
        None => factor.to_owned(),
    }
}

/// The norm of the blur that DPS and DAPS use (61 taps, std 3, reflected) is slightly above one: 1.0053 on 128 pixels;
/// under the symmetric and the circular boundary it is exactly one.
#[test]
fn norm_of_the_reflected_gaussian() {
    let d = Dims::new(1, 128, 128);
    for (boundary, expected) in [
        (Boundary::Reflect, 1.0053),
        (Boundary::Symmetric, 1.0),
        (Boundary::Circular, 1.0),
    ] {
        let kernel = Kernel::gaussian(3.0, Some(61)).unwrap();
        let blur = Blur::new(d, kernel, boundary).unwrap();
        let norm = norm(&blur, 200);
        assert!((norm - expected).abs() < 1e-4, "{boundary}: {norm}");
    }
}

/// Averaging and gray have rows of one length: `A A^+ = I` and `A A^T = c I`, with the published c.
#[test]
fn gram_is_told() {
    let d = Dims::new(3, 8, 12);
    let average = Downsample::average(d, 4).unwrap();
    let uneven = Downsample::average(d, 5).unwrap();
    let gray = Gray::new(d, GrayWeights::Mean).unwrap();
    assert!((average.gram().unwrap() - 1.0 / 16.0).abs() < 1e-12);
    assert!((gray.gram().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(uneven.gram(), None);
    assert_eq!(Downsample::bicubic(d, 4).unwrap().gram(), None);
    for operator in [&average as &dyn Linear, &gray] {
        let a = dense(operator);
        let c = operator.gram().unwrap();
        let off = &a * a.transpose() - DMatrix::identity(a.nrows(), a.nrows()) * c;
        assert!(off.amax() < 1e-7);
    }
}

/// The same bits at one thread and at four.
#[test]
fn results_do_not_depend_on_threads() {
    let d = Dims::new(3, 65, 48);
    let gaussian = || Kernel::gaussian(1.0, None).unwrap();
    let run = || -> Vec<Image> {
        let operators: Vec<Box<dyn Operator>> = vec![
            Box::new(Mosaic::new(d, Bayer::Rggb).unwrap()),
            Box::new(GainMap::vignette(d, 0.01).unwrap()),
            Box::new(Blur::new(d, lopsided(4, 5), Boundary::Circular).unwrap()),
            Box::new(Blur::new(d, gaussian(), Boundary::Symmetric).unwrap()),
            Box::new(Blur::new(d, lopsided(4, 5), Boundary::Reflect).unwrap()),
            Box::new(Downsample::bicubic(d, 4).unwrap()),
            Box::new(Decimate::new(d, lopsided(3, 3), Boundary::Symmetric, 3).unwrap()),
        ];
        let step = |op: &dyn Operator| {
            let op = linear(op);
            let (y, z) = (noise(op.output(), 1), noise(op.input(), 2));
            [op.prox(&y, &z, 0.01), op.guess(&y), op.pseudo_inverse(&y)]
        };
        operators.iter().flat_map(|op| step(&**op)).collect()
    };
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.unwrap().install(run)
    };
    assert!(with(1) == with(4));
}

/// Each picture of a batch as if it were alone, also by conjugate gradients.
#[test]
fn batches_are_pictures() {
    let d = Dims::new(2, 7, 9);
    let operators: Vec<Box<dyn Operator>> = vec![
        Box::new(Mask::random(d, 0.5, 3).unwrap()),
        Box::new(Gray::new(d, GrayWeights::Mean).unwrap()),
        Box::new(Mosaic::new(Dims { c: 3, ..d }, Bayer::Gbrg).unwrap()),
        Box::new(GainMap::vignette(d, 0.01).unwrap()),
        Box::new(Blur::new(d, lopsided(3, 3), Boundary::Reflect).unwrap()),
        Box::new(Decimate::new(d, lopsided(3, 3), Boundary::Symmetric, 2).unwrap()),
        Box::new(Downsample::bicubic(d, 2).unwrap()),
    ];
    for op in operators {
        let op = linear(&*op);
        let routes = |y: &Image, z: &Image| {
            [
                op.prox(y, z, 0.1),
                op.pseudo_inverse(y),
                op.guess(y),
                op.tikhonov(y, 0.1),
            ]
        };
        let y = Seeded::new(1, "test").normal(2, op.output());
        let z = Seeded::new(2, "test").normal(2, op.input());
        let both = routes(&y, &z);
        for n in 0..2 {
            let pick = |x: &Image| x.slice(ndarray::s![n..n + 1, .., .., ..]).to_owned();
            for (both, alone) in both.iter().zip(routes(&pick(&y), &pick(&z))) {
                assert!(pick(both) == alone, "{op:?}, picture {n}");
            }
        }
    }
}

/// A picture with slopes and an edge, in [0, 1].
fn scene(d: Dims) -> Image {
    Image::from_shape_fn(d.batch(1), |(_, c, i, j)| {
        // Periodic, so that it is fair to every boundary.
        let turn =
            2.0 * std::f32::consts::PI * (i as f32 / d.h as f32 + 2.0 * j as f32 / d.w as f32);
        let disk = (i as f32 - 20.0).hypot(j as f32 - 25.0) < 11.0;
        0.3 - 0.2 * turn.cos() + if disk { 0.4 } else { 0.05 * c as f32 }
    })
}

fn rmse(x: &Image, y: &Image) -> f64 {
    ((x - y).mapv(|e| f64::from(e * e)).sum() / x.len() as f64).sqrt()
}

/// The classical baseline helps: a fifth of the error of a noisy, blurred picture goes, and it beats damping towards
/// mid-gray at its best weight.
#[test]
fn tikhonov_is_a_fair_baseline() {
    let d = Dims::new(1, 48, 54);
    let (truth, sigma) = (scene(d), 0.02);
    for (boundary, kernel) in [
        (Boundary::Symmetric, Kernel::gaussian(2.0, None).unwrap()),
        (Boundary::Circular, Kernel::gaussian(2.0, None).unwrap()),
        (Boundary::Symmetric, Kernel::motion(7.0, 30.0).unwrap()),
    ] {
        let blur = Blur::new(d, kernel, boundary).unwrap();
        let y = blur.apply(&truth) + noise(d, 1) * sigma as f32;
        let x = blur.tikhonov(&y, tweedie::operator::tikhonov::lambda(sigma));
        let gray = Image::from_elem(d.batch(1), 0.5);
        let white = [1e-4, 1e-3, 1e-2, 1e-1]
            .map(|rho| rmse(&blur.prox(&y, &gray, rho), &truth))
            .into_iter()
            .fold(f64::INFINITY, f64::min);
        let (before, after) = (rmse(&y, &truth), rmse(&x, &truth));
        assert!(after < 0.8 * before, "{boundary}: {after} from {before}");
        assert!(after < white, "{boundary}: {after}, damped {white}");
    }
}

/// The closed form of the baseline against conjugate gradients.
#[test]
fn tikhonov_by_both_routes() {
    let d = Dims::new(2, 15, 12);
    let kernel = Kernel::gaussian(1.0, None).unwrap();
    let blur = Blur::new(d, kernel, Boundary::Symmetric).unwrap();
    let y = noise(d, 1);
    for lambda in [0.01, 1.0] {
        let (x, info) = tweedie::operator::tikhonov::solve(&blur, &y, lambda, Params::default());
        assert!(info.converged);
        let error = rmse(&x, &blur.tikhonov(&y, lambda));
        assert!(error < 1e-5, "{error}");
    }
}

/// Down-sampling a straight slope and guessing brings it back where it was: a wrong phase shifts it by half a pixel or
/// more, 0.01 here.
#[test]
fn guesses_have_the_right_phase() {
    let d = Dims::new(1, 40, 60);
    let slope = Image::from_shape_fn(d.batch(1), |(_, _, i, j)| 0.02 * (i as f32 + j as f32));
    for s in 2..=4 {
        let kernel = Kernel::gaussian(1.0, None).unwrap();
        let operators: [Box<dyn Operator>; 3] = [
            Box::new(Downsample::bicubic(d, s).unwrap()),
            Box::new(Downsample::average(d, s).unwrap()),
            Box::new(Decimate::new(d, kernel, Boundary::Symmetric, s).unwrap()),
        ];
        for operator in operators {
            let guess = operator.guess(&operator.apply(&slope));
            for (i, j) in (14..26).flat_map(|i| (14..46).map(move |j| (i, j))) {
                let error = (guess[[0, 0, i, j]] - slope[[0, 0, i, j]]).abs();
                assert!(error < 1e-4, "{operator:?} at ({i}, {j}): {error}");
            }
        }
    }
}

#[test]
fn guesses_of_the_others() {
    let d = Dims::new(3, 9, 8);
    let x = scene(d);
    let hole = BoxSpec {
        height: Extent::Pixels(3),
        width: Extent::Fraction(0.5),
        top: Some(Extent::Pixels(2)),
        left: None,
        outside: false,
    };
    let mask = Mask::hide_box(d, &hole).unwrap();
    let hidden = mask.known().iter().filter(|&&k| !k).count();
    assert_eq!(hidden, 12);
    assert!(!mask.known()[[0, 2, 2]] && mask.known()[[0, 1, 2]] && mask.known()[[0, 2, 6]]);
    // What is hidden is not looked at, and the known pixels stay.
    let y = mask.apply(&x);
    let junk = &y + &(Image::ones(x.dim()) - mask.apply(&Image::ones(x.dim()))) * 9.0;
    assert!(mask.guess(&y) == mask.guess(&junk));
    assert!(mask.apply(&mask.guess(&y)) == y);
    assert_eq!(mask.guess(&y)[[0, 1, 2, 3]], x[[0, 1, 1, 3]]);
    assert!(mask.prox(&y, &x, 0.1) == mask.prox(&junk, &x, 0.1));
    let gray = Gray::new(d, GrayWeights::Luma).unwrap();
    let y = gray.apply(&x);
    let guess = gray.guess(&y);
    assert!(rmse(&gray.apply(&guess), &y) < 1e-6 && guess[[0, 0, 3, 3]] == guess[[0, 2, 3, 3]]);
}

/// Half of the pixels, all channels of each, another half for another seed.
#[test]
fn random_masks_hide_whole_pixels() {
    let d = Dims::new(3, 11, 9);
    let mask = |seed| Mask::random(d, 0.7, seed).unwrap();
    let kept = mask(1).apply(&Image::ones(d.batch(1)));
    assert_eq!(kept.sum(), 3.0 * (99 - 69) as f32);
    assert_eq!(mask(1), mask(1));
    assert_ne!(mask(1), mask(2));
}

#[test]
fn what_cannot_be_is_an_error() {
    let d = Dims::new(2, 4, 5);
    let empty = Dims::new(1, 0, 3);
    let kernel = || lopsided(3, 3);
    let mask = |c, h, w, v: f32| Mask::new(d, Array3::from_elem((c, h, w), v).view(), 0.5);
    assert!(mask(2, 4, 5, 1.0).is_ok());
    assert!(mask(1, 5, 4, 1.0).is_err() && mask(3, 4, 5, 1.0).is_err());
    assert!(mask(1, 4, 5, f32::NAN).is_err() && mask(1, 4, 5, 0.0).is_err());
    assert!(Identity::new(empty).is_err());
    assert!(Blur::new(empty, kernel(), Boundary::Circular).is_err());
    assert!(Downsample::bicubic(d, 0).is_err() && Downsample::average(d, 257).is_err());
    assert!(Decimate::new(d, kernel(), Boundary::Circular, 0).is_err());
    assert!(Gray::new(d, GrayWeights::Luma).is_err());
    assert!(Mask::random(d, 1.0, 0).is_err() && Mask::random(d, f64::NAN, 0).is_err());
    assert!(Compose::new(vec![]).is_err());
    let chain: Vec<Box<dyn Operator>> = vec![
        Box::new(Downsample::bicubic(d, 2).unwrap()),
        Box::new(Identity::new(d).unwrap()),
    ];
    assert_eq!(
        Compose::new(chain).unwrap_err().to_string(),
        "step 2 of the chain takes 2x4x5, but the step before it gives 2x2x3"
    );
    let error = Blur::new(d, Kernel::uniform(129).unwrap(), Boundary::Symmetric).unwrap_err();
    assert!(error.to_string().contains("129 x 129"), "{error}");
}

fn boundary() -> impl Strategy<Value = Boundary> {
    prop_oneof![
        Just(Boundary::Circular),
        Just(Boundary::Symmetric),
        Just(Boundary::Reflect)
    ]
}

/// Any operator of a random size.
fn operator() -> impl Strategy<Value = Box<dyn Operator>> {
    let dims = (1usize..4, 1usize..20, 1usize..20).prop_map(|(c, h, w)| Dims::new(c, h, w));
    let taps = (1usize..8, 1usize..8);
    (dims, 0usize..8, 1usize..6, taps, boundary(), any::<u64>()).prop_map(
        |(d, which, s, (kh, kw), boundary, seed)| -> Box<dyn Operator> {
            let kernel = lopsided(kh, kw);
            match which {
                0 => Box::new(Mask::random(d, 0.5, seed).unwrap()),
                1 => Box::new(Blur::new(d, kernel, boundary).unwrap()),
                2 => Box::new(Downsample::bicubic(d, s).unwrap()),
                3 => Box::new(Downsample::average(d, s).unwrap()),
                4 => Box::new(Decimate::new(d, kernel, boundary, s).unwrap()),
                5 => Box::new(Mosaic::new(Dims { c: 3, ..d }, Bayer::ALL[s % 4]).unwrap()),
                6 => Box::new(GainMap::vignette(d, 0.1 * s as f64).unwrap()),
                _ => {
                    let blur = Blur::new(d, kernel, boundary).unwrap();
                    let down = Downsample::bicubic(d, s).unwrap();
                    let gray = Gray::new(down.output(), GrayWeights::Mean).unwrap();
                    let steps: Vec<Box<dyn Operator>> =
                        vec![Box::new(blur), Box::new(down), Box::new(gray)];
                    Box::new(Compose::new(steps).unwrap())
                }
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// At any size the adjoint is one, and at the prox the gradient `A^T (A x - y) + rho (x - z)` vanishes.
    #[test]
    fn identities_at_any_size(operator in operator(), log_rho in -3.0f64..3.0) {
        let rho = 10f64.powf(log_rho);
        let operator = linear(&*operator);
        let (y, z) = (noise(operator.output(), 1), noise(operator.input(), 2));
        let (az, aty) = (operator.apply(&z), operator.adjoint(&y));
        let (left, right) = (vector(&az).dot(&vector(&y)), vector(&z).dot(&vector(&aty)));
        let size = vector(&az).norm() * vector(&y).norm() + 1e-3;
        prop_assert!((left - right).abs() < 1e-6 * size);
        let x = operator.prox(&y, &z, rho);
        let residual = operator.apply(&x) - &y;
        let gradient = vector(&operator.adjoint(&residual)) + (vector(&x) - vector(&z)) * rho;
        let scale = vector(&y).norm() + (1.0 + rho) * vector(&z).norm();
        let relative = gradient.norm() / scale;
        prop_assert!(relative < 5e-6, "{operator:?}, rho {rho}: {relative}");
    }
}

// ---------------------------------------------------------------------------------------------- spectra

/// Several measurements of one image: two blurs (of one size), and a mask beside a small image (a row of numbers).
fn stacks() -> Vec<Case> {
    let mut cases = Vec::new();
    for d in [Dims::new(1, 6, 5), Dims::new(2, 4, 7)] {
        let blur = |kernel| Box::new(Blur::new(d, kernel, Boundary::Circular).unwrap());
        let alike = Stack::new(vec![
            blur(lopsided(3, 3)) as Box<dyn Operator>,
            blur(Kernel::uniform(3).unwrap()),
        ]);
        cases.push(case(format!("two blurs {d}"), alike.unwrap(), false, true));
        let unlike = Stack::new(vec![
            Box::new(Mask::random(d, 0.5, 3).unwrap()) as Box<dyn Operator>,
            Box::new(Downsample::average(d, 2).unwrap()),
        ]);
        cases.push(case(format!("unlike {d}"), unlike.unwrap(), false, true));
        let masks = Stack::new(vec![
            Box::new(Mask::random(d, 0.5, 3).unwrap()) as Box<dyn Operator>,
            Box::new(Mask::random(d, 0.5, 4).unwrap()),
        ]);
        cases.push(case(format!("two masks {d}"), masks.unwrap(), false, true));
    }
    cases
}

/// Blurs with zeros in their spectrum, on even and odd sides.
fn singular() -> Vec<Case> {
    let mut cases = Vec::new();
    for (h, w, n) in [(6, 9, 3), (8, 4, 4), (6, 6, 2)] {
        let d = Dims::new(1, h, w);
        let blur = Blur::new(d, Kernel::uniform(n).unwrap(), Boundary::Circular).unwrap();
        cases.push(case(format!("box of {n} {d}"), blur, true, false));
        let kernel = Kernel::uniform(n).unwrap();
        let decimate = Decimate::new(d, kernel, Boundary::Circular, 2);
        let closed = h % 2 == 0 && w % 2 == 0;
        cases.push(case(
            format!("box of {n}, every second {d}"),
            decimate.unwrap(),
            closed,
            true,
        ));
    }
    cases
}

/// A dense singular value decomposition with all right vectors; singular values within rounding of zero are zero.
struct Svd {
    s: DVector<f64>,
    u: DMatrix<f64>,
    v: DMatrix<f64>,
}

impl Svd {
    fn new(a: &DMatrix<f64>) -> Svd {
        let (m, n) = a.shape();
        // With rows of zeros there are as many right vectors as columns.
        let svd = a.clone().resize_vertically(m.max(n), 0.0).svd(true, true);
        let zero = 1e-6 * svd.singular_values.max();
        Svd {
            s: svd.singular_values.map(|s| if s < zero { 0.0 } else { s }),
            u: svd.u.unwrap().resize_vertically(m, 0.0),
            v: svd.v_t.unwrap().transpose(),
        }
    }

    fn image(&self, x: &DVector<f64>, g: Gain<'_>) -> DVector<f64> {
        &self.v * (self.v.transpose() * x).component_mul(&self.s.map(g))
    }

    fn back(&self, y: &DVector<f64>, g: Gain<'_>) -> DVector<f64> {
        let g = self.s.map(|s| if s > 0.0 { g(s) } else { 0.0 });
        &self.v * (self.u.transpose() * y).component_mul(&g)
    }

    /// The middle of the widest gap between singular values, relative to their size: where a jump is well-posed.
    fn gap(&self) -> f64 {
        let mut s: Vec<f64> = self.s.iter().copied().collect();
        s.sort_by(f64::total_cmp);
        let widest = s
            .windows(2)
            .max_by(|p, q| (p[1] - p[0]).total_cmp(&(q[1] - q[0])));
        widest.map_or(0.5 * s[0], |w| 0.5 * (w[0] + w[1]))
    }
}

/// How well an operator's spectrum, or that of Lanczos, agrees with the dense one. The relative error of a function whose
/// slope is bounded by a few over the norm is that of the operator, 1e-7, times a few; for a `1/s` that is cut at a twentieth
/// of the norm twenty times as much.
fn agrees(name: &str, values: &dyn Spectrum, operator: &dyn Linear, unit: f64) {
    let svd = Svd::new(&dense(operator));
    let top = svd.s.max();
    let edge = svd.gap();
    // A cut between singular values too, well away from each of them.
    let cut = if edge > 0.05 * top { edge } else { 0.05 * top };
    let clear = svd.s.iter().all(|s| (s - cut).abs() > 1e-3 * top);
    assert!(
        (values.norm() / top - 1.0).abs() < 0.03,
        "{name}: norm {}, not {top}",
        values.norm()
    );
    let bell = |s: f64| (-(s / top).powi(2)).exp();
    let tail = |s: f64| 1.0 / (1.0 + s / top);
    let jump = move |s: f64| if s > cut { 1.0 } else { 0.25 };
    let inverse = move |s: f64| if s > cut { top / s } else { 0.0 };
    let zero = |s: f64| if s > 1e-5 * top { 0.0 } else { 2.0 };
    let one = |_: f64| 1.0;
    let mut gains: Vec<(&str, Gain<'_>)> = vec![("bell", &bell), ("tail", &tail), ("one", &one)];
    if clear {
        gains.extend([("jump", &jump as Gain<'_>), ("inverse", &inverse)]);
    }
    // What is not seen, told from what is: where nothing is nearly unseen.
    if svd.s.iter().all(|&s| s == 0.0 || s > 0.02 * top) {
        gains.push(("unseen", &zero));
    }
    let functions: Vec<Gain<'_>> = gains.iter().map(|g| g.1).collect();
    let (x, y) = (noise(operator.input(), 11), noise(operator.output(), 12));
    let (xs, ys) = (vector(&x), vector(&y));
    let (images, backs) = (values.image(&x, &functions), values.back(&y, &functions));
    assert_eq!((images.len(), backs.len()), (gains.len(), gains.len()));
    for (i, (what, g)) in gains.iter().enumerate() {
        let factor = if *what == "inverse" { top / cut } else { 2.0 };
        let off = distance(&images[i], &svd.image(&xs, *g)) / xs.norm();
        assert!(off < factor * unit, "{name}, {what}, image: {off:.1e}");
        let off = distance(&backs[i], &svd.back(&ys, *g)) / ys.norm();
        assert!(off < factor * unit, "{name}, {what}, back: {off:.1e}");
    }
}

/// `V g(S) V^T x` and `V g(S) U^T y` of every operator that knows its singular vectors, against a dense decomposition in f64, to
/// 1e-5 (2e-6 where the function is tame): smooth functions, one that jumps between singular values, the cut inverse, and what
/// is not seen told from the rest. Wrong: phases of eigenvalues left out or conjugated (blurs off by 1), the mean of aliased
/// blocks without the factor, `g(0)` dropped or applied to what is seen, singular values of a chain without the root of `c`.
#[test]
fn spectra_are_those_of_the_matrix() {
    let mut closed = 0;
    for Case { name, operator, .. } in all().into_iter().chain(singular()) {
        let operator = linear(&*operator);
        if let Some(values) = operator.spectrum() {
            closed += 1;
            agrees(&name, values, operator, 1e-6);
        }
    }
    assert!(closed > 120, "{closed}");
}

/// Every case that is said to be closed has a spectrum, and no other has. Wrong: a route that silently iterates.
#[test]
fn closed_forms_have_spectra() {
    for Case {
        name,
        operator,
        closed,
        ..
    } in all().into_iter().chain(singular()).chain(stacks())
    {
        assert_eq!(linear(&*operator).spectrum().is_some(), closed, "{name}");
    }
}

/// Several gains in one transform are the same bits as one by one. Wrong: a gain applied on top of the one before.
#[test]
fn several_gains_are_as_one_by_one() {
    for Case { name, operator, .. } in all() {
        let operator = linear(&*operator);
        let Some(values) = operator.spectrum() else {
            continue;
        };
        let (half, square) = (|s: f64| 0.5 / (s + 0.1), |s: f64| s * s);
        let (x, y) = (noise(operator.input(), 1), noise(operator.output(), 2));
        let images = values.image(&x, &[&half, &square, &half]);
        let backs = values.back(&y, &[&half, &square, &half]);
        assert!(images[0] == images[2] && backs[0] == backs[2], "{name}");
        assert!(images[0] == spectrum::image(values, &x, half), "{name}");
        assert!(images[1] == spectrum::image(values, &x, square), "{name}");
        assert!(backs[0] == spectrum::back(values, &y, half), "{name}");
        assert!(backs[1] == spectrum::back(values, &y, square), "{name}");
    }
}

/// Closer than any step count needs to be: Lanczos to the end.
const TIGHT: lanczos::Params = lanczos::Params {
    tolerance: 1e-7,
    steps: 200,
};

/// The same through Lanczos, also for operators with a closed form and for stacks: to 2e-5 where it may go on until nothing is
/// left, its vectors being f32. Wrong: lost orthogonality (ghosts of the largest singular value, off by 0.01), `g(0)` from the
/// part of the image that is not seen, `U` and `V` of the bidiagonal matrix swapped.
#[test]
fn lanczos_finds_the_spectrum_of_any_operator() {
    for Case { name, operator, .. } in all().into_iter().chain(singular()).chain(stacks()) {
        let operator = linear(&*operator);
        agrees(&name, &Lanczos::with(operator, TIGHT), operator, 1e-5);
    }
}

/// With its default accuracy Lanczos is within ten times what it stops at, 1e-4, for a prox; sixty steps bring a function with
/// a vertical slope at a corner (DDNM+) to 3 %. Closed forms are the truth.
#[test]
fn lanczos_is_as_close_as_it_says() {
    let d = Dims::new(1, 40, 36);
    let gaussian = Kernel::gaussian(1.0, None).unwrap();
    let operators: [Box<dyn Linear>; 3] = [
        Box::new(Blur::new(d, gaussian.clone(), Boundary::Circular).unwrap()),
        Box::new(Decimate::new(d, gaussian, Boundary::Circular, 2).unwrap()),
        Box::new(Downsample::bicubic(d, 3).unwrap()),
    ];
    for operator in operators {
        let closed = operator.spectrum().unwrap();
        let lanczos = Lanczos::new(&*operator);
        let prox = |s: f64| s / (s * s + 0.05);
        let corner = |s: f64| (1.0 - (0.2 / s.max(0.2)).powi(2)).sqrt();
        let (x, y) = (noise(operator.input(), 1), noise(operator.output(), 2));
        let relative = |a: &Image, b: &Image| distance(a, &vector(b)) / vector(b).norm();
        let off = relative(
            &spectrum::back(&lanczos, &y, prox),
            &spectrum::back(closed, &y, prox),
        );
        assert!(off < 1e-3, "{operator:?}: {off:.1e}");
        let off = relative(
            &spectrum::image(&lanczos, &x, corner),
            &spectrum::image(closed, &x, corner),
        );
        assert!(off < 0.03, "{operator:?}: {off:.1e}");
    }
}

/// Each picture of a batch has its own process, and a picture of zeros none. Wrong: 0/0.
#[test]
fn lanczos_of_batches_and_of_nothing() {
    let d = Dims::new(2, 5, 6);
    let blur = Blur::new(d, lopsided(3, 3), Boundary::Reflect).unwrap();
    let lanczos = Lanczos::new(&blur);
    let mut both = Seeded::new(3, "test").normal(2, d);
    both.slice_mut(ndarray::s![1.., .., .., ..]).fill(0.0);
    let gain = |s: f64| 1.0 / (s + 0.5);
    for answer in [
        spectrum::image(&lanczos, &both, gain),
        spectrum::back(&lanczos, &both, gain),
    ] {
        assert!(answer.iter().all(|v| v.is_finite()));
        assert!(
            answer
                .slice(ndarray::s![1.., .., .., ..])
                .iter()
                .all(|&v| v == 0.0)
        );
    }
    let first = both.slice(ndarray::s![..1, .., .., ..]).to_owned();
    let alone = spectrum::image(&lanczos, &first, gain);
    let together = spectrum::image(&lanczos, &both, gain);
    assert!(together.slice(ndarray::s![..1, .., .., ..]) == alone);
}

/// Prox and pseudo-inverse are functions of the singular values: `z + V s/(s^2 + rho) U^T (y - A z)`, and `V 1/s U^T y`.
#[test]
fn prox_and_pseudo_inverse_are_functions_of_the_spectrum() {
    for Case {
        name,
        operator,
        exact_inverse,
        ..
    } in all().into_iter().chain(singular())
    {
        let operator = linear(&*operator);
        let Some(values) = operator.spectrum() else {
            continue;
        };
        let (y, z) = (noise(operator.output(), 1), noise(operator.input(), 2));
        let misfit = &y - &operator.apply(&z);
        for rho in [1e-2, 1.0] {
            let by_spectrum = &z + &spectrum::back(values, &misfit, |s| s / (s * s + rho));
            let off = distance(&operator.prox(&y, &z, rho), &vector(&by_spectrum));
            assert!(
                off < 1e-5 * vector(&by_spectrum).norm(),
                "{name}: {off:.1e}"
            );
        }
        if exact_inverse {
            let least = 1e-6 * values.norm();
            let cut = |s: f64| if s > least { 1.0 / s } else { 0.0 };
            let by_spectrum = vector(&spectrum::back(values, &y, cut));
            let off = distance(&operator.pseudo_inverse(&y), &by_spectrum);
            assert!(off < 1e-4 * by_spectrum.norm(), "{name}: {off:.1e}");
        }
    }
}

/// `A A^T = c I`, all singular values but zero alike, and none of both, as told. Wrong: a chain of masks that claims the gram of
/// its first step; an average of uneven blocks.
#[test]
fn isometries_are_told() {
    let mut told = 0;
    for Case { name, operator, .. } in all().into_iter().chain(singular()).chain(stacks()) {
        let operator = linear(&*operator);
        let a = dense(operator);
        if let Some(c) = operator.gram() {
            let off = &a * a.transpose() - DMatrix::identity(a.nrows(), a.nrows()) * c;
            assert!(off.amax() < 1e-6, "{name}: gram {c}");
        }
        if let Some(c) = operator.isometry() {
            told += 1;
            for s in Svd::new(&a).s.iter() {
                assert!(
                    *s == 0.0 || (s * s - c).abs() < 1e-6,
                    "{name}: {s}, not {c}"
                );
            }
        }
    }
    assert!(told > 20, "{told}");
}

// ---------------------------------------------------------------------------------------------- stacks

/// A stack is its operators' matrices one above the other, and its adjoint the transposed of that; the vjp is the adjoint; its
/// guess is the mean of theirs, each of its own part. Wrong: parts in another order; a batch whose pictures are mixed.
#[test]
fn stacks_are_matrices_one_above_the_other() {
    let d = Dims::new(2, 4, 7);
    let mask = || Mask::random(d, 0.5, 3).unwrap();
    let small = || Downsample::average(d, 2).unwrap();
    let stack = Stack::new(vec![
        Box::new(mask()) as Box<dyn Operator>,
        Box::new(small()),
    ])
    .unwrap();
    let (top, below) = (dense(&mask()), dense(&small()));
    let mut both = top
        .clone()
        .resize_vertically(top.nrows() + below.nrows(), 0.0);
    both.rows_mut(top.nrows(), below.nrows()).copy_from(&below);
    assert_eq!(stack.output(), Dims::new(1, 1, both.nrows()));
    assert!((dense(&stack) - &both).amax() < 1e-7);
    let u = Seeded::new(1, "test").normal(2, stack.output());
    let x = Seeded::new(2, "test").normal(2, d);
    let back = stack.adjoint(&u);
    assert!(back == stack.vjp(&x, &u));
    let (y, guess) = (stack.apply(&x), stack.guess(&stack.apply(&x)));
    for n in 0..2 {
        let pick = |x: &Image| x.slice(ndarray::s![n..n + 1, .., .., ..]).to_owned();
        let expected = both.transpose() * vector(&pick(&u));
        assert!(distance(&pick(&back), &expected) < 1e-5);
        let (m, s) = (mask(), small());
        let mean = (m.guess(&m.apply(&pick(&x))) + s.guess(&s.apply(&pick(&x)))) / 2.0;
        assert!(distance(&pick(&guess), &vector(&mean)) < 1e-6);
        assert!(distance(&pick(&y), &(&both * vector(&pick(&x)))) < 1e-5);
    }
    // Channels where heights and widths agree.
    let gray = Gray::new(d, GrayWeights::Mean).unwrap();
    let alike = Stack::new(vec![Box::new(mask()) as Box<dyn Operator>, Box::new(gray)]).unwrap();
    assert_eq!(alike.output(), Dims::new(3, 4, 7));
    // What one sees, the stack sees.
    assert!(!alike.loss().colours && !alike.loss().pixels);
    assert!(Stack::new(vec![]).is_err());
    let other = Identity::new(Dims::new(2, 7, 4)).unwrap();
    assert!(Stack::new(vec![Box::new(mask()) as Box<dyn Operator>, Box::new(other)]).is_err());
}

/// A chain of three steps is the product of their matrices, its guess that of the last step first, and its closed form that of
/// what follows an isometric first step, also inside of another. Wrong: steps of the nested chain in another order.
#[test]
fn long_chains_are_products() {
    let d = Dims::new(3, 8, 12);
    let gray = || Gray::new(d, GrayWeights::Luma).unwrap();
    let one = Dims { c: 1, ..d };
    let average = || Downsample::average(one, 2).unwrap();
    let small = average().output();
    let blur = || Blur::new(small, lopsided(3, 3), Boundary::Circular).unwrap();
    let chain = Compose::new(vec![
        Box::new(gray()) as Box<dyn Operator>,
        Box::new(average()),
        Box::new(blur()),
    ]);
    let chain = chain.unwrap();
    let product = dense(&blur()) * dense(&average()) * dense(&gray());
    assert!((dense(&chain) - &product).amax() < 1e-6);
    assert!(chain.spectrum().is_some());
    agrees("three steps", chain.spectrum().unwrap(), &chain, 1e-6);
    let (u, x) = (noise(chain.output(), 1), noise(d, 2));
    assert!(distance(&chain.adjoint(&u), &(product.transpose() * vector(&u))) < 1e-5);
    assert!(chain.vjp(&x, &u) == chain.adjoint(&u));
    let by_hand = gray().guess(&average().guess(&blur().guess(&u)));
    assert!(chain.guess(&u) == by_hand);
    // The norm of gray by luma is 0.668, and that of the average a half.
    let c = gray().gram().unwrap() / 4.0;
    let norm = c.sqrt() * blur().spectrum().unwrap().norm();
    assert!((Spectrum::norm(&chain) / norm - 1.0).abs() < 1e-9);
}
