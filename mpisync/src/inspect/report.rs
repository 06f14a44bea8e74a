//! What `mpisync-top` prints, as JSON or as text.

use serde::{Deserialize, Serialize};

/// The version of the JSON. It grows when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// The JSON document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: u32,
    /// One, or those that were asked for.
    pub hosts: Vec<Host>,
}

/// What runs on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Why nothing is known of it.
    pub error: Option<String>,
    /// When it was looked at, in seconds since 1970.
    pub time: f64,
    /// The communicators on which objects were made.
    pub communicators: Vec<Communicator>,
    /// The processes of this user that cannot be read.
    pub unreadable: Vec<Unreadable>,
    /// Memory that cannot be read although its processes can.
    pub problems: Vec<String>,
    /// The number of processes of other users, at which nobody has looked.
    pub others: usize,
}

/// A process that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Its number.
    pub process: u32,
    /// The name of its program; empty if not known.
    pub program: String,
    /// The cause, and the cure if there is one.
    pub reason: String,
}

/// A communicator on which objects were made, as far as it is on this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Communicator {
    /// The same on all its nodes.
    pub id: String,
    /// The number of its ranks, on all nodes.
    pub size: u32,
    /// The number of its nodes.
    pub nodes: u32,
    /// The ranks of this node.
    pub ranks: Vec<Rank>,
    /// The objects that exist, and those that ranks wait for.
    pub objects: Vec<Object>,
    /// Whether a part of it changed each time it was read: objects may be missing.
    pub changing: bool,
}

/// A rank of this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rank {
    /// In the communicator.
    pub rank: u32,
    /// The number of its process.
    pub process: u32,
    /// The name of its program; empty if not known.
    pub program: String,
    /// What its process does.
    pub state: RankState,
    /// The call in which it has waited for more than ten milliseconds.
    pub waits: Option<Wait>,
    /// Whether what it waits for changed each time it was read.
    pub changing: bool,
}

/// What a rank's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankState {
    /// It is alive.
    Alive,
    /// A signal or a debugger has stopped it.
    Stopped,
    /// It has ended: its universe was dropped, or MPI is finalized.
    Ended,
    /// Its process has died.
    Died,
    /// It is in another PID namespace.
    Unknown,
}

/// A line of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    /// Its path; of a long one the end.
    pub file: String,
    /// From 1 on.
    pub line: u32,
}

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// The call, such as `lock`.
    pub call: String,
    /// The kind of the object.
    pub kind: String,
    /// The name of the object.
    pub name: String,
    /// Where the program has called it.
    pub at: Option<SourceLine>,
    /// For how long it has waited.
    pub seconds: f64,
    /// The first of the ranks that it waits for.
    pub for_rank: Option<u32>,
    /// Whether the object belongs to another communicator.
    pub elsewhere: bool,
}

/// An object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Its kind, such as `mutex`.
    pub kind: String,
    /// Its name; the beginning and the end of a long one.
    pub name: String,
    /// The ranks that hold it; none if that cannot be seen from this node.
    pub holders: Option<Vec<Holder>>,
    /// The ranks of the node that wait for it.
    pub waiting: Vec<Waiter>,
    /// Of an object with permits: how many are free, and how many there are.
    pub permits: Option<(u32, u32)>,
    /// How often something has happened to it.
    pub count: Option<Count>,
    /// The bytes that it takes on this node; 0 if not known.
    pub bytes: u64,
    /// How many ranks of this node have dropped it.
    pub dropped_by: u32,
    /// Whether it changed each time it was read: the ranks are those of one moment, which is over.
    pub changing: bool,
}

/// A rank that holds an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// In the communicator; none for the node's server.
    pub rank: Option<u32>,
    /// What it does, such as `writes`.
    pub role: String,
    /// How many permits it has.
    pub permits: Option<u32>,
    /// Where it has taken the object, if a rank that waits has found out.
    pub at: Option<SourceLine>,
    /// For how long a rank that waits has seen it there.
    pub seen_for: Option<f64>,
}

/// A rank that waits for an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiter {
    /// In the communicator; none for the node's server.
    pub rank: Option<u32>,
    /// The call; none if it has waited for less than ten milliseconds, or is on another node.
    pub call: Option<String>,
    /// Where the program has called it.
    pub at: Option<SourceLine>,
    /// For how long it has waited.
    pub seconds: Option<f64>,
    /// The first of the ranks that it waits for.
    pub for_rank: Option<u32>,
}

/// How often something has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// What it is: `openings` of a lock, each by a writer or by the last of several; or `waits` for a permit.
    pub of: String,
    /// Since the object was made.
    pub value: u64,
}
