//! Lists the programs in `fail` that would compile with a warning if they did not turn it into an
//! error.

use std::fs;

#[test]
fn warnings_made_errors_begin_with_unused() {
    let mut warnings = 0;
    for file in fs::read_dir("fail").expect("the directory of the programs") {
        let path = file.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().expect("a name").to_string_lossy();
        let text = fs::read_to_string(&path).expect("a readable file");
        let denies = text.contains("#![deny(");
        assert_eq!(
            denies,
            name.starts_with("unused_"),
            "{name}: a warning made an error has a name that begins with `unused_`"
        );
        warnings += usize::from(denies);
    }
    assert!(warnings > 0);
}
