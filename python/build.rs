//! Lets the module find the MPI that it is built with, wherever that lies: Python may load the module before mpi4py.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MPICC");
    // Without an MPI the build of the crate `mpi` says what is missing.
    let Ok(mpi) = build_probe_mpi::probe() else {
        return;
    };
    for directory in mpi.lib_paths {
        println!(
            "cargo::rustc-link-arg-cdylib=-Wl,-rpath,{}",
            directory.display()
        );
    }
}
