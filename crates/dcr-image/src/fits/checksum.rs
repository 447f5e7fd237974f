//! CHECKSUM and DATASUM of an HDU.
//!
//! # References
//!
//! - FITS 4.0 standard, §4.4.2.7 and appendix J: the ones'-complement checksum and its ASCII form.

/// A running 32-bit ones'-complement sum of big-endian words.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    total: u64,
    /// Bytes of a word that is not complete yet.
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
        // 2³² words of 32 bits fit a u64 before carries must be folded; a call has far fewer.
        let sum: u64 =
            words.map(|word| u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))).sum();
        self.total = fold(self.total + fold(sum));
        self.rest[..left.len()].copy_from_slice(left);
        if !left.is_empty() {
            self.rest_length = left.len();
        }
    }

    /// The sum so far; a word that is not complete is not in it.
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
        // Moves pairs apart until all are letters or digits; the sum of each pair stays.
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
