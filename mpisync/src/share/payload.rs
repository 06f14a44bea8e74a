//! The encoding of values, and the kind of value that a call shares.

use crate::error::CollectiveError;
use crate::fingerprint::quick_fingerprint;
use crate::plain::{Plain, TypeLayout};
use crate::share::layout::INLINE;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::type_name;
use std::borrow::Cow;

/// A buffer for a value encoded by serde and postcard. A small value needs no allocation.
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
    /// [`CollectiveError::Encode`] if serde cannot serialize the value.
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

/// Decodes a value from the bytes of an [`Encoder`], all of which must be used.
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

/// The kind of a shared value: its encoding, and the name and layout of its type.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    name: &'static str,
    encoding: Encoding,
}

#[derive(Clone, Copy)]
enum Encoding {
    /// Of a type of this size and alignment; unknown if the value is shared by reference.
    Serde(Option<(u32, u32)>),
    Plain(TypeLayout),
}

impl Kind {
    /// A `T` encoded by serde. A reference is of the same kind as its target, and a `str` of the
    /// same kind as a `String`.
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

    /// Items of the plain type `T`, as they are in memory.
    pub(crate) fn items<T: Plain>() -> Self {
        Kind {
            name: type_name::<T>(),
            encoding: Encoding::Plain(TypeLayout::of::<T>()),
        }
    }

    /// The name of the kind in messages.
    pub(crate) fn label(self) -> Cow<'static, str> {
        match self.encoding {
            Encoding::Serde(_) => Cow::Borrowed(self.name),
            // The layout first: a long name is cut at its end.
            Encoding::Plain(layout) => {
                Cow::Owned(format!("slice of items ({layout}) {}", self.name))
            }
        }
    }

    /// A number that differs between kinds: a hash of the type's name and the encoding. (Not a
    /// `TypeId`, because ranks may run different programs.)
    pub(crate) fn number(self) -> u64 {
        let encoding = match self.encoding {
            Encoding::Serde(_) => 0,
            Encoding::Plain(_) => 1,
        };
        quick_fingerprint(encoding, self.name.as_bytes())
    }

    /// A number that differs between layouts of types with the same name; zero if the layout is
    /// unknown.
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

    /// The names, in an error, of a value of another kind with this label and layout, and of this
    /// kind.
    pub(crate) fn mismatch(self, label: String, layout: u64) -> (String, String) {
        let mut shared = label;
        let mut collected = self.label().into_owned();
        if shared == collected {
            // Types with the same name differ in their layout.
            let with_layout = |label: &str, layout: u64| {
                let (size, align) = (layout >> 32, layout as u32);
                format!("{label} ({size} bytes, alignment {align})")
            };
            shared = with_layout(&shared, layout);
            collected = with_layout(&collected, self.layout());
        }
        (shared, collected)
    }
}
