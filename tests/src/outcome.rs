//! The names of errors, by which tests compare what ranks get.

use std::fmt::Debug;

/// The innermost variant of an error, and the rank that it names, if any: `HolderDied` and 3 for
/// `Lock(HolderDied { rank: 3 })`.
pub fn name_of(error: &impl Debug) -> (String, Option<i32>) {
    let text = format!("{error:?}");
    let mut rest = text.as_str();
    let name = loop {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        match rest[end..].strip_prefix('(') {
            Some(inner) if inner.starts_with(char::is_uppercase) => rest = inner,
            _ => break &rest[..end],
        }
    };
    let rank = rest.split_once(" rank: ").and_then(|(_, rank)| {
        let end = rank.find(|c: char| c != '-' && !c.is_ascii_digit());
        rank[..end.unwrap_or(rank.len())].parse().ok()
    });
    (name.to_owned(), rank)
}
