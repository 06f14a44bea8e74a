//! What the ranks have recorded has to fit together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::RANKS;
use super::objects::TASKS;

/// The records of all ranks.
pub struct Records {
    victim: Option<usize>,
    lines: Vec<Vec<String>>,
    turns: String,
    file: String,
}

impl Records {
    /// Reads those of a job. `victim` is the rank that was killed.
    pub fn read(directory: &Path, victim: Option<usize>) -> Self {
        let text = |name: &str| {
            let bytes = fs::read(directory.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let lines = |rank| {
            let text = text(&format!("records.{rank}"));
            text.lines().map(str::to_owned).collect()
        };
        Self {
            victim,
            lines: (0..RANKS).map(lines).collect(),
            turns: text("turns"),
            file: text("lines"),
        }
    }

    /// The last records of each rank.
    pub fn last(&self) -> String {
        let last = |(rank, lines): (usize, &Vec<String>)| {
            let first = lines.len().saturating_sub(12);
            format!("rank {rank}: {}\n", lines[first..].join("; "))
        };
        self.lines.iter().enumerate().map(last).collect()
    }

    /// Checks everything.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self, is_complete: bool) -> Result<(), String> {
        self.numbers()?;
        self.same("value")?;
        self.same("shared")?;
        self.messages(is_complete)?;
        self.turns()?;
        self.tasks(is_complete)?;
        self.file()
    }

    /// The words behind `kind` in each record of this kind, with the rank.
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = (usize, &str)> {
        let ranks = self.lines.iter().enumerate();
        let all = ranks.flat_map(|(rank, lines)| lines.iter().map(move |line| (rank, line)));
        all.filter_map(move |(rank, line)| {
            let rest = line.strip_prefix(kind)?.strip_prefix(' ')?;
            Some((rank, rest))
        })
    }

    /// A set of records that are all different.
    fn unique(&self, kind: &str) -> Result<BTreeSet<&str>, String> {
        let mut found = BTreeSet::new();
        for (rank, words) in self.of_kind(kind) {
            if !found.insert(words) {
                return Err(format!(
                    "{kind} {words} for the second time, on rank {rank}"
                ));
            }
        }
        Ok(found)
    }

    /// The numbers of the counter are given out once, and only those of the dead are lost.
    fn numbers(&self) -> Result<(), String> {
        let numbers = self.unique("number")?;
        let parse = |number: &&str| number.parse::<u64>().expect("a number");
        let last = numbers.iter().map(parse).max();
        let missing = last.map_or(0, |last| last + 1) - numbers.len() as u64;
        let most = if self.victim.is_some() { 3 } else { 0 };
        match missing <= most {
            true => Ok(()),
            false => Err(format!("{missing} numbers were lost")),
        }
    }

    /// All ranks have the same value.
    fn same(&self, kind: &str) -> Result<(), String> {
        let mut values = BTreeMap::new();
        for (rank, words) in self.of_kind(kind) {
            let (which, value) = words.split_once(' ').expect("two words");
            let first = *values.entry(which).or_insert(value);
            if first != value {
                return Err(format!("{kind} {which} is another one on rank {rank}"));
            }
        }
        Ok(())
    }

    /// No message is lost or doubled but one that the dead rank had in hand.
    fn messages(&self, is_complete: bool) -> Result<(), String> {
        let taken = self.unique("took")?;
        let begun = self.unique("puts")?;
        let put = self.unique("put")?;
        let kept = self.unique("kept")?;
        if let Some(message) = taken.difference(&begun).next() {
            return Err(format!("message {message} was taken and never put"));
        }
        if let Some(message) = taken.intersection(&kept).next() {
            return Err(format!("message {message} was refused and taken"));
        }
        let lost = put.difference(&taken).count();
        let most = usize::from(self.victim.is_some());
        match !is_complete || lost <= most {
            true => Ok(()),
            false => Err(format!("{lost} messages were lost")),
        }
    }

    /// Turns are taken in the order of the ranks, round by round.
    fn turns(&self) -> Result<(), String> {
        let mut rounds: Vec<(&str, i32)> = Vec::new();
        for line in self.turns.lines() {
            let (round, rank) = line.split_once(' ').expect("two words");
            let rank: i32 = rank.parse().expect("a rank");
            let expected = match rounds.last() {
                Some((last, before)) if *last == round => before + 1,
                Some((_, before)) if *before + 1 != RANKS as i32 => {
                    return Err(format!("round {round} began too early:\n{}", self.turns));
                }
                _ => 0,
            };
            if rank != expected {
                return Err(format!("the turns are not in order:\n{}", self.turns));
            }
            rounds.push((round, rank));
        }
        Ok(())
    }

    /// Each task is done once, and run twice only if the dead rank had it.
    fn tasks(&self, is_complete: bool) -> Result<(), String> {
        let done = self.unique("done")?;
        let mut runs = BTreeMap::new();
        for (rank, task) in self.of_kind("runs") {
            runs.entry(task).or_insert_with(Vec::new).push(rank);
        }
        for (task, ranks) in &runs {
            let pair = usize::from(task.starts_with('2')) + 1;
            let of_dead =
                |rank: &&usize| self.victim.is_some_and(|dead| dead / pair == **rank / pair);
            let by_dead = ranks.iter().filter(of_dead).count();
            let is_fine = ranks.len() == 1 || ranks.len() == 2 && by_dead >= 1;
            if !is_fine {
                return Err(format!("task {task} was run by the ranks {ranks:?}"));
            }
            // Those of a pair are counted by the batch itself.
            if is_complete && pair == 1 && by_dead == 0 && !done.contains(task) {
                return Err(format!("task {task} was run by {ranks:?}, and not done"));
            }
        }
        match !is_complete || runs.len() == 3 * TASKS {
            true => Ok(()),
            false => Err(format!("{} tasks were run of {}", runs.len(), 3 * TASKS)),
        }
    }

    /// The lines of the file are whole, but for the last one, which the dead rank may have written.
    fn file(&self) -> Result<(), String> {
        let written = self.unique("line")?;
        let mut found = BTreeSet::new();
        let lines: Vec<&str> = self.file.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_last = index + 1 == lines.len();
            let may_be_torn = is_last && self.victim.is_some();
            if !(line.ends_with('.') || may_be_torn) {
                return Err(format!("line {index} of the file is torn"));
            }
            let number = line.split(' ').next().unwrap_or_default();
            if !found.insert(number) {
                return Err(format!("line {number} is twice in the file"));
            }
        }
        match written.difference(&found).next() {
            None => Ok(()),
            Some(line) => Err(format!("line {line} is not in the file")),
        }
    }
}
