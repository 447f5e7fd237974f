//! Lossless tile compression of an image HDU, by cfitsio in a temporary file.

#![allow(unsafe_code, reason = "cfitsio compresses")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::ptr;

use fitsio_sys as ffi;

use super::FitsError;
use super::atomic::Temporary;
use super::pixels::{Pixels, named};
use crate::header::{Card, Header, format_card};

/// FLEN_STATUS, the length of a status text with its terminator.
const STATUS_LENGTH: usize = 31;

/// A file that cfitsio writes; closed on drop.
struct Handle(*mut ffi::fitsfile);

impl Handle {
    /// Closes the file, which flushes the buffers of cfitsio.
    fn close(&mut self, status: &mut c_int) {
        let handle = std::mem::replace(&mut self.0, ptr::null_mut());
        if !handle.is_null() {
            // SAFETY: the handle was open, and is not used again.
            unsafe { ffi::ffclos(handle, status) };
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close(&mut 0);
    }
}

/// Cards and data of the HDU of an image compressed with GZIP_2, row by row, bit for bit. The
/// temporary file is beside `path`.
pub(super) fn compressed(
    path: &Path,
    name: &str,
    pixels: &Pixels<'_>,
    extra: &[Card],
) -> Result<(Vec<Card>, Vec<u8>), FitsError> {
    let io = |source| FitsError::Io { path: path.to_owned(), action: "compress an image", source };
    let mut temporary = Temporary::beside(path).map_err(io)?;
    // An absolute path avoids the special first characters of cfitsio's file name syntax.
    let absolute = std::path::absolute(temporary.path()).map_err(io)?;
    let file_name = CString::new(absolute.as_os_str().as_encoded_bytes())
        .map_err(|_| io(io::Error::other("the file name contains a zero byte")))?;
    let mut status: c_int = 0;
    let mut handle = ptr::null_mut();
    // SAFETY: `file_name` is terminated; `handle` and `status` are written to.
    unsafe { ffi::ffdkinit(&raw mut handle, file_name.as_ptr(), &raw mut status) };
    let mut file = Handle(handle);
    if status == 0 {
        temporary.hold().map_err(io)?;
        create_image(&file, pixels, &mut status);
        // The cards come before the pixels: cfitsio cannot move compressed data.
        for line in named(name).iter().chain(extra).flat_map(format_card) {
            let line = CString::new(line).unwrap_or_default();
            // SAFETY: the handle is open, and `line` a terminated string of 80 characters.
            unsafe { ffi::ffprec(file.0, line.as_ptr(), &raw mut status) };
        }
        write_pixels(&file, pixels, &mut status);
    }
    let (header, data) = if status == 0 { describe(&file, &mut status) } else { (Header::new(), 0..0) };
    file.close(&mut status);
    if status > 0 {
        return Err(library_error(path, &format!("compress the image {name}"), status));
    }
    let mut bytes = vec![0; usize::try_from(data.end - data.start).unwrap_or(0)];
    let mut written = File::open(temporary.path()).map_err(io)?;
    written.seek(SeekFrom::Start(data.start)).and_then(|_| written.read_exact(&mut bytes)).map_err(io)?;
    Ok((header.iter().cloned().collect(), bytes))
}

/// Writes an empty primary HDU and a compressed image; a no-op after an error, as in cfitsio.
fn create_image(file: &Handle, pixels: &Pixels<'_>, status: &mut c_int) {
    let (height, width) = pixels.dim();
    let mut axes = [width as c_long, height as c_long];
    let bitpix = match pixels {
        Pixels::U16(_) => ffi::USHORT_IMG as c_int,
        _ => pixels.bitpix() as c_int,
    };
    // SAFETY: the handle is open; `axes` holds the two numbers that an image of two axes needs.
    unsafe {
        ffi::ffcrim(file.0, 8, 0, axes.as_mut_ptr(), status);
        ffi::fits_set_compression_type(file.0, ffi::GZIP_2 as c_int, status);
        // Quantisation level 0 keeps real numbers unquantised.
        ffi::fits_set_quantize_level(file.0, 0.0, status);
        ffi::ffcrim(file.0, bitpix, 2, axes.as_mut_ptr(), status);
    }
}

fn write_pixels(file: &Handle, pixels: &Pixels<'_>, status: &mut c_int) {
    let (height, width) = pixels.dim();
    if height * width == 0 {
        return;
    }
    let mut write = |datatype: u32, data: *const c_void| {
        let mut first = [1 as c_long; 2];
        let count = (width * height) as i64;
        // SAFETY: the handle is open; `data` points to `count` values of the type that `datatype`
        // names, in rows without gaps, which cfitsio only reads.
        unsafe { ffi::ffppx(file.0, datatype as c_int, first.as_mut_ptr(), count, data.cast_mut(), status) }
    };
    match pixels {
        Pixels::F32(view) => write(ffi::TFLOAT, view.as_standard_layout().as_ptr().cast()),
        Pixels::F64(view) => write(ffi::TDOUBLE, view.as_standard_layout().as_ptr().cast()),
        Pixels::I32(view) => write(ffi::TINT, view.as_standard_layout().as_ptr().cast()),
        Pixels::U16(view) => write(ffi::TUSHORT, view.as_standard_layout().as_ptr().cast()),
    };
}

/// The header of the current HDU, and the location of its data in the file.
fn describe(file: &Handle, status: &mut c_int) -> (Header, std::ops::Range<u64>) {
    let mut text: *mut c_char = ptr::null_mut();
    let (mut count, mut start, mut data, mut end) = (0, 0 as c_long, 0 as c_long, 0 as c_long);
    // SAFETY: the handle is open; the outputs are written to; `text` receives memory of cfitsio.
    unsafe {
        ffi::ffflus(file.0, status);
        ffi::ffhdr2str(file.0, 0, ptr::null_mut(), 0, &raw mut text, &raw mut count, status);
        ffi::ffghad(file.0, &raw mut start, &raw mut data, &raw mut end, status);
    }
    if text.is_null() {
        return (Header::new(), 0..0);
    }
    // SAFETY: `text` is a terminated string until it is freed, with cfitsio's own function, and not
    // used after that.
    let header = unsafe {
        let header = Header::parse(CStr::from_ptr(text).to_bytes());
        ffi::fffree(text.cast::<c_void>(), status);
        header
    };
    let at = |position: c_long| u64::try_from(position).unwrap_or(0);
    (header, at(data)..at(end.max(data)))
}

fn library_error(path: &Path, action: &str, status: c_int) -> FitsError {
    let mut text = [0 as c_char; STATUS_LENGTH];
    // SAFETY: `text` has the length that ffgerr writes at most, and starts as zeros.
    let reason = unsafe {
        ffi::ffgerr(status, text.as_mut_ptr());
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    };
    // Clears the global error stack of cfitsio, which other threads could read otherwise. SAFETY:
    // the call takes no arguments, and locks.
    unsafe { ffi::ffcmsg() };
    FitsError::Library { path: path.to_owned(), action: action.to_owned(), status, reason }
}
