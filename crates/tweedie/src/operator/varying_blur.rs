//! A blur that differs from place to place: a grid of kernels, and between them mixtures of the nearest four.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ndarray::{Zip, s};
use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags, parses};
use super::{
    Blur, Boundary, Edges, Error, Kernel, KernelSpec, Linear, Loss, Margins, Operator, ValidBlur,
    not_empty, plane,
};
use crate::{Dims, Image};

/// `y(i) = sum_g w_g(i) (k_g * x)(i)` for each channel: at each place of what is recorded, the kernels of a grid over the picture,
/// weighted by bilinear interpolation; those of the corners lie in the corners (Nagy and O'Leary 1998, "Restoring images degraded by
/// spatially variant blur").
///
/// Weights sum to one everywhere, so that brightness is kept. Its adjoint is exact, prox and pseudo-inverse are found by conjugate
/// gradients.
#[derive(Debug)]
pub struct VaryingBlur {
    input: Dims,
    output: Dims,
    margins: Margins,
    parts: Vec<Part>,
}

/// One kernel.
#[derive(Debug)]
struct Part {
    blur: Box<dyn Operator>,
    /// What of the image it sees.
    sees: Window,
    /// How much it counts in each row and in each column of what is recorded.
    rows: Vec<f64>,
    columns: Vec<f64>,
}

/// Rows and columns of an image.
type Window = [Range<usize>; 2];

/// Kernels that are kept transformed, in numbers of their images.
const MAX_LEN: usize = 1 << 29;

impl VaryingBlur {
    /// For images of these dimensions, from rows of kernels, with `edges` beyond the picture; `auto` is symmetric.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no kernel, rows differ in length, or there are too many for an image of this size;
    /// [`Error::KernelSize`] and [`Error::Input`] as [`Blur::new`].
    pub fn new(input: Dims, kernels: &[Vec<Kernel>], edges: Edges) -> Result<VaryingBlur, Error> {
        not_empty("varying-blur", input)?;
        let columns = grid(kernels)?;
        if (kernels.len() * columns).saturating_mul(input.h * input.w) > MAX_LEN {
            return Err(Error::Invalid(format!(
                "{} kernels are too many for an image of {input}",
                kernels.len() * columns
            )));
        }
        let margins = match edges {
            Edges::Unknown => widest(kernels.iter().flatten()),
            _ => Margins::NONE,
        };
        let output = margins.within(input).ok_or_else(|| {
            Error::Invalid(format!("the kernels reach beyond an image of {input}"))
        })?;
        let mut parts = Vec::new();
        for (r, row) in kernels.iter().enumerate() {
            for (c, kernel) in row.iter().enumerate() {
                let (blur, sees) = blur(input, output, margins, kernel, edges)?;
                parts.push(Part {
                    blur,
                    sees,
                    rows: weights(r, kernels.len(), output.h),
                    columns: weights(c, columns, output.w),
                });
            }
        }
        Ok(VaryingBlur {
            input,
            output,
            margins,
            parts,
        })
    }
}

/// The length of the rows of a grid.
fn grid<T>(rows: &[Vec<T>]) -> Result<usize, Error> {
    let columns = rows.first().map_or(0, Vec::len);
    match columns > 0 && rows.iter().all(|row| row.len() == columns) {
        true => Ok(columns),
        false => Err(Error::Invalid(
            "a grid of kernels has rows of one length, and one kernel at least".into(),
        )),
    }
}

/// What all kernels together need beyond the edges.
fn widest<'a>(kernels: impl Iterator<Item = &'a Kernel>) -> Margins {
    kernels
        .map(Kernel::margins)
        .fold(Margins::NONE, |a, b| Margins {
            top: a.top.max(b.top),
            bottom: a.bottom.max(b.bottom),
            left: a.left.max(b.left),
            right: a.right.max(b.right),
        })
}

/// The blur of one kernel, and what it sees of the image.
fn blur(
    input: Dims,
    output: Dims,
    margins: Margins,
    kernel: &Kernel,
    edges: Edges,
) -> Result<(Box<dyn Operator>, Window), Error> {
    let boundary = match edges {
        Edges::Unknown => {
            let blur = ValidBlur::new(output, kernel)?;
            let own = kernel.margins();
            let (top, left) = (margins.top - own.top, margins.left - own.left);
            let Dims { h, w, .. } = blur.input();
            return Ok((Box::new(blur), [top..top + h, left..left + w]));
        }
        Edges::Auto => Boundary::Symmetric,
        Edges::Assumed(boundary) => boundary,
    };
    let blur = Blur::new(input, kernel.clone(), boundary)?;
    Ok((Box::new(blur), [0..input.h, 0..input.w]))
}

/// How much node `k` of `n`, the first and the last at the ends, counts at each of `length` places.
fn weights(k: usize, n: usize, length: usize) -> Vec<f64> {
    let place = |i: usize| match length {
        1 => 0.5,
        _ => i as f64 / (length - 1) as f64,
    };
    let weight = |i: usize| match n {
        1 => 1.0,
        _ => (1.0 - (place(i) * (n - 1) as f64 - k as f64).abs()).max(0.0),
    };
    (0..length).map(weight).collect()
}

