//! Finished runs as the models that templates are made from.

pub(crate) mod finished_run;
pub(crate) mod patches;
