//! The report as tables of the page.

use crate::files::{Shown, escaped};
use crate::report::gaps::gaps;
use crate::report::text::share;
use crate::report::{Lost, Report, Time, Wait};
use mpisync_cli::time::precise;
use std::io::{self, Write};

/// The most rows of a table.
const MOST: usize = 30;
const TIMES: &str = "<th class=\"number\">lost</th><th>share</th><th class=\"number\">waits</th><th class=\"number\">longest</th>";

/// The share of the time that was waiting, and what is missing.
pub fn summary(shown: &Shown, to: &mut dyn Write) -> io::Result<()> {
    let report = shown.report;
    let available = u64::try_from(report.available).unwrap_or(u64::MAX);
    match report.events {
        0 => writeln!(to, "<p>There are no events.</p>")?,
        _ => writeln!(
            to,
            "<p><strong>{} waiting</strong>: {} of the {} of these ranks</p>",
            share(report.waiting, report.available),
            precise(report.waiting),
            precise(available)
        )?,
    }
    let gaps = gaps(shown.found, shown.job, report);
    let unreadable = shown.found.unreadable.iter().take(MOST);
    let unreadable = unreadable.map(|error| format!("not readable: {error}"));
    let all: Vec<String> = gaps.into_iter().chain(unreadable).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(to, "<ul>")?;
    for text in all {
        writeln!(to, "<li>{}</li>", escaped(&text))?;
    }
    writeln!(to, "</ul>")
}

/// All tables.
///
/// # Errors
/// Those of writing.
pub fn write(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    if report.longest.is_empty() {
        return writeln!(to, "<p>No rank has waited.</p>");
    }
    writeln!(to, "<div class=\"tables\">")?;
    let all = report.waiting;
    lost(
        "Lost by the line that kept others waiting",
        "kept at",
        &report.keeper_lines,
        all,
        to,
    )?;
    lost(
        "Lost by the line that waited",
        "waited at",
        &report.waiting_lines,
        all,
        to,
    )?;
    waits(report, to)?;
    lost("Lost by object", "object", &report.objects, all, to)?;
    pairs(report, to)?;
    writeln!(to, "</div>")
}

fn lost(title: &str, of: &str, rows: &[Lost], all: u64, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "<section><h2>{title}</h2>\n<table class=\"times\"><thead><tr>{TIMES}<th>{of}</th></tr></thead><tbody>"
    )?;
    for row in rows.iter().take(MOST) {
        times(&row.time, all, to)?;
        match &row.by {
            Some(by) => writeln!(to, "<td><code>{}</code></td></tr>", breakable(by))?,
            None => writeln!(to, "<td class=\"unknown\">unknown</td></tr>")?,
        }
    }
    end(rows.len(), to)
}

fn pairs(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    if report.pairs.is_empty() {
        return Ok(());
    }
    writeln!(
        to,
        "<section><h2>Who kept whom waiting</h2>\n<table class=\"times\"><thead><tr>{TIMES}<th>ranks</th></tr></thead><tbody>"
    )?;
    for pair in report.pairs.iter().take(MOST) {
        times(&pair.time, report.waiting, to)?;
        let (keeper, waiter) = (pair.keeper, pair.waiter);
        writeln!(to, "<td>rank {keeper} kept rank {waiter}</td></tr>")?;
    }
    end(report.pairs.len(), to)
}

fn waits(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    const HEADS: &str = "<th class=\"number\">lost</th><th>rank</th><th>call</th><th>waited at</th><th>kept by</th><th>kept at</th><th></th>";
    writeln!(
        to,
        "<section class=\"wide\"><h2>Longest waits</h2>\n<table><thead><tr>{HEADS}</tr></thead><tbody>"
    )?;
    for (index, wait) in report.longest.iter().take(MOST).enumerate() {
        row(index, wait, to)?;
    }
    writeln!(to, "</tbody></table></section>")
}

fn row(index: usize, wait: &Wait, to: &mut dyn Write) -> io::Result<()> {
    let code = |text: &Option<String>| match text {
        Some(text) => format!("<code>{}</code>", breakable(text)),
        None => "<span class=\"unknown\">unknown</span>".to_owned(),
    };
    let still = if wait.is_open { ", still waiting" } else { "" };
    let keeper = wait.keeper.map(|keeper| format!("rank {keeper}"));
    writeln!(
        to,
        "<tr><td class=\"number\">{}{still}</td><td>{}</td><td><code>{}</code> of {}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td><button type=\"button\" data-wait=\"{index}\" aria-label=\"Show wait {} in the timeline\">show</button></td></tr>",
        precise(wait.lost),
        wait.rank,
        escaped(&wait.call),
        escaped(&wait.object),
        code(&wait.place),
        keeper.unwrap_or_default(),
        code(&wait.keeper_place),
        index + 1
    )
}

/// The text, whose lines may break between folders.
fn breakable(text: &str) -> String {
    escaped(text).replace('/', "/<wbr>")
}

/// The first cells of a row.
fn times(time: &Time, all: u64, to: &mut dyn Write) -> io::Result<()> {
    let part = time.sum as f64 / all.max(1) as f64 * 100.0;
    write!(
        to,
        "<tr><td class=\"number\">{}</td><td class=\"share\">{}<span style=\"width:{part:.1}%\"></span></td>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td>",
        precise(time.sum),
        share(time.sum, all.into()),
        time.waits,
        precise(time.longest)
    )
}

fn end(all: usize, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "</tbody></table>")?;
    if all > MOST {
        writeln!(to, "<p class=\"more\">and {} more</p>", all - MOST)?;
    }
    writeln!(to, "</section>")
}
