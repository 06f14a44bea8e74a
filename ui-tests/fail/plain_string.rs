// A text in the memory of one process: use an array such as `[u8; 32]`, or share it through a fence.
fn send<T: mpisync::Plain>(_: T) {}

fn main() {
    send(String::from("text"));
}
