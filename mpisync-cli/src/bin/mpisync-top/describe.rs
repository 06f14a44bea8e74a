//! The report as text.

use crate::rates::Rates;
use anstyle::Style;
use mpisync::inspect::{
    Communicator, Document, Holder, Host, Object, Rank, RankState, SourceLine, Wait, Waiter,
};
use mpisync_cli::columns::{Fit, columns};
use mpisync_cli::line::{BAD, BUSY, FAINT, GOOD, Line, ODD, PLAIN, TITLE};
use mpisync_cli::screen::COLUMNS;
use mpisync_cli::text::{counted, end_of, name_line, shortened};
use mpisync_cli::time;

/// A communicator with more ranks shows only those that wait or are not alive.
const MOST_RANKS: usize = 16;

/// How many columns there are for a line, and for the parts of it that may be long.
#[derive(Clone, Copy)]
struct Room {
    line: usize,
    /// A path with its line.
    path: usize,
    /// A name of an object or a program.
    name: usize,
}

impl Room {
    /// Of what is more than 80 columns, half is for paths, and a quarter for names.
    fn of(columns: usize) -> Self {
        let more = columns.saturating_sub(COLUMNS);
        Room {
            line: columns,
            path: 32 + more / 2,
            name: 30 + more / 4,
        }
    }
}

/// The lines, each of at most that many columns. `all`: also ranks that do not wait, and objects
/// that nobody uses.
pub fn lines(document: &Document, rates: &Rates, all: bool, columns: usize) -> Vec<Line> {
    let mut report = Report {
        lines: Vec::new(),
        room: Room::of(columns),
        rates,
        all,
    };
    for host in &document.hosts {
        if !report.lines.is_empty() {
            report.lines.push(Line::new());
        }
        report.host(host);
    }
    let lines = report.lines.iter().map(|line| line.cut(columns));
    lines.collect()
}

struct Report<'a> {
    lines: Vec<Line>,
    room: Room,
    rates: &'a Rates,
    all: bool,
}

