//! The code that the macros reject: the token of the error, and its message.
//!
//! The crate `ui-tests` shows the messages as users see them; this module has the other cases.

use super::{Macro, errors, expand};

const COLLECTIVE: &str = "fn f(ctrl: &mut WindowController) -> Result<(), E> { Ok(()) }";

/// One message: the source that it points at, and a part of it.
#[track_caller]
fn assert_error(mac: Macro, options: &str, item: &str, source: &str, message: &str) {
    let errors = errors(mac, options, item);
    let [(at, words)] = &errors[..] else {
        panic!("expected one error: {errors:?}")
    };
    assert_eq!(at, source, "{words}");
    assert!(words.contains(message), "{words}");
}

#[test]
fn all_errors_are_told_at_once() {
    let all = errors(
        Macro::SingleWrite,
        "rank = -1, share = bytes",
        "const async fn f() -> Result<impl Send, E> {}",
    );
    let places: Vec<_> = all.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(places, ["const", "async", "impl Send", "f", "-1", "bytes"]);
}

#[test]
fn options_and_function_are_both_looked_at() {
    let all = errors(
        Macro::Collective,
        "shared = 1, ctrl, 7, share = 0, share = 1",
        "struct S;",
    );
    let places: Vec<_> = all.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(places, ["shared", "ctrl", "7", "share", "struct"]);
}

#[test]
fn rank_is_no_option_of_collective() {
    assert_error(
        Macro::Collective,
        "rank = 1",
        COLLECTIVE,
        "rank",
        "write `share = RANK`",
    );
}

#[test]
fn rank_is_a_number() {
    assert_error(
        Macro::Collective,
        "share = \"all\"",
        COLLECTIVE,
        "\"all\"",
        "0 to `ctrl.size() - 1`",
    );
}

#[test]
fn attributes_of_both_macros() {
    let item = format!("#[mpisync::collective(share = 0)] {COLLECTIVE}");
    let attribute = "#[mpisync::collective(share = 0)]";
    assert_error(
        Macro::SingleWrite,
        "",
        &item,
        attribute,
        "keep one of the two",
    );
}

#[test]
fn functions_of_other_languages() {
    let item = "unsafe extern \"C\" fn f(ctrl: &mut WindowController) -> Result<(), E> {}";
    assert_error(
        Macro::SingleWrite,
        "",
        item,
        "extern \"C\"",
        "without `extern`",
    );
}

#[test]
fn declaration_without_body() {
    let item = "fn f(ctrl: &mut WindowController) -> Result<(), E>;";
    assert_error(
        Macro::Collective,
        "",
        item,
        ";",
        "put it on the method in the `impl`",
    );
}

#[test]
fn controller_without_a_name() {
    let item = "fn f(_: &mut WindowController) -> Result<(), E> {}";
    assert_error(Macro::Collective, "", item, "_", "needs a name");
}

#[test]
fn controller_shared_between_functions() {
    let item = "fn f(c: &mpisync::WindowController) -> Result<(), E> {}";
    let place = "&mpisync::WindowController";
    assert_error(
        Macro::SingleWrite,
        "",
        item,
        place,
        "write `&mut WindowController`",
    );
    // Also if it is named, and its type has another name.
    let item = "fn f(n: u8, c: &Ctl) -> Result<(), E> {}";
    assert_error(
        Macro::SingleWrite,
        "ctrl = c",
        item,
        "&Ctl",
        "write `&mut WindowController`",
    );
}

#[test]
fn several_controllers() {
    let item = "fn f(a: &mut WindowController, b: WindowController, c: &mut sync::WindowController) \
                -> Result<(), E> {}";
    let place = "c: &mut sync::WindowController";
    assert_error(
        Macro::Collective,
        "",
        item,
        place,
        "#[collective(ctrl = a)]",
    );
}

#[test]
fn several_regions() {
    let item = "fn f(a: &mut Region<u8>, b: &mut sync::Region<f64, Ix2>) -> Result<(), E> {}";
    let place = "b: &mut sync::Region<f64, Ix2>";
    let words = "more than one parameter is a region";
    assert_error(Macro::SingleWrite, "", item, place, words);
}

#[test]
fn several_that_may_be_aliases() {
    let item = "fn f(a: &mut Field, b: &mut Log) -> Result<(), E> {}";
    let words = "more than one parameter may be the controller or the region: say which one to use, \
                 `#[single_write(ctrl = a)]`";
    assert_error(Macro::SingleWrite, "", item, "b: &mut Log", words);
    // Names of well-known types are no aliases.
    let item = "fn f(a: &mut Vec<u8>, b: &mut u8) -> Result<(), E> {}";
    let words = "this function has no controller";
    assert_error(Macro::SingleWrite, "", item, "f", words);
}

