//! The one place that calls cfitsio.
//!
//! A [`FitsReader`] owns a handle for reading, which is neither `Send` nor `Sync`: cfitsio is built
//! reentrant and opens a file anew for each reader, so each thread opens its own.

#![allow(unsafe_code, reason = "the calls of cfitsio are here, and only here")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use fitsio_sys as ffi;

use super::FitsError;
use crate::header::Header;

/// Bytes of a card.
const CARD: usize = 80;
/// cfitsio's limit on the number of axes, with room to spare.
const MAX_AXES: usize = 9;
/// FLEN_STATUS, the length of a status text with its terminator.
const STATUS_LENGTH: usize = 31;

/// A FITS file open for reading, positioned at one of its HDUs.
#[derive(Debug)]
pub(crate) struct FitsReader {
    handle: NonNull<ffi::fitsfile>,
    path: PathBuf,
    /// Bytes of the file; `None` when it is compressed as a whole and cfitsio sees others.
    length: Option<u64>,
}

/// What an HDU holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HduKind {
    /// An image, plain or tile-compressed, with the lengths of its axes (NAXIS1 first).
    Image { axes: Vec<usize>, integer: bool },
    /// A table.
    Table,
}

/// A pixel type that cfitsio converts to.
pub(crate) trait Pixel: Copy {
    /// cfitsio's name of the type.
    const DATATYPE: u32;
    /// What an undefined pixel becomes; `None`: it is not looked for.
    const NULL: Option<Self>;
    /// What memory holds before cfitsio fills it.
    const ZERO: Self;
}

impl Pixel for f32 {
    const DATATYPE: u32 = ffi::TFLOAT;
    const NULL: Option<Self> = Some(Self::NAN);
    const ZERO: Self = 0.0;
}

impl Pixel for f64 {
    const DATATYPE: u32 = ffi::TDOUBLE;
    const NULL: Option<Self> = Some(Self::NAN);
    const ZERO: Self = 0.0;
}

impl Pixel for i32 {
    const DATATYPE: u32 = ffi::TINT;
    const NULL: Option<Self> = None;
    const ZERO: Self = 0;
}

impl Pixel for i64 {
    const DATATYPE: u32 = ffi::TLONGLONG;
    const NULL: Option<Self> = None;
    const ZERO: Self = 0;
}

impl Pixel for u64 {
    const DATATYPE: u32 = ffi::TULONGLONG;
    const NULL: Option<Self> = None;
    const ZERO: Self = 0;
}

