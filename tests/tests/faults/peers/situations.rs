//! The faults and the situations, and the calls of packages that they concern.

/// The names of the faults in the script, the titles of their columns, and those in our table.
pub const FAULTS: [(&str, &str, &str); 6] = [
    ("raises", "raises or panics", "panics"),
    ("returns", "returns", "returns"),
    ("killed", "is killed", "dies"),
    ("exits", "calls `exit(0)`", "dies"),
    ("stopped", "is stopped", "is stopped"),
    ("leaks", "leaks", "leaks"),
];

/// What happens to a rank, and what the others do meanwhile.
pub struct Situation {
    /// What the rank does.
    pub title: &'static str,
    /// The first columns of lines of our table: object, what the others do, and what the rank does.
    pub ours: &'static [[&'static str; 3]],
    /// Calls of packages, and the functions of the script that make them.
    pub peers: &'static [(&'static str, &'static str)],
}

/// All of them.
#[rustfmt::skip] // a table
pub const SITUATIONS: [Situation; 8] = [
    Situation {
        title: "has a lock, for which the others wait",
        ours: &[["controller", "`write`", "writes"], ["mutex", "`lock`", "holds it"]],
        peers: &[
            ("mpilock `write`", "mpilock_write"),
            ("pshmem `MPILock.lock`", "pshmem_lock"),
            ("mpi4py `Mutex.acquire`", "mpi4py_mutex"),
        ],
    },
    Situation {
        title: "has the only permit, for which the others wait",
        ours: &[["semaphore", "`acquire`", "holds the only permit"]],
        peers: &[("mpi4py `Semaphore.acquire`", "mpi4py_semaphore")],
    },
    Situation {
        title: "writes for all, and the others collect the value",
        ours: &[["`single_write`", "`collect`", "is the writer, in its closure"]],
        peers: &[("mpilock `single_write`, `collect`", "mpilock_fence")],
    },
    Situation {
        title: "does not come to a call of all ranks",
        ours: &[
            ["`single_write`", "`collect`", "is the writer, and does not come"],
            ["region", "`set`", "does not come"],
        ],
        peers: &[
            ("mpilock `single_write`, `collect`", "mpilock_fence_missing"),
            ("pshmem `MPIShared.set`", "pshmem_set"),
        ],
    },
    Situation {
        title: "has its turn, for which the others wait",
        ours: &[["turn", "`take` for the second time", "has its first turn"]],
        peers: &[("mpi4py `Sequential.begin`", "mpi4py_turn")],
    },
    Situation {
        title: "is the only one that could notify the others",
        ours: &[["condition", "`wait`", "is the only one that does not wait"]],
        peers: &[("mpi4py `Condition.wait`", "mpi4py_condition")],
    },
    Situation {
        title: "is the other end of a channel",
        ours: &[
            ["channel", "`put` into a full channel", "has the only consumer"],
            ["channel", "`take` from an empty channel", "has the only producer"],
        ],
        peers: &[
            ("mpi-channels `put` into a full channel", "channels_put"),
            ("mpi-channels `take` of a claimed message", "channels_take"),
        ],
    },
    Situation {
        title: "does not come to make the first object",
        ours: &[["any object", "make the first object", "does not come"]],
        peers: &[
            ("mpilock `sync`", "mpilock_make"),
            ("pshmem `MPILock`", "pshmem_make"),
            ("mpi-channels `RemoteChannel`", "channels_make"),
            ("mpi4py `Mutex`", "mpi4py_make"),
        ],
    },
];
