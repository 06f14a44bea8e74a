//! `mpisync-batch`: inspects the state directories of batches, and resets tasks.

mod list;
mod look;
mod reset;
mod state_directory;
mod status;

use clap::{Parser, Subcommand};
use mpisync_cli::output::complain;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  status: all tasks are done; list, reset: success
  1  status: no work is left, and some tasks have failed or are invalid
  2  status: work is left, open or running
  3  an error, described on standard error";

/// Inspects the state directories of batches, during or after a run, and resets tasks
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

/// The result of a command, for the exit code.
enum End {
    /// Success. For `status`: all tasks are done.
    Well,
    /// No work is left, and not all tasks are done.
    Failures,
    WorkLeft,
    /// An error, which was printed.
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
            // If the message cannot be printed, only the exit code is left to report the error. The
            // exit code of clap itself would mean that work is left.
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
