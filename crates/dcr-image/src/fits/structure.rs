//! Locations of the HDUs of a file, verified against the length of the file.
//!
//! Every size in a header is verified. Otherwise a negative or excessive length, a missing END
//! card, or bytes after the last HDU could hide the HDUs that follow.
//!
//! # References
//!
//! - FITS 4.0 standard, §3 (blocks, HDUs), §4.4.1 (mandatory keywords), §6 (random groups).

use std::path::Path;

use super::FitsError;
use super::error::io_error;
use super::source::Source;
use crate::header::{Card, Header};

/// Block size in bytes; headers and data are multiples of it.
pub(super) const BLOCK: usize = 2880;
/// Size of a card in bytes.
const CARD: usize = 80;
/// Maximum number of axes in the standard.
const MOST_AXES: i64 = 999;
/// Maximum header size in bytes; beyond, the END card counts as missing.
const LONGEST_HEADER: usize = 64 << 20;
/// Read buffer for the end of a file in bytes.
const PIECE: usize = 1 << 20;

/// An HDU: its header and the location of its data.
#[derive(Debug)]
pub(super) struct HduExtent {
    /// Its number, 0 being the primary.
    pub(super) index: usize,
    /// Offset of its header in the file.
    pub(super) start: u64,
    /// The cards before END, 80 bytes each.
    pub(super) cards: Vec<u8>,
    /// Offset of its data.
    pub(super) data: u64,
    /// Bytes of its data without padding.
    pub(super) data_length: u64,
    /// Offset of the next HDU, after the padding.
    pub(super) end: u64,
    /// Content by the mandatory cards.
    pub(super) content: Content,
}

/// Content described by the mandatory cards of an HDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// An image: bits per pixel (negative: real numbers) and the lengths of the axes.
    Image { bitpix: i64, axes: Vec<usize> },
    /// A binary table: bytes of a row, rows, and bytes after them (gap and heap).
    Table { row_length: u64, rows: u64, heap: u64 },
    /// Random groups, a table of text, or an extension of another type.
    Other,
}

/// Finds all HDUs of a file.
///
/// # Errors
///
/// [`FitsError::Damaged`] with HDU, byte and card; [`FitsError::Truncated`] if the file ends within
/// an HDU; [`FitsError::Io`] if it cannot be read.
pub(super) fn walk(path: &Path, source: &mut Source) -> Result<Vec<HduExtent>, FitsError> {
    let mut hdus = Vec::new();
    let mut start = 0;
    while start < source.length() {
        let walker = Walker { path, index: hdus.len(), start };
        if start > 0 && !walker.begins_extension(source)? {
            walker.check_rest(source)?;
            break;
        }
        let hdu = walker.hdu(source)?;
        start = hdu.end;
        hdus.push(hdu);
    }
    Ok(hdus)
}

/// Location of the current HDU, for messages.
struct Walker<'a> {
    path: &'a Path,
    index: usize,
    start: u64,
}

