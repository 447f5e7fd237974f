//! Dense linear algebra on small matrices.

pub(crate) mod cholesky;
pub(crate) mod hermitian;

pub use cholesky::solve_positive_definite;
