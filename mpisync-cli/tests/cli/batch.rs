//! The program `mpisync-batch`, on real directories with real jobs.

use crate::survey::{BATCH, CLAIM_IN, Job, Survey, Told, claim, plain, program, quick, settle};
use mpisync::batch::State;
use mpisync::batch::directory::Directory;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// The work of a [`Job`]; does nothing when it is run as a test.
#[test]
fn another_process() {
    if let Some(directory) = std::env::var_os(CLAIM_IN) {
        let job = Directory::open(directory, quick()).expect("it is there");
        let _claims = [claim(&job, 0), claim(&job, 1)];
        println!("claimed");
        thread::sleep(Duration::from_secs(600));
    }
}

#[test]
fn a_status_has_all_counts_and_says_by_its_exit_code_what_they_mean() {
    use State::{Done, Failed, Invalid, Open, Running};
    for (states, code) in [
        (&[Done, Done][..], 0),
        (&[Done, Failed], 4),
        (&[Done, Invalid], 4),
        (&[Done, Failed, Open], 3),
        (&[Done, Running], 3),
    ] {
        Survey::of(states).run(&["status"]).expect(code);
    }
    let survey = Survey::of(&[Done, Done, Done, Failed, Failed, Running, Open, Invalid]);
    let told = survey.run(&["status"]).expect(3);
    let first = format!("{}: 8 tasks", survey.0.display());
    for line in [&first, "  t7  its state says so"] {
        assert!(told.has(line), "{line}\n{}", told.out);
    }
    for (start, end) in [
        ("  # DONE             3   37.5 %  last ", " s ago"),
        ("  x FAILED           2   25.0 %  last ", " s ago"),
        ("  > RUNNING          1   12.5 %  longest for ", " s"),
        ("  . OPEN             1   12.5 %", "%"),
        ("  ! INVALID          1   12.5 %", "%"),
        ("  t5  for ", " s  no job that is known to live"),
        ("  t4  ", r" s ago  no input\nfor 4\tof\\n"),
        ("  [#", "!]"),
    ] {
        assert!(told.has_like(start, end), "{start} {end}\n{}", told.out);
    }
    assert_eq!(told.errors, "");
}

