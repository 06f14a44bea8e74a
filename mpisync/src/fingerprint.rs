//! Hashes of byte strings, the same in every process.

const WORD: usize = size_of::<u64>();

/// The FNV-1a hash.
pub(crate) fn fingerprint<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    let bytes = bytes.into_iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A faster hash, which takes eight bytes at a time. `seed` is the hash of what comes before.
pub(crate) fn quick_fingerprint(seed: u64, bytes: &[u8]) -> u64 {
    // A multiplication whose upper half is folded into the lower half, as in wyhash (Wang Yi, 2019).
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * 0xa076_1d64_78bd_642f_u128;
        product as u64 ^ (product >> u64::BITS) as u64
    };
    let (words, rest) = bytes.as_chunks::<WORD>();
    let mut last = [0; WORD];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]);
    let hash = words.fold(
        mix(mix(seed, 0xe703_7ed1_a0b4_28db), bytes.len() as u64),
        |hash, word| mix(hash, u64::from_ne_bytes(*word)),
    );
    mix(hash, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_fingerprints_differ() {
        let texts = [
            "",
            "a",
            "b",
            "ab",
            "abcdefgh",
            "abcdefghi",
            "\0",
            "\0\0",
            "hgfedcba",
        ];
        let all =
            (0..3).flat_map(|seed| texts.map(|text| quick_fingerprint(seed, text.as_bytes())));
        let mut all: Vec<u64> = all.collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 3 * texts.len());
    }
}
