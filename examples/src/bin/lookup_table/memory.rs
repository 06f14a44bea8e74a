//! How much memory the ranks take, as Linux counts it.

use std::fs;

use anyhow::{Context, ensure};
use mpisync::prelude::*;
use mpisync_examples::sum::sum;

/// Where Linux tells what a process takes.
const ROLLUP: &str = "/proc/self/smaps_rollup";

/// The bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// What else of a node's memory may have changed: MPI's own buffers, and what the ranks keep after they have used it.
const ELSE: u64 = 8 * MIB;

/// The bytes of memory that all ranks take together. Collective.
///
/// These are their proportional set sizes: of a page that several processes use, each counts its part, so that it is in
/// the sum once for each node. Pages of files are left out, for others may use MPI's libraries too.
///
/// # Errors
/// Where Linux does not tell.
pub fn of_all_ranks(
    world: &SimpleCommunicator,
    ctrl: &mut WindowController,
) -> anyhow::Result<u64> {
    Ok(sum(world, of_this_rank(ctrl)?))
}

/// What this rank counts for. All ranks look at the same time: one that came to use a page, or left it, would change
/// what it is for the others.
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
    // Linux before 5.3 does not tell the parts.
    Some(field("Pss:")? - field("Pss_File:").unwrap_or_default())
}

/// Makes sure that `memory` is about what so many tables take, on so many nodes.
///
/// # Errors
/// If it is a fifth more or less, and what else a node may take.
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

/// As a text, in MiB.
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
