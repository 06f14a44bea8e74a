//! Places in the source, as they travel between ranks.

use crate::memory::cells::quick_fingerprint;
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

/// Where a rank makes a fenced call: what ranks compare before one takes the value of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSite {
    location: &'static Location<'static>,
    /// Differs between calls that must not be taken for each other.
    number: u64,
}

impl CallSite {
    /// The call `name` at `location`, which all ranks have to make there.
    pub(crate) fn new(name: &str, location: &'static Location<'static>) -> Self {
        let position = u64::from(location.line()) << 32 | u64::from(location.column());
        let named = quick_fingerprint(position, name.as_bytes());
        CallSite {
            location,
            number: quick_fingerprint(named, location.file().as_bytes()),
        }
    }

    /// The call `name`, which ranks may make at different places.
    pub(crate) fn anywhere(name: &str, location: &'static Location<'static>) -> Self {
        CallSite {
            location,
            number: quick_fingerprint(0, name.as_bytes()),
        }
    }

    pub(crate) fn location(self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn place(self) -> Place {
        self.location.into()
    }

    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
