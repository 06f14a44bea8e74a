//! Hosts that are network namespaces. They lie in a network and a mount namespace of their own, and without root also in a
//! user namespace in which this user is root. All of it ends with this process and the last one that it has started there.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::process::{self, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;
use which::which;

use crate::packages::{self, Missing};
use crate::process::{output_of, start};

/// The script that stands in for ssh there.
pub const AGENT: &str = "/run/netns/ssh";

/// The bridge between the hosts.
pub const BRIDGE: &str = "bridge";

/// The addresses of all hosts.
pub const NETWORK: &str = "10.64.0.0/24";

/// Makes the hosts; each has a cable (a veth pair) to the bridge. What stands in for ssh takes options, then the address of a
/// host, then a command for a shell there. The names of network namespaces are files in a directory that belongs to the
/// system's root.
const SET_UP: &str = r#"
mkdir -p /run/netns 2>/dev/null || { mount -t tmpfs tmpfs /run; mkdir /run/netns; }
mount -t tmpfs tmpfs /run/netns
ip link set lo up
ip link add bridge type bridge
ip addr add 10.64.0.254/24 dev bridge
ip link set bridge up
for host in $(seq "$1"); do
    ip netns add "host$host"
    ip link add "cable$host" type veth peer name eth0 netns "host$host"
    ip link set "cable$host" master bridge up
    ip -n "host$host" addr add "10.64.0.$host/24" dev eth0
    ip -n "host$host" link set eth0 up
    ip -n "host$host" link set lo up
done
cat >/run/netns/ssh <<'end'
#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
host=host${1##*.}
shift
exec ip netns exec "$host" unshare --uts --mount sh -c "hostname $host && mount -t tmpfs tmpfs /dev/shm && $*"
end
chmod +x /run/netns/ssh
/run/netns/ssh 10.64.0.1 true
echo ready
read -r _
"#;

/// Hosts that are there until this is dropped.
pub struct Namespaces {
    count: u32,
    /// They keep the namespaces alive.
    _files: Vec<File>,
    /// Runs the program and the arguments that follow where the hosts are, in the working directory.
    entrance: [String; 4],
}

impl Namespaces {
    /// Sets up `count` hosts.
    pub fn up(count: u32) -> Result<Self> {
        if which("ip").is_err() {
            packages::install(Missing::Iproute)?;
        }
        let mut unshare = Command::new("unshare");
        let mut kinds = vec![("net", "net"), ("mount", "mnt")];
        if !geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
            kinds.push(("user", "user"));
        }
        unshare.args([
            "--net",
            "--mount",
            "sh",
            "-ec",
            SET_UP,
            "sh",
            &count.to_string(),
        ]);
        unshare
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut first = start(&mut unshare)?;
        let mut ready = String::new();
        let stdout = first.stdout.take().context("it is a pipe")?;
        BufReader::new(stdout).read_line(&mut ready)?;
        if ready != "ready\n" {
            let words = first.wait_with_output()?.stderr;
            bail!("{}", String::from_utf8_lossy(&words).trim());
        }
        let (mut files, mut options) = (Vec::new(), String::new());
        for (kind, name) in kinds {
            let file = File::open(format!("/proc/{}/ns/{name}", first.id()))?;
            options += &format!(" --{kind}=/proc/{}/fd/{}", process::id(), file.as_raw_fd());
            files.push(file);
        }
        // Its standard input is closed here, and it ends.
        drop(first.stdin.take());
        first.wait()?;
        // A process that enters other mounts is in their root directory.
        let enter = format!(
            r#"exec nsenter --preserve-credentials{options} sh -c 'cd "$0" && exec "$@"' "$(pwd)" "$@""#
        );
        let entrance = ["sh", "-c", &enter, "sh"].map(str::to_owned);
        Ok(Self {
            count,
            _files: files,
            entrance,
        })
    }

    /// What is put before a command so that it runs where the hosts are.
    pub fn entrance(&self) -> &[String] {
        &self.entrance
    }

    /// The address of a host.
    pub fn address(host: u32) -> String {
        format!("10.64.0.{host}")
    }

    /// How many packets each host has sent so far.
    pub fn packets(&self) -> Result<Vec<u64>> {
        let [shell, rest @ ..] = &self.entrance;
        let mut cat = Command::new(shell);
        cat.args(rest).args(["cat", "/proc/net/dev"]);
        let table = output_of(&mut cat).context("/proc/net/dev")?;
        let of_host = |host| {
            let packets = packets_from(&table, &format!("cable{host}"));
            packets.with_context(|| format!("the cable of host {host} is gone"))
        };
        (1..=self.count).map(of_host).collect()
    }
}

/// How many packets an interface has received, in the system's table of interfaces.
fn packets_from(table: &str, interface: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.split_once(':'));
    let (_, counts) = lines.find(|(name, _)| name.trim() == interface)?;
    counts.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_from_the_table_of_interfaces() {
        let table =
            "Inter-|   Receive\n face |bytes    packets errs\n    lo: 10 1 0\ncable1: 870 12 0\n";
        assert_eq!(packets_from(table, "cable1"), Some(12));
        assert_eq!(packets_from(table, "cable2"), None);
    }
}
