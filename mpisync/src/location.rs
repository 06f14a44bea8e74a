//! Places in the source code, which ranks send each other.

use crate::fingerprint::quick_fingerprint;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr;

/// A place in the source code of the program of this rank or of another rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    file: String,
    line: u32,
}

impl Place {
    pub(crate) fn new(file: String, line: u32) -> Self {
        Place { file, line }
    }

    /// The path of the source file, as passed to the compiler.
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

/// The number of call sites that a thread caches: more than the fenced calls of most loops.
const KNOWN_SITES: usize = 16;

thread_local! {
    /// The call sites used last, with their names. A program repeats the same calls, and hashing the
    /// path of the source file is most of the cost of a site.
    static KNOWN: [Cell<Option<(&'static str, CallSite)>>; KNOWN_SITES] =
        const { [const { Cell::new(None) }; KNOWN_SITES] };
}

/// The call site of a fenced call. Ranks compare it before one takes the value of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSite {
    location: &'static Location<'static>,
    /// Differs between calls that must not be mixed up.
    number: u64,
}

impl CallSite {
    /// The call `name`, which all ranks must make at `location`.
    #[inline]
    pub(crate) fn new(name: &'static str, location: &'static Location<'static>) -> Self {
        // Neighbouring calls have neighbouring locations.
        let slot = ptr::from_ref(location).addr() / size_of::<Location<'_>>() % KNOWN_SITES;
        KNOWN.with(|known| match known[slot].get() {
            Some((its_name, site))
                if ptr::eq(its_name, name) && ptr::eq(site.location, location) =>
            {
                site
            }
            _ => {
                let site = Self::compute(name, location);
                known[slot].set(Some((name, site)));
                site
            }
        })
    }

    #[cold]
    fn compute(name: &str, location: &'static Location<'static>) -> Self {
        let position = u64::from(location.line()) << 32 | u64::from(location.column());
        let named = quick_fingerprint(position, name.as_bytes());
        CallSite {
            location,
            number: quick_fingerprint(named, location.file().as_bytes()),
        }
    }

    /// The call `name`, which ranks may make at different locations.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn site(name: &'static str) -> CallSite {
        CallSite::new(name, Location::caller())
    }

    #[test]
    fn a_site_has_the_same_number_each_time() {
        // More places than are remembered, so that some push each other out.
        macro_rules! sites {
            ($($line:tt)*) => { [$({ let _ = stringify!($line); site("call") }),*] };
        }
        let all = || {
            sites! {
                0 1 2 3 4 5 6 7 8 9
                0 1 2 3 4 5 6 7 8 9
            }
        };
        let (first, second) = (all(), all());
        for (first, second) in first.iter().zip(&second) {
            assert_eq!(first.number(), second.number());
            let computed = CallSite::compute("call", first.location());
            assert_eq!(first.number(), computed.number());
        }
    }

    #[test]
    fn names_at_one_place_differ() {
        let [first, second, again] = ["first", "second", "first"].map(site);
        assert_ne!(first.number(), second.number());
        assert_eq!(first.number(), again.number());
    }
}
