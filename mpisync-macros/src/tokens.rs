//! Searches in the user's body, which the macros do not parse.

use proc_macro2::{Ident, TokenStream, TokenTree};

/// Whether the tokens use a name, also inside a format string.
pub fn mentions(tokens: &TokenStream, name: &Ident) -> bool {
    let captured = [format!("{{{name}}}"), format!("{{{name}:")];
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Literal(literal) => {
            let text = literal.to_string();
            captured.iter().any(|capture| text.contains(capture))
        }
        TokenTree::Punct(_) => false,
    })
}

/// The first position at which the tokens of `what` follow each other.
pub fn find(tokens: &TokenStream, what: &TokenStream) -> Option<TokenStream> {
    let words = |token: &TokenTree| token.to_string();
    let what: Vec<_> = what.clone().into_iter().collect();
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    let same = |some: &&[TokenTree]| some.iter().map(words).eq(what.iter().map(words));
    if let Some(found) = tokens.windows(what.len()).find(same) {
        return Some(found.iter().cloned().collect());
    }
    let groups = tokens.into_iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group.stream()),
        _ => None,
    });
    let what = what.into_iter().collect();
    groups.into_iter().find_map(|tokens| find(&tokens, &what))
}
