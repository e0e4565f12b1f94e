//! Crops from a folder of photographs, or of sheets of small pictures.

use std::path::{Path, PathBuf};

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, s};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::Error;
use crate::Image;
use crate::image::Format;

/// How crops are cut from pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// 3 for colours, 1 for their mean.
    pub channels: usize,
    /// Whether crops stay as they are; else they are turned and mirrored.
    pub upright: bool,
    /// Whether pictures are sheets of small ones, each as large as a crop: then crops lie where these do.
    pub sheets: bool,
}

impl Cut {
    /// From anywhere in coloured pictures, turned and mirrored.
    pub const PHOTOS: Cut = Cut {
        channels: 3,
        upright: false,
        sheets: false,
    };
}

/// Photographs in memory, 8 bits a channel.
#[derive(Debug)]
pub struct Photos {
    cut: Cut,
    /// `[height, width, channels]`, grouped by scale.
    scales: Vec<Vec<Array3<u8>>>,
    digest: u32,
    skipped: Vec<Error>,
}

impl Photos {
    /// Reads every picture of a folder and of those in it, in the order of their names, and reduces it by each factor of
    /// `scales`.
    ///
    /// A picture that cannot be read is [skipped](Photos::skipped), versions smaller than a crop are left out.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no picture, or all are too small, or a folder cannot be read.
    pub fn open(folder: &Path, cut: Cut, scales: &[usize], crop: usize) -> Result<Photos, Error> {
        let mut by_scale = vec![Vec::new(); scales.len()];
        let (mut digest, mut skipped) = (0, Vec::new());
        for path in list(folder)? {
            let picture = match read(&path, cut.channels) {
                Ok(picture) => picture,
                Err(error) => {
                    skipped.push(error);
                    continue;
                }
            };
            let name = path.strip_prefix(folder).unwrap_or(&path);
            digest = digested(digest, name, &picture);
            for (kept, &factor) in by_scale.iter_mut().zip(scales) {
                let small = reduce(picture.view(), factor);
                if holds(&small, crop) {
                    kept.push(small);
                }
            }
        }
        by_scale.retain(|kept| !kept.is_empty());
        if by_scale.is_empty() {
            let unread = match skipped.len() {
                0 => String::new(),
                n => format!("; {n} could not be read, the first: {}", skipped[0]),
            };
            return Err(Error::Data {
                path: folder.to_owned(),
                reason: format!("no picture here is at least {crop}x{crop} pixels{unread}"),
            });
        }
        Ok(Photos {
            cut,
            scales: by_scale,
            digest,
            skipped,
        })
    }

    /// Whether some picture, at some scale, holds a crop of this side.
    pub fn hold(&self, crop: usize) -> bool {
        self.scales.iter().flatten().any(|p| holds(p, crop))
    }

    /// Pictures and megapixels, at the first scale.
    pub fn size(&self) -> (usize, f64) {
        let pixels: usize = self.scales[0]
            .iter()
            .map(|p| p.len() / self.cut.channels)
            .sum();
        (self.scales[0].len(), pixels as f64 / 1e6)
    }

    /// What could not be read, and why.
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    /// The same, alone.
    pub(crate) fn into_skipped(self) -> Vec<Error> {
        self.skipped
    }

    /// A checksum of the names (from the folder on), sizes and pixels of the folder's pictures.
    pub fn digest(&self) -> u32 {
        self.digest
    }

    /// A batch of random crops in [-1, 1], in one of the eight orientations (unless they stay upright) and with colours changed
    /// as `jitter` says, `[batch, channels, crop, crop]`.
    ///
    /// # Panics
    /// If no picture [holds](Photos::hold) such a crop.
    pub fn crops(&self, batch: usize, crop: usize, jitter: f64, rng: &mut impl Rng) -> Image {
        let mut out = Image::zeros((batch, self.cut.channels, crop, crop));
        let fit = |scale: &Vec<_>| scale.iter().any(|p| holds(p, crop));
        let scales: Vec<_> = self.scales.iter().filter(|s| fit(s)).collect();
        let weights: Vec<_> = scales.iter().map(|s| cumulated(s, crop)).collect();
        for mut target in out.outer_iter_mut() {
            let scale = rng.random_range(0..scales.len());
            let weights = &weights[scale];
            let u = rng.random::<f64>() * weights[weights.len() - 1];
            let picture = &scales[scale][weights.partition_point(|&w| w <= u)];
            let (h, w, _) = picture.dim();
            let mut start = |side: usize| match self.cut.sheets {
                true => crop * rng.random_range(0..side / crop),
                false => rng.random_range(0..=side - crop),
            };
            let (top, left) = (start(h), start(w));
            let mut view = picture.slice(s![top..top + crop, left..left + crop, ..]);
            let orientation: u8 = match self.cut.upright {
                true => 0,
                false => rng.random_range(0..8),
            };
            if orientation & 1 != 0 {
                view.invert_axis(Axis(0));
            }
            if orientation & 2 != 0 {
                view.invert_axis(Axis(1));
            }
            if orientation & 4 != 0 {
                view.swap_axes(0, 1);
            }
            target.assign(
                &view
                    .permuted_axes([2, 0, 1])
                    .mapv(|v| v as f32 / 127.5 - 1.0),
            );
            if jitter > 0.0 {
                change_colours(target, jitter, rng);
            }
        }
        out
    }
}

