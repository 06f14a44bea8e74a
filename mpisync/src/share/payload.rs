//! What a value is turned into on its way.

use crate::error::CollectiveError;
use crate::fingerprint::quick_fingerprint;
use crate::plain::{Plain, TypeLayout};
use crate::share::layout::INLINE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::borrow::Cow;

/// Room for a value that serde and postcard turn into bytes; a small one without asking for memory.
pub(crate) struct Encoder {
    small: [u8; INLINE],
    large: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Encoder {
            small: [0; INLINE],
            large: Vec::new(),
        }
    }

    /// The bytes of `value`.
    ///
    /// # Errors
    /// [`CollectiveError::Encode`] where serde cannot serialize the value.
    pub(crate) fn encode<T: Serialize>(&mut self, value: &T) -> Result<&[u8], CollectiveError> {
        let encoded = match postcard::to_slice(value, &mut self.small).map(|used| used.len()) {
            Ok(length) => Ok(&self.small[..length]),
            Err(postcard::Error::SerializeBufferFull) => postcard::to_stdvec(value).map(|large| {
                self.large = large;
                &self.large[..]
            }),
            Err(error) => Err(error),
        };
        encoded.map_err(|error| CollectiveError::Encode(error.to_string()))
    }
}

/// Reads a value from the bytes that an [`Encoder`] gave, which have to be all used up.
///
/// # Errors
/// [`CollectiveError::Decode`].
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CollectiveError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(CollectiveError::Decode(format!(
            "{} of {} bytes are left over",
            rest.len(),
            bytes.len()
        ))),
        Err(error) => Err(CollectiveError::Decode(error.to_string())),
    }
}

/// What kind of value travels: how it is encoded, and what its type is called and looks like.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    encoding: Encoding,
}

#[derive(Clone, Copy)]
enum Encoding {
    /// Of a type of this size and alignment; unknown where a reference to it is what travels.
    Serde(Option<(u32, u32)>),
    Plain(TypeLayout),
}

impl Kind {
    /// A `T` that travels through serde, for which a reference is the same as what it refers to,
    /// and a `str` the same as a `String`.
    pub(crate) fn serde<T>() -> Self {
        let mut name = type_name::<T>();
        let is_reference = name.starts_with('&');
        while let Some(referent) = name.strip_prefix('&') {
            name = referent.strip_prefix("mut ").unwrap_or(referent);
        }
        if name == type_name::<str>() {
            name = type_name::<String>();
        }
        let layout = (!is_reference).then_some((size_of::<T>() as u32, align_of::<T>() as u32));
        Kind {
            name,
            encoding: Encoding::Serde(layout),
        }
    }

    /// Items of the plain type `T`, which travel as they lie in memory.
    pub(crate) fn items<T: Plain>() -> Self {
        Kind {
            name: type_name::<T>(),
            encoding: Encoding::Plain(TypeLayout::of::<T>()),
        }
    }

    /// What the kind is called in messages.
    pub(crate) fn label(self) -> Cow<'static, str> {
        match self.encoding {
            Encoding::Serde(_) => Cow::Borrowed(self.name),
            // The layout first: a name that is too long is cut at its end.
            Encoding::Plain(layout) => {
                Cow::Owned(format!("slice of items ({layout}) {}", self.name))
            }
        }
    }

    /// A number that differs between kinds: a hash of the type's name, and the encoding. (`TypeId`
    /// will not do, for ranks may run different programs.)
    pub(crate) fn number(self) -> u64 {
        let encoding = match self.encoding {
            Encoding::Serde(_) => 0,
            Encoding::Plain(_) => 1,
        };
        quick_fingerprint(encoding, self.name.as_bytes())
    }

    /// A number that differs between layouts of types that have one name; zero where the layout is
    /// not known.
    pub(crate) fn layout(self) -> u64 {
        match self.encoding {
            Encoding::Serde(layout) => {
                layout.map_or(0, |(size, align)| u64::from(size) << 32 | u64::from(align))
            }
            Encoding::Plain(layout) => layout.fingerprint(),
        }
    }

    /// Whether a value with this number and layout is of this kind.
    pub(crate) fn is(self, number: u64, layout: u64) -> bool {
        let own = self.layout();
        number == self.number() && (own == layout || own == 0 || layout == 0)
    }

    /// The error where the value that `writer` has shared, with this label and layout, is of
    /// another kind.
    pub(crate) fn mismatch(self, writer: i32, label: String, layout: u64) -> CollectiveError {
        let mut shared = label;
        let mut collected = self.label().into_owned();
        if shared == collected {
            // Types of one name, of which the sizes tell.
            let with_layout = |label: &str, layout: u64| {
                let (size, align) = (layout >> 32, layout as u32);
                format!("{label} ({size} bytes, alignment {align})")
            };
            shared = with_layout(&shared, layout);
            collected = with_layout(&collected, self.layout());
        }
        CollectiveError::TypeMismatch {
            writer,
            shared,
            collected,
        }
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
        let text = Kind::serde::<&str>();
        assert!(Kind::serde::<String>().is(text.number(), text.layout()));
    }

    #[test]
    fn types_of_one_name_differ_in_their_layout() {
        let small = {
            struct Sample {
                _id: u32,
            }
            Kind::serde::<Sample>()
        };
        let large = {
            struct Sample {
                _id: [u32; 2],
            }
            Kind::serde::<Sample>()
        };
        assert_eq!(small.number(), large.number());
        assert!(!small.is(large.number(), large.layout()));
        let error = small.mismatch(2, large.label().into_owned(), large.layout());
        let words = error.to_string();
        assert!(
            words.contains("(8 bytes, alignment 4)") && words.contains("(4 bytes, alignment 4)"),
            "{words}"
        );
    }

    #[test]
    fn bytes_that_are_left_over_are_an_error() {
        let mut encoder = Encoder::new();
        let bytes = encoder.encode(&(7_u8, 8_u8)).expect("it fits");
        assert_eq!(decode::<(u8, u8)>(bytes), Ok((7, 8)));
        assert!(matches!(
            decode::<u8>(bytes),
            Err(CollectiveError::Decode(_))
        ));
    }
}
