//! Minimal FITS writer for test data: cards, float and integer images, no compression.
//!
//! The product's own writer is deliberately not used: files from another writer test the reader
//! better, and the bytes are fixed by this file alone (no dates, no library versions).
//!
//! Reference: Pence et al., 2010, A&A 524, A42 (FITS 3.0), §4; HIERARCH cards as in ESO's
//! convention.

use ndarray::Array2;

/// Block size of files and their parts.
const BLOCK: usize = 2880;

/// Length of a card.
const CARD: usize = 80;

/// A value of a card.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    Int(i64),
    /// A number with the given number of decimals, trailing zeros dropped.
    Fixed(f64, usize),
    /// A number with 15 significant digits.
    Float(f64),
    Text(String),
}

/// Keyword, value and comment.
#[derive(Clone, Debug)]
pub(crate) struct Card(pub(crate) &'static str, pub(crate) Value, pub(crate) &'static str);

/// A file under construction.
pub(crate) struct File {
    bytes: Vec<u8>,
}

impl File {
    /// A file with a primary header of these cards and no primary data.
    pub(crate) fn new(cards: &[Card]) -> Self {
        let mut header = vec![
            line("SIMPLE", &Value::Bool(true), "conforms to FITS standard"),
            line("BITPIX", &Value::Int(8), ""),
            line("NAXIS", &Value::Int(0), ""),
            line("EXTEND", &Value::Bool(true), ""),
        ];
        header.extend(cards.iter().map(|Card(keyword, value, comment)| line(keyword, value, comment)));
        let mut file = Self { bytes: Vec::new() };
        file.push_header(header);
        file
    }

    /// Adds an image of 32-bit floats, `shape` slowest axis first.
    pub(crate) fn image(&mut self, name: &str, cards: &[Card], shape: &[usize], data: Vec<u8>) {
        self.extension(name, cards, shape, -32, data);
    }

    /// Adds an image of 32-bit integers.
    pub(crate) fn mask(&mut self, name: &str, cards: &[Card], shape: &[usize], data: Vec<u8>) {
        self.extension(name, cards, shape, 32, data);
    }

    /// The finished file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn extension(&mut self, name: &str, cards: &[Card], shape: &[usize], bitpix: i64, data: Vec<u8>) {
        let mut header = vec![
            line("XTENSION", &Value::Text("IMAGE".to_owned()), "Image extension"),
            line("BITPIX", &Value::Int(bitpix), ""),
            line("NAXIS", &Value::Int(shape.len() as i64), ""),
        ];
        for (axis, length) in shape.iter().rev().enumerate() {
            header.push(line(&format!("NAXIS{}", axis + 1), &Value::Int(*length as i64), ""));
        }
        header.push(line("PCOUNT", &Value::Int(0), ""));
        header.push(line("GCOUNT", &Value::Int(1), ""));
        header.push(line("EXTNAME", &Value::Text(name.to_owned()), ""));
        header.extend(cards.iter().map(|Card(keyword, value, comment)| line(keyword, value, comment)));
        self.push_header(header);
        self.bytes.extend(data);
        self.fill(0);
    }

    fn push_header(&mut self, cards: Vec<String>) {
        for card in cards {
            self.bytes.extend(card.into_bytes());
        }
        self.bytes.extend(padded("END").into_bytes());
        self.fill(b' ');
    }

    fn fill(&mut self, with: u8) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), with);
    }
}

