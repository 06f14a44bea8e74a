//! Places in the source code, which ranks send each other.

use crate::fingerprint::quick_fingerprint;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Finds the place of a call in a program of another language, file and line.
type FindPlace = fn() -> Option<(&'static str, u32)>;

thread_local! {
    /// How the calls of this thread find their places; None in a program in Rust.
    static FIND_PLACE: Cell<Option<FindPlace>> = const { Cell::new(None) };
}

/// Whether a thread of this process runs a program of another language.
static HAS_OTHER_LANGUAGE: AtomicBool = AtomicBool::new(false);

/// For a package that other languages call: says that this thread runs a program of another language, and how the place of
/// a call in it is found. Otherwise reports would name places in that package.
///
/// `find` is called by the thread that calls, once a long wait. It returns `None` where the place is not known.
pub fn find_places_by(find: FindPlace) {
    FIND_PLACE.set(Some(find));
    HAS_OTHER_LANGUAGE.store(true, Ordering::Relaxed);
}

/// Whether the callers of this library are no places in the program.
pub(crate) fn is_in_other_language() -> bool {
    HAS_OTHER_LANGUAGE.load(Ordering::Relaxed)
}

/// The place in the program of this thread's call, which Rust knows as `place`.
pub(crate) fn in_program(place: Option<(&str, u32)>) -> Option<(&str, u32)> {
    match FIND_PLACE.get() {
        Some(find) => find(),
        None => place,
    }
}

/// The number of call sites that a thread caches: more than the fenced calls of most loops.
const KNOWN_SITES: usize = 16;

thread_local! {
    /// The call sites used last. A program repeats the same calls, and hashing the path of the source
    /// file is most of the cost of a site.
    static KNOWN: [Cell<Option<CallSite>>; KNOWN_SITES] =
        const { [const { Cell::new(None) }; KNOWN_SITES] };
}

/// The name of the call of [`WindowController::single_write`](crate::WindowController::single_write).
pub(crate) const SINGLE_WRITE: &str = "single_write";

/// A function with an attribute of this crate, which all ranks call together. The ranks compare it,
/// and not the places where they call it.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The attribute and the path, such as `#[collective] app::step`.
    #[doc(hidden)]
    pub label: &'static str,
    /// The place of the function.
    #[doc(hidden)]
    pub place: &'static Location<'static>,
}

/// The [`Function`] of this name in the caller's module.
#[doc(hidden)]
#[macro_export]
macro_rules! __function {
    ($attribute:ident $name:literal) => {
        const {
            $crate::__private::Function {
                label: ::core::concat!(
                    "#[",
                    ::core::stringify!($attribute),
                    "] ",
                    ::core::module_path!(),
                    "::",
                    $name
                ),
                place: ::core::panic::Location::caller(),
            }
        }
    };
}

/// The call site of a collective call. Ranks compare it before one takes the value of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSite {
    /// The name of the call, for messages.
    label: &'static str,
    location: &'static Location<'static>,
    /// Differs between calls that must not be mixed up.
    number: u64,
}

impl CallSite {
    /// The call `label`, which all ranks must make at `location`.
    #[inline]
    pub(crate) fn new(label: &'static str, location: &'static Location<'static>) -> Self {
        // Neighbouring calls have neighbouring locations.
        let slot = ptr::from_ref(location).addr() / size_of::<Location<'_>>() % KNOWN_SITES;
        KNOWN.with(|known| match known[slot].get() {
            Some(site) if ptr::eq(site.label, label) && ptr::eq(site.location, location) => site,
            _ => {
                let site = Self::compute(label, location);
                known[slot].set(Some(site));
                site
            }
        })
    }

    #[cold]
    fn compute(label: &'static str, location: &'static Location<'static>) -> Self {
        let position = u64::from(location.line()) << 32 | u64::from(location.column());
        let named = quick_fingerprint(position, label.as_bytes());
        CallSite {
            label,
            location,
            number: quick_fingerprint(named, location.file().as_bytes()),
        }
    }

    /// The call of a function with an attribute at `location`. Ranks may call it at different
    /// locations.
    #[inline]
    pub(crate) fn of(function: Function, location: &'static Location<'static>) -> Self {
        CallSite {
            location,
            ..Self::new(function.label, function.place)
        }
    }

    /// The call `label`, which ranks may make at different locations.
    pub(crate) fn anywhere(label: &'static str, location: &'static Location<'static>) -> Self {
        Self::named(label, label, location)
    }

    /// The call `label`, which ranks may make at different locations and compare by `name`.
    pub(crate) fn named(
        label: &'static str,
        name: &str,
        location: &'static Location<'static>,
    ) -> Self {
        CallSite {
            label,
            location,
            number: quick_fingerprint(0, name.as_bytes()),
        }
    }

    pub(crate) fn label(self) -> &'static str {
        self.label
    }

    /// The label without the attribute, for reports, which have little room.
    pub(crate) fn name(self) -> &'static str {
        let function = self
            .label
            .strip_prefix("#[")
            .and_then(|rest| rest.split_once("] "));
        function.map_or(self.label, |(_attribute, name)| name)
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