impl Walker<'_> {
    fn damaged(&self, offset: u64, reason: impl Into<String>) -> FitsError {
        FitsError::Damaged { path: self.path.to_owned(), hdu: self.index, offset, reason: reason.into() }
    }

    fn read(&self, source: &mut Source, offset: u64, buffer: &mut [u8]) -> Result<(), FitsError> {
        source.read_at(offset, buffer).map_err(io_error(self.path, "read it"))
    }

    /// Whether an extension begins here.
    fn begins_extension(&self, source: &mut Source) -> Result<bool, FitsError> {
        const NAME: &[u8; 8] = b"XTENSION";
        let mut name = [0; NAME.len()];
        if source.length() - self.start < name.len() as u64 {
            return Ok(false);
        }
        self.read(source, self.start, &mut name)?;
        Ok(name == *NAME)
    }

    /// Only padding may follow the last HDU.
    fn check_rest(&self, source: &mut Source) -> Result<(), FitsError> {
        let mut piece = vec![0; PIECE];
        let mut offset = self.start;
        while offset < source.length() {
            let length = (source.length() - offset).min(PIECE as u64) as usize;
            self.read(source, offset, &mut piece[..length])?;
            if let Some(at) = piece[..length].iter().position(|byte| !matches!(byte, 0 | b' ')) {
                let text = String::from_utf8_lossy(&piece[at..length.min(at + 64)]);
                let text: String = text.chars().take(12).collect();
                return Err(self.damaged(
                    offset + at as u64,
                    format!(
                        "expected an HDU that begins with XTENSION, or the end of the file; found {text:?}"
                    ),
                ));
            }
            offset += length as u64;
        }
        Ok(())
    }

    fn hdu(&self, source: &mut Source) -> Result<HduExtent, FitsError> {
        let (cards, data) = self.cards(source)?;
        let mandatory = Mandatory::read(self, &cards)?;
        let (content, data_length) = mandatory.content()?;
        let too_long = || self.damaged(self.start, "the data size exceeds any file");
        let end = data_length
            .checked_next_multiple_of(BLOCK as u64)
            .and_then(|length| length.checked_add(data))
            .ok_or_else(too_long)?;
        if end > source.length() {
            return Err(FitsError::Truncated {
                path: self.path.to_owned(),
                hdu: self.index,
                expected: end,
                got: source.length(),
            });
        }
        Ok(HduExtent { index: self.index, start: self.start, cards, data, data_length, end, content })
    }

    /// The cards before END, and the offset of the data.
    fn cards(&self, source: &mut Source) -> Result<(Vec<u8>, u64), FitsError> {
        let mut cards = Vec::new();
        let mut block = [0; BLOCK];
        loop {
            let offset = self.start + cards.len() as u64;
            if cards.len() > LONGEST_HEADER {
                return Err(self.damaged(offset, "the header has no END card within 64 MiB"));
            }
            if source.length() - offset < BLOCK as u64 {
                return Err(self.damaged(
                    offset,
                    "the file ends in this header, before its END card; copy the file again",
                ));
            }
            self.read(source, offset, &mut block)?;
            for (number, card) in block.chunks_exact(CARD).enumerate() {
                let (name, at) = (&card[..8], offset + (number * CARD) as u64);
                if name == b"END     " {
                    return Ok((cards, offset + BLOCK as u64));
                }
                if !name.iter().all(|byte| (b' '..=b'~').contains(byte)) {
                    return Err(self.damaged(at, "expected a header card here, and an END card after it"));
                }
                // The next header begins: this one has lost its END card.
                if number == 0 && !cards.is_empty() && (name == b"XTENSION" || name == b"SIMPLE  ") {
                    return Err(self.damaged(at, "expected an END card before the next header"));
                }
                cards.extend_from_slice(card);
            }
        }
    }
}

/// The cards that define type and size of an HDU.
struct Mandatory<'a> {
    walker: &'a Walker<'a>,
    /// Offsets of the cards, parallel to those of `header`.
    offsets: Vec<u64>,
    header: Header,
}

impl<'a> Mandatory<'a> {
    fn read(walker: &'a Walker<'a>, cards: &[u8]) -> Result<Self, FitsError> {
        let mut offsets: Vec<u64> = Vec::new();
        let mut header = Header::new();
        for (number, card) in
            cards.chunks_exact(CARD).enumerate().filter(|(_, card)| is_mandatory(&card[..8]))
        {
            let offset = walker.start + (number * CARD) as u64;
            for card in Header::parse(card).iter() {
                match header.card(&card.keyword) {
                    None => {
                        header.push(card.clone());
                        offsets.push(offset);
                    }
                    Some(Card { value, .. }) if *value == card.value => {}
                    Some(first) => {
                        return Err(walker.damaged(
                            offset,
                            format!("{} = {} stands after {}", card.keyword, card.value, first.value),
                        ));
                    }
                }
            }
        }
        Ok(Self { walker, offsets, header })
    }

    /// An error about a card or its absence.
    fn wrong(&self, keyword: &str, expected: &str) -> FitsError {
        let at = self.header.iter().position(|card| card.keyword == keyword);
        match at.zip(self.header.get(keyword)) {
            Some((at, value)) => {
                let text = value.to_string().replace(char::is_control, "?");
                self.walker.damaged(self.offsets[at], format!("{keyword} = {text}; expected {expected}"))
            }
            None => self
                .walker
                .damaged(self.walker.start, format!("card {keyword} is missing; expected {expected}")),
        }
    }

