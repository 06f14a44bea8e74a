use super::*;
use crate::compare::run::Client;

/// Whole numbers, and no time but that of the network.
const COSTS: Costs = Costs {
    one_sided: 2_000,
    card: 0,
    same_word: 0,
    overhead: 0,
    local: 0,
    handover: 0,
};

/// Two machines, and all locks on a third one.
fn workload(clients: u32, locks: u64, reads: f64) -> Workload {
    Workload {
        machines: 2,
        has_lock_machine: true,
        clients,
        popularity: Zipf::new(locks, 0.0),
        local: None,
        reads,
        hold: 100,
        handovers: 16,
        operations: 2_000,
    }
}

fn ours(costs: Costs, workload: &Workload) -> Report {
    let network = Network::new(costs, workload.all_machines());
    run(&network, &Ours::new(&network, workload), workload)
}

fn mutex(costs: Costs, workload: &Workload) -> Report {
    let network = Network::new(costs, workload.all_machines());
    run(&network, &Mutexes::new(&network, workload), workload)
}

fn shiftlock(costs: Costs, workload: &Workload) -> Report {
    let network = Network::new(costs, workload.all_machines());
    let design = ShiftLock::new(&network, workload.all_clients(), workload.handovers);
    run(&network, &design, workload)
}

fn alock(costs: Costs, workload: &Workload) -> Report {
    let network = Network::new(costs, workload.all_machines());
    let design = ALock::new(&network, workload.all_clients());
    run(&network, &design, workload)
}

/// One client alone.
fn alone(reads: f64) -> Workload {
    Workload {
        machines: 1,
        ..workload(1, 1, reads)
    }
}

/// The median, one-sided operations and messages. The run ends within an acquisition.
fn rounded(report: &Report) -> (u64, u64, u64) {
    let whole = |count: f64| {
        assert!((count - count.round()).abs() < 0.01, "{count}");
        count.round() as u64
    };
    (
        report.median,
        whole(report.one_sided),
        whole(report.messages),
    )
}

#[test]
fn shiftlock_takes_a_free_lock_in_one_operation_and_releases_it_in_another() {
    for reads in [0.0, 1.0] {
        let report = shiftlock(COSTS, &alone(reads));
        assert_eq!(rounded(&report), (2_000, 2, 0), "{reads}");
    }
}

#[test]
fn alock_uses_no_card_on_its_own_machine_and_four_operations_from_another_one() {
    let remote = alock(COSTS, &alone(0.0));
    assert_eq!(rounded(&remote), (6_000, 4, 0));
    let local = Workload {
        has_lock_machine: false,
        local: Some(1.0),
        ..alone(0.0)
    };
    let local = alock(COSTS, &local);
    assert_eq!(rounded(&local), (0, 0, 0));
}

#[test]
fn ours_reads_without_messages_and_closes_the_other_gates_in_a_round_trip() {
    let reads = ours(COSTS, &alone(1.0));
    assert_eq!(rounded(&reads), (0, 0, 0));
    // Close, drained, open; the token stays.
    let writes = ours(COSTS, &alone(0.0));
    assert_eq!(rounded(&writes), (2_000, 0, 3));
}

#[test]
fn a_mutex_is_taken_in_a_round_trip_and_released_by_a_message() {
    assert_eq!(rounded(&mutex(COSTS, &alone(0.0))), (2_000, 0, 3));
    let local = Workload {
        has_lock_machine: false,
        local: Some(1.0),
        ..alone(0.0)
    };
    assert_eq!(rounded(&mutex(COSTS, &local)), (0, 0, 0));
    // Release and grant go through the mutex's machine.
    let rate = 1e9 / 2_100.0;
    let ratio = mutex(COSTS, &workload(8, 1, 0.0)).operations_per_second / rate;
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
}

#[test]
fn writers_of_shiftlock_hand_a_lock_over_in_one_way() {
    let report = shiftlock(COSTS, &workload(8, 1, 0.0));
    // 100 ns under the lock, and 1,000 ns to the successor. Letting readers in, which are none here,
    // takes two further one-sided operations for each 16 writers.
    let rate = 1e9 / (1_100.0 + 2.0 * 2_000.0 / 16.0);
    let ratio = report.operations_per_second / rate;
    assert!((0.98..1.02).contains(&ratio), "{ratio}");
}

#[test]
fn readers_of_shiftlock_get_in_after_so_many_writers() {
    let at = |handovers| {
        let workload = Workload {
            handovers,
            ..workload(8, 1, 0.05)
        };
        shiftlock(COSTS, &workload).mean_read.expect("some read")
    };
    let (few, many) = (at(4), at(1_000_000));
    assert!(few * 4.0 < many, "{few} and {many}");
}

