//! The return type: a `Result` with the value or the failure that ranks share.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Error, GenericArgument, PathArguments, PathSegment, Result, ReturnType, Signature, Type,
    TypeImplTrait,
};

use crate::attr::Macro;
use crate::errors::reject;

/// The `Result`, and the positions at which the compiler reports types that do not fit.
pub struct Output {
    /// The type as the user wrote it.
    pub ty: Type,
    /// At the error type, for its requirements.
    pub error: Span,
    /// At the value's type, for its requirements.
    pub value: Span,
    /// At `Result`, for the requirements on both.
    pub both: Span,
}

impl Output {
    /// The return type, if it may be a `Result`; the compiler checks a type alias. A value that is
    /// sent to other ranks cannot be a reference.
    pub fn new(mac: Macro, travels: bool, sig: &Signature) -> Result<Self> {
        let ReturnType::Type(_, ty) = &sig.output else {
            return Err(Error::new(
                sig.ident.span(),
                format_args!(
                    "`#[{mac}]` needs a `Result`, through which a rank learns that another one \
                     failed: add `-> Result<(), mpisync::CollectiveError>`"
                ),
            ));
        };
        reject(
            Some(ty).filter(|ty| is_no_result(ty)),
            format_args!(
                "`#[{mac}]` needs a `Result`, through which a rank learns that another one failed: \
                 write `Result<…, mpisync::CollectiveError>`, or use an error type of your own that is \
                 `From<CollectiveError>`"
            ),
        )?;
        let mut hidden = ImplTrait::default();
        hidden.visit_type(ty);
        reject(
            hidden.0,
            format_args!(
                "`#[{mac}]` has to name this type to the other ranks: write the type itself"
            ),
        )?;
        let (value, error) = generics(ty);
        reject(
            value.filter(|value| travels && matches!(value, Type::Reference(_))),
            "a reference has nothing to refer to on the other ranks: return an owned value, such \
             as a `String` for a `&str`, or a `Vec` for a slice",
        )?;
        let both = last(ty).map_or_else(|| ty.span(), |last| last.ident.span());
        Ok(Self {
            ty: Type::clone(ty),
            error: site(error.map_or(both, Spanned::span)),
            value: site(value.map_or(both, Spanned::span)),
            both: site(both),
        })
    }

    /// The same, if it is no guard of the controller. The ranks need the controller to agree.
    pub fn without_guard(self) -> Result<Self> {
        let mut guard = Guard::default();
        guard.visit_type(&self.ty);
        reject(
            guard.0,
            "this guard would keep the controller, through which the ranks have yet to agree on \
             the outcome: let it end in the body, and lock after the call",
        )?;
        Ok(self)
    }
}

/// A position in the user's file, for tokens that cannot collide with the user's names.
fn site(at: Span) -> Span {
    Span::mixed_site().located_at(at)
}

/// The `Result<…>` of `std::io::Result<…>`.
fn last(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The value and the error of `Result<Value, Error>`, if they are given.
fn generics(ty: &Type) -> (Option<&Type>, Option<&Type>) {
    let Some(PathArguments::AngleBracketed(generics)) = last(ty).map(|last| &last.arguments) else {
        return (None, None);
    };
    let mut types = generics.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    (types.next(), types.next())
}

/// Whether a type's name is that of a well-known type that is neither a `Result` nor a type of this
/// library.
pub fn is_familiar(ty: &Type) -> bool {
    const FAMILIAR: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16",
        "u32", "u64", "u128", "usize", "Arc", "Box", "HashMap", "Option", "PathBuf", "Rc",
        "String", "Vec",
    ];
    last(ty).is_some_and(|last| FAMILIAR.iter().any(|name| last.ident == name))
}

/// Whether a type is obviously no `Result`.
fn is_no_result(ty: &Type) -> bool {
    match ty {
        Type::Group(inner) => is_no_result(&inner.elem),
        Type::Paren(inner) => is_no_result(&inner.elem),
        Type::Path(_) => is_familiar(ty),
        // `impl Trait` has a more precise error. A macro, or syntax unknown to `syn`, may be any
        // type.
        Type::ImplTrait(_) | Type::Macro(_) | Type::Verbatim(_) | Type::Infer(_) => false,
        _ => true,
    }
}

/// The first `impl Trait` of a type.
#[derive(Default)]
struct ImplTrait<'a>(Option<&'a TypeImplTrait>);

impl<'a> Visit<'a> for ImplTrait<'a> {
    fn visit_type_impl_trait(&mut self, found: &'a TypeImplTrait) {
        self.0.get_or_insert(found);
    }
}

/// The first guard of a controller in a type.
#[derive(Default)]
struct Guard<'a>(Option<&'a PathSegment>);

impl<'a> Visit<'a> for Guard<'a> {
    fn visit_path_segment(&mut self, found: &'a PathSegment) {
        if found.ident == "ReadGuard" || found.ident == "WriteGuard" {
            self.0.get_or_insert(found);
        }
        visit::visit_path_segment(self, found);
    }
}