impl Part {
    /// Multiplies what was recorded by how much the kernel counts.
    fn weigh(&self, y: &mut Image) {
        for mut picture in y.outer_iter_mut() {
            for mut plane in picture.outer_iter_mut() {
                for (mut row, &weight) in plane.outer_iter_mut().zip(&self.rows) {
                    let pairs = row.iter_mut().zip(&self.columns);
                    pairs.for_each(|(y, &column)| {
                        *y = (f64::from(*y) * weight * column) as f32;
                    });
                }
            }
        }
    }
}

impl Operator for VaryingBlur {
    fn name(&self) -> &'static str {
        "varying-blur"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        self.output
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.input);
        let mut y = Image::zeros(self.output.batch(x.dim().0));
        for part in &self.parts {
            let [rows, columns] = part.sees.clone();
            let seen = x.slice(s![.., .., rows, columns]).to_owned();
            let mut blurred = part.blur.apply(&seen);
            part.weigh(&mut blurred);
            y += &blurred;
        }
        y
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// What was recorded, mirrored where the image is wider.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.output);
        let inside = |i: usize, before: usize, n: usize| {
            Boundary::Symmetric.index(i as i64 - before as i64, n)
        };
        let Dims { h, w, .. } = self.output;
        Image::from_shape_fn(self.input.batch(y.dim().0), |(n, c, i, j)| {
            y[[
                n,
                c,
                inside(i, self.margins.top, h),
                inside(j, self.margins.left, w),
            ]]
        })
    }

    fn loss(&self) -> Loss {
        let losses = self.parts.iter().map(|part| part.blur.loss());
        losses.fold(Loss::NOTHING, Loss::and)
    }

    fn margins(&self) -> Margins {
        self.margins
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for VaryingBlur {
    fn adjoint(&self, u: &Image) -> Image {
        plane::check(u, self.output);
        let mut x = Image::zeros(self.input.batch(u.dim().0));
        for part in &self.parts {
            let mut weighed = u.clone();
            part.weigh(&mut weighed);
            let linear = part.blur.linear().expect("blurs are linear");
            let [rows, columns] = part.sees.clone();
            let mut seen = x.slice_mut(s![.., .., rows, columns]);
            Zip::from(&mut seen)
                .and(&linear.adjoint(&weighed))
                .for_each(|x, &v| *x += v);
        }
        x
    }
}

/// Rows of kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelGrid(pub Vec<Vec<KernelSpec>>);

/// Kernels with blanks between them, rows with semicolons.
impl FromStr for KernelGrid {
    type Err = Error;

    fn from_str(text: &str) -> Result<KernelGrid, Error> {
        let row = |row: &str| row.split_whitespace().map(str::parse).collect();
        let rows: Result<Vec<Vec<KernelSpec>>, Error> = text.split(';').map(row).collect();
        let rows = rows?;
        grid(&rows)?;
        Ok(KernelGrid(rows))
    }
}

impl fmt::Display for KernelGrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |row: &Vec<KernelSpec>| {
            let kernels: Vec<String> = row.iter().map(KernelSpec::to_string).collect();
            kernels.join(" ")
        };
        let rows: Vec<String> = self.0.iter().map(row).collect();
        f.write_str(&rows.join("; "))
    }
}

/// Such a blur for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaryingBlurSpec {
    /// Rows of kernels, from the top left corner to the bottom right one.
    pub kernels: KernelGrid,
    /// What lies beyond the edges.
    #[serde(default)]
    pub boundary: Edges,
}

impl VaryingBlurSpec {
    fn built(&self) -> Result<Vec<Vec<Kernel>>, Error> {
        let row = |row: &Vec<KernelSpec>| row.iter().map(KernelSpec::build).collect();
        self.kernels.0.iter().map(row).collect()
    }
}

