//! CHECKSUM and DATASUM of HDUs.
//!
//! # References
//!
//! - FITS 4.0 standard, §4.4.2.7 and appendix J: the ones'-complement checksum and its ASCII form.

use std::io;

use super::source::Source;
use super::structure::HduExtent;
use crate::header::{Header, Value};

/// Verification of the sums in DATASUM and CHECKSUM, where these cards exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// No verification.
    #[default]
    Ignore,
    /// A wrong data sum is an error; a wrong header sum is noted, because many tools edit headers
    /// without updating CHECKSUM.
    Data,
    /// Both are errors: for files that no tool edits.
    All,
}

/// Block size of the summation in bytes.
const PIECE: usize = 1 << 20;

/// A mismatch between the sum of an HDU and its card.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    /// DATASUM, or CHECKSUM if only the header differs.
    pub(super) keyword: &'static str,
    /// The value of the card.
    pub(super) stated: String,
    /// Sum of the data; for CHECKSUM, sum of the HDU, which must be 0 or −0.
    pub(super) found: u32,
}

/// Compares the sums of an HDU with its cards DATASUM and CHECKSUM, if present.
///
/// DATASUM verifies the data. CHECKSUM also covers the header, which tools edit without updating
/// it.
pub(super) fn verify(source: &mut Source, hdu: &HduExtent) -> io::Result<Option<Mismatch>> {
    let header = Header::parse(&hdu.cards);
    let stated = |keyword| header.get(keyword).filter(|&value| *value != Value::Undefined);
    let text = |value: &Value| match value {
        Value::Text(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let stated = |keyword| stated(keyword).map(text).filter(|text| !text.is_empty());
    let (datasum, checksum) = (stated("DATASUM"), stated("CHECKSUM"));
    if datasum.is_none() && checksum.is_none() {
        return Ok(None);
    }
    let data = sum(source, hdu.data, hdu.end)?;
    if let Some(stated) = datasum
        && stated.parse::<u32>() != Ok(data.value())
    {
        return Ok(Some(Mismatch { keyword: "DATASUM", stated, found: data.value() }));
    }
    let Some(stated) = checksum else { return Ok(None) };
    let found = fold(u64::from(sum(source, hdu.start, hdu.data)?.value()) + u64::from(data.value())) as u32;
    Ok((!matches!(found, 0 | u32::MAX)).then_some(Mismatch { keyword: "CHECKSUM", stated, found }))
}

fn sum(source: &mut Source, start: u64, end: u64) -> io::Result<Sum> {
    let mut sum = Sum::default();
    let mut piece = Vec::new();
    let mut offset = start;
    while offset < end {
        piece.resize((end - offset).min(PIECE as u64) as usize, 0);
        source.read_at(offset, &mut piece)?;
        sum.add(&piece);
        offset += piece.len() as u64;
    }
    Ok(sum)
}

/// A running 32-bit ones'-complement sum of big-endian words.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    total: u64,
    /// Bytes of an incomplete word.
    rest: [u8; 4],
    rest_length: usize,
}

impl Sum {
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        while self.rest_length > 0 && !bytes.is_empty() {
            self.rest[self.rest_length] = bytes[0];
            self.rest_length = (self.rest_length + 1) % 4;
            bytes = &bytes[1..];
            if self.rest_length == 0 {
                self.total += u64::from(u32::from_be_bytes(self.rest));
            }
        }
        let words = bytes.chunks_exact(4);
        let left = words.remainder();
        // A u64 holds 2³² words of 32 bits before carries must be folded; a call has far fewer.
        let sum: u64 =
            words.map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))).sum();
        self.total = fold(self.total + fold(sum));
        self.rest[..left.len()].copy_from_slice(left);
        if !left.is_empty() {
            self.rest_length = left.len();
        }
    }

    /// The sum so far, without an incomplete word.
    pub(super) fn value(&self) -> u32 {
        fold(self.total) as u32
    }
}

const fn fold(mut sum: u64) -> u64 {
    while sum >> 32 != 0 {
        sum = (sum & 0xffff_ffff) + (sum >> 32);
    }
    sum
}

/// The 16 letters and digits that bring an HDU's sum to −0, where CHECKSUM held zeros.
pub(super) fn encode(sum: u32) -> String {
    let value = (!sum).to_be_bytes();
    let mut ascii = [0_u8; 16];
    for (i, byte) in value.into_iter().enumerate() {
        let mut parts = [byte / 4 + b'0'; 4];
        parts[0] += byte % 4;
        // Shifts pairs of characters apart until all are alphanumeric; the sum of each pair is
        // kept.
        while parts.iter().any(|part| !part.is_ascii_alphanumeric()) {
            for pair in [0, 2] {
                if !(parts[pair].is_ascii_alphanumeric() && parts[pair + 1].is_ascii_alphanumeric()) {
                    parts[pair] += 1;
                    parts[pair + 1] -= 1;
                }
            }
        }
        for (j, part) in parts.into_iter().enumerate() {
            ascii[4 * j + i] = part;
        }
    }
    ascii.rotate_right(1);
    ascii.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_known_value() {
        // FITS 4.0, appendix J: the example of the standard.
        assert_eq!(encode(868_229_149), "hcHjjc9ghcEghc9g");
    }

    #[test]
    fn sum_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut whole = Sum::default();
        whole.add(&bytes);
        for piece in [1, 2, 3, 5, 7, 64] {
            let mut pieces = Sum::default();
            bytes.chunks(piece).for_each(|chunk| pieces.add(chunk));
            assert_eq!(pieces.value(), whole.value(), "pieces of {piece}");
        }
    }
}
