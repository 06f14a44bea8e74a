//! Finds the lock that a function works with: a controller, or a region.

use std::fmt;

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Expr, FnArg, Pat, PatType, Result, Signature, Type};

use crate::attr::Macro;
use crate::errors::reject;
use crate::tokens::find;

/// Where the lock is.
pub enum Lock {
    /// In a parameter.
    Parameter {
        name: Ident,
        /// Whether the parameter is a reference already.
        reference: bool,
        kind: Kind,
    },
    /// Somewhere else, for example in a field of `self`. It is a controller then.
    Place(Box<Expr>),
}

/// What a parameter is by its type's name; displays in the words of an error message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Controller,
    Region,
}

impl Lock {
    /// The one that `ctrl = …` names, or else the only parameter that is a `&mut WindowController`,
    /// or else the only one that is a `&mut Region`.
    pub fn find(mac: Macro, named: Option<Expr>, sig: &Signature) -> Result<Self> {
        if let Some(expr) = named {
            let is_named = |parameter: &&PatType| is_named(parameter, &expr);
            return match parameters(sig).filter(is_named).last() {
                Some(parameter) => {
                    // What is called something else is taken for an alias of the controller.
                    let kind = Kind::of(&parameter.ty).unwrap_or(Kind::Controller);
                    Self::choose(mac, kind, &[parameter])
                }
                None => Ok(Self::Place(match expr {
                    // The expansion writes it itself.
                    Expr::Reference(reference) if reference.mutability.is_some() => reference.expr,
                    place => Box::new(place),
                })),
            };
        }

        for kind in [Kind::Controller, Kind::Region] {
            let is_one = |parameter: &&PatType| Kind::of(&parameter.ty) == Some(kind);
            let all: Vec<_> = parameters(sig).filter(is_one).collect();
            if !all.is_empty() {
                return Self::choose(mac, kind, &all);
            }
        }
        Err(Error::new(
            sig.ident.span(),
            if sig.receiver().is_some() {
                format!(
                    "this method has no controller: say where it is, as in \
                     `#[{mac}(ctrl = self.ctrl)]`, or take `ctrl: &mut WindowController`"
                )
            } else {
                format!(
                    "this function has no controller: take `ctrl: &mut WindowController`, or say \
                     where it is, as in `#[{mac}(ctrl = app.ctrl)]`"
                )
            },
        ))
    }

    /// The only one of these parameters, or the only one of them that is a mutable reference.
    fn choose(mac: Macro, kind: Kind, all: &[&PatType]) -> Result<Self> {
        reject(
            all.first()
                .filter(|_| (mac, kind) == (Macro::Collective, Kind::Region)),
            format_args!(
                "`#[{mac}]` meets the other ranks through a controller, which it takes beside the \
                 region: add `ctrl: &mut WindowController`, or say where one is, as in \
                 `#[{mac}(ctrl = app.ctrl)]`"
            ),
        )?;
        let exclusive: Vec<_> = all.iter().copied().filter(|one| is_mut(&one.ty)).collect();
        let found = if exclusive.is_empty() {
            all
        } else {
            &exclusive
        };
        match found {
            [only] => Self::parameter(mac, kind, only),
            _ => {
                let name =
                    parameter_name(found[0]).map_or_else(|| "first".to_owned(), Ident::to_string);
                Err(Error::new_spanned(
                    found.last(),
                    format_args!(
                        "more than one parameter is a {kind}: say which one to use, \
                         `#[{mac}(ctrl = {name})]`"
                    ),
                ))
            }
        }
    }

    fn parameter(mac: Macro, kind: Kind, parameter: &PatType) -> Result<Self> {
        let Some(name) = parameter_name(parameter) else {
            return Err(Error::new_spanned(
                &parameter.pat,
                format_args!("the {kind} needs a name: write `{}`", kind.example()),
            ));
        };
        let ty = peel(&parameter.ty);
        let reference = matches!(ty, Type::Reference(_));
        reject(
            Some(ty).filter(|ty| reference && !is_mut(ty)),
            format_args!(
                "`#[{mac}]` needs the {kind} for itself, so that no guard is alive: write \
                 `&mut {}`",
                kind.ty()
            ),
        )?;
        let name = name.clone();
        Ok(Self::Parameter {
            name,
            reference,
            kind,
        })
    }

    pub fn is_region(&self) -> bool {
        matches!(
            self,
            Self::Parameter {
                kind: Kind::Region,
                ..
            }
        )
    }

    /// Its name, where it is a parameter.
    pub fn name(&self) -> Option<&Ident> {
        match self {
            Self::Parameter { name, .. } => Some(name),
            Self::Place(_) => None,
        }
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

    /// The expression for a mutable reference to it.
    pub fn borrow(&self) -> TokenStream {
        match self {
            Self::Parameter {
                name,
                reference: true,
                ..
            } => quote!(#name),
            Self::Parameter {
                name,
                reference: false,
                ..
            } => quote!(&mut #name),
            Self::Place(place) => quote!(&mut #place),
        }
    }
}

impl Kind {
    /// What a type, or what it refers to, is by its name.
    fn of(ty: &Type) -> Option<Self> {
        match peel(ty) {
            Type::Reference(reference) => Self::of(&reference.elem),
            Type::Path(path) => {
                let name = &path.path.segments.last()?.ident;
                [Self::Controller, Self::Region]
                    .into_iter()
                    .find(|kind| name == kind.type_name())
            }
            _ => None,
        }
    }

    fn type_name(self) -> &'static str {
        match self {
            Self::Controller => "WindowController",
            Self::Region => "Region",
        }
    }

    /// Its type in the words of an error message.
    fn ty(self) -> &'static str {
        match self {
            Self::Controller => "WindowController",
            Self::Region => "Region<…>",
        }
    }

    /// A parameter as it should be.
    fn example(self) -> &'static str {
        match self {
            Self::Controller => "ctrl: &mut WindowController",
            Self::Region => "field: &mut Region<…>",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Controller => "controller",
            Self::Region => "region",
        })
    }
}

/// Whether a function is about a region, unless its attribute says otherwise.
pub fn takes_region(sig: &Signature) -> bool {
    let kinds = || parameters(sig).filter_map(|parameter| Kind::of(&parameter.ty));
    kinds().any(|kind| kind == Kind::Region) && kinds().all(|kind| kind == Kind::Region)
}

/// The parameters that have a type, which is all but `self`.
fn parameters(sig: &Signature) -> impl Iterator<Item = &PatType> {
    sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(parameter),
        FnArg::Receiver(_) => None,
    })
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
