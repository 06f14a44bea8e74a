//! Validation. An error is at the user's token, and names the correction.

use syn::{Abi, Attribute, Error, Expr, Lit, Path, Result, Signature, UnOp};

use crate::ast::Function;
use crate::attr::{Macro, Options};
use crate::errors::{both, reject};
use crate::lock::Lock;
use crate::output::Output;

/// A function and its options, which fit each other.
pub struct Task {
    pub function: Function,
    pub output: Output,
    pub lock: Lock,
    /// The path of the library, if it is not `::mpisync`.
    pub krate: Option<Path>,
    pub kind: Kind,
}

/// The options in which the two macros differ.
pub enum Kind {
    SingleWrite {
        /// The rank that runs the body, if it is not the master.
        rank: Option<Expr>,
        format: Format,
    },
    Collective {
        /// The rank whose value all ranks return.
        share: Option<Expr>,
    },
}

impl Kind {
    /// The attribute's name.
    pub fn attribute(&self) -> &'static str {
        match self {
            Self::SingleWrite { .. } => "single_write",
            Self::Collective { .. } => "collective",
        }
    }
}

/// How the writer's value is sent to the other ranks.
pub enum Format {
    Serde,
    /// As plain items, without serialization.
    Slice,
}

impl Task {
    pub fn new(mac: Macro, options: Options, function: Function) -> Result<Self> {
        let Options {
            rank,
            ctrl,
            share,
            krate,
        } = options;
        let sig = &function.sig;
        let travels = mac == Macro::SingleWrite || share.is_some();
        let output = Output::new(mac, travels, sig);
        let lock = Lock::find(mac, ctrl, sig);
        let output = match mac {
            Macro::Collective if lock.as_ref().is_ok_and(|lock| lock.is_only_one_in(sig)) => {
                output.and_then(Output::without_guard)
            }
            _ => output,
        };
        let of_region = lock.as_ref().is_ok_and(Lock::is_region);
        let kind = match mac {
            Macro::SingleWrite => both(self::rank(rank), format(share, of_region))
                .map(|(rank, format)| Kind::SingleWrite { rank, format }),
            Macro::Collective => self::rank(share).map(|share| Kind::Collective { share }),
        };
        let (_, (output, (lock, kind))) = both(
            both(one_attribute(mac, &function.attrs), qualifiers(mac, sig)),
            both(output, both(lock, kind)),
        )?;
        if mac == Macro::SingleWrite {
            lock.reject_use(&function.body)?;
        }
        Ok(Self {
            function,
            output,
            lock,
            krate,
            kind,
        })
    }
}

/// Rejects a function with both attributes, or with one twice.
fn one_attribute(mac: Macro, attrs: &[Attribute]) -> Result<()> {
    let is_ours = |attr: &&Attribute| {
        let name = attr.path().segments.last();
        name.is_some_and(|name| Macro::ALL.iter().any(|mac| name.ident == mac.to_string()))
    };
    reject(
        attrs.iter().find(is_ours),
        format_args!(
            "this function is `#[{mac}]` already, keep one of the two: with `single_write` one \
             rank runs the body, with `collective` every rank does"
        ),
    )
}

/// Rejects functions whose body cannot become a closure that waits for other ranks.
fn qualifiers(mac: Macro, sig: &Signature) -> Result<()> {
    let constness = reject(
        sig.constness,
        format_args!(
            "`#[{mac}]` talks to other ranks, which a `const fn` cannot do: remove `const`"
        ),
    );
    let asyncness = reject(
        sig.asyncness,
        format_args!(
            "`#[{mac}]` waits for other ranks and would block the executor: remove `async`, and \
             await before the call or after it"
        ),
    );
    let is_foreign = |abi: &&Abi| abi.name.as_ref().is_none_or(|name| name.value() != "Rust");
    let abi = reject(
        sig.abi.as_ref().filter(is_foreign),
        format_args!(
            "`#[{mac}]` returns a `Result`, which other languages cannot take: put it on a \
             function without `extern`, and call that one from here"
        ),
    );
    both(both(constness, asyncness), abi).map(drop)
}

/// A rank, unless it is obviously invalid.
fn rank(rank: Option<Expr>) -> Result<Option<Expr>> {
    let is_wrong = |rank: &&Expr| match rank {
        Expr::Unary(unary) => matches!(unary.op, UnOp::Neg(_)),
        Expr::Lit(literal) => !matches!(literal.lit, Lit::Int(_)),
        _ => false,
    };
    let wrong = rank.as_ref().filter(is_wrong);
    reject(wrong, "a rank is a number from 0 to `ctrl.size() - 1`")?;
    Ok(rank)
}

fn format(share: Option<Expr>, of_region: bool) -> Result<Format> {
    let Some(share) = share else {
        return Ok(Format::Serde);
    };
    match &share {
        Expr::Path(name) if name.path.is_ident("serde") => Ok(Format::Serde),
        Expr::Path(name) if name.path.is_ident("slice") => {
            reject(
                Some(name).filter(|_| of_region),
                "`share = slice` goes with a controller: remove it, and write into the region what \
                 is large, where all ranks read it; a small value is returned as it is",
            )?;
            Ok(Format::Slice)
        }
        _ => Err(Error::new_spanned(
            share,
            "unknown way to share: write `share = serde` for a value that is `Serialize`, or \
             `share = slice` for a `Vec` of items that are `Equivalence`",
        )),
    }
}
