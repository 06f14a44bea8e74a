use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::mapping::Mapping;

#[test]
fn shared_memory_is_zero_and_goes_with_its_mappings() {
    let (one, name) = Mapping::create_shared(8192).expect("room for 8 KiB");
    let two = Mapping::open_shared(name, 8192).expect("just created");
    name.remove();
    assert!(Mapping::open_shared(name, 8192).is_err());
    assert_eq!(two.get::<AtomicU64>(8000).load(Ordering::Relaxed), 0);
    one.get::<AtomicU64>(8000).store(7, Ordering::Relaxed);
    assert_eq!(two.get::<AtomicU64>(8000).load(Ordering::Relaxed), 7);
}

#[test]
fn more_than_there_is_is_an_error() {
    assert!(Mapping::create_shared(1 << 50).is_err());
}