#[test]
fn region_without_a_name() {
    let item = "fn f(_: &mut Region<u8>) -> Result<(), E> {}";
    let words = "write `field: &mut Region<…>`";
    assert_error(Macro::SingleWrite, "", item, "_", words);
}

#[test]
fn region_shared_between_functions() {
    let item = "fn f(field: &Region<u8>) -> Result<(), E> {}";
    let words = "write `&mut Region<…>`";
    assert_error(Macro::SingleWrite, "", item, "&Region<u8>", words);
    let item = "fn f(ctrl: &mut WindowController, field: &Region<u8>) -> Result<(), E> {}";
    let options = "ctrl = field";
    assert_error(Macro::SingleWrite, options, item, "&Region<u8>", words);
}

#[test]
fn slices_of_a_region() {
    let item = "fn f(field: &mut Region<u8>) -> Result<Vec<u8>, E> {}";
    let words = "remove it, and write into the region";
    assert_error(Macro::SingleWrite, "share = slice", item, "slice", words);
}

#[test]
fn collective_with_a_region_only() {
    let words = "add `ctrl: &mut WindowController`";
    let item = "fn f(a: &mut Region<u8>, b: Region<u8>) -> Result<(), E> {}";
    assert_error(Macro::Collective, "", item, "a: &mut Region<u8>", words);
    assert_error(Macro::Collective, "ctrl = b", item, "b: Region<u8>", words);
}

#[test]
fn a_body_for_a_guard_is_left_out_where_there_is_none() {
    let remains = |mac, item: &str| crate::remains(mac, &super::tokens(item)).to_string();
    let of_region = "fn f(field: &mut Region<u8>) -> Result<(), E> { field.fill(1); }";
    assert!(!remains(Macro::SingleWrite, of_region).contains("fill"));
    assert!(remains(Macro::Collective, of_region).contains("fill"));
    let of_both = "fn f(c: &mut WindowController, field: &mut Region<u8>) -> R { field.write(); }";
    assert!(remains(Macro::SingleWrite, of_both).contains("write"));
    assert!(remains(Macro::SingleWrite, "struct S { a: u8 }").contains("u8"));
}

#[test]
fn method_without_controller() {
    let item = "fn f(&mut self) -> Result<(), E> {}";
    assert_error(
        Macro::Collective,
        "",
        item,
        "f",
        "#[collective(ctrl = self.ctrl)]",
    );
}

#[test]
fn types_that_are_seen_to_be_no_result() {
    for ty in [
        "u32",
        "()",
        "(u8, E)",
        "[u8; 3]",
        "&str",
        "Option<u8>",
        "std::vec::Vec<u8>",
        "!",
        "(bool)",
    ] {
        let item = format!("fn f(ctrl: &mut WindowController) -> {ty} {{}}");
        assert_error(Macro::Collective, "", &item, ty, "needs a `Result`");
    }
}

#[test]
fn the_locked_field_is_not_used_in_the_body() {
    let item = "fn f(&mut self) -> Result<i32, E> { ok({ let n = (self.log.ctrl.rank(), 1); n }) }";
    let (mac, words) = (Macro::SingleWrite, "ask it before the call");
    assert_error(mac, "ctrl = self.log.ctrl", item, "self.log.ctrl", words);
    assert_error(
        mac,
        "ctrl = &mut self.log.ctrl",
        item,
        "self.log.ctrl",
        words,
    );
    expand(mac, "ctrl = self.log.ctrl2", item);
    expand(mac, "ctrl = self.ctrl", item);
    expand(Macro::Collective, "ctrl = self.log.ctrl", item);
}

#[test]
fn references_cannot_travel() {
    let item = "fn f<'a>(c: &mut WindowController) -> io::Result<&'a str> {}";
    assert_error(
        Macro::SingleWrite,
        "",
        item,
        "&'a str",
        "return an owned value",
    );
    assert_error(
        Macro::Collective,
        "share = 0",
        item,
        "&'a str",
        "return an owned value",
    );
    assert!(expand(Macro::Collective, "", item).contains("agree(call, c, outcome)"));
}

#[test]
fn a_guard_does_not_leave_a_collective_function() {
    let item = "fn f(c: &mut WindowController) -> Result<(u8, mpisync::ReadGuard<'_>), E> {}";
    let words = "lock after the call";
    assert_error(Macro::Collective, "", item, "ReadGuard<'_>", words);
    // It may belong to another controller.
    let item = "fn f<'a>(c: &mut WindowController, d: &'a WindowController) -> Result<ReadGuard<'a>, E> {}";
    expand(Macro::Collective, "", item);
}
