//! Which rank of a communicator runs on which node.
//!
//! There are two numberings: *ranks* of the communicator, and *local ranks* of this node,
//! in the same order. On one node they are the same.

/// A communicator's ranks and nodes, as one rank sees them.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    rank: u32,
    /// The node of each rank.
    node_of: Vec<u32>,
    /// The lowest rank of each node, in ascending order.
    leaders: Vec<u32>,
    /// The ranks of this node, in ascending order.
    local: Vec<u32>,
    /// The location of each rank.
    places: Vec<RankLocation>,
    remote: usize,
}

/// Where a rank is, seen from this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RankLocation {
    /// On this node, with this local rank.
    Local(usize),
    /// On another node; the index among all such ranks.
    Remote(usize),
}

impl Topology {
    /// From the lowest rank of each rank's node.
    pub(crate) fn new(rank: u32, leader_of: &[u32]) -> Self {
        let mut leaders = leader_of.to_vec();
        leaders.sort_unstable();
        leaders.dedup();
        let node = |leader: &u32| leaders.binary_search(leader).expect("one of the leaders") as u32;
        let node_of: Vec<u32> = leader_of.iter().map(node).collect();
        let mine = node_of[rank as usize];
        let (mut local, mut remote) = (Vec::new(), 0);
        let mut places = Vec::with_capacity(node_of.len());
        for (rank, &node) in node_of.iter().enumerate() {
            if node == mine {
                places.push(RankLocation::Local(local.len()));
                local.push(rank as u32);
            } else {
                places.push(RankLocation::Remote(remote));
                remote += 1;
            }
        }
        Topology {
            rank,
            node_of,
            leaders,
            local,
            places,
            remote,
        }
    }

    /// One node with `size` ranks.
    pub(crate) fn one_node(rank: u32, size: usize) -> Self {
        Self::new(rank, &vec![0; size])
    }

    /// This rank.
    #[inline]
    pub(crate) fn rank(&self) -> u32 {
        self.rank
    }

    /// How many ranks there are.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.node_of.len()
    }

    /// The number of this node.
    pub(crate) fn node(&self) -> u32 {
        self.node_of[self.rank as usize]
    }

    /// The number of nodes.
    pub(crate) fn nodes(&self) -> u32 {
        self.leaders.len() as u32
    }

    /// Whether there are several nodes.
    pub(crate) fn spans_nodes(&self) -> bool {
        self.leaders.len() > 1
    }

    /// The node of `rank`.
    pub(crate) fn node_of(&self, rank: u32) -> u32 {
        self.node_of[rank as usize]
    }

    /// The lowest rank of `node`.
    pub(crate) fn leader(&self, node: u32) -> u32 {
        self.leaders[node as usize]
    }

    /// Whether this rank is the lowest of its node.
    pub(crate) fn is_leader(&self) -> bool {
        self.leader(self.node()) == self.rank
    }

    /// Whether this rank is on this node.
    pub(crate) fn has_local(&self, rank: i32) -> bool {
        self.local_ranks().contains(&(rank as u32))
    }

    /// The ranks of this node, by local rank.
    pub(crate) fn local_ranks(&self) -> &[u32] {
        &self.local
    }

    /// The number of ranks on other nodes.
    pub(crate) fn remote(&self) -> usize {
        self.remote
    }

    /// The location of `rank`.
    #[inline]
    pub(crate) fn location(&self, rank: usize) -> RankLocation {
        self.places[rank]
    }

    /// All nodes except this one.
    pub(crate) fn other_nodes(&self) -> impl Iterator<Item = u32> {
        let mine = self.node();
        (0..self.nodes()).filter(move |&node| node != mine)
    }
}
