//! Names the dynamic library as programs load it, so that one with another interface can lie beside it.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmpisync_c.so.0");
}
