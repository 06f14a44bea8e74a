//! Compiles the programs in `fail` and in `pass`, and runs the latter.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}

#[test]
fn use_compiles_and_works() {
    trybuild::TestCases::new().pass("pass/*.rs");
}
