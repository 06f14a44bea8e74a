//! A line for a terminal: texts, each with a style.

use crate::text::{char_width, name_line, width};
use anstyle::{AnsiColor, Style};

/// As the terminal's user has it.
pub const PLAIN: Style = Style::new();
/// Titles.
pub const TITLE: Style = Style::new().bold();
/// What is less important.
pub const FAINT: Style = Style::new().dimmed();
/// What has ended well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What runs.
pub const BUSY: Style = AnsiColor::Cyan.on_default();
/// What waits, or is strange.
pub const ODD: Style = AnsiColor::Yellow.on_default();
/// What has failed.
pub const BAD: Style = AnsiColor::Red.on_default();

/// A line. Control characters in its texts are escaped, so that it is one, and controls nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    parts: Vec<(Style, String)>,
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// The line with this text added.
    pub fn with(mut self, style: Style, text: impl AsRef<str>) -> Self {
        self.add(style, text);
        self
    }

    /// Adds a text.
    pub fn add(&mut self, style: Style, text: impl AsRef<str>) {
        let text = name_line(text.as_ref());
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some((last, before)) if *last == style => before.push_str(&text),
            _ => self.parts.push((style, text)),
        }
    }

    /// Adds the texts of another line.
    pub fn append(&mut self, other: &Line) {
        for (style, text) in &other.parts {
            self.add(*style, text);
        }
    }

    /// The columns that it takes.
    pub fn width(&self) -> usize {
        self.parts.iter().map(|(_, text)| width(text)).sum()
    }

    /// Adds spaces up to this width.
    pub fn pad(&mut self, to: usize) {
        let missing = to.saturating_sub(self.width());
        if missing > 0 {
            self.add(PLAIN, " ".repeat(missing));
        }
    }

    /// The line, or its beginning if it takes more than `most` columns.
    pub fn cut(&self, most: usize) -> Line {
        if self.width() <= most {
            return self.clone();
        }
        let mut start = Line::new();
        let mut room = most.saturating_sub(1);
        for (style, text) in &self.parts {
            let mut end = text.len();
            for (at, char) in text.char_indices() {
                match room.checked_sub(char_width(char)) {
                    Some(left) => room = left,
                    None => {
                        end = at;
                        break;
                    }
                }
            }
            start.add(*style, &text[..end]);
            if end < text.len() {
                break;
            }
        }
        start.with(FAINT, "…")
    }

    /// The line as several of at most `most` columns, broken between words where that is possible.
    /// All but the first begin with `indent` spaces.
    pub fn wrap(&self, most: usize, indent: usize) -> Vec<Line> {
        if self.width() <= most {
            return vec![self.clone()];
        }
        let indent = indent.min(most / 2);
        let spaces = " ".repeat(indent);
        let (mut lines, mut line) = (Vec::new(), Line::new());
        // Whether the line has a word already: the spaces in front of the first one stay.
        let mut is_begun = false;
        for word in self.words() {
            let space = usize::from(is_begun);
            if is_begun && line.width() + space + word.width() > most {
                lines.push(std::mem::take(&mut line));
                line.add(PLAIN, &spaces);
            } else if is_begun {
                line.add(PLAIN, " ");
            }
            for (style, text) in &word.parts {
                for char in text.chars() {
                    if line.width() + char_width(char) > most {
                        lines.push(std::mem::take(&mut line));
                        line.add(PLAIN, &spaces);
                    }
                    line.add(*style, char.encode_utf8(&mut [0; 4]));
                }
            }
            is_begun |= !word.is_blank();
        }
        lines.push(line);
        lines
    }

    fn is_blank(&self) -> bool {
        self.parts.iter().all(|(_, text)| text.trim().is_empty())
    }

    /// The words with their styles. The spaces in front of the first one are a word, too.
    fn words(&self) -> Vec<Line> {
        let mut words = vec![Line::new()];
        let mut is_begun = false;
        for (style, text) in &self.parts {
            for char in text.chars() {
                let last = words.last_mut().expect("there is one at least");
                let is_space = char == ' ';
                if is_space && is_begun {
                    if !last.is_blank() {
                        words.push(Line::new());
                    }
                    continue;
                }
                if !is_space && !is_begun {
                    is_begun = true;
                    if last.width() > 0 {
                        words.push(Line::new());
                    }
                }
                let last = words.last_mut().expect("there is one at least");
                last.add(*style, char.encode_utf8(&mut [0; 4]));
            }
        }
        words.retain(|word| word.width() > 0);
        words
    }

    /// The text, with colours if the terminal is to have them. Spaces at the end are left out.
    pub fn render(&self, has_colours: bool) -> String {
        let mut rendered = String::new();
        for (style, text) in &self.parts {
            match has_colours && *style != PLAIN {
                true => rendered += &format!("{style}{text}{style:#}"),
                false => rendered += text,
            }
        }
        rendered.truncate(rendered.trim_end_matches(' ').len());
        rendered
    }
}

impl<T: AsRef<str>> From<T> for Line {
    fn from(text: T) -> Self {
        Line::new().with(PLAIN, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_with_its_styles() {
        let line = Line::from("ab ").with(BAD, "解析する").with(PLAIN, " end");
        assert_eq!(line.width(), 15);
        let cut = line.cut(8);
        assert_eq!(cut.width(), 8);
        assert_eq!(cut.render(false), "ab 解析…");
        let coloured = cut.render(true);
        assert!(
            coloured.starts_with("ab \u{1b}[31m解析\u{1b}[0m"),
            "{coloured:?}"
        );
        assert_eq!(line.cut(15), line);
    }

    #[test]
    fn a_text_cannot_control_the_terminal() {
        let line = Line::from("a\u{1b}[2J\nb");
        assert_eq!(line.render(true), r"a\u{1b}[2J\nb");
    }

    #[test]
    fn a_line_is_wrapped_between_words() {
        let line = Line::from("  t7  ")
            .with(BAD, "no such")
            .with(PLAIN, " input file, give another");
        let wrapped = line.wrap(20, 6);
        let texts: Vec<String> = wrapped.iter().map(|line| line.render(false)).collect();
        assert_eq!(
            texts,
            ["  t7 no such input", "      file, give", "      another"]
        );
        assert!(wrapped[0].render(true).contains("\u{1b}[31mno"));
        let long = Line::from("/a/path/that/is/longer/than/a/line").wrap(10, 2);
        assert!(long.iter().all(|line| line.width() <= 10), "{long:?}");
        let whole: String = long.iter().map(|line| line.render(false)).collect();
        assert_eq!(whole.replace(' ', ""), "/a/path/that/is/longer/than/a/line");
    }
}
