//! What an object of this folder is made of, whether on a communicator or for one process.

use crate::error::CreateError;
use crate::object::Object;
use crate::shm::layout::AnyLayout;

/// The kind of an object and its arguments. Only objects of this crate have one.
pub trait Spec: Sized {
    #[doc(hidden)]
    type Made;

    /// What the object is called in errors.
    #[doc(hidden)]
    const KIND: &'static str;

    /// The arguments of this kind, which must be the same on all ranks.
    #[doc(hidden)]
    fn arguments(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The error for an argument that is not valid.
    #[doc(hidden)]
    fn invalid(&self) -> Option<CreateError> {
        None
    }

    /// What the object keeps in shared memory, with that root.
    #[doc(hidden)]
    fn layout(&self, root: i32) -> AnyLayout;

    /// This rank's side of the object, whose memory is there.
    #[doc(hidden)]
    fn make(self, object: Object) -> Self::Made;

    /// Makes the object for this process alone.
    #[doc(hidden)]
    fn local(self) -> Self::Made {
        let object = Object::local(Self::KIND, &self.layout(0));
        self.make(object)
    }
}
