// A barrier at which two threads of a rank wait: let one thread of each rank wait for the others.
use mpisync::Barrier;

fn main() {
    let barrier = Barrier::local();
    std::thread::scope(|scope| {
        scope.spawn(|| barrier.wait());
    });
}
