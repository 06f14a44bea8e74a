//! The report as text of 80 columns.

use crate::rates::Rates;
use mpisync::inspect::{
    Communicator, Document, Holder, Host, Object, Rank, RankState, SourceLine, Wait, Waiter,
};

/// The most columns of a line.
const COLUMNS: usize = 80;
/// The most columns of a path with its line.
const PATH: usize = 32;
/// The most columns of a name of an object or a program.
const NAME: usize = 30;
/// A communicator with more ranks shows only those that wait or are not alive.
const MOST_RANKS: usize = 16;

/// The lines, each of at most 80 columns. `all`: also ranks that do not wait, and objects that nobody uses.
pub fn lines(document: &Document, rates: &Rates, all: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for host in &document.hosts {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        describe_host(&mut lines, host, rates, all);
    }
    lines.iter().map(|line| cut(line, COLUMNS)).collect()
}

fn describe_host(lines: &mut Vec<String>, host: &Host, rates: &Rates, all: bool) {
    if let Some(error) = &host.error {
        wrap(lines, &format!("{}: {error}", host.host), "  ");
        return;
    }
    let ranks = host.communicators.iter().flat_map(|it| &it.ranks);
    let waiting = ranks.filter(|rank| rank.waits.is_some()).count();
    lines.push(format!(
        "{}  {}  {}, {} in long waits",
        host.host,
        time_of_day(host.time),
        counted(host.communicators.len(), "communicator"),
        counted(waiting, "rank")
    ));
    if host.communicators.is_empty() {
        let others = counted(host.others, "process");
        lines.push("no job of this user on this node has objects of mpisync".to_owned());
        lines.push(format!("({others} of other users not looked at)"));
    }
    for communicator in &host.communicators {
        lines.push(String::new());
        describe_communicator(lines, host, communicator, rates, all);
    }
    if !host.unreadable.is_empty() || !host.problems.is_empty() {
        lines.push(String::new());
        lines.push("not readable:".to_owned());
    }
    for it in &host.unreadable {
        let program = cut(&it.program, NAME);
        let line = format!("  process {} ({program}): {}", it.process, it.reason);
        wrap(lines, &line, "    ");
    }
    for problem in &host.problems {
        wrap(lines, &format!("  {problem}"), "    ");
    }
}

fn describe_communicator(
    lines: &mut Vec<String>,
    host: &Host,
    communicator: &Communicator,
    rates: &Rates,
    all: bool,
) {
    let Communicator {
        id,
        size,
        nodes,
        ranks,
        objects,
        changing,
    } = communicator;
    let program = ranks.iter().map(|rank| &*rank.program);
    let program = program.max_by_key(|name| !name.is_empty()).unwrap_or("");
    let nodes = match nodes {
        0 | 1 => String::new(),
        nodes => format!(" on {nodes} nodes"),
    };
    lines.push(format!(
        "communicator {id}: {}{nodes}, program {}",
        counted(*size as usize, "rank"),
        cut(program, NAME)
    ));
    if *changing {
        lines.push("  it changes while it is read: objects may be missing".to_owned());
    }
    lines.push(format!(
        "  {:>5} {:>8}  {:<8} {}",
        "RANK", "PROCESS", "STATE", "WAITS"
    ));
    let shown = |rank: &&Rank| {
        all || ranks.len() <= MOST_RANKS || rank.waits.is_some() || rank.state != RankState::Alive
    };
    for rank in ranks.iter().filter(shown) {
        lines.push(rank_line(rank));
    }
    let more = ranks.iter().filter(|rank| !shown(rank)).count();
    if more > 0 {
        lines.push(format!("  and {} that do not wait", counted(more, "rank")));
    }
    let mut idle = 0;
    for (index, object) in objects.iter().enumerate() {
        let rate = rates.get(&host.host, id, index).unwrap_or(0.0);
        let is_idle = object.waiting.is_empty()
            && object.holders.as_ref().is_none_or(Vec::is_empty)
            && rate == 0.0;
        if is_idle && !all {
            idle += 1;
            continue;
        }
        describe_object(lines, object, rate);
    }
    if idle > 0 {
        let more = if idle < objects.len() { "more " } else { "" };
        let objects = counted(idle, &format!("{more}object"));
        lines.push(format!(
            "  {objects} in use that no rank is seen to hold or wait for"
        ));
    }
}

