//! Tests that need the folder ../shared beside the repository. They are ignored unless asked for:
//! `cargo test -- --ignored needs_shared`.

mod damaged_files;
mod header_dumps;
mod real_files;
