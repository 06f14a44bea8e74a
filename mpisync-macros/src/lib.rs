//! The macros of [mpisync](https://docs.rs/mpisync), which names them again: write
//! `#[mpisync::single_write]`, `#[mpisync::collective]` and `#[derive(mpisync::Equivalence)]`.
//!
//! Both attributes stand on a function or method that returns a `Result` and works with one
//! `WindowController`, and make it a collective call: all ranks of the controller call it together.
//! A [`macro@single_write`] works with a `Region` as well.
//!
//! | attribute | who runs the body | what all ranks return |
//! | --- | --- | --- |
//! | [`macro@single_write`] | one rank, alone | that rank's value, or why there is none |
//! | [`macro@collective`] | every rank | their own value, if no rank failed |
//!
//! The derive [`macro@Equivalence`] is for structs whose bytes mean the same in every process.

mod ast;
mod attr;
mod equivalence;
mod errors;
mod expand;
mod lock;
mod output;
mod tokens;
mod valid;

use proc_macro2::TokenStream;
use quote::quote;

use crate::ast::Function;
use crate::attr::{Macro, Options};
use crate::errors::both;
use crate::valid::Task;

/// Runs a function on one rank, which is alone in the cluster for as long, and gives its value to
/// all ranks.
///
/// Collective: all ranks of the controller call the function. One of them, the master, runs the
/// body, and holds the lock for writing meanwhile. The others wait, and return its value too.
///
/// The function returns a `Result<T, E>`. `T` travels to the other ranks, so it is `Serialize` and
/// `DeserializeOwned`. `E` stays where it is: the writer returns its own error, and the other ranks
/// return `E::from(CollectiveError)` with the writer's rank and the text of its error. An `E` is fit for
/// that when it implements `From<CollectiveError>` and `Display`, as `CollectiveError` itself, `io::Error`,
/// `anyhow::Error` and `Box<dyn Error>` do. When the body panics, the other ranks get the panic's
/// message as an error, and the writer's panic goes on.
///
/// In the body the controller is a `&WindowController`: it can be asked for its rank, but the body
/// cannot write or make a collective call, which the other ranks would not join. A function can take
/// a [region](#with-a-region) in place of the controller.
///
/// ```
/// use std::io;
/// use std::path::{Path, PathBuf};
///
/// use mpisync::{CollectiveError, WindowController};
///
/// /// One rank makes the directory, all ranks return its path.
/// #[mpisync::single_write]
/// fn create(ctrl: &mut WindowController, root: &Path) -> Result<PathBuf, CreateError> {
///     let path = root.join(format!("made-by-rank-{}", ctrl.rank()));
///     std::fs::create_dir_all(&path)?;
///     Ok(path)
/// }
///
/// #[derive(Debug, thiserror::Error)]
/// enum CreateError {
///     #[error("cannot make the directory: {0}")]
///     Io(#[from] io::Error),
///     #[error(transparent)]
///     Fence(#[from] CollectiveError),
/// }
///
/// let mut ctrl = WindowController::local();
/// let path = create(&mut ctrl, &std::env::temp_dir())?;
/// assert!(path.ends_with("made-by-rank-0"));
/// # std::fs::remove_dir(path)?;
/// # Ok::<(), CreateError>(())
/// ```
///
/// # Options
///
/// | option | meaning | without it |
/// | --- | --- | --- |
/// | `rank = EXPR` | the rank that runs the body, an `i32`; the same on all ranks | the master |
/// | `ctrl = EXPR` | where the controller is, for example `self.ctrl`, or which parameter is the controller or the region | the one parameter that is a `&mut WindowController`, or else a `&mut Region`, or else the one `&mut` of a type that may be an alias of these |
/// | `share = serde` | the value travels serialized | this is the default |
/// | `share = slice` | the value is a `Vec` of `Equivalence` items, which travel as MPI datatypes; with a controller only | |
/// | `crate = PATH` | the path that names mpisync, if it was renamed | `::mpisync` |
///
/// With `ctrl = self.ctrl` the body cannot use that field, which is borrowed for as long. Other
/// fields of `self` are free, but methods that take all of `self` are not.
///
/// ```
/// # use mpisync::{CollectiveError, WindowController};
/// struct Log {
///     ctrl: WindowController,
///     lines: Vec<String>,
/// }
///
/// impl Log {
///     #[mpisync::single_write(ctrl = self.ctrl, rank = self.ctrl.size() - 1)]
///     fn append(&mut self, line: &str) -> Result<usize, CollectiveError> {
///         self.lines.push(line.to_owned());
///         Ok(self.lines.len())
///     }
/// }
///
/// let mut log = Log { ctrl: WindowController::local(), lines: Vec::new() };
/// assert_eq!(log.append("started")?, 1);
/// # Ok::<(), CollectiveError>(())
/// ```
///
/// # With a region
///
/// A function that takes a `&mut Region` writes that. In the body the parameter is a
/// `&mut RegionWriteGuard`, through which one rank reads and writes the items; all ranks have them
/// when the function returns.
///
/// ```
/// use mpisync::ndarray::{Ix2, s};
/// use mpisync::{CollectiveError, Region};
///
/// /// One rank sets the boundary, all ranks return the sum.
/// #[mpisync::single_write(rank = field.size() - 1)]
/// fn start(field: &mut Region<f64, Ix2>, value: f64) -> Result<f64, CollectiveError> {
///     field.row_mut(0).fill(value);
///     field.slice_mut(s![1.., 0]).fill(value);
///     field[[1, 1]] = 0.5;
///     Ok(field.sum())
/// }
///
/// let mut field = Region::local([4, 6])?;
/// assert_eq!(start(&mut field, 1.0)?, 9.5);
/// assert_eq!(field.read()[[3, 0]], 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The parameter is found by the name of its type, or by `ctrl = field`; that may be an alias, such
/// as `type Field = Region<f64, Ix2>`, which the compiler looks through. Where there is a
/// `WindowController` too, the function is about that one, and the region is a parameter like any
/// other; `ctrl = field` says that the region is meant. The expression of `ctrl` names a controller
/// if it is no parameter. For a region in a field, call `self.field.try_update(|field| …)`.
///
/// Of parameters with `#[cfg]`, one that may not be there is taken where no other fits. Those that
/// exclude each other have the same name.
///
/// # What it writes
///
/// The signature and all other attributes stay. The body of `create` becomes
///
/// ```
/// # use std::path::{Path, PathBuf};
/// # use mpisync::{CollectiveError, WindowController};
/// # fn create(ctrl: &mut WindowController, root: &Path) -> Result<PathBuf, CollectiveError> {
/// match mpisync::__private::single_write(ctrl, "my_crate::create") {
///     Ok(mpisync::Access::Writer(fence)) => {
///         let outcome = fence.run(|ctrl: &WindowController| -> Result<PathBuf, CollectiveError> {
///             // the body
/// # Ok(root.join(ctrl.name()))
///         });
///         mpisync::__private::share(fence, outcome)
///     }
///     Ok(mpisync::Access::Excluded(fence)) => mpisync::__private::outcome(fence.collect()),
///     Err(error) => mpisync::__private::failed(error),
/// }
/// # }
/// ```
///
/// and that of `start`
///
/// ```
/// # use mpisync::ndarray::Ix2;
/// # use mpisync::{CollectiveError, Region};
/// # fn start(field: &mut Region<f64, Ix2>, value: f64) -> Result<f64, CollectiveError> {
/// let rank: i32 = field.size() - 1;
/// mpisync::__private::update_on(field, rank, "my_crate::start", |field| -> Result<f64, CollectiveError> {
///     // the body
/// #   field.fill(value);
/// #   Ok(field.sum())
/// })
/// # }
/// ```
///
/// which is `Region::update_on`. Without `rank` it is `Region::try_update`.
#[proc_macro_attribute]
pub fn single_write(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Macro::SingleWrite, options.into(), &item.into()).into()
}

