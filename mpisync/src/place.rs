//! Places in the source, as they travel between ranks.

use std::fmt;
use std::panic::Location;

/// A place in the source code of the program, of this rank or of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    file: String,
    line: u32,
}

impl Place {
    pub(crate) fn new(file: String, line: u32) -> Self {
        Place { file, line }
    }

    /// The source file, as the compiler was given it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, counted from 1.
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl From<&Location<'_>> for Place {
    fn from(location: &Location<'_>) -> Self {
        Place::new(location.file().to_owned(), location.line())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
