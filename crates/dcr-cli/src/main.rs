//! dcr
fn main() {}
