use crate::shm::topology::{RankLocation, Topology};

#[test]
fn ranks_dealt_round_robin_have_local_ranks_on_their_nodes() {
    let topology = Topology::new(3, &[0, 1, 0, 1, 0]);
    assert_eq!((topology.node(), topology.nodes()), (1, 2));
    assert_eq!(topology.local_ranks(), [1, 3]);
    assert_eq!(topology.location(3), RankLocation::Local(1));
    assert_eq!(topology.location(4), RankLocation::Remote(2));
    assert_eq!(topology.remote(), 3);
    assert_eq!(topology.leader(0), 0);
    assert!(!topology.is_leader());
    assert!(topology.other_nodes().eq([0]));
}
