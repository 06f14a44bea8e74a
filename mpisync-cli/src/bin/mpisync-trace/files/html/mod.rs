//! `timeline.html`: a page that has all events and needs nothing else.

mod tables;

use super::{Shown, escaped};
use crate::coverage::{ACTIVITIES, ROWS, of_lane, of_row, strongest};
use crate::job::{EVENTS_OF_A_BLOCK, Job, Lane, label};
use crate::report::text::extent;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use mpisync_cli::text::{json_lines, name_line};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Where a part comes in, its name stands in the page as `{{name}}`.
const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 4] = [
    include_str!("data.js"),
    include_str!("view.js"),
    include_str!("draw.js"),
    include_str!("page.js"),
];

/// The pieces of the time of which the overview has one each.
const CELLS: usize = 1024;

/// Writes the page.
///
/// # Errors
/// Those of writing.
pub fn write(shown: &Shown, to: &mut dyn Write) -> io::Result<()> {
    let (ranks, rest) = extent(shown.job, shown.report);
    let mut page = PAGE;
    while let Some((text, more)) = page.split_once("{{") {
        to.write_all(text.as_bytes())?;
        let (part, more) = more.split_once("}}").unwrap_or((more, ""));
        match part {
            "title" => write!(to, "{}", escaped(&format!("mpisync: {ranks}{rest}")))?,
            "ranks" => to.write_all(escaped(&ranks).as_bytes())?,
            "rest" => to.write_all(escaped(&rest).as_bytes())?,
            "style" => to.write_all(STYLE.as_bytes())?,
            "summary" => tables::summary(shown, to)?,
            "tables" => tables::write(shown.report, to)?,
            "job" => to.write_all(facts(shown).as_bytes())?,
            "overview" => overview(shown.job, to)?,
            "lanes" => lanes(shown.job, to)?,
            "script" => to.write_all(SCRIPTS.concat().as_bytes())?,
            part => unreachable!("the page names a part {part:?}"),
        }
        page = more;
    }
    to.write_all(page.as_bytes())
}

/// What the script needs besides the events. Times are in nanoseconds after the first event.
fn facts(Shown { job, report, .. }: &Shown) -> String {
    let names = &job.names;
    let sites = names.sites().map(|site| {
        json!([
            site.activity as u8,
            site.outcome as u8,
            site.object,
            site.call,
            site.place.map_or(-1, i64::from),
            u8::from(site.has_keeper),
            u8::from(site.has_task),
        ])
    });
    let lanes = job.lanes().iter().map(|lane| {
        json!([
            lane.rank,
            name_line(&lane.host),
            lane.process,
            lane.has_ended,
            lane.events
        ])
    });
    let longest = report.longest.iter().map(|wait| {
        let end = wait.begin + wait.duration;
        json!([wait.rank, wait.begin, end])
    });
    let facts = json!({
        "span": job.span(),
        "block": EVENTS_OF_A_BLOCK,
        "cells": CELLS,
        "objects": (names.objects().map(|object| name_line(&label(object)))).collect::<Vec<_>>(),
        "calls": (names.calls().map(|call| name_line(call))).collect::<Vec<_>>(),
        "places": (names.places().map(|place| name_line(&place.to_string()))).collect::<Vec<_>>(),
        "sites": sites.collect::<Vec<Value>>(),
        "lanes": lanes.collect::<Vec<Value>>(),
        "longest": longest.collect::<Vec<Value>>(),
    });
    // A `<` could end the element, or begin a comment.
    json_lines(&facts.to_string()).replace('<', "\\u003c")
}

/// The overview of all lanes, as `data.js` reads it.
fn overview(job: &Job, to: &mut dyn Write) -> io::Result<()> {
    let mut encoder = EncoderWriter::new(to, &STANDARD);
    for lane in job.lanes() {
        let cells = of_lane(job, lane, CELLS);
        for row in 0..ROWS.len() {
            let first = of_row(row).start;
            let bytes = cells.iter().map(|cell| match strongest(cell, row) {
                None => 0,
                Some((activity, covered)) => {
                    let degree = (covered * 63.0).round().clamp(1.0, 63.0) as u8;
                    (activity - first) as u8 * 64 + degree
                }
            });
            encoder.write_all(&bytes.collect::<Vec<u8>>())?;
        }
    }
    encoder.finish().map(drop)
}

/// An element for each lane: its blocks, a point, and its events.
fn lanes(job: &Job, to: &mut dyn Write) -> io::Result<()> {
    for (index, lane) in job.lanes().iter().enumerate() {
        write!(to, "<script type=\"text/plain\" id=\"lane{index}\">")?;
        base64(&blocks(job, lane), to)?;
        write!(to, ".")?;
        base64(lane.bytes(), to)?;
        writeln!(to, "</script>")?;
    }
    Ok(())
}

fn blocks(job: &Job, lane: &Lane) -> Vec<u8> {
    let since = |time: u64| (time.min(job.end()) - job.begin()) as f64;
    let numbers = lane
        .blocks()
        .iter()
        .flat_map(|block| [block.offset as f64, since(block.begin), since(block.end)]);
    numbers.flat_map(f64::to_le_bytes).collect()
}

fn base64(bytes: &[u8], to: &mut dyn Write) -> io::Result<()> {
    let mut encoder = EncoderWriter::new(to, &STANDARD);
    encoder.write_all(bytes)?;
    encoder.finish().map(drop)
}

const _: () = assert!(ACTIVITIES == 6, "data.js knows six activities");

#[cfg(test)]
mod tests;
