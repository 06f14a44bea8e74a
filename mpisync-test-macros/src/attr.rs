//! The attribute itself: the numbers of ranks, and the options behind them.

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Ident, Lit, LitInt, Result, Token};

/// What is in the parentheses.
pub struct Attribute {
    /// The numbers of ranks.
    pub ranks: Vec<usize>,
    /// The time limit in seconds.
    pub limit: Option<f64>,
}

impl Parse for Attribute {
    fn parse(input: ParseStream) -> Result<Self> {
        let (mut ranks, mut limit) = (Vec::new(), None);
        while !input.is_empty() {
            if input.peek(LitInt) {
                let number: LitInt = input.parse()?;
                let ranks_of_test: usize = number.base10_parse()?;
                if ranks_of_test == 0 {
                    return Err(Error::new(number.span(), "a job has at least one rank"));
                }
                if ranks.contains(&ranks_of_test) {
                    let text = format!("{ranks_of_test} is given twice: keep one of the two");
                    return Err(Error::new(number.span(), text));
                }
                ranks.push(ranks_of_test);
            } else {
                let name: Ident = input.parse().map_err(|error| {
                    Error::new(
                        error.span(),
                        "expected a number of ranks or `limit = SECONDS`",
                    )
                })?;
                if name != "limit" {
                    let text =
                        "unknown option: `ranks` takes numbers of ranks and `limit = SECONDS`";
                    return Err(Error::new(name.span(), text));
                }
                input.parse::<Token![=]>()?;
                if limit.replace(seconds(input)?).is_some() {
                    let text = "`limit` is given twice: keep one of the two";
                    return Err(Error::new(name.span(), text));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if ranks.is_empty() {
            let text =
                "on how many ranks? Write `#[ranks(2)]`, or `#[ranks(1, 2, 4)]` for a test each";
            return Err(Error::new(Span::call_site(), text));
        }
        Ok(Self { ranks, limit })
    }
}

fn seconds(input: ParseStream) -> Result<f64> {
    let literal: Lit = input.parse()?;
    let seconds = match &literal {
        Lit::Int(number) => number.base10_parse(),
        Lit::Float(number) => number.base10_parse(),
        _ => Ok(0.0),
    }?;
    if seconds > 0.0 {
        return Ok(seconds);
    }
    let text = "the limit is a number of seconds above 0, such as `limit = 60`";
    Err(Error::new(literal.span(), text))
}
