//! The reader-writer lock, as a protocol over shared words.

pub(crate) mod node;
#[cfg(test)]
mod tests;
