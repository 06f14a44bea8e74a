//! The lock's protocol, compiled from the library's files, in which it is private.

pub(crate) mod global;

pub(crate) mod node {
    /// A closed gate, as in the library.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub(crate) struct Closed {
        pub(crate) openings: u32,
    }
}
