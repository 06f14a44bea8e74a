//! Compares the page on misuse in the documentation with the tests that it names.
//!
//! `MISUSE=overwrite cargo test -p mpisync-ui-tests --test misuse` updates the table of compile
//! errors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "../mpisync/src/guide/misuse.md";
const BEGIN: &str = "<!-- compile errors: begin -->\n";
const END: &str = "<!-- compile errors: end -->";

/// The table of compile errors: the first comment of each program in `fail`, and the program's name.
fn compile_errors() -> String {
    let mut table =
        "| misuse: what to write instead | `ui-tests/fail` |\n| --- | --- |\n".to_owned();
    for (name, text) in programs() {
        let comment: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//"))
            .map(str::trim)
            .collect();
        let comment = comment.join(" ");
        assert!(!comment.is_empty(), "{name}.rs begins with a comment");
        assert!(
            comment.contains(": "),
            "the comment of {name}.rs has the form `what is wrong: what to write instead`: {comment}"
        );
        let comment = comment.replace('|', "\\|");
        table.push_str(&format!("| {comment} | `{name}` |\n"));
    }
    table
}

/// The programs in `fail`, by name.
fn programs() -> BTreeMap<String, String> {
    let files = sources(Path::new("fail"));
    let by_name = files.into_iter().map(|file| {
        let below = file.strip_prefix("fail").expect("it is in there");
        let name = below.with_extension("").display().to_string();
        (name, fs::read_to_string(&file).expect("a readable file"))
    });
    by_name.collect()
}

/// The Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of the workspace") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn page() -> String {
    fs::read_to_string(PAGE).expect("the page on misuse")
}

#[test]
fn compile_errors_are_those_of_the_programs() {
    let page = page();
    let begin = page.find(BEGIN).expect("a mark where the table begins") + BEGIN.len();
    let end = page.find(END).expect("a mark where the table ends");
    let table = compile_errors();
    if std::env::var_os("MISUSE").is_some_and(|value| value == "overwrite") {
        let page = format!("{}{table}{}", &page[..begin], &page[end..]);
        return fs::write(PAGE, page).expect("a writable page");
    }
    assert_eq!(
        &page[begin..end],
        table,
        "MISUSE=overwrite writes the table anew"
    );
}

#[test]
fn every_other_row_says_what_happens_and_names_its_tests() {
    let sources: Vec<String> = (sources(Path::new("../tests/tests")).into_iter())
        .chain(sources(Path::new("../mpisync")))
        .chain(sources(Path::new("../mpisync-cli")))
        .chain(sources(Path::new("../mpisync-macros")))
        .chain(sources(Path::new("tests")))
        .map(|file| fs::read_to_string(file).expect("a readable file"))
        .collect();
    let exists = |name: &str| {
        // A test with ranks that is not registered does not compile.
        let function = format!("fn {name}(");
        let is_there = |text: &String| text.contains(&function);
        sources.iter().any(is_there) || Path::new("fail").join(name).with_extension("rs").exists()
    };
    let page = page();
    let (_, rest) = page.split_once(END).expect("a mark where the table ends");
    let rows = rest.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<Vec<&str>> = rows
        .map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
        .filter(|row: &Vec<&str>| !["misuse", "---"].contains(&row[0]))
        .collect();
    assert!(rows.len() > 20, "the page has rows: {}", rows.len());
    for row in rows {
        let [misuse, outcome, tests] = row[..] else {
            panic!("a row of three columns: {row:?}");
        };
        let known = ["error at run time: ", "panic: ", "documented: "];
        assert!(
            known.iter().any(|kind| outcome.starts_with(kind)),
            "{misuse}: {outcome}: begins with one of {known:?}"
        );
        for word in ["hang", "wrong data", "undefined"] {
            assert!(!outcome.contains(word), "{misuse}: {outcome}: {word}");
        }
        for name in tests.split(", ") {
            let name = name.trim_matches('`');
            assert!(exists(name), "{misuse}: there is no test {name}");
        }
    }
}
