//! Frames that were put around a blurred picture: the bars of a film, what surrounds a picture on a screen.
//!
//! They were no part of what was blurred. Taken for it, their sharp edges contradict the kernel, and stripes as wide as the kernel
//! reaches, and wider, are what explains them. A frame is whole rows or columns of one colour at an edge of the picture, which end
//! more sharply than the kernel could leave them. White skies and the margins of a page, and bars that were there before, end as softly as
//! all else: they stay.
//!
//! With `d_r` what row `r` differs from the frame's colour by, `0 = d_(r-1)` and `d_r` about `d_(r+q)` where a frame ends, for what is inside
//! was blurred. Of an edge that was blurred, a row adds at most the part `m` that the kernel's heaviest row has:
//!
//! ```text
//! sum (d_r - d_(r-1)) d_(r+q) / sum d_(r+q)^2  is about 1 at the end of a frame, and about m or less elsewhere,
//! ```
//!
//! with `q` rows for twice the standard deviation of the kernel's rows.

use ndarray::{Array1, ArrayView3, Axis, Zip, s};

use crate::image::Picture;
use crate::operator::{Edges, Kernel, Margins, Spec};
use crate::{Dims, Image};

/// Numbers this near to a colour are of it, and lines of which most are further off are of none.
const ALIKE: f32 = 4.0 / 255.0;
const UNLIKE: f64 = 6.0 / 255.0;

/// A JPEG's blocks, with the samples of its colours: so far from its end a frame may show what was rounded there.
const BLOCK: usize = 16;

/// The last line of a frame has at most this part of the power that the next one has.
const QUIET: f64 = 1.0 / 16.0;

/// What surrounds a blurred picture, with the picture.
#[derive(Debug)]
pub(super) struct Frame {
    whole: Picture,
    margins: Margins,
}

impl Frame {
    /// The frame around a picture of which a blur is to be undone, if it has one. Whoever states a boundary knows what is beyond it.
    pub(super) fn around(picture: &Picture, spec: &Spec) -> Option<Frame> {
        let Spec::Blur(blur) = spec else { return None };
        if blur.boundary != Edges::Unknown {
            return None;
        }
        let kernel = blur.kernel.build().ok()?;
        let margins = margins(picture.pixels.index_axis(Axis(0), 0), &kernel);
        (margins != Margins::NONE).then(|| Frame {
            whole: picture.clone(),
            margins,
        })
    }

    /// What it is, in a line.
    pub(super) fn told(&self) -> String {
        let Margins {
            top,
            bottom,
            left,
            right,
        } = self.margins;
        let sides = [
            (top, "above"),
            (bottom, "below"),
            (left, "left"),
            (right, "right"),
        ];
        let sides = sides.iter().filter(|(n, _)| *n > 0);
        let sides: Vec<String> = sides.map(|(n, side)| format!("{n} {side}")).collect();
        format!(
            "a frame of one colour ({} pixels) ends more sharply than the blur leaves anything: taken for put there later, and left as \
             it is (a stated boundary takes it for part of the picture)",
            sides.join(", ")
        )
    }

    /// The file's picture, frame and all.
    pub(super) fn whole(&self) -> &Picture {
        &self.whole
    }

    /// What is inside.
    pub(super) fn content(&self) -> Picture {
        let whole = &self.whole;
        let mut content = whole.with_pixels(self.margins.crop(whole.pixels.clone()));
        let alpha = whole.alpha.clone();
        content.alpha = alpha.map(|alpha| self.margins.crop_plane(alpha));
        content.jpeg.clone_from(&whole.jpeg);
        content
    }

    /// Pictures inside the frame.
    pub(super) fn with(&self, x: Image) -> Image {
        let Dims { c, h, w } = self.whole.dims();
        let frames = self.whole.pixels.broadcast((x.dim().0, c, h, w));
        self.put(frames.expect("one picture").to_owned(), &x)
    }

    /// How sure what is inside is, and that nothing was done to the frame.
    pub(super) fn with_spread(&self, std: Image) -> Image {
        let outside = Image::zeros(self.whole.dims().batch(std.dim().0));
        self.put(outside, &std)
    }

