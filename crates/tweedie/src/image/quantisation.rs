//! How coarsely a JPEG was stored: the quantisation of each component, as its markers say (ITU T.81, annex B).

use std::fmt;
use std::sync::Arc;

use ::image::metadata::Orientation;

use super::raw::{is_transposed, upright};
use super::{Coefficients, Fault, coefficients};
use crate::Image;

/// What a JPEG file says of how its numbers were rounded.
///
/// A component's 8x8 blocks are transformed by an orthonormal DCT on samples in 0..=255, and each coefficient is rounded to a
/// multiple of its entry in the component's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jpeg {
    /// One a component, in the file's order.
    pub components: Vec<Component>,
    /// What the components are.
    pub transform: Transform,
    /// How the file's picture was turned when it was read.
    orientation: Orientation,
    file: Bytes,
}

/// The file: so much smaller than its pixels that it may be kept, for what else is asked of it.
#[derive(Clone, PartialEq, Eq)]
struct Bytes(Arc<[u8]>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// One component of a JPEG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// The steps of the DCT coefficients, in units of 1/255 of the range: row by row, `8 * v + u` for `u` waves across and
    /// `v` down, the mean first. They are of the upright picture: of one that its EXIF turns by a quarter, the file's are
    /// transposed.
    pub steps: [u16; 64],
    /// Samples across and down where the finest component has the most: (2, 2) for the luma and (1, 1) for the colours of
    /// 4:2:0. From 1 to 4.
    pub sampling: (u8, u8),
}

/// What the components of a JPEG are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transform {
    /// One of grey.
    Grey,
    /// A luma and two differences of colour.
    YCbCr,
    /// Red, green and blue themselves.
    Rgb,
    /// Four inks, as they are or with their colours as luma and differences.
    Cmyk,
}

/// The lowest frequencies of a component: the first six of the zigzag but the mean.
const LOW: [usize; 6] = [1, 8, 16, 9, 2, 3];

/// The mean step of a component at its lowest frequencies, in the units of `steps`.
pub(crate) fn coarseness(steps: &[f32; 64]) -> f64 {
    LOW.iter().map(|&i| f64::from(steps[i])).sum::<f64>() / LOW.len() as f64
}

impl Jpeg {
    /// The mean step of its luma at the lowest frequencies, in units of 1/255; 0 of a file without components.
    pub(crate) fn coarseness(&self) -> f64 {
        let luma = self.components.first();
        luma.map_or(0.0, |luma| coarseness(&luma.steps.map(f32::from)))
    }

    /// The quality, 1 to 100, at which libjpeg's luma is about as coarse; `None` of inks. libjpeg scales its tables by
    /// `200 - 2*quality` per cent from 50 up and by `5000/quality` below.
    pub fn quality(&self) -> Option<f64> {
        // That of ITU T.81, table K.1, which is quality 50: 11, 12, 14, 12, 10, 16.
        const AT_50: f64 = 12.5;
        if self.transform == Transform::Cmyk || self.components.is_empty() {
            return None;
        }
        let percent = 100.0 * self.coarseness() / AT_50;
        Some(match percent <= 100.0 {
            true => (100.0 - percent / 2.0).min(100.0),
            false => (5000.0 / percent).max(1.0),
        })
    }

    /// Whether several pixels share a sample of their colours, as in 4:2:0.
    pub(crate) fn shares_colours(&self) -> bool {
        let mut components = self.components.iter();
        let first = components.next().map(|c| c.sampling);
        components.any(|c| Some(c.sampling) != first)
    }

    /// The numbers in the file, read again. They are those of the picture as it lies in the file, see [`Jpeg::as_filed`].
    ///
    /// # Errors
    /// [`Fault`] if they are not Huffman-coded, or damaged.
    pub fn coefficients(&self) -> Result<Coefficients, Fault> {
        coefficients::read(&self.file.0)
    }

    /// The components as the file has them, if EXIF turns the picture.
    pub fn components_as_filed(&self) -> Vec<Component> {
        match is_transposed(self.orientation) {
            true => self.clone().transposed().components,
            false => self.components.clone(),
        }
    }

    /// An upright picture as it lies in the file.
    pub fn as_filed(&self, x: &Image) -> Image {
        let back = match self.orientation {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            other => other,
        };
        upright(x.view(), back, 2)
    }

    /// A picture as it lies in the file turned upright.
    pub fn as_seen(&self, x: &Image) -> Image {
        upright(x.view(), self.orientation, 2)
    }

    /// That of the picture turned upright.
    pub(super) fn upright(self, orientation: Orientation) -> Jpeg {
        let turned = match is_transposed(orientation) {
            true => self.transposed(),
            false => self,
        };
        Jpeg {
            orientation,
            ..turned
        }
    }

