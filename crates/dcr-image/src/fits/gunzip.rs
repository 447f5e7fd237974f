//! Files gzipped as a whole, unpacked into memory up to a limit.
//!
//! A few kilobytes of gzip can expand to gigabytes. The limit is half of the free memory, and 200
//! times the packed size for unusual expansion: images compress by less, and the few masks that
//! compress by more stay below [`ALWAYS`].

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::memory::free_memory;

/// Unpacked size in bytes that is allowed for any packed size.
const ALWAYS: u64 = 256 << 20;
/// Maximum unpacked bytes per packed byte beyond that.
const LARGEST_RATIO: u64 = 200;
/// Buffer size in bytes.
const BUFFER: usize = 1 << 16;

/// Whether the first bytes are those of gzip.
pub(super) fn is_gzip(beginning: &[u8]) -> bool {
    beginning.starts_with(&[0x1f, 0x8b])
}

/// Unpacked bytes of a gzip file of `packed` bytes. Several members are concatenated; trailing
/// zeros, as from tapes, are ignored.
///
/// # Errors
///
/// For data that are damaged, truncated or above the limit.
pub(super) fn unpack(file: impl Read, packed: u64) -> io::Result<Vec<u8>> {
    let memory = free_memory().map_or(u64::MAX, |free| free / 2);
    up_to(file, ALWAYS.max(packed.saturating_mul(LARGEST_RATIO)).min(memory))
}

fn up_to(file: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut packed = BufReader::with_capacity(BUFFER, file);
    let mut bytes = Vec::new();
    loop {
        let mut member = GzDecoder::new(&mut packed);
        let room = limit.saturating_add(1).saturating_sub(bytes.len() as u64);
        member.by_ref().take(room).read_to_end(&mut bytes).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the gzip data are damaged or truncated ({error}); copy the file again"),
            )
        })?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!(
                "it unpacks to more than {limit} bytes, the limit for its size and the free memory; \
                 unpack it with gunzip, and use the unpacked file"
            )));
        }
        if !another_member(&mut packed)? {
            return Ok(bytes);
        }
    }
}

/// Whether another gzip member follows, after zeros.
fn another_member(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let rest = packed.fill_buf()?;
        let Some(&first) = rest.first() else { return Ok(false) };
        if first == 0x1f {
            return Ok(true);
        }
        let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
        if zeros == 0 {
            return Err(io::Error::other("other bytes follow the gzip data; copy the file again"));
        }
        packed.consume(zeros);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_are_joined_and_zeros_after_them_ignored() {
        let mut file = [packed(b"one"), packed(b"two")].concat();
        file.extend([0; 100]);
        assert_eq!(up_to(file.as_slice(), 6).unwrap(), b"onetwo");
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        let file = packed(&vec![0; 1 << 20]);
        assert!(file.len() < 2000);
        let error = up_to(file.as_slice(), 1000).unwrap_err().to_string();
        assert!(error.contains("more than 1000 bytes") && error.contains("gunzip"), "{error}");
    }

    #[test]
    fn damage_is_an_error() {
        let text = b"some text that is long enough to be cut";
        let file = packed(text);
        for cut in 1..file.len() {
            assert!(up_to(&file[..cut], 1000).is_err(), "{cut}");
        }
        for byte in 10..file.len() {
            let mut flipped = file.clone();
            flipped[byte] ^= 4;
            // A few bits of the last byte of compressed data have no meaning.
            let unpacked = up_to(flipped.as_slice(), 1000);
            assert!(unpacked.is_err() || (byte == file.len() - 9 && unpacked.unwrap() == text), "{byte}");
        }
        assert!(up_to([packed(b"one"), b"rubbish".to_vec()].concat().as_slice(), 1000).is_err());
    }
}
