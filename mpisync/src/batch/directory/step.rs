//! The moments between two file operations, where the tests let another job come in.

/// One of them.
#[inline]
pub(super) fn step(_name: &'static str) {
    #[cfg(test)]
    crate::batch::directory::tests::steps::reached(_name);
}
