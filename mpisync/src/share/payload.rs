//! What a value is turned into on its way.

use crate::error::FenceError;
use crate::memory::cells::fingerprint;
use crate::memory::words::mail::INLINE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::borrow::Cow;

/// A value that serde and postcard have turned into bytes; a small one without asking for memory.
pub(crate) struct Encoded {
    small: [u8; INLINE],
    length: usize,
    /// Empty for a value that fits into `small`.
    large: Vec<u8>,
}

impl Encoded {
    /// # Errors
    /// [`FenceError::Encode`] where serde cannot serialize the value.
    pub(crate) fn new<T: Serialize>(value: &T) -> Result<Self, FenceError> {
        let mut encoded = Encoded {
            small: [0; INLINE],
            length: 0,
            large: Vec::new(),
        };
        let done = match postcard::to_slice(value, &mut encoded.small).map(|used| used.len()) {
            Ok(length) => {
                encoded.length = length;
                Ok(())
            }
            Err(postcard::Error::SerializeBufferFull) => {
                postcard::to_stdvec(value).map(|large| encoded.large = large)
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => Ok(encoded),
            Err(error) => Err(FenceError::Encode(error.to_string())),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.large.is_empty() {
            &self.small[..self.length]
        } else {
            &self.large
        }
    }
}

/// Reads a value from the bytes of an [`Encoded`] one.
///
/// # Errors
/// [`FenceError::Decode`].
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FenceError> {
    postcard::from_bytes(bytes).map_err(|error| FenceError::Decode(error.to_string()))
}

/// What kind of value travels: how it is encoded, and the name of its type.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    encoding: Encoding,
}

#[derive(Clone, Copy)]
enum Encoding {
    Serde,
    #[cfg(feature = "mpi")]
    Datatype,
}

impl Kind {
    /// A `T` that travels through serde, for which a reference is the same as what it refers to, and a `str` the same
    /// as a `String`.
    pub(crate) fn serde<T>() -> Self {
        let mut name = type_name::<T>();
        while let Some(referent) = name.strip_prefix('&') {
            name = referent.strip_prefix("mut ").unwrap_or(referent);
        }
        if name == type_name::<str>() {
            name = type_name::<String>();
        }
        Kind {
            name,
            encoding: Encoding::Serde,
        }
    }

    /// Items of type `T` that travel as an MPI datatype.
    #[cfg(feature = "mpi")]
    pub(crate) fn datatype<T>() -> Self {
        Kind {
            name: type_name::<T>(),
            encoding: Encoding::Datatype,
        }
    }

    /// What the kind is called in messages.
    pub(crate) fn label(self) -> Cow<'static, str> {
        match self.encoding {
            Encoding::Serde => Cow::Borrowed(self.name),
            #[cfg(feature = "mpi")]
            Encoding::Datatype => Cow::Owned(format!("[{}] as an MPI datatype", self.name)),
        }
    }

    /// A number that differs between kinds: a hash of the type's name, and the encoding. (`TypeId` will not do, for
    /// ranks may run different programs.)
    pub(crate) fn number(self) -> u64 {
        fingerprint(self.name.as_bytes()) ^ self.encoding as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_what_they_refer_to() {
        let number = Kind::serde::<Vec<u8>>().number();
        assert_eq!(Kind::serde::<&Vec<u8>>().number(), number);
        assert_eq!(Kind::serde::<&&mut Vec<u8>>().number(), number);
        assert_ne!(Kind::serde::<Vec<i8>>().number(), number);
        assert_eq!(
            Kind::serde::<&str>().number(),
            Kind::serde::<String>().number()
        );
    }
}