impl Report<'_> {
    fn wrapped(&mut self, line: &Line, indent: usize) {
        self.lines.extend(line.wrap(self.room.line, indent));
    }

    fn host(&mut self, host: &Host) {
        let name = Line::new().with(TITLE, &host.host);
        if let Some(error) = &host.error {
            let line = name.with(PLAIN, ": ").with(BAD, error);
            return self.wrapped(&line, 2);
        }
        let ranks = host.communicators.iter().flat_map(|it| &it.ranks);
        let waiting = ranks.filter(|rank| rank.waits.is_some()).count();
        let communicators = counted(host.communicators.len(), "communicator");
        let mut line = name.with(FAINT, format!("  {}", time::of_day(host.time)));
        line.add(PLAIN, format!("  {communicators}, "));
        let style = if waiting > 0 { ODD } else { PLAIN };
        line.add(style, format!("{} in long waits", counted(waiting, "rank")));
        self.lines.push(line);
        if host.communicators.is_empty() {
            let others = counted(host.others, "process");
            self.lines
                .push("no job of this user on this node has objects of mpisync".into());
            let others = format!("({others} of other users not looked at)");
            self.lines.push(Line::new().with(FAINT, others));
        }
        for communicator in &host.communicators {
            self.lines.push(Line::new());
            self.communicator(host, communicator);
        }
        if !host.unreadable.is_empty() || !host.problems.is_empty() {
            let title = Line::new().with(TITLE, "not readable:");
            self.lines.extend([Line::new(), title]);
        }
        for it in &host.unreadable {
            let program = shortened(&name_line(&it.program), self.room.name);
            let line = format!("  process {} ({program}): {}", it.process, it.reason);
            self.wrapped(&line.into(), 4);
        }
        for problem in &host.problems {
            self.wrapped(&format!("  {problem}").into(), 4);
        }
    }

    fn communicator(&mut self, host: &Host, communicator: &Communicator) {
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
        let program = shortened(&name_line(program), self.room.name);
        let nodes = match nodes {
            0 | 1 => String::new(),
            nodes => format!(" on {nodes} nodes"),
        };
        let title = Line::new().with(TITLE, format!("communicator {id}"));
        let size = counted(*size as usize, "rank");
        self.lines
            .push(title.with(PLAIN, format!(": {size}{nodes}, program {program}")));
        if *changing {
            let text = "  it changes while it is read: objects may be missing";
            self.lines.push(Line::new().with(ODD, text));
        }
        self.ranks(ranks);
        let mut idle = 0;
        for (index, object) in objects.iter().enumerate() {
            let rate = self.rates.get(&host.host, id, index).unwrap_or(0.0);
            let is_idle = object.waiting.is_empty()
                && object.holders.as_ref().is_none_or(Vec::is_empty)
                && rate == 0.0;
            match is_idle && !self.all {
                true => idle += 1,
                false => self.object(object, rate),
            }
        }
        if idle > 0 {
            let more = if idle < objects.len() { "more " } else { "" };
            let objects = counted(idle, &format!("{more}object"));
            let text = format!("  {objects} in use that no rank is seen to hold or wait for");
            self.lines.push(Line::new().with(FAINT, text));
        }
    }

    fn ranks(&mut self, ranks: &[Rank]) {
        let is_shown = |rank: &&Rank| {
            self.all
                || ranks.len() <= MOST_RANKS
                || rank.waits.is_some()
                || rank.state != RankState::Alive
        };
        let titles = [" RANK", " PROCESS", "STATE", "WAITS"];
        let titles = titles.map(|title| Line::new().with(FAINT, title));
        let mut rows = vec![titles.to_vec()];
        let shown = ranks.iter().filter(is_shown);
        rows.extend(shown.map(|rank| self.rank(rank)));
        self.lines.extend(columns(&rows, Fit::Cut(self.room.line)));
        let more = ranks.iter().filter(|rank| !is_shown(rank)).count();
        if more > 0 {
            let text = format!("  and {} that do not wait", counted(more, "rank"));
            self.lines.push(Line::new().with(FAINT, text));
        }
    }

    fn rank(&self, rank: &Rank) -> Vec<Line> {
        let (state, style) = state(rank.state);
        let waits = match &rank.waits {
            _ if rank.changing => Line::new().with(FAINT, "(changing)"),
            None => Line::new(),
            Some(wait) => self.wait(wait),
        };
        vec![
            format!("{:>5}", rank.rank).into(),
            format!("{:>8}", rank.process).into(),
            Line::new().with(style, format!("{state:<7}")),
            waits,
        ]
    }

    fn wait(&self, wait: &Wait) -> Line {
        /// Of the columns before it.
        const BEFORE: usize = 2 + 5 + 2 + 8 + 2 + 7 + 2;
        let whom = match (wait.for_rank, wait.elsewhere) {
            (_, true) => ", elsewhere".to_owned(),
            (Some(rank), _) => format!(", for rank {rank}"),
            (None, _) => String::new(),
        };
        let object = self.labelled(&wait.kind, &wait.name);
        let line = Line::new().with(ODD, time::of_a_wait(wait.seconds));
        let line = line.with(PLAIN, format!(" in `{}` of {object}", wait.call));
        // The rank that is waited for stands at the end, so the name gives way.
        let room = self.room.line.saturating_sub(BEFORE + whom.len());
        line.cut(room).with(PLAIN, whom)
    }

    fn object(&mut self, object: &Object, rate: f64) {
        let label = self.labelled(&object.kind, &object.name);
        let mut line = Line::from("  ").with(TITLE, label);
        if let Some((free, total)) = object.permits
            && total > 1
        {
            line.add(PLAIN, format!(", {free} of {total} free"));
        }
        if let Some(count) = object.count.as_ref().filter(|_| rate > 0.0) {
            line.add(PLAIN, format!(", {rate:.1} {}/s", count.of));
        }
        if self.all && object.bytes > 0 {
            line.add(FAINT, format!(", {}", time::size(object.bytes)));
        }
        if object.dropped_by > 0 {
            let ranks = counted(object.dropped_by as usize, "rank");
            line.add(PLAIN, format!(", dropped by {ranks}"));
        }
        if object.changing {
            line.add(FAINT, " (changing)");
        }
        self.lines.push(line);
        for holder in object.holders.iter().flatten() {
            let line = self.holder(holder);
            self.lines.push(line);
        }
        for waiter in &object.waiting {
            let line = self.waiter(waiter);
            self.lines.push(line);
        }
    }

    fn holder(&self, holder: &Holder) -> Line {
        let permits = match holder.permits {
            Some(permits) if permits > 1 => format!(" {permits} times"),
            _ => String::new(),
        };
        let mut line = Line::from("    ").with(BUSY, who(holder.rank));
        line.add(PLAIN, format!(" {}{permits}", holder.role));
        let seconds = holder.seen_for.map(time::of_a_wait);
        let seen = seconds.map_or(String::new(), |seconds| format!(", seen for {seconds}"));
        self.ended(line, ", taken at ", holder.at.as_ref(), seen)
    }

    fn waiter(&self, waiter: &Waiter) -> Line {
        let mut line = Line::from("    ").with(ODD, who(waiter.rank));
        line.add(PLAIN, " waits");
        if let Some(seconds) = waiter.seconds {
            line.add(PLAIN, format!(" {}", time::of_a_wait(seconds)));
        }
        if let Some(call) = &waiter.call {
            let call = shortened(&name_line(call), self.room.name);
            line.add(PLAIN, format!(" in `{call}`"));
        }
        let rank = waiter.for_rank;
        let whom = rank.map_or(String::new(), |rank| format!(" for rank {rank}"));
        self.ended(line, " at ", waiter.at.as_ref(), whom)
    }

    /// The line with its last parts: behind `words` the place, if one is known, and then `after`.
    fn ended(&self, mut line: Line, words: &str, at: Option<&SourceLine>, after: String) -> Line {
        if let Some(at) = at {
            line.add(PLAIN, words);
            let place = self.place(at, &line, &after);
            line.add(PLAIN, place);
        }
        line.with(PLAIN, after)
    }

    /// A line of a program, in what `before` and `after` leave of a line; of a long path the end.
    fn place(&self, at: &SourceLine, before: &Line, after: &str) -> String {
        let text = format!("{}:{}", name_line(&at.file), at.line);
        let room = self.room.line.saturating_sub(before.width() + after.len());
        end_of(&text, room.min(self.room.path))
    }

    /// An object: its kind, and its name if that is another one.
    fn labelled(&self, kind: &str, name: &str) -> String {
        match name == kind {
            true => kind.to_owned(),
            false => format!("{kind} \"{}\"", shortened(&name_line(name), self.room.name)),
        }
    }
}

fn state(state: RankState) -> (&'static str, Style) {
    match state {
        RankState::Alive => ("alive", GOOD),
        RankState::Stopped => ("stopped", ODD),
        RankState::Ended => ("ended", FAINT),
        RankState::Died => ("died", BAD),
        RankState::Unknown => ("unseen", FAINT),
    }
}

fn who(rank: Option<u32>) -> String {
    rank.map_or("the node's server".to_owned(), |rank| {
        format!("rank {rank}")
    })
}

#[cfg(test)]
mod tests;
