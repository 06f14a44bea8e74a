// References into the memory of one process: send what they refer to, an array for a text.
fn send<T: mpisync::Plain>(_: T) {}

fn main() {
    send("text");
    send(&1.5_f64);
}
