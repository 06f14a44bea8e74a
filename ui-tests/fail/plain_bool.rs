// A type with bits that are no value: use a `u8`, and compare it with 0.
fn send<T: mpisync::Plain>(_: T) {}

fn main() {
    send(true);
}
