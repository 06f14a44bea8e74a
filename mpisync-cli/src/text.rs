//! Texts of others on one line, their width on a terminal, and their beginnings and ends.

use std::fmt::Write as _;
use unicode_width::UnicodeWidthChar;

/// What stands for the part of a text that is left out.
const LEFT_OUT: char = '…';

/// A name on one line. Backslashes stay.
pub fn name_line(name: &str) -> String {
    escaped(name, false)
}

/// A text on one line, escaped so that the original text can be recovered.
pub fn text_line(text: &str) -> String {
    escaped(text, true)
}

/// Escapes control characters, which end lines or control a terminal, and backslashes if
/// `and_backslashes`.
fn escaped(text: &str, and_backslashes: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || (and_backslashes && char == '\\') {
            // Writing to a string does not fail.
            let _ = write!(line, "{}", char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

/// JSON with all control characters but line breaks escaped.
pub fn json_lines(json: &str) -> String {
    let mut lines = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '\n' => lines.push(char),
            char if char.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(lines, "\\u{:04x}", u32::from(char));
            }
            char => lines.push(char),
        }
    }
    lines
}

/// The columns that a character takes on a terminal.
pub(crate) fn char_width(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// The columns that a text without control characters takes on a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The number as text, with its noun in the right number: `1 rank`, `2 processes`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = match what {
        _ if count == 1 => "",
        what if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {what}{plural}")
}

/// The text, or its beginning if it takes more than `most` columns.
pub fn shortened(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut start = fitting(text.chars(), most.saturating_sub(1));
    start.push(LEFT_OUT);
    start
}

/// The text, or its end if it takes more than `most` columns.
pub fn end_of(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let end = fitting(text.chars().rev(), most.saturating_sub(1));
    [LEFT_OUT].into_iter().chain(end.chars().rev()).collect()
}

/// The first of the characters, as many as fit into `most` columns.
fn fitting(chars: impl Iterator<Item = char>, most: usize) -> String {
    let mut taken = 0;
    chars
        .take_while(|char| {
            taken += char_width(*char);
            taken <= most
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_line() {
        assert_eq!(text_line("a\nb\tc\\n\r\u{1b}[1m"), r"a\nb\tc\\n\r\u{1b}[1m");
        assert_eq!(text_line("größer als 7"), "größer als 7");
        assert_eq!(name_line("a\\b\n"), r"a\b\n");
        assert_eq!(
            json_lines("{\n \"\u{9b}\u{7f}é\"}"),
            "{\n \"\\u009b\\u007fé\"}"
        );
    }

    #[test]
    fn a_text_is_cut_by_its_width() {
        // Two columns each, and an accent that takes none.
        assert_eq!(width("解析e\u{301}"), 5);
        assert_eq!(shortened("解析する", 8), "解析する");
        assert_eq!(shortened("解析する", 7), "解析す…");
        assert_eq!(shortened("解析する", 6), "解析…");
        assert_eq!(end_of("src/解析.rs:7", 7), "….rs:7");
        assert_eq!(end_of("main.rs:7", 9), "main.rs:7");
        assert_eq!(shortened("abc", 0), "…");
    }

    #[test]
    fn nouns_have_their_number() {
        assert_eq!(counted(1, "process"), "1 process");
        assert_eq!(counted(0, "process"), "0 processes");
        assert_eq!(counted(2, "rank"), "2 ranks");
    }
}
