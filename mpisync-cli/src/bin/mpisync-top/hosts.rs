//! Other hosts: the program itself, started there by `ssh`.

use clap::Args;
use mpisync::inspect::{Document, Host, SCHEMA};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a host has to answer.
const LIMIT: Duration = Duration::from_secs(15);
/// How often it is checked whether it has.
const POLL: Duration = Duration::from_millis(10);

/// The hosts, and how to reach them.
#[derive(Args)]
pub struct Reach {
    /// Look at these hosts instead of this one
    #[arg(long, value_name = "HOST,...", value_delimiter = ',', value_parser = host)]
    pub hosts: Vec<String>,
    /// The command that runs a command on a host: it is called with the name of the host and the command
    #[arg(long, value_name = "COMMAND", default_value = "ssh", value_parser = command)]
    ssh: String,
    /// This program on the hosts
    #[arg(long, value_name = "PATH", default_value = "mpisync-top")]
    program: String,
}

fn host(name: &str) -> Result<String, String> {
    // It would be an option of `ssh`.
    if name.is_empty() || name.starts_with('-') {
        return Err("give names of hosts, with commas between them".to_owned());
    }
    Ok(name.to_owned())
}

fn command(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("give a command, such as `ssh -o BatchMode=yes`".to_owned());
    }
    Ok(text.to_owned())
}

impl Reach {
    /// Looks at all hosts at the same time.
    pub fn look(&self) -> Vec<Host> {
        thread::scope(|scope| {
            let looks: Vec<_> = (self.hosts.iter())
                .map(|host| scope.spawn(move || self.look_at(host)))
                .collect();
            let hosts = looks.into_iter().zip(&self.hosts);
            hosts
                .flat_map(|(look, host)| {
                    let found = look.join().unwrap_or_else(|_| Err("no answer".to_owned()));
                    found.unwrap_or_else(|error| {
                        vec![Host {
                            host: host.clone(),
                            error: Some(error),
                            ..Host::default()
                        }]
                    })
                })
                .collect()
        })
    }

    fn look_at(&self, host: &str) -> Result<Vec<Host>, String> {
        let mut words = self.ssh.split_whitespace();
        // It is not blank.
        let agent = words.next().unwrap_or_default();
        let mut command = Command::new(agent);
        command
            .args(words)
            .arg(host)
            .arg(format!("{} --once --json", self.program))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child =
            (command.spawn()).map_err(|error| format!("cannot start {agent}: {error}"))?;
        let (output, errors) = (read(child.stdout.take()), read(child.stderr.take()));
        let deadline = Instant::now() + LIMIT;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
                failed => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let limit = LIMIT.as_secs();
                    return Err(match failed {
                        Err(error) => error.to_string(),
                        _ => format!("no answer within {limit} s"),
                    });
                }
            }
        };
        // A process that the agent has left behind may keep the pipes open.
        let output = output.recv_timeout(LIMIT).unwrap_or_default();
        if let Some(document) = document(&output)? {
            return Ok(document.hosts);
        }
        let errors = errors.recv_timeout(POLL).unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors);
        let last = errors.trim().lines().last().unwrap_or("no output");
        Err(format!(
            "`{agent} {host} {} --once --json` ended with {status}: {last}",
            self.program
        ))
    }
}

/// The document in the last line of an output; programs that run at login may print others before it.
fn document(output: &[u8]) -> Result<Option<Document>, String> {
    let text = String::from_utf8_lossy(output);
    let Some(line) = text.lines().rfind(|line| line.starts_with('{')) else {
        return Ok(None);
    };
    let wrong = |error| format!("its answer cannot be understood: {error}");
    let value: serde_json::Value = serde_json::from_str(line).map_err(wrong)?;
    let schema = value.get("schema").and_then(serde_json::Value::as_u64);
    if schema != Some(SCHEMA.into()) {
        let schema = schema.map_or("no schema".to_owned(), |schema| format!("schema {schema}"));
        return Err(format!(
            "its answer has {schema}, and this program knows {SCHEMA}; install the same version there, or name it with --program"
        ));
    }
    serde_json::from_value(value).map(Some).map_err(wrong)
}

/// Reads to the end, in a thread.
fn read(from: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        // Nobody receives after the time limit.
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_schema_is_named() {
        let error = document(b"{\"schema\":99,\"hosts\":[]}\n").unwrap_err();
        assert!(
            error.contains("has schema 99, and this program knows"),
            "{error}"
        );
        let error = document(b"{\"hosts\":[]}\n").unwrap_err();
        assert!(error.contains("has no schema"), "{error}");
        assert!(document(b"welcome\n").unwrap().is_none());
        let found = document(b"welcome\n{\"schema\":1,\"hosts\":[]}\n").unwrap();
        assert!(found.is_some_and(|document| document.hosts.is_empty()));
    }
}
