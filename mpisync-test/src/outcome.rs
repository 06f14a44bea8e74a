//! What a test function may return.

use std::error::Error;

/// What a test function may return: nothing, or a `Result` whose error can become a `Box<dyn Error>`.
#[diagnostic::on_unimplemented(
    message = "a test on ranks returns nothing or a `Result<(), E>`, not `{Self}`",
    note = "`E` is any type that `?` turns into a `Box<dyn Error>`, such as `anyhow::Error` or `Box<dyn Error>`"
)]
pub trait Outcome {
    /// The error, if it is one.
    fn into_result(self) -> Result<(), Box<dyn Error>>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn Error>>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn Error>> {
        self.map_err(Into::into)
    }
}
