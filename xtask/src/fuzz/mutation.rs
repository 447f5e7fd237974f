//! Damage to FITS files and texts at sensitive places of their formats.

use super::random::Random;

/// Bytes of a block.
const BLOCK: usize = 2880;
/// Bytes of a card.
const CARD: usize = 80;

/// Invalid values of cards.
const EXTREMES: [&str; 24] = [
    "0",
    "-1",
    "1",
    "2",
    "3",
    "7",
    "8",
    "-32",
    "-64",
    "64",
    "999",
    "1000",
    "-2880",
    "2147483647",
    "2147483648",
    "4294967296",
    "4611686018427387904",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "NaN",
    "1E308",
    "'x'",
    "",
];
/// Texts of cards.
const TEXTS: [&str; 16] = [
    "'RICE_1'",
    "'PLIO_1'",
    "'HCOMPRESS_1'",
    "'GZIP_1'",
    "'GZIP_2'",
    "'NOCOMPRESS'",
    "'BINTABLE'",
    "'IMAGE'",
    "'TABLE'",
    "'2147483648J'",
    "'1QB'",
    "'1PB(0)'",
    "'99X'",
    "'SUBTRACTIVE_DITHER_2'",
    "'NONE'",
    "T",
];
/// Prefixes of the keywords that define the structure of an HDU.
const STRUCTURE: [&[u8]; 20] = [
    b"SIMPLE",
    b"XTENSION",
    b"BITPIX",
    b"NAXIS",
    b"PCOUNT",
    b"GCOUNT",
    b"TFIELDS",
    b"TFORM",
    b"TTYPE",
    b"TDIM",
    b"THEAP",
    b"Z",
    b"BSCALE",
    b"BZERO",
    b"BLANK",
    b"END",
    b"EXTNAME",
    b"TSCAL",
    b"POL",
    b"PSF",
];
/// Words for descriptors.
const WORDS: [u32; 10] = [0, 1, 2, 7, 255, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x4000_0000];

/// An HDU of a file: its header and its data.
#[derive(Clone, Debug)]
struct Hdu {
    header: std::ops::Range<usize>,
    data: std::ops::Range<usize>,
    is_table: bool,
}

/// Damages a FITS file by one to three changes. Returns whether HDUs may legitimately be missing,
/// because they were removed whole.
pub(super) fn damage_fits(bytes: &mut Vec<u8>, random: &mut Random) -> bool {
    let mut removed = false;
    for _ in 0..=random.below(3) {
        let hdus = hdus(bytes);
        if hdus.is_empty() || bytes.is_empty() {
            break;
        }
        removed |= damage_once(bytes, &hdus, random);
    }
    if random.once_in(2) {
        remove_checksums(bytes);
    }
    removed
}

fn damage_once(bytes: &mut Vec<u8>, hdus: &[Hdu], random: &mut Random) -> bool {
    let hdu = random.one_of(hdus).clone();
    let length = bytes.len();
    match random.below(13) {
        0 => flip(bytes, 0..length, random),
        1 => flip(bytes, hdu.header.clone(), random),
        2 | 3 => set_card(bytes, &hdu, |_| true, random),
        4 | 5 => {
            let structural = |card: &[u8]| STRUCTURE.iter().any(|name| card.starts_with(name));
            set_card(bytes, &hdu, structural, random);
        }
        6 => {
            bytes.truncate(random.below(bytes.len()));
            return true;
        }
        7 => return move_hdus(bytes, hdus, random),
        8 | 9 => {
            let tables: Vec<&Hdu> = hdus.iter().filter(|hdu| hdu.is_table && hdu.data.len() >= 64).collect();
            if let Some(table) = (!tables.is_empty()).then(|| *random.one_of(&tables)) {
                let at = table.data.start + 4 * random.below(table.data.len().min(1600) / 4);
                bytes[at..at + 4].copy_from_slice(&random.one_of(&WORDS).to_be_bytes());
            }
        }
        10 => {
            for _ in 0..=random.below(8) {
                flip(bytes, hdu.data.clone(), random);
            }
        }
        11 => {
            let at = random.below(bytes.len() / BLOCK + 1) * BLOCK;
            let block = match random.below(3) {
                0 => vec![0; BLOCK],
                1 => vec![0xff; BLOCK],
                _ => bytes[..BLOCK.min(bytes.len())].to_vec(),
            };
            bytes.splice(at.min(bytes.len())..at.min(bytes.len()), block);
        }
        _ => {
            let (from, to) = (card_at(&hdu, random), card_at(&hdu, random));
            let card = bytes[from..from + CARD].to_vec();
            if random.once_in(2) {
                bytes[from..from + CARD].fill(b' ');
            }
            bytes[to..to + CARD].copy_from_slice(&card);
        }
    }
    false
}