    fn put(&self, mut outside: Image, x: &Image) -> Image {
        let (_, _, h, w) = x.dim();
        let (rows, columns) = (self.margins.top, self.margins.left);
        let inside = s![.., .., rows..rows + h, columns..columns + w];
        outside.slice_mut(inside).assign(x);
        outside
    }
}

/// How wide the frame is around `[channel, height, width]`. A side's lines need only be of one colour within those of the others, so
/// that it is looked for until there is no more.
fn margins(y: ArrayView3<'_, f32>, kernel: &Kernel) -> Margins {
    let [rows, columns] = [Axis(1), Axis(0)].map(|axis| Profile::of(kernel.taps().sum_axis(axis)));
    let (mut margins, mut found) = (Margins::NONE, true);
    while found {
        let inside = |m: Margins| {
            let (_, h, w) = y.dim();
            y.slice_move(s![.., m.top..h - m.bottom, m.left..w - m.right])
        };
        let turned = |m: Margins, columns: bool, far: bool| {
            let mut lines = inside(m);
            if columns {
                lines.swap_axes(1, 2);
            }
            if far {
                lines.invert_axis(Axis(1));
            }
            lines
        };
        let before = margins;
        margins.top += rows.frame(turned(margins, false, false));
        margins.bottom += rows.frame(turned(margins, false, true));
        margins.left += columns.frame(turned(margins, true, false));
        margins.right += columns.frame(turned(margins, true, true));
        found = margins != before;
    }
    margins
}

/// A kernel along one direction.
struct Profile {
    lines: usize,
    /// The part that the heaviest line has.
    heaviest: f64,
    /// Twice its standard deviation: by so many lines from where a blurred edge begins, half of it has come.
    reach: usize,
}

impl Profile {
    fn of(weights: Array1<f64>) -> Profile {
        let moment = |f: &dyn Fn(f64) -> f64| {
            let terms = weights.iter().enumerate();
            terms.map(|(i, w)| w * f(i as f64)).sum::<f64>()
        };
        let mean = moment(&|i| i);
        let variance = moment(&|i| (i - mean).powi(2));
        Profile {
            lines: weights.len(),
            heaviest: weights.iter().copied().fold(0.0, f64::max),
            reach: (2.0 * variance.max(0.0).sqrt()).ceil() as usize,
        }
    }

    /// How many of the first lines are a frame, of `[channel, line, place]`.
    fn frame(&self, y: ArrayView3<'_, f32>) -> usize {
        let colour = y.index_axis(Axis(1), 0).map_axis(Axis(1), |line| {
            let mut line = line.to_vec();
            let middle = line.len() / 2;
            *line.select_nth_unstable_by(middle, f32::total_cmp).1
        });
        let off = &y - &colour.insert_axis(Axis(1)).insert_axis(Axis(2));
        let of_colour = |line: &ArrayView3<'_, f32>| line.iter().all(|d| d.abs() <= ALIKE);
        let lines = off.axis_chunks_iter(Axis(1), 1);
        let alike = lines.take_while(of_colour).count();
        // What is left must be large enough for the kernel.
        let last = y.dim().1.saturating_sub(self.reach + 2 * self.lines);
        let mut candidates = alike..last.min(alike + BLOCK);
        match alike {
            0 => 0,
            _ => candidates.find(|&r| self.ends(&off.view(), r)).unwrap_or(0),
        }
    }

    /// Whether a frame, from whose colour the lines are so far off, ends before line `r`.
    fn ends(&self, off: &ArrayView3<'_, f32>, r: usize) -> bool {
        let line = |r: usize| off.index_axis(Axis(1), r);
        let power = |r: usize| line(r).iter().map(|&d| f64::from(d).powi(2)).sum::<f64>();
        let lines = Zip::from(line(r))
            .and(line(r - 1))
            .and(line(r + self.reach));
        let step = lines.fold(0.0, |sum, a, b, c| sum + f64::from((a - b) * c));
        let inside = (r..=r + self.reach).map(power).fold(0.0, f64::max);
        // A third of the way from what the blur leaves at most to 1.
        let sharp = (1.0 + 2.0 * self.heaviest) / 3.0;
        power(r - 1) <= QUIET * power(r)
            && power(r) > UNLIKE.powi(2) * line(r).len() as f64
            && step > sharp * inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};
    use crate::operator::{Blur, Boundary, Operator};

