//! `timeline.svg`: the whole job as one picture of limited size.

use super::{Shown, escaped};
use crate::axis::ticks;
use crate::coverage::{ACTIVITIES, ROWS, of_lane, of_row, strongest};
use crate::job::{Job, Lane, Seen, label};
use crate::report::text::{extent, share};
use mpisync::inspect::trace::Activity;
use mpisync_cli::text::{name_line, shortened};
use mpisync_cli::time::precise;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Above these numbers ranks share lanes, and events are not drawn one by one.
const MOST_LANES: usize = 100;
const MOST_EVENTS: u64 = 3000;
/// The pieces of the time where events are not drawn one by one.
const CELLS: usize = 550;
/// How many degrees of coverage are told apart.
const DEGREES: u8 = 4;

const LEFT: f64 = 120.0;
const CHART: f64 = 1100.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 104.0;
/// The parts of a lane's height that its rows have.
const HEIGHTS: [f64; ROWS.len()] = [0.46, 0.36, 0.18];

/// The colours are those of Okabe and Ito, which colour-blind people tell apart.
const STYLE: &str = "\
svg{--paper:#fff;--ink:#1d2530;--faint:#5b6675;--lane:#f1f3f6;--grid:#d5dae1}\
@media (prefers-color-scheme:dark){svg{--paper:#12161c;--ink:#e8ecf2;--faint:#9aa6b5;--lane:#1c222b;--grid:#343d4a}}\
.paper{fill:var(--paper)}.lane{fill:var(--lane)}.grid{stroke:var(--grid)}\
text{fill:var(--ink);font:13px system-ui,sans-serif}.faint{fill:var(--faint)}.title{font-size:18px;font-weight:600}\
.wait{fill:#d55e00}.read{fill:#56b4e9}.write{fill:#0072b2}.hold{fill:#009e73}.collective{fill:#cc79a7}.task{fill:#e69f00}";

/// Writes the picture.
///
/// # Errors
/// Those of writing.
pub fn write(shown: &Shown, to: &mut dyn Write) -> io::Result<()> {
    let Shown { job, report, .. } = *shown;
    let together = job.lanes().len().div_ceil(MOST_LANES).max(1);
    let groups: Vec<&[Lane]> = job.lanes().chunks(together).collect();
    let lane = (720.0 / groups.len().max(1) as f64).clamp(8.0, 34.0);
    let bottom = TOP + lane * groups.len() as f64;
    let (width, height) = (LEFT + CHART + RIGHT, bottom + 40.0);
    let (ranks, rest) = extent(job, report);
    let title = escaped(&format!("{ranks}{rest}"));
    let waiting = share(report.waiting, report.available);
    write!(
        to,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height:.0}\" width=\"{width}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"Timeline of {title}\">\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"title\" x=\"24\" y=\"34\">{title}</text>\n\
         <text class=\"faint\" x=\"24\" y=\"58\">{waiting} of the time of these ranks was waiting</text>\n"
    )?;
    legend(to)?;
    axis(job, bottom, to)?;
    let are_single = together == 1 && job.events() <= MOST_EVENTS;
    for (index, group) in groups.iter().enumerate() {
        let top = TOP + lane * index as f64;
        let name = match group {
            [one] => format!("rank {}", one.rank),
            [first, .., last] => format!("ranks {}–{}", first.rank, last.rank),
            [] => String::new(),
        };
        if lane >= 12.0 || index % 2 == 0 {
            let (x, y) = (LEFT - 10.0, top + lane / 2.0 + 4.5);
            writeln!(
                to,
                "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{name}</text>"
            )?;
        }
        let high = lane - 2.0;
        writeln!(
            to,
            "<rect class=\"lane\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{CHART}\" height=\"{high:.1}\"/>"
        )?;
        match group {
            [one] if are_single => singly(job, one, top, high, to)?,
            group => together_in_cells(job, group, top, high, to)?,
        }
    }
    writeln!(to, "</svg>")
}

fn legend(to: &mut dyn Write) -> io::Result<()> {
    const WORDS: [&str; ACTIVITIES] = [
        "waits",
        "holds a read lock",
        "holds a write lock",
        "holds a mutex, permits or the turn",
        "collective call",
        "task",
    ];
    let mut x = 24.0;
    for (activity, words) in Activity::ALL.into_iter().zip(WORDS) {
        writeln!(
            to,
            "<rect class=\"{}\" x=\"{x}\" y=\"71\" width=\"12\" height=\"12\" rx=\"2\"/><text x=\"{}\" y=\"81.5\">{words}</text>",
            activity.name(),
            x + 18.0
        )?;
        x += 44.0 + 7.0 * words.len() as f64;
    }
    Ok(())
}

