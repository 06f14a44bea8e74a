//! The attribute macro of `mpisync-test`, which documents and re-exports it.

mod attr;
mod expand;
mod valid;

use proc_macro::TokenStream;

/// Runs a test function on several ranks; see the documentation of `mpisync-test`.
#[proc_macro_attribute]
pub fn ranks(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand::ranks(attribute.into(), item.into()).into()
}
