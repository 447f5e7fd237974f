//! Dense linear algebra of small systems: Cholesky factors and Hermitian matrices.

pub(crate) mod cholesky;
pub(crate) mod hermitian;
pub(crate) mod normal;
