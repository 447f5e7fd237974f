//! Writing FITS files: images, tables, cards, checksums; completely or not at all.

use std::io::{self, Write};
use std::path::Path;

use ndarray::{Array3, Axis};

use super::atomic::AtomicFile;
use super::checksum::{Sum, encode};
use super::pixels::{Pixels, named};
use super::{FitsError, compress};
use crate::header::{Card, Value, format_card};
use crate::wcs::origin_cards;
use crate::{BBox, MaskPlanes, Wcs};

/// Length of a FITS block in bytes.
const BLOCK: usize = 2880;

/// Content of a file: primary cards, then images, then tables.
#[derive(Clone, Debug, Default)]
pub struct ExposureToWrite<'a> {
    /// Cards of the primary HDU, which has no data.
    pub primary: Vec<Card>,
    /// The images in their order.
    pub images: Vec<ImageHdu<'a>>,
    /// The tables, after the images.
    pub tables: Vec<TableHdu>,
}

/// A named image.
#[derive(Clone, Debug)]
pub struct ImageHdu<'a> {
    name: String,
    pixels: Pixels<'a>,
    cards: Vec<Card>,
}

/// A binary table.
#[derive(Clone, Debug)]
pub struct TableHdu {
    /// EXTNAME.
    pub name: String,
    /// The columns, all of one length.
    pub columns: Vec<Column>,
    /// Further cards.
    pub cards: Vec<Card>,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The unit of its values, or empty.
    pub unit: String,
    /// Its values.
    pub values: ColumnValues,
}

/// The values of a column.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ColumnValues {
    /// Real numbers.
    F64(Vec<f64>),
    /// Integers.
    I64(Vec<i64>),
    /// Strings.
    Text(Vec<String>),
    /// 32-bit real images of one size, `[row of the table, row, column]`.
    Images(Array3<f32>),
}

/// Options for writing a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Whether an existing file may be replaced.
    pub overwrite: bool,
    /// Whether images are tile-compressed losslessly (GZIP_2).
    pub compress: bool,
}

impl<'a> ImageHdu<'a> {
    /// An image called `name`.
    #[must_use]
    pub fn new(name: &str, pixels: Pixels<'a>) -> Self {
        Self { name: name.to_owned(), pixels, cards: Vec::new() }
    }

    /// Adds the WCS and the origin in the parent image.
    #[must_use]
    pub fn on_grid(mut self, wcs: &Wcs, bbox: &BBox) -> Self {
        self.cards.extend(wcs.to_cards((bbox.x0, bbox.y0)));
        self.cards.extend(origin_cards((bbox.x0, bbox.y0)));
        self
    }

    /// Adds the unit of the pixel values.
    #[must_use]
    pub fn with_unit(mut self, unit: &str) -> Self {
        self.cards.push(Card::new("BUNIT", unit));
        self
    }

    /// Adds the mask planes as `MP_` cards.
    #[must_use]
    pub fn with_planes(mut self, planes: &MaskPlanes) -> Self {
        self.cards.extend(planes.iter().map(|(name, bit)| Card::new(&format!("MP_{name}"), i64::from(bit))));
        self
    }

    /// Adds further cards.
    #[must_use]
    pub fn with_cards(mut self, cards: impl IntoIterator<Item = Card>) -> Self {
        self.cards.extend(cards);
        self
    }
}

/// Writes a file: under a temporary name in its folder, with CHECKSUM and DATASUM in every HDU,
/// synced, then renamed. After an error no temporary file remains, and `path` is unchanged.
///
/// # Errors
///
/// [`FitsError::Exists`] for an existing file that may not be replaced; [`FitsError::Io`] with the
/// reason, e.g. a full disk; [`FitsError::Content`] for a table with columns of different length.
pub fn write_exposure(
    path: &Path,
    exposure: &ExposureToWrite<'_>,
    options: WriteOptions,
) -> Result<(), FitsError> {
    if !options.overwrite && super::exists(path)? {
        return Err(FitsError::Exists { path: path.to_owned() });
    }
    let io = |action: &'static str| move |source| FitsError::Io { path: path.to_owned(), action, source };
    let mut file = AtomicFile::create(path).map_err(io("create it"))?;
    write_to(&mut file, path, exposure, options)?;
    file.commit().map_err(io("finish writing it"))
}

