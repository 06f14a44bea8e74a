//! The library's folders are on floors: a file imports from its own folder and from those below it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders and single files of the library, from the ground up.
const FLOORS: [&str; 26] = [
    "fingerprint",
    "location",
    "span",
    "error",
    "environment",
    "plain",
    "transport",
    "shm",
    "rsmpi",
    "net",
    "rendezvous",
    "object",
    "share",
    "rwlock",
    "collective",
    "wait_queue",
    "inspect",
    "channel",
    "region",
    "guarded",
    "sync",
    "lock_all",
    "batch",
    "thread",
    "prelude",
    "guide",
];

/// Other files name the exports of the crate's root by full paths.
const ROOT: &str = "lib";

#[test]
fn no_file_imports_from_a_higher_floor() {
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        let folder = folder_of(&file);
        if folder == ROOT {
            continue;
        }
        let floor = floor_of(&folder);
        for (line, path) in imports(&text) {
            let from = path.split("::").next().unwrap_or_default();
            if floor_of(from) > floor {
                let file = file.display();
                wrong.insert(format!("{file}:{line}: `{folder}` imports `crate::{path}`"));
            }
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_layout_is_imported_by_its_own_folder_only() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let folder = folder_of(&file);
        for (line, path) in imports(&text) {
            let from = path.split("::").next().unwrap_or_default();
            // Layouts are built with `shm::layout`.
            let is_layout = path.split("::").any(|part| part == "layout") && from != "shm";
            if is_layout && from != folder {
                let file = file.display();
                wrong.push(format!("{file}:{line}: `{folder}` imports `crate::{path}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_has_its_floor() {
    let folders: BTreeSet<String> = sources().iter().map(|(file, _)| folder_of(file)).collect();
    let known: BTreeSet<String> = FLOORS
        .into_iter()
        .chain([ROOT])
        .map(str::to_owned)
        .collect();
    assert_eq!(folders, known);
}

/// The files of the library with their texts, by path from its `src`.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory of the sources") {
            let path = entry.expect("an entry").path();
            let relative = path.strip_prefix(&root).expect("below the root");
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                sources.push((relative.to_owned(), text));
            }
        }
    }
    assert!(sources.len() > 100, "all files are found");
    sources
}

/// The folder below `src`, or the single file there.
fn folder_of(file: &Path) -> String {
    let first = file.iter().next().expect("a path with a part");
    let first = first.to_str().expect("a name in UTF-8");
    first.trim_end_matches(".rs").to_owned()
}

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|known| *known == folder)
}

/// The paths from the crate's root in a file, without those in comments, and their lines.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut imports = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for rest in code.split("crate::").skip(1) {
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
            imports.push((index + 1, rest[..end].trim_end_matches(':').to_owned()));
        }
    }
    imports
}

/// Private words for things with a name in the literature; the standard word is beside each.
const NOT_STANDARD: [(&str, &str); 28] = [
    ("agent", "server"),
    ("alarm", "timer"),
    ("annex", "layout, or the object's memory"),
    ("ballot", "vote"),
    ("bell", "futex word"),
    ("board", "arrival slot"),
    ("bury", "reclaim"),
    ("deputy", "server"),
    ("door", "gate"),
    ("drowsy", "sleep announced"),
    ("desk", "pending requests"),
    ("entrance", "gate"),
    ("errand", "service"),
    ("gathering", "dissemination barrier"),
    ("heir", "successor"),
    ("hub", "network"),
    ("hunger", "wanted messages"),
    ("inheritance", "on death"),
    ("ledger", "task table"),
    ("outpost", "node proxy"),
    ("seat", "local rank, or slot"),
    ("seats", "local ranks, or slots"),
    ("shelf", "the object's memory"),
    ("slip", "vote slot"),
    ("station", "qnode"),
    ("thirst", "wanted credits"),
    ("tier", "global lock"),
    ("ward", "service"),
];

#[test]
fn words_are_the_standard_ones() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            for word in words(line) {
                let found = NOT_STANDARD.iter().find(|(banned, _)| *banned == word);
                if let Some((banned, standard)) = found {
                    let (file, line) = (file.display(), index + 1);
                    wrong.push(format!("{file}:{line}: `{banned}`: say {standard}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The words of a line in lower case; names in snake case and camel case are split.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in line.chars() {
        let begins = c.is_uppercase() && was_lower;
        if !c.is_alphabetic() || begins {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            let last = words.last_mut().expect("there is one at least");
            last.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words
}

#[test]
fn a_name_is_taken_apart() {
    let words = words("fn rank_of_agent(LockAgent, magenta)");
    assert_eq!(words.iter().filter(|word| *word == "agent").count(), 2);
}
