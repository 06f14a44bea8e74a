//! Writes the function that the compiler gets to see.
//!
//! All names of its own have mixed-site spans, so that no name in the user's body can mean one.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, GenericArgument, PathArguments, Type};

use crate::controller::Controller;
use crate::valid::{Format, Kind, Task};

pub fn expand(task: &Task) -> TokenStream {
    let body = match &task.kind {
        Kind::SingleWrite { rank, format } => single_write(task, rank.as_ref(), format),
        Kind::Collective { share } => collective(task, share.as_ref()),
    };
    task.function.with_body(&body)
}

fn single_write(task: &Task, rank: Option<&Expr>, format: &Format) -> TokenStream {
    let Task {
        function,
        output,
        controller,
        krate,
        ..
    } = task;
    let (site, value) = sites(output);
    let ctrl = controller.borrow();
    let (let_rank, rank) = rank_before(rank, site);
    let enter = match rank {
        None => quote_spanned!(site=> single_write(#ctrl)),
        Some(rank) => quote_spanned!(site=> single_write_on(#ctrl, #rank)),
    };
    // A name that the body does not use would be reported to the user as unused.
    let seen = match controller {
        Controller::Parameter { name, .. } if mentions(&function.body, name) => {
            quote_spanned!(site=> #name: &#krate::WindowController)
        }
        _ => quote_spanned!(site=> _),
    };
    let (share, collect) = match format {
        Format::Serde => (
            quote_spanned!(value=> share_result),
            quote_spanned!(value=> collect),
        ),
        Format::Slice => (
            quote_spanned!(value=> share_vec_result),
            quote_spanned!(value=> collect_vec),
        ),
    };
    let block = function.block();
    quote_spanned! {site=>
        #let_rank
        match #krate::__private::#enter? {
            #krate::Access::Writer(fence) => {
                let outcome = fence.run(|#seen| -> #output #block);
                fence.#share(outcome)
            }
            #krate::Access::Excluded(fence) => ::core::result::Result::Ok(fence.#collect()?),
        }
    }
}

fn collective(task: &Task, share: Option<&Expr>) -> TokenStream {
    let Task {
        function,
        output,
        controller,
        krate,
        ..
    } = task;
    let (site, value) = sites(output);
    let ctrl = controller.borrow();
    let (let_rank, rank) = rank_before(share, site);
    let name = format!("::{}", function.sig.ident.unraw());
    let agree = match rank {
        None => quote_spanned!(value=> agree(#ctrl, outcome)),
        Some(rank) => quote_spanned!(value=> agree_on(#ctrl, #rank, outcome)),
    };
    let block = function.block();
    quote_spanned! {site=>
        #let_rank
        let call = #krate::Collective::enter(#ctrl, ::core::concat!(::core::module_path!(), #name))?;
        let outcome = call.run(|| -> #output #block);
        call.#agree
    }
}

/// Where the compiler shall point when the error type does not fit, and when the value does not.
fn sites(output: &Type) -> (Span, Span) {
    let mut error = output.span();
    let mut value = output.span();
    if let Type::Path(path) = output
        && let Some(last) = path.path.segments.last()
    {
        (error, value) = (last.ident.span(), last.ident.span());
        if let PathArguments::AngleBracketed(generics) = &last.arguments {
            let mut types = generics
                .args
                .iter()
                .filter(|argument| matches!(argument, GenericArgument::Type(_)));
            value = types.next().map_or(value, Spanned::span);
            error = types.next().map_or(error, Spanned::span);
        }
    }
    (
        Span::mixed_site().located_at(error),
        Span::mixed_site().located_at(value),
    )
}

/// The rank as a statement before everything else, because it may ask the controller, which is
/// borrowed afterwards, and as the name that the statement gives it. A literal needs no statement.
fn rank_before(rank: Option<&Expr>, site: Span) -> (Option<TokenStream>, Option<TokenStream>) {
    match rank {
        None => (None, None),
        Some(Expr::Lit(ExprLit { lit, .. })) => (None, Some(lit.to_token_stream())),
        Some(rank) => {
            let name = Ident::new("rank", site);
            (
                Some(quote_spanned!(site=> let #name: i32 = #rank;)),
                Some(name.to_token_stream()),
            )
        }
    }
}

/// Whether the tokens use a name, be it inside a format string.
fn mentions(tokens: &TokenStream, name: &Ident) -> bool {
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
