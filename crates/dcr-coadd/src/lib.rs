//! A patch of sky from warps to DCR-free coadds and matched templates.

pub mod config;
pub mod inspect;