fn write_to(
    file: &mut impl Write,
    path: &Path,
    exposure: &ExposureToWrite<'_>,
    options: WriteOptions,
) -> Result<(), FitsError> {
    let io = |source| FitsError::Io { path: path.to_owned(), action: "write it", source };
    let mut primary = vec![
        Card::new("SIMPLE", true),
        Card::new("BITPIX", 8_i64),
        Card::new("NAXIS", 0_i64),
        Card::new("EXTEND", true),
    ];
    primary.extend(exposure.primary.iter().cloned());
    write_hdu(file, &primary, |_| Ok(())).map_err(io)?;
    for image in &exposure.images {
        if options.compress {
            let (cards, bytes) = compress::compressed(path, &image.name, &image.pixels, &image.cards)?;
            write_hdu(file, &cards, |take| take(&bytes)).map_err(io)?;
        } else {
            write_hdu(file, &image_cards(image), |take| image.pixels.each_row(take)).map_err(io)?;
        }
    }
    for table in &exposure.tables {
        let (cards, bytes) = table_hdu(table).map_err(|reason| FitsError::Content {
            path: path.to_owned(),
            hdu: format!("table {}", table.name),
            reason,
        })?;
        write_hdu(file, &cards, |take| take(&bytes)).map_err(io)?;
    }
    Ok(())
}

