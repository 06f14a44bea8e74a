//! The files with the timeline.

mod chrome;
mod html;
mod svg;

use crate::folder::Found;
use crate::job::Job;
use crate::report::Report;
use anyhow::{Context, Result};
use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What the files show.
pub struct Shown<'a> {
    pub found: &'a Found,
    pub job: &'a Job,
    pub report: &'a Report,
}

/// The files that were written.
pub struct Written {
    pub paths: Vec<PathBuf>,
    /// How many of the shortest events the JSON leaves out.
    pub left_out: u64,
}

/// Writes all files into a folder.
///
/// # Errors
/// If one cannot be written.
pub fn write(folder: &Path, shown: &Shown) -> Result<Written> {
    let mut left_out = 0;
    let html = replace(folder, "timeline.html", |to| html::write(shown, to))?;
    let svg = replace(folder, "timeline.svg", |to| svg::write(shown, to))?;
    let json = replace(folder, "timeline.json", |to| {
        left_out = chrome::write(shown.job, chrome::MOST_EVENTS, to)?;
        Ok(())
    })?;
    Ok(Written {
        paths: vec![html, svg, json],
        left_out,
    })
}

/// Writes a file under another name first, so that nobody reads a part of it.
fn replace(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<PathBuf> {
    let path = folder.join(name);
    let cannot = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        // The umask of the user applies, as to other files.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(cannot)?;
    let mut to = BufWriter::with_capacity(1 << 16, file.as_file_mut());
    write(&mut to)
        .and_then(|()| to.flush())
        .with_context(cannot)?;
    drop(to);
    file.persist(&path).with_context(cannot)?;
    Ok(path)
}

/// The text for XML and HTML. Control characters are escaped as in Rust, because XML has none of them.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in mpisync_cli::text::name_line(text).chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No characters of XML.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
