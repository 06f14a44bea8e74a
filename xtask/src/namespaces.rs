//! Hosts that are network namespaces: made by root, or in a user namespace in which this user is root.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;

use crate::packages::install;
use crate::process::{output, output_of, start, take_down};
use crate::setup::Missing;
use crate::workspace::{on_path, without_blanks};

/// Names begin with this, and then the number of the process that made them.
const PREFIX: &str = "mps";

/// What is there until this is dropped.
pub struct Namespaces {
    tag: String,
    count: u32,
    /// The script in place of ssh.
    agent: PathBuf,
    /// Where they are, if this user is not root.
    user: Option<UserNamespace>,
}

/// A user namespace in which this user is root, with a network and mounts of its own. The open files keep it alive, and it
/// ends with them.
struct UserNamespace {
    _files: [File; 3],
    /// A script that runs a program in it.
    entrance: PathBuf,
}

impl Namespaces {
    /// Sets up `count` hosts; `directory` is for scripts.
    pub fn up(count: u32, directory: &Path) -> Result<Self> {
        if on_path("ip").is_none() {
            install(Missing::Iproute)?;
        }
        let tag = format!("{PREFIX}{}", process::id());
        let directory = without_blanks(directory);
        fs::create_dir_all(&directory)?;
        let user = if geteuid().is_root() {
            remove_leftovers();
            None
        } else {
            let entrance = directory.join(format!("{tag}-enter.sh"));
            let user = UserNamespace::new(entrance);
            Some(user.context("they need root, and there can be no user namespace in its place")?)
        };
        let agent = directory.join(format!("{tag}.sh"));
        let namespaces = Self {
            tag,
            count,
            agent,
            user,
        };
        // From here on, whatever fails, what is there is taken down when it is dropped.
        namespaces.build()?;
        Ok(namespaces)
    }

    fn build(&self) -> Result<()> {
        let bridge = self.bridge();
        if self.user.is_some() {
            self.ip("link set lo up")?;
        }
        self.ip(&format!("link add {bridge} type bridge"))?;
        self.ip(&format!("addr add {}/24 dev {bridge}", self.address(254)))?;
        self.ip(&format!("link set {bridge} up"))?;
        for host in 1..=self.count {
            let (name, cable) = (self.host(host), self.cable(host));
            self.ip(&format!("netns add {name}"))?;
            self.ip(&format!(
                "link add {cable} type veth peer name eth0 netns {name}"
            ))?;
            self.ip(&format!("link set {cable} master {bridge} up"))?;
            let address = self.address(host);
            self.ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
            self.ip(&format!("-n {name} link set eth0 up"))?;
            self.ip(&format!("-n {name} link set lo up"))?;
        }
        write_script(&self.agent, &self.script())?;
        // Whether a program can be started there is known now, and not after everything is built.
        let mut there = self.inside(&self.agent());
        let outcome = output(there.args([&self.address(1), "true"]))?;
        let words = String::from_utf8_lossy(&outcome.stderr);
        ensure!(outcome.status.success(), "{}", words.trim());
        Ok(())
    }

    /// What stands in for ssh: options first, then the host's address, then a command for a shell there.
    fn script(&self) -> String {
        let tag = &self.tag;
        format!(
            "#!/bin/sh\n\
             while [ \"${{1#-}}\" != \"$1\" ]; do shift; done\n\
             host={tag}h${{1##*.}}\n\
             shift\n\
             exec ip netns exec $host unshare --uts --mount sh -c \
             \"hostname $host && mount -t tmpfs tmpfs /dev/shm && $*\"\n"
        )
    }

    /// The script in place of ssh.
    pub fn agent(&self) -> String {
        self.agent.display().to_string()
    }

    /// What is put before a command so that it runs where the hosts are.
    pub fn entrance(&self) -> Vec<String> {
        let entrance = self.user.iter().map(|user| &user.entrance);
        entrance.map(|path| path.display().to_string()).collect()
    }

