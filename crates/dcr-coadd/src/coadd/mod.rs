//! The coadds: standard coadd, starting coadd, solved planes with mask, variance and PSF.

pub(crate) mod coadd_psfs;
pub(crate) mod mean;
pub mod psf_selection;
pub(crate) mod residual_rms;
pub(crate) mod solved_planes;
pub(crate) mod solver_choice;
pub(crate) mod template_coadd;
pub(crate) mod variance;