#[test]
fn a_state_that_cannot_be_read_is_invalid_and_nothing_to_stop_for() {
    let survey = Survey::of(&[State::Done; 3]);
    survey.write("t0/state", "DO");
    survey.write("t1/state", "SLEEPING\n");
    let told = survey.run(&["status"]).expect(4);
    assert!(
        told.has_like("  # DONE             1 ", "ago"),
        "{}",
        told.out
    );
    assert!(told.out.contains("t0  ") && told.out.contains("is half written"));
    assert!(told.out.contains(r#"says "SLEEPING""#), "{}", told.out);
    let listed = survey.run(&["list", "--state", "invalid"]).expect(0);
    assert_eq!(listed.out, "t0\nt1\n");
    let told = survey.run(&["reset", "--invalid"]).expect(0);
    assert_eq!(told.out, "2 set to OPEN, 0 left alone\n");
    assert_eq!(
        (survey.state(0), survey.state(1)),
        (State::Open, State::Open)
    );
}

#[test]
fn a_status_shows_so_many_and_says_how_many_more() {
    let states = [[State::Running; 25], [State::Failed; 25]].concat();
    let survey = Survey::of(&states);
    // The tasks that failed last are not the last in order.
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    for task in 30..50 {
        let state = fs::File::open(survey.0.join(format!("t{task}/state"))).expect("it is there");
        state.set_modified(hour_ago).expect("it is one's own");
    }
    let told = survey.run(&["status"]).expect(3);
    let count = |text: &str| told.out.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("no job that is known to live"), 20, "{}", told.out);
    assert_eq!(count("no input"), 10, "{}", told.out);
    for task in 25..30 {
        assert_eq!(count(&format!("for {task}\\t")), 1, "{}", told.out);
    }
    assert!(told.has("  and 5 more") && told.has("  and 15 more"));
}

#[test]
fn a_status_in_json_has_everything() {
    use State::{Done, Failed, Running};
    let survey = Survey::of(&[Done, Failed, Running, State::Open, Done]);
    survey.write("t4/state", "");
    let job = survey.job();
    let claim = claim(&job, 3);
    let told = survey.run(&["status", "--json"]).expect(3);
    let found: serde_json::Value = serde_json::from_str(&told.out).expect("it is JSON");
    assert_eq!((&found["schema"], &found["total"]), (&1.into(), &5.into()));
    assert_eq!(found["summary"]["running"], 2);
    let tasks = found["tasks"].as_array().expect("a list");
    let states = tasks
        .iter()
        .map(|task| task["state"].as_str().expect("a word"));
    let states: Vec<&str> = states.collect();
    assert_eq!(states, ["DONE", "FAILED", "RUNNING", "RUNNING", "INVALID"]);
    assert_eq!(tasks[1]["name"], "t1");
    assert_eq!(tasks[1]["reason"], "no input\nfor 1\tof\\n");
    assert!(tasks[2]["by"].is_null());
    assert_eq!(tasks[3]["by"]["pid"], std::process::id());
    assert!(tasks[3]["by"]["heartbeat_age"].as_f64() < Some(60.0));
    let problem = tasks[4]["problem"].as_str().expect("it is text");
    assert!(problem.contains("half written"));
    assert!(tasks[4]["since"].is_null());
    let age = found["time"].as_f64().zip(tasks[0]["since"].as_f64());
    let age = age.map(|(now, since)| now - since).expect("numbers");
    assert!((-1.0..60.0).contains(&age), "{age}");
    drop(claim);
}

#[test]
fn what_a_living_job_runs_is_shown_and_left_alone_until_it_is_killed() {
    let survey = Survey::of(&[State::Open, State::Open, State::Running, State::Failed]);
    let job = Job::in_directory(&survey.0);
    let who = format!("process {} on ", job.0.id());
    let told = survey.run(&["status"]).expect(3);
    assert_eq!(told.out.matches(&who).count(), 2, "{}", told.out);
    assert!(told.out.contains("(last heartbeat "), "{}", told.out);

    for dry in [&["reset", "--all", "--dry-run"][..], &["reset", "--all"]] {
        assert_eq!(survey.state(3), State::Failed);
        let told = survey.run(dry).expect(1);
        assert!(
            told.errors.contains("t0: it belongs to "),
            "{}",
            told.errors
        );
        assert_eq!(told.errors.matches(&who).count(), 2, "{}", told.errors);
        assert!(told.out.contains("to OPEN, 2 left alone"), "{}", told.out);
    }
    let now = [0, 1, 2, 3].map(|task| survey.state(task));
    let kept = [State::Running, State::Running, State::Open, State::Open];
    assert_eq!(now, kept);

    job.kill();
    let told = survey.run(&["status"]).expect(3);
    let job = "no job that is known to live";
    assert!(told.has_like("  t0  for ", job), "{}", told.out);
    let told = survey.run(&["reset", "--running"]).expect(0);
    assert_eq!(told.out, "2 set to OPEN, 0 left alone\n");
    assert_eq!(survey.state(1), State::Open);
}

#[test]
fn how_long_a_job_may_be_silent_can_be_said() {
    let survey = Survey::of(&[State::Open]);
    let job = survey.job();
    // It gives a heartbeat every half a minute.
    let claim = claim(&job, 0);
    survey.run(&["reset", "--running"]).expect(1);
    thread::sleep(Duration::from_millis(50));
    let told = survey.run(&["status", "--stale-after", "0.04"]).expect(3);
    assert!(told.out.contains("no job that is known"), "{}", told.out);
    survey
        .run(&["reset", "--running", "--stale-after", "0.04"])
        .expect(0);
    claim.settle(State::Done, None).expect_err("it is lost");
    for wrong in ["0", "-1", "soon", "inf", "0.009"] {
        let told = survey
            .run(&["status", &format!("--stale-after={wrong}")])
            .expect(2);
        let option = format!("'{wrong}' for '--stale-after <SECONDS>'");
        assert!(told.errors.contains(&option), "{}", told.errors);
        assert!(told.errors.contains("from 0.01 on"), "{}", told.errors);
    }
}

#[test]
fn names_are_listed_by_state_with_their_reasons() {
    use State::{Done, Failed, Invalid};
    let survey = Survey::of(&[Done, Failed, Invalid, State::Open, Failed]);
    let listed = |arguments: &[&str]| survey.run(arguments).expect(0).out;
    assert_eq!(listed(&["list"]), "t0\nt1\nt2\nt3\nt4\n");
    assert_eq!(listed(&["list", "--state", "failed"]), "t1\nt4\n");
    assert_eq!(listed(&["list", "--state", "INVALID,done"]), "t0\nt2\n");
    assert_eq!(listed(&["list", "--state", "running"]), "");
    let lines = [
        "t1\tno input\\nfor 1\\tof\\\\n",
        "t2\t",
        "t4\tno input\\nfor 4\\tof\\\\n\n",
    ];
    let with_reasons = listed(&["list", "--reasons", "--state=failed,invalid"]);
    assert_eq!(with_reasons, lines.join("\n"));
    let told = survey.run(&["list", "--state", "lost"]).expect(2);
    assert!(told.errors.contains("open, running"), "{}", told.errors);
}

#[test]
fn only_what_is_asked_for_is_set_back() {
    use State::{Done, Failed, Invalid, Open, Running};
    let states = [Open, Running, Done, Failed, Invalid];
    let flags = ["--running", "--done", "--failed", "--invalid"];
    for (chosen, flag) in flags.iter().enumerate() {
        let survey = Survey::of(&states);
        let told = survey.run(&["reset", flag, "--dry-run"]).expect(0);
        let lines = format!("t{}\n1 would be set to OPEN, 0 left alone\n", chosen + 1);
        assert_eq!(told.out, lines);
        for (task, state) in states.into_iter().enumerate() {
            assert_eq!(survey.state(task), state, "nothing is changed");
        }
        let told = survey.run(&["reset", flag]).expect(0);
        assert_eq!(told.out, "1 set to OPEN, 0 left alone\n");
        for (task, state) in states.into_iter().enumerate() {
            let is_chosen = task == chosen + 1;
            assert_eq!(survey.state(task), if is_chosen { Open } else { state });
        }
    }
    let survey = Survey::of(&states);
    survey.run(&["reset", "t0", "t3", "t3", "--done"]).expect(0);
    assert_eq!(survey.job().summary().expect("it is there").open, 3);
    let told = survey.run(&["reset", "--all"]).expect(0);
    assert_eq!(told.out, "2 set to OPEN, 0 left alone\n");
    assert_eq!(survey.job().reason(3), None);
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    let survey = Survey::of(&[State::Failed, State::Failed]);
    let told = survey.run(&["reset", "t0", "t7"]).expect(1);
    assert!(told.errors.contains("no task 't7'"), "{}", told.errors);
    assert_eq!(survey.state(0), State::Failed);
    let told = survey.run(&["reset"]).expect(2);
    assert!(told.errors.contains("NAME|--failed"), "{}", told.errors);

    for command in [
        &["status"][..],
        &["status", "-w"],
        &["list"],
        &["reset", "--all"],
    ] {
        let wrong = |directory: &Path, text: &str| {
            let told = Told::by(program(directory, command)).expect(1);
            assert!(told.errors.starts_with("error: "), "{}", told.errors);
            assert!(told.errors.contains(text), "{}", told.errors);
            assert_eq!(told.out, "");
        };
        let nowhere = survey.0.join("nowhere");
        let text = format!("no state directory at '{}': ", nowhere.display());
        wrong(&nowhere, &text);
        wrong(&survey.0.join("t0/state"), "state' has to be a directory");
        wrong(&survey.0.join("t0"), "t0' has no tasks");
    }

    let mut without = plain(BATCH);
    assert_eq!(
        without.output().expect("it is there").status.code(),
        Some(2)
    );
    let mut help = plain(BATCH);
    help.args(["status", "--help"]);
    let told = Told::by(help).expect(0);
    assert!(told.out.starts_with("Shows how many tasks are done"));
    assert!(told.out.contains("work is left, open or running"));
}

#[test]
fn what_may_not_be_written_is_said_of_each_task() {
    let survey = Survey::of(&[State::Failed, State::Failed]);
    let folder = survey.0.join("t0");
    let set = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode));
    set(0o555).expect("it is one's own");
    let may_all_the_same = fs::write(folder.join("probe"), "").is_ok();
    let told = survey.run(&["reset", "--failed"]);
    set(0o755).expect("it is one's own");
    if may_all_the_same {
        // The superuser can read everything.
        return;
    }
    let told = told.expect(1);
    assert!(
        told.errors.contains("t0: this user may not"),
        "{}",
        told.errors
    );
    assert_eq!(told.out, "1 set to OPEN, 1 left alone\n");
}

