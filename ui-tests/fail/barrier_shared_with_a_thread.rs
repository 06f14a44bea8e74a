// A barrier that two threads of a rank wait at: one thread of each rank waits, and the others wait for it.
use mpisync::Barrier;

fn main() {
    let barrier = Barrier::local();
    std::thread::scope(|scope| {
        scope.spawn(|| barrier.wait());
    });
}
