use crate::shm::process::Process;
use crate::shm::system::process_state;

#[test]
fn this_process_lives_and_an_ended_one_does_not() {
    let this = Process::this();
    assert!(this.born > 0 && this.is_alive());
    assert!(
        !Process {
            born: this.born + 1,
            ..this
        }
        .is_alive()
    );
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .expect("sleep");
    let (_, born) = process_state(child.id()).expect("it runs");
    let process = Process {
        id: child.id(),
        born,
    };
    assert!(process.is_alive());
    child.kill().expect("a child of ours");
    // A zombie first, then gone.
    while process.is_alive() {
        std::thread::yield_now();
    }
    child.wait().expect("a child of ours");
    assert!(!process.is_alive());
}
