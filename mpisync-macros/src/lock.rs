//! Finds the lock of a function: a controller or a region.

use std::fmt;

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::{Error, Expr, FnArg, Pat, PatType, Result, Signature, Type};

use crate::attr::Macro;
use crate::errors::reject;
use crate::output::is_familiar;
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
    /// Somewhere else, for example in a field of `self`. It must be a controller.
    Place(Box<Expr>),
}

/// The kind of a parameter by the name of its type; displays as text of an error message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Controller,
    Region,
    /// Unknown by its name, such as an alias, which the compiler resolves.
    Unknown,
}

impl Lock {
    /// The lock that `ctrl = …` names, or else the only parameter that is a
    /// `&mut WindowController`, or else the only one that is a `&mut Region`, or else the only
    /// `&mut` of a type that may be an alias of these.
    pub fn find(mac: Macro, named: Option<Expr>, sig: &Signature) -> Result<Self> {
        if let Some(expr) = named {
            let is_named = |parameter: &&PatType| is_named(parameter, &expr);
            let all: Vec<_> = parameters(sig).filter(is_named).collect();
            return match all.first() {
                Some(parameter) => Self::choose(mac, Kind::of(&parameter.ty), &all),
                None => Ok(Self::Place(match expr {
                    // The expansion writes it itself.
                    Expr::Reference(reference) if reference.mutability.is_some() => reference.expr,
                    place => Box::new(place),
                })),
            };
        }

        for kind in [Kind::Controller, Kind::Region] {
            let is_one = |parameter: &&PatType| Kind::of(&parameter.ty) == kind;
            let all: Vec<_> = parameters(sig).filter(is_one).collect();
            if !all.is_empty() {
                return Self::choose(mac, kind, &with_alternatives(sig, &all));
            }
        }
        let unknown: Vec<_> = parameters(sig)
            .filter(|one| may_be_alias(&one.ty))
            .collect();
        if !unknown.is_empty() {
            return Self::choose(mac, Kind::Unknown, &unknown);
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
        let exclusive = some_of(all, |one| is_mut(&one.ty));
        // A parameter that may be configured out is taken only if there is no other.
        let found = some_of(&exclusive, |one| !is_configured(one));
        let first = found[0];
        let one_name = |one: &&PatType| parameter_name(one) == parameter_name(first);
        if found.len() > 1 && !found.iter().all(one_name) {
            let name = parameter_name(first).map_or_else(|| "first".to_owned(), Ident::to_string);
            return Err(Error::new_spanned(
                found.last(),
                format_args!(
                    "more than one parameter {}: say which one to use, `#[{mac}(ctrl = {name})]`",
                    kind.may_be()
                ),
            ));
        }
        // The configuration leaves one of several with the same name.
        let one_kind = found.iter().all(|one| Kind::of(&one.ty) == kind);
        Self::parameter(mac, if one_kind { kind } else { Kind::Unknown }, first)
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

    /// Whether it is a region by its type's name.
    pub fn is_region(&self) -> bool {
        self.is_of(Kind::Region)
    }

    /// Whether its kind is unknown by the name of its type.
    pub fn is_unknown(&self) -> bool {
        self.is_of(Kind::Unknown)
    }

    /// Whether it is the only controller that the function has.
    pub fn is_only_one_in(&self, sig: &Signature) -> bool {
        let controllers = parameters(sig).filter(|one| Kind::of(&one.ty) == Kind::Controller);
        self.is_of(Kind::Controller) && controllers.count() == 1
    }

    fn is_of(&self, of: Kind) -> bool {
        matches!(self, Self::Parameter { kind, .. } if *kind == of)
    }

    /// Its name, if it is a parameter.
    pub fn name(&self) -> Option<&Ident> {
        match self {
            Self::Parameter { name, .. } => Some(name),
            Self::Place(_) => None,
        }
    }

    /// Rejects the use of the field in the body of a `single_write`, which borrows it.
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
    /// The kind of a type, or of the type that it refers to, by its name.
    fn of(ty: &Type) -> Self {
        let name = match peel(ty) {
            Type::Reference(reference) => return Self::of(&reference.elem),
            Type::Path(path) => path.path.segments.last().map(|last| &last.ident),
            _ => None,
        };
        match name {
            Some(name) if name == "WindowController" => Self::Controller,
            Some(name) if name == "Region" => Self::Region,
            _ => Self::Unknown,
        }
    }

    /// Its type, as text of an error message.
    fn ty(self) -> &'static str {
        match self {
            Self::Controller | Self::Unknown => "WindowController",
            Self::Region => "Region<…>",
        }
    }

    /// An example of a correct parameter.
    fn example(self) -> &'static str {
        match self {
            Self::Controller | Self::Unknown => "ctrl: &mut WindowController",
            Self::Region => "field: &mut Region<…>",
        }
    }

    /// The error for several of them.
    fn may_be(self) -> &'static str {
        match self {
            Self::Controller => "is a controller",
            Self::Region => "is a region",
            Self::Unknown => "may be the controller or the region",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Controller | Self::Unknown => "controller",
            Self::Region => "region",
        })
    }
}

/// Whether a function writes to a region, unless its attribute says otherwise.
pub fn takes_region(sig: &Signature) -> bool {
    let has = |kind| parameters(sig).any(|parameter| Kind::of(&parameter.ty) == kind);
    has(Kind::Region) && !has(Kind::Controller)
}

/// The parameters that have a type: all except `self`.
fn parameters(sig: &Signature) -> impl Iterator<Item = &PatType> {
    sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(parameter) => Some(parameter),
        FnArg::Receiver(_) => None,
    })
}

/// The parameters that fulfil the condition, or all if none does.
fn some_of<'a>(all: &[&'a PatType], is_so: impl Fn(&PatType) -> bool) -> Vec<&'a PatType> {
    let some: Vec<_> = all.iter().copied().filter(|one| is_so(one)).collect();
    if some.is_empty() { all.to_vec() } else { some }
}

/// These parameters and those of the same name. The configuration leaves one of each name.
fn with_alternatives<'a>(sig: &'a Signature, these: &[&PatType]) -> Vec<&'a PatType> {
    let is_in = |one: &&PatType| {
        let same = |other: &&PatType| {
            std::ptr::eq(*one, *other)
                || parameter_name(one).is_some() && parameter_name(one) == parameter_name(other)
        };
        these.iter().any(same)
    };
    parameters(sig).filter(is_in).collect()
}

fn is_configured(parameter: &PatType) -> bool {
    parameter
        .attrs
        .iter()
        .any(|attr| attr.path().is_ident("cfg"))
}

/// Whether a type is a mutable reference to something that may be an alias.
fn may_be_alias(ty: &Type) -> bool {
    match peel(ty) {
        Type::Reference(reference) => {
            let elem = peel(&reference.elem);
            reference.mutability.is_some() && matches!(elem, Type::Path(_)) && !is_familiar(elem)
        }
        _ => false,
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
