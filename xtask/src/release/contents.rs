//! What a published package has to contain, and what not.

use std::path::Path;

/// The files that every package has.
const NEEDED: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Where the files of the workspace are on the web.
const FORGE: [&str; 2] = [
    "https://github.com/mpisync/mpisync/blob/main/",
    "https://github.com/mpisync/mpisync/tree/main/",
];

/// What is wrong with a package that has these files.
pub fn wrong<'a>(files: impl Iterator<Item = &'a str>) -> Vec<String> {
    let files: Vec<&str> = files.collect();
    let missing = NEEDED.iter().filter(|name| !files.contains(name));
    let missing = missing.map(|name| format!("{name} is missing"));
    let is_test = |file: &&&str| {
        file.split('/')
            .any(|part| ["tests", "tests.rs", "benches"].contains(&part))
    };
    let tests = files.iter().filter(is_test);
    let tests = tests.map(|file| format!("{file} is only for tests"));
    missing.chain(tests).collect()
}

/// The links of a README that do not work where the registry shows it: relative ones, and those to files that the workspace
/// below `root` does not have.
pub fn broken_links<'a>(readme: &'a str, root: &Path) -> Vec<&'a str> {
    let works = |link: &&str| match FORGE.iter().find_map(|forge| link.strip_prefix(forge)) {
        Some(path) => root.join(path.split('#').next().unwrap_or(path)).exists(),
        None => link.starts_with("https://") || link.starts_with('#'),
    };
    let mut links = links(readme);
    links.retain(|link| !works(link));
    links
}

/// What Markdown links to: the destinations in parentheses, and those of `[name]: destination`.
fn links(text: &str) -> Vec<&str> {
    let inline = text.split("](").skip(1).filter_map(|rest| {
        let end = rest.find([')', ' '])?;
        Some(&rest[..end])
    });
    let defined = text.lines().filter_map(|line| {
        let (_, destination) = line.strip_prefix('[')?.split_once("]: ")?;
        destination.split_whitespace().next()
    });
    inline.chain(defined).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::alone;
    use crate::release::published::published;
    use crate::workspace::Workspace;
    use std::fs;

    #[test]
    fn the_links_of_every_readme_work_on_the_registry() {
        let _alone = alone();
        let workspace = Workspace::find().unwrap();
        let mut wrong = Vec::new();
        for package in published(&workspace).unwrap() {
            let text = fs::read_to_string(&package.readme).unwrap();
            let broken = broken_links(&text, &workspace.root);
            let broken = broken.iter();
            wrong.extend(broken.map(|link| format!("{}: {link}", package.readme.display())));
        }
        let begin = FORGE[0];
        assert!(
            wrong.is_empty(),
            "these links are relative, or lead to no file; begin them with {begin}:\n{}",
            wrong.join("\n")
        );
    }

    #[test]
    fn links_are_found_and_judged() {
        let root = Workspace::find().unwrap().root;
        let text = "[a](docs/a.md) and [b](https://crates.io/b \"title\")\n[c]: #top\n";
        assert_eq!(links(text), ["docs/a.md", "https://crates.io/b", "#top"]);
        assert_eq!(broken_links(text, &root), ["docs/a.md"]);
        let right = format!("[a]({}README.md#limits)", FORGE[0]);
        assert!(broken_links(&right, &root).is_empty());
        let wrong = format!("[a]({}NO.md)", FORGE[1]);
        assert_eq!(broken_links(&wrong, &root).len(), 1);
    }

    #[test]
    fn a_package_has_licences_and_no_tests() {
        let right = ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"];
        assert!(wrong(right.into_iter().chain(["src/lib.rs"])).is_empty());
        let files = ["README.md", "LICENSE-MIT", "src/a/tests/b.rs", "tests/c.rs"];
        let expected = [
            "LICENSE-APACHE is missing",
            "src/a/tests/b.rs is only for tests",
            "tests/c.rs is only for tests",
        ];
        assert_eq!(wrong(files.into_iter()), expected);
    }
}