fn rank_line(rank: &Rank) -> String {
    let state = match rank.state {
        RankState::Alive => "alive",
        RankState::Stopped => "stopped",
        RankState::Ended => "ended",
        RankState::Died => "died",
        RankState::Unknown => "unseen",
    };
    let waits = match &rank.waits {
        _ if rank.changing => "(changing)".to_owned(),
        None => String::new(),
        Some(Wait {
            call,
            kind,
            name,
            seconds,
            for_rank,
            elsewhere,
            ..
        }) => {
            let object = labelled(kind, name);
            let whom = match (for_rank, elsewhere) {
                (_, true) => ", elsewhere".to_owned(),
                (Some(rank), _) => format!(", for rank {rank}"),
                (None, _) => String::new(),
            };
            // The rank that is waited for stands at the end, so the name gives way.
            let room = COLUMNS.saturating_sub(27 + whom.len());
            cut(&format!("{} in `{call}` of {object}", time(*seconds)), room) + &whom
        }
    };
    let line = format!("  {:>5} {:>8}  {state:<8} {waits}", rank.rank, rank.process);
    line.trim_end().to_owned()
}

fn describe_object(lines: &mut Vec<String>, object: &Object, rate: f64) {
    let mut line = format!("  {}", labelled(&object.kind, &object.name));
    if let Some((free, total)) = object.permits
        && total > 1
    {
        line += &format!(", {free} of {total} free");
    }
    if let Some(count) = object.count.as_ref().filter(|_| rate > 0.0) {
        line += &format!(", {rate:.1} {}/s", count.of);
    }
    if object.dropped_by > 0 {
        line += &format!(
            ", dropped by {}",
            counted(object.dropped_by as usize, "rank")
        );
    }
    if object.changing {
        line += " (changing)";
    }
    lines.push(line);
    for holder in object.holders.iter().flatten() {
        lines.push(holder_line(holder));
    }
    for waiter in &object.waiting {
        lines.push(waiter_line(waiter));
    }
}

fn holder_line(holder: &Holder) -> String {
    let permits = match holder.permits {
        Some(permits) if permits > 1 => format!(" {permits} times"),
        _ => String::new(),
    };
    let mut line = format!("    {} {}{permits}", who(holder.rank), holder.role);
    if let Some(at) = &holder.at {
        line += &format!(", taken at {}", place(at));
    }
    if let Some(seconds) = holder.seen_for {
        line += &format!(", seen for {}", time(seconds));
    }
    line
}

fn waiter_line(waiter: &Waiter) -> String {
    let mut line = format!("    {} waits", who(waiter.rank));
    if let Some(seconds) = waiter.seconds {
        line += &format!(" {}", time(seconds));
    }
    if let Some(call) = &waiter.call {
        line += &format!(" in `{}`", cut(call, NAME));
    }
    if let Some(at) = &waiter.at {
        line += &format!(" at {}", place(at));
    }
    if let Some(rank) = waiter.for_rank {
        line += &format!(" for rank {rank}");
    }
    line
}

fn who(rank: Option<u32>) -> String {
    rank.map_or("the node's server".to_owned(), |rank| {
        format!("rank {rank}")
    })
}

/// An object: its kind, and its name if that is another one.
fn labelled(kind: &str, name: &str) -> String {
    match name == kind {
        true => kind.to_owned(),
        false => format!("{kind} \"{}\"", cut(name, NAME)),
    }
}

/// A line of a program; of a long path the end.
fn place(at: &SourceLine) -> String {
    let text = format!("{}:{}", at.file, at.line);
    let more = text.chars().count().saturating_sub(PATH);
    match more {
        0 => text,
        more => text
            .chars()
            .skip(more + 3)
            .fold("...".to_owned(), |mut end, c| {
                end.push(c);
                end
            }),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..600.0 => format!("{seconds:.1} s"),
        ..36000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

/// In UTC.
fn time_of_day(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02} UTC", seconds % 60)
}

fn counted(count: usize, what: &str) -> String {
    let plural = match what {
        _ if count == 1 => "",
        "process" => "es",
        _ => "s",
    };
    format!("{count} {what}{plural}")
}

/// The beginning of a text that is too long.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most.saturating_sub(3)).collect();
    start + "..."
}

/// Adds a long line as several, all but the first of which begin with `indent`.
fn wrap(lines: &mut Vec<String>, text: &str, indent: &str) {
    let mut line = String::new();
    let start = &text[..text.len() - text.trim_start().len()];
    for word in text.split_whitespace() {
        if line.is_empty() {
            line = format!("{start}{word}");
        } else if line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(line);
            line = format!("{indent}{word}");
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.push(line);
}
