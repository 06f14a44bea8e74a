//! What the programs show on terminals of several sizes, and in which colours.

use crate::survey::{BATCH, Survey, TOP, claim, plain, program, settle};
use mpisync::batch::State;
use mpisync_terminal::{Signal, Terminal};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

/// A directory with tasks in all states, one of which has a long name and a long reason.
fn survey() -> Survey {
    use State::{Done, Failed, Invalid, Open};
    let survey = Survey::of(&[Done, Failed, Invalid, Open, Open]);
    let name = "a-task-with-a-rather-long-name-and-解析-in-it";
    fs::create_dir(survey.0.join(name)).expect("there is room");
    survey.write(&format!("{name}/state"), "FAILED\n");
    let reason = "the input file has no such column: ".repeat(5);
    survey.write(&format!("{name}/reason"), &reason);
    survey
}

fn watch(survey: &Survey, columns: u16) -> Terminal {
    Terminal::start(program(&survey.0, &["status", "--watch"]), columns, 30)
}

/// No line of the screen goes on in the next one.
#[track_caller]
fn is_not_wrapped(terminal: &Terminal) {
    let shown = terminal.shown();
    let screen = shown.parser.screen();
    let wrapped = (0..30).find(|row| screen.row_wrapped(*row));
    assert_eq!(wrapped, None, "{}", screen.contents());
}

#[test]
fn a_watch_fits_the_terminal_and_is_drawn_in_place() {
    for columns in [40, 80, 120] {
        let survey = survey();
        let mut terminal = watch(&survey, columns);
        terminal.wait_for(|text| text.contains("OPEN             2 "));
        is_not_wrapped(&terminal);
        assert!(terminal.text().contains('…'), "{}", terminal.text());
        assert!(!terminal.has_echo());
        let job = survey.job();
        // In the order of their names, the long one is the first.
        settle(claim(&job, 4), State::Done);
        terminal.wait_for(|text| text.contains("OPEN             1 "));
        is_not_wrapped(&terminal);
        settle(claim(&job, 5), State::Done);
        assert_eq!(terminal.end(), Some(4));
        is_not_wrapped(&terminal);
        // The path in the title may be wrapped in the last state.
        let text = terminal.text().replace("\n    ", " ");
        for part in [": 6 tasks", "DONE             3 ", "OPEN             0 "] {
            assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
        }
        // The last state has all of the reason.
        assert!(text.contains("such") && !text.contains('…'), "{text}");
        assert!(terminal.has_echo());
    }
}

#[test]
fn a_picture_comes_as_a_whole_and_erases_no_screen() {
    let survey = survey();
    let mut terminal = watch(&survey, 80);
    terminal.wait_for(|text| text.contains("OPEN             2 "));
    thread::sleep(Duration::from_millis(1200));
    terminal.press("q");
    assert_eq!(terminal.end(), Some(3));
    let shown = terminal.shown();
    let written = String::from_utf8_lossy(&shown.bytes);
    let begins = written.matches("\u{1b}[?2026h").count();
    assert!(begins >= 3, "{begins}");
    assert_eq!(written.matches("\u{1b}[?2026l").count(), begins);
    for erases in ["\u{1b}[2J", "\u{1b}[H", "\u{1b}[2K", "\u{1b}[?1049h"] {
        assert!(!written.contains(erases), "{written:?}");
    }
}

#[test]
fn the_last_state_stays_when_a_key_or_a_signal_ends_the_watch() {
    let survey = survey();
    let ends: [&dyn Fn(&mut Terminal); 3] = [
        &|terminal| terminal.press("q"),
        &|terminal| terminal.signal(Signal::INT),
        &|terminal| terminal.signal(Signal::TERM),
    ];
    for end in ends {
        let mut terminal = watch(&survey, 80);
        terminal.wait_for(|text| text.contains("OPEN             2 "));
        end(&mut terminal);
        assert_eq!(terminal.end(), Some(3));
        assert!(terminal.has_echo());
        let text = terminal.text();
        assert_eq!(text.matches(": 6 tasks").count(), 1, "{text}");
        assert!(text.contains("OPEN             2 "), "{text}");
    }
}

#[test]
fn more_tasks_than_rows_are_counted() {
    use State::{Failed, Invalid, Running};
    let survey = Survey::of(&[[Running; 40], [Failed; 40], [Invalid; 40]].concat());
    for rows in [24, 40] {
        let mut terminal = Terminal::start(program(&survey.0, &["status", "-w"]), 80, rows);
        terminal.wait_for(|text| text.matches(" more").count() == 3);
        let text = terminal.text();
        assert!(!text.contains("more lines"), "{text}");
        assert!(text.contains(": 120 tasks"), "{text}");
        // All but the row of the cursor, and that of the rate, which may be unknown.
        let count = text.lines().count();
        let most = usize::from(rows) - 1;
        assert!((most - 1..=most).contains(&count), "{text}");
        terminal.press("q");
        assert_eq!(terminal.end(), Some(3));
        // It stays as it is: there is no room for all.
        let text = terminal.text();
        assert!(text.contains(": 120 tasks"), "{text}");
    }
    let mut terminal = Terminal::start(program(&survey.0, &["status", "-w"]), 80, 8);
    terminal.wait_for(|text| text.contains("more lines"));
    let text = terminal.text();
    assert!(text.contains(": 120 tasks"), "{text}");
    terminal.press("q");
    assert_eq!(terminal.end(), Some(3));
}

