//! `mpisync-batch`: inspects the state directories of batches, and resets tasks.

mod document;
mod limits;
mod list;
mod look;
mod pace;
mod reset;
mod state_directory;
mod status;
mod table;
mod trouble;

use clap::{CommandFactory, Parser, Subcommand};
use mpisync_cli::install::Install;
use mpisync_cli::output::complain;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  status: all tasks are done; other commands: success
  1  a failure, described on standard error
  2  wrong usage
  3  status: work is left, open or running
  4  status: no work is left, and some tasks have failed or are invalid";

/// Inspects the state directories of batches, during or after a run, and resets tasks
#[derive(Parser)]
#[command(name = "mpisync-batch", version, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true, subcommand_value_name = "COMMAND")]
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
    #[command(flatten)]
    Install(Install),
}

/// The result of a command, for the exit code.
enum End {
    /// Success. For `status`: all tasks are done.
    Well,
    /// An error, which was printed.
    Trouble,
    WorkLeft,
    /// No work is left, and not all tasks are done.
    Failures,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        // Wrong usage is 2, as everywhere with clap, which ends the process itself.
        ExitCode::from(match end {
            End::Well => 0,
            End::Trouble => 1,
            End::WorkLeft => 3,
            End::Failures => 4,
        })
    }
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Status(status) => status.run(),
        Command::List(list) => list.run(),
        Command::Reset(reset) => reset.run(),
        Command::Install(install) => match install.run(Cli::command()) {
            Ok(()) => Ok(End::Well),
            Err(error) => Err(error.into()),
        },
    };
    let end = ended.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        End::Trouble
    });
    end.into()
}
