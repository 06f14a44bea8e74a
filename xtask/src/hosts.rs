//! Several hosts on one machine: each has its own network, host name and shared memory.
//!
//! A host is a network namespace with a cable (a veth pair) to a bridge; the launchers of MPI start their daemons in it
//! through a script that stands in for ssh, which also gives it a host name and an empty `/dev/shm`. That needs iproute2,
//! and root or a user namespace in which this user is root. Where neither can be had there are pretended hosts: MPICH
//! splits one machine into groups of ranks that use the network between each other.

use anyhow::{Result, bail};
use launcher::Family;

use crate::mpi::{self, Choice, Mpi, Wanted};
use crate::namespaces::Namespaces;
use crate::process::say;
use crate::workspace::Workspace;

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
    /// MPICH's groups of ranks, and why there are no namespaces.
    Pretended(String),
}

impl Hosts {
    /// Sets up `count` hosts.
    pub fn up(count: u32, workspace: &Workspace) -> Result<Self> {
        if !(2..=200).contains(&count) {
            bail!("2 to 200 hosts can be set up, not {count}");
        }
        let kind = match Namespaces::up(count, &workspace.target) {
            Ok(namespaces) => Kind::Real(namespaces),
            Err(error) => Kind::Pretended(format!("{error:#}")),
        };
        Ok(Self {
            count,
            kind,
            for_tests: false,
        })
    }

    /// Which MPIs to use on them. Where there are no namespaces and none is named, that is MPICH if it is there.
    pub fn choose(&self, workspace: &Workspace, mut choice: Choice) -> Result<Choice> {
        let Kind::Pretended(reason) = &self.kind else {
            return Ok(choice);
        };
        let is_free = !choice.all && choice.named.is_empty() && mpi::named_wrapper().is_none();
        let all = mpi::all(workspace);
        if is_free && all.iter().any(|mpi| mpi.family == Family::Mpich) {
            choice.named.push(Wanted::Family(Family::Mpich));
        }
        let (mpis, missing) = choice.find(workspace)?;
        let families = mpis.iter().map(|mpi| Some(mpi.family)).chain(missing);
        if !families
            .into_iter()
            .all(|family| family == Some(Family::Mpich))
        {
            bail!("{}", no_namespaces(reason));
        }
        say(format!(
            "no network namespaces ({reason}): MPICH's pretended hosts take their place"
        ));
        Ok(choice)
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
            Kind::Pretended(_) => None,
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

    /// Why jobs of this MPI cannot run on them, if they cannot.
    pub fn fault(&self, mpi: &Mpi) -> Option<&str> {
        match &self.kind {
            Kind::Pretended(reason) if mpi.family != Family::Mpich => Some(reason),
            _ => None,
        }
    }

    /// The launcher and its options for `ranks` ranks dealt evenly, but for their number.
    pub fn launcher(&self, mpi: &Mpi, ranks: u32) -> Result<Vec<String>> {
        let mpiexec = mpi.mpiexec.display().to_string();
        if let Some(reason) = self.fault(mpi) {
            bail!("{}", no_namespaces(reason));
        }
        let Some(namespaces) = self.namespaces(mpi) else {
            return Ok(vec![mpiexec]);
        };
        let mut words = namespaces.entrance();
        words.push(mpiexec);
        let slots = ranks.div_ceil(self.count);
        let host = |host| format!("{}:{slots}", namespaces.address(host));
        let list: Vec<String> = (1..=self.count).map(host).collect();
        let list = list.join(",");
        let (agent, network) = (namespaces.agent(), namespaces.network());
        let options = match (mpi.family, mpi.major()) {
            (Family::Mpich, _) => {
                let bridge = namespaces.bridge();
                format!("-launcher ssh -launcher-exec {agent} -iface {bridge} -hosts {list}")
            }
            (Family::OpenMpi, 5..) => format!(
                "--prtemca plm_ssh_agent {agent} --prtemca prte_if_include {network} \
                 --mca btl_tcp_if_include {network} --map-by ppr:{slots}:node:oversubscribe --bind-to none \
                 --host {list}"
            ),
            // Each host would bind its first rank to the first core, which is the same one for all.
            (Family::OpenMpi, _) => format!(
                "--mca plm_rsh_agent {agent} --mca oob_tcp_if_include {network} \
                 --mca btl_tcp_if_include {network} --map-by slot --bind-to none --host {list}"
            ),
        };
        // No path of the namespaces has blanks.
        words.extend(options.split_whitespace().map(str::to_owned));
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
        environment.push(("XTASK_HOSTS", self.count.to_string()));
        if self.namespaces(mpi).is_some() {
            environment.push(set("XTASK_NETWORK", "eth0"));
        }
        environment
    }

    /// Checks that every host has talked to others, and says how much.
    pub fn check_traffic(&self, mpi: &Mpi) -> Result<()> {
        let Some(namespaces) = self.namespaces(mpi) else {
            return Ok(());
        };
        let mut counts = Vec::new();
        for (host, packets) in (1..).zip(namespaces.packets()?) {
            if packets < FEWEST_PACKETS {
                bail!("host {host} sent {packets} packets: the hosts did not use the network");
            }
            counts.push(packets.to_string());
        }
        say(format!("packets sent by the hosts: {}", counts.join(", ")));
        Ok(())
    }
}

/// What to do about it.
fn no_namespaces(reason: &str) -> String {
    format!(
        "there can be no network namespaces here ({reason}), and Open MPI needs them for hosts.\n\
         As root there can be; in a container root needs capabilities, with Docker:\n\n    \
         docker run --cap-add NET_ADMIN --cap-add SYS_ADMIN --security-opt apparmor=unconfined ...\n\n\
         Or take MPICH, which can pretend to have hosts: --mpi mpich"
    )
}
