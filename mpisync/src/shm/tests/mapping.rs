use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::liveness::Liveness;
use crate::shm::mapping::{Handle, Mapping, sweep_directory};
use crate::shm::process::Process;
use crate::shm::system;
use std::fs;

#[test]
fn a_lock_in_shared_memory_shows_who_lives() {
    let (one, file) = Mapping::create_shared(4096, 4096).expect("room for 4 KiB");
    let mine = Liveness::new(file.descriptor().expect("a duplicate"));
    let (_two, other) = Mapping::open_shared(file.handle(), 4096).expect("just created");
    let other = Liveness::new(other);
    assert!(!other.is_held(3));
    mine.hold(3).expect("nobody else holds it");
    assert!(other.is_held(3) && !other.is_held(4));
    // The descriptors and the mapping of a process are of one description, which has the lock.
    drop((mine, file));
    assert!(other.is_held(3));
    drop(one);
    assert!(!other.is_held(3));
}

#[test]
fn shared_memory_is_zero_and_goes_with_its_mappings() {
    let (one, file) = Mapping::create_shared(8192, 8192).expect("room for 8 KiB");
    let handle = Handle::from_words(file.handle().to_words());
    assert_eq!(handle, file.handle());
    let (two, _) = Mapping::open_shared(handle, 8192).expect("just created");
    drop(file);
    assert!(Mapping::open_shared(handle, 8192).is_err());
    assert_eq!(two.get::<AtomicU64>(8000).load(Ordering::Relaxed), 0);
    one.get::<AtomicU64>(8000).store(7, Ordering::Relaxed);
    assert_eq!(two.get::<AtomicU64>(8000).load(Ordering::Relaxed), 7);
}

#[test]
fn shared_memory_may_have_a_name() {
    let (one, mut file) = Mapping::create_shared(4096, 4096).expect("room for 4 KiB");
    file.give_name().expect("/dev/shm has room for a name");
    let handle = Handle::from_words(file.handle().to_words());
    assert!(handle.is_named());
    one.get::<AtomicU64>(0).store(7, Ordering::Relaxed);
    let (two, _) = Mapping::open_shared(handle, 4096).expect("it has a name");
    assert_eq!(two.get::<AtomicU64>(0).load(Ordering::Relaxed), 7);
    drop(file);
    assert!(Mapping::open_shared(handle, 4096).is_err());
}

#[test]
fn the_descriptor_of_something_else_is_not_opened() {
    let (_one, file) = Mapping::create_shared(4096, 4096).expect("room for 4 KiB");
    let mut words = file.handle().to_words();
    words[1] ^= 1;
    assert!(Mapping::open_shared(Handle::from_words(words), 4096).is_err());
}

#[test]
fn more_than_there_is_is_an_error() {
    assert!(Mapping::create_shared(1 << 50, 1 << 50).is_err());
}

#[test]
fn memory_is_allocated_when_it_is_populated() {
    const LENGTH: usize = 4 << 20;
    let (one, file) = Mapping::create_shared(LENGTH, 4096).expect("room for 4 KiB");
    assert!(file.allocated() < 64 << 10);
    // SAFETY: the memory is known here only.
    unsafe { one.populate(8192, 1 << 20) }.expect("room for 1 MiB");
    assert!((1 << 20..2 << 20).contains(&file.allocated()));
    assert_eq!(one.get::<AtomicU64>(8192).load(Ordering::Relaxed), 0);
}

#[test]
fn names_of_dead_processes_are_swept() {
    let directory = std::env::temp_dir().join(format!("mpisync-sweep-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let this = Process::this();
    let namespace = system::pid_namespace().expect("Linux has namespaces");
    let name = |born: u64, namespace: u64| format!("mpisync-{}-{born}-{namespace}-1f", this.id);
    let alive = name(this.born, namespace);
    let dead = name(this.born - 1, namespace);
    let elsewhere = name(this.born - 1, namespace - 1);
    for name in [&alive, &dead, &elsewhere, "another"] {
        fs::write(directory.join(name), "").expect("a file");
    }
    sweep_directory(&directory).expect("it can be read");
    let is_there = |name: &str| directory.join(name).exists();
    assert!(is_there(&alive) && is_there(&elsewhere) && is_there("another"));
    assert!(!is_there(&dead));
    fs::remove_dir_all(&directory).expect("made by the test");
}
