//! Lossless tile compression of an image HDU, done by cfitsio in memory.

#![allow(unsafe_code, reason = "cfitsio compresses; only its memory file is used here")]

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_void};
use std::path::Path;
use std::ptr;

use fitsio_sys as ffi;

use super::FitsError;
use super::cfitsio::library_error;
use super::write::{Pixels, named};
use crate::header::{Card, Header, format_card};

/// cfitsio's file in memory. Boxed, for cfitsio keeps pointers to the second and third field.
struct MemoryFile {
    /// The memory itself. It is all zeros at first, as cfitsio takes what it has not written for
    /// zeros, and large enough: cfitsio has no means to make it larger.
    bytes: Vec<u8>,
    memory: *mut c_void,
    size: usize,
    handle: *mut ffi::fitsfile,
}

impl MemoryFile {
    fn new(room: usize) -> Box<Self> {
        let mut bytes = vec![0_u8; room];
        let memory = bytes.as_mut_ptr().cast::<c_void>();
        Box::new(Self { bytes, memory, size: room, handle: ptr::null_mut() })
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        let mut status: c_int = 0;
        if !self.handle.is_null() {
            // SAFETY: the handle is open, and not used again; its memory is still there.
            unsafe { ffi::ffclos(self.handle, &raw mut status) };
        }
    }
}

/// More than any compressed image of this size takes: gzip adds less than 1 % and 32 bytes a tile,
/// which is a row, to what it cannot compress.
fn room_for((height, width): (usize, usize), cards: usize) -> usize {
    let raw = height * width * 8;
    raw + raw / 64 + height * 256 + cards * 160 + 64 * 2880
}

/// The cards and data of the HDU that holds an image compressed with GZIP_2, row by row, NaN and
/// every bit kept.
pub(super) fn compressed(
    path: &Path,
    name: &str,
    pixels: &Pixels<'_>,
    extra: &[Card],
) -> Result<(Vec<Card>, Vec<u8>), FitsError> {
    let mut status: c_int = 0;
    let (height, width) = pixels.dim();
    let mut file = MemoryFile::new(room_for((height, width), extra.len()));
    let mut axes = [width as c_long, height as c_long];
    let mut first = [1 as c_long; 2];
    let bitpix =
        if matches!(pixels, Pixels::U16(_)) { ffi::USHORT_IMG as c_int } else { pixels.bitpix() as c_int };
    // SAFETY: `file` is boxed and outlives its handle, so that cfitsio's pointers to `memory` and
    // `size` stay valid; `axes` and `first` have the two numbers that an image of two axes needs. Each
    // call does nothing once `status` is set.
    unsafe {
        ffi::ffimem(&raw mut file.handle, &raw mut file.memory, &raw mut file.size, 0, None, &raw mut status);
        if status == 0 {
            ffi::ffcrim(file.handle, 8, 0, axes.as_mut_ptr(), &raw mut status);
            ffi::fits_set_compression_type(file.handle, ffi::GZIP_2 as c_int, &raw mut status);
            // Level 0 means: real numbers are not quantised.
            ffi::fits_set_quantize_level(file.handle, 0.0, &raw mut status);
            ffi::ffcrim(file.handle, bitpix, 2, axes.as_mut_ptr(), &raw mut status);
        }
    }
    // Before the pixels: cfitsio cannot move data that it has compressed.
    for line in named(name).iter().chain(extra).flat_map(format_card) {
        let line = CString::new(line).unwrap_or_default();
        // SAFETY: `line` is a terminated string of 80 characters.
        unsafe { ffi::ffprec(file.handle, line.as_ptr(), &raw mut status) };
    }
    let mut write = |datatype: u32, data: *const c_void, status: &mut c_int| {
        // SAFETY: `data` points to width × height values of the type that `datatype` names, in rows
        // without gaps, and cfitsio only reads them.
        unsafe {
            ffi::ffppx(
                file.handle,
                datatype as c_int,
                first.as_mut_ptr(),
                (width * height) as i64,
                data.cast_mut(),
                status,
            )
        }
    };
    if status == 0 && width * height > 0 {
        match pixels {
            Pixels::F32(view) => write(ffi::TFLOAT, view.as_standard_layout().as_ptr().cast(), &mut status),
            Pixels::F64(view) => write(ffi::TDOUBLE, view.as_standard_layout().as_ptr().cast(), &mut status),
            Pixels::I32(view) => write(ffi::TINT, view.as_standard_layout().as_ptr().cast(), &mut status),
            Pixels::U16(view) => write(ffi::TUSHORT, view.as_standard_layout().as_ptr().cast(), &mut status),
        };
    }
    let mut text: *mut c_char = ptr::null_mut();
    let (mut count, mut start, mut data, mut end) = (0, 0 as c_long, 0 as c_long, 0 as c_long);
    // SAFETY: the outputs are written to; `text` receives memory of cfitsio, freed below. Flushing puts
    // all bytes into `memory`.
    unsafe {
        ffi::ffflus(file.handle, &raw mut status);
        ffi::ffhdr2str(file.handle, 0, ptr::null_mut(), 0, &raw mut text, &raw mut count, &raw mut status);
        ffi::ffghad(file.handle, &raw mut start, &raw mut data, &raw mut end, &raw mut status);
    }
    if status > 0 {
        return Err(library_error(path, &format!("compress the image {name}"), status));
    }
    // SAFETY: cfitsio succeeded: `text` is a terminated string until it is freed, which is done with
    // cfitsio's own function.
    let header = unsafe {
        let header = Header::parse(CStr::from_ptr(text).to_bytes());
        ffi::fffree(text.cast::<c_void>(), &raw mut status);
        // Closing ends what cfitsio does with the memory, so that it can be looked at.
        ffi::ffclos(std::mem::replace(&mut file.handle, ptr::null_mut()), &raw mut status);
        header
    };
    let bytes = usize::try_from(data).ok().zip(usize::try_from(end).ok());
    let bytes = bytes.and_then(|(data, end)| file.bytes.get(data..end)).unwrap_or_default().to_vec();
    Ok((header.iter().cloned().collect(), bytes))
}
