//! Finds the controller that a function works with.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Expr, FnArg, Pat, PatType, Result, Signature, Type};

use crate::attr::Macro;
use crate::errors::reject;
use crate::tokens::find;

/// Where the controller is.
pub enum Controller {
    /// In a parameter: the name, and whether the parameter is a reference already.
    Parameter { name: Ident, reference: bool },
    /// Somewhere else, for example in a field of `self`.
    Place(Box<Expr>),
}

impl Controller {
    /// The one that `ctrl = …` names, or else the only parameter that is a `&mut WindowController`.
    pub fn find(mac: Macro, named: Option<Expr>, sig: &Signature) -> Result<Self> {
        let typed = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(parameter) => Some(parameter),
            FnArg::Receiver(_) => None,
        });
        if let Some(expr) = named {
            return match typed.filter(|parameter| is_named(parameter, &expr)).last() {
                Some(parameter) => Self::parameter(mac, parameter),
                None => Ok(Self::Place(match expr {
                    // The expansion writes it itself.
                    Expr::Reference(reference) if reference.mutability.is_some() => reference.expr,
                    place => Box::new(place),
                })),
            };
        }

        let all: Vec<_> = typed
            .filter(|parameter| is_controller(&parameter.ty))
            .collect();
        let exclusive: Vec<_> = all.iter().copied().filter(|one| is_mut(&one.ty)).collect();
        let found = if exclusive.is_empty() { all } else { exclusive };
        match found[..] {
            [only] => Self::parameter(mac, only),
            [first, .., last] => {
                let name =
                    parameter_name(first).map_or_else(|| "first".to_owned(), Ident::to_string);
                Err(Error::new_spanned(
                    last,
                    format_args!(
                        "more than one parameter is a controller: say which one to use, \
                         `#[{mac}(ctrl = {name})]`"
                    ),
                ))
            }
            [] => Err(Error::new(
                sig.ident.span(),
                if sig.receiver().is_some() {
                    format!(
                        "this method has no controller: say where it is, as in \
                         `#[{mac}(ctrl = self.ctrl)]`, or take `ctrl: &mut WindowController`"
                    )
                } else {
                    format!(
                        "this function has no controller: take `ctrl: &mut WindowController`, or \
                         say where it is, as in `#[{mac}(ctrl = app.ctrl)]`"
                    )
                },
            )),
        }
    }

    fn parameter(mac: Macro, parameter: &PatType) -> Result<Self> {
        let Some(name) = parameter_name(parameter) else {
            return Err(Error::new_spanned(
                &parameter.pat,
                "the controller needs a name: write `ctrl: &mut WindowController`",
            ));
        };
        let ty = peel(&parameter.ty);
        let reference = matches!(ty, Type::Reference(_));
        reject(
            Some(ty).filter(|ty| reference && !is_mut(ty)),
            format_args!(
                "`#[{mac}]` needs the controller for itself, so that no guard is alive: write \
                 `&mut WindowController`"
            ),
        )?;
        let name = name.clone();
        Ok(Self::Parameter { name, reference })
    }

    /// Rejects the use of a field in the body of a `single_write`, where it is borrowed.
    pub fn reject_use(&self, body: &TokenStream) -> Result<()> {
        let field = match self {
            Self::Place(place) if matches!(**place, Expr::Field(_)) => place,
            _ => return Ok(()),
        };
        reject(
            find(body, &field.to_token_stream()),
            "the controller is locked while this body runs, so that no collective call is made in \
             it: ask it before the call, and take what you need as a parameter",
        )
    }

    /// The expression for a `&mut WindowController`.
    pub fn borrow(&self) -> TokenStream {
        match self {
            Self::Parameter {
                name,
                reference: true,
            } => quote!(#name),
            Self::Parameter {
                name,
                reference: false,
            } => quote!(&mut #name),
            Self::Place(place) => quote!(&mut #place),
        }
    }
}

fn parameter_name(parameter: &PatType) -> Option<&Ident> {
    match &*parameter.pat {
        Pat::Ident(pattern) if pattern.subpat.is_none() => Some(&pattern.ident),
        _ => None,
    }
}

fn is_named(parameter: &PatType, expr: &Expr) -> bool {
    match (parameter_name(parameter), expr) {
        (Some(name), Expr::Path(path)) => path.path.is_ident(name),
        _ => false,
    }
}

/// Whether a type, or what it refers to, has the controller's name.
fn is_controller(ty: &Type) -> bool {
    match peel(ty) {
        Type::Reference(reference) => is_controller(&reference.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|name| name.ident == "WindowController"),
        _ => false,
    }
}

fn is_mut(ty: &Type) -> bool {
    matches!(peel(ty), Type::Reference(reference) if reference.mutability.is_some())
}

/// A type without the parentheses and invisible groups around it.
fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        _ => ty,
    }
}