#[test]
fn a_watch_without_a_terminal_writes_lines_and_ends_when_all_is_over() {
    let survey = Survey::of(&[State::Done, State::Open, State::Open]);
    let mut program = program(&survey.0, &["status", "--watch"]);
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().expect("the program is there");
    let job = survey.job();
    settle(claim(&job, 1), State::Done);
    thread::sleep(Duration::from_millis(700));
    settle(claim(&job, 2), State::Failed);
    let told = Told::from(child.wait_with_output().expect("it ends")).expect(4);
    let title = format!("{}: 3 tasks", survey.0.display());
    assert!(told.has(&title), "{}", told.out);
    for start in ["  # DONE             2 ", "  x FAILED           1 "] {
        assert!(told.has_like(start, " s ago"), "{}", told.out);
    }
    let last = told.errors.lines().last().expect("there is a line");
    let name = survey.0.file_name().expect("it has one").display();
    let counts = format!("{name}: 2 done, 1 failed, 0 running of 3; ");
    assert!(last.starts_with(&counts), "{}", told.errors);
    assert!(last.contains("after "), "{}", told.errors);
}

#[test]
fn a_watch_of_what_is_over_ends_at_once() {
    let told = Survey::of(&[State::Done]).run(&["status", "-w", "--json"]);
    let told = told.expect(0);
    assert!(told.errors.contains(": 1 done, 0 failed, 0 running of 1"));
    assert_eq!(told.errors.lines().count(), 1, "{}", told.errors);
    assert!(told.out.starts_with("{"), "{}", told.out);
}