/// Runs a function on every rank, and makes its outcome the same on all of them.
///
/// Collective: all ranks of the controller call the function, and all run the body. Before it they
/// agree that they are in the same call: when one rank is in `step` and another one in `save`, both
/// get an error that names both places, and nobody waits for ever. After it they agree on the
/// outcome: each rank returns its own value when all bodies have succeeded. Otherwise the lowest
/// rank that failed returns its own error, and all others `E::from(CollectiveError)` with that rank and
/// the text of its error. A panic counts as a failure, and is an error on all ranks.
///
/// The function returns a `Result<T, E>`, where `E` implements `From<CollectiveError>` and `Display`.
/// `T` may be anything, for it stays on its rank. It takes a `WindowController`, through which the
/// ranks meet, also where it works with a `Region` beside.
///
/// ```
/// use mpisync::{CollectiveError, WindowController};
///
/// #[mpisync::collective]
/// fn step(ctrl: &mut WindowController, n: u32) -> Result<u32, CollectiveError> {
///     let _guard = ctrl.write();
///     Ok(n + 1)
/// }
///
/// let mut ctrl = WindowController::local();
/// assert_eq!(step(&mut ctrl, 1)?, 2);
/// # Ok::<(), CollectiveError>(())
/// ```
///
/// # Options
///
/// | option | meaning | without it |
/// | --- | --- | --- |
/// | `ctrl = EXPR` | where the controller is, for example `self.ctrl` | the one parameter that is a `&mut WindowController` |
/// | `share = EXPR` | the rank, an `i32`, whose value all ranks return; `T` is then `Serialize` and `DeserializeOwned` | each rank its own |
/// | `crate = PATH` | the path that names mpisync, if it was renamed | `::mpisync` |
///
/// The expression of `ctrl` is used before the body and after it. So it should be a place, not a
/// call that does something, and with `ctrl = self.ctrl` the value cannot borrow from `self`.
///
/// Errors name the place of the attribute. Add `#[track_caller]` to the function and they name the
/// place of the call.
///
/// # What it writes
///
/// The signature and all other attributes stay. The body of `step` becomes
///
/// ```
/// # use mpisync::{CollectiveError, WindowController};
/// # fn step(ctrl: &mut WindowController, n: u32) -> Result<u32, CollectiveError> {
/// let call = match mpisync::Collective::enter(ctrl, concat!(module_path!(), "::step")) {
///     Ok(call) => call,
///     Err(error) => return mpisync::__private::failed(error),
/// };
/// let outcome = call.run(|| -> Result<u32, CollectiveError> {
///     // the body
/// #   let _guard = ctrl.write();
/// #   Ok(n + 1)
/// });
/// mpisync::__private::agree(call, ctrl, outcome)
/// # }
/// ```
#[proc_macro_attribute]
pub fn collective(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Macro::Collective, options.into(), &item.into()).into()
}

