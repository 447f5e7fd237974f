//! Tile-compressed images: cards verified, pixels decoded in safe code.
//!
//! The crate `fits-well` decodes the tiles from a synthetic file of one HDU: a header with the
//! relevant, verified cards, and the bytes of the table. Other cards of an observation cannot
//! disturb it, and it reads no other HDU.
//!
//! # References
//!
//! - FITS 4.0 standard, §10.1 (tiled images), §10.4 (algorithms).

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;

use fits_well::image::View;

use super::memory::free_memory;
use super::samples::{OutOfRange, Pixel, Scaling, convert};
use super::source::Source;
use super::structure::{BLOCK, HduExtent};
use super::table::{TableLayout, column_number, unexpected};
use crate::header::{Card, Header, Value, format_card};

/// The algorithms, by ZCMPTYPE.
const ALGORITHMS: [&str; 6] = ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS"];
/// An older name of RICE_1.
const OLD_RICE: &str = "RICE_ONE";
/// Columns of which one may hold the bytes of a tile.
const DATA_COLUMNS: [&str; 3] = ["COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA"];
/// Keywords for the decoder, literal or with an index.
const KEYWORDS: [&str; 15] = [
    "THEAP", "ZIMAGE", "ZBITPIX", "ZNAXIS", "ZTILE", "ZNAME", "ZVAL", "ZQUANTIZ", "ZDITHER0", "ZSCALE",
    "ZZERO", "ZBLANK", "ZMASKCMP", "BLANK", "TFIELDS",
];
/// Keywords of columns.
const COLUMN_KEYWORDS: [&str; 2] = ["TTYPE", "TFORM"];
/// Maximum number of axes of a compressed image.
const MOST_AXES: i64 = 9;
/// Maximum ratio of pixel bytes to compressed bytes; beyond, the header counts as damaged. Constant
/// images reach 10⁴ in large tiles.
const LARGEST_RATIO: u64 = 20_000;
/// Maximum mask value in PLIO_1; damaged tiles decode to others.
const PLIO_VALUES: Range<i32> = 0..1 << 24;
/// Read buffer in bytes.
const BUFFER: usize = 1 << 17;

/// A compressed image as its cards describe it.
#[derive(Clone, Debug)]
pub(super) struct TiledImage {
    /// Bits per pixel; negative: real numbers.
    pub(super) bitpix: i64,
    /// Lengths of the axes, ZNAXIS1 first.
    pub(super) axes: Vec<usize>,
    /// Whether the algorithm is PLIO_1, for masks.
    is_plio: bool,
    /// The header for the decoder.
    header: Vec<u8>,
}

/// The reason for a decoding failure.
#[derive(Debug)]
pub(super) enum DecodeError {
    /// A value is out of range for the requested type.
    OutOfRange,
    /// The file could not be read.
    Io(io::Error),
    /// The compressed data are invalid.
    Data(String),
}

impl From<OutOfRange> for DecodeError {
    fn from(_: OutOfRange) -> Self {
        Self::OutOfRange
    }
}

/// Whether a table header describes a compressed image.
pub(super) fn is_tiled(header: &Header) -> bool {
    header.bool("ZIMAGE") == Some(true)
}

impl TiledImage {
    /// Verifies the cards of a compressed image against its table.
    ///
    /// # Errors
    ///
    /// The invalid card, its value, and the value expected.
    pub(super) fn read(header: &Header, table: &TableLayout, data_length: u64) -> Result<Self, String> {
        let bitpix = integer(header, "ZBITPIX", -64, 64, "8, 16, 32, 64, -32 or -64")?;
        if !matches!(bitpix, 8 | 16 | 32 | 64 | -32 | -64) {
            return Err(unexpected(header, "ZBITPIX", "8, 16, 32, 64, -32 or -64"));
        }
        let naxis = integer(header, "ZNAXIS", 1, MOST_AXES, "a number of axes from 1 to 9")?;
        let (mut axes, mut pixels, mut tiles) = (Vec::new(), 1_u64, 1_u64);
        for axis in 1..=naxis {
            let length = integer(header, &format!("ZNAXIS{axis}"), 0, i64::MAX, "a length of 0 or more")?;
            let tile = match header.get(&format!("ZTILE{axis}")) {
                None if axis == 1 => length.max(1),
                None => 1,
                Some(_) => integer(header, &format!("ZTILE{axis}"), 1, i64::MAX, "a length of 1 or more")?,
            };
            let (length, tile) = (length.unsigned_abs(), tile.unsigned_abs());
            pixels = pixels.saturating_mul(length);
            tiles = tiles.saturating_mul(length.div_ceil(tile));
            axes.push(usize::try_from(length).unwrap_or(usize::MAX));
        }
        if tiles != table.rows {
            return Err(format!(
                "the image has {tiles} tiles by its cards ZNAXISn and ZTILEn, and its table NAXIS2 = {} rows",
                table.rows
            ));
        }
        let bytes = pixels.saturating_mul(bitpix.unsigned_abs() / 8);
        if bytes > data_length.saturating_mul(LARGEST_RATIO) {
            return Err(format!("{pixels} pixels (ZNAXISn) exceed any compression of {data_length} bytes"));
        }
        let algorithm = match header.text("ZCMPTYPE") {
            Some(OLD_RICE) => "RICE_1",
            Some(name) if ALGORITHMS.contains(&name) => name,
            _ => return Err(unexpected(header, "ZCMPTYPE", "RICE_1, GZIP_1, GZIP_2, PLIO_1 or HCOMPRESS_1")),
        };
        if !DATA_COLUMNS.iter().any(|name| column_number(header, name).is_some()) {
            return Err("the column COMPRESSED_DATA is missing".to_owned());
        }
        for number in 1..=header.i64("TFIELDS").unwrap_or(0) {
            for (keyword, plain) in [(format!("TSCAL{number}"), 1.0), (format!("TZERO{number}"), 0.0)] {
                if header.get(&keyword).is_some() && header.f64(&keyword) != Some(plain) {
                    return Err(unexpected(header, &keyword, "no scaling of a column of compressed data"));
                }
            }
        }
        let is_plio = algorithm == "PLIO_1";
        Ok(Self { bitpix, axes, is_plio, header: decoder_header(header, algorithm) })
    }

