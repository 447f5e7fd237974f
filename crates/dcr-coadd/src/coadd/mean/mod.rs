//! The standard coadd: a clipped weighted mean of the visits, with its variance and mask.
//!
//! The mean rejects values further than `coadd.clip_sigma` standard deviations from the centre, in
//! `coadd.clip_iterations` passes (docs/algorithm.md, clipped mean): first from the median, with
//! 0.741 × the interquartile range, then from the mean. Such ranges are small by chance where
//! visits are few: the visits' median noise is the minimum deviation. With weights `w` over the
//! values kept,
//!
//! ```text
//! image = Σ w s / Σ w          variance = Σ w² v / (Σ w)²
//! ```
//!
//! `coadd.statistic` chooses the mean of all good values instead, which holds one visit at a time,
//! or their unweighted median, whose variance is π/2 times that of the unweighted mean.
//!
//! The mask has the planes of the good pixels that went in. A plane with a propagation threshold
//! (SAT) is set instead where visits with that plane, good or not, have more than that share of the
//! weight of all visits with data. REJECTED flags pixels where a visit with data is left out for
//! its mask, SENSOR_EDGE those where a visit has EDGE, CLIPPED those where a visit is left out for
//! an artefact, and INEXACT_PSF, with any of these, a step of the PSF.

mod combination;
mod ingredients;
mod running_mean;
mod strips;
mod without_artefacts;

pub(crate) use combination::{Combination, Value, Work};
pub(crate) use ingredients::{Ingredients, MeanCoadd};
pub(crate) use strips::mean_coadd;