    const DIMS: Dims = Dims::new(3, 72, 80);
    const WIDE: Margins = Margins {
        top: 12,
        bottom: 9,
        left: 0,
        right: 5,
    };

    /// Blobs of any colour, on a ground that grows brighter.
    fn scene() -> Image {
        let noise = Seeded::new(1, "scene").normal(1, DIMS);
        let blobs = blurred(&noise, &Kernel::gaussian(3.0, None).unwrap());
        let ground = Image::from_shape_fn(DIMS.batch(1), |(.., i, _)| 0.3 + 0.004 * i as f32);
        (ground + blobs).mapv(|v| v.clamp(0.0, 1.0))
    }

    fn blurred(x: &Image, kernel: &Kernel) -> Image {
        Blur::new(DIMS, kernel.clone(), Boundary::Symmetric)
            .unwrap()
            .apply(x)
    }

    fn framed(x: &Image, margins: Margins, colour: f32) -> Picture {
        let mut whole = Picture::new(Image::from_elem(x.raw_dim(), colour));
        let frame = Frame {
            whole: whole.clone(),
            margins,
        };
        whole.pixels = frame.with(margins.crop(x.clone()));
        whole
    }

    fn found(picture: &Picture, boundary: &str) -> Option<Frame> {
        let spec = format!("kind = 'blur'\nkernel = 'disk:3'\nboundary = '{boundary}'");
        Frame::around(picture, &toml::from_str(&spec).unwrap())
    }

    /// Bars of any colour are found where they were put around what is blurred, and not where they were blurred with it: there a row
    /// adds a sixth at most. Nor is a white sky one, or the same bars beside an edge that was stated.
    #[test]
    fn frames_are_what_the_blur_cannot_have_left() {
        let kernel = Kernel::disk(3.0).unwrap();
        let scene = scene();
        for colour in [0.0, 0.2, 1.0] {
            let after = framed(&blurred(&scene, &kernel), WIDE, colour);
            let frame = found(&after, "unknown").expect("a frame");
            assert_eq!(frame.margins, WIDE, "{colour}");
            assert_eq!(frame.with(frame.content().pixels), after.pixels);
            let told = frame.told();
            assert!(told.contains("12 above, 9 below, 5 right"), "{told}");
            assert!(found(&after, "symmetric").is_none());
            let before = Picture::new(blurred(&framed(&scene, WIDE, colour).pixels, &kernel));
            assert!(found(&before, "unknown").is_none(), "{colour}");
        }
        let mut sky = scene.clone();
        sky.slice_mut(s![.., .., ..30, ..]).fill(1.0);
        let sky = blurred(&sky, &kernel).mapv(|v| (1.5 * v).min(1.0));
        assert!(found(&Picture::new(sky), "unknown").is_none());
        let one = Picture::new(Image::from_elem(DIMS.batch(1), 0.5));
        assert!(found(&one, "unknown").is_none());
    }

    /// What a JPEG leaves in the last blocks of the bars is theirs, if they are wider than a block of its colours. Wrong: an end that is
    /// looked for where the colour is exact.
    #[test]
    fn frames_end_within_blocks() {
        let wider = Margins {
            top: 20,
            bottom: 19,
            left: 0,
            right: 21,
        };
        let picture = framed(&blurred(&scene(), &Kernel::disk(3.0).unwrap()), wider, 0.0);
        let jpeg = crate::operator::Jpeg::new(DIMS, 75, Default::default()).unwrap();
        let picture = Picture::new(jpeg.apply(&picture.pixels).mapv(|v| v.clamp(0.0, 1.0)));
        let frame = found(&picture, "unknown").expect("a frame");
        assert_eq!(frame.margins, wider);
    }
}
