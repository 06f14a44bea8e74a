//! What the compiler says to users of mpisync.
//!
//! - `fail/*.rs` are misuses: one a file, named after it, with the compiler's words beside it in a
//!   file that ends in `.stderr`. The first line says what is wrong, and what to write instead.
//! - Those whose name begins with `unused_` are warnings, which the program makes errors. All others
//!   are errors by themselves.
//! - `fail/when_built/*.rs` pass `cargo check`, and fail when code is generated.
//! - `pass/*.rs` are the uses closest to them that do compile, and that check what they return.
//! - `attributes` is a crate with an attribute macro, for misuses of a derive that take one.
//! - `tests/assertions.rs` pins which types may go to another thread, and how large guards are.
//!
//! `cargo test -p mpisync-ui-tests` checks all of them. After a change of a message, or with a new
//! compiler, `TRYBUILD=overwrite cargo test -p mpisync-ui-tests` writes the `.stderr` files anew:
//! read what has changed before you commit it.
