// Items in the memory of one process: use an array, or share them through a fence.
fn send<T: mpisync::Plain>(_: T) {}

fn main() {
    send(vec![1.0, 2.0]);
}
