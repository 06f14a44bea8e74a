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
    let id = rustix::process::Pid::from_raw(child.id() as i32).expect("a child of ours");
    let signal = |signal| rustix::process::kill_process(id, signal).expect("a child of ours");
    let is_stopped = || process.activity().expect("it is visible").is_stopped();
    assert!(!is_stopped());
    signal(rustix::process::Signal::STOP);
    while !is_stopped() {
        std::thread::yield_now();
    }
    signal(rustix::process::Signal::CONT);
    while is_stopped() {
        std::thread::yield_now();
    }
    child.kill().expect("a child of ours");
    // A zombie first, then gone.
    while process.is_alive() {
        std::thread::yield_now();
    }
    child.wait().expect("a child of ours");
    assert!(!process.is_alive());
}
