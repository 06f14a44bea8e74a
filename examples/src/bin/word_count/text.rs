//! Text as messages.

use std::iter;

/// The longest text in a message, in bytes. Together with its length and the channel's stamp it
/// fills four cache lines.
pub const LONGEST: usize = 240;

/// A text of at most [`LONGEST`] bytes.
#[derive(Clone, Copy, mpisync::Equivalence)]
pub struct Text {
    length: u64,
    bytes: [u8; LONGEST],
}

impl Text {
    /// The text as a message, if it is short enough.
    pub fn of(text: &str) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        let length = text.len() as u64;
        Some(Text { length, bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let bytes = &self.bytes[..self.length as usize];
        str::from_utf8(bytes).expect("it was made of a text")
    }
}

/// The words of a text: sequences of letters and digits.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_between).filter(|word| !word.is_empty())
}

/// Splits a line between words into pieces of at most [`LONGEST`] bytes. A longer word is a piece
/// of its own.
pub fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    iter::from_fn(move || {
        rest = rest.trim_start_matches(is_between);
        let (piece, behind) = rest.split_at(end_of_piece(rest));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The end of the first piece of a text that begins with a word.
fn end_of_piece(text: &str) -> usize {
    if text.len() <= LONGEST {
        return text.len();
    }
    let is_boundary = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=LONGEST).rev().find(is_boundary).unwrap_or(0);
    let (head, behind) = text.split_at(end);
    if behind.starts_with(is_between) {
        return head.len();
    }
    head.rfind(is_between)
        .or_else(|| text.find(is_between))
        .unwrap_or(text.len())
}

fn is_between(c: char) -> bool {
    !c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lengths of the pieces of a line. Checks that they have all its words.
    fn lengths(line: &str) -> Vec<usize> {
        let pieces: Vec<&str> = pieces(line).collect();
        let found = pieces.iter().flat_map(|piece| words(piece));
        assert!(found.eq(words(line)));
        for piece in &pieces {
            let fits = Text::of(piece).is_some_and(|text| text.as_str() == *piece);
            assert!(fits || (piece.len() > LONGEST && words(piece).count() == 1));
        }
        pieces.iter().map(|piece| piece.len()).collect()
    }

    #[test]
    fn a_line_is_cut_between_words() {
        assert_eq!(lengths(""), []);
        assert_eq!(lengths(" .\r\n"), []);
        assert_eq!(lengths("one, two"), [8]);
        assert_eq!(lengths(&"twelve bytes".repeat(20)), [240]);
        assert_eq!(lengths(&"a word ".repeat(40)), [239, 40]);
        let (short, full) = ("x".repeat(100), "y".repeat(LONGEST));
        assert_eq!(lengths(&format!("{short} {full}")), [100, 240]);
        assert_eq!(lengths(&format!("{full} {short}")), [240, 100]);
        assert_eq!(lengths(&format!("{full}{}", ".".repeat(500))), [240]);
        assert_eq!(lengths(&format!("  {full}, {full}.")), [240, 240]);
    }

    #[test]
    fn a_word_longer_than_a_message_stays_whole() {
        let long = "z".repeat(LONGEST + 1);
        assert_eq!(lengths(&long), [241]);
        assert_eq!(
            lengths(&format!("a {long} b {long}{long}")),
            [1, 241, 1, 482]
        );
    }

    #[test]
    fn letters_of_several_bytes_are_not_cut() {
        for bytes in 0..8 {
            let ascii = "b".repeat(bytes);
            lengths(&format!("{ascii}{}", "ä".repeat(200)));
            lengths(&format!("{ascii}{}", "水 ".repeat(200)));
            lengths(&format!("{ascii}{}", "—“𝒙”".repeat(200)));
        }
    }
}