    /// A program that runs where the hosts are.
    fn inside(&self, program: &str) -> Command {
        let mut words = self.entrance();
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    fn ip(&self, arguments: &str) -> Result<()> {
        let outcome = output(self.inside("ip").args(arguments.split(' ')))?;
        if !outcome.status.success() {
            let words = String::from_utf8_lossy(&outcome.stderr);
            bail!("ip {arguments}: {}", words.trim());
        }
        Ok(())
    }

    /// The bridge between the hosts.
    pub fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    fn host(&self, host: u32) -> String {
        format!("{}h{host}", self.tag)
    }

    fn cable(&self, host: u32) -> String {
        format!("{}v{host}", self.tag)
    }

    /// The address of a host.
    pub fn address(&self, host: u32) -> String {
        let (second, third) = octets(process::id());
        format!("10.{second}.{third}.{host}")
    }

    /// The addresses of all hosts.
    pub fn network(&self) -> String {
        format!("{}/24", self.address(0))
    }

    /// How many packets each host has sent so far.
    pub fn packets(&self) -> Result<Vec<u64>> {
        let table = output_of(self.inside("cat").arg("/proc/net/dev")).context("/proc/net/dev")?;
        let of_host = |host| {
            let packets = packets_from(&table, &self.cable(host));
            packets.with_context(|| format!("the cable of host {host} is gone"))
        };
        (1..=self.count).map(of_host).collect()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // What is in a user namespace goes with it.
        if self.user.is_none() {
            let ip = |arguments: &str| take_down(Command::new("ip").args(arguments.split(' ')));
            for host in 1..=self.count {
                // What was not made yet cannot be removed; the rest has to go all the same. The cable first: that of a
                // host which is gone stays for a while.
                ip(&format!("link del {}", self.cable(host)));
                ip(&format!("netns del {}", self.host(host)));
            }
            ip(&format!("link del {}", self.bridge()));
        }
        let _ = fs::remove_file(&self.agent);
    }
}

impl UserNamespace {
    fn new(entrance: PathBuf) -> Result<Self> {
        // Names of network namespaces are files in a directory that belongs to the system's root.
        const PREPARE: &str = "\
            if [ -d /run/netns ]; then place=/run/netns; else place=/run; fi\n\
            mount -t tmpfs tmpfs $place && mkdir -p /run/netns && echo ready && read -r _";
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net", "--mount"])
            .args(["sh", "-c", PREPARE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut first = start(&mut command)?;
        let mut ready = String::new();
        if let Some(stdout) = first.stdout.take() {
            BufReader::new(stdout).read_line(&mut ready)?;
        }
        if ready.trim() != "ready" {
            let words = first.wait_with_output()?.stderr;
            bail!("{}", String::from_utf8_lossy(&words).trim());
        }
        let open = |kind: &str| File::open(format!("/proc/{}/ns/{kind}", first.id()));
        let files = [open("user")?, open("net")?, open("mnt")?];
        // Its standard input is closed here, and it ends.
        drop(first.stdin.take());
        first.wait()?;
        let path = |file: &File| format!("/proc/{}/fd/{}", process::id(), file.as_raw_fd());
        let [user, net, mount] = files.each_ref().map(path);
        // A process that enters other mounts is in their root directory.
        let script = format!(
            "#!/bin/sh\n\
             exec nsenter --preserve-credentials --user={user} --net={net} --mount={mount} \
             sh -c 'cd \"$0\" && exec \"$@\"' \"$(pwd)\" \"$@\"\n"
        );
        write_script(&entrance, &script)?;
        Ok(Self {
            _files: files,
            entrance,
        })
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        // A leftover script harms nobody.
        let _ = fs::remove_file(&self.entrance);
    }
}

/// Writes a script that is not there yet.
fn write_script(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o755).open(path);
    let mut file = file.with_context(|| format!("cannot create {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

/// How many packets an interface has received, in the system's table of interfaces.
fn packets_from(table: &str, interface: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.split_once(':'));
    let (_, counts) = lines.find(|(name, _)| name.trim() == interface)?;
    counts.split_whitespace().nth(1)?.parse().ok()
}

/// Removes what earlier processes left that were killed.
fn remove_leftovers() {
    let names = output_of(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    let ip = |arguments: &[&str]| take_down(Command::new("ip").args(arguments));
    let mut dead = Vec::new();
    for name in names
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        let owner = owner(name).filter(|process| !launcher::processes::is_running(*process));
        if let Some(process) = owner {
            ip(&["netns", "del", name]);
            dead.push(process);
        }
    }
    dead.dedup();
    for process in dead {
        ip(&["link", "del", &format!("{PREFIX}{process}b")]);
    }
}

/// The process that made the namespace of this name, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    let (process, host) = name.strip_prefix(PREFIX)?.split_once('h')?;
    host.parse::<u32>().ok()?;
    process.parse().ok()
}

/// The middle of the addresses, so that several sets of hosts do not meet.
const fn octets(process: u32) -> (u32, u32) {
    (64 + process % 64, process / 64 % 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_this_program_are_its_own() {
        assert_eq!(owner("mps1234h2"), Some(1234));
        for other in ["mps1234", "mps12h", "mpsXh1", "other", "1234h2"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn addresses_are_addresses() {
        for process in [1, 63, 64, 20_000, u32::MAX] {
            let (second, third) = octets(process);
            assert!(second < 128 && third < 256);
        }
    }

    #[test]
    fn packets_are_read_from_the_table_of_interfaces() {
        let table =
            "Inter-|   Receive\n face |bytes    packets errs\n    lo: 10 1 0\nmps7v1: 870 12 0\n";
        assert_eq!(packets_from(table, "mps7v1"), Some(12));
        assert_eq!(packets_from(table, "mps7v2"), None);
    }
}
