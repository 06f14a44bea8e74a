//! The calls that ranks make on objects, in errors.

use crate::location::Place;
use std::fmt;
use std::fmt::Write;

/// A call that a rank makes on an object, and its place in the program.
///
/// Displays as the call, the kind of the object, its name if it was given one, and the place.
///
/// ```
/// use mpisync::{Collective, CollectiveError, WindowController};
///
/// let mut ctrl = WindowController::local();
/// let call = Collective::enter(&mut ctrl, "step")?;
/// # call.agree(&mut ctrl, Ok(Ok::<(), CollectiveError>(())))?;
///
/// /// Whether an error is about two calls of one object.
/// fn is_about_one_object(error: &CollectiveError) -> bool {
///     match error {
///         CollectiveError::Diverged { here_call, there_call, .. } => {
///             here_call.object() == there_call.object()
///         }
///         _ => true,
///     }
/// }
/// # assert!(is_about_one_object(&CollectiveError::Encode(String::new())));
/// # Ok::<(), CollectiveError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectCall(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    name: String,
    kind: String,
    object: String,
    place: Place,
}

impl ObjectCall {
    /// The call `name` on the object that is called `object`.
    pub(crate) fn new(name: String, kind: String, object: String, place: Place) -> Self {
        ObjectCall(Box::new(Parts {
            name,
            kind,
            object,
            place,
        }))
    }

    /// The name of the call, such as `single_write`, or the attribute and the path of the function
    /// that has it, such as `#[collective] app::step`. Of a long name that another rank has sent, the
    /// beginning and the end.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The kind of the object, such as `controller`.
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// The name of the object; the same as its kind if it was not given one. Of a long name that
    /// another rank has sent, the beginning and the end.
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// The place of the call.
    pub fn place(&self) -> &Place {
        &self.0.place
    }
}

impl fmt::Display for ObjectCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts {
            name,
            kind,
            object,
            place,
        } = &*self.0;
        f.write_str(&call_text(name, kind, object, place.file(), place.line()))
    }
}

/// A call on an object, and its place if `file` is not empty, as errors and reports name it.
pub(crate) fn call_text(call: &str, kind: &str, object: &str, file: &str, line: u32) -> String {
    let mut text = format!("`{call}` of {kind}");
    if object != kind {
        let _ = write!(text, " {object:?}");
    }
    if !file.is_empty() {
        let _ = write!(text, " at {file}:{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_a_name_is_named_by_its_kind() {
        let call = |object: &str| {
            let place = Place::new("main.rs".to_owned(), 7);
            let call = ObjectCall::new("close".into(), "mutex".into(), object.into(), place);
            call.to_string()
        };
        assert_eq!(call("mutex"), "`close` of mutex at main.rs:7");
        assert_eq!(call("log"), "`close` of mutex \"log\" at main.rs:7");
    }
}
