//! The compiler's messages for users of mpisync.
//!
//! - `fail/*.rs` are misuses: one per file, named after it, with the compiler's message beside it
//!   in a file that ends in `.stderr`. The first line names the mistake and the correction.
//! - Those whose name begins with `unused_` are warnings, which the program turns into errors. All
//!   others are errors by themselves.
//! - `fail/when_built/*.rs` pass `cargo check`, and fail when code is generated.
//! - `pass/*.rs` are the closest uses that do compile, and check their results.
//! - `attributes` is a crate with an attribute macro, for misuses of a derive that involve one.
//! - `tests/assertions.rs` checks which types may be sent to other threads, and the size of guards.
//!
//! `cargo test -p mpisync-ui-tests --test ui` checks all of them. After a change of a message, or with a new
//! compiler, `TRYBUILD=overwrite cargo test -p mpisync-ui-tests --test ui` updates the `.stderr` files: read
//! the changes before you commit them.