    /// That of the picture with rows and columns swapped.
    fn transposed(mut self) -> Jpeg {
        for component in &mut self.components {
            let (across, down) = component.sampling;
            component.sampling = (down, across);
            let steps = component.steps;
            component.steps = std::array::from_fn(|i| steps[8 * (i % 8) + i / 8]);
        }
        self
    }
}

/// Where the `k`-th number of a table lies in its block: T.81, figure 5.
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Gathers it, marker by marker.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// The tables in force.
    tables: [Option<[u16; 64]>; 4],
    components: Vec<Stored>,
    has_jfif: bool,
    /// The transform that an Adobe marker names.
    pub(super) adobe: Option<u8>,
}

/// A component as the frame header lists it.
#[derive(Debug)]
struct Stored {
    id: u8,
    sampling: (u8, u8),
    table: u8,
    /// As of the component's first scan: a table may be replaced afterwards.
    steps: Option<[u16; 64]>,
    /// Of which coefficients all bits have come.
    arrived: u64,
}

impl Gathered {
    /// An application segment, by the last digit of its marker.
    pub(super) fn application(&mut self, number: u8, segment: &[u8]) {
        match number {
            0 if segment.starts_with(b"JFIF\0") => self.has_jfif = true,
            14 if segment.starts_with(b"Adobe") => self.adobe = segment.get(11).copied(),
            _ => {}
        }
    }

    /// A DQT segment: tables of 64 numbers of 8 or 16 bits, each after a byte that says which (T.81, B.2.4.1).
    pub(super) fn tables(&mut self, mut segment: &[u8]) {
        while let Some((&head, rest)) = segment.split_first() {
            let wide = head >> 4 != 0;
            let length = if wide { 128 } else { 64 };
            let Some(numbers) = rest.get(..length) else {
                return;
            };
            let mut table = [0; 64];
            for (k, &at) in ZIGZAG.iter().enumerate() {
                table[usize::from(at)] = match wide {
                    true => u16::from_be_bytes([numbers[2 * k], numbers[2 * k + 1]]),
                    false => numbers[k].into(),
                };
            }
            if let Some(slot) = self.tables.get_mut(usize::from(head & 15)) {
                *slot = Some(table);
            }
            segment = &rest[length..];
        }
    }

    /// A frame header: of each component its name, sampling factors and table (T.81, B.2.2).
    pub(super) fn frame(&mut self, segment: &[u8]) {
        let listed = segment.get(6..).unwrap_or_default().as_chunks::<3>().0;
        let stored = |&[id, sampling, table]: &[u8; 3]| Stored {
            id,
            sampling: (sampling >> 4, sampling & 15),
            table,
            steps: None,
            arrived: 0,
        };
        self.components = listed.iter().map(stored).collect();
    }

    /// A scan header: of the components in it the tables are settled, and coefficients follow (T.81, B.2.3).
    pub(super) fn scan(&mut self, segment: &[u8]) {
        let Some((&count, rest)) = segment.split_first() else {
            return;
        };
        let arriving = match rest.get(2 * usize::from(count)..) {
            // From the first to the last coefficient, down to the last bit.
            Some(&[first, last @ ..=63, bits]) if first <= last && bits & 15 == 0 => {
                (u64::MAX >> (63 - last)) & (u64::MAX << first)
            }
            _ => 0,
        };
        for &[id, _] in rest.as_chunks::<2>().0.iter().take(count.into()) {
            for component in self.components.iter_mut().filter(|c| c.id == id) {
                let table = self.tables.get(usize::from(component.table)).copied();
                component.steps = component.steps.or(table.flatten());
                component.arrived |= arriving;
            }
        }
    }

    /// Whether scans have begun for all bits of all coefficients.
    pub(super) fn is_complete(&self) -> bool {
        let complete = |c: &Stored| c.arrived == u64::MAX;
        !self.components.is_empty() && self.components.iter().all(complete)
    }

    /// All of it, if nothing is missing, with the file that says it.
    pub(super) fn finish(&self, file: &[u8]) -> Option<Jpeg> {
        let component = |stored: &Stored| {
            Some(Component {
                steps: stored.steps.filter(|steps| !steps.contains(&0))?,
                sampling: stored.sampling,
            })
        };
        let components: Option<Vec<_>> = self.components.iter().map(component).collect();
        Some(Jpeg {
            components: components?,
            transform: self.transform()?,
            orientation: Orientation::NoTransforms,
            file: Bytes(file.into()),
        })
    }

    /// What the components are. The files do not always say; so this guesses as libjpeg does (`jdapimin.c`).
    fn transform(&self) -> Option<Transform> {
        let ids: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        match (ids.as_slice(), self.has_jfif, self.adobe) {
            ([_], _, _) => Some(Transform::Grey),
            ([_, _, _], false, Some(0)) => Some(Transform::Rgb),
            (b"RGB", false, None) => Some(Transform::Rgb),
            ([_, _, _], _, _) => Some(Transform::YCbCr),
            ([_, _, _, _], _, _) => Some(Transform::Cmyk),
            _ => None,
        }
    }
}