/// HDUs of a good file; a damaged one may show fewer.
fn hdus(bytes: &[u8]) -> Vec<Hdu> {
    let starts: Vec<usize> = (0..bytes.len() / BLOCK)
        .map(|block| block * BLOCK)
        .filter(|&at| at == 0 || bytes[at..].starts_with(b"XTENSION"))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| {
            let cards = bytes[start..end].chunks(CARD);
            let at = cards.clone().position(|card| card.starts_with(b"END     ")).unwrap_or(0);
            let data = (start + (at + 1) * CARD).next_multiple_of(BLOCK).min(end);
            let is_table = bytes[start..data].windows(8).any(|text| text == b"BINTABLE");
            Hdu { header: start..data, data: data..end, is_table }
        })
        .collect()
}

fn flip(bytes: &mut [u8], range: std::ops::Range<usize>, random: &mut Random) {
    if !range.is_empty() {
        let at = range.start + random.below(range.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

fn card_at(hdu: &Hdu, random: &mut Random) -> usize {
    hdu.header.start + random.below((hdu.header.len() / CARD).max(1)) * CARD
}

/// Changes the value of one of the given cards.
fn set_card(bytes: &mut [u8], hdu: &Hdu, wanted: impl Fn(&[u8]) -> bool, random: &mut Random) {
    let cards: Vec<usize> = hdu
        .header
        .clone()
        .step_by(CARD)
        .filter(|&at| at + CARD <= bytes.len() && bytes[at] != b' ' && wanted(&bytes[at..at + CARD]))
        .collect();
    if cards.is_empty() {
        return;
    }
    let at = *random.one_of(&cards);
    let value = if random.once_in(3) { random.one_of(&TEXTS) } else { random.one_of(&EXTREMES) };
    let line = format!("= {value:>20}");
    bytes[at + 8..at + CARD].fill(b' ');
    bytes[at + 8..at + 8 + line.len()].copy_from_slice(line.as_bytes());
}

/// Removes, duplicates or swaps HDUs; returns whether one is missing.
fn move_hdus(bytes: &mut Vec<u8>, hdus: &[Hdu], random: &mut Random) -> bool {
    let part = |hdu: &Hdu| bytes[hdu.header.start..hdu.data.end].to_vec();
    let mut parts: Vec<Vec<u8>> = hdus.iter().map(part).collect();
    let (a, b) = (random.below(parts.len()), random.below(parts.len()));
    let removed = match random.below(3) {
        0 => {
            parts.remove(a);
            true
        }
        1 => {
            parts.insert(b, parts[a].clone());
            false
        }
        _ => {
            parts.swap(a, b);
            false
        }
    };
    *bytes = parts.concat();
    removed
}

/// Removes the checksums, so that the damage is read.
fn remove_checksums(bytes: &mut [u8]) {
    for card in bytes.chunks_exact_mut(CARD) {
        if card.starts_with(b"CHECKSUM=") || card.starts_with(b"DATASUM =") {
            card[..9].copy_from_slice(b"COMMENT  ");
        }
    }
}

/// Damages a text by one to four changes of characters, numbers or lines.
pub(super) fn damage_text(text: &str, random: &mut Random) -> String {
    const PIECES: [&str; 22] = [
        "0",
        "-1",
        "1e308",
        "-1e308",
        "nan",
        "inf",
        "9223372036854775807",
        "18446744073709551616",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "\\u0000",
        "é",
        "=",
        ",",
        "\n",
        "(",
        ")",
        "1e-320",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len().max(1)).min(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(7),
            1 => {
                bytes.splice(at..at, random.one_of(&PIECES).bytes());
            }
            2 => bytes.truncate(at),
            3 => {
                let piece = *random.one_of(&PIECES);
                replace_number(&mut bytes, at, piece);
            }
            _ => {
                let end = (at + random.below(20)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Replaces the first number after `at` by `piece`.
fn replace_number(bytes: &mut Vec<u8>, at: usize, piece: &str) {
    let is_number = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let Some(start) = bytes[at..].iter().position(is_number).map(|offset| at + offset) else { return };
    let end =
        bytes[start..].iter().position(|byte| !is_number(byte)).map_or(bytes.len(), |offset| start + offset);
    bytes.splice(start..end, piece.bytes());
}
