//! Layouts, pixel types and companions; and files that are damaged or no exposures at all.
