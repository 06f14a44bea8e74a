//! The tree of gates.

use crate::rwlock::global::tree::{FAN_OUT, children};

#[test]
fn every_node_is_told_once() {
    for nodes in [1, 2, 3, 8, 9, 10, 73, 74, 1000] {
        for root in [0, 1, nodes / 2, nodes - 1] {
            let root = root.min(nodes - 1);
            let mut told = vec![0; nodes as usize];
            told[root as usize] += 1;
            for node in 0..nodes {
                for child in children(node, root, nodes, FAN_OUT) {
                    told[child as usize] += 1;
                }
            }
            assert!(told.iter().all(|&times| times == 1), "{nodes} from {root}");
        }
    }
}
