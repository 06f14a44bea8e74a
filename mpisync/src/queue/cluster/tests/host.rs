//! The host by itself.

use super::super::word::{Bytes, Levels};
use super::super::{Host, Report, Supply};

/// The host's answer for one node, and nothing for the others.
fn supply_for(host: &mut Host, node: usize) -> Option<Supply> {
    let supplies: Vec<_> = host.supplies().collect();
    assert!(supplies.iter().all(|(to, _)| *to == node), "{supplies:?}");
    supplies.into_iter().next().map(|(_, supply)| supply)
}

#[test]
fn nothing_is_sent_ahead_to_a_node_where_nobody_takes() {
    let mut host = Host::new(2, 100, 10);
    // Node 1 puts as much as it may.
    let mut levels = Levels::default();
    while levels.granted < 40 {
        levels.thirst.lasting = 1;
        host.receive(
            1,
            Report {
                levels: levels.clone(),
                ..Report::default()
            },
        );
        let credits = supply_for(&mut host, 1).expect("there is room").credits;
        levels.granted += credits;
        levels.thirst.lasting = 0;
        let puts = vec![Bytes::from(vec![1]); credits as usize];
        host.receive(
            1,
            Report {
                puts,
                levels: levels.clone(),
                ..Report::default()
            },
        );
        let more = supply_for(&mut host, 1).map_or(0, |supply| supply.credits);
        levels.granted += more;
        let puts = vec![Bytes::from(vec![1]); more as usize];
        host.receive(
            1,
            Report {
                puts,
                levels: levels.clone(),
                ..Report::default()
            },
        );
        levels.granted += supply_for(&mut host, 1).map_or(0, |supply| supply.credits);
    }
    let (mut levels, mut there, mut sent) = (Levels::default(), 0, 0);
    while there < 5 {
        levels.received = sent;
        levels.taken = sent;
        levels.hunger.lasting = 1;
        let levels = levels.clone();
        host.receive(
            0,
            Report {
                levels,
                ..Report::default()
            },
        );
        there = 0;
        for (node, supply) in host.supplies() {
            if node == 0 {
                there = supply.messages.len();
            }
        }
        sent += there as u64;
    }
    // All that was sent ahead comes back, for the only one who took has gone.
    levels.received = sent;
    levels.no_consumer = true;
    levels.hunger.lasting = 0;
    let back = vec![Bytes::from(vec![1]); there];
    host.receive(
        0,
        Report {
            back,
            levels,
            ..Report::default()
        },
    );
    for (node, supply) in host.supplies() {
        assert!(node == 1 || supply.messages.is_empty(), "{supply:?}");
    }
}
