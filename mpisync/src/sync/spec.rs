//! The arguments of an object of this folder, on a communicator or for one process.

use crate::error::CreateError;
use crate::object::Object;
use crate::shm::layout::AnyLayout;

/// The kind of an object and its arguments. Implemented by types of this crate only.
pub trait Spec: Sized {
    #[doc(hidden)]
    type Made;

    /// The name of the kind in errors.
    #[doc(hidden)]
    const KIND: &'static str;

    /// The arguments of this kind. They must be the same on all ranks.
    #[doc(hidden)]
    fn arguments(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// The error for an invalid argument, if there is one.
    #[doc(hidden)]
    fn invalid(&self) -> Option<CreateError> {
        None
    }

    /// The layout of the object in shared memory.
    #[doc(hidden)]
    fn layout(&self, root: i32) -> AnyLayout;

    /// Makes this rank's handle of the object, whose memory exists.
    #[doc(hidden)]
    fn make(self, object: Object) -> Self::Made;

    /// Makes the object for this process alone.
    #[doc(hidden)]
    fn local(self) -> Self::Made {
        let object = Object::local(Self::KIND, &self.layout(0));
        self.make(object)
    }

    /// [`local`](Self::local) for a kind with arguments that may be invalid.
    #[doc(hidden)]
    fn local_if_valid(self) -> Result<Self::Made, CreateError> {
        match self.invalid() {
            Some(error) => Err(error),
            None => Ok(self.local()),
        }
    }
}
