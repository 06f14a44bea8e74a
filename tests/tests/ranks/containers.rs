//! Ranks in namespaces of their own, as each in a container.

use std::time::Duration;

use launcher::Family;
use mpisync::prelude::*;
use mpisync_tests::job::Job;
use mpisync_tests::launch::Launch;

mpisync_tests::cases!(on []:
    take_turns,
    last_rank_dies_as_writer,
);

mpisync_tests::cases!(tests on [3] with [OneNode]:
    ranks_that_share_memory_only,
    ranks_that_share_nothing,
    each_rank_is_a_node_if_asked,
    the_variable_has_two_values,
);

/// Each process has a PID namespace, with its own `/proc`.
const PROCESSES: &[&str] = &["unshare", "--pid", "--mount-proc", "--fork", "--kill-child"];

/// It has a `/dev/shm` as well.
const MEMORY: &[&str] = &[
    "unshare",
    "--pid",
    "--mount-proc",
    "--fork",
    "--kill-child",
    "sh",
    "-c",
    r#"mount -t tmpfs tmpfs /dev/shm && exec "$0" "$@""#,
];

/// What keeps the MPIs from sharing memory by means that end at a container.
const NO_SHARED_MEMORY: &[(&str, &str)] = &[
    ("OMPI_MCA_btl", "tcp,self"),
    ("OMPI_MCA_btl_vader_single_copy_mechanism", "none"),
    ("MPIR_CVAR_NOLOCAL", "1"),
    ("MPISYNC_SILENCE", "3"),
];

/// Says how many nodes there are.
fn take_turns(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).expect("a controller");
    let counter = Counter::<u64>::new(&job.world).expect("a counter");
    for _ in 0..50 {
        let guard = ctrl.write();
        let count = job.scratch.word(0);
        let before = count.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::yield_now();
        count.store(before + 1, std::sync::atomic::Ordering::Relaxed);
        drop(guard);
        counter.next();
    }
    let nodes = ctrl.nodes();
    ctrl.close().expect("all ranks live");
    let total = job
        .scratch
        .word(0)
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(total, 50 * job.size as u64);
    job.tell(&format!("{nodes} nodes"));
}

/// The last rank dies with the lock. Its process leaves no mark: it is not a signal that kills it,
/// since the first process of a PID namespace cannot kill itself by one.
fn last_rank_dies_as_writer(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).expect("a controller");
    if job.rank == job.size - 1 {
        let _guard = ctrl.write();
        job.scratch.raise(1);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
    job.scratch.wait_for(1);
    match ctrl.write_timeout(Duration::from_secs(20)) {
        Err(LockError::HolderDied { rank }) => job.tell(&format!("{rank} died")),
        // It was a host of its own.
        Err(LockError::LeaderDied { .. } | LockError::HostSilent { .. }) => job.tell("host lost"),
        other => job.tell(&format!("{other:?}")),
    }
    job.scratch.meet(2, job.size - 1);
    job.leave();
}

fn run(launch: Launch<'_>) -> Vec<Option<String>> {
    let ended = launch.limit(Duration::from_secs(60)).run();
    assert!(
        ended.verdicts.iter().any(Option::is_some),
        "{}",
        ended.report()
    );
    ended.verdicts
}

fn all(verdict: &str, ranks: usize) -> Vec<Option<String>> {
    vec![Some(verdict.to_owned()); ranks]
}

fn ranks_that_share_memory_only(ranks: usize) {
    let turns = Launch::new(ranks, ["containers::take_turns"]).envs(NO_SHARED_MEMORY);
    let nodes = run(turns.by(PROCESSES));
    // MPICH without shared memory takes each rank to be a host.
    let hosts = match launcher::family() {
        Family::OpenMpi => "1 nodes",
        Family::Mpich => "3 nodes",
    };
    assert_eq!(nodes, all(hosts, ranks));
    check_death(ranks, PROCESSES, "2 died");
}

fn ranks_that_share_nothing(ranks: usize) {
    let turns = Launch::new(ranks, ["containers::take_turns"]).envs(NO_SHARED_MEMORY);
    assert_eq!(run(turns.by(MEMORY)), all("3 nodes", ranks));
    check_death(ranks, MEMORY, "host lost");
}

/// What the other ranks get when the last one dies. Only with Open MPI: the launcher of MPICH may end
/// a rank in a namespace when another one has died.
fn check_death(ranks: usize, wrapper: &[&str], expected: &str) {
    if launcher::family() == Family::Mpich {
        return;
    }
    let death = Launch::new(ranks, ["containers::last_rank_dies_as_writer"]);
    let death = death.envs(NO_SHARED_MEMORY).survive_deaths();
    let mut died = run(death.by(wrapper));
    died.pop();
    assert_eq!(died, all(expected, ranks - 1));
}

fn each_rank_is_a_node_if_asked(ranks: usize) {
    let turns = Launch::new(ranks, ["containers::take_turns"]).envs(&[("MPISYNC_NODE", "rank")]);
    assert_eq!(run(turns), all("3 nodes", ranks));
}

fn the_variable_has_two_values(ranks: usize) {
    let ended = Launch::new(ranks, ["containers::take_turns"])
        .envs(&[("MPISYNC_NODE", "ranks")])
        .run();
    assert!(!ended.succeeded());
    assert!(ended.output.contains("MPISYNC_NODE"), "{}", ended.output);
}
