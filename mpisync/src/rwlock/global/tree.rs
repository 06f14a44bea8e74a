//! The tree along which gates are closed and opened. Its root is the writer's node, so both the time
//! and the number of messages at the writer grow with the logarithm of the number of nodes.

/// A node's number in its communicator.
pub(crate) type Node = u32;

/// The number of children of a node, outside simulations.
pub(crate) const FAN_OUT: u32 = 8;

/// The children of `node` in the tree of `nodes` nodes from `root`.
pub(crate) fn children(
    node: Node,
    root: Node,
    nodes: u32,
    fan_out: u32,
) -> impl Iterator<Item = Node> {
    let index = (u64::from(node) + u64::from(nodes) - u64::from(root)) % u64::from(nodes);
    let first = index * u64::from(fan_out) + 1;
    (first..first + u64::from(fan_out))
        .take_while(move |&index| index < u64::from(nodes))
        .map(move |index| ((index + u64::from(root)) % u64::from(nodes)) as Node)
}
