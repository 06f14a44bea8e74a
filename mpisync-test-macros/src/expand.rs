//! The function, and beside it a module of its name with a test for each number of ranks.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Ident, ItemFn, Result, parse2};

use crate::attr::Attribute;
use crate::valid;

/// The expansion, or the errors as tokens beside the function, so that its name is known.
pub fn ranks(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(attribute, item.clone()).unwrap_or_else(|error| {
        let error = error.into_compile_error();
        quote! { #error #item }
    })
}

fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let Attribute { ranks, limit } = parse2(attribute)?;
    let mut function: ItemFn = parse2(item)?;
    valid::check(&function)?;
    let of_tests = |attribute: &syn::Attribute| {
        let mut names = valid::OF_TESTS.iter();
        names.any(|name| attribute.path().is_ident(name))
    };
    let (attributes, own): (Vec<_>, Vec<_>) = function.attrs.drain(..).partition(of_tests);
    function.attrs = own;
    // A condition is about the function as well.
    let conditions = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"));
    let name = &function.sig.ident;
    let limit = match limit {
        Some(seconds) => quote!(::core::option::Option::Some(#seconds)),
        None => quote!(::core::option::Option::None),
    };
    let tests = ranks.iter().map(|ranks| {
        let unit = if *ranks == 1 { "rank" } else { "ranks" };
        let test = Ident::new(&format!("on_{ranks}_{unit}"), Span::call_site());
        let test_name = test.to_string();
        quote! {
            #[::core::prelude::v1::test]
            #(#attributes)*
            fn #test() -> ::core::result::Result<(), ::mpisync_test::__private::Failure> {
                ::mpisync_test::__private::Test {
                    module: ::core::module_path!(),
                    name: #test_name,
                    ranks: #ranks,
                    limit: #limit,
                }
                .run(super::#name)
            }
        }
    });
    Ok(quote! {
        #(#conditions)*
        #function

        #[cfg(test)]
        mod #name {
            #(#tests)*
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expansion(attribute: TokenStream, item: TokenStream) -> String {
        let file = parse2(ranks(attribute, item)).expect("the expansion is Rust");
        prettyplease::unparse(&file)
    }

    fn error(attribute: TokenStream, item: TokenStream) -> String {
        expand(attribute, item).unwrap_err().to_string()
    }

    #[test]
    fn each_number_of_ranks_is_a_test() {
        let item = quote! {
            /// All write.
            #[ignore = "slow"]
            fn all_write(world: &SimpleCommunicator) {}
        };
        let text = expansion(quote!(1, 2, limit = 5), item);
        assert_eq!(text.matches("#[::core::prelude::v1::test]").count(), 2);
        assert_eq!(text.matches("#[ignore = \"slow\"]").count(), 2);
        for part in [
            "/// All write.\nfn all_write(",
            "mod all_write {",
            "fn on_1_rank()",
            "fn on_2_ranks()",
            "limit: ::core::option::Option::Some(5f64)",
            ".run(super::all_write)",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_with_a_cure() {
        let good = || {
            quote!(
                fn case(world: &SimpleCommunicator) {}
            )
        };
        for (attribute, item, text) in [
            (quote!(), good(), "on how many ranks?"),
            (quote!(0), good(), "at least one rank"),
            (quote!(2, 2), good(), "2 is given twice"),
            (quote!(2, time = 3), good(), "unknown option"),
            (quote!(2, limit = 0), good(), "above 0"),
            (quote!(2, limit = "3"), good(), "above 0"),
            (
                quote!(2, limit = 1, limit = 2),
                good(),
                "`limit` is given twice",
            ),
            (quote!("two"), good(), "expected a number of ranks"),
            (
                quote!(2),
                quote!(
                    fn case() {}
                ),
                "takes the communicator",
            ),
            (
                quote!(2),
                quote!(
                    fn case<T>(world: T) {}
                ),
                "generic",
            ),
            (
                quote!(2),
                quote!(
                    async fn case(world: &W) {}
                ),
                "executor",
            ),
            (
                quote!(2),
                quote!(
                    #[test]
                    fn case(world: &W) {}
                ),
                "remove `#[test]`",
            ),
            (
                quote!(2),
                quote!(
                    #[should_panic]
                    fn case(world: &W) {}
                ),
                "catch_unwind",
            ),
        ] {
            let error = error(attribute, item);
            assert!(error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn the_function_is_still_there_after_an_error() {
        let text = expansion(
            quote!(),
            quote!(
                fn case(world: &SimpleCommunicator) {}
            ),
        );
        assert!(
            text.contains("compile_error!") && text.contains("fn case("),
            "{text}"
        );
    }
}
