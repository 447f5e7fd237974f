//! The solvers through the public interface, and against the numbers of the reference.

mod field;
mod golden;
mod golden_kernels;
mod golden_model;
mod iterative;
mod joint;
mod joint_field;
mod shift_properties;
mod visit_calibration;
