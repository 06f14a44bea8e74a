// A shared value requested in another thread: request it in the rank's own thread, and lend the value.
use mpisync::OnceShared;

fn main() {
    let token = OnceShared::<String>::local();
    std::thread::scope(|scope| {
        scope.spawn(|| token.get().is_some());
    });
}
