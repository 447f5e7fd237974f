//! FITS file reader: HDUs, headers, pixels and table cells.
//!
//! No byte of a file reaches C code. Opening a file verifies the location of every HDU
//! ([`structure`](super::structure)), compressed tiles are decoded by a crate in safe Rust
//! ([`tiles`](super::tiles)), and every size in a file is checked against the length of the file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::FitsError;
use super::checksum::{Mismatch, verify};
use super::error::io_error;
pub(super) use super::samples::Pixel;
use super::samples::{Scaling, convert_bytes};
use super::source::Source;
use super::structure::{Content, HduExtent, walk};
use super::table::{CellPlace, TableLayout, column_number};
use super::tiles::{DecodeError, TiledImage, is_tiled};
use crate::header::Header;

/// Read buffer for pixels in bytes.
const PIECE: usize = 1 << 20;

/// An open FITS file, positioned at one of its HDUs.
#[derive(Debug)]
pub(crate) struct FitsReader {
    source: Source,
    path: PathBuf,
    hdus: Vec<HduExtent>,
    current: usize,
    /// Header and content of the current HDU, read on positioning.
    header: Header,
    content: Opened,
}

/// Content of an HDU, verified.
#[derive(Debug)]
enum Opened {
    Image { bitpix: i64, axes: Vec<usize> },
    Tiles(TiledImage),
    Table(TableLayout),
    Other,
}

/// Verifies DATASUM and CHECKSUM of all HDUs of a file, where present: for files that no tool
/// edits.
///
/// # Errors
///
/// [`FitsError::Checksum`] for the first mismatch; another [`FitsError`] for an unreadable file.
pub fn verify_checksums(path: &Path) -> Result<(), FitsError> {
    FitsReader::open(path)?.verify_checksums(true).map(|_| ())
}

/// Content type of an HDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HduKind {
    /// An image, plain or tile-compressed, with the lengths of its axes (NAXIS1 first).
    Image { axes: Vec<usize>, integer: bool },
    /// A table.
    Table,
}

