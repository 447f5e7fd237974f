//! Conversion of stored numbers in images and tables to physical values.
//!
//! A stored value `v` represents `BZERO + BSCALE · v`, or an undefined pixel if it is an integer
//! equal to BLANK (FITS 4.0, §4.4.2.5 and §5.3). Undefined, infinite and NaN pixels become NaN in
//! real numbers. Integers stay exact for BSCALE = 1.

use crate::header::{Header, Value};

/// Target type of the conversion.
pub trait Pixel: Copy + Send + Sync {
    /// Zero.
    const ZERO: Self;
    /// An undefined pixel; `None`: undefined pixels keep their stored value.
    const UNDEFINED: Option<Self>;

    /// Conversion of an integer; `None` if out of range.
    fn from_integer(value: i64) -> Option<Self>;

    /// Conversion of an integer of up to 65 bits; `None` if out of range.
    fn from_wide(value: i128) -> Option<Self> {
        i64::try_from(value).ok().and_then(Self::from_integer)
    }

    /// Conversion of a real number, truncated towards 0 for integer types; `None` if out of range.
    fn from_real(value: f64) -> Option<Self>;
}

macro_rules! real_pixel {
    ($($name:ty),*) => {$(
        impl Pixel for $name {
            const ZERO: Self = 0.0;
            const UNDEFINED: Option<Self> = Some(Self::NAN);

            fn from_integer(value: i64) -> Option<Self> {
                Some(value as Self)
            }

            fn from_wide(value: i128) -> Option<Self> {
                Some(value as Self)
            }

            fn from_real(value: f64) -> Option<Self> {
                // Adding 0 turns −0 into 0.
                let value = value as Self + 0.0;
                Some(if value.is_finite() { value } else { Self::NAN })
            }
        }
    )*};
}

real_pixel!(f32, f64);

impl Pixel for i32 {
    const ZERO: Self = 0;
    const UNDEFINED: Option<Self> = None;

    fn from_integer(value: i64) -> Option<Self> {
        Self::try_from(value).ok()
    }

    fn from_real(value: f64) -> Option<Self> {
        let value = value.trunc();
        (value >= f64::from(Self::MIN) && value <= f64::from(Self::MAX)).then_some(value as Self)
    }
}

impl Pixel for i64 {
    const ZERO: Self = 0;
    const UNDEFINED: Option<Self> = None;

    fn from_integer(value: i64) -> Option<Self> {
        Some(value)
    }

    fn from_real(value: f64) -> Option<Self> {
        // The largest i64 is not representable in f64; 2⁶³ is.
        let value = value.trunc();
        (value >= Self::MIN as f64 && value < 2.0_f64.powi(63)).then_some(value as Self)
    }
}

impl Pixel for u64 {
    const ZERO: Self = 0;
    const UNDEFINED: Option<Self> = None;

    fn from_integer(value: i64) -> Option<Self> {
        Self::try_from(value).ok()
    }

    fn from_wide(value: i128) -> Option<Self> {
        Self::try_from(value).ok()
    }

    fn from_real(value: f64) -> Option<Self> {
        // The largest u64 is not representable in f64; 2⁶⁴ is.
        let value = value.trunc();
        (value >= 0.0 && value < 2.0_f64.powi(64)).then_some(value as Self)
    }
}

/// Stored number type.
pub(super) trait Stored: Copy {
    /// Size in bytes.
    const SIZE: usize;

    /// The number in `SIZE` big-endian bytes.
    fn from_bytes(bytes: &[u8]) -> Self;

    /// The physical value; `None` if it is out of range of `T`.
    fn value<T: Pixel>(self, scaling: &Scaling) -> Option<T>;
}

macro_rules! stored_integer {
    ($($name:ty),*) => {$(
        impl Stored for $name {
            const SIZE: usize = size_of::<$name>();

            fn from_bytes(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$name>()];
                array.copy_from_slice(bytes);
                Self::from_be_bytes(array)
            }

            fn value<T: Pixel>(self, scaling: &Scaling) -> Option<T> {
                scaling.integer(i64::from(self))
            }
        }
    )*};
}

