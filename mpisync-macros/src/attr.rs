//! The attribute itself: which macro it is, and the options in its parentheses.

use std::fmt;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Expr, Path, Result, Token};

use crate::errors::both;

/// The macros of this crate; displays as the name that users write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Macro {
    SingleWrite,
    Collective,
}

impl Macro {
    pub const ALL: [Self; 2] = [Self::SingleWrite, Self::Collective];

    /// The options it takes, as text of an error message.
    fn options(self) -> &'static str {
        match self {
            Self::SingleWrite => "`rank = …`, `ctrl = …`, `share = …` and `crate = …`",
            Self::Collective => "`ctrl = …`, `share = …` and `crate = …`",
        }
    }
}

impl fmt::Display for Macro {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::SingleWrite => "single_write",
            Self::Collective => "collective",
        })
    }
}

/// The options as written; `valid` checks them.
#[derive(Default)]
pub struct Options {
    pub rank: Option<Expr>,
    pub ctrl: Option<Expr>,
    pub share: Option<Expr>,
    pub krate: Option<Path>,
}

impl Options {
    pub fn parse(mac: Macro, tokens: TokenStream) -> Result<Self> {
        (|input: ParseStream| Self::parse_list(mac, input)).parse2(tokens)
    }

    fn parse_list(mac: Macro, input: ParseStream) -> Result<Self> {
        let mut options = Self::default();
        let mut outcome = Ok(());
        while !input.is_empty() {
            let one = options.parse_one(mac, input);
            if one.is_err() {
                skip_to_comma(input)?;
            }
            outcome = both(outcome, one).map(drop);
            if !input.is_empty() {
                let comma = input.parse::<Token![,]>().map(drop);
                if comma.is_err() {
                    skip_to_comma(input)?;
                }
            }
        }
        outcome.map(|()| options)
    }

    fn parse_one(&mut self, mac: Macro, input: ParseStream) -> Result<()> {
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format_args!(
                "expected an option: `{mac}` takes {}",
                mac.options()
            )));
        }
        let name = input.call(Ident::parse_any)?;
        match (name.to_string().as_str(), mac) {
            ("rank", Macro::SingleWrite) => set(&mut self.rank, &name, input, Expr::parse),
            ("ctrl", _) => set(&mut self.ctrl, &name, input, Expr::parse),
            ("share", _) => set(&mut self.share, &name, input, Expr::parse),
            ("crate", _) => set(&mut self.krate, &name, input, Path::parse_mod_style),
            ("rank", Macro::Collective) => Err(Error::new(
                name.span(),
                "every rank runs a `collective` function: write `share = RANK` to return one \
                 rank's value on all, or `#[single_write(rank = RANK)]` to run it on one rank",
            )),
            _ => Err(Error::new(
                name.span(),
                format_args!("unknown option: `{mac}` takes {}", mac.options()),
            )),
        }
    }
}

/// Parses `= value` into an option that may be given once.
fn set<T>(
    slot: &mut Option<T>,
    name: &Ident,
    input: ParseStream,
    value: fn(ParseStream) -> Result<T>,
) -> Result<()> {
    if !input.peek(Token![=]) {
        return Err(Error::new(
            name.span(),
            format_args!("this option needs a value: write `{name} = …`"),
        ));
    }
    input.parse::<Token![=]>()?;
    if slot.replace(value(input)?).is_some() {
        return Err(Error::new(
            name.span(),
            format_args!("`{name}` is given twice: keep one of the two"),
        ));
    }
    Ok(())
}

/// Skips the rest of an invalid option, so the next one can be parsed.
fn skip_to_comma(input: ParseStream) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}
