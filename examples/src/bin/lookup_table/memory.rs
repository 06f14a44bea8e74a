//! The memory of the ranks, as Linux counts it.

use std::fs;

use anyhow::{Context, ensure};
use mpisync::prelude::*;
use mpisync_examples::sum::sum;

/// The file in which Linux reports the memory of a process.
const ROLLUP: &str = "/proc/self/smaps_rollup";

/// The bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// The tolerance for other memory of a node: MPI's own buffers, and memory that the ranks keep
/// after use.
const ELSE: u64 = 8 * MIB;

/// The bytes of memory of all ranks together. Collective.
///
/// This is the sum of their proportional set sizes: of a page that several processes use, each
/// counts its part, so the sum has it once for each node. Pages of files are left out, because
/// other processes may use MPI's libraries, too.
///
/// # Errors
/// If Linux does not report it.
pub fn of_all_ranks(
    world: &SimpleCommunicator,
    ctrl: &mut WindowController,
) -> anyhow::Result<u64> {
    Ok(sum(world, of_this_rank(ctrl)?))
}

/// The proportional set size of this rank. All ranks read it at the same time: a rank that began or
/// ceased to use a page in between would change the sizes of the others.
#[mpisync::collective]
fn of_this_rank(ctrl: &mut WindowController) -> anyhow::Result<u64> {
    let rollup = fs::read_to_string(ROLLUP).with_context(|| format!("cannot read {ROLLUP}"))?;
    pss(&rollup).with_context(|| format!("there is no Pss in {ROLLUP}"))
}

/// The proportional set size without pages of files, in bytes.
fn pss(rollup: &str) -> Option<u64> {
    let field = |name: &str| {
        let rest = rollup.lines().find_map(|line| line.strip_prefix(name))?;
        let kib = rest.trim().strip_suffix(" kB")?;
        Some(kib.parse::<u64>().ok()? << 10)
    };
    // Linux before 5.3 does not report the parts.
    Some(field("Pss:")? - field("Pss_File:").unwrap_or_default())
}

/// Checks that `memory` is about that of this many tables, on this many nodes.
///
/// # Errors
/// If it differs by more than a fifth and the tolerance of each node.
pub fn ensure_tables(memory: u64, tables: i32, bytes: u64, nodes: i32) -> anyhow::Result<()> {
    let many = |count: i32, bytes: u64| u64::from(count.unsigned_abs()) * bytes;
    let expected = many(tables, bytes);
    let tolerance = expected / 5 + many(nodes, ELSE);
    ensure!(
        memory.abs_diff(expected) <= tolerance,
        "all ranks together take {} for the table, and should take {} for {tables} of {}",
        in_mib(memory),
        in_mib(expected),
        in_mib(bytes)
    );
    Ok(())
}

/// As text in MiB.
pub fn in_mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let old = "55d0-7ffd ---p 00000000 00:00 0   [rollup]\nRss:  9 kB\nPss:      1300 kB\n";
        assert_eq!(pss(old), Some(1300 << 10));
        let new = format!("{old}Pss_Anon:   200 kB\nPss_File:       300 kB\n");
        assert_eq!(pss(&new), Some(1000 << 10));
        assert_eq!(pss("Rss: 9 kB"), None);
    }

    #[test]
    fn one_table_more_is_too_many() {
        let table = 32 * MIB;
        assert!(ensure_tables(table, 1, table, 1).is_ok());
        assert!(ensure_tables(46 * MIB, 1, table, 1).is_ok());
        assert!(ensure_tables(2 * table, 1, table, 1).is_err());
        assert!(ensure_tables(2 * table, 2, table, 2).is_ok());
        assert!(ensure_tables(0, 1, table, 1).is_err());
    }
}
