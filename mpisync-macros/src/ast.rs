//! The function with the attribute, as far as the macros have to parse it.
//!
//! The body is not parsed: the macros move its tokens as a whole, and the compiler reports its
//! errors at the user's place.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::token::Brace;
use syn::{Abi, AttrStyle, Attribute, Result, Signature, Token, Visibility, braced};

use crate::attr::Macro;
use crate::tokens::mentions;

pub struct Function {
    /// All other attributes, documentation among them.
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub sig: Signature,
    /// The position of the body in the user's file.
    pub brace: Brace,
    /// The tokens between the braces.
    pub body: TokenStream,
}

impl Function {
    pub fn parse(mac: Macro, item: TokenStream) -> Result<Self> {
        (|input: ParseStream| Self::parse_item(mac, input)).parse2(item)
    }

    fn parse_item(mac: Macro, input: ParseStream) -> Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        if !starts_function(input) {
            return Err(input.error(format_args!(
                "`#[{mac}]` goes on a function or a method: put it on the ones that are meant"
            )));
        }
        let sig: Signature = input.parse()?;
        if input.peek(Token![;]) {
            return Err(input.error(format_args!(
                "`#[{mac}]` needs a body: put it on the method in the `impl`, not on its declaration"
            )));
        }

        let content;
        let brace = braced!(content in input);
        // `#![…]` at the top of a body applies to the whole function, so it moves there.
        for mut attr in content.call(Attribute::parse_inner)? {
            attr.style = AttrStyle::Outer;
            attrs.push(attr);
        }
        let body = content.parse()?;
        Ok(Self {
            attrs,
            vis,
            sig,
            brace,
            body,
        })
    }

    /// The same function with another body.
    pub fn with_body(&self, body: &TokenStream) -> TokenStream {
        let mut tokens = TokenStream::new();
        for attr in &self.attrs {
            attr.to_tokens(&mut tokens);
        }
        self.vis.to_tokens(&mut tokens);
        self.sig.to_tokens(&mut tokens);
        self.brace
            .surround(&mut tokens, |inner| body.to_tokens(inner));
        tokens
    }

    /// Whether the compiler takes another `#[track_caller]`: the function has none, not even under a
    /// condition, and may not be the program's `main`.
    pub fn may_track_caller(&self) -> bool {
        let name = Ident::new("track_caller", Span::call_site());
        let has_one = |attr: &Attribute| mentions(&attr.meta.to_token_stream(), &name);
        self.sig.ident != "main" && !self.attrs.iter().any(has_one)
    }

    /// The user's body with its braces.
    pub fn block(&self) -> TokenStream {
        let mut tokens = TokenStream::new();
        self.brace
            .surround(&mut tokens, |inner| self.body.to_tokens(inner));
        tokens
    }
}

/// Whether `fn` comes next, after its optional qualifiers.
fn starts_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    let qualifiers = || -> Result<()> {
        ahead.parse::<Option<Token![const]>>()?;
        ahead.parse::<Option<Token![async]>>()?;
        ahead.parse::<Option<Token![unsafe]>>()?;
        ahead.parse::<Option<Abi>>()?;
        Ok(())
    };
    qualifiers().is_ok() && ahead.peek(Token![fn])
}
