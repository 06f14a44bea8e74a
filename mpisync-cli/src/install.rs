//! What comes with a program when it is installed: completions for shells, and manual pages.

use crate::output::Output;
use crate::text::name_line;
use clap::error::ErrorKind;
use clap::{Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::{self, Write};

/// The commands that print it.
#[derive(Subcommand)]
pub enum Install {
    /// Prints a script by which a shell completes the arguments of this program
    ///
    /// For bash, for example: PROGRAM completions bash > ~/.local/share/bash-completion/completions/PROGRAM
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page of this program, or of one of its commands
    ///
    /// To read it: PROGRAM man | man -l -
    Man {
        /// The command, such as `completions`
        command: Option<String>,
    },
}

impl Install {
    /// Prints it for the program with these arguments. Ends the process if there is no such command.
    ///
    /// # Errors
    /// Those of writing.
    pub fn run(&self, mut program: Command) -> io::Result<()> {
        let mut text = Vec::new();
        match self {
            Install::Completions { shell } => text = completions(*shell, &mut program),
            Install::Man { command } => {
                program.build();
                let version = program.render_version();
                match command {
                    None => page(&program, &version, &mut text)?,
                    Some(name) => match program.find_subcommand(name) {
                        Some(command) => page(command, &version, &mut text)?,
                        None => unknown(&mut program, name).exit(),
                    },
                }
            }
        }
        let mut output = Output::new();
        output.bytes(&text)?;
        output.finish()
    }
}

fn completions(shell: Shell, program: &mut Command) -> Vec<u8> {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, program, &name, &mut script);
    if shell != Shell::Bash {
        return script;
    }
    // clap_complete writes the hyphen of a program's name in two ways there, so that bash would find
    // nothing behind a command.
    let (one, other) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    let script = String::from_utf8_lossy(&script);
    script.replace(&one, &other).into_bytes()
}

fn unknown(program: &mut Command, name: &str) -> clap::Error {
    let names: Vec<&str> = program.get_subcommands().map(Command::get_name).collect();
    let message = format!(
        "no command '{}': give one of {}",
        name_line(name),
        names.join(", ")
    );
    program.error(ErrorKind::InvalidValue, message)
}

/// The page of a command of that version of the program. What stands behind its help, such as the
/// exit codes, are its last sections.
fn page(command: &Command, version: &str, text: &mut Vec<u8>) -> io::Result<()> {
    let page = Man::new(command.clone()).source(version.trim());
    page.render_title(text)?;
    page.render_name_section(text)?;
    page.render_synopsis_section(text)?;
    page.render_description_section(text)?;
    if command.get_arguments().next().is_some() {
        page.render_options_section(text)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(text)?;
    }
    let Some(after) = command.get_after_help() else {
        return Ok(());
    };
    // Each of its paragraphs is a title that ends with a colon, and lines or a text behind it.
    for paragraph in after.to_string().split("\n\n") {
        let (title, rest) = paragraph.split_once(':').unwrap_or(("Notes", paragraph));
        writeln!(text, ".SH {:?}\n.nf", title.to_uppercase())?;
        for line in rest.trim_start_matches(['\n', ' ']).lines() {
            let line = line.trim().replace('\\', "\\e").replace('-', "\\-");
            // A line that begins with a point would be a command.
            writeln!(text, "\\&{line}")?;
        }
        writeln!(text, ".fi")?;
    }
    Ok(())
}
