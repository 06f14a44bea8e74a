//! The derive: its output for a small struct, and the code that it rejects itself.

use super::{formatted, places, tokens};
use crate::equivalence::derive;

#[track_caller]
fn assert_errors(item: &str, expected: &[(&str, &str)]) {
    let errors = places(derive(tokens(item)).expect_err("the derive rejects this"));
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for ((at, words), (source, message)) in errors.iter().zip(expected) {
        assert_eq!(at, source, "{words}");
        assert!(words.contains(message), "{words}");
    }
}

#[test]
fn expansion() {
    let expanded = derive(tokens("pub struct r#Cell { id: u64, r#type: [u8; N] }"));
    let expanded = formatted(expanded.expect("the derive takes this"));
    assert_eq!(
        expanded,
        "\
const _: () = ::mpisync::__private::field_is::<
    r#Cell,
    u64,
    _,
>(|value| &raw const value.id);
const _: () = ::mpisync::__private::field_is::<
    r#Cell,
    [u8; N],
    _,
>(|value| &raw const value.r#type);
const _: fn(r#Cell) -> r#Cell = |value| r#Cell {
    id: value.id,
    r#type: value.r#type,
};
const _: () = ::core::assert!(
    ::core::mem::size_of:: < r#Cell > () > 0,
    \"`Cell` has no bytes that could travel between processes: give it a field\"
);
const _: () = ::core::assert!(
    ::core::mem::size_of:: < r#Cell > () == 0 + ::core::mem::size_of:: < u64 > () +
    ::core::mem::size_of:: < [u8; N] > (),
    \"`Cell` has padding, bytes that belong to no field: add a field for them, such as `_padding: [u8; 4]`; \
with `#[repr(C)]`, first order the fields from large to small\"
);
#[automatically_derived]
unsafe impl ::mpisync::Plain for r#Cell {
    const SHAPE: &'static ::mpisync::__private::Shape = &::mpisync::__private::Shape::Struct {
        size: ::core::mem::size_of::<Self>(),
        fields: &[
            (::core::mem::offset_of!(Self, id), <u64 as ::mpisync::Plain>::SHAPE),
            (::core::mem::offset_of!(Self, r#type), <[u8; N] as ::mpisync::Plain>::SHAPE),
        ],
    };
}
::mpisync::__private::equivalence!(r#Cell);
"
    );
}

#[test]
fn another_name_of_the_library() {
    let expanded = derive(tokens("#[mpisync(crate = a::b)] struct Pair(f32, f32);"));
    let expanded = expanded.expect("the derive takes this").to_string();
    assert!(!expanded.contains(":: mpisync"), "{expanded}");
    assert!(expanded.contains("a :: b :: Plain"), "{expanded}");
}

#[test]
fn enums_and_unions() {
    assert_errors(
        "enum State { Open }",
        &[("enum", "put a number in a struct")],
    );
    assert_errors(
        "union Bits { a: f32, b: u32 }",
        &[("union", "use a struct")],
    );
}

#[test]
fn structs_without_fields() {
    for item in ["struct Empty;", "struct Empty {}", "struct Empty();"] {
        assert_errors(item, &[("Empty", "`Empty` has no bytes")]);
    }
}

#[test]
fn parameters() {
    let message = "write a struct without them";
    assert_errors("struct A<T>(T);", &[("<T>", message)]);
    assert_errors("struct A<'a>(&'a u8);", &[("<'a>", message)]);
    assert_errors(
        "struct A<const N: usize>([u8; N]);",
        &[("<const N: usize>", message)],
    );
}

#[test]
fn all_errors_are_told_at_once() {
    assert_errors(
        "#[mpisync(crate = a, crate = b)] enum State<T> { Open(T) }",
        &[
            ("enum", "an enum cannot travel"),
            ("crate = b", "keep one of the two"),
            ("<T>", "write a struct"),
        ],
    );
    let unknown = "#[mpisync(create = a)] struct A(u8);";
    assert_errors(unknown, &[("create", "takes `crate = …`")]);
}
