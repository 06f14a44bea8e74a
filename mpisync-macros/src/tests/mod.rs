//! The macros as functions from text to text: their output, and the code that they reject.

use proc_macro2::TokenStream;

use crate::attr::Macro;

mod equivalence;
mod errors;
mod expansion;

fn tokens(text: &str) -> TokenStream {
    text.parse()
        .expect("the test's text is made of Rust tokens")
}

/// The expansion, formatted.
fn expand(mac: Macro, options: &str, item: &str) -> String {
    let task = crate::parse(mac, tokens(options), tokens(item));
    let task = task.unwrap_or_else(|error| panic!("the macro takes this, not: {error}"));
    formatted(crate::expand::expand(&task))
}

fn formatted(expanded: TokenStream) -> String {
    let file = syn::parse2(expanded).expect("an expansion is made of items");
    prettyplease::unparse(&file)
}

/// The errors of the macro: the source that each points at, and the message.
fn errors(mac: Macro, options: &str, item: &str) -> Vec<(String, String)> {
    let task = crate::parse(mac, tokens(options), tokens(item));
    places(task.err().expect("the macro rejects this"))
}

fn places(errors: syn::Error) -> Vec<(String, String)> {
    errors
        .into_iter()
        .map(|error| {
            (
                error.span().source_text().unwrap_or_default(),
                error.to_string(),
            )
        })
        .collect()
}
