//! dcr-image
