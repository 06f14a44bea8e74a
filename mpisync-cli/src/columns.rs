//! Rows of cells as lines with columns.

use crate::line::{Line, PLAIN};

/// What is between two columns, and before the first one.
const GAP: &str = "  ";
/// The least room for the last cell beside the others; with less, it gets lines of its own.
const LEAST: usize = 24;

/// How lines fit into a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They have any width: they are for a file, or for another program.
    Whole,
    /// They are cut at this number of columns.
    Cut(usize),
    /// They go on in the next line at this number of columns.
    Wrap(usize),
}

impl Fit {
    /// This line, as one or more.
    pub fn lines(self, line: &Line) -> Vec<Line> {
        match self {
            Fit::Whole => vec![line.clone()],
            Fit::Cut(most) => vec![line.cut(most)],
            Fit::Wrap(most) => line.wrap(most, 2 * GAP.len()),
        }
    }
}

/// The rows as lines. A column is as wide as its widest cell, as a terminal shows it, and the last
/// cell of a row has the rest of the line.
pub fn columns(rows: &[Vec<Line>], fit: Fit) -> Vec<Line> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        // The last cell needs no column.
        let cells = row.iter().take(row.len().saturating_sub(1));
        for (column, cell) in cells.enumerate() {
            match widths.get_mut(column) {
                Some(width) => *width = cell.width().max(*width),
                None => widths.push(cell.width()),
            }
        }
    }
    if let (Fit::Cut(most), Some(first)) = (fit, widths.first_mut()) {
        *first = (*first).min(most / 2);
    }
    rows.iter()
        .flat_map(|row| in_columns(row, &widths, fit))
        .collect()
}

fn in_columns(row: &[Line], widths: &[usize], fit: Fit) -> Vec<Line> {
    let mut line = Line::new();
    let Some((last, cells)) = row.split_last() else {
        return vec![line];
    };
    for (cell, width) in cells.iter().zip(widths) {
        line.add(PLAIN, GAP);
        let start = line.width();
        match fit {
            Fit::Cut(_) => line.append(&cell.cut(*width)),
            Fit::Whole | Fit::Wrap(_) => line.append(cell),
        }
        line.pad(start + width);
    }
    line.add(PLAIN, GAP);
    let Fit::Wrap(most) = fit else {
        line.append(last);
        return fit.lines(&line);
    };
    let used = line.width();
    if used + last.width() <= most {
        line.append(last);
        return vec![line];
    }
    let indent = match most.checked_sub(used) {
        Some(LEAST..) => used,
        _ => 3 * GAP.len(),
    };
    let mut wrapped = last.wrap(most.saturating_sub(indent).max(1), 0).into_iter();
    let mut lines = Vec::new();
    if indent == used {
        line.append(&wrapped.next().unwrap_or_default());
        lines.push(line);
    } else {
        lines.extend(fit.lines(&line));
    }
    lines.extend(wrapped.map(|rest| {
        let mut line = Line::from(" ".repeat(indent));
        line.append(&rest);
        line
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rows: &[[&str; 3]], fit: Fit) -> Vec<String> {
        let rows: Vec<Vec<Line>> = rows
            .iter()
            .map(|row| row.iter().copied().map(Line::from).collect())
            .collect();
        let lines = columns(&rows, fit);
        lines.iter().map(|line| line.render(false)).collect()
    }

    #[test]
    fn wide_characters_line_up() {
        let rows = [
            ["解析", "3 s ago", "x"],
            ["e\u{301}abcde", "10 min ago", "y"],
        ];
        let lines = shown(&rows, Fit::Whole);
        assert_eq!(
            lines,
            ["  解析    3 s ago     x", "  e\u{301}abcde  10 min ago  y"]
        );
        let starts = lines.iter().map(|line| {
            let (before, _) = line.split_at(line.rfind(' ').expect("one"));
            crate::text::width(before)
        });
        let starts: Vec<usize> = starts.collect();
        assert_eq!(starts[0], starts[1]);
    }

    #[test]
    fn lines_are_cut_or_wrapped_at_the_width() {
        let rows = [[
            "a-name-of-many-columns",
            "1 s ago",
            "a reason of a few more words than fit",
        ]];
        for most in [20, 40, 60] {
            let cut = shown(&rows, Fit::Cut(most));
            assert_eq!(cut.len(), 1);
            assert!(crate::text::width(&cut[0]) <= most, "{cut:?}");
            let wrapped = shown(&rows, Fit::Wrap(most));
            assert!(
                wrapped.iter().all(|line| crate::text::width(line) <= most),
                "{wrapped:?}"
            );
            let all = wrapped.join(" ");
            for word in ["reason", "words", "fit"] {
                assert!(all.contains(word), "{wrapped:?}");
            }
        }
    }
}
