//! The tree along which gates are closed and opened: rooted at the node of the writer, so that its
//! cost grows with the logarithm of the number of nodes, at the writer as well as in time.

/// A node's number in its communicator.
pub(crate) type Node = u32;

/// How many nodes each node tells, outside simulations.
pub(crate) const FAN_OUT: u32 = 8;

/// The nodes to which `node` passes on what `root` says to all `nodes`.
pub(crate) fn children(
    node: Node,
    root: Node,
    nodes: u32,
    fan_out: u32,
) -> impl Iterator<Item = Node> {
    let place = (u64::from(node) + u64::from(nodes) - u64::from(root)) % u64::from(nodes);
    let first = place * u64::from(fan_out) + 1;
    (first..first + u64::from(fan_out))
        .take_while(move |&place| place < u64::from(nodes))
        .map(move |place| ((place + u64::from(root)) % u64::from(nodes)) as Node)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
