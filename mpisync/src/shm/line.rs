//! Cache lines.

/// A value on cache lines of its own.
#[repr(C, align(128))]
pub(crate) struct Line<T>(pub(crate) T);
