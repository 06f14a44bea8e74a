//! Files in the directory that no job has made: links, FIFOs, files that are too long or have wrong
//! dates.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::tests::*;
use std::os::unix::fs::symlink;
use std::time::Instant;

/// An item that must not be opened in the place of a file.
const STRANGE: [&str; 4] = ["link", "link to nothing", "FIFO", "directory"];

impl Scratch {
    /// Puts one of these in the place of `file`; `target` is the target of the link.
    fn put(&self, what: &str, file: &str, target: &Path) {
        let path = self.path(file);
        let _there_may_be_none = fs::remove_file(&path);
        match what {
            "link" => symlink(target, path),
            "link to nothing" => symlink(self.path("nothing"), path),
            "directory" => fs::create_dir(path),
            "FIFO" => {
                let mode = rustix::fs::Mode::from_raw_mode(0o666);
                let kind = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).map_err(Into::into)
            }
            other => panic!("{other}"),
        }
        .expect("there is room");
    }
}

#[test]
fn links_fifos_and_directories_are_not_taken_for_files() {
    for what in STRANGE {
        for file in ["state", "claim.1", "claim.2"] {
            let scratch = Scratch::with_tasks(2);
            let job = scratch.job();
            let target = scratch.path("target");
            scratch.write("target", "DONE\n");
            if file == "claim.2" {
                drop(mine(job.claim(0, NONE).expect("it is open")));
            }
            scratch.put(what, &format!("task_000/{file}"), &target);
            let start = Instant::now();
            let error = job.claim(0, ALL).expect_err("it is no file");
            assert!(
                matches!(&error, DirectoryError::NotAFile { path } if path.ends_with(file)),
                "{what} {file}: {error}"
            );
            let flaw = job.flaw(0).expect("others see it, too");
            assert!(matches!(flaw, DirectoryError::NotAFile { .. }), "{flaw}");
            assert_eq!(job.flaw(1).map(|error| error.to_string()), None);
            assert!(start.elapsed() < Duration::from_secs(5), "nobody waits");
            assert_eq!(scratch.read("target").as_deref(), Some("DONE\n"));
            drop(mine(job.claim(1, NONE).expect("the other one is fine")));
            Directory::create(&scratch.0, &names(2), quick()).expect("it is left alone");
        }
    }
}

#[test]
fn a_state_that_is_no_file_is_replaced_where_it_is_set() {
    for what in ["link", "link to nothing", "FIFO"] {
        let scratch = Scratch::with_tasks(1);
        scratch.write("target", "DONE\n");
        scratch.put(what, "task_000/state", &scratch.path("target"));
        let job = scratch.job();
        job.set(0, State::Failed).expect("it is replaced");
        assert_eq!(job.state(0).expect("it is a file"), State::Failed);
        assert_eq!(scratch.read("target").as_deref(), Some("DONE\n"), "{what}");
    }
}

/// Names that jobs used to write to, and that pshmem still does.
#[test]
fn files_of_fixed_names_are_not_written_into() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    scratch.write("target", "of somebody");
    for name in ["state.temp", "reason.temp"] {
        scratch.put("link", &format!("task_000/{name}"), &scratch.path("target"));
    }
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    claim
        .settle(State::Failed, Some("why"))
        .expect("it is this job's");
    assert_eq!(scratch.read("target").as_deref(), Some("of somebody"));
    assert_eq!(job.reason(0).as_deref(), Some("why"));
}