    /// A card's integer within limits.
    fn integer(&self, keyword: &str, least: i64, most: i64, expected: &str) -> Result<i64, FitsError> {
        self.header
            .i64(keyword)
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| self.wrong(keyword, expected))
    }

    /// PCOUNT or GCOUNT, with its default.
    fn count(&self, keyword: &str, default: i64) -> Result<u64, FitsError> {
        let value = match self.header.get(keyword) {
            None => default,
            Some(_) => self.integer(keyword, 0, i64::MAX, "a number of 0 or more")?,
        };
        Ok(value.unsigned_abs())
    }

    /// The content, and the bytes of the data.
    fn content(&self) -> Result<(Content, u64), FitsError> {
        let primary = self.walker.index == 0;
        if primary && self.header.bool("SIMPLE") != Some(true) {
            return Err(self.wrong("SIMPLE", "T (the file follows the standard)"));
        }
        let kind = if primary { "" } else { self.header.text("XTENSION").unwrap_or_default() };
        if !primary && kind.is_empty() {
            return Err(self.wrong("XTENSION", "the type of the extension"));
        }
        let bitpix = self.integer("BITPIX", -64, 64, "8, 16, 32, 64, -32 or -64")?;
        if !matches!(bitpix, 8 | 16 | 32 | 64 | -32 | -64) {
            return Err(self.wrong("BITPIX", "8, 16, 32, 64, -32 or -64"));
        }
        let naxis = self.integer("NAXIS", 0, MOST_AXES, "a number of axes from 0 to 999")?;
        let axes = (1..=naxis)
            .map(|axis| self.integer(&format!("NAXIS{axis}"), 0, i64::MAX, "a length of 0 or more"))
            .map(|length| length.map(i64::unsigned_abs))
            .collect::<Result<Vec<u64>, _>>()?;
        let (pcount, gcount) = (self.count("PCOUNT", 0)?, self.count("GCOUNT", 1)?);
        let groups = primary && self.header.bool("GROUPS") == Some(true) && axes.first() == Some(&0);
        if !groups && gcount != 1 {
            return Err(self.wrong("GCOUNT", "1"));
        }
        let length = data_length(bitpix, &axes[usize::from(groups)..], pcount, gcount)
            .ok_or_else(|| self.walker.damaged(self.walker.start, "the number of pixels exceeds any file"))?;
        let content = match kind {
            _ if groups => Content::Other,
            "" | "IMAGE" | "IUEIMAGE" => {
                if pcount != 0 {
                    return Err(self.wrong("PCOUNT", "0"));
                }
                let axes = axes.iter().map(|&length| usize::try_from(length).unwrap_or(usize::MAX)).collect();
                Content::Image { bitpix, axes }
            }
            "BINTABLE" | "A3DTABLE" | "TABLE" => {
                if bitpix != 8 {
                    return Err(self.wrong("BITPIX", "8 for a table"));
                }
                let &[row_length, rows] = axes.as_slice() else {
                    return Err(self.wrong("NAXIS", "2 for a table"));
                };
                if kind == "TABLE" {
                    Content::Other
                } else {
                    Content::Table { row_length, rows, heap: pcount }
                }
            }
            _ => Content::Other,
        };
        Ok((content, length))
    }
}

/// |BITPIX| / 8 · GCOUNT · (PCOUNT + ΠNAXISn), `None` on overflow (FITS 4.0, eqs. 1 and 4).
fn data_length(bitpix: i64, axes: &[u64], pcount: u64, gcount: u64) -> Option<u64> {
    let pixels = match axes {
        [] => 0,
        // A zero length makes the product zero.
        _ if axes.contains(&0) => 0,
        _ => axes.iter().try_fold(1_u64, |product, &length| product.checked_mul(length))?,
    };
    pixels.checked_add(pcount)?.checked_mul(gcount)?.checked_mul(bitpix.unsigned_abs() / 8)
}

fn is_mandatory(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] =
        [b"SIMPLE  ", b"XTENSION", b"BITPIX  ", b"PCOUNT  ", b"GCOUNT  ", b"GROUPS  ", b"NAXIS   "];
    NAMES.contains(&name) || name.strip_prefix(b"NAXIS").is_some_and(|rest| rest[0].is_ascii_digit())
}
