//! Tests of what goes through files.

mod reading;
mod real_files;
mod support;
mod writing;
