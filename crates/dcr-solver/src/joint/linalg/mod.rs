//! Linear algebra: conjugate gradients, and dense systems by Cholesky factors.

pub(crate) mod cholesky;
pub(crate) mod hermitian;
pub(crate) mod krylov;
pub(crate) mod normal;
