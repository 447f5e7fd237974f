//! Plots as SVG inside the page: they take its colours, print sharply, and need no script.

mod airmass;
mod axis;
mod colours;
mod convergence;
mod frame;
mod polar;

pub(crate) use airmass::{Point, by_airmass, detections_by_airmass};
pub(crate) use colours::colour_colour;
pub(crate) use convergence::{first_errors, gains, last_errors, metrics};
pub(crate) use frame::px;
pub(crate) use polar::{Leverage, polar};
