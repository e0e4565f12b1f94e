//! Measurements that are no pictures: what `degrade` writes, `restore` undoes without a word more.

use ndarray::{ArrayD, Axis, IxDyn};
use tweedie::Image;
use tweedie::arrays;
use tweedie::image::Overwrite;
use tweedie::operator::{Hadamard, Operator, Ratio};

use crate::place::{Place, photo};

fn clean() -> Image {
    photo(100..140, 140..196)
}

/// A folder with `clean.png`, a 40x56 part of a photograph.
fn place() -> Place {
    Place::with(clean())
}

fn save(p: &Place, name: &str, y: &Image) {
    let array = y.index_axis(Axis(0), 0).to_owned().into_dyn();
    arrays::write(&p.path(name), &array, Overwrite::Allow).unwrap();
}

/// A quarter of the numbers, and nothing else said: size, operator, seed and noise travel in the archive. `redo` finds it again.
#[test]
fn compressed_sensing_there_and_back() {
    let p = place();
    let seen =
        "degrade clean.png --operator hadamard --ratio 0.5 --seed 7 -o y.npz --preview seen.png";
    p.ok(seen);
    let said = p.ok("restore y.npz --preview first.png");
    assert!(said.contains("wrote y.restore.png"), "{said}");
    assert_eq!(p.size("y.restore.png"), (3, 40, 56));
    let (seen, found) = (
        p.psnr("clean.png", "seen.png"),
        p.psnr("clean.png", "y.restore.png"),
    );
    assert!(
        seen > 10.0 && found > seen + 6.0,
        "{seen:.2} and {found:.2} dB"
    );
    assert_eq!(p.read("first.png").pixels, p.read("seen.png").pixels);
    p.ok("redo y.restore.png");
    assert_eq!(p.read("y.redo.png").pixels, p.read("y.restore.png").pixels);
    // Without a name it is an archive, since no picture can hold it; so are several.
    p.ok("degrade clean.png --operator transform --ratio 0.5");
    assert!(p.path("clean.degraded.npz").exists());
    p.ok("degrade clean.png --operator matrix --matrix blocks --ratio 0.5 -o y.npy");
    assert!(p.path("y.toml").exists());
    p.ok("restore y.npy -o again.npy --steps 2");
    let again = arrays::read(&p.path("again.npy")).unwrap();
    assert_eq!(again.values.shape(), [3, 40, 56]);
}

/// Every operator's measurement can be an array, neither clipped nor rounded, with the files that it needs.
#[test]
fn any_measurement_is_an_array() {
    let p = place();
    std::fs::write(p.path("k.txt"), "1 2 1\n2 4 2\n1 2 1\n").unwrap();
    p.ok("degrade clean.png --operator blur --kernel k.txt --noise 0.2 -o blurred.npz");
    std::fs::remove_file(p.path("k.txt")).unwrap();
    p.ok("restore blurred.npz --method guess");
    let noisy = tweedie::restore::Measurement::read(&p.path("blurred.npz")).unwrap();
    assert!(
        noisy
            .picture
            .pixels
            .iter()
            .any(|v| !(0.0..=1.0).contains(v)),
        "clipped"
    );
    p.ok("degrade clean.png --operator mask --mask random:0.5 -o holes.npz");
    assert!(!p.path("holes.mask.png").exists(), "the archive knows it");
    p.ok("restore holes.npz --steps 4");
    assert!(p.psnr("clean.png", "holes.restore.png") > 24.0);
    p.ok("degrade clean.png --operator downsample --factor 2 -o small.npy");
    p.ok("restore small.npy --method guess");
    assert_eq!(p.size("small.restore.png"), (3, 40, 56));
    p.ok("degrade clean.png --operator identity --noise 0.2 -o noisy.tif --depth 32");
    p.ok("denoise noisy.tif -o clean2.png");
    assert!(p.psnr("clean.png", "clean2.png") > 24.0);
    p.ok("degrade clean.png --operator blur --kernel gaussian:1 --noise 0.01 -o blurred.tif --depth 32");
    p.ok("restore blurred.tif -o clean3.png");
    assert!(p.psnr("clean.png", "clean3.png") > 28.0);
}

