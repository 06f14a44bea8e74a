// A guard moved to another thread: keep it, and lend the thread the value.
use mpisync::Mutex;

fn main() {
    let mut mutex = Mutex::local_with(1u32);
    let guard = mutex.lock();
    std::thread::scope(|scope| {
        scope.spawn(move || println!("{}", *guard));
    });
}
