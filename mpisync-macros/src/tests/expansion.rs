//! The expansions of small functions, as a reader of `cargo expand` sees them.

use super::{Macro, expand};

/// Without spaces and line breaks, which depend on the length of the surrounding text.
fn in_one_line(expanded: &str) -> String {
    expanded.split_whitespace().collect()
}

#[test]
fn single_write() {
    let expanded = expand(
        Macro::SingleWrite,
        "",
        "
        /// Makes the file.
        #[inline]
        pub fn create(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<Header> {
            let header = Header::new(ctrl.rank());
            header.save(path)?;
            Ok(header)
        }
        ",
    );
    assert_eq!(
        expanded,
        "\
#[track_caller]
/// Makes the file.
#[inline]
pub fn create(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<Header> {
    match ::mpisync::__private::single_write(
        ctrl,
        ::mpisync::__private::function!(single_write \"create\"),
    ) {
        ::core::result::Result::Ok(::mpisync::Access::Writer(fence)) => {
            let outcome = fence
                .run(|ctrl: &::mpisync::WindowController| -> anyhow::Result<Header> {
                    let header = Header::new(ctrl.rank());
                    header.save(path)?;
                    Ok(header)
                });
            ::mpisync::__private::share(fence, outcome)
        }
        ::core::result::Result::Ok(::mpisync::Access::Excluded(fence)) => {
            ::mpisync::__private::outcome(fence.collect())
        }
        ::core::result::Result::Err(error) => ::mpisync::__private::failed(error),
    }
}
"
    );
}

#[test]
fn single_write_with_all_options() {
    let expanded = expand(
        Macro::SingleWrite,
        "rank = self.ctrl.size() - 1, ctrl = self.ctrl, share = slice, crate = sync",
        "
        fn table<const N: usize>(&mut self) -> io::Result<Vec<f64>> where Self: Sized {
            self.file.read(N)
        }
        ",
    );
    assert_eq!(
        expanded,
        "\
#[track_caller]
fn table<const N: usize>(&mut self) -> io::Result<Vec<f64>>
where
    Self: Sized,
{
    let rank: i32 = self.ctrl.size() - 1;
    match sync::__private::single_write_on(
        &mut self.ctrl,
        rank,
        sync::__private::function!(single_write \"table\"),
    ) {
        ::core::result::Result::Ok(sync::Access::Writer(fence)) => {
            let outcome = fence.run(|_| -> io::Result<Vec<f64>> { self.file.read(N) });
            sync::__private::share_vec(fence, outcome)
        }
        ::core::result::Result::Ok(sync::Access::Excluded(fence)) => {
            sync::__private::outcome(fence.collect_vec())
        }
        ::core::result::Result::Err(error) => sync::__private::failed(error),
    }
}
"
    );
}

#[test]
fn collective() {
    let expanded = expand(
        Macro::Collective,
        "",
        "
        pub(crate) fn step<'a>(ctrl: &mut WindowController, (x, y): Pair<'a>) -> Result<(), Error> {
            if x == y {
                return Ok(());
            }
            work(ctrl, x)
        }
        ",
    );
    assert_eq!(
        expanded,
        "\
#[track_caller]
pub(crate) fn step<'a>(
    ctrl: &mut WindowController,
    (x, y): Pair<'a>,
) -> Result<(), Error> {
    let call = match ::mpisync::Collective::enter_function(
        ctrl,
        ::mpisync::__private::function!(collective \"step\"),
    ) {
        ::core::result::Result::Ok(call) => call,
        ::core::result::Result::Err(error) => return ::mpisync::__private::failed(error),
    };
    let outcome = call
        .run(|| -> Result<(), Error> {
            if x == y {
                return Ok(());
            }
            work(ctrl, x)
        });
    ::mpisync::__private::agree(call, ctrl, outcome)
}
"
    );
}

#[test]
fn collective_that_shares() {
    let expanded = expand(
        Macro::Collective,
        "share = 2",
        "unsafe fn r#move(mut ctrl: WindowController) -> Result<u8, Error> { unsafe { go(&mut ctrl) } }",
    );
    assert_eq!(
        expanded,
        "\
#[track_caller]
unsafe fn r#move(mut ctrl: WindowController) -> Result<u8, Error> {
    let call = match ::mpisync::Collective::enter_function(
        &mut ctrl,
        ::mpisync::__private::function!(collective \"move\"),
    ) {
        ::core::result::Result::Ok(call) => call,
        ::core::result::Result::Err(error) => return ::mpisync::__private::failed(error),
    };
    let outcome = call.run(|| -> Result<u8, Error> { unsafe { go(&mut ctrl) } });
    ::mpisync::__private::agree_on(call, &mut ctrl, 2, outcome)
}
"
    );
}

#[test]
fn a_controller_that_the_body_does_not_use_has_no_name_in_it() {
    let seen = |body: &str| {
        let item = format!("fn f(ctrl: &mut WindowController) -> Result<(), E> {{ {body} }}");
        let expanded = expand(Macro::SingleWrite, "", &item);
        expanded.contains("|ctrl: &::mpisync::WindowController|")
    };
    assert!(!seen("Ok(())"));
    assert!(!seen("log(\"ctrl\", ctrl2)"));
    assert!(seen("if true { log(ctrl) } else { Ok(()) }"));
    assert!(seen("log!(\"{ctrl:?}\")"));
    assert!(seen("log!(\"by {ctrl}\")"));
}

#[test]
fn track_caller_is_added_once_and_not_to_main() {
    let count = |item: &str| {
        let item = format!("{item}(ctrl: &mut WindowController) -> Result<(), E> {{ ok() }}");
        let expanded = expand(Macro::Collective, "", &item);
        expanded.matches("track_caller").count()
    };
    assert_eq!(count("fn f"), 1);
    assert_eq!(count("#[track_caller] fn f"), 1);
    assert_eq!(count("#[cfg_attr(debug_assertions, track_caller)] fn f"), 1);
    assert_eq!(count("/// Is like `track_caller`.\nfn f"), 2);
    assert_eq!(count("fn main"), 0);
}

#[test]
fn the_only_exclusive_controller_is_taken() {
    let item = "fn f(a: &WindowController, b: &mut WindowController) -> Result<(), E> { ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert!(
        in_one_line(&expanded).contains("single_write(b,"),
        "{expanded}"
    );
}

#[test]
fn single_write_with_a_region() {
    let expanded = expand(
        Macro::SingleWrite,
        "",
        "
        /// Sets the boundary.
        pub fn start(field: &mut mpisync::Region<f64, Ix2>, value: f64) -> anyhow::Result<f64> {
            field.row_mut(0).fill(value);
            Ok(field.sum())
        }
        ",
    );
    assert_eq!(
        expanded,
        "\
#[track_caller]
/// Sets the boundary.
pub fn start(field: &mut mpisync::Region<f64, Ix2>, value: f64) -> anyhow::Result<f64> {
    ::mpisync::__private::update(
        field,
        ::mpisync::__private::function!(single_write \"start\"),
        |field| -> anyhow::Result<f64> {
            field.row_mut(0).fill(value);
            Ok(field.sum())
        },
    )
}
"
    );
}

#[test]
fn single_write_with_a_region_and_all_options() {
    let expanded = expand(
        Macro::SingleWrite,
        "rank = field.size() - 1, ctrl = field, share = serde, crate = sync",
        "fn start<T: Plain>(ctrl: &mut WindowController, mut field: Region<T>) -> Result<(), E> { go(ctrl) }",
    );
    assert_eq!(
        expanded,
        "\
#[track_caller]
fn start<T: Plain>(ctrl: &mut WindowController, mut field: Region<T>) -> Result<(), E> {
    let rank: i32 = field.size() - 1;
    sync::__private::update_on(
        &mut field,
        rank,
        sync::__private::function!(single_write \"start\"),
        |_| -> Result<(), E> { go(ctrl) },
    )
}
"
    );
}

#[test]
fn a_region_beside_a_controller_is_a_parameter_like_any_other() {
    let item =
        "fn f(field: &mut Region<u8>, ctrl: &mut WindowController) -> Result<(), E> { ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert!(
        in_one_line(&expanded).contains("single_write(ctrl,"),
        "{expanded}"
    );
    let expanded = expand(Macro::SingleWrite, "ctrl = self.ctrl", item);
    assert!(
        in_one_line(&expanded).contains("single_write(&mutself.ctrl,"),
        "{expanded}"
    );
    let expanded = expand(Macro::Collective, "", item);
    assert!(
        expanded.contains("agree(call, ctrl, outcome)"),
        "{expanded}"
    );
}

#[test]
fn the_only_exclusive_region_is_taken() {
    let item = "fn f(a: &Region<u8>, b: &mut Region<u8, Ix1>) -> Result<(), E> { ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert!(
        in_one_line(&expanded).contains("update(b,::mpisync::__private::function!"),
        "{expanded}"
    );
}

#[test]
fn an_alias_is_left_to_the_compiler() {
    let item =
        "fn f(field: &mut Field, n: &mut Vec<u8>) -> Result<(), E> { field.fill(n[0]); ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert_eq!(
        expanded,
        "\
#[track_caller]
fn f(field: &mut Field, n: &mut Vec<u8>) -> Result<(), E> {
    ::mpisync::__private::write_alone(
        field,
        ::core::option::Option::None,
        ::mpisync::__private::function!(single_write \"f\"),
        |field| -> Result<(), E> {
            field.fill(n[0]);
            ok()
        },
    )
}
"
    );
    let expanded = expand(Macro::SingleWrite, "rank = 2, ctrl = field", item);
    assert!(
        expanded.contains("::core::option::Option::Some(2)"),
        "{expanded}"
    );
    // `share = slice` and `#[collective]` require a controller.
    let expanded = expand(Macro::SingleWrite, "ctrl = field, share = slice", item);
    assert!(
        in_one_line(&expanded).contains("single_write(field,"),
        "{expanded}"
    );
    let expanded = expand(Macro::Collective, "", item);
    assert!(
        expanded.contains("agree(call, field, outcome)"),
        "{expanded}"
    );
}

#[test]
fn parameters_that_may_be_configured_out() {
    let taken = |item: &str| {
        let expanded = expand(Macro::SingleWrite, "", item);
        let after = |of: &str| {
            let rest = expanded.split_once(of)?.1;
            Some(rest.trim_start().split([',', ')']).next()?.to_owned())
        };
        after("single_write(").or_else(|| after("write_alone("))
    };
    let of_two = "fn f(#[cfg(a)] a: &mut WindowController, b: &mut WindowController) -> R { ok() }";
    assert_eq!(taken(of_two).as_deref(), Some("b"));
    let one = "fn f(#[cfg(a)] c: &mut WindowController, #[cfg(not(a))] c: &mut WindowController) -> R { ok() }";
    assert_eq!(taken(one).as_deref(), Some("c"));
    let mixed =
        "fn f(#[cfg(a)] c: &mut WindowController, #[cfg(not(a))] c: &mut Region<u8>) -> R { ok() }";
    assert_eq!(taken(mixed).as_deref(), Some("c"));
    assert!(expand(Macro::SingleWrite, "", mixed).contains("write_alone"));
}
