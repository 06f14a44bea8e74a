//! The expansion: the function that the compiler sees.
//!
//! Its own names have mixed-site spans, so names in the user's body cannot collide with them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::{Expr, ExprLit, Path};

use crate::output::Output;
use crate::tokens::mentions;
use crate::valid::{Format, Kind, Task};

pub fn expand(task: &Task) -> TokenStream {
    let body = match &task.kind {
        Kind::SingleWrite { rank, .. } if task.lock.is_region() => update(task, rank.as_ref()),
        Kind::SingleWrite {
            rank,
            format: Format::Serde,
        } if task.lock.is_unknown() => write_alone(task, rank.as_ref()),
        Kind::SingleWrite { rank, format } => single_write(task, rank.as_ref(), format),
        Kind::Collective { share } => collective(task, share.as_ref()),
    };
    let track_caller = task.function.may_track_caller();
    let function = task.function.with_body(&body);
    if track_caller {
        // Errors name the place of the call.
        quote_spanned!(Span::mixed_site()=> #[track_caller] #function)
    } else {
        function
    }
}

fn single_write(task: &Task, rank: Option<&Expr>, format: &Format) -> TokenStream {
    let &Output {
        ref ty,
        error,
        value,
        both,
    } = &task.output;
    let krate = krate(task, error);
    let ctrl = task.lock.borrow();
    let Rank { statement, name } = Rank::of(rank, error);
    let function = function(task, error);
    let enter = match name {
        None => quote_spanned!(error=> single_write(#ctrl, #function)),
        Some(rank) => quote_spanned!(error=> single_write_on(#ctrl, #rank, #function)),
    };
    let seen = seen(task).map_or_else(
        || quote_spanned!(error=> _),
        |name| quote_spanned!(error=> #name: &#krate::WindowController),
    );
    let (share, collect) = match format {
        Format::Serde => ("share", "collect"),
        Format::Slice => ("share_vec", "collect_vec"),
    };
    let (share, collect) = (Ident::new(share, both), Ident::new(collect, value));
    let body = task.function.block();
    quote_spanned! {error=>
        #statement
        match #krate::__private::#enter {
            ::core::result::Result::Ok(#krate::Access::Writer(fence)) => {
                let outcome = fence.run(|#seen| -> #ty #body);
                #krate::__private::#share(fence, outcome)
            }
            ::core::result::Result::Ok(#krate::Access::Excluded(fence)) => {
                #krate::__private::outcome(fence.#collect())
            }
            ::core::result::Result::Err(error) => #krate::__private::failed(error),
        }
    }
}

/// A `single_write` with a region. In the body the region's name is the write guard.
fn update(task: &Task, rank: Option<&Expr>) -> TokenStream {
    let &Output {
        ref ty,
        error,
        both,
        ..
    } = &task.output;
    let krate = krate(task, error);
    let region = task.lock.borrow();
    let Rank { statement, name } = Rank::of(rank, error);
    let guard = seen(task).map_or_else(|| quote_spanned!(error=> _), Ident::to_token_stream);
    let body = task.function.block();
    let write = quote_spanned!(error=> |#guard| -> #ty #body);
    let function = function(task, error);
    let update = match name {
        None => quote_spanned!(both=> update(#region, #function, #write)),
        Some(rank) => quote_spanned!(both=> update_on(#region, #rank, #function, #write)),
    };
    quote_spanned! {error=>
        #statement
        #krate::__private::#update
    }
}

/// A `single_write` with a parameter whose type the compiler has to resolve.
fn write_alone(task: &Task, rank: Option<&Expr>) -> TokenStream {
    let &Output {
        ref ty,
        error,
        both,
        ..
    } = &task.output;
    let krate = krate(task, error);
    let lock = task.lock.borrow();
    let Rank { statement, name } = Rank::of(rank, error);
    let rank = match name {
        None => quote_spanned!(error=> ::core::option::Option::None),
        Some(rank) => quote_spanned!(error=> ::core::option::Option::Some(#rank)),
    };
    let seen = seen(task).map_or_else(|| quote_spanned!(error=> _), Ident::to_token_stream);
    let body = task.function.block();
    let function = function(task, error);
    let call = quote_spanned!(both=> write_alone(#lock, #rank, #function, |#seen| -> #ty #body));
    quote_spanned! {error=>
        #statement
        #krate::__private::#call
    }
}

/// The name of the lock's parameter, if the body uses it. Otherwise the compiler would report it as
/// unused.
fn seen(task: &Task) -> Option<&Ident> {
    let name = task.lock.name()?;
    mentions(&task.function.body, name).then_some(name)
}

fn collective(task: &Task, share: Option<&Expr>) -> TokenStream {
    let &Output {
        ref ty,
        error,
        both,
        ..
    } = &task.output;
    let krate = krate(task, error);
    let ctrl = task.lock.borrow();
    let Rank { statement, name } = Rank::of(share, error);
    let agree = match name {
        None => quote_spanned!(error=> agree(call, #ctrl, outcome)),
        Some(rank) => quote_spanned!(both=> agree_on(call, #ctrl, #rank, outcome)),
    };
    let function = function(task, error);
    let body = task.function.block();
    quote_spanned! {error=>
        #statement
        let call = match #krate::Collective::enter_function(
            #ctrl,
            #function,
        ) {
            ::core::result::Result::Ok(call) => call,
            ::core::result::Result::Err(error) => return #krate::__private::failed(error),
        };
        let outcome = call.run(|| -> #ty #body);
        #krate::__private::#agree
    }
}

/// The function's name and place, by which the ranks compare their calls.
fn function(task: &Task, site: Span) -> TokenStream {
    let krate = krate(task, site);
    let attribute = Ident::new(task.kind.attribute(), site);
    let name = task.function.sig.ident.unraw().to_string();
    quote_spanned!(site=> #krate::__private::function!(#attribute #name))
}

fn krate(task: &Task, site: Span) -> TokenStream {
    let default = || quote_spanned!(site=> ::mpisync);
    task.krate
        .as_ref()
        .map_or_else(default, Path::to_token_stream)
}

/// A rank given as an expression.
struct Rank {
    /// The statement that evaluates it before everything else, because it may use the controller,
    /// which is borrowed afterwards. A literal needs no statement.
    statement: Option<TokenStream>,
    name: Option<TokenStream>,
}

impl Rank {
    fn of(expr: Option<&Expr>, site: Span) -> Self {
        match expr {
            None => Self {
                statement: None,
                name: None,
            },
            Some(Expr::Lit(ExprLit { lit, .. })) => Self {
                statement: None,
                name: Some(lit.to_token_stream()),
            },
            Some(expr) => Self {
                statement: Some(quote_spanned!(site=> let rank: i32 = #expr;)),
                name: Some(quote_spanned!(site=> rank)),
            },
        }
    }
}
