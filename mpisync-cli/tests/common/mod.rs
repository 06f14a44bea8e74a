//! What several tests use.

pub mod survey;
