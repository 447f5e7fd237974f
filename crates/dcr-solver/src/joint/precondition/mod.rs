//! Preconditioners of both solves.
//!
//! The mask-free (mean-coverage) problem is inverted mode by mode ([`mask_free`]). Corrections are
//! added where masks matter: beyond the edges of a tile ([`boundary`]), and by additive overlapping
//! Schwarz ([`schwarz`]) in holes ([`holes`]) and on stars that an edge or a hole cuts
//! ([`cut_stars`]). The mask-free problem itself is preconditioned by Schwarz on bright stars
//! ([`bright_stars`]).

pub(crate) mod boundary;
pub(crate) mod bright_stars;
pub(crate) mod cover;
pub(crate) mod cut_stars;
pub(crate) mod holes;
pub(crate) mod local_hessian;
pub(crate) mod mask_free;
pub(crate) mod schwarz;
pub(crate) mod unobserved;

/// Damping of corrections for unobserved light, relative to the exact local solution. The full
/// correction counts light on the rim twice and takes more iterations.
pub(crate) const DAMPING: f32 = 0.25;