impl FitsReader {
    /// Opens a file, gzipped or not. The name is taken literally: brackets have no meaning.
    pub(crate) fn open(path: &Path) -> Result<Self, FitsError> {
        let io = |source| FitsError::Io { path: path.to_owned(), action: "open it for reading", source };
        let metadata = std::fs::metadata(path).map_err(io)?;
        if metadata.is_dir() {
            return Err(io(std::io::Error::other("it is a directory")));
        }
        // cfitsio tells no reason; the operating system does.
        let mut file = std::fs::File::open(path).map_err(io)?;
        let mut beginning = Vec::with_capacity(CARD);
        file.by_ref().take(CARD as u64).read_to_end(&mut beginning).map_err(io)?;
        let gzipped = beginning.starts_with(&[0x1f, 0x8b]);
        if !gzipped && !beginning.starts_with(b"SIMPLE") {
            return Err(FitsError::NotFits { path: path.to_owned(), found: begins(&beginning) });
        }
        let name = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| io(std::io::Error::other("its name contains a zero byte")))?;
        let mut handle = ptr::null_mut();
        let mut status: c_int = 0;
        // SAFETY: `name` is terminated and outlives the call; `handle` and `status` are written to.
        unsafe { ffi::ffdkopn(&raw mut handle, name.as_ptr(), ffi::READONLY as c_int, &raw mut status) };
        match NonNull::new(handle) {
            Some(handle) if status == 0 => {
                Ok(Self { handle, path: path.to_owned(), length: (!gzipped).then_some(metadata.len()) })
            }
            _ => Err(library_error(path, "open it as a FITS file", status)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of HDUs, the primary included.
    pub(crate) fn hdu_count(&mut self) -> Result<usize, FitsError> {
        let mut count: c_int = 0;
        // SAFETY: as in `call`; `count` is written to.
        self.call("count the HDUs", |file, status| unsafe { ffi::ffthdu(file, &raw mut count, status) })?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Moves to an HDU (0 is the primary) and says what it holds.
    pub(crate) fn go_to(&mut self, hdu: usize) -> Result<HduKind, FitsError> {
        let mut kind: c_int = 0;
        let number = c_int::try_from(hdu + 1).unwrap_or(c_int::MAX);
        self.call(&format!("go to HDU {hdu}"), |file, status| {
            // SAFETY: as in `call`; `kind` is written to.
            unsafe { ffi::ffmahd(file, number, &raw mut kind, status) }
        })?;
        self.check_length(hdu)?;
        if kind != ffi::IMAGE_HDU as c_int {
            return Ok(HduKind::Table);
        }
        let mut lengths = [0 as c_long; MAX_AXES];
        let (mut axes, mut bitpix) = (0, 0);
        self.call(&format!("read the size of HDU {hdu}"), |file, status| {
            // SAFETY: as in `call`; the outputs are written to, `lengths` for MAX_AXES axes at most.
            unsafe {
                ffi::ffgidm(file, &raw mut axes, status);
                ffi::ffgiet(file, &raw mut bitpix, status);
                ffi::ffgisz(file, MAX_AXES as c_int, lengths.as_mut_ptr(), status)
            }
        })?;
        let axes = usize::try_from(axes).unwrap_or(0).min(MAX_AXES);
        let axes = lengths[..axes].iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
        Ok(HduKind::Image { axes, integer: bitpix > 0 })
    }

    /// Whether the file reaches to the end of the current HDU's data.
    fn check_length(&mut self, hdu: usize) -> Result<(), FitsError> {
        let Some(got) = self.length else { return Ok(()) };
        let mut end: ffi::LONGLONG = 0;
        self.call(&format!("find the end of HDU {hdu}"), |file, status| {
            // SAFETY: as in `call`; the two addresses that are not wanted may be null, `end` is written to.
            unsafe { ffi::ffghadll(file, ptr::null_mut(), ptr::null_mut(), &raw mut end, status) }
        })?;
        let expected = u64::try_from(end).unwrap_or(0);
        if expected > got {
            return Err(FitsError::Truncated { path: self.path.clone(), hdu, expected, got });
        }
        Ok(())
    }

    /// All cards of the current HDU.
    pub(crate) fn header(&mut self) -> Result<Header, FitsError> {
        let mut text: *mut c_char = ptr::null_mut();
        let mut cards: c_int = 0;
        self.call("read a header", |file, status| {
            // SAFETY: as in `call`; no cards are excluded, so that list may be null; `text` receives
            // memory of cfitsio, which is freed below.
            unsafe { ffi::ffhdr2str(file, 0, ptr::null_mut(), 0, &raw mut text, &raw mut cards, status) }
        })?;
        if text.is_null() {
            return Ok(Header::new());
        }
        // SAFETY: cfitsio succeeded, so that `text` is a terminated string until freed.
        let header = Header::parse(unsafe { CStr::from_ptr(text) }.to_bytes());
        self.call("read a header", |_, status| {
            // SAFETY: `text` comes from cfitsio's allocator, and is not used after this.
            unsafe { ffi::fffree(text.cast::<c_void>(), status) }
        })?;
        Ok(header)
    }

    /// Reads rows and columns (from 0) of the current image HDU, row by row. Undefined floating-point
    /// pixels are NaN.
    pub(crate) fn pixels<T: Pixel>(
        &mut self,
        rows: Range<usize>,
        columns: Range<usize>,
        hdu: &str,
    ) -> Result<Vec<T>, FitsError> {
        // Axes beyond the second have length 1. Numbers from 1, both ends included.
        let (mut first, mut last) = ([1 as c_long; MAX_AXES], [1; MAX_AXES]);
        (first[0], first[1]) = (columns.start as c_long + 1, rows.start as c_long + 1);
        (last[0], last[1]) = (columns.end as c_long, rows.end as c_long);
        self.section(first, last, rows.len() * columns.len(), hdu)
    }

    /// Reads all pixels of the current image HDU, whose axes have these lengths (NAXIS1 first, which runs fastest).
    pub(crate) fn all_pixels<T: Pixel>(&mut self, axes: &[usize], hdu: &str) -> Result<Vec<T>, FitsError> {
        let mut last = [1 as c_long; MAX_AXES];
        last.iter_mut().zip(axes).for_each(|(last, length)| *last = *length as c_long);
        self.section([1; MAX_AXES], last, axes.iter().take(MAX_AXES).product(), hdu)
    }

    /// Reads the `count` pixels from `first` to `last`, both included, along all axes.
    fn section<T: Pixel>(
        &mut self,
        mut first: [c_long; MAX_AXES],
        mut last: [c_long; MAX_AXES],
        count: usize,
        hdu: &str,
    ) -> Result<Vec<T>, FitsError> {
        let mut pixels = vec![T::ZERO; count];
        if pixels.is_empty() {
            return Ok(pixels);
        }
        let mut step = [1 as c_long; MAX_AXES];
        let mut null = T::NULL;
        let null = null.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut any_null: c_int = 0;
        self.call(&format!("read pixels of {hdu}"), |file, status| {
            // SAFETY: as in `call`; `first`, `last` and `step` hold MAX_AXES numbers, cfitsio's own
            // limit; `null` is null or points to a T; `pixels` has room for the section asked for,
            // and T is the type that DATATYPE names.
            unsafe {
                ffi::ffgsv(
                    file,
                    T::DATATYPE as c_int,
                    first.as_mut_ptr(),
                    last.as_mut_ptr(),
                    step.as_mut_ptr(),
                    null.cast::<c_void>(),
                    pixels.as_mut_ptr().cast::<c_void>(),
                    &raw mut any_null,
                    status,
                )
            }
        })?;
        Ok(pixels)
    }

    /// The number of a table's column, from 1, its name compared without case; `None` if it has none
    /// of that name.
    pub(crate) fn column(&mut self, name: &str) -> Option<c_int> {
        let name = CString::new(name).ok()?;
        let mut column: c_int = 0;
        self.call("find a column", |file, status| {
            // SAFETY: as in `call`; `name` is terminated, and cfitsio does not write to it.
            unsafe { ffi::ffgcno(file, 0, name.as_ptr().cast_mut(), &raw mut column, status) }
        })
        .ok()?;
        Some(column)
    }

    /// The numbers in one cell of a table (row from 0); variable-length arrays included.
    pub(crate) fn cell<T: Pixel>(&mut self, column: c_int, row: usize) -> Result<Vec<T>, FitsError> {
        let row = row as i64 + 1;
        let (mut code, mut repeat, mut width, mut offset) = (0, 0 as c_long, 0 as c_long, 0 as c_long);
        self.call("read a table's column", |file, status| {
            // SAFETY: as in `call`; the outputs are written to.
            unsafe {
                ffi::ffgtcl(file, column, &raw mut code, &raw mut repeat, &raw mut width, status);
                // A negative code says that the cells hold descriptors of variable-length arrays.
                if *status == 0 && code < 0 {
                    ffi::ffgdes(file, column, row, &raw mut repeat, &raw mut offset, status);
                }
                *status
            }
        })?;
        let mut values = vec![T::ZERO; usize::try_from(repeat).unwrap_or(0)];
        let mut any_null: c_int = 0;
        if values.is_empty() {
            return Ok(values);
        }
        let count: i64 = repeat;
        self.call("read a table's cell", |file, status| {
            // SAFETY: as in `call`; `values` has room for the elements of the cell, of the type that
            // DATATYPE names; undefined values are not looked for.
            unsafe {
                ffi::ffgcv(
                    file,
                    T::DATATYPE as c_int,
                    column,
                    row,
                    1,
                    count,
                    ptr::null_mut(),
                    values.as_mut_ptr().cast::<c_void>(),
                    &raw mut any_null,
                    status,
                )
            }
        })?;
        Ok(values)
    }

    /// The text in one cell of a table (row from 0), without blanks around it.
    ///
    /// # Errors
    ///
    /// [`FitsError`] if it cannot be read; a cell that holds no text, or more than 1000 characters.
    pub(crate) fn text_cell(&mut self, column: c_int, row: usize) -> Result<String, FitsError> {
        const LONGEST: c_long = 1000;
        let row = row as i64 + 1;
        let (mut code, mut repeat, mut width) = (0, 0 as c_long, 0 as c_long);
        let mut text = vec![0_u8; LONGEST as usize + 1];
        let mut any_null: c_int = 0;
        self.call("read a table's text", |file, status| {
            // SAFETY: as in `call`; one string is asked for, of at most LONGEST characters, and `text`
            // has room for these and the terminator.
            unsafe {
                ffi::ffgtcl(file, column, &raw mut code, &raw mut repeat, &raw mut width, status);
                if *status == 0 && (code != ffi::TSTRING as c_int || repeat > LONGEST || width > LONGEST) {
                    *status = ffi::BAD_TFORM as c_int;
                }
                let mut start = text.as_mut_ptr().cast::<c_char>();
                let mut null = [0 as c_char; 1];
                ffi::ffgcvs(
                    file,
                    column,
                    row,
                    1,
                    1,
                    null.as_mut_ptr(),
                    &raw mut start,
                    &raw mut any_null,
                    status,
                )
            }
        })?;
        let length = text.iter().position(|byte| *byte == 0).unwrap_or(0);
        Ok(String::from_utf8_lossy(&text[..length]).trim().to_owned())
    }

    /// Calls cfitsio with the handle and a fresh status, and turns a status into an error.
    ///
    /// The handle is valid: it was made by [`FitsReader::open`], is closed only by `drop`, and is
    /// lent to one call at a time by `&mut self`.
    fn call(
        &mut self,
        action: &str,
        function: impl FnOnce(*mut ffi::fitsfile, *mut c_int) -> c_int,
    ) -> Result<(), FitsError> {
        let mut status: c_int = 0;
        function(self.handle.as_ptr(), &raw mut status);
        if status > 0 { Err(library_error(&self.path, action, status)) } else { Ok(()) }
    }
}

impl Drop for FitsReader {
    fn drop(&mut self) {
        let mut status: c_int = 0;
        // SAFETY: the handle is valid (see `call`) and not used again. A file open for reading has
        // nothing to lose, so the status of closing it does not matter.
        unsafe { ffi::ffclos(self.handle.as_ptr(), &raw mut status) };
    }
}

pub(super) fn library_error(path: &Path, action: &str, status: c_int) -> FitsError {
    let mut text = [0 as c_char; STATUS_LENGTH];
    // SAFETY: `text` has the length that ffgerr writes at most, and starts as zeros.
    let reason = unsafe {
        ffi::ffgerr(status, text.as_mut_ptr());
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    };
    // Messages that cfitsio piles up for all threads alike would only be read by the wrong one.
    // SAFETY: the call takes no arguments, and locks.
    unsafe { ffi::ffcmsg() };
    FitsError::Library { path: path.to_owned(), action: action.to_owned(), status, reason }
}

/// The first few bytes of something that is no FITS file, for a person.
fn begins(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "it is empty".to_owned();
    }
    let text: String = String::from_utf8_lossy(bytes).chars().take(12).collect();
    format!("it begins with {text:?}, not with SIMPLE")
}
