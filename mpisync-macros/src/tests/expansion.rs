//! The expansions of small functions, as a reader of `cargo expand` sees them.

use super::{Macro, expand};

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
/// Makes the file.
#[inline]
pub fn create(ctrl: &mut WindowController, path: &Path) -> anyhow::Result<Header> {
    match ::mpisync::__private::single_write(ctrl)? {
        ::mpisync::Access::Writer(fence) => {
            let outcome = fence
                .run(|ctrl: &::mpisync::WindowController| -> anyhow::Result<Header> {
                    let header = Header::new(ctrl.rank());
                    header.save(path)?;
                    Ok(header)
                });
            fence.share_result(outcome)
        }
        ::mpisync::Access::Excluded(fence) => {
            ::core::result::Result::Ok(fence.collect()?)
        }
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
fn table<const N: usize>(&mut self) -> io::Result<Vec<f64>>
where
    Self: Sized,
{
    let rank: i32 = self.ctrl.size() - 1;
    match sync::__private::single_write_on(&mut self.ctrl, rank)? {
        sync::Access::Writer(fence) => {
            let outcome = fence.run(|_| -> io::Result<Vec<f64>> { self.file.read(N) });
            fence.share_vec_result(outcome)
        }
        sync::Access::Excluded(fence) => ::core::result::Result::Ok(fence.collect_vec()?),
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
pub(crate) fn step<'a>(
    ctrl: &mut WindowController,
    (x, y): Pair<'a>,
) -> Result<(), Error> {
    let call = ::mpisync::Collective::enter(
        ctrl,
        ::core::concat!(::core::module_path!(), \"::step\"),
    )?;
    let outcome = call
        .run(|| -> Result<(), Error> {
            if x == y {
                return Ok(());
            }
            work(ctrl, x)
        });
    call.agree(ctrl, outcome)
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
unsafe fn r#move(mut ctrl: WindowController) -> Result<u8, Error> {
    let call = ::mpisync::Collective::enter(
        &mut ctrl,
        ::core::concat!(::core::module_path!(), \"::move\"),
    )?;
    let outcome = call.run(|| -> Result<u8, Error> { unsafe { go(&mut ctrl) } });
    call.agree_on(&mut ctrl, 2, outcome)
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
fn the_only_exclusive_controller_is_taken() {
    let item = "fn f(a: &WindowController, b: &mut WindowController) -> Result<(), E> { ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert!(expanded.contains("single_write(b)?"), "{expanded}");
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
/// Sets the boundary.
pub fn start(field: &mut mpisync::Region<f64, Ix2>, value: f64) -> anyhow::Result<f64> {
    ::mpisync::__private::update(
        field,
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
fn start<T: Plain>(ctrl: &mut WindowController, mut field: Region<T>) -> Result<(), E> {
    let rank: i32 = field.size() - 1;
    sync::__private::update_on(&mut field, rank, |_| -> Result<(), E> { go(ctrl) })
}
"
    );
}

#[test]
fn a_region_beside_a_controller_is_a_parameter_like_any_other() {
    let item =
        "fn f(field: &mut Region<u8>, ctrl: &mut WindowController) -> Result<(), E> { ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert!(expanded.contains("single_write(ctrl)?"), "{expanded}");
    let expanded = expand(Macro::SingleWrite, "ctrl = self.ctrl", item);
    assert!(
        expanded.contains("single_write(&mut self.ctrl)?"),
        "{expanded}"
    );
    let expanded = expand(Macro::Collective, "", item);
    assert!(expanded.contains("agree(ctrl, outcome)"), "{expanded}");
}

#[test]
fn the_only_exclusive_region_is_taken() {
    let item = "fn f(a: &Region<u8>, b: &mut Region<u8, Ix1>) -> Result<(), E> { ok() }";
    let expanded = expand(Macro::SingleWrite, "", item);
    assert!(
        expanded.contains("update(b, |_| -> Result<(), E>"),
        "{expanded}"
    );
}