macro_rules! stored_real {
    ($($name:ty),*) => {$(
        impl Stored for $name {
            const SIZE: usize = size_of::<$name>();

            fn from_bytes(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$name>()];
                array.copy_from_slice(bytes);
                Self::from_be_bytes(array)
            }

            fn value<T: Pixel>(self, scaling: &Scaling) -> Option<T> {
                T::from_real(scaling.real(f64::from(self)))
            }
        }
    )*};
}

stored_integer!(u8, i16, i32, i64);
stored_real!(f32, f64);

/// Conversion of stored numbers to physical values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scaling {
    conversion: Conversion,
    /// The stored integer that marks an undefined pixel.
    blank: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Conversion {
    Identity,
    /// Integer offset, used for unsigned integers.
    Offset(i128),
    Linear {
        scale: f64,
        zero: f64,
    },
}

impl Scaling {
    /// The identity conversion.
    const NONE: Self = Self { conversion: Conversion::Identity, blank: None };

    /// The conversion by the cards BSCALE and BZERO (or TSCALn and TZEROn), and the first existing
    /// card of those for the undefined value.
    ///
    /// # Errors
    ///
    /// The invalid card and the reason.
    pub(super) fn read(header: &Header, scale: &str, zero: &str, blanks: &[&str]) -> Result<Self, String> {
        let number = |keyword: &str, default: f64| match header.get(keyword) {
            None | Some(Value::Undefined) => Ok(default),
            Some(value) => {
                value.as_f64().ok_or_else(|| format!("{keyword} = {value}; expected a finite number"))
            }
        };
        let (factor, offset) = (number(scale, 1.0)?, number(zero, 0.0)?);
        if factor == 0.0 {
            return Err(format!("{scale} = 0, with which all pixels are {zero}; expected a nonzero number"));
        }
        // 2⁶³ is the offset of unsigned 64-bit integers.
        let whole = offset.fract() == 0.0 && offset.abs() <= 2.0_f64.powi(63);
        let conversion = match (factor == 1.0, whole) {
            (true, true) if offset == 0.0 => Conversion::Identity,
            (true, true) => Conversion::Offset(offset as i128),
            _ => Conversion::Linear { scale: factor, zero: offset },
        };
        let blank = blanks.iter().find_map(|keyword| header.i64(keyword));
        Ok(Self { conversion, blank })
    }

    /// Whether integers stay integers.
    pub(super) fn keeps_integers(&self) -> bool {
        match self.conversion {
            Conversion::Identity | Conversion::Offset(_) => true,
            Conversion::Linear { scale, zero } => scale.fract() == 0.0 && zero.fract() == 0.0,
        }
    }

    fn integer<T: Pixel>(&self, value: i64) -> Option<T> {
        if self.blank == Some(value)
            && let Some(undefined) = T::UNDEFINED
        {
            return Some(undefined);
        }
        match self.conversion {
            Conversion::Identity => T::from_integer(value),
            Conversion::Offset(offset) => match i64::try_from(offset).ok().and_then(|o| value.checked_add(o))
            {
                Some(sum) => T::from_integer(sum),
                None => T::from_wide(i128::from(value) + offset),
            },
            Conversion::Linear { scale, zero } => T::from_real(value as f64 * scale + zero),
        }
    }

    fn real(&self, value: f64) -> f64 {
        match self.conversion {
            Conversion::Identity => value,
            Conversion::Offset(offset) => value + offset as f64,
            Conversion::Linear { scale, zero } => value * scale + zero,
        }
    }
}

/// A value is out of range of the requested type.
#[derive(Debug)]
pub(super) struct OutOfRange;

/// Appends the values of stored numbers.
pub(super) fn convert<S: Stored, T: Pixel>(
    stored: impl Iterator<Item = S>,
    scaling: &Scaling,
    out: &mut Vec<T>,
) -> Result<(), OutOfRange> {
    let mut fits = true;
    let mut checked = |value: Option<T>| {
        value.unwrap_or_else(|| {
            fits = false;
            T::ZERO
        })
    };
    // A constant choice keeps the branch out of the inner loop of the common case.
    if *scaling == Scaling::NONE {
        out.extend(stored.map(|value| checked(value.value(&Scaling::NONE))));
    } else {
        out.extend(stored.map(|value| checked(value.value(scaling))));
    }
    if fits { Ok(()) } else { Err(OutOfRange) }
}