/// The bytes of a float plane.
pub(crate) fn floats(plane: &Array2<f32>) -> Vec<u8> {
    plane.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// The bytes of an integer plane.
pub(crate) fn integers(plane: &Array2<i32>) -> Vec<u8> {
    plane.iter().flat_map(|v| v.to_be_bytes()).collect()
}

/// The first difference of two files in words: the card, or the extension and pixel (column, row;
/// plane of a cube).
pub(crate) fn first_difference(there: &[u8], drawn: &[u8]) -> String {
    let Some(at) = there.iter().zip(drawn).position(|(a, b)| a != b) else {
        return format!("{} bytes, where {} are drawn", there.len(), drawn.len());
    };
    let mut start = 0;
    while start < drawn.len() {
        let part = Part::at(drawn, start);
        if at < part.data {
            let card = |bytes: &[u8]| {
                String::from_utf8_lossy(&bytes[at / CARD * CARD..][..CARD]).trim_end().to_owned()
            };
            // The card at `at` is whole in `there`, unless that file ends within it.
            let has = if there.len() >= (at / CARD + 1) * CARD { card(there) } else { String::new() };
            return format!("has `{has}` where `{}` is drawn", card(drawn));
        }
        if at < part.end {
            let pixel = (at - part.data) / 4;
            let place: Vec<String> = part.place(pixel).iter().map(usize::to_string).collect();
            return format!("{}, pixel ({}) differs", part.name, place.join(", "));
        }
        start = part.end;
    }
    format!("byte {at} differs")
}

/// A header and its data in a file by [`File`].
struct Part {
    name: String,
    /// Lengths of the axes, columns first.
    axes: Vec<usize>,
    /// Offset of the data.
    data: usize,
    /// Offset of the next part.
    end: usize,
}

impl Part {
    fn at(file: &[u8], start: usize) -> Self {
        let (mut name, mut axes, mut at) = (String::new(), Vec::new(), start);
        for card in file[start..].chunks_exact(CARD) {
            at += CARD;
            let text = String::from_utf8_lossy(card);
            let value = text.get(10..).unwrap_or_default().split('/').next().unwrap_or_default().trim();
            if text.starts_with("END ") {
                break;
            } else if text.starts_with("EXTNAME ") {
                name = value.trim_matches(['\'', ' ']).to_owned();
            } else if text.starts_with("NAXIS") && !text.starts_with("NAXIS ") {
                axes.push(value.parse().unwrap_or(0));
            }
        }
        let data = at.next_multiple_of(BLOCK);
        let length = if axes.is_empty() { 0 } else { 4 * axes.iter().product::<usize>() };
        Self { name, axes, data, end: data + length.next_multiple_of(BLOCK) }
    }

    /// Indices of the pixel at this position in the data.
    fn place(&self, mut pixel: usize) -> Vec<usize> {
        let index = |length: &usize| {
            let index = pixel % length;
            pixel /= length;
            index
        };
        self.axes.iter().map(index).collect()
    }
}

/// One card.
fn line(keyword: &str, value: &Value, comment: &str) -> String {
    let value = match value {
        Value::Bool(value) => format!("{:>20}", if *value { "T" } else { "F" }),
        Value::Int(value) => format!("{value:>20}"),
        Value::Fixed(value, decimals) => format!("{:>20}", fixed(*value, *decimals)),
        Value::Float(value) => format!("{:>20}", format!("{value:.14E}")),
        Value::Text(text) => format!("'{:<8}'", text.replace('\'', "''")),
    };
    let card = if keyword.len() <= 8 {
        format!("{keyword:<8}= {value}")
    } else {
        format!("HIERARCH {keyword} = {}", value.trim_start())
    };
    padded(&if comment.is_empty() { card } else { format!("{card} / {comment}") })
}

/// A number with at most the given number of decimals, and at least one.
fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = text.trim_end_matches('0');
    let text = if text.ends_with('.') { format!("{text}0") } else { text.to_owned() };
    if text == "-0.0" { "0.0".to_owned() } else { text }
}

fn padded(card: &str) -> String {
    assert!(card.is_ascii() && card.len() <= CARD, "card `{card}` does not fit");
    format!("{card:<CARD$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_have_the_fixed_format() {
        assert_eq!(line("VISIT", &Value::Int(7), "").trim_end(), "VISIT   =                    7");
        assert_eq!(
            line("BORE-AIRMASS", &Value::Fixed(1.25, 6), "").trim_end(),
            "HIERARCH BORE-AIRMASS = 1.25"
        );
        assert_eq!(line("A", &Value::Text("it's".to_owned()), "x").trim_end(), "A       = 'it''s   ' / x");
        assert_eq!(fixed(-0.000_000_01, 3), "0.0");
        assert_eq!(fixed(74_400.0, 3), "74400.0");
    }

    #[test]
    fn difference_names_the_card_or_the_pixel() {
        let mut file = File::new(&[Card("VISIT", Value::Int(7), "")]);
        file.image("IMAGE", &[], &[2, 3], floats(&Array2::zeros((2, 3))));
        let drawn = file.into_bytes();
        let with = |at: usize, byte: u8| {
            let mut there = drawn.clone();
            there[at] = byte;
            first_difference(&there, &drawn)
        };
        assert!(with(4 * CARD + 29, b'8').starts_with("has `VISIT   =                    8` where"));
        // The fifth of six pixels, three columns wide.
        assert_eq!(with(2 * BLOCK + 17, 1), "IMAGE, pixel (1, 1) differs");
        assert_eq!(first_difference(&drawn[..BLOCK], &drawn), "2880 bytes, where 8640 are drawn");
    }

    #[test]
    fn files_come_in_blocks() {
        let mut file = File::new(&[]);
        file.image("IMAGE", &[], &[1, 3], floats(&ndarray::array![[1.0, f32::NAN, -2.5]]));
        let bytes = file.into_bytes();
        assert_eq!(bytes.len(), 3 * BLOCK);
        assert_eq!(bytes[2 * BLOCK..2 * BLOCK + 4], 1.0_f32.to_be_bytes());
    }
}
