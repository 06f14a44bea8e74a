//! `include/mpisync.h` is what cbindgen makes of the sources.

use std::fs;
use std::path::Path;

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
    let builder = sources
        .into_iter()
        .map(source)
        .filter(|path| path.exists())
        .fold(builder, cbindgen::Builder::with_src);
    let mut made = Vec::new();
    let bindings = builder.generate().expect("the sources can be read");
    bindings.write(&mut made);
    let made = String::from_utf8(made).expect("it is UTF-8");
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
