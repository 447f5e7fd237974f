//! PNG in a data URI, so that the page is one file.

use super::{Picture, Pixels};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Picture {
    /// The picture as the address of an image.
    pub(crate) fn data_uri(&self) -> String {
        format!("data:image/png;base64,{}", base64(&self.png()))
    }

    /// The picture as a PNG file.
    fn png(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, self.width as u32, self.height as u32);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let data = match &self.pixels {
            Pixels::Indexed(data, ramp) => {
                encoder.set_color(png::ColorType::Indexed);
                let colours = (0..=255_u8).flat_map(|i| ramp.colour((f64::from(i) - 1.0) / 254.0));
                encoder.set_palette(colours.collect::<Vec<u8>>());
                encoder.set_trns(vec![0_u8]);
                // Neighbouring indices are too noisy for differences to be smaller.
                encoder.set_filter(png::Filter::NoFilter);
                data
            }
            Pixels::Rgba(data) => {
                encoder.set_color(png::ColorType::Rgba);
                encoder.set_filter(png::Filter::Adaptive);
                data
            }
        };
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(data)?;
            writer.finish()
        });
        assert!(
            written.is_ok(),
            "an image has at least one pixel and as many bytes as its size requires: {written:?}"
        );
        out
    }
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) as usize & 63;
            out.push(if i <= group.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::picture::Ramp;

    /// The test vectors of RFC 4648 §10.
    #[test]
    fn base64_is_that_of_the_rfc() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
        assert_eq!(base64(&[0xff, 0xfe, 0xfd, 0x00]), "//79AA==");
    }

    fn decoded(picture: &Picture) -> (u32, u32, Vec<u8>) {
        let bytes = picture.png();
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    #[test]
    fn png_of_indices_has_their_colours_and_index_zero_is_transparent() {
        let picture = Picture { width: 3, height: 1, pixels: Pixels::Indexed(vec![0, 1, 255], Ramp::Grey) };
        let (width, height, pixels) = decoded(&picture);
        assert_eq!((width, height), (3, 1));
        assert_eq!(pixels[3], 0);
        assert_eq!(pixels[4..], [0, 0, 0, 255, 255, 255, 255, 255]);
    }

    proptest! {
        #[test]
        fn png_comes_back_as_it_was(width in 1_usize..40, height in 1_usize..40, seed: u64) {
            let mut state = seed;
            let data: Vec<u8> = (0..4 * width * height).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            }).collect();
            let picture = Picture { width, height, pixels: Pixels::Rgba(data.clone()) };
            prop_assert_eq!(decoded(&picture), (width as u32, height as u32, data));
        }
    }
}
