//! The table: the square roots of 0, 1, 2 …, which every machine computes to the same bits.
//!
//! The file has only the bytes of its numbers, in little-endian order.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter, Read, Write},
    path::Path,
};

use anyhow::{Context, ensure};

/// The size of a number in bytes.
pub const NUMBER: usize = size_of::<f64>();

/// The table's entry at an index, computed.
pub fn compute(index: usize) -> f64 {
    (index as f64).sqrt()
}

/// Writes a table of this many numbers. An existing file is replaced.
///
/// # Errors
/// If the file cannot be written.
pub fn make(file: &Path, numbers: usize) -> anyhow::Result<()> {
    let write = || {
        let mut out = BufWriter::new(File::create(file)?);
        for index in 0..numbers {
            out.write_all(&compute(index).to_le_bytes())?;
        }
        out.flush()
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// The number of numbers in a file.
///
/// # Errors
/// If the file cannot be read, or its length is no multiple of the size of a number.
pub fn length(file: &Path) -> anyhow::Result<usize> {
    let data = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
    let bytes = usize::try_from(data.len())?;
    ensure!(
        bytes > 0 && bytes.is_multiple_of(NUMBER),
        "{} has {bytes} bytes, and a number {NUMBER}",
        file.display()
    );
    Ok(bytes / NUMBER)
}

/// Reads the table directly into `table`.
///
/// # Errors
/// If the file cannot be read or is too short.
pub fn load(file: &Path, table: &mut [f64]) -> anyhow::Result<()> {
    let read = || {
        let mut input = BufReader::new(File::open(file)?);
        let mut bytes = [0; NUMBER];
        for number in table {
            input.read_exact(&mut bytes)?;
            *number = f64::from_le_bytes(bytes);
        }
        std::io::Result::Ok(())
    };
    read().with_context(|| format!("cannot read {}", file.display()))
}

/// Random indices, different on each rank: the generator SplitMix64, scaled to the length of the
/// table.
pub fn indices(rank: i32, length: usize) -> impl Iterator<Item = usize> {
    let seed = u64::from(rank.unsigned_abs()) << 32;
    (1_u64..).map(move |n| {
        let x = seed.wrapping_add(n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let scaled = u128::from(x ^ (x >> 31)) * length as u128;
        (scaled >> u64::BITS) as usize
    })
}

/// A sum of numbers that shows a change of any bit.
pub fn checksum(numbers: impl Iterator<Item = f64>) -> u64 {
    numbers.fold(0, |sum, number| sum.wrapping_add(number.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_from_its_file() {
        let file = std::env::temp_dir().join(format!("table-{}", std::process::id()));
        make(&file, 1000).unwrap();
        assert_eq!(length(&file).unwrap(), 1000);
        let mut table = [1.0; 1000];
        load(&file, &mut table).unwrap();
        assert!(load(&file, &mut [0.0; 1001]).is_err());
        fs::write(&file, "1234567").unwrap();
        assert!(length(&file).is_err());
        fs::remove_file(&file).unwrap();
        assert!(length(&file).is_err());
        assert_eq!(table[..4], [0.0, 1.0, 2.0_f64.sqrt(), 3.0_f64.sqrt()]);
        assert_eq!(
            checksum(table.into_iter()),
            checksum((0..1000).map(compute))
        );
    }

    #[test]
    fn indices_are_all_over_the_table() {
        for length in [1, 7, 1000] {
            let mut found = vec![0; length];
            indices(3, length)
                .take(20 * length)
                .for_each(|i| found[i] += 1);
            assert!(found.iter().all(|&times| times > 0), "{length}");
        }
        let of = |rank| indices(rank, 1000).take(100).collect::<Vec<_>>();
        assert_eq!(of(0), of(0));
        assert_ne!(of(0), of(1));
    }
}