/// A random gamma, `exp(jitter*z)`, and a gain of each channel, `exp(jitter*z/2)`, not above white.
fn change_colours(mut crop: ArrayViewMut3<'_, f32>, jitter: f64, rng: &mut impl Rng) {
    let mut factor = |by: f64| {
        let z: f64 = StandardNormal.sample(rng);
        (by * z).exp() as f32
    };
    let gamma = factor(jitter);
    for mut channel in crop.outer_iter_mut() {
        let gain = factor(0.5 * jitter);
        channel.mapv_inplace(|v| {
            let light = gain * (0.5 * v + 0.5).max(0.0).powf(gamma);
            2.0 * light.min(1.0) - 1.0
        });
    }
}

/// The checksum of the pictures before, and one more.
fn digested(before: u32, name: &Path, picture: &Array3<u8>) -> u32 {
    let name = name.as_os_str().as_encoded_bytes();
    let (h, w, _) = picture.dim();
    let sizes = [name.len(), h, w].map(|n| (n as u64).to_le_bytes());
    let pixels = picture.as_slice().expect("a picture that was just read");
    let parts = [sizes.as_flattened(), name, pixels];
    let add = |sum, part: &[u8]| crc32c::crc32c_append(sum, part);
    parts.into_iter().fold(before, add)
}

fn holds(picture: &Array3<u8>, crop: usize) -> bool {
    let (h, w, _) = picture.dim();
    h >= crop && w >= crop
}

/// Pictures that hold a crop are drawn by the root of their area: large ones have more to show, but must not drown the
/// others.
fn cumulated(pictures: &[Array3<u8>], crop: usize) -> Vec<f64> {
    pictures
        .iter()
        .scan(0.0, |sum, p| {
            if holds(p, crop) {
                *sum += (p.len() as f64).sqrt();
            }
            Some(*sum)
        })
        .collect()
}

/// The picture files of a folder and of all folders in it but hidden ones, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut paths, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let fail = |e: std::io::Error| Error::Data {
            path: folder.clone(),
            reason: e.to_string(),
        };
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let path = entry.path();
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            // Links to folders are not followed: they may lead in a circle.
            if entry.file_type().map_err(fail)?.is_dir() {
                if !hidden {
                    folders.push(path);
                }
            } else if Format::from_path(&path).is_ok() && !path.is_dir() {
                paths.push(path);
            }
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path, channels: usize) -> Result<Array3<u8>, Error> {
    let picture = crate::image::read(path).map_err(|e| Error::Data {
        path: path.to_owned(),
        reason: e.fault.to_string(),
    })?;
    let (_, c, h, w) = picture.pixels.dim();
    Ok(Array3::from_shape_fn((h, w, channels), |(i, j, k)| {
        let colours = picture.pixels.slice(s![0, .., i, j]);
        let value = match channels {
            1 => colours.sum() / c as f32,
            _ => colours[k.min(c - 1)],
        };
        (value * 255.0).round() as u8
    }))
}

/// Means of `factor x factor` blocks.
fn reduce(picture: ArrayView3<'_, u8>, factor: usize) -> Array3<u8> {
    if factor == 1 {
        return picture.to_owned();
    }
    let (h, w, channels) = picture.dim();
    Array3::from_shape_fn((h / factor, w / factor, channels), |(i, j, c)| {
        let block = picture.slice(s![
            i * factor..(i + 1) * factor,
            j * factor..(j + 1) * factor,
            c
        ]);
        let sum: u32 = block.iter().map(|&v| v as u32).sum();
        let n = (factor * factor) as u32;
        ((sum + n / 2) / n) as u8
    })
}
