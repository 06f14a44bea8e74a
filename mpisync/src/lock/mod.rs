//! The reader-writer lock, as a protocol over shared words.

#[cfg_attr(
    not(any(loom, test)),
    expect(dead_code, reason = "for a lock that spans hosts")
)]
mod gate;
pub(crate) mod node;
mod quiet;
#[cfg(test)]
mod tests;
mod turn;
