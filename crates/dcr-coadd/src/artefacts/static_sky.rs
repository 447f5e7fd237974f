//! stub
use super::{PixelList, Search};
use crate::config::AssembleConfig;
use crate::error::CoaddError;
use crate::journal::Journal;
use crate::store::Store;

pub(super) fn find(
    _search: &Search<'_>,
    store: &mut Store,
    _config: &AssembleConfig,
    _journal: &mut Journal<'_>,
) -> Result<Vec<PixelList>, CoaddError> {
    Ok(vec![vec![]; store.weights.len()])
}