/// A complex picture comes as an array, and what a scanner makes of it goes into one that knows the rest; numbers in other units are
/// refused, unless a file says which.
#[test]
fn complex_pictures_are_degraded() {
    let p = place();
    let grey = photo(100..140, 140..188)
        .mean_axis(Axis(1))
        .unwrap()
        .insert_axis(Axis(1));
    let turned = Image::from_shape_fn((1, 2, 40, 48), |(_, part, i, j)| {
        let phase = 0.05 * (i + 2 * j) as f32;
        grey[[0, 0, i, j]] * if part == 0 { phase.cos() } else { phase.sin() }
    });
    save(&p, "x.npy", &turned);
    let mri = "--operator mri --sampling full --pictures complex";
    p.ok(&format!("degrade x.npy {mri} -o y.npz"));
    p.ok("restore y.npz --method guess -o x.png --preview seen.png");
    p.ok("restore y.npz --method guess -o parts.npy");
    for seen in ["x.png", "seen.png"] {
        let apart = p.read(seen).pixels - &grey;
        assert!(apart.iter().all(|v| v.abs() < 0.01), "magnitudes");
    }
    let parts = arrays::read(&p.path("parts.npy")).unwrap().values;
    let apart = parts.iter().zip(&turned).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 0.01, "with their phase");
    p.fails(
        "degrade y.npz --operator identity -o z.npz",
        1,
        "is a measurement (`mri`)",
    );
    p.fails("restore y.npz -o z.png", 1, "`complex = true`");
    save(&p, "low.npy", &(&grey * 2.0 - 1.0));
    p.fails(
        "degrade low.npy --operator identity -o z.npz",
        1,
        "unless a TOML file",
    );
    save(&p, "far.npy", &(&turned * 100.0));
    p.fails(
        &format!("degrade far.npy {mri} -o z.npz"),
        1,
        "unless a TOML file",
    );
    std::fs::write(p.path("far.toml"), "range = [-100, 100]").unwrap();
    p.fails(
        &format!("degrade far.npy {mri} -o z.npz"),
        1,
        "far.npy: a complex picture has no black",
    );
    std::fs::write(p.path("far.toml"), "range = [0, 100]").unwrap();
    p.ok(&format!("degrade far.npy {mri} -o z.npz"));
}

/// What is no picture with noise and nothing else is not taken for one: operators of a stack that lose different things, a spectrum that is
/// whole.
#[test]
fn measurements_that_lose_nothing_are_no_pictures() {
    let p = place();
    let x = photo(100..132, 140..172);
    save(&p, "x.npy", &x);
    std::fs::write(
        p.path("two.toml"),
        "kind = 'stack'\nof = [{ kind = 'blur', kernel = 'motion:5:0' }, { kind = 'downsample', factor = 2 }]",
    )
    .unwrap();
    for operator in ["two.toml", "mri --sampling full --coils simulated:3"] {
        p.ok(&format!(
            "degrade x.npy --operator {operator} --noise 0.01 -o y.npz --force"
        ));
        p.ok("restore y.npz -o again.npy --force");
        let found = arrays::read(&p.path("again.npy")).unwrap().values;
        let squares = found.iter().zip(&x).map(|(a, b)| (a - b).powi(2));
        let rms = (squares.sum::<f32>() / x.len() as f32).sqrt();
        assert!(rms < 0.04, "{operator}: {rms}");
    }
}

/// An array of another shape than its file says is refused, also where the operator would take it.
#[test]
fn shapes_are_those_that_are_stated() {
    let p = place();
    std::fs::write(
        p.path("y.toml"),
        "size = [3, 32, 32]\nnoise = 0.05\noperator = { kind = 'identity' }",
    )
    .unwrap();
    for shape in [vec![3, 32, 30], vec![96, 32], vec![1]] {
        let y = ArrayD::from_elem(IxDyn(&shape), 0.5_f32);
        arrays::write(&p.path("y.npy"), &y, Overwrite::Allow).unwrap();
        p.fails("restore y.npy -o x.png", 1, "3x32x32");
    }
}

