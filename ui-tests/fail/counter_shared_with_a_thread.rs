// A counter used by two threads: let threads share it, `counter.shared()`.
use mpisync::Counter;

fn main() {
    let counter = Counter::<u32>::local();
    std::thread::scope(|scope| {
        scope.spawn(|| counter.next());
    });
}