impl FitsReader {
    /// Opens a file, gzipped or not, and finds its HDUs. The name is literal: no character in it is
    /// special.
    pub(crate) fn open(path: &Path) -> Result<Self, FitsError> {
        let mut source = Source::open(path)?;
        let hdus = walk(path, &mut source)?;
        let (header, content) = (Header::new(), Opened::Other);
        Ok(Self { source, path: path.to_owned(), hdus, current: 0, header, content })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of HDUs, the primary included.
    pub(crate) fn hdu_count(&self) -> usize {
        self.hdus.len()
    }

    /// Moves to an HDU (0 is the primary), verifies its cards, and returns its content type.
    pub(crate) fn go_to(&mut self, hdu: usize) -> Result<HduKind, FitsError> {
        let Some(extent) = self.hdus.get(hdu) else {
            let reason = format!("the file has {} HDUs, no HDU {hdu}; it has changed", self.hdus.len());
            return Err(FitsError::Content { path: self.path.clone(), hdu: format!("HDU {hdu}"), reason });
        };
        let header = Header::parse(&extent.cards);
        let content = open_content(extent, &header);
        let content = content.map_err(|reason| self.damaged(hdu, reason))?;
        let integer = |bitpix: i64| {
            let scaling = Scaling::read(&header, "BSCALE", "BZERO", &[]);
            bitpix > 0 && scaling.is_ok_and(|scaling| scaling.keeps_integers())
        };
        let kind = match &content {
            Opened::Image { bitpix, axes } | Opened::Tiles(TiledImage { bitpix, axes, .. }) => {
                HduKind::Image { axes: axes.clone(), integer: integer(*bitpix) }
            }
            Opened::Table(_) | Opened::Other => HduKind::Table,
        };
        (self.current, self.header, self.content) = (hdu, header, content);
        Ok(kind)
    }

    /// All cards of the current HDU.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Reads rows and columns (from 0) of the current image HDU, row by row. Undefined
    /// floating-point pixels are NaN.
    pub(crate) fn pixels<T: Pixel>(
        &mut self,
        rows: Range<usize>,
        columns: Range<usize>,
        hdu: &str,
    ) -> Result<Vec<T>, FitsError> {
        self.section(&[columns, rows], hdu)
    }

    /// Reads all pixels of the current image HDU with the given axis lengths (NAXIS1 first, which
    /// varies fastest).
    pub(crate) fn all_pixels<T: Pixel>(&mut self, axes: &[usize], hdu: &str) -> Result<Vec<T>, FitsError> {
        let ranges: Vec<_> = axes.iter().map(|&length| 0..length).collect();
        self.section(&ranges, hdu)
    }

    /// Reads ranges along the first axes (NAXIS1 first); any further axes have length 1.
    fn section<T: Pixel>(&mut self, ranges: &[Range<usize>], hdu: &str) -> Result<Vec<T>, FitsError> {
        let (Opened::Image { bitpix, axes } | Opened::Tiles(TiledImage { bitpix, axes, .. })) = &self.content
        else {
            return Err(self.content_error(hdu, "expected an image, found a table".to_owned()));
        };
        let whole = ranges.iter().cloned().chain(std::iter::repeat(0..1)).take(axes.len().max(ranges.len()));
        let ranges: Vec<_> = whole.collect();
        let inside = |(axis, range): (usize, &Range<usize>)| {
            range.start <= range.end && range.end <= axes.get(axis).copied().unwrap_or(1)
        };
        if !ranges.iter().enumerate().all(inside) {
            return Err(
                self.content_error(hdu, format!("pixels {ranges:?} requested, but the axes are {axes:?}"))
            );
        }
        if ranges.iter().any(Range::is_empty) {
            return Ok(Vec::new());
        }
        // BLANK marks undefined pixels of an integer image; ZBLANK is equivalent in a compressed
        // one.
        let blanks: &[&str] = match (*bitpix > 0, &self.content) {
            (true, Opened::Tiles(_)) => &["BLANK", "ZBLANK"],
            (true, _) => &["BLANK"],
            _ => &[],
        };
        let scaling = Scaling::read(&self.header, "BSCALE", "BZERO", blanks);
        let scaling = scaling.map_err(|reason| self.damaged(self.current, reason))?;
        let pixels = match &self.content {
            Opened::Tiles(tiles) => {
                let ranges = &ranges[..axes.len()];
                tiles.pixels(&mut self.source, &self.hdus[self.current], ranges, &scaling)
            }
            _ => plain_pixels(&mut self.source, &self.hdus[self.current], *bitpix, axes, &ranges, &scaling),
        };
        pixels.map_err(|error| match error {
            DecodeError::OutOfRange => self.out_of_range(format!("read pixels of {hdu}")),
            DecodeError::Io(source) => io_error(&self.path, "read it")(source),
            DecodeError::Data(reason) => {
                self.damaged(self.current, format!("the compressed pixels cannot be decoded: {reason}"))
            }
        })
    }

    /// The number of a table column, from 1, by its name without case; `None` if the table lacks
    /// it.
    pub(crate) fn column(&mut self, name: &str) -> Option<i32> {
        match &self.content {
            Opened::Table(_) | Opened::Other => column_number(&self.header, name),
            Opened::Image { .. } | Opened::Tiles(_) => None,
        }
    }

    /// The numbers in one cell of a table (row from 0); variable-length arrays included.
    pub(crate) fn cell<T: Pixel>(&mut self, column: i32, row: usize) -> Result<Vec<T>, FitsError> {
        let label = format!("HDU {}", self.current);
        let Opened::Table(table) = &self.content else {
            return Err(self.content_error(&label, "expected a binary table".to_owned()));
        };
        let hdu = &self.hdus[self.current];
        let damaged = |reason: String| self.damaged(self.current, reason);
        let scaling = TableLayout::scaling(&self.header, column).map_err(damaged)?;
        let (offset, count, bitpix) = match table.cell(column, row).map_err(damaged)? {
            CellPlace::Row { offset, count, bitpix } => (offset, count, bitpix),
            CellPlace::Heap { descriptor, size, bitpix } => {
                let mut bytes = [0; 16];
                let bytes = &mut bytes[..2 * size as usize];
                let read = self.source.read_at(hdu.data + descriptor, bytes);
                read.map_err(io_error(&self.path, "read it"))?;
                let (offset, count) = table.in_heap(bytes, bitpix).map_err(|reason| {
                    self.damaged(self.current, format!("row {row}, column {column}: {reason}"))
                })?;
                (offset, count, bitpix)
            }
        };
        // Within the data of the HDU, which the file is known to hold.
        let mut bytes = vec![0; (count * (bitpix.unsigned_abs() / 8)) as usize];
        let read = self.source.read_at(hdu.data + offset, &mut bytes);
        read.map_err(io_error(&self.path, "read it"))?;
        let mut values = Vec::with_capacity(count as usize);
        convert_bytes(&bytes, bitpix, &scaling, &mut values)
            .map_err(|_| self.out_of_range(format!("read row {row}, column {column} of {label}")))?;
        Ok(values)
    }

    /// The text in one cell of a table (row from 0), trimmed.
    ///
    /// # Errors
    ///
    /// [`FitsError`] for an unreadable cell, one without text, or more than 1000 characters.
    pub(crate) fn text_cell(&mut self, column: i32, row: usize) -> Result<String, FitsError> {
        const LONGEST: u64 = 1000;
        let label = format!("HDU {}", self.current);
        let Opened::Table(table) = &self.content else {
            return Err(self.content_error(&label, "expected a binary table".to_owned()));
        };
        let (offset, length) =
            table.text_cell(column, row).map_err(|reason| self.damaged(self.current, reason))?;
        if length > LONGEST {
            let reason =
                format!("column {column} has texts of {length} characters; at most {LONGEST} are allowed");
            return Err(self.content_error(&label, reason));
        }
        let mut bytes = vec![0; length as usize];
        let read = self.source.read_at(self.hdus[self.current].data + offset, &mut bytes);
        read.map_err(io_error(&self.path, "read it"))?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[..end]).trim().to_owned())
    }

    /// Verifies DATASUM and CHECKSUM of all HDUs, where present.
    ///
    /// Returns the HDUs whose header alone differs from CHECKSUM.
    ///
    /// # Errors
    ///
    /// [`FitsError::Checksum`] for the first HDU whose data differ; with `strict` also for headers.
    pub(crate) fn verify_checksums(&mut self, strict: bool) -> Result<Vec<usize>, FitsError> {
        let mut edited = Vec::new();
        for hdu in &self.hdus {
            let found = verify(&mut self.source, hdu).map_err(io_error(&self.path, "read it"))?;
            let Some(Mismatch { keyword, stated, found }) = found else { continue };
            if !strict && keyword == "CHECKSUM" {
                edited.push(hdu.index);
                continue;
            }
            let (path, hdu) = (self.path.clone(), format!("HDU {}", hdu.index));
            return Err(FitsError::Checksum { path, hdu, keyword, stated, found });
        }
        Ok(edited)
    }

    fn damaged(&self, hdu: usize, reason: String) -> FitsError {
        FitsError::Damaged { path: self.path.clone(), hdu, offset: self.hdus[hdu].start, reason }
    }

    fn content_error(&self, hdu: &str, reason: String) -> FitsError {
        FitsError::Content { path: self.path.clone(), hdu: hdu.to_owned(), reason }
    }

    fn out_of_range(&self, action: String) -> FitsError {
        FitsError::OutOfRange { path: self.path.clone(), action }
    }
}

