//! Made traces, for tests.

use crate::job::Job;
use mpisync::inspect::trace::{Activity, Event, Object, Outcome, Process, place};

/// The objects of made processes.
pub const MUTEX: u32 = 0;
pub const LOCK: u32 = 1;

/// The places of made processes: `src/main.rs:10`, `src/main.rs:20` and so on.
pub const TENTH: u32 = 0;
pub const TWENTIETH: u32 = 1;

/// A process without events.
pub fn process(rank: u32, size: u32) -> Process {
    Process {
        rank,
        size,
        host: format!("node{}", rank / 2),
        process: 1000 + rank,
        job: 7,
        epoch: 1_700_000_000_000_000_000,
        has_ended: true,
        lost: 0,
        objects: vec![object("mutex", "queue", 1), object("controller", "a", 2)],
        places: (1..=4)
            .map(|tens| place("src/main.rs", 10 * tens))
            .collect(),
        calls: vec!["lock".to_owned(), "write".to_owned()],
        events: Vec::new(),
    }
}

fn object(kind: &str, name: &str, identity: u64) -> Object {
    Object {
        kind: kind.to_owned(),
        name: name.to_owned(),
        identity,
    }
}

/// An event with the mutex.
pub fn event(activity: Activity, begin: u64, end: u64) -> Event {
    Event {
        activity,
        begin,
        end: Some(end),
        object: MUTEX,
        call: 0,
        place: Some(TENTH),
        keeper: None,
        keeper_place: None,
        task: None,
        outcome: Outcome::Success,
    }
}

/// A wait for the mutex at the tenth line, kept by a rank at the place.
pub fn wait(begin: u64, end: u64, keeper: u32, place: u32) -> Event {
    Event {
        keeper: Some(keeper),
        keeper_place: Some(place),
        ..event(Activity::Wait, begin, end)
    }
}

/// A job of these processes.
pub fn job(processes: impl IntoIterator<Item = Process>) -> Job {
    let mut job: Option<Job> = None;
    for process in processes {
        let job = job.get_or_insert_with(|| Job::new(process.job, process.epoch));
        job.add(&process);
    }
    job.expect("there are processes")
}

/// Numbers that look random, and are the same each time.
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = (self.0.wrapping_mul(6_364_136_223_846_793_005))
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}

/// Ranks that work on tasks, and write under one mutex: one of its lines holds it for long.
pub fn contended(ranks: u32, rounds: u32) -> Vec<Process> {
    const US: u64 = 1000;
    let mut all: Vec<Process> = (0..ranks).map(|rank| process(rank, ranks)).collect();
    let mut numbers = Numbers(1);
    let mut ready = vec![0; ranks as usize];
    // When the mutex is free again; and for each hold its end, its rank and its place.
    let mut free = 0;
    let mut holds: Vec<(u64, u32, u32)> = Vec::new();
    for round in 0..ranks * rounds {
        let rank = (0..ranks).min_by_key(|rank| ready[*rank as usize]);
        let rank = rank.expect("there are ranks");
        let now: u64 = ready[rank as usize];
        let work = 200 * US + numbers.below(3000 * US);
        let is_long = numbers.below(6) == 0;
        let place = if is_long { TWENTIETH } else { TENTH };
        let held = match is_long {
            true => 2500 * US,
            false => 60 * US + numbers.below(150 * US),
        };
        let events = &mut all[rank as usize].events;
        let mut add = |activity, begin, end, place| {
            let made = event(activity, begin, end);
            events.push(Event {
                place: Some(place),
                ..made
            });
        };
        let asks = now + work;
        let takes = asks.max(free);
        let ends = takes + held;
        add(Activity::Task, now, ends + 20 * US, 2);
        let reads = now + work / 3;
        add(Activity::Read, reads, reads + work / 4, 3);
        if takes > asks {
            let holder = holds.partition_point(|(end, ..)| *end <= asks);
            let (_, keeper, kept_at) = holds[holder];
            events.push(Event {
                place: Some(place),
                ..wait(asks, takes, keeper, kept_at)
            });
        }
        let kept = Event {
            place: Some(place),
            ..event(Activity::Hold, takes, ends)
        };
        events.push(kept);
        if let Some(read) = events
            .iter_mut()
            .rev()
            .find(|it| it.activity == Activity::Read)
        {
            read.object = LOCK;
            read.call = 1;
        }
        if let Some(task) = events
            .iter_mut()
            .rev()
            .find(|it| it.activity == Activity::Task)
        {
            task.task = Some(round);
        }
        free = ends;
        holds.push((ends, rank, place));
        ready[rank as usize] = ends + 20 * US;
    }
    let end = ready.iter().copied().max().unwrap_or(0);
    let keeper = holds.last().map_or(0, |(_, rank, _)| *rank);
    for process in &mut all {
        let begin = ready[process.rank as usize];
        let collective = event(Activity::Collective, begin, end + 400 * US);
        process.events.push(Event {
            object: LOCK,
            ..collective
        });
        if begin < end {
            let wait = wait(begin, end, keeper, 3);
            process.events.push(Event {
                object: LOCK,
                place: Some(3),
                ..wait
            });
        }
    }
    all
}

/// A process of a job with that many ranks and events a rank.
pub fn large(rank: u32, size: u32, events: u64) -> Process {
    let mut numbers = Numbers(rank.into());
    let mut made = process(rank, size);
    let mut now = numbers.below(100_000);
    for index in 0..events {
        let length = 1000 + numbers.below(40_000);
        let activity = Activity::ALL[(index % 6) as usize];
        let mut next = event(activity, now, now + length);
        next.place = Some(numbers.below(4) as u32);
        if activity == Activity::Wait {
            next.keeper = Some(numbers.below(size.into()) as u32);
            next.keeper_place = next.place;
        }
        made.events.push(next);
        now += numbers.below(2 * length);
    }
    made
}