#[test]
fn a_status_on_a_terminal_is_wrapped_between_words() {
    let survey = survey();
    for columns in [80, 120] {
        let mut terminal = Terminal::start(program(&survey.0, &["status"]), columns, 30);
        assert_eq!(terminal.end(), Some(3));
        is_not_wrapped(&terminal);
        let text = terminal.text();
        let words: Vec<&str> = text.split_whitespace().collect();
        let count = words.iter().filter(|word| **word == "column:").count();
        assert_eq!(count, 5, "{text}");
    }
}

#[test]
fn mpisync_top_is_drawn_in_place_until_a_key_ends_it() {
    for columns in [80, 120] {
        let mut top = plain(TOP);
        top.args(["--interval", "0.1"]);
        let mut terminal = Terminal::start(top, columns, 30);
        terminal.wait_for(|text| text.contains(" UTC "));
        thread::sleep(Duration::from_millis(500));
        is_not_wrapped(&terminal);
        terminal.press("q");
        assert_eq!(terminal.end(), Some(0));
        let text = terminal.text();
        assert_eq!(text.matches(" UTC ").count(), 1, "{text}");
        assert!(terminal.has_echo());
    }
}

#[test]
fn colours_are_for_terminals_and_follow_the_environment() {
    let survey = survey();
    let red = "\u{1b}[31m";
    let in_terminal = |name: &str, value: &str| {
        // The terminal has a clean environment, so the variable comes after it.
        let mut program = plain("env");
        program.arg(format!("{name}={value}"));
        program.arg(BATCH);
        program.args(["status".as_ref(), survey.0.as_os_str()]);
        let mut terminal = Terminal::start(program, 80, 30);
        assert_eq!(terminal.end(), Some(3));
        let shown = terminal.shown();
        String::from_utf8_lossy(&shown.bytes).contains(red)
    };
    assert!(in_terminal("OTHER", "1"));
    assert!(!in_terminal("NO_COLOR", "1"));
    assert!(!in_terminal("TERM", "dumb"));
    let in_pipe = |name: &str, value: &str| {
        let mut program = program(&survey.0, &["status"]);
        let output = program.env(name, value).output();
        String::from_utf8_lossy(&output.expect("it is there").stdout).contains(red)
    };
    assert!(!in_pipe("OTHER", "1"));
    assert!(in_pipe("CLICOLOR_FORCE", "1"));
    assert!(!in_pipe("CLICOLOR_FORCE", ""));
}

#[test]
fn names_with_wide_characters_line_up() {
    let survey = Survey::of(&[]);
    for name in ["解析", "e\u{301}te\u{301}", "plain-name"] {
        fs::create_dir(survey.0.join(name)).expect("there is room");
        survey.write(&format!("{name}/state"), "RUNNING\n");
    }
    let mut terminal = Terminal::start(program(&survey.0, &["status"]), 80, 30);
    assert_eq!(terminal.end(), Some(3));
    let shown = terminal.shown();
    let screen = shown.parser.screen();
    // The terminal itself says in which of its columns the texts begin.
    let starts = (0..30).filter_map(|row| {
        let cell = |column| screen.cell(row, column).map_or("", |cell| cell.contents());
        let line: Vec<&str> = (0..80).map(cell).collect();
        line.windows(4).position(|it| it == ["f", "o", "r", " "])
    });
    let starts: Vec<usize> = starts.skip(1).collect();
    assert_eq!(starts, [14, 14, 14], "{}", screen.contents());
}

#[test]
fn a_rate_and_the_time_left_come_from_the_times_of_the_states() {
    let states = [
        [State::Done; 21].as_slice(),
        &[State::Open; 9],
        &[State::Running],
    ]
    .concat();
    let survey = Survey::of(&states);
    for task in 0..21 {
        let state = fs::File::open(survey.0.join(format!("t{task}/state"))).expect("it is there");
        let ago = SystemTime::now() - Duration::from_secs(6 * task);
        state.set_modified(ago).expect("it is one's own");
    }
    let told = survey.run(&["status"]).expect(3);
    let line = "  10.0 tasks/min in the last 2 min, about 1 min left";
    assert!(told.has(line), "{}", told.out);
    let told = survey.run(&["status", "--json"]).expect(3);
    let found: serde_json::Value = serde_json::from_str(&told.out).expect("it is JSON");
    let is_near = |field: &str, expected: f64| {
        let number = found[field].as_f64().expect("a number");
        assert!((number - expected).abs() < 0.5, "{field}: {number}");
    };
    is_near("tasks_per_minute", 10.0);
    is_near("seconds_left", 60.0);
}