/// Lets a struct of numbers travel between processes as it is: its bytes mean the same in all of
/// them.
///
/// The struct becomes a `mpisync::Plain` type. With mpisync's feature `mpi` it becomes an
/// `mpi::traits::Equivalence` type too, so that it can be sent, received and shared as an MPI
/// datatype; the MPI that mpisync names is enough for that.
///
/// ```
/// use mpisync::Plain;
///
/// #[derive(Clone, Copy, mpisync::Equivalence)]
/// struct Cell {
///     index: [u32; 2],
///     state: State,
/// }
///
/// #[derive(Clone, Copy, mpisync::Equivalence)]
/// struct State(f64, f64);
///
/// fn travels<T: Plain>() {}
/// travels::<[Cell; 8]>();
/// ```
///
/// # When it does not compile
///
/// | the struct | what to write instead |
/// | --- | --- |
/// | has a field that is not `Plain` | an array for a `String` or a `Vec`, a `u8` for a `bool` |
/// | has padding between its fields or after them | a field, such as `_padding: [u8; 4]` |
/// | is not `Copy` | `#[derive(Clone, Copy, mpisync::Equivalence)]` |
/// | has no bytes | a field |
/// | has type, lifetime or constant parameters | a struct for each |
/// | is an enum or a union | a number in a struct |
/// | is changed by an attribute below the derive | the attribute above the derive |
///
/// A `bool` in a struct is refused though MPI knows it, because another process may write a byte
/// that is neither `true` nor `false`.
///
/// ```compile_fail
/// #[derive(Clone, Copy, mpisync::Equivalence)]
/// struct Cell {
///     number: u64,
///     kind: u8, // seven bytes of padding follow
/// }
/// ```
///
/// # Layout
///
/// No `#[repr]` is needed between processes of one executable, which have the same layout. Ranks
/// that run different executables need `#[repr(C)]` on the struct in both.
///
/// # Options
///
/// `#[mpisync(crate = PATH)]` on the struct names mpisync, if it was renamed.
#[proc_macro_derive(Equivalence, attributes(mpisync))]
pub fn equivalence(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    equivalence::derive(item.into())
        .unwrap_or_else(|errors| errors.into_compile_error())
        .into()
}

fn attribute(mac: Macro, options: TokenStream, item: &TokenStream) -> TokenStream {
    match parse(mac, options, item.clone()) {
        Ok(task) => expand::expand(&task),
        Err(errors) => {
            let errors = errors.into_compile_error();
            let item = remains(mac, item);
            // What is unused in it may be used once the macro works.
            quote! {
                #errors
                #[allow(unused)]
                #item
            }
        }
    }
}

/// The item stays, so that its callers are not told that it is missing. Its body does too, unless it
/// is one for a region's guard, which would have mistakes that the user has not made.
fn remains(mac: Macro, item: &TokenStream) -> TokenStream {
    match Function::parse(mac, item.clone()) {
        Ok(function) if mac == Macro::SingleWrite && lock::takes_region(&function.sig) => {
            function.with_body(&quote!(::core::unimplemented!()))
        }
        _ => item.clone(),
    }
}

fn parse(mac: Macro, options: TokenStream, item: TokenStream) -> syn::Result<Task> {
    let (options, function) = both(Options::parse(mac, options), Function::parse(mac, item))?;
    Task::new(mac, options, function)
}

#[cfg(test)]
mod tests;
