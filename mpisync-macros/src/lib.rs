//! The attribute macros of [mpisync](https://docs.rs/mpisync), which names them again: write
//! `#[mpisync::single_write]` and `#[mpisync::collective]`.
//!
//! Both stand on a function or method that returns a `Result` and works with one `WindowController`, and make it a
//! collective call: all ranks of the controller call it together.
//!
//! | attribute | who runs the body | what all ranks return |
//! | --- | --- | --- |
//! | [`macro@single_write`] | one rank, alone | that rank's value, or why there is none |
//! | [`macro@collective`] | every rank | their own value, if no rank failed |

mod ast;
mod attr;
mod controller;
mod errors;
mod expand;
mod valid;

use proc_macro2::TokenStream;

use crate::ast::Function;
use crate::attr::{Macro, Options};
use crate::errors::both;
use crate::valid::Task;

/// Runs a function on one rank, which is alone in the cluster for as long, and gives its value to all ranks.
#[proc_macro_attribute]
pub fn single_write(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Macro::SingleWrite, options.into(), item.into()).into()
}

/// Runs a function on every rank, and gives all ranks the same outcome.
#[proc_macro_attribute]
pub fn collective(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Macro::Collective, options.into(), item.into()).into()
}

fn attribute(mac: Macro, options: TokenStream, item: TokenStream) -> TokenStream {
    let task = both(
        Options::parse(mac, options),
        Function::parse(mac, item.clone()),
    )
    .and_then(|(options, function)| Task::new(mac, options, function));
    match task {
        Ok(task) => expand::expand(&task),
        Err(errors) => {
            // The item stays, so that its callers are not told that it is missing.
            let mut tokens = errors.into_compile_error();
            tokens.extend(item);
            tokens
        }
    }
}
