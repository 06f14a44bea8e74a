//! `mpisync-top`: shows the objects of the running jobs of this user, who holds them, and who waits.

mod hosts;
mod rates;
mod text;

use clap::Parser;
use hosts::Reach;
use mpisync::inspect::{Document, SCHEMA, look};
use mpisync_cli::output::{complain, json_lines, name_line, print};
use mpisync_cli::screen::Screen;
use rates::Rates;
use std::process::ExitCode;
use std::time::Duration;

const ABOUT: &str = "\
Shows the mpisync objects of this user's running jobs: who holds each, and who waits for it

It reads the shared memory of the jobs on this node, as every process of the same user may. It writes nothing \
there, and stops nobody.";

const EXIT_CODES: &str = "\
Keys: q or Ctrl-C ends the program.

Exit codes:
  0  success, also if there are no jobs
  1  a host could not be looked at, or the output not be written
  2  wrong arguments";

/// The arguments.
#[derive(Parser)]
#[command(name = "mpisync-top", version, about = ABOUT, after_help = EXIT_CODES)]
struct Cli {
    /// Print once and end
    #[arg(long)]
    once: bool,
    /// Print JSON: one document on one line with --once, else one for each refresh
    #[arg(long)]
    json: bool,
    /// Show all ranks, and also the objects that nobody holds or waits for
    #[arg(long)]
    all: bool,
    /// Seconds between two refreshes
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    #[command(flatten)]
    reach: Reach,
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
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all hosts could be looked at.
fn run(cli: &Cli) -> anyhow::Result<bool> {
    // The screen is that of a person; a file or a pipe gets one text after the other.
    let screen = (!cli.once && !cli.json).then(Screen::new);
    let mut rates = Rates::default();
    loop {
        let document = see(cli);
        if cli.json {
            if !print(&[json_lines(&serde_json::to_string(&document)?)])? {
                return Ok(true);
            }
        } else {
            rates.update(&document);
            let lines = text::lines(&document, &rates, cli.all);
            let lines: Vec<String> = lines.iter().map(|line| name_line(line)).collect();
            let is_open = match &screen {
                Some(screen) => screen.show(&lines)?,
                None => print(&lines)?,
            };
            if !is_open {
                return Ok(true);
            }
        }
        if cli.once {
            // The text has the errors, too.
            return Ok(document.hosts.iter().all(|host| host.error.is_none()));
        }
        match &screen {
            Some(screen) if screen.is_left_within(cli.interval) => return Ok(true),
            Some(_) => {}
            None => std::thread::sleep(cli.interval),
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