/// Receives the data of an HDU piece by piece.
type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Writes one HDU. `data` is called twice: for the checksum in the header, and for writing.
fn write_hdu(
    file: &mut impl Write,
    cards: &[Card],
    data: impl Fn(Take<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut data_sum = Sum::default();
    let mut length = 0;
    data(&mut |bytes| {
        data_sum.add(bytes);
        length += bytes.len();
        Ok(())
    })?;
    let padding = vec![0_u8; length.next_multiple_of(BLOCK) - length];
    data_sum.add(&padding);

    // The convention for strings over several cards must be named in the header.
    let long = cards.iter().any(|card| format_card(card).len() > 1);
    let convention = long.then(|| Card::new("LONGSTRN", "OGIP 1.0"));
    let header = |checksum: &str| {
        let own = [Card::new("DATASUM", data_sum.value().to_string()), Card::new("CHECKSUM", checksum)];
        let cards = cards.iter().chain(&convention).chain(&own);
        let mut text: String = cards.flat_map(format_card).collect();
        text.push_str("END");
        let blanks = text.len().next_multiple_of(BLOCK) - text.len();
        text.extend(std::iter::repeat_n(' ', blanks));
        text
    };
    let mut sum = data_sum.clone();
    sum.add(header(&"0".repeat(16)).as_bytes());
    file.write_all(header(&encode(sum.value())).as_bytes())?;
    data(&mut |bytes| file.write_all(bytes))?;
    file.write_all(&padding)
}

fn image_cards(image: &ImageHdu<'_>) -> Vec<Card> {
    let (height, width) = image.pixels.dim();
    let mut cards = vec![
        Card::new("XTENSION", "IMAGE"),
        Card::new("BITPIX", image.pixels.bitpix()),
        Card::new("NAXIS", 2_i64),
        Card::new("NAXIS1", width as i64),
        Card::new("NAXIS2", height as i64),
        Card::new("PCOUNT", 0_i64),
        Card::new("GCOUNT", 1_i64),
    ];
    if matches!(image.pixels, Pixels::U16(_)) {
        cards.push(Card::new("BZERO", 32_768_i64));
        cards.push(Card::new("BSCALE", 1_i64));
    }
    cards.extend(named(&image.name));
    cards.extend(image.cards.iter().cloned());
    cards
}

fn table_hdu(table: &TableHdu) -> Result<(Vec<Card>, Vec<u8>), String> {
    let rows = table.columns.first().map_or(0, |column| column.values.len());
    if let Some(odd) = table.columns.iter().find(|column| column.values.len() != rows) {
        return Err(format!("column {} has {} rows, the first column {rows}", odd.name, odd.values.len()));
    }
    let row_length: usize = table.columns.iter().map(|column| column.values.width()).sum();
    let mut cards = vec![
        Card::new("XTENSION", "BINTABLE"),
        Card::new("BITPIX", 8_i64),
        Card::new("NAXIS", 2_i64),
        Card::new("NAXIS1", row_length as i64),
        Card::new("NAXIS2", rows as i64),
        Card::new("PCOUNT", 0_i64),
        Card::new("GCOUNT", 1_i64),
        Card::new("TFIELDS", table.columns.len() as i64),
    ];
    for (number, column) in (1..).zip(&table.columns) {
        cards.push(Card::new(&format!("TTYPE{number}"), column.name.as_str()));
        cards.push(Card::new(&format!("TFORM{number}"), column.values.form()));
        if !column.unit.is_empty() {
            cards.push(Card::new(&format!("TUNIT{number}"), column.unit.as_str()));
        }
        if let ColumnValues::Images(images) = &column.values {
            let (_, rows, cols) = images.dim();
            cards.push(Card::new(&format!("TDIM{number}"), format!("({cols},{rows})")));
        }
    }
    cards.push(Card::new("EXTNAME", Value::Text(table.name.clone())));
    cards.extend(table.cards.iter().cloned());
    let mut bytes = Vec::with_capacity(rows * row_length);
    for row in 0..rows {
        for column in &table.columns {
            column.values.append(row, &mut bytes);
        }
    }
    Ok((cards, bytes))
}

impl ColumnValues {
    fn len(&self) -> usize {
        match self {
            Self::F64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Images(values) => values.len_of(Axis(0)),
        }
    }

    /// Size of a cell in bytes. A string column has at least one character.
    fn width(&self) -> usize {
        match self {
            Self::F64(_) | Self::I64(_) => 8,
            Self::Text(values) => values.iter().map(String::len).max().unwrap_or(0).max(1),
            Self::Images(values) => 4 * values.len_of(Axis(1)) * values.len_of(Axis(2)),
        }
    }

    fn form(&self) -> String {
        match self {
            Self::F64(_) => "D".to_owned(),
            Self::I64(_) => "K".to_owned(),
            Self::Text(_) => format!("{}A", self.width()),
            Self::Images(_) => format!("{}E", self.width() / 4),
        }
    }

    fn append(&self, row: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::F64(values) => bytes.extend_from_slice(&values[row].to_be_bytes()),
            Self::I64(values) => bytes.extend_from_slice(&values[row].to_be_bytes()),
            Self::Text(values) => {
                let end = bytes.len() + self.width();
                bytes.extend(values[row].bytes().map(|byte| if byte.is_ascii() { byte } else { b'?' }));
                bytes.resize(end, 0);
            }
            Self::Images(values) => {
                let image = values.index_axis(Axis(0), row);
                image.iter().for_each(|value| bytes.extend_from_slice(&value.to_be_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn disk_full_at_any_point_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.fits");
        let pixels = Array2::from_elem((40, 50), 1.0_f32);
        let exposure = ExposureToWrite {
            images: vec![ImageHdu::new("IMAGE", Pixels::F32(pixels.view()))],
            ..ExposureToWrite::default()
        };
        for room in [0, 1, 2880, 2881, 5760, 9000, 13_000] {
            let mut file = AtomicFile::create(&path).unwrap().with_room(room);
            let error = write_to(&mut file, &path, &exposure, WriteOptions::default()).unwrap_err();
            drop(file);
            let text = error.to_string();
            assert!(text.contains("out.fits") && text.contains("cannot write it"), "{text}");
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
