//! Contact sheets.

use ndarray::s;

use super::Fault;
use crate::{Dims, Image};

/// White pixels between the cells.
const GAP: usize = 2;

/// Lays pictures out in rows of `columns`, with a gap of 2 white pixels between them.
///
/// Each of `images` is a batch, `[n, 1 or 3, height, width]`; every picture of it takes a cell. A cell is as large as
/// the largest picture, and smaller ones sit in its middle; grey ones are drawn grey beside coloured ones.
///
/// # Errors
/// [`Fault::EmptyGrid`] without pictures or columns, [`Fault::Shape`] for other numbers of channels.
pub fn grid(images: &[Image], columns: usize) -> Result<Image, Fault> {
    let pictures: Vec<_> = images.iter().flat_map(|batch| batch.outer_iter()).collect();
    if pictures.is_empty() || columns == 0 {
        return Err(Fault::EmptyGrid);
    }
    if let Some(odd) = images.iter().find(|x| !matches!(Dims::of(x).c, 1 | 3)) {
        return Err(Fault::Shape(odd.shape().to_vec()));
    }
    let most = |axis: usize| pictures.iter().map(|p| p.shape()[axis]).max().unwrap_or(0);
    let (c, h, w) = (most(0), most(1), most(2));
    let columns = columns.min(pictures.len());
    let rows = pictures.len().div_ceil(columns);

    let size = |cells: usize, side: usize| cells * side + (cells - 1) * GAP;
    let mut sheet = Image::ones((1, c, size(rows, h), size(columns, w)));
    for (i, picture) in pictures.iter().enumerate() {
        let (_, ph, pw) = picture.dim();
        let top = (i / columns) * (h + GAP) + (h - ph) / 2;
        let left = (i % columns) * (w + GAP) + (w - pw) / 2;
        let mut cell = sheet.slice_mut(s![0, .., top..top + ph, left..left + pw]);
        let picture = picture.broadcast((c, ph, pw));
        cell.assign(&picture.expect("one channel stretches to three, three are three"));
    }
    Ok(sheet)
}