#[test]
fn the_reason_is_no_more_than_that() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    let long = "é".repeat(100_000);
    claim
        .settle(State::Failed, Some(&long))
        .expect("it is this job's");
    let kept = scratch.read("task_000/reason").expect("it is there");
    assert!((64 * 1024 - 3..=64 * 1024).contains(&kept.len()));
    let (start, end) = kept.split_once(" … ").expect("the middle is left out");
    assert!(long.starts_with(start) && long.ends_with(end));
    assert_eq!(job.reason(0), Some(kept));
    // A file with a length and no contents: it is not read in full.
    let huge = File::create(scratch.path("task_000/reason")).expect("there is room");
    huge.set_len(1 << 40).expect("there is room");
    assert_eq!(job.reason(0).expect("some of it").len(), 64 * 1024);
    for what in STRANGE {
        scratch.write("target", "secret");
        scratch.put(what, "task_000/reason", &scratch.path("target"));
        assert_eq!(job.reason(0), None, "{what}");
    }
    let error = job.claim(0, ALL).expect_err("it cannot be removed");
    assert!(matches!(error, DirectoryError::NotAFile { .. }), "{error}");
}

#[test]
fn a_folder_that_is_a_link_is_none() {
    let (scratch, elsewhere) = (Scratch::with_tasks(2), Scratch::with_tasks(1));
    fs::remove_dir_all(scratch.path("task_000")).expect("it is there");
    symlink(elsewhere.path("task_000"), scratch.path("task_000")).expect("there is room");
    let job = scratch.job();
    let folder = scratch.path("task_000");
    for error in [
        job.state(0).expect_err("a link"),
        job.claim(0, ALL).expect_err("a link"),
        job.set(0, State::Done).expect_err("a link"),
        job.flaw(0).expect("a link"),
        Directory::create(&scratch.0, &names(2), quick())
            .expect("the other one is fine")
            .flaw(0)
            .expect("a link"),
    ] {
        assert!(
            matches!(&error, DirectoryError::NotADirectory { path } if *path == folder),
            "{error}"
        );
    }
    assert_eq!(elsewhere.files("task_000"), ["state"]);
    // The path of the directory itself may have links in it.
    let link = elsewhere.path("link");
    symlink(&scratch.0, &link).expect("there is room");
    let job = Directory::open(&link, quick()).expect("it leads there");
    drop(mine(job.claim(1, NONE).expect("it is open")));
}

#[test]
fn a_claim_from_the_future_dies_when_nobody_renews_it() {
    let scratch = Scratch::with_tasks(1);
    let soon = Duration::from_millis(300);
    let job = scratch.job_with(quick().stale_after(soon));
    scratch.write("task_000/claim.1", "");
    scratch.write("task_000/state", "RUNNING\n");
    let ahead = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    scratch.set_time("task_000/claim.1", ahead(3600));
    let _ = taken(job.claim(0, NONE).expect("it is taken")).expect("by somebody");
    std::thread::sleep(soon);
    // It is renewed, so its job is alive and has a wrong clock.
    scratch.set_time("task_000/claim.1", ahead(3601));
    let _ = taken(job.claim(0, NONE).expect("it is taken")).expect("by somebody");
    std::thread::sleep(soon);
    let (claim, was) = mine(job.claim(0, NONE).expect("nobody has renewed it"));
    assert_eq!((was, claim.number), (State::Running, 2));
}

#[test]
fn a_state_is_set_by_force_though_somebody_lives() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    let error = job.set(0, State::Open).expect_err("it runs");
    assert!(error.to_string().contains("--force"), "{error}");
    assert!(
        !job.force(0, State::Open, |_| false)
            .expect("it is looked at")
    );
    assert_eq!(scratch.files("task_000"), ["claim.1", "state"]);
    assert_eq!(job.state(0).expect("it is there"), State::Running);
    claim
        .settle(State::Open, None)
        .expect("it is left as it was");
    let (claim, _) = mine(scratch.job().claim(0, NONE).expect("nobody has it"));
    assert!(job.force(0, State::Open, |_| true).expect("it is set"));
    assert_eq!(job.state(0).expect("it is there"), State::Open);
    let error = claim.settle(State::Done, None).expect_err("it is lost");
    assert!(matches!(error, DirectoryError::Lost { .. }), "{error}");
    drop(mine(job.claim(0, NONE).expect("it is open")));
}

