//! Preconditioners of both solves.
//!
//! The mask-free (mean-coverage) problem is inverted mode by mode ([`mask_free`]). Where it is wrong, corrections are
//! added: beyond the edges of a tile ([`boundary`]), and by additive overlapping Schwarz with Cholesky-solved
//! subdomains in holes ([`holes`]), on bright stars ([`bright_stars`]) and on stars that an edge or a hole cuts
//! ([`cut_stars`]).

pub(crate) mod boundary;
pub(crate) mod bright_stars;
pub(crate) mod cover;
pub(crate) mod cut_stars;
pub(crate) mod holes;
pub(crate) mod local_hessian;
pub(crate) mod mask_free;
pub(crate) mod schwarz;
pub(crate) mod unobserved;

/// Relaxation of corrections for light that no visit observes, relative to the exact local solution. The full
/// correction counts light on the rim twice and costs half as many more iterations; 0.1 is as good as 0.25.
pub(crate) const RELAXATION: f32 = 0.25;
