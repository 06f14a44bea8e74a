//! Several hosts on one machine: each has its own network, host name and shared memory.
//!
//! A host is a network namespace with a cable (a veth pair) to a bridge; the launchers of MPI start their daemons in it
//! through a script that stands in for ssh, which also gives it a host name and an empty `/dev/shm`. That needs root and
//! iproute2. Without root there are pretended hosts: MPICH splits one machine into groups of ranks that use the network
//! between each other.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result, bail};
use nix::unistd::geteuid;

use crate::family::Family;
use crate::mpi::Mpi;
use crate::packages::Manager;
use crate::process::output_of;
use crate::report::say;
use crate::setup::Missing;
use crate::workspace::on_path;

/// Names begin with this, and then the number of the process that made them.
const PREFIX: &str = "mps";

/// Fewer packets than this between a host and the others mean that they did not use the network.
const FEWEST_PACKETS: u64 = 20;

/// So many hosts, until this is dropped.
pub struct Hosts {
    count: u32,
    kind: Kind,
    /// Jobs of MPICH 4 run on pretended hosts in any case, see [`Hosts::for_tests`].
    for_tests: bool,
}

enum Kind {
    /// Namespaces.
    Real(Namespaces),
    /// MPICH's groups of ranks.
    Pretended,
}

struct Namespaces {
    tag: String,
    agent: PathBuf,
    count: u32,
}

impl Hosts {
    /// Sets up `count` hosts; `directory` is for the script in place of ssh.
    pub fn up(count: u32, directory: &Path) -> Result<Self> {
        if !(2..=200).contains(&count) {
            bail!("2 to 200 hosts can be set up, not {count}");
        }
        let kind = match Namespaces::up(count, directory) {
            Ok(namespaces) => Kind::Real(namespaces),
            Err(error) => {
                say(format!(
                    "no network namespaces ({error:#}): pretended hosts, which only MPICH has, take their place"
                ));
                Kind::Pretended
            }
        };
        Ok(Self {
            count,
            kind,
            for_tests: false,
        })
    }

    /// The same, for programs that have to end well many times: MPICH 4.0 with UCX over TCP, as Debian has it, often stays
    /// in `MPI_Finalize` for ever when several ranks run on each host (ten lines of C show it), so its jobs run on
    /// pretended hosts.
    pub fn for_tests(mut self) -> Self {
        self.for_tests = true;
        self
    }

    /// The namespaces, if jobs of this MPI run in them.
    fn namespaces(&self, mpi: &Mpi) -> Option<&Namespaces> {
        match &self.kind {
            Kind::Real(namespaces) => {
                let stays = mpi.family == Family::Mpich && mpi.major() < 5;
                (!(self.for_tests && stays)).then_some(namespaces)
            }
            Kind::Pretended => None,
        }
    }

    /// How many there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// What they are for jobs of this MPI, in words.
    pub fn describe(&self, mpi: &Mpi) -> String {
        let kind = match self.namespaces(mpi) {
            Some(_) => "hosts",
            None => "pretended hosts",
        };
        format!("{} {kind}", self.count)
    }

    /// Whether jobs of this MPI can run on them.
    pub fn suit(&self, mpi: &Mpi) -> bool {
        self.namespaces(mpi).is_some() || mpi.family == Family::Mpich
    }

    /// The launcher and its options for `ranks` ranks dealt evenly, but for their number.
    pub fn launcher(&self, mpi: &Mpi, ranks: u32) -> Result<Vec<String>> {
        let mut words = vec![mpi.mpiexec.display().to_string()];
        let Some(namespaces) = self.namespaces(mpi) else {
            if mpi.family != Family::Mpich {
                bail!("pretended hosts need MPICH; real ones need root");
            }
            return Ok(words);
        };
        let slots = ranks.div_ceil(self.count);
        let list: Vec<String> = (1..=self.count)
            .map(|host| format!("{}:{slots}", namespaces.address(host)))
            .collect();
        let agent = namespaces.agent.display().to_string();
        let network = namespaces.network();
        let list = list.join(",");
        let options: &[&str] = match (mpi.family, mpi.major()) {
            (Family::Mpich, _) => &[
                "-launcher",
                "ssh",
                "-launcher-exec",
                &agent,
                "-iface",
                &namespaces.bridge(),
                "-hosts",
                &list,
            ],
            (Family::OpenMpi, 5..) => &[
                "--prtemca",
                "plm_ssh_agent",
                &agent,
                "--prtemca",
                "prte_if_include",
                &network,
                "--mca",
                "btl_tcp_if_include",
                &network,
                "--map-by",
                &format!("ppr:{slots}:node:oversubscribe"),
                "--bind-to",
                "none",
                "--host",
                &list,
            ],
            (Family::OpenMpi, _) => &[
                "--mca",
                "plm_rsh_agent",
                &agent,
                "--mca",
                "oob_tcp_if_include",
                &network,
                "--mca",
                "btl_tcp_if_include",
                &network,
                "--map-by",
                "slot",
                // Each host would bind its first rank to the first core, which is the same one for all.
                "--bind-to",
                "none",
                "--host",
                &list,
            ],
        };
        words.extend(options.iter().map(|&word| word.to_owned()));
        Ok(words)
    }

    /// Whether this MPI only pretends that its ranks are on several hosts.
    pub fn are_pretended(&self, mpi: &Mpi) -> bool {
        self.namespaces(mpi).is_none()
    }

