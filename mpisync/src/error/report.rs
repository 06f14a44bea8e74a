//! What an error says of the wait that it ends.

use std::fmt;

/// For whom a call waited that ran into its time limit, as text: the object, the ranks that kept the
/// call waiting, and what they did. Empty if nothing is known.
///
/// It is part of the error's message. Any two reports compare equal, so that errors compare by what a
/// program can rely on.
#[derive(Clone, Default)]
pub struct WaitReport(Box<str>);

impl WaitReport {
    pub(crate) fn new(text: String) -> Self {
        WaitReport(text.into_boxed_str())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for WaitReport {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for WaitReport {}

/// The text, after a colon if there is any: the end of an error's message.
impl fmt::Display for WaitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0)
    }
}

impl fmt::Debug for WaitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