#[test]
fn nobody_is_dead_at_once() {
    let scratch = Scratch::with_tasks(1);
    for time in [Duration::ZERO, Duration::from_millis(9)] {
        let options = quick().stale_after(time);
        for error in [
            Directory::create(&scratch.0, &names(1), options.clone()).expect_err("too short"),
            Directory::open(&scratch.0, options).expect_err("too short"),
        ] {
            assert!(
                matches!(error, DirectoryError::StaleAfter { .. }),
                "{error}"
            );
            assert!(error.to_string().contains("stale_after"), "{error}");
        }
    }
}

#[test]
fn what_people_see_has_no_control_characters() {
    let scratch = Scratch::with_tasks(1);
    let name = "a\u{1b}[2J\u{9b}31m\nb";
    fs::create_dir(scratch.path(name)).expect("there is room");
    scratch.write(&format!("{name}/state"), "\u{1b}[2J\n");
    scratch.write(
        &format!("{name}/claim.1"),
        "host \u{1b}[2J\nboot b\nnamespace n\npid 7\nborn 8\n",
    );
    let job = scratch.job();
    let said = job.state(0).expect_err("no state").to_string();
    let by = job.claimant(0).expect("it is read").expect("somebody");
    for said in [said, by.to_string(), by.host] {
        assert!(!said.contains(char::is_control), "{said:?}");
    }
}

/// Puts something that is not a task's folder in its place.
#[test]
fn a_file_in_the_place_of_a_folder_concerns_one_task() {
    let scratch = Scratch::with_tasks(3);
    fs::remove_dir_all(scratch.path("task_001")).expect("it is there");
    scratch.write("task_001", "DONE\n");
    let job = Directory::create(&scratch.0, &names(3), quick()).expect("the others are fine");
    let flaw = job.flaw(1).expect("it is no folder");
    assert!(
        matches!(flaw, DirectoryError::NotADirectory { .. }),
        "{flaw}"
    );
    assert_eq!(scratch.read("task_001").as_deref(), Some("DONE\n"));
    drop(mine(job.claim(2, NONE).expect("it is open")));
}

#[test]
fn an_invalid_task_that_cannot_be_opened_concerns_one_task() {
    let scratch = Scratch::with_tasks(2);
    scratch.write("task_000/state", "INVALID\n");
    scratch.put("link", "task_000/claim.1", &scratch.path("task_001/state"));
    let job = Directory::create(&scratch.0, &names(2), quick()).expect("the other is fine");
    let flaw = job.flaw(0).expect("its claim is no file");
    assert!(matches!(flaw, DirectoryError::NotAFile { .. }), "{flaw}");
}

#[test]
fn what_may_not_be_read_concerns_one_task() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        // Root may do anything.
        return;
    }
    for path in ["task_000/state", "task_000"] {
        let scratch = Scratch::with_tasks(2);
        let set = |path: &str, mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(scratch.path(path), mode).expect("it is ours");
        };
        set(path, 0o000);
        let job = Directory::create(&scratch.0, &names(2), quick()).expect("the other is fine");
        let flaw = job.flaw(0).expect("it cannot be read");
        assert!(matches!(flaw, DirectoryError::Permission { .. }), "{flaw}");
        drop(mine(job.claim(1, NONE).expect("it is open")));
        set(path, 0o755);
        assert_eq!(job.flaw(0).map(|error| error.to_string()), None);
    }
}

/// Also where the directory itself may not be read any more: then it is not known of any task.
#[test]
fn permissions_of_the_whole_directory_are_no_flaw_of_a_task() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    let denied = |path, action| DirectoryError::Permission { path, action };
    let state = scratch.path("task_000/state");
    assert!(job.is_flaw(0, &denied(state.clone(), "read")));
    assert!(!job.is_flaw(0, &denied(state.clone(), "replace")));
    assert!(!job.is_flaw(0, &denied(scratch.0.clone(), "open")));
    fs::rename(&scratch.0, scratch.0.with_extension("moved")).expect("it is there");
    let is_flaw = job.is_flaw(0, &denied(state, "read"));
    fs::rename(scratch.0.with_extension("moved"), &scratch.0).expect("it is there");
    assert!(!is_flaw);
}
