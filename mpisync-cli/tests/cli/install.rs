//! Completions and manual pages of the programs.

use crate::survey::{BATCH, TOP, TRACE, Told, plain};
use std::io::Write;
use std::process::{Command, Stdio};

fn run(program: &str, arguments: &[&str]) -> Told {
    let mut command = plain(program);
    command.args(arguments);
    Told::by(command)
}

#[test]
fn each_shell_gets_a_script_with_the_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        for (program, option) in [
            (BATCH, "stale-after"),
            (TOP, "interval"),
            (TRACE, "no-files"),
        ] {
            let told = run(program, &["completions", shell]).expect(0);
            assert!(told.out.contains(option), "{shell}: {}", told.out);
        }
    }
    let told = run(BATCH, &["completions", "csh"]).expect(2);
    assert!(told.errors.contains("bash, elvish"), "{}", told.errors);
}

#[test]
fn bash_completes_commands_options_and_states() {
    let script = run(BATCH, &["completions", "bash"]).expect(0).out;
    let function = script
        .lines()
        .find_map(|line| line.trim().strip_prefix("complete -F "));
    let function = function.and_then(|rest| rest.split(' ').next());
    let function = function.expect("the script names its function");
    let completed = |words: &str| {
        let ask = format!(
            "COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); \
             {function} mpisync-batch \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s ' \"${{COMPREPLY[@]}}\"\n"
        );
        let mut bash = Command::new("bash");
        bash.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut bash = bash.spawn().expect("there is bash");
        let mut input = bash.stdin.take().expect("a pipe");
        let text = format!("{script}\n{ask}");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let output = bash.wait_with_output().expect("it ends");
        String::from_utf8(output.stdout).expect("it is text")
    };
    assert_eq!(completed("mpisync-batch sta").trim(), "status");
    assert!(completed("mpisync-batch reset --").contains("--dry-run"));
    assert!(completed("mpisync-batch list --state ''").contains("failed"));
}

#[test]
fn manual_pages_have_options_and_exit_codes() {
    for (program, arguments, parts) in [
        (
            BATCH,
            &["man"][..],
            &[
                ".TH mpisync-batch 1",
                "status",
                "\"EXIT CODES\"",
                "work is left",
            ][..],
        ),
        (
            BATCH,
            &["man", "status"],
            &["mpisync\\-batch\\-status", "\\-\\-watch", "\"EXIT CODES\""],
        ),
        (
            TOP,
            &["man"],
            &[
                ".TH mpisync-top 1",
                "\\-\\-interval",
                "\"EXIT CODES\"",
                "\"KEYS\"",
            ],
        ),
        (
            TRACE,
            &["man"],
            &[".TH mpisync-trace 1", "\\-\\-top", "\"EXIT CODES\""],
        ),
    ] {
        let told = run(program, arguments).expect(0);
        for part in parts {
            assert!(told.out.contains(part), "{part}: {}", told.out);
        }
        assert!(!told.out.contains('\u{1b}'), "{}", told.out);
    }
    let told = run(BATCH, &["man", "stats"]).expect(2);
    assert!(
        told.errors.contains("no command 'stats'"),
        "{}",
        told.errors
    );
    assert!(
        told.errors.contains("status, list, reset"),
        "{}",
        told.errors
    );
}

#[test]
fn mpisync_top_names_the_option_that_is_wrong() {
    for (arguments, option) in [
        (["--interval", "0"], "--interval <SECONDS>"),
        (["--interval", "soon"], "--interval <SECONDS>"),
        (["--ssh", " "], "--ssh <COMMAND>"),
        (["--hosts", "a,-b"], "--hosts <HOST,...>"),
        (["--once", "--unknown"], "--unknown"),
    ] {
        let told = run(TOP, &arguments).expect(2);
        assert!(told.errors.contains(option), "{}", told.errors);
        assert_eq!(told.out, "");
    }
}