/// Appends the values of big-endian numbers of a BITPIX.
pub(super) fn convert_bytes<T: Pixel>(
    bytes: &[u8],
    bitpix: i64,
    scaling: &Scaling,
    out: &mut Vec<T>,
) -> Result<(), OutOfRange> {
    fn each<S: Stored, T: Pixel>(
        bytes: &[u8],
        scaling: &Scaling,
        out: &mut Vec<T>,
    ) -> Result<(), OutOfRange> {
        convert(bytes.chunks_exact(S::SIZE).map(S::from_bytes), scaling, out)
    }
    match bitpix {
        8 => each::<u8, T>(bytes, scaling, out),
        16 => each::<i16, T>(bytes, scaling, out),
        32 => each::<i32, T>(bytes, scaling, out),
        64 => each::<i64, T>(bytes, scaling, out),
        -32 => each::<f32, T>(bytes, scaling, out),
        _ => each::<f64, T>(bytes, scaling, out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Card;

    fn scaling(cards: &[(&str, f64)]) -> Scaling {
        let header = cards.iter().map(|&(keyword, value)| Card::new(keyword, value)).collect();
        Scaling::read(&header, "BSCALE", "BZERO", &["BLANK"]).unwrap()
    }

    fn values<T: Pixel>(bitpix: i64, bytes: &[u8], scaling: &Scaling) -> Option<Vec<T>> {
        let mut out = Vec::new();
        convert_bytes(bytes, bitpix, scaling, &mut out).ok().map(|()| out)
    }

    #[test]
    fn unsigned_integers_are_exact() {
        let bytes = [i64::MIN.to_be_bytes(), i64::MAX.to_be_bytes()].concat();
        let unsigned = scaling(&[("BZERO", 2.0_f64.powi(63))]);
        assert_eq!(values::<i64>(64, &bytes[..8], &unsigned), Some(vec![0]));
        assert_eq!(values::<i64>(64, &bytes, &unsigned), None);
        assert_eq!(values::<u64>(64, &bytes, &unsigned), Some(vec![0, u64::MAX]));
        assert_eq!(values::<f64>(64, &bytes, &unsigned), Some(vec![0.0, 2.0_f64.powi(64)]));
        let unsigned = scaling(&[("BZERO", 32_768.0)]);
        assert_eq!(values::<i32>(16, &[0x80, 0, 0x7f, 0xff], &unsigned), Some(vec![0, 65_535]));
    }

    #[test]
    fn undefined_and_infinite_are_nan() {
        let scaling = scaling(&[("BLANK", -1.0), ("BSCALE", 0.5), ("BZERO", 3.0)]);
        let out = values::<f32>(16, &[0, 2, 0xff, 0xff], &scaling).unwrap();
        assert!(out[0] == 4.0 && out[1].is_nan());
        let bytes: Vec<u8> = [f64::INFINITY, f64::NAN, 1e300].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert!(values::<f32>(-64, &bytes, &Scaling::NONE).unwrap().iter().all(|v| v.is_nan()));
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let bytes: Vec<u8> = [1.9_f32, -1.9, 3e9].iter().flat_map(|v| v.to_be_bytes()).collect();
        assert_eq!(values::<i32>(-32, &bytes[..8], &Scaling::NONE), Some(vec![1, -1]));
        assert_eq!(values::<i32>(-32, &bytes, &Scaling::NONE), None);
        assert_eq!(values::<i32>(-32, &f32::NAN.to_be_bytes(), &Scaling::NONE), None);
    }

    #[test]
    fn scaling_without_sense_names_its_card() {
        for (value, reason) in [(Value::Int(0), "BSCALE = 0"), (Value::Text("x".into()), "BSCALE = 'x'")] {
            let mut header = Header::new();
            header.set("BSCALE", value);
            let error = Scaling::read(&header, "BSCALE", "BZERO", &[]).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