#[test]
fn a_watch_of_a_directory_that_goes_away_is_an_error() {
    let survey = Survey::of(&[State::Open]);
    let mut program = program(&survey.0, &["status", "--watch"]);
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().expect("the program is there");
    thread::sleep(Duration::from_millis(300));
    fs::remove_dir_all(&survey.0).expect("it is there");
    let told = Told::from(child.wait_with_output().expect("it ends")).expect(1);
    assert!(
        told.errors.contains("no state directory at "),
        "{}",
        told.errors
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // More than the capacity of a pipe.
    let survey = Survey::of(&[]);
    for task in 0..2000 {
        let name = format!("{task:0>100}");
        fs::create_dir(survey.0.join(&name)).expect("there is room");
        survey.write(&format!("{name}/state"), "FAILED\n");
    }
    for (arguments, code) in [
        (&["list", "--reasons"][..], 0),
        (&["status", "--json"], 4),
        (&["reset", "--all", "--dry-run"], 0),
    ] {
        let mut program = program(&survey.0, arguments);
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().expect("the program is there");
        let mut out = child.stdout.take().expect("it is a pipe");
        out.read_exact(&mut [0; 10]).expect("there is some");
        drop(out);
        let told = Told::from(child.wait_with_output().expect("it ends"));
        let told = told.expect(code);
        assert_eq!(told.errors, "");
    }
}

#[test]
fn what_looks_alive_and_is_gone_is_set_back_by_force() {
    let survey = Survey::of(&[State::Open, State::Failed]);
    let job = survey.job();
    let claim = claim(&job, 0);
    // Its host's clock was wrong, and it gives no heartbeats any more.
    let file = fs::File::open(survey.0.join("t0/claim.1")).expect("it is there");
    let ahead = std::time::SystemTime::now() + Duration::from_secs(1_000_000);
    file.set_modified(ahead).expect("it is one's own");
    let told = survey.run(&["reset", "--running"]).expect(1);
    assert!(told.errors.contains("reset --force"), "{}", told.errors);
    let dry = ["reset", "--running", "--force", "--dry-run"];
    let told = survey.run(&dry).expect(0);
    assert_eq!(told.out, "t0\n1 would be set to OPEN, 0 left alone\n");
    assert_eq!(survey.state(0), State::Running);
    let told = survey.run(&["reset", "--running", "--force"]).expect(0);
    assert_eq!(told.out, "1 set to OPEN, 0 left alone\n");
    assert_eq!(survey.state(0), State::Open);
    claim.settle(State::Done, None).expect_err("it is lost");
}

/// Nothing waits, is read without end, or leads elsewhere.
#[test]
fn strange_files_hold_nobody_up() {
    let survey = Survey::of(&[State::Open, State::Running, State::Failed, State::Done]);
    let fifo = |file: &str| {
        let path = survey.0.join(file);
        let _there_may_be_none = fs::remove_file(&path);
        let made = Command::new("mkfifo").arg(path).status();
        assert!(made.expect("there is mkfifo").success());
    };
    fifo("t0/state");
    fifo("t1/claim.1");
    fifo("t2/reason");
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["list", "--reasons"],
        &["reset", "--failed"],
    ] {
        let mut program = program(&survey.0, arguments);
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().expect("the program is there");
        let start = std::time::Instant::now();
        while child.try_wait().expect("a child").is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "{arguments:?}");
            thread::sleep(Duration::from_millis(5));
        }
        let told = Told::from(child.wait_with_output().expect("it has ended"));
        assert!(told.out.contains("regular file") || arguments[0] == "reset");
    }
    assert_eq!(survey.state(2), State::Open);
}

#[test]
fn names_do_nothing_to_a_terminal() {
    let survey = Survey::of(&[State::Done]);
    let name = "a\u{1b}[2J\u{9b}m\nb";
    fs::create_dir(survey.0.join(name)).expect("there is room");
    survey.write(&format!("{name}/state"), "\u{1b}[2J\n");
    let missing = format!("no\u{1b}[2J{name}");
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["list", "--reasons"],
        &["reset", name, "--dry-run"],
        &["reset", &missing],
    ] {
        let told = survey.run(arguments);
        for text in [&told.out, &told.errors] {
            let is_meant = |char: char| char.is_control() && char != '\n' && char != '\t';
            assert!(!text.contains(is_meant), "{arguments:?}: {text:?}");
        }
    }
}
