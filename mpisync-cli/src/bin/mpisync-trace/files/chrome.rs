//! `timeline.json`, in the trace event format of Chrome, for Perfetto and other viewers.
//!
//! The format: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>.
//! A host is a process there, and a rank a thread.

use crate::job::{Job, Lane, Seen, Site, label};
use mpisync::Place;
use mpisync::inspect::trace::Activity;
use serde_json::json;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, Write};

/// The most events of the file: viewers have all of them in memory.
pub const MOST_EVENTS: usize = 1_000_000;
/// How many holds of an object are looked at for the one that has kept a wait.
const MOST_HOLDS: usize = 64;

/// Writes the job. If it has more than `most` events, the shortest ones are left out; returns their
/// number.
///
/// # Errors
/// Those of writing.
pub fn write(job: &Job, most: usize, to: &mut dyn Write) -> io::Result<u64> {
    let hosts = hosts(job);
    let heads: Vec<String> = job.names.sites().map(|site| head(job, site)).collect();
    let mut file = File {
        job,
        tracks: Tracks {
            hosts,
            ranks: job
                .lanes()
                .last()
                .map_or(0, |lane| u64::from(lane.rank) + 1),
        },
        heads,
        filter: Filter::of(job, most),
        to,
        is_first: true,
    };
    file.write()
}

/// The number of each host, from 1 on.
fn hosts(job: &Job) -> HashMap<&str, u64> {
    let mut hosts = HashMap::new();
    for lane in job.lanes() {
        let next = hosts.len() as u64 + 1;
        hosts.entry(&*lane.host).or_insert(next);
    }
    hosts
}

/// What the events of a site begin with. The object `args` is open at its end.
fn head(job: &Job, site: &Site) -> String {
    let object = job.names.object(site.object);
    let mut args = json!({
        "object": object.name,
        "kind": object.kind,
        "call": job.names.call(site.call),
        "outcome": site.outcome.name(),
    });
    if let Some(place) = site.place {
        args["at"] = json!(job.names.place(place).to_string());
    }
    let args = args.to_string();
    let args = args.strip_suffix('}').unwrap_or(&args);
    let name = site.activity.name();
    let title = json!(format!("{name} {}", label(object)));
    format!(r#"{{"ph":"X","cat":"{name}","name":{title},"args":{args}"#)
}

/// Which thread of which process a rank is in the file.
struct Tracks<'a> {
    hosts: HashMap<&'a str, u64>,
    /// The number of ranks.
    ranks: u64,
}

impl Tracks<'_> {
    fn process(&self, lane: &Lane) -> u64 {
        self.hosts.get(&*lane.host).copied().unwrap_or(0)
    }

    /// A thread has only events that are apart or nested. For the others, a rank has more threads.
    fn thread(&self, lane: &Lane, level: usize) -> u64 {
        u64::from(lane.rank) + level as u64 * self.ranks
    }
}

/// Which events are in the file.
struct Filter {
    /// All that last longer.
    longer: Option<u64>,
    /// So many of those that last as long.
    equal: u64,
}

impl Filter {
    fn of(job: &Job, most: usize) -> Self {
        let all = Filter {
            longer: None,
            equal: 0,
        };
        if job.events() <= most as u64 {
            return all;
        }
        let mut durations = Vec::with_capacity(usize::try_from(job.events()).unwrap_or(0));
        for lane in job.lanes() {
            durations.extend(job.events_of(lane).map(|event| event.duration()));
        }
        let (longer, limit, _) = durations.select_nth_unstable_by_key(most, |it| Reverse(*it));
        let limit = *limit;
        let equal = longer.iter().filter(|it| **it == limit).count();
        Filter {
            longer: Some(limit),
            equal: equal as u64,
        }
    }

    fn has(&mut self, event: &Seen) -> bool {
        let Some(limit) = self.longer else {
            return true;
        };
        if event.duration() == limit && self.equal > 0 {
            self.equal -= 1;
            return true;
        }
        event.duration() > limit
    }
}

/// A hold that may have kept a wait.
struct Hold {
    /// Whether something is held, and not worked on.
    is_held: bool,
    begin: u64,
    end: u64,
    thread: u64,
}

