//! The errors of state directories in the words of the command line.

use mpisync::batch::directory::DirectoryError;
use mpisync_cli::text::name_line;
use std::path::Path;

/// What has happened, and what to type. `directory` is the argument.
pub fn in_words(error: &DirectoryError, directory: &Path) -> String {
    use DirectoryError::{
        HalfWritten, Io, Missing, NotADirectory, NotAFile, Permission, StaleAfter, Taken,
        UnknownState,
    };
    let at = |path: &Path| format!("'{}'", name_line(&path.to_string_lossy()));
    let dir = at(directory);
    let set_again = "find out how far the task is, and open it again with `mpisync-batch reset`";
    match error {
        Missing { path } if path == directory => format!(
            "no state directory at {dir}: give the directory that the batch has (`state_dir`), whose folders are the tasks"
        ),
        Missing { path } => format!("{} is gone: was the task removed?", at(path)),
        NotADirectory { path } if path == directory => format!(
            "{dir} has to be a directory, and is something else: give the directory that the batch has (`state_dir`)"
        ),
        NotADirectory { path } => format!(
            "the task's folder {} has to be a directory, and is a link or something else: move it away",
            at(path)
        ),
        UnknownState { path, found } => {
            let found = name_line(found);
            format!(
                "{} says \"{found}\", which is no state: {set_again}",
                at(path)
            )
        }
        HalfWritten { path, .. } => format!(
            "{} is half written, because its writer was stopped: {set_again}",
            at(path)
        ),
        NotAFile { path } => format!(
            "{} has to be a regular file, and is a link, a pipe, a directory or the like: remove it, {set_again}",
            at(path)
        ),
        Permission { path, action } => format!(
            "this user may not {action} {}: ask its owner, or run as the user who runs the batch",
            at(path)
        ),
        Taken { by, .. } => format!(
            "it belongs to {by}: wait for it, or end that job; if you know that the job is gone, use `reset --force`"
        ),
        StaleAfter { least, .. } => format!(
            "--stale-after is too short: give {} or more",
            least.as_secs_f64()
        ),
        Io {
            path,
            action,
            error,
        } => format!(
            "cannot {action} {}: {error}: is the file system there, and has it room?",
            at(path)
        ),
        // Only jobs have the others.
        other => name_line(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    #[test]
    fn errors_speak_of_commands_and_not_of_functions() {
        let directory = Path::new("/survey");
        let path = directory.join("t\u{1b}0");
        let found = "lost\n".to_owned();
        let errors = [
            DirectoryError::Missing {
                path: directory.to_owned(),
            },
            DirectoryError::Missing { path: path.clone() },
            DirectoryError::NotADirectory { path: path.clone() },
            DirectoryError::NotADirectory {
                path: directory.to_owned(),
            },
            DirectoryError::UnknownState {
                path: path.clone(),
                found: found.clone(),
            },
            DirectoryError::HalfWritten {
                path: path.clone(),
                found,
            },
            DirectoryError::NotAFile { path: path.clone() },
            DirectoryError::Permission {
                path: path.clone(),
                action: "read",
            },
            DirectoryError::Io {
                path,
                action: "read",
                error: Arc::new(io::Error::other("it is gone")),
            },
        ];
        for error in errors {
            let words = in_words(&error, directory);
            assert!(!words.contains("::"), "{words}");
            assert!(!words.contains(char::is_control), "{words}");
            assert!(words.contains("'/survey"), "{words}");
        }
    }
}
