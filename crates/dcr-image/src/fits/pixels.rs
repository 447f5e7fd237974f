//! Pixels of an image to be written, and the cards that name its HDU.

use std::io;

use ndarray::{Array2, ArrayView2};

use crate::header::Card;

/// The pixels of an image, `[row, column]`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Pixels<'a> {
    /// 32-bit real numbers.
    F32(ArrayView2<'a, f32>),
    /// 64-bit real numbers.
    F64(ArrayView2<'a, f64>),
    /// 32-bit integers, for masks.
    I32(ArrayView2<'a, i32>),
    /// Unsigned 16-bit integers, for counts.
    U16(ArrayView2<'a, u16>),
}

// Conversion of array views to the pixels of an image HDU.
macro_rules! pixels_of {
    ($($number:ty => $variant:ident),+) => { $(
        impl<'a> From<&'a Array2<$number>> for Pixels<'a> {
            fn from(plane: &'a Array2<$number>) -> Self {
                Self::$variant(plane.view())
            }
        }
    )+ };
}

pixels_of!(f32 => F32, f64 => F64, i32 => I32, u16 => U16);

impl Pixels<'_> {
    /// Rows and columns.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        match self {
            Self::F32(pixels) => pixels.dim(),
            Self::F64(pixels) => pixels.dim(),
            Self::I32(pixels) => pixels.dim(),
            Self::U16(pixels) => pixels.dim(),
        }
    }

    pub(super) const fn bitpix(&self) -> i64 {
        match self {
            Self::F32(_) => -32,
            Self::F64(_) => -64,
            Self::I32(_) => 32,
            Self::U16(_) => 16,
        }
    }

    /// The rows as big-endian bytes.
    pub(super) fn each_row(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        fn rows<T: Copy, const N: usize>(
            pixels: &ArrayView2<'_, T>,
            bytes_of: impl Fn(T) -> [u8; N],
            take: &mut impl FnMut(&[u8]) -> io::Result<()>,
        ) -> io::Result<()> {
            let mut bytes = Vec::with_capacity(pixels.ncols() * N);
            for row in pixels.rows() {
                bytes.clear();
                row.iter().for_each(|&value| bytes.extend_from_slice(&bytes_of(value)));
                take(&bytes)?;
            }
            Ok(())
        }
        match self {
            Self::F32(pixels) => rows(pixels, f32::to_be_bytes, &mut take),
            Self::F64(pixels) => rows(pixels, f64::to_be_bytes, &mut take),
            Self::I32(pixels) => rows(pixels, i32::to_be_bytes, &mut take),
            // FITS stores unsigned 16-bit integers as signed ones with an offset (BZERO) of 32768.
            Self::U16(pixels) => rows(pixels, |value| (value ^ 0x8000).to_be_bytes(), &mut take),
        }
    }
}

/// Cards that name an image extension and make it inherit the primary cards.
pub(super) fn named(name: &str) -> [Card; 3] {
    [Card::new("INHERIT", true), Card::new("EXTTYPE", name), Card::new("EXTNAME", name)]
}
