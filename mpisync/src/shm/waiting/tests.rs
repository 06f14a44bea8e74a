use crate::shm::domain::Domain;
use crate::shm::topology::Topology;
use crate::shm::waiting::report::{brief, full};
use crate::shm::waiting::{Awaited, Call, Described, Label, RECORDED_AFTER, Watch, record};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LABEL: Label<'_> = Label {
    kind: "mutex",
    name: "queue",
    identity: 7,
};

fn domain() -> Arc<Domain> {
    Domain::imagined(Topology::one_node(0, 4))
}

fn described(domain: &Domain) -> Described<'_, impl Fn() -> Vec<Awaited>> {
    Described::new(domain, LABEL, || Awaited::all([1], "holds it"))
}

#[test]
fn a_wait_is_recorded_once_it_is_long_and_until_it_ends() {
    let domain = domain();
    domain.watch();
    let subject = described(&domain);
    let call = Call {
        place: Some(("src/main.rs", 42)),
        ..Call::internal(&subject, "lock")
    };
    let start = Instant::now();
    let mut watch = Watch::new(Some(call), true, start);
    let recorded = || domain.segment().my_wait().get();
    watch.tick(start).unwrap();
    assert_eq!(recorded(), None);
    watch.tick(start + RECORDED_AFTER).unwrap();
    let wait = recorded().expect("it is long");
    assert_eq!((&*wait.kind, &*wait.object), ("mutex", "queue"));
    assert_eq!(
        (&*wait.call, &*wait.file, wait.line),
        ("lock", "src/main.rs", 42)
    );
    assert_eq!((wait.identity, wait.awaited), (7, Some(1)));
    assert!(wait.age() >= RECORDED_AFTER);
    // A wait of another thread at the same time has no record, and does not end this one.
    let mut other = Watch::new(Some(Call::internal(&subject, "other")), true, start);
    other.tick(start + RECORDED_AFTER).unwrap();
    drop(other);
    assert_eq!(recorded().map(|wait| wait.call), Some("lock".to_owned()));
    drop(watch);
    assert_eq!(recorded(), None);
}

#[test]
fn a_report_says_who_waits_for_whom() {
    let domain = domain();
    let subject = described(&domain);
    let call = Call {
        place: Some(("src/main.rs", 42)),
        ..Call::internal(&subject, "lock")
    };
    let awaited = Awaited::all([1, 2], "holds it");
    // Rank 1 waits for another object, and rank 3 for the same one.
    let member = |rank| &domain.segment().member(rank).wait;
    let label = Label {
        kind: "barrier",
        name: "barrier",
        identity: 9,
    };
    let barrier = Described::new(&domain, label, Vec::new);
    let since = record::now() - 2_000_000_000;
    member(1).begin(Call::internal(&barrier, "wait"), since);
    member(1).note_awaited(9, since, Some(0));
    member(3).begin(call, since);
    member(3).note_awaited(7, since, Some(1));
    let text = full(call, Duration::from_secs(5), &awaited, &[]);
    let expected = "\
mpisync: rank 0 has waited for 5.0 s in `lock` of mutex \"queue\" at src/main.rs:42
mpisync:   rank 1 holds it, and it has itself waited for 2.0 s in `wait` of barrier, there for rank 0
mpisync:   rank 2 holds it, and its process cannot be looked at
mpisync:   also waiting here: rank 3 for 2.0 s in `lock` at src/main.rs:42
";
    assert_eq!(text, expected);
    member(1).end(since);
    let expected = "`lock` of mutex \"queue\" at src/main.rs:42: rank 1 holds it, and \
                    its process cannot be looked at";
    assert_eq!(brief(call, true), expected);
    assert!(brief(call, false).ends_with(": rank 1 holds it"));
    domain.reclaim(1);
    assert!(brief(call, true).ends_with("rank 1 holds it, and it is dead"));
}

#[test]
fn a_report_says_which_ranks_are_elsewhere() {
    let domain = Domain::imagined(Topology::new(0, &[0, 0, 2]));
    let subject = Described::new(&domain, LABEL, || Awaited::all([2], "has not come"));
    let call = Call::internal(&subject, "wait");
    assert!(brief(call, true).ends_with("rank 2 has not come, and it is on another host"));
    let nobody = Described::new(&domain, LABEL, Vec::new);
    let text = full(
        Call::internal(&nobody, "lock"),
        Duration::from_secs(60),
        &[],
        &[],
    );
    let expected = "\
mpisync: rank 0 has waited for 60.0 s in `lock` of mutex \"queue\"
mpisync:   no rank is known that it waits for; it may be on another host
";
    assert_eq!(text, expected);
}
