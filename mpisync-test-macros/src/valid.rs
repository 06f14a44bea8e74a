//! Rejects functions that cannot be run on ranks.

use quote::ToTokens;
use syn::{Error, ItemFn, Result};

/// The attributes of a function that belong to its tests and not to the function itself.
pub const OF_TESTS: [&str; 2] = ["ignore", "cfg"];

/// Returns an error at the first thing that does not fit.
pub fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    for attribute in &function.attrs {
        if attribute.path().is_ident("test") {
            return reject(attribute, "`#[ranks]` makes the tests: remove `#[test]`");
        }
        if attribute.path().is_ident("should_panic") {
            let text = "a rank that panics ends the job of all ranks: catch the panic in the test with \
                        `std::panic::catch_unwind`";
            return reject(attribute, text);
        }
    }
    if let Some(token) = &signature.asyncness {
        return reject(
            token,
            "a rank runs no executor: block on the future in the test",
        );
    }
    if !signature.generics.params.is_empty() {
        return reject(&signature.generics, "a test has no generic parameters");
    }
    if signature.inputs.len() != 1 {
        let text =
            "a test on ranks takes the communicator of all ranks: `world: &SimpleCommunicator`";
        return match signature.inputs.is_empty() {
            true => reject(&signature.ident, text),
            false => reject(&signature.inputs, text),
        };
    }
    Ok(())
}

fn reject(token: &impl ToTokens, why: &str) -> Result<()> {
    Err(Error::new_spanned(token, why))
}