/// Numbers that somebody else has measured, in their own units, as a plain list, by a matrix of their own.
#[test]
fn arrays_of_others() {
    let p = place();
    let x = photo(110..118, 150..158)
        .mean_axis(Axis(1))
        .unwrap()
        .insert_axis(Axis(1));
    let matrix = ArrayD::from_shape_fn(IxDyn(&[64, 64]), |i| {
        ((i[0] * 5 + i[1] * i[1] * 3 + i[0] * i[1] * 7) as f32).sin()
    });
    arrays::write(&p.path("a.npy"), &matrix, Overwrite::Allow).unwrap();
    let of = |x: &Image| -> Image {
        let row = |i: usize| -> f32 { x.iter().enumerate().map(|(j, v)| v * matrix[[i, j]]).sum() };
        Image::from_shape_fn((1, 1, 1, 64), |(_, _, _, i)| row(i))
    };
    save(&p, "y.npy", &of(&(&x * 2.0 - 1.0)));
    let line = "restore y.npy --operator matrix --matrix a.npy --noise 0 --method classical";
    p.fails(
        line,
        1,
        "does not tell the picture's size; state it with --size",
    );
    p.fails(
        &format!("{line} --size 1x8x9"),
        1,
        "64 columns, but an image of 1x8x9",
    );
    std::fs::write(
        p.path("y.toml"),
        "size = [1, 8, 8]\nrange = [-1, 1]\nnoise = 0\n[operator]\nkind = 'matrix'\nmatrix = 'file'\npath = 'a.npy'",
    )
    .unwrap();
    p.ok("restore y.npy --method tikhonov -o x.npy");
    let found = arrays::read(&p.path("x.npy")).unwrap().values;
    let off = found
        .iter()
        .zip(&x)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(off < 0.05, "{off}");
    // One list in the place of rows of channels.
    let dims = tweedie::Dims::new(3, 40, 56);
    let hadamard = Hadamard::new(dims, Ratio::new(0.5).unwrap(), true, 0).unwrap();
    let y = hadamard.apply(&clean());
    let list = Image::from_shape_vec((1, 1, 1, y.len()), y.iter().copied().collect()).unwrap();
    save(&p, "list.npy", &list);
    let line =
        "restore list.npy --operator hadamard --ratio 0.5 --noise 0 --method guess --size 3x40x56";
    p.ok(line);
    assert!(p.psnr("clean.png", "list.restore.png") > 10.0);
    p.fails(
        &format!("{} -o z.png", line.replace("--noise 0 ", "")),
        1,
        "state it (--noise",
    );
    p.fails(
        &format!("{} -o z.png", line.replace("3x40x56", "3x40x55")),
        1,
        "the operator records",
    );
}

/// One line each, before the work.
#[test]
fn what_cannot_be() {
    let p = place();
    std::fs::write(p.path("bad.npy"), "a text that is no array").unwrap();
    std::fs::write(p.path("bad.npz"), "PK").unwrap();
    save(&p, "y.npy", &Image::zeros((1, 1, 1, 9)));
    let hadamard = "degrade clean.png --operator hadamard --ratio 0.25";
    for (line, code, part) in [
        (
            &*format!("{hadamard} -o y.png"),
            1,
            "is no picture, which PNG cannot hold; write an array, for instance -o y.npz",
        ),
        (&format!("{hadamard} --format jpg"), 1, "is no picture"),
        (&format!("{hadamard} -o y.npy"), 1, "--force"),
        (&format!("{hadamard} -o z.npz --depth 16"), 1, "--depth"),
        (
            &format!("{hadamard} -o z.npz --preview z.npz"),
            1,
            "name the preview otherwise",
        ),
        (
            "degrade clean.png --operator hadamard -o z.npz",
            1,
            "needs --ratio",
        ),
        (
            "degrade clean.png --operator hadamard --ratio 3 -o z.npz",
            1,
            "at most 1",
        ),
        (
            "degrade clean.png --operator hadamard --ratio 0 -o z.npz",
            2,
            "above 0",
        ),
        (
            "degrade clean.png --operator matrix --matrix none.npy -o z.npz",
            1,
            "no such file",
        ),
        (
            "degrade clean.png --operator matrix --matrix toeplitz --ratio 0.5 -o z.npz",
            2,
            "no matrix `toeplitz`",
        ),
        (
            "restore bad.npy --operator identity",
            1,
            "bad.npy: not a NumPy array",
        ),
        (
            "restore bad.npz --operator identity",
            1,
            "bad.npz: not an .npz archive",
        ),
        (
            "restore y.npy",
            1,
            "name what is to be undone with --operator",
        ),
        ("restore y.npy --ratio 0.5", 1, "name it with --operator"),
        ("restore clean.png", 1, "--operator"),
        (
            "restore y.npy --operator identity --size 3x4",
            2,
            "such as 3x256x256",
        ),
        (
            "restore clean.png --operator identity --preview no/p.png",
            1,
            "no folder",
        ),
    ] {
        p.fails(line, code, part);
    }
}
