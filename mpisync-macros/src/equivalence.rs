//! `#[derive(Equivalence)]`: a struct whose bytes have the same meaning in every process.
//!
//! The compiler checks each field by the trait `Plain`, and reports errors at the field. Checks
//! that need sizes are constants of the expansion.
//!
//! An attribute below the derive may change the struct after the derive has seen it. So the
//! expansion makes the compiler compare the fields that the derive saw with those of the struct.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DataStruct, DeriveInput, Error, Generics, Ident, Path, Result};

use crate::errors::{both, reject};

/// What the derive adds to the item.
pub fn derive(item: TokenStream) -> Result<TokenStream> {
    let DeriveInput {
        attrs,
        ident,
        generics,
        data,
        ..
    } = syn::parse2(item)?;
    let data = structure(data).and_then(|data| fields(&ident, data));
    let (data, (krate, ())) = both(data, both(krate(&attrs), no_parameters(&generics)))?;
    Ok(expand(&ident, &data, &krate))
}

/// The struct of the item. Enums and unions have bits that are no value.
fn structure(data: Data) -> Result<DataStruct> {
    match data {
        Data::Struct(data) => Ok(data),
        Data::Enum(data) => Err(Error::new(
            data.enum_token.span,
            "an enum cannot travel between processes as bytes, for the bits that another one \
             writes may be none of its variants: put a number in a struct instead, and make the \
             variant from it",
        )),
        Data::Union(data) => Err(Error::new(
            data.union_token.span,
            "a union cannot travel between processes as bytes, for it may hold some that are not \
             initialized: use a struct, or an array of bytes",
        )),
    }
}

fn fields(ident: &Ident, data: DataStruct) -> Result<DataStruct> {
    let empty = data.fields.is_empty().then_some(ident);
    reject(empty, no_bytes(ident))?;
    Ok(data)
}

fn no_bytes(ident: &Ident) -> String {
    format!(
        "`{}` has no bytes that could travel between processes: give it a field",
        ident.unraw()
    )
}

fn no_parameters(generics: &Generics) -> Result<()> {
    let parameters = (!generics.params.is_empty()).then_some(generics);
    reject(
        parameters,
        "a struct with parameters has no MPI datatype of its own: write a struct without them, \
         such as one for `f64` and one for `f32`",
    )
}

/// The path that names the library, from `#[mpisync(crate = …)]`.
fn krate(attrs: &[Attribute]) -> Result<Path> {
    let mut krate = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("mpisync")) {
        attr.parse_nested_meta(|option| {
            if !option.path.is_ident("crate") {
                return Err(option.error("unknown option: `Equivalence` takes `crate = …`"));
            }
            let path = option.value()?.call(Path::parse_mod_style)?;
            match krate.replace(path) {
                None => Ok(()),
                Some(_) => Err(option.error("`crate` is given twice: keep one of the two")),
            }
        })?;
    }
    Ok(krate.unwrap_or_else(|| syn::parse_quote!(::mpisync)))
}

fn expand(ident: &Ident, data: &DataStruct, krate: &Path) -> TokenStream {
    let types: Vec<_> = data.fields.iter().map(|field| &field.ty).collect();
    let members: Vec<_> = data.fields.members().collect();
    let fields = members.iter().zip(&types).map(|(member, ty)| {
        // The compiler reports here a type that is not plain.
        let shape = quote_spanned!(site(ty.span())=> <#ty as #krate::Plain>::SHAPE);
        quote!((::core::mem::offset_of!(Self, #member), #shape))
    });
    let same_types = members.iter().zip(&types).map(|(member, ty)| {
        quote_spanned! {site(ty.span())=>
            const _: () = #krate::__private::field_is::<#ident, #ty, _>(|value| &raw const value.#member);
        }
    });

    let no_bytes = no_bytes(ident);
    let padding = format!(
        "`{}` has padding, bytes that belong to no field: add a field for them, such as \
         `_padding: [u8; 4]`; with `#[repr(C)]`, first order the fields from large to small",
        ident.unraw()
    );
    // Not in the trait's constant, which is evaluated only when it is used. The first check
    // constructs the struct from its fields: it does not compile if there are more fields, or for a
    // union.
    let checks = quote_spanned! {site(ident.span())=>
        const _: fn(#ident) -> #ident = |value| #ident { #(#members: value.#members),* };
        const _: () = ::core::assert!(::core::mem::size_of::<#ident>() > 0, #no_bytes);
        const _: () = ::core::assert!(
            ::core::mem::size_of::<#ident>() == 0 #(+ ::core::mem::size_of::<#types>())*,
            #padding
        );
    };

    quote! {
        #(#same_types)*
        #checks
        // SAFETY: each field is plain, and there is nothing but fields.
        #[automatically_derived]
        unsafe impl #krate::Plain for #ident {
            const SHAPE: &'static #krate::__private::Shape = &#krate::__private::Shape::Struct {
                size: ::core::mem::size_of::<Self>(),
                fields: &[#(#fields),*],
            };
        }
        #krate::__private::equivalence!(#ident);
    }
}

/// A position in the user's file, for tokens that cannot collide with the user's names.
fn site(at: Span) -> Span {
    Span::mixed_site().located_at(at)
}
