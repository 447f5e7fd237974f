//! Pictures for a browser: planes of numbers, shrunk, stretched, and encoded as PNG inside the
//! page.
//!
//! Planes have their first row at the bottom, pictures at the top. NaN is transparent.

mod encode;
mod shrink;
mod stretch;

pub(crate) use shrink::{block, shrink};
pub(crate) use stretch::{Stretch, composite, counts, differences, flux};

/// A picture in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Pixels,
}

/// Its pixels, row by row from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pixels {
    /// An index into colours for each pixel; 0 is transparent.
    Indexed(Vec<u8>, Ramp),
    /// Red, green, blue and opacity of each pixel.
    Rgba(Vec<u8>),
}

/// Colours from low to high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ramp {
    /// Black to white.
    Grey,
    /// Dark blue over grey to yellow, alike for all kinds of colour vision (cividis).
    BlueToYellow,
}

impl Ramp {
    /// The colour at a fraction of the way.
    pub(crate) fn colour(self, fraction: f64) -> [u8; 3] {
        let stops: &[[u8; 3]] = match self {
            Self::Grey => &[[0; 3], [255; 3]],
            Self::BlueToYellow => &[
                [0x00, 0x22, 0x4e],
                [0x35, 0x45, 0x6c],
                [0x66, 0x69, 0x70],
                [0x94, 0x8e, 0x77],
                [0xc8, 0xb8, 0x66],
                [0xfe, 0xe8, 0x38],
            ],
        };
        let place = fraction.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
        let first = (place as usize).min(stops.len() - 2);
        let share = place - first as f64;
        std::array::from_fn(|channel| {
            let (low, high) = (f64::from(stops[first][channel]), f64::from(stops[first + 1][channel]));
            (low + share * (high - low)).round() as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ramps_begin_and_end_at_their_ends() {
        assert_eq!(Ramp::Grey.colour(0.0), [0; 3]);
        assert_eq!(Ramp::Grey.colour(0.5), [128; 3]);
        assert_eq!(Ramp::Grey.colour(1.0), [255; 3]);
        assert_eq!(Ramp::BlueToYellow.colour(-1.0), [0x00, 0x22, 0x4e]);
        assert_eq!(Ramp::BlueToYellow.colour(2.0), [0xfe, 0xe8, 0x38]);
    }
}
