//! The macros of [mpisync](https://docs.rs/mpisync), which re-exports them: write
//! `#[mpisync::single_write]`, `#[mpisync::collective]` and `#[derive(mpisync::Equivalence)]`.
//!
//! Both attributes are for a function or method that returns a `Result` and takes one
//! `WindowController`. They make it a collective call: all ranks of the controller call it
//! together. A [`macro@single_write`] function can take a `Region` instead.
//!
//! | attribute | runs the body | returned on all ranks |
//! | --- | --- | --- |
//! | [`macro@single_write`] | one rank, alone | the value of that rank, or the reason why there is none |
//! | [`macro@collective`] | every rank | the rank's own value, if no rank failed |
//!
//! The derive [`macro@Equivalence`] is for structs whose bytes have the same meaning in every
//! process.

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

/// Runs a function on one rank under the write lock, and returns its value on all ranks.
///
/// Collective: all ranks of the controller call the function. One of them, the master, takes the
/// write lock and runs the body. The others wait, and return the same value.
///
/// The function returns a `Result<T, E>`. `T` is sent to the other ranks, so it must be `Serialize`
/// and `DeserializeOwned`. `E` is not sent: the writer returns its own error, and the other ranks
/// return `E::from(CollectiveError)` with the writer's rank and the text of its error. So `E` must
/// implement `From<CollectiveError>` and `Display`, as `CollectiveError` itself, `io::Error`,
/// `anyhow::Error` and `Box<dyn Error>` do. If the body panics, the panic continues on the writer,
/// and the other ranks get its message as an error.
///
/// In the body the controller is a `&WindowController`. The body can ask for its rank, but cannot
/// write or make a collective call, which the other ranks would not join. A function can take a
/// [region](#with-a-region) in place of the controller.
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
/// | `share = slice` | the value is a `Vec` of `Plain` items, which are not serialized; with a controller only | |
/// | `crate = PATH` | the path that names mpisync, if it was renamed | `::mpisync` |
///
/// With `ctrl = self.ctrl` the body cannot use that field, which is borrowed until the body
/// returns. It can use other fields of `self`, but not methods that take all of `self`.
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
/// Errors name the place where the function is called, which may be another one on each rank: the
/// ranks compare the functions. For that the attribute adds `#[track_caller]`, but not to a function
/// named `main`, for which errors name the place of the attribute.
///
/// # With a region
///
/// A function that takes a `&mut Region` writes to the region. In the body the parameter is a
/// `&mut RegionWriteGuard`, through which one rank reads and writes the items. All ranks have the
/// new items when the function returns.
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
/// The macro finds the parameter by the name of its type, or by `ctrl = field`. The type may be an
/// alias, such as `type Field = Region<f64, Ix2>`, which the compiler resolves. If there is a
/// `WindowController` too, the function writes under that one, and the region is an ordinary
/// parameter; write `ctrl = field` to select the region. An expression of `ctrl` that is no
/// parameter names a controller. For a region in a field, call `self.field.try_update(|field| …)`.
///
/// A parameter with `#[cfg]` is used only if no other parameter fits. Parameters that exclude each
/// other must have the same name.
///
/// # Expansion
///
/// The signature and all other attributes stay, and `#[track_caller]` is added. The body of `create` becomes
///
/// ```
/// # use std::path::{Path, PathBuf};
/// # use mpisync::{CollectiveError, WindowController};
/// # fn create(ctrl: &mut WindowController, root: &Path) -> Result<PathBuf, CollectiveError> {
/// match mpisync::__private::single_write(ctrl, mpisync::__private::function!(single_write "create")) {
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
/// mpisync::__private::update_on(
///     field,
///     rank,
///     mpisync::__private::function!(single_write "start"),
///     |field| -> Result<f64, CollectiveError> {
///         // the body
/// #       field.fill(value);
/// #       Ok(field.sum())
///     },
/// )
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

/// Runs a function on every rank, and fails on all ranks if it fails on one.
///
/// Collective: all ranks of the controller call the function, and all run the body. Before the body
/// they check that they are in the same call: if one rank is in `step` and another one in `save`, both
/// get an error that names both calls with their objects and places, and no rank waits forever. After the body they agree on the
/// outcome. If all bodies have succeeded, each rank returns its own value. Otherwise the rank that
/// failed first returns its own error, and all others return `E::from(CollectiveError)` with that rank
/// and the text of its error: the lowest rank that failed, without those that pass on what a
/// collective call inside this one has told them of another rank. A panic counts as a failure, and is
/// an error on all ranks.
///
/// The function returns a `Result<T, E>`, where `E` implements `From<CollectiveError>` and
/// `Display`. `T` can be any type, because the value is not sent. The function must take a
/// `WindowController`, through which the ranks meet, even if it also takes a `Region`.
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
/// The expression of `ctrl` is evaluated before the body and after it. So it should be a place and
/// not a call with side effects. With `ctrl = self.ctrl` the value cannot borrow from `self`.
///
/// Errors name the place where the function is called, which may be another one on each rank: the
/// ranks compare the functions. For that the attribute adds `#[track_caller]`, but not to a function
/// named `main`, for which errors name the place of the attribute.
///
/// # Expansion
///
/// The signature and all other attributes stay, and `#[track_caller]` is added. The body of `step` becomes
///
/// ```
/// # use mpisync::{CollectiveError, WindowController};
/// # fn step(ctrl: &mut WindowController, n: u32) -> Result<u32, CollectiveError> {
/// let call = match mpisync::Collective::enter_function(ctrl, mpisync::__private::function!(collective "step")) {
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

/// Derives `mpisync::Plain` for a struct of numbers: its bytes have the same meaning in all
/// processes, so it can be sent without serialization.
///
/// With mpisync's feature `mpi` it also derives `mpi::traits::Equivalence`, so the struct can be
/// sent, received and shared as an MPI datatype. The crate does not have to depend on `mpi` itself.
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
/// A `bool` in a struct is an error although MPI has a datatype for it, because another process may
/// write a byte that is neither `true` nor `false`.
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
/// Processes of one executable have the same layout and need no `#[repr]`. If ranks run different
/// executables, the struct needs `#[repr(C)]` in both.
///
/// # Options
///
/// `#[mpisync(crate = PATH)]` on the struct is the path of mpisync, if it was renamed.
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
            // Unused items in it may be used once the macro works.
            quote! {
                #errors
                #[allow(unused)]
                #item
            }
        }
    }
}

/// The item after an error. It stays, so its callers are not errors too. Its body also stays,
/// unless it is one for a region's guard, which would not compile.
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
