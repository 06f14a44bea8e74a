//! Network traffic of ranks on several hosts.

use std::env;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use mpi::traits::*;
use mpisync_tests::job::Job;

mpisync_tests::cases!(on [1, 2, 3, 4]:
    reads_send_nothing,
);

/// The number of packets that this host has sent and received. None if no network is named: on one
/// host, and on emulated ones.
fn packets() -> Option<u64> {
    let network = env::var("XTASK_NETWORK").ok()?;
    let count = |direction: &str| -> u64 {
        let path = format!("/sys/class/net/{network}/statistics/{direction}_packets");
        let text = fs::read_to_string(&path).expect("a host has its network");
        text.trim().parse().expect("a number of packets")
    };
    Some(count("rx") + count("tx"))
}

/// A hundred thousand read locks on each rank leave the counters of the network unchanged.
fn reads_send_nothing(job: &Job) {
    const READS: u32 = 100_000;
    // The hosts send beats about once a second, and the system packets of its own at times.
    const ATTEMPTS: u32 = 20;
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut fewest = None;
    for _ in 0..ATTEMPTS {
        // A write before, so that the gates have to open again.
        drop(ctrl.write());
        job.world.barrier();
        sleep(Duration::from_millis(300));
        let before = packets();
        (0..READS).for_each(|_| drop(ctrl.read()));
        let sent = packets().zip(before).map(|(after, before)| after - before);
        sleep(Duration::from_millis(300));
        let mut most = 0;
        let mine = sent.unwrap_or(0);
        job.world
            .all_reduce_into(&mine, &mut most, mpi::collective::SystemOperation::max());
        fewest = Some(fewest.map_or(most, |fewest: u64| fewest.min(most)));
        if most == 0 {
            break;
        }
    }
    assert_eq!(fewest, Some(0), "packets during the reads");
    // The counters work.
    let before = packets();
    for _ in 0..10 {
        drop(ctrl.write());
        job.world.barrier();
    }
    if let Some((after, before)) = packets().zip(before) {
        assert!(after > before, "writes over hosts send packets");
    }
}
