//! Compiles the programs in `fail` and in `pass`, and runs the latter.

/// All in one set: `trybuild` builds the library for each set anew. Since some programs have to run, it builds all of them, and
/// so it sees the errors in `fail/when_built` too, which occur only when code is generated.
#[test]
fn misuse_does_not_compile_and_use_works() {
    let tests = trybuild::TestCases::new();
    tests.compile_fail("fail/*.rs");
    tests.compile_fail("fail/when_built/*.rs");
    tests.pass("pass/*.rs");
}
