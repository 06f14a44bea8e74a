// The value kept after the lock is released: copy it, `let value = *guard;`.
use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local_with([1u32; 4]);
    let value = {
        let guard = mutex.lock();
        &guard[0]
    };
    println!("{value}");
}
