//! Lines of the tests' own sources, which ranks name in reports.

/// The number of the line of `source` that ends with this comment.
///
/// # Panics
/// If there is none.
pub fn line_with(source: &str, comment: &str) -> u32 {
    let mut lines = source.lines();
    let line = lines.position(|line| line.ends_with(&format!("; // {comment}")));
    line.expect("there is one") as u32 + 1
}
