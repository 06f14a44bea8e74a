//! The reader-writer lock, as a protocol over shared words.

#[cfg_attr(not(loom), expect(dead_code, reason = "for a lock that spans hosts"))]
mod gate;
pub(crate) mod node;
#[cfg(test)]
mod tests;
mod turn;
