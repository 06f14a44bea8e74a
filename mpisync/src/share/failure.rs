//! Why a call gives no value, and the words for it, which other ranks wait for.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why there is no value.
#[derive(Clone, Copy)]
pub(crate) enum Failure<'a> {
    Failed(&'a str),
    Panicked(&'a str),
    Unshared,
}

/// The text of a panic, as far as it has one.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a text").to_owned()
}

/// The words of an error, which other ranks wait for, so that there are some where its `Display`
/// panics too.
pub(crate) fn text_of(error: &impl Display) -> String {
    catch_unwind(AssertUnwindSafe(|| format!("{error:#}"))).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        format!("an error whose `Display` panicked: {message}")
    })
}
