//! Ctrl-C ends all that the task runner has started.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Stands for cargo: leaves a process in a session of its own, says which, and does not end.
const CARGO: &str = "#!/bin/sh
setsid sleep 1000 &
echo $! > \"$0.child\"
wait
";

#[test]
fn ctrl_c_leaves_no_process_and_exits_with_130() {
    let dir = std::env::temp_dir().join(format!("xtask-interrupt-{}", std::process::id()));
    fs::create_dir(&dir).unwrap();
    let cargo = dir.join("cargo");
    fs::write(&cargo, CARGO).unwrap();
    fs::set_permissions(&cargo, Permissions::from_mode(0o755)).unwrap();
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["test", "--only", "fmt"])
        .env("CARGO", &cargo)
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(dir.join("cargo.child")).unwrap_or_default();
    let begin = Instant::now();
    while !said().ends_with('\n') {
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "it has not begun"
        );
        thread::sleep(Duration::from_millis(10));
    }
    let child = said().trim().parse().unwrap();
    assert!(launcher::processes::is_running(child));

    let kill = format!("kill -INT {}", xtask.id());
    let killed = Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.unwrap().success());
    assert_eq!(xtask.wait().unwrap().code(), Some(130));
    assert!(!launcher::processes::is_running(child));
    fs::remove_dir_all(&dir).unwrap();
}