impl Described for VaryingBlurSpec {
    const SUMMARY: &'static str = "a blur that differs from place to place: a grid of kernels";
    const EXAMPLE: &'static str = "kernels = [['box:3', 'motion:5:0'], ['motion:5:90', 'box:1']]";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "kernels",
            value: "GRID",
            help: "Kernels as for `deblur`, from the top left corner of the picture to the bottom right one: blanks between those of a \
                   row, semicolons between rows",
            example: "\"disk:1 disk:3; disk:2 disk:4\"",
            default: None,
            check: parses::<KernelGrid>,
        },
        Edges::FLAG,
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<VaryingBlurSpec, Error> {
        Ok(VaryingBlurSpec {
            kernels: flags.need(&VaryingBlurSpec::FLAGS[0])?,
            boundary: flags.need(&Edges::FLAG)?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(VaryingBlur::new(
            input,
            &self.built()?,
            self.boundary,
        )?))
    }

    /// Larger by the kernels' reach where nothing is assumed beyond the edges.
    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        match self.boundary {
            Edges::Unknown => Ok(widest(self.built()?.iter().flatten()).around(output)),
            _ => Ok(output),
        }
    }

    fn undone(&self) -> VaryingBlurSpec {
        VaryingBlurSpec {
            kernels: self.kernels.clone(),
            boundary: self.boundary.undone(),
        }
    }

    fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
        let kernels = self.kernels.0.iter_mut().flatten();
        kernels.filter_map(KernelSpec::file).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    fn spec(kernels: &str, boundary: &str) -> VaryingBlurSpec {
        VaryingBlurSpec {
            kernels: kernels.parse().unwrap(),
            boundary: boundary.parse().unwrap(),
        }
    }

    const GRID: &str = "gaussian:1 motion:5:30; box:3 disk:2";

    fn off(a: &Image, b: &Image) -> f32 {
        (a - b).iter().fold(0.0f32, |m, d| m.max(d.abs()))
    }

    /// In a corner it is the blur of the corner's kernel, in the middle the mean of all four, and of one kernel a blur. Wrong:
    /// rows for columns, kernels in the middles of their fields.
    #[test]
    fn kernels_lie_in_the_corners() {
        let dims = Dims::new(2, 13, 17);
        let x = Seeded::new(1, "test").normal(1, dims);
        let y = spec(GRID, "reflect").build(dims).unwrap().apply(&x);
        let parts: Vec<Image> = ["gaussian:1", "motion:5:30", "box:3", "disk:2"]
            .map(|kernel| spec(kernel, "reflect").build(dims).unwrap().apply(&x))
            .to_vec();
        for (part, at) in parts.iter().zip([[0, 0], [0, 16], [12, 0], [12, 16]]) {
            let here = |y: &Image| y[[0, 1, at[0], at[1]]];
            assert!((here(&y) - here(part)).abs() < 1e-5, "{at:?}");
        }
        let mean = parts.iter().map(|part| part[[0, 0, 6, 8]]).sum::<f32>() / 4.0;
        assert!((y[[0, 0, 6, 8]] - mean).abs() < 1e-5);
        let blur = Blur::new(dims, Kernel::uniform(3).unwrap(), Boundary::Reflect).unwrap();
        assert!(off(&parts[2], &blur.apply(&x)) < 1e-5);
        let grey = Image::from_elem(dims.batch(1), 0.3);
        for boundary in ["symmetric", "unknown"] {
            let spec = spec(GRID, boundary);
            let operator = spec.build(spec.input_for(dims).unwrap()).unwrap();
            let wide = Image::from_elem(operator.input().batch(1), 0.3);
            assert!(off(&operator.apply(&wide), &grey) < 1e-5, "{boundary}");
        }
    }

    /// With nothing assumed it is the middle of what any boundary gives. Wrong: a kernel that sees another part of the image.
    #[test]
    fn edges_may_be_unknown() {
        let scene = Dims::new(1, 30, 34);
        let x = Seeded::new(2, "test").normal(1, scene);
        // Where all nodes have one kernel, weights of other places do not matter.
        let all = spec("motion:5:30", "symmetric").build(scene).unwrap();
        let inner = spec("motion:5:30 motion:5:30", "unknown")
            .build(scene)
            .unwrap();
        let expected = inner.margins().crop(all.apply(&x));
        assert!(off(&inner.apply(&x), &expected) < 1e-5);
        let uneven = spec("motion:9:0 box:1; box:2 box:5", "unknown");
        let canvas = uneven.input_for(Dims::new(1, 8, 9)).unwrap();
        let operator = uneven.build(canvas).unwrap();
        assert_eq!(operator.output(), Dims::new(1, 8, 9));
        let x = Seeded::new(3, "test").normal(1, canvas);
        // The top right corner is not blurred.
        let margins = operator.margins();
        let corner = x[[0, 0, margins.top, margins.left + 8]];
        assert!((operator.apply(&x)[[0, 0, 0, 8]] - corner).abs() < 1e-5);
    }

    #[test]
    fn grids_come_back_and_nonsense_is_refused() {
        let grid: KernelGrid = " gaussian:1  box:3 ;motion:5:30 disk:2".parse().unwrap();
        assert_eq!(grid.to_string(), "gaussian:1 box:3; motion:5:30 disk:2");
        assert_eq!(grid.to_string().parse::<KernelGrid>().unwrap(), grid);
        for text in ["", " ; ", "box:3 box:5; box:3", "box:3;", "box:x"] {
            assert!(text.parse::<KernelGrid>().is_err(), "{text}");
        }
        let many = KernelGrid(vec![vec!["box:3".parse().unwrap(); 600]; 600]);
        let many = VaryingBlurSpec {
            kernels: many,
            boundary: Edges::Auto,
        };
        let error = many.build(Dims::new(1, 60, 60)).unwrap_err().to_string();
        assert!(error.contains("too many"), "{error}");
    }
}