fn axis(job: &Job, bottom: f64, to: &mut dyn Write) -> io::Result<()> {
    let span = job.span().max(1) as f64;
    for (time, label) in ticks(job.span(), 10) {
        let x = LEFT + time as f64 / span * CHART;
        writeln!(
            to,
            "<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/><text class=\"faint\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 4.0,
            bottom + 20.0
        )?;
    }
    Ok(())
}

/// Where a row of a lane is: its top and its height.
fn row(top: f64, height: f64, row: usize) -> (f64, f64) {
    let above: f64 = HEIGHTS[..row].iter().sum();
    (top + above * height, HEIGHTS[row] * height)
}

/// All events, each with what a reader of the picture may ask.
fn singly(job: &Job, lane: &Lane, top: f64, height: f64, to: &mut dyn Write) -> io::Result<()> {
    let span = job.span().max(1) as f64;
    for event in job.events_of(lane) {
        let of_activity = event.activity as usize;
        let of = (0..ROWS.len()).find(|row| of_row(*row).contains(&of_activity));
        let (y, high) = row(top, height, of.unwrap_or(0));
        let x = LEFT + (event.begin - job.begin()) as f64 / span * CHART;
        let wide = (event.duration() as f64 / span * CHART).max(0.6);
        writeln!(
            to,
            "<rect class=\"{}\" x=\"{x:.2}\" y=\"{y:.1}\" width=\"{wide:.2}\" height=\"{high:.1}\"><title>{}</title></rect>",
            event.activity.name(),
            escaped(&words(job, lane, &event))
        )?;
    }
    Ok(())
}

fn words(job: &Job, lane: &Lane, event: &Seen) -> String {
    let site = job.names.site(event.site);
    let object = shortened(&name_line(&label(job.names.object(site.object))), 80);
    let mut words = format!(
        "rank {}: {} {object}, {}",
        lane.rank,
        event.activity.name(),
        precise(event.duration())
    );
    // Writing to a string does not fail.
    if let Some(place) = site.place {
        let _ = write!(words, ", at {}", job.names.place(place));
    }
    if let Some(keeper) = event.keeper {
        let _ = write!(words, ", kept by rank {keeper}");
    }
    if let Some(place) = event.keeper_place {
        let _ = write!(words, " at {}", job.names.place(place));
    }
    words
}

/// The mean of the ranks, in cells.
fn together_in_cells(
    job: &Job,
    lanes: &[Lane],
    top: f64,
    height: f64,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut sum = vec![[0.0; ACTIVITIES]; CELLS];
    for lane in lanes {
        for (sum, cell) in sum.iter_mut().zip(of_lane(job, lane, CELLS)) {
            for (sum, part) in sum.iter_mut().zip(cell) {
                *sum += part / lanes.len() as f32;
            }
        }
    }
    for of in 0..ROWS.len() {
        let (y, high) = row(top, height, of);
        let shades: Vec<Option<(usize, u8)>> =
            sum.iter().map(|cell| shade(strongest(cell, of))).collect();
        // Cells of one shade are one path.
        for activity in of_row(of) {
            for degree in 1..=DEGREES {
                let path = path(&shades, (activity, degree), y, high);
                if path.is_empty() {
                    continue;
                }
                let opacity = f32::from(degree) / f32::from(DEGREES);
                let class = Activity::ALL[activity].name();
                writeln!(
                    to,
                    "<path class=\"{class}\" opacity=\"{opacity}\" d=\"{path}\"/>"
                )?;
            }
        }
    }
    Ok(())
}

/// A cell's activity and how strongly it is drawn.
fn shade(cell: Option<(usize, f32)>) -> Option<(usize, u8)> {
    let (activity, covered) = cell?;
    let degree = (covered * f32::from(DEGREES)).round() as u8;
    Some((activity, degree.clamp(1, DEGREES)))
}

/// A rectangle for each run of cells of this shade.
fn path(shades: &[Option<(usize, u8)>], of: (usize, u8), y: f64, high: f64) -> String {
    let (mut path, mut cell) = (String::new(), 0);
    let wide = CHART / CELLS as f64;
    for run in shades.chunk_by(|a, b| a == b) {
        if run[0] == Some(of) {
            let (x, run) = (LEFT + cell as f64 * wide, run.len() as f64 * wide);
            // Writing to a string does not fail.
            let _ = write!(path, "M{x} {y:.1}h{run}v{high:.1}h-{run}z");
        }
        cell += run.len();
    }
    path
}
