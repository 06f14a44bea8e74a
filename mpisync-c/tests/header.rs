//! `include/mpisync.h` is what cbindgen makes of the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Set it to write the header anew.
const WRITE: &str = "MPISYNC_WRITE_HEADER";

#[test]
fn the_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_root_or_default(root);
    let builder = cbindgen::Builder::new().with_config(config);
    // In a fixed order; the modules without functions for C have nothing for the header.
    let sources = [
        "status",
        "process",
        "controller",
        "mutex",
        "semaphore",
        "counter",
        "barrier",
        "region",
        "channel",
        "batch",
    ];
    let source = |name| root.join(format!("src/{name}.rs"));
    for path in files(&root.join("src")) {
        let text = fs::read_to_string(&path).expect("it can be read");
        let has_functions = text.contains("#[unsafe(no_mangle)]");
        let is_listed = sources.iter().any(|name| source(name) == path);
        assert_eq!(has_functions, is_listed, "{path:?} and the list above");
    }
    let builder = sources
        .iter()
        .map(source)
        .fold(builder, cbindgen::Builder::with_src);
    let mut made = Vec::new();
    let bindings = builder.generate().expect("the sources can be read");
    bindings.write(&mut made);
    let made = for_c(&String::from_utf8(made).expect("it is UTF-8"));
    let path = root.join("include/mpisync.h");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &made).expect("it can be written");
    }
    let kept = fs::read_to_string(&path).expect("it is there");
    let differs = kept
        .lines()
        .zip(made.lines())
        .find(|(kept, made)| kept != made);
    assert!(
        kept == made,
        "the header is not what cbindgen makes now, for example {differs:?}; write it anew: {WRITE}=1 cargo test -p mpisync-c \
         --test header"
    );
}

/// The files of a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("it can be read");
    entries
        .map(|entry| entry.expect("it can be read").path())
        .collect()
}

/// The header without the marks of Rust's documentation.
fn for_c(header: &str) -> String {
    header
        .replace(" * # Safety\n * ", " * Required: ")
        .replace('`', "")
}

/// The Fortran module has all constants with their values, and all functions.
#[test]
fn the_fortran_module_is_complete() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        fs::read_to_string(path).expect("it is there")
    };
    let header = read("include/mpisync.h");
    let module = read("fortran/mpisync_interfaces.f90") + &read("fortran/mpisync.f90");
    let constants = (header.lines().map(str::trim))
        .filter(|line| line.starts_with("MPISYNC_") && line.contains(" = "));
    let constants: Vec<&str> = constants.map(|line| line.trim_end_matches(',')).collect();
    assert!(constants.contains(&"MPISYNC_TIMEOUT = 2"), "{constants:?}");
    for constant in constants {
        assert!(module.contains(&format!(":: {constant}\n")), "{constant}");
    }
    let functions = header.lines().filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        let name = before.rsplit([' ', '*']).next()?;
        let is_function = name.starts_with("mpisync_") && !line.starts_with(' ');
        is_function.then_some(name)
    });
    let functions: Vec<&str> = functions.collect();
    assert!(
        functions.contains(&"mpisync_controller_new"),
        "{functions:?}"
    );
    for function in functions {
        assert!(
            module.contains(&format!("function {function}(")),
            "{function}"
        );
    }
}
