//! dcr-coadd