/// Verifies the cards of an HDU beyond its size.
fn open_content(extent: &HduExtent, header: &Header) -> Result<Opened, String> {
    match &extent.content {
        Content::Image { bitpix, axes } => Ok(Opened::Image { bitpix: *bitpix, axes: axes.clone() }),
        Content::Table { row_length, rows, heap } => {
            let table = TableLayout::read(header, *row_length, *rows, *heap)?;
            if is_tiled(header) {
                return TiledImage::read(header, &table, extent.data_length).map(Opened::Tiles);
            }
            Ok(Opened::Table(table))
        }
        Content::Other => Ok(Opened::Other),
    }
}

/// Reads ranges along all axes of an uncompressed image.
fn plain_pixels<T: Pixel>(
    source: &mut Source,
    hdu: &HduExtent,
    bitpix: i64,
    axes: &[usize],
    ranges: &[Range<usize>],
    scaling: &Scaling,
) -> Result<Vec<T>, DecodeError> {
    let size = (bitpix.unsigned_abs() / 8) as usize;
    // Bounded by the image, which the file is known to hold.
    let mut pixels = Vec::with_capacity(ranges.iter().map(ExactSizeIterator::len).product());
    let mut buffer = Vec::new();
    let mut take = |start: usize, count: usize| -> Result<(), DecodeError> {
        let mut offset = hdu.data + (start * size) as u64;
        let mut left = count * size;
        while left > 0 {
            let length = left.min(PIECE);
            buffer.resize(length, 0);
            source.read_at(offset, &mut buffer).map_err(DecodeError::Io)?;
            convert_bytes(&buffer, bitpix, scaling, &mut pixels)?;
            (offset, left) = (offset + length as u64, left - length);
        }
        Ok(())
    };
    // Fully read leading axes, plus one more, are contiguous.
    let whole = ranges.iter().zip(axes).take_while(|&(range, &length)| range.len() == length).count();
    let run = ranges.len().min(whole + 1);
    let strides: Vec<usize> = axes
        .iter()
        .scan(1, |stride, &length| {
            let own = *stride;
            *stride *= length;
            Some(own)
        })
        .chain(std::iter::repeat(0))
        .take(ranges.len())
        .collect();
    let count: usize = ranges[..run].iter().map(ExactSizeIterator::len).product();
    let mut at: Vec<usize> = ranges.iter().map(|range| range.start).collect();
    loop {
        take(at.iter().zip(&strides).map(|(at, stride)| at * stride).sum(), count)?;
        let Some(axis) = (run..ranges.len()).find(|&axis| at[axis] + 1 < ranges[axis].end) else {
            return Ok(pixels);
        };
        at[axis] += 1;
        for axis in run..axis {
            at[axis] = ranges[axis].start;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::fits::{ExposureToWrite, ImageHdu, Pixels, WriteOptions, write_exposure};

    /// A read error in the middle, of which a file that shrinks is one, is no end of the file.
    #[test]
    fn file_that_shrinks_while_it_is_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fits");
        let pixels = ndarray::Array2::<f32>::zeros((50, 60));
        let images = ["A", "B"].map(|name| ImageHdu::new(name, Pixels::F32(pixels.view())));
        let exposure = ExposureToWrite { images: images.to_vec(), ..ExposureToWrite::default() };
        write_exposure(&path, &exposure, WriteOptions::default()).unwrap();
        let mut reader = FitsReader::open(&path).unwrap();
        reader.go_to(2).unwrap();
        let length = std::fs::metadata(&path).unwrap().len();
        File::options().write(true).open(&path).unwrap().set_len(length - 6000).unwrap();
        let error = reader.pixels::<f32>(0..50, 0..60, "B").unwrap_err();
        assert!(matches!(error, FitsError::Io { .. }), "{error}");
        assert!(reader.verify_checksums(false).is_err());
        assert!(FitsReader::open(&path).is_err());
    }

    #[test]
    fn parts_of_cubes_are_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cube.fits");
        let mut bytes: Vec<u8> = [
            "SIMPLE  = T",
            "BITPIX  = 16",
            "NAXIS   = 3",
            "NAXIS1  = 4",
            "NAXIS2  = 3",
            "NAXIS3  = 2",
            "END",
        ]
        .iter()
        .flat_map(|card| format!("{card:<80}").into_bytes())
        .collect();
        bytes.resize(2880, b' ');
        bytes.extend((0..24_i16).flat_map(i16::to_be_bytes));
        bytes.resize(5760, 0);
        std::fs::write(&path, bytes).unwrap();
        let mut reader = FitsReader::open(&path).unwrap();
        reader.go_to(0).unwrap();
        assert_eq!(reader.section::<i32>(&[1..3, 0..2, 0..2], "x").unwrap(), [1, 2, 5, 6, 13, 14, 17, 18]);
        assert_eq!(reader.section::<i32>(&[0..4, 1..3, 1..2], "x").unwrap(), (16..24).collect::<Vec<_>>());
        assert_eq!(reader.all_pixels::<f64>(&[4, 3, 2], "x").unwrap()[23], 23.0);
        assert_eq!(reader.pixels::<i64>(1..2, 3..4, "x").unwrap(), [7]);
        assert!(reader.pixels::<i64>(1..4, 0..4, "x").is_err());
    }
}