/// A wait whose keeper is known.
struct Kept {
    wait: Seen,
    process: u64,
    thread: u64,
}

struct File<'a> {
    job: &'a Job,
    tracks: Tracks<'a>,
    /// By their sites.
    heads: Vec<String>,
    filter: Filter,
    to: &'a mut dyn Write,
    is_first: bool,
}

impl<'a> File<'a> {
    fn write(&mut self) -> io::Result<u64> {
        write!(self.to, r#"{{"displayTimeUnit":"ns","traceEvents":["#)?;
        let lanes = self.job.lanes();
        let mut hosts: Vec<_> = self.tracks.hosts.clone().into_iter().collect();
        hosts.sort_by_key(|(_, number)| *number);
        for (host, process) in hosts {
            self.metadata("process_name", process, 0, json!({ "name": host }))?;
        }
        let mut kept: Vec<Vec<Kept>> = lanes.iter().map(|_| Vec::new()).collect();
        let mut holds: Vec<HashMap<u32, Vec<Hold>>> = Vec::new();
        let mut written = 0;
        for lane in lanes {
            let events = self.levelled(lane);
            written += events.len() as u64;
            self.names(lane, events.iter().map(|(_, level)| level + 1).max())?;
            let process = self.tracks.process(lane);
            let mut held: HashMap<u32, Vec<Hold>> = HashMap::new();
            for (event, level) in events {
                let thread = self.tracks.thread(lane, level);
                self.event(&event, process, thread)?;
                if event.activity != Activity::Wait {
                    let object = self.job.names.site(event.site).object;
                    held.entry(object).or_default().push(Hold {
                        is_held: !matches!(event.activity, Activity::Collective | Activity::Task),
                        begin: event.begin,
                        end: event.end,
                        thread,
                    });
                } else if let Some(keeper) = event.keeper
                    && let Some(keeper) = self.job.lane_of(keeper)
                {
                    kept[keeper].push(Kept {
                        wait: event,
                        process,
                        thread,
                    });
                }
            }
            holds.push(held);
        }
        self.arrows(&kept, &holds)?;
        let left_out = self.job.events() - written;
        let notes = json!({ "job": self.job.number(), "shortest_events_left_out": left_out });
        write!(self.to, "\n],\"otherData\":{notes}}}\n")?;
        Ok(left_out)
    }

    /// The events of a process that are in the file, each with the level of its thread.
    fn levelled(&mut self, lane: &Lane) -> Vec<(Seen, usize)> {
        let events = self.job.events_of(lane).filter(|it| self.filter.has(it));
        let mut events: Vec<Seen> = events.collect();
        events.sort_by_key(|event| (event.begin, Reverse(event.end)));
        // The ends of the events that are open on each level, the innermost last.
        let mut levels: Vec<Vec<u64>> = Vec::new();
        let level = |event: Seen| {
            let fits = levels.iter_mut().position(|open| {
                while open.last().is_some_and(|end| *end <= event.begin) {
                    open.pop();
                }
                open.last().is_none_or(|end| *end >= event.end)
            });
            let level = fits.unwrap_or_else(|| {
                levels.push(Vec::new());
                levels.len() - 1
            });
            levels[level].push(event.end);
            (event, level)
        };
        events.into_iter().map(level).collect()
    }

    fn names(&mut self, lane: &Lane, levels: Option<usize>) -> io::Result<()> {
        let process = self.tracks.process(lane);
        for level in 0..levels.unwrap_or(1) {
            let thread = self.tracks.thread(lane, level);
            let name = match level {
                0 => format!("rank {}", lane.rank),
                _ => format!("rank {} ({})", lane.rank, level + 1),
            };
            self.metadata("thread_name", process, thread, json!({ "name": name }))?;
            let position = u64::from(lane.rank) * 16 + level.min(15) as u64;
            let position = json!({ "sort_index": position });
            self.metadata("thread_sort_index", process, thread, position)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Seen, process: u64, thread: u64) -> io::Result<()> {
        self.separate()?;
        self.to
            .write_all(self.heads[event.site as usize].as_bytes())?;
        if let Some(keeper) = event.keeper {
            write!(self.to, r#","kept_by":"rank {keeper}""#)?;
        }
        if let Some(place) = event.keeper_place {
            let place: &Place = self.job.names.place(place);
            write!(self.to, r#","kept_at":{}"#, json!(place.to_string()))?;
        }
        if let Some(task) = event.task {
            write!(self.to, r#","task":{task}"#)?;
        }
        let (begin, duration) = (self.since(event.begin), Microseconds(event.duration()));
        let to = &mut self.to;
        write!(
            to,
            r#"}},"pid":{process},"tid":{thread},"ts":{begin},"dur":{duration}}}"#
        )
    }

    /// An arrow from the hold that has kept it to each wait, if that hold is in the file.
    fn arrows(&mut self, kept: &[Vec<Kept>], holds: &[HashMap<u32, Vec<Hold>>]) -> io::Result<()> {
        let mut id = 0_u64;
        for ((keeper, kept), holds) in self.job.lanes().iter().zip(kept).zip(holds) {
            for Kept {
                wait,
                process,
                thread,
            } in kept
            {
                let object = self.job.names.site(wait.site).object;
                let hold = holds.get(&object).and_then(|all| keeping(all, wait));
                let Some((begin, end, hold)) = hold.and_then(|hold| arrow(hold, wait)) else {
                    continue;
                };
                id += 1;
                let (of_keeper, held) = (self.tracks.process(keeper), hold.thread);
                let (begin, end) = (self.since(begin), self.since(end));
                let both = format!(r#""cat":"kept","name":"kept","id":{id}"#);
                self.separate()?;
                write!(
                    self.to,
                    r#"{{"ph":"s",{both},"pid":{of_keeper},"tid":{held},"ts":{begin}}}"#
                )?;
                self.separate()?;
                write!(
                    self.to,
                    r#"{{"ph":"f","bp":"e",{both},"pid":{process},"tid":{thread},"ts":{end}}}"#
                )?;
            }
        }
        Ok(())
    }

    fn metadata(
        &mut self,
        name: &str,
        process: u64,
        thread: u64,
        args: serde_json::Value,
    ) -> io::Result<()> {
        self.separate()?;
        let to = &mut self.to;
        write!(
            to,
            r#"{{"ph":"M","name":"{name}","pid":{process},"tid":{thread},"args":{args}}}"#
        )
    }

    fn separate(&mut self) -> io::Result<()> {
        let separator: &[u8] = if self.is_first { b"\n" } else { b",\n" };
        self.is_first = false;
        self.to.write_all(separator)
    }

    /// A time of the job as one of the file, which begins with the first event.
    fn since(&self, time: u64) -> Microseconds {
        Microseconds(time - self.job.begin())
    }
}

/// The hold in which a wait began. If there is none, because clocks differ a little, the first one
/// meanwhile. What is held comes before what is worked on.
fn keeping<'a>(holds: &'a [Hold], wait: &Seen) -> Option<&'a Hold> {
    let until = holds.partition_point(|hold| hold.begin <= wait.end);
    let last = holds[..until].iter().rev().take(MOST_HOLDS);
    let meanwhile = last.filter(|hold| hold.end >= wait.begin);
    meanwhile.max_by_key(|hold| {
        let is_before = hold.begin <= wait.begin;
        let order = if is_before {
            hold.begin
        } else {
            u64::MAX - hold.begin
        };
        (hold.is_held, is_before, order)
    })
}

/// The times at which the arrow from a hold to a wait begins and ends, if there are some: each inside of its
/// event, which a time at the end is not, and the first one not after the second.
fn arrow<'a>(hold: &'a Hold, wait: &Seen) -> Option<(u64, u64, &'a Hold)> {
    let begin = hold.begin.max(wait.begin.min(hold.end.saturating_sub(1)));
    let end = begin.max(wait.begin);
    (begin < hold.end && end < wait.end).then_some((begin, end, hold))
}

/// Nanoseconds, written in the unit of the format.
struct Microseconds(u64);

impl std::fmt::Display for Microseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
