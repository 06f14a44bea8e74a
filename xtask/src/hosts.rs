//! Several hosts on one machine: each has its own network, host name and shared memory.
//!
//! A host is a network namespace; the launchers of MPI start their daemons in it through a script that stands in for ssh,
//! which also gives it a host name and an empty `/dev/shm`. That needs iproute2, and root or a user namespace in which this
//! user is root. Where neither can be had there are pretended hosts: MPICH splits one machine into groups of ranks that use
//! the network between each other.

use anyhow::{Result, bail};
use launcher::Family;

use crate::mpi::{self, Choice, Mpi, Wanted};
use crate::namespaces::{AGENT, BRIDGE, NETWORK, Namespaces};
use crate::process::say;
use crate::workspace::Workspace;

/// Fewer packets than this between a host and the others mean that they did not use the network.
const FEWEST_PACKETS: u64 = 20;

/// So many hosts, until this is dropped.
pub struct Hosts {
    count: u32,
    /// Or why there are none; then MPICH can pretend to have hosts.
    namespaces: Result<Namespaces, String>,
    /// Jobs of MPICH 4 run on pretended hosts in any case, see [`Hosts::for_tests`].
    for_tests: bool,
}

impl Hosts {
    /// Sets up `count` hosts.
    pub fn up(count: u32) -> Result<Self> {
        if !(2..=200).contains(&count) {
            bail!("2 to 200 hosts can be set up, not {count}");
        }
        let namespaces = Namespaces::up(count).map_err(|error| format!("{error:#}"));
        Ok(Self {
            count,
            namespaces,
            for_tests: false,
        })
    }

    /// Which MPIs to use on them. Where there are no namespaces and none is named, that is MPICH if it is there.
    pub fn choose(&self, workspace: &Workspace, mut choice: Choice) -> Result<Choice> {
        let Err(reason) = &self.namespaces else {
            return Ok(choice);
        };
        let is_mpich = |family| family == Some(Family::Mpich);
        let is_free = !choice.all && choice.named.is_empty() && mpi::named_wrapper().is_none();
        if is_free
            && mpi::all(workspace)
                .iter()
                .any(|mpi| is_mpich(Some(mpi.family)))
        {
            choice.named.push(Wanted::Family(Family::Mpich));
        }
        let (mpis, missing) = choice.find(workspace)?;
        let mut families = mpis.iter().map(|mpi| Some(mpi.family)).chain(missing);
        if !families.all(is_mpich) {
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
        let stays = mpi.family == Family::Mpich && mpi.major() < 5;
        let namespaces = self.namespaces.as_ref().ok();
        namespaces.filter(|_| !(self.for_tests && stays))
    }

    /// How many there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// What they are for jobs of this MPI, in words.
    pub fn describe(&self, mpi: &Mpi) -> String {
        let kind = if self.are_pretended(mpi) {
            "pretended hosts"
        } else {
            "hosts"
        };
        format!("{} {kind}", self.count)
    }

    /// Why jobs of this MPI cannot run on them, if they cannot.
    pub fn fault(&self, mpi: &Mpi) -> Option<&str> {
        let reason = self.namespaces.as_ref().err();
        reason
            .filter(|_| mpi.family != Family::Mpich)
            .map(String::as_str)
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
        let slots = ranks.div_ceil(self.count);
        let host = |host| format!("{}:{slots}", Namespaces::address(host));
        let list = (1..=self.count).map(host).collect::<Vec<_>>().join(",");
        let options = match (mpi.family, mpi.major()) {
            (Family::Mpich, _) => {
                format!("-launcher ssh -launcher-exec {AGENT} -iface {BRIDGE} -hosts {list}")
            }
            (Family::OpenMpi, 5..) => format!(
                "--prtemca plm_ssh_agent {AGENT} --prtemca prte_if_include {NETWORK} \
                 --mca btl_tcp_if_include {NETWORK} --map-by ppr:{slots}:node:oversubscribe --bind-to none \
                 --host {list}"
            ),
            // Each host would bind its first rank to the first core, which is the same one for all.
            (Family::OpenMpi, _) => format!(
                "--mca plm_rsh_agent {AGENT} --mca oob_tcp_if_include {NETWORK} \
                 --mca btl_tcp_if_include {NETWORK} --map-by slot --bind-to none --host {list}"
            ),
        };
        let mut words = namespaces.entrance().to_vec();
        words.push(mpiexec);
        words.extend(options.split_whitespace().map(str::to_owned));
        Ok(words)
    }

    /// Whether this MPI only pretends that its ranks are on several hosts.
    pub fn are_pretended(&self, mpi: &Mpi) -> bool {
        self.namespaces(mpi).is_none()
    }

    /// What their jobs need in the environment.
    pub fn environment(&self, mpi: &Mpi) -> Vec<(&'static str, String)> {
        let count = self.count.to_string();
        let mut environment = vec![("XTASK_HOSTS", count.clone())];
        let mut set = |name, value: &str| environment.push((name, value.to_owned()));
        if self.are_pretended(mpi) {
            set("MPIR_CVAR_NUM_CLIQUES", &count);
            return environment;
        }
        set("XTASK_NETWORK", "eth0");
        if mpi.family == Family::Mpich {
            // UCX sees through namespaces and would take shared memory between them.
            set("UCX_TLS", "tcp,self");
            set("UCX_NET_DEVICES", "eth0");
        } else {
            // More polling ranks than cores leave the kernel no time for the network.
            set("OMPI_MCA_mpi_yield_when_idle", "1");
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
