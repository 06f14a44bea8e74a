//! Checks that the code and the compiler messages in the README and in the guide's chapter on
//! misuse exist.

const README: &str = include_str!("../../README.md");
const MISUSE: &str = include_str!("../../mpisync/src/guide/misuse.md");

/// The blocks of this language in a page: the text between a line of three backticks with the
/// language's name and the next line of three backticks.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let start = format!("\n```{language}\n");
    let mut blocks = Vec::new();
    for part in page.split(start.as_str()).skip(1) {
        let (block, _) = part.split_once("\n```\n").expect("the block has an end");
        blocks.push(block);
    }
    blocks
}

#[test]
fn the_first_code_is_the_quickstart() {
    let quickstart = include_str!("bin/quickstart.rs");
    let (docs, code) = quickstart
        .split_once("\n\n")
        .expect("a doc comment, then code");
    assert!(docs.lines().all(|line| line.starts_with("//!")));
    assert_eq!(blocks(README, "rust")[0], code.trim_end());
}

#[test]
fn the_compilers_words_are_those_of_the_ui_tests() {
    let words = [
        include_str!("../../ui-tests/fail/write_while_reading.stderr"),
        include_str!("../../ui-tests/fail/write_in_the_excluded_branch.stderr"),
        include_str!("../../ui-tests/fail/collective_in_a_single_write.stderr"),
    ];
    assert_eq!(blocks(MISUSE, "text"), words.map(str::trim_end));
}
