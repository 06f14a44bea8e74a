//! What the task runner says. All of it goes to stderr: stdout belongs to the programs that it runs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::is_interrupted;

/// One line from the task runner itself. When it is interrupted, what it would do next is of no interest.
pub fn say(text: impl AsRef<str>) {
    if !is_interrupted() {
        eprintln!("xtask: {}", text.as_ref());
    }
}

/// The command line of `command` as one would type it.
pub fn typed(command: &Command) -> String {
    // Which cargo it is, is of no interest to the reader: the one that runs us.
    let program = Path::new(command.get_program());
    let program = if program.ends_with("cargo") {
        Path::new("cargo")
    } else {
        program
    };
    std::iter::once(program.as_os_str())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The word in quotes where the shell needs them.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A time as people read it.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("mpiexec");
        command.args(["-n", "4", "/a dir/it's", ""]);
        assert_eq!(typed(&command), r"mpiexec -n 4 '/a dir/it'\''s' ''");
    }
}
