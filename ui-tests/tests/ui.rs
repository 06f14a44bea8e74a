//! Compiles the programs in `fail` and in `pass`, and runs the latter.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("fail/*.rs");
}

#[test]
fn use_compiles_and_works() {
    trybuild::TestCases::new().pass("pass/*.rs");
}

/// Errors that occur only when code is generated. If one program has to pass, `trybuild` does not
/// stop before.
#[test]
fn misuse_does_not_build() {
    let tests = trybuild::TestCases::new();
    tests.pass("pass/mutex_nests.rs");
    tests.compile_fail("fail/when_built/*.rs");
}