#[test]
fn queues_of_alock_take_turns() {
    // The lock of the first machine, from both.
    let workload = Workload {
        has_lock_machine: false,
        local: Some(0.5),
        ..workload(8, 1, 0.0)
    };
    let report = alock(COSTS, &workload);
    // With a turn of 5 local and 20 remote clients, a client waits for some turns of each queue, but
    // not for ever.
    assert!(report.p99 < 40 * report.median.max(1_000), "{report:?}");
    assert!(report.one_sided > 0.5, "{report:?}");
}

#[test]
fn writers_of_a_machine_follow_each_other_without_messages() {
    let workload = workload(8, 1, 0.0);
    let report = ours(COSTS, &workload);
    // Enqueue, link and grant for each 16 writers, and the gates now and then.
    assert!(report.messages < 0.5, "{}", report.messages);
}

#[test]
fn a_card_and_a_word_perform_one_operation_at_a_time() {
    let costs = Costs {
        card: 50,
        same_word: 250,
        ..COSTS
    };
    // Two operations each.
    for (locks, time) in [(1, 500.0), (1_000_000, 100.0)] {
        let report = shiftlock(costs, &workload(100, locks, 1.0));
        let ratio = report.operations_per_second * time / 1e9;
        assert!((0.98..1.02).contains(&ratio), "{locks} locks: {ratio}");
    }
}

#[test]
fn all_designs_exclude_under_many_workloads() {
    for clients in [1, 3, 12] {
        for locks in [1, 7, 1_000] {
            for reads in [0.0, 0.5, 0.95] {
                for local in [None, Some(0.2), Some(0.9)] {
                    let workload = Workload {
                        machines: 3,
                        has_lock_machine: local.is_none(),
                        local,
                        handovers: clients,
                        ..workload(clients, locks, reads)
                    };
                    // Panics if two clients have a lock that must not, or all wait for ever.
                    let costs = Costs::default();
                    for report in [
                        ours(costs, &workload),
                        mutex(costs, &workload),
                        shiftlock(costs, &workload),
                        alock(costs, &workload),
                    ] {
                        assert!(report.operations_per_second > 1e5, "{workload:?}");
                    }
                }
            }
        }
    }
}

/// A lock that everybody has at once.
struct Broken;

impl Design for Broken {
    const NAME: &'static str = "broken";

    async fn acquire(&self, _: Client, _: run::Place, _: bool) {}

    async fn release(&self, _: Client, _: run::Place, _: bool) {}
}

#[test]
#[should_panic(expected = "a client enters beside Writer")]
fn a_lock_that_does_not_exclude_is_found() {
    let workload = workload(2, 1, 0.0);
    run(&Network::new(COSTS, 3), &Broken, &workload);
}

/// What the command writes.
fn output(arguments: &[&str]) -> anyhow::Result<String> {
    let line = ["simulate", "compare"].iter().chain(arguments);
    let options = <crate::Options as clap::Parser>::try_parse_from(line)?;
    let Some(crate::Other::Compare(compare)) = options.other else {
        panic!("it is the comparison");
    };
    let mut out = Vec::new();
    compare.run(&mut out)?;
    Ok(String::from_utf8(out)?)
}

#[test]
fn the_table_and_the_figure_have_all_designs() {
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().display().to_string();
    for setup in ["shiftlock", "alock"] {
        let text = output(&[
            setup,
            "--clients=1,3",
            "--locks=60",
            "--operations=500",
            "--plot",
            &path,
        ])
        .expect("it is simulated");
        let figure = directory.path().join(format!("simulate-{setup}.svg"));
        let svg = std::fs::read_to_string(figure).expect("it is written");
        for name in ["mpisync lock", "mpisync mutex", "ShiftLock", "ALock"] {
            assert_eq!(text.matches(name).count(), 2, "{text}");
            assert_eq!(svg.matches(&format!(">{name}</text>")).count(), 2, "{name}");
        }
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    for (arguments, cure) in [
        (["shiftlock", "--local=0.5"], "leave out --local"),
        (["alock", "--locks=30"], "give a multiple as --locks"),
        (["alock", "--zipf=1"], "less than 1"),
        (["alock", "--reads=2"], "at most 1"),
    ] {
        let error = output(&arguments).expect_err("it does not fit").to_string();
        assert!(error.contains(cure), "{error}");
    }
}