    /// Reads ranges along all axes (NAXIS1 first), each within the axis.
    pub(super) fn pixels<T: Pixel>(
        &self,
        source: &mut Source,
        hdu: &HduExtent,
        ranges: &[Range<usize>],
        scaling: &Scaling,
    ) -> Result<Vec<T>, DecodeError> {
        let data = |error: fits_well::FitsError| match error {
            fits_well::FitsError::Io(error) => {
                DecodeError::Io(io::Error::new(error.kind(), error.to_string()))
            }
            error => DecodeError::Data(error.to_string()),
        };
        let count: usize = ranges.iter().map(ExactSizeIterator::len).product();
        let needed = (count as u64).saturating_mul(self.bitpix.unsigned_abs() / 8 + size_of::<T>() as u64);
        if let Some(free) = free_memory()
            && needed > free
        {
            return Err(DecodeError::Data(format!(
                "its {count} pixels need {needed} bytes, and {free} are free"
            )));
        }
        let window = Window { header: &self.header, source, start: hdu.data, end: hdu.end, position: 0 };
        let mut file = fits_well::FitsReader::open(BufReader::with_capacity(BUFFER, window)).map_err(data)?;
        let mut image = file.image(1_usize).map_err(data)?;
        let mut words = Vec::new();
        let region = image.view(ranges, &mut words).map_err(data)?;
        let mut out = Vec::new();
        let room = out.try_reserve_exact(count);
        room.map_err(|_| DecodeError::Data(format!("not enough memory for {count} pixels")))?;
        match region.samples() {
            View::U8(stored) => convert(stored.iter().copied(), scaling, &mut out)?,
            View::I16(stored) => convert(stored.iter().copied(), scaling, &mut out)?,
            View::I32(stored) => {
                if self.is_plio && stored.iter().any(|value| !PLIO_VALUES.contains(value)) {
                    return Err(DecodeError::Data("PLIO_1 holds values from 0 to 16777215 only".to_owned()));
                }
                convert(stored.iter().copied(), scaling, &mut out)?;
            }
            View::I64(stored) => convert(stored.iter().copied(), scaling, &mut out)?,
            View::F32(stored) => convert(stored.iter().copied(), scaling, &mut out)?,
            View::F64(stored) => convert(stored.iter().copied(), scaling, &mut out)?,
        }
        if out.len() != count {
            return Err(DecodeError::Data(format!("expected {count} pixels, found {}", out.len())));
        }
        Ok(out)
    }
}

fn integer(header: &Header, keyword: &str, least: i64, most: i64, expected: &str) -> Result<i64, String> {
    let value = header.i64(keyword).filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| unexpected(header, keyword, expected))
}

/// An empty primary HDU, and a table header with the relevant cards.
fn decoder_header(header: &Header, algorithm: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let primary = [Card::new("SIMPLE", true), Card::new("BITPIX", 8_i64), Card::new("NAXIS", 0_i64)];
    append(&mut bytes, primary.iter());
    let mandatory = [
        Card::new("XTENSION", "BINTABLE"),
        Card::new("BITPIX", 8_i64),
        Card::new("NAXIS", 2_i64),
        Card::new("NAXIS1", header.i64("NAXIS1").unwrap_or(0)),
        Card::new("NAXIS2", header.i64("NAXIS2").unwrap_or(0)),
        Card::new("PCOUNT", header.i64("PCOUNT").unwrap_or(0)),
        Card::new("GCOUNT", 1_i64),
        Card::new("ZCMPTYPE", algorithm),
    ];
    let needed = |card: &&Card| {
        let stem = card.keyword.trim_end_matches(|c: char| c.is_ascii_digit());
        KEYWORDS.contains(&card.keyword.as_str())
            || KEYWORDS.contains(&stem)
            || COLUMN_KEYWORDS.contains(&stem)
    };
    let mut seen = std::collections::BTreeSet::new();
    let others: Vec<Card> = header
        .iter()
        .filter(needed)
        // The first card of a keyword counts, as everywhere.
        .filter(|card| seen.insert(card.keyword.clone()) && card.value != Value::Undefined)
        .map(|card| Card::new(&card.keyword, card.value.clone()))
        .collect();
    append(&mut bytes, mandatory.iter().chain(&others));
    bytes
}

fn append<'a>(bytes: &mut Vec<u8>, cards: impl Iterator<Item = &'a Card>) {
    bytes.extend(cards.flat_map(format_card).collect::<String>().into_bytes());
    bytes.extend(b"END");
    bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
}

/// A header in memory followed by part of a file.
struct Window<'a> {
    header: &'a [u8],
    source: &'a mut Source,
    start: u64,
    end: u64,
    position: u64,
}

impl Window<'_> {
    fn length(&self) -> u64 {
        self.header.len() as u64 + (self.end - self.start)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let header = self.header.len() as u64;
        let count = if self.position < header {
            let rest = &self.header[self.position as usize..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        } else {
            let left = self.length().saturating_sub(self.position);
            let count = left.min(buffer.len() as u64) as usize;
            if count == 0 {
                return Ok(0);
            }
            self.source.read_at(self.start + (self.position - header), &mut buffer[..count])?;
            count
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
