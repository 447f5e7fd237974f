//! Fourier grids of real planes: transforms, frequencies, and products of modes.

pub(crate) mod frequencies;
pub(crate) mod grid;
pub(crate) mod modes;
