// A tuple, whose layout is unspecified: use a struct with the derive.
fn send<T: mpisync::Plain>(_: T) {}

fn main() {
    send((1_u32, 2_u32));
}
