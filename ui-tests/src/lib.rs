//! What the compiler says to users of mpisync.
//!
//! - `fail/*.rs` are misuses: one a file, named after it, with the compiler's words beside it in a
//!   file that ends in `.stderr`. The first line says what to write instead.
//! - `pass/*.rs` are the uses closest to them that do compile, and that check what they return.
//! - `tests/assertions.rs` pins which types may go to another thread, and how large guards are.
//!
//! `cargo test -p mpisync-ui-tests` checks all of them. After a change of a message, or with a new
//! compiler, `TRYBUILD=overwrite cargo test -p mpisync-ui-tests` writes the `.stderr` files anew:
//! read what has changed before you commit it.