    /// What their jobs need in the environment.
    pub fn environment(&self, mpi: &Mpi) -> Vec<(&'static str, String)> {
        let set = |name, value: &str| (name, value.to_owned());
        let mut environment = match (self.namespaces(mpi), mpi.family) {
            (None, _) => vec![("MPIR_CVAR_NUM_CLIQUES", self.count.to_string())],
            // UCX sees through namespaces and would take shared memory between them.
            (Some(_), Family::Mpich) => {
                vec![set("UCX_TLS", "tcp,self"), set("UCX_NET_DEVICES", "eth0")]
            }
            // More polling ranks than cores leave the kernel no time for the network.
            (Some(_), Family::OpenMpi) => vec![set("OMPI_MCA_mpi_yield_when_idle", "1")],
        };
        environment.push(("MPISYNC_HOSTS", self.count.to_string()));
        if self.namespaces(mpi).is_some() {
            environment.push(set("MPISYNC_NETWORK", "eth0"));
        }
        environment
    }

    /// Checks that every host has talked to others, and says how much.
    pub fn check_traffic(&self, mpi: &Mpi) -> Result<()> {
        let Some(namespaces) = self.namespaces(mpi) else {
            return Ok(());
        };
        let mut counts = Vec::new();
        for host in 1..=self.count {
            let packets = namespaces.packets(host)?;
            if packets < FEWEST_PACKETS {
                bail!("host {host} sent {packets} packets: the hosts did not use the network");
            }
            counts.push(packets.to_string());
        }
        say(format!("packets sent by the hosts: {}", counts.join(", ")));
        Ok(())
    }
}

fn is_root() -> bool {
    geteuid().is_root()
}

fn install_ip() -> Result<()> {
    let manager = Manager::find().context("there is no `ip` (iproute2), nor a package manager")?;
    let privilege = manager.privilege().context("`ip` (iproute2) is missing")?;
    say("installing iproute2, which sets hosts up");
    manager.install(&[Missing::Iproute], privilege)
}

impl Namespaces {
    fn up(count: u32, directory: &Path) -> Result<Self> {
        if !is_root() {
            bail!("they need root");
        }
        if on_path("ip").is_none() {
            install_ip()?;
        }
        remove_leftovers();
        let tag = format!("{PREFIX}{}", process::id());
        fs::create_dir_all(directory)?;
        let agent = directory.join(format!("{tag}.sh"));
        let namespaces = Self { tag, agent, count };
        // From here on, whatever fails, what is there is taken down when it is dropped.
        namespaces.build()?;
        Ok(namespaces)
    }

    fn build(&self) -> Result<()> {
        let bridge = self.bridge();
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("addr add {}/24 dev {bridge}", self.address(254)))?;
        ip(&format!("link set {bridge} up"))?;
        for host in 1..=self.count {
            let (name, cable) = (self.host(host), self.cable(host));
            ip(&format!("netns add {name}"))?;
            ip(&format!(
                "link add {cable} type veth peer name eth0 netns {name}"
            ))?;
            ip(&format!("link set {cable} master {bridge} up"))?;
            let address = self.address(host);
            ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
            ip(&format!("-n {name} link set eth0 up"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        fs::write(&self.agent, self.script())?;
        fs::set_permissions(&self.agent, fs::Permissions::from_mode(0o755))?;
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

    fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    fn host(&self, host: u32) -> String {
        format!("{}h{host}", self.tag)
    }

    fn cable(&self, host: u32) -> String {
        format!("{}v{host}", self.tag)
    }

    fn address(&self, host: u32) -> String {
        let (second, third) = Self::octets(process::id());
        format!("10.{second}.{third}.{host}")
    }

    fn network(&self) -> String {
        format!("{}/24", self.address(0))
    }

    /// The middle of the addresses, so that several sets of hosts do not meet.
    const fn octets(process: u32) -> (u32, u32) {
        (64 + process % 64, process / 64 % 256)
    }

    /// How many packets a host has sent so far.
    fn packets(&self, host: u32) -> Result<u64> {
        let path = format!("/sys/class/net/{}/statistics/rx_packets", self.cable(host));
        let count = fs::read_to_string(&path).with_context(|| path.clone())?;
        count.trim().parse().context(path)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for host in 1..=self.count {
            // What was not made yet cannot be removed; the rest has to go all the same. The cable first: that of a host
            // which is gone stays for a while.
            let _ = ip(&format!("link del {}", self.cable(host)));
            let _ = ip(&format!("netns del {}", self.host(host)));
        }
        let _ = ip(&format!("link del {}", self.bridge()));
        let _ = fs::remove_file(&self.agent);
    }
}

/// Removes what earlier processes left that were killed.
fn remove_leftovers() {
    let names = output_of(Command::new("ip").args(["netns", "list"])).unwrap_or_default();
    let mut dead = Vec::new();
    for name in names
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        if let Some(process) = owner(name)
            && !Path::new(&format!("/proc/{process}")).exists()
        {
            let _ = ip(&format!("netns del {name}"));
            dead.push(process);
        }
    }
    dead.dedup();
    for process in dead {
        let _ = ip(&format!("link del {PREFIX}{process}b"));
    }
}

/// The process that made the namespace of this name, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    let (process, host) = name.strip_prefix(PREFIX)?.split_once('h')?;
    host.parse::<u32>().ok()?;
    process.parse().ok()
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .context("`ip` (iproute2) sets hosts up")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("ip {arguments}: {}", words.trim());
    }
    Ok(())
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
            let (second, third) = Namespaces::octets(process);
            assert!(second < 128 && third < 256);
        }
    }
}
