//! `mpisync-batch`: looks at the state directories of batches from outside, and sets tasks back.

mod list;
mod look;
mod output;
mod place;
mod reset;
mod status;

use clap::{Parser, Subcommand};
use output::complain;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  status: all tasks are done; list, reset: all went well
  1  status: nothing is left to do, and tasks have failed or are invalid
  2  status: work is left, open or running
  3  something could not be done, and standard error says what";

/// Looks at the state directories of batches, while jobs work on them or after it, and sets tasks
/// back
#[derive(Parser)]
#[command(name = "mpisync-batch", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(after_help = EXIT_CODES)]
    Status(status::Status),
    #[command(after_help = EXIT_CODES)]
    List(list::List),
    #[command(after_help = EXIT_CODES)]
    Reset(reset::Reset),
}

/// How it ended, for the exit code.
enum End {
    /// Well; and with `status`, all tasks are done.
    Well,
    /// Nothing is left to do, and not all tasks are done.
    Failures,
    WorkLeft,
    /// Something could not be done, and the user knows.
    Trouble,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        ExitCode::from(match end {
            End::Well => 0,
            End::Failures => 1,
            End::WorkLeft => 2,
            End::Trouble => 3,
        })
    }
}

fn main() -> ExitCode {
    let ended = match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Status(status) => status.run(),
            Command::List(list) => list.run(),
            Command::Reset(reset) => reset.run(),
        },
        Err(error) => {
            // Where even this cannot be printed, the exit code is all that is left to say. Clap's own would be that of work left.
            let _ = error.print();
            Ok(match error.use_stderr() {
                true => End::Trouble,
                false => End::Well,
            })
        }
    };
    let end = ended.unwrap_or_else(|error| {
        complain(&format!("error: {error:#}"));
        End::Trouble
    });
    end.into()
}
