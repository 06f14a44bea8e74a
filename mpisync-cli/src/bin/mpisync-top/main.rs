//! `mpisync-top`: shows the objects of the running jobs of this user, who holds them, and who waits.

mod describe;
mod hosts;
mod rates;

use clap::{CommandFactory, Parser};
use hosts::Reach;
use mpisync::inspect::{Document, SCHEMA, look};
use mpisync_cli::install::Install;
use mpisync_cli::output::{exit_code, print, print_json};
use mpisync_cli::screen::{self, COLUMNS, Screen};
use rates::Rates;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

const ABOUT: &str =
    "Shows the mpisync objects of this user's running jobs: who holds each, and who waits for it";

const LONG_ABOUT: &str = "\
Shows the mpisync objects of this user's running jobs: who holds each, and who waits for it.

It reads the shared memory of the jobs on this node, as every process of the same user may. It writes nothing \
there, and stops nobody.";

const EXIT_CODES: &str = "\
Keys: q or Ctrl-C ends the program.

Exit codes:
  0  success, also if there are no jobs
  1  a host could not be looked at, or the output not be written
  2  wrong usage";

/// The arguments.
#[derive(Parser)]
#[command(name = "mpisync-top", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND"
)]
struct Cli {
    /// Print once and end
    #[arg(long)]
    once: bool,
    /// Print JSON: one document on one line with --once, else one for each refresh
    #[arg(long)]
    json: bool,
    /// Show all ranks, and also the objects that nobody holds or waits for, with their sizes
    #[arg(long)]
    all: bool,
    /// Seconds between two refreshes
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    #[command(flatten)]
    reach: Reach,
    #[command(subcommand)]
    install: Option<Install>,
}

/// A time of at least 0.1 seconds.
fn interval(text: &str) -> Result<Duration, String> {
    const BOUNDS: &str = "give a number of seconds from 0.1 to 86400, such as 2.5";
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(BOUNDS.to_owned()),
    }
}

fn main() -> ExitCode {
    exit_code(run(&Cli::parse()))
}

/// Returns whether all hosts could be looked at.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    if let Some(install) = &cli.install {
        install.run(Cli::command())?;
        return Ok(true);
    }
    let mut rates = Rates::default();
    if cli.once {
        let document = see(cli);
        match cli.json {
            true => print_json(&serde_json::to_string(&document)?).map(drop)?,
            false => {
                let columns = screen::columns().unwrap_or(COLUMNS);
                print(&describe::lines(&document, &rates, cli.all, columns))?;
            }
        }
        // The text has the errors, too.
        return Ok(document.hosts.iter().all(|host| host.error.is_none()));
    }
    if cli.json {
        while print_json(&serde_json::to_string(&see(cli))?)? {
            thread::sleep(cli.interval);
        }
        return Ok(true);
    }
    let mut screen = Screen::new()?;
    loop {
        let document = see(cli);
        rates.update(&document);
        let lines = describe::lines(&document, &rates, cli.all, screen.columns());
        if !screen.show(&lines)? || screen.is_left_within(cli.interval) {
            return Ok(true);
        }
    }
}

fn see(cli: &Cli) -> Document {
    let hosts = match cli.reach.hosts.is_empty() {
        true => vec![look()],
        false => cli.reach.look(),
    };
    Document {
        schema: SCHEMA,
        hosts,
    }
}
