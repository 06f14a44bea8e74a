//! What the ranks of a job tell the test: files in the job's directory.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// How the test function of a rank has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Passed,
    /// With an error, which has this text.
    Failed(String),
    /// With a panic, which has this place and text.
    Panicked(String),
}

/// The record of a rank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The process, once it has initialized MPI.
    pub(crate) process: Option<u32>,
    /// How its test function has ended, and when, in nanoseconds since 1970.
    pub(crate) end: Option<(u128, End)>,
    /// What it has printed since its test has begun.
    pub(crate) output: String,
}

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct Records(pub(crate) PathBuf);

impl Records {
    /// The file into which a process prints.
    pub(crate) fn output_of(&self, process: u32) -> io::Result<File> {
        let path = self.0.join(format!("{process}.output"));
        File::options().create(true).append(true).open(path)
    }

    /// Records that a process is a rank, and that `SIGUSR1` makes it report its wait.
    pub(crate) fn begin(&self, rank: i32, process: u32) -> io::Result<()> {
        self.write(&format!("{rank}.process"), &process.to_string())
    }

    /// Records how a rank has ended.
    pub(crate) fn end(&self, rank: i32, end: &End) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_nanos();
        let (word, text) = match end {
            End::Passed => ("passed", ""),
            End::Failed(text) => ("failed", text.as_str()),
            End::Panicked(text) => ("panicked", text.as_str()),
        };
        self.write(&format!("{rank}.end"), &format!("{now}\n{word}\n{text}"))
    }

    /// Records that the world of a process has another number of ranks than its launcher has started.
    pub(crate) fn is_alone(&self) -> io::Result<()> {
        self.write("alone", "")
    }

    /// Whether a process has done so.
    pub(crate) fn has_lonely_rank(&self) -> bool {
        self.0.join("alone").exists()
    }

    /// The record of each rank.
    pub(crate) fn read(&self, ranks: usize) -> Vec<Record> {
        (0..ranks).map(|rank| self.of_rank(rank)).collect()
    }

    /// What processes have printed that have not become ranks.
    pub(crate) fn strays(&self, ranks: &[Record]) -> Vec<String> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let process = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".output")?.parse::<u32>().ok()
        };
        let mut processes: Vec<u32> = entries.filter_map(process).collect();
        processes.retain(|process| ranks.iter().all(|rank| rank.process != Some(*process)));
        processes.sort_unstable();
        processes
            .into_iter()
            .map(|process| self.text(&format!("{process}.output")).unwrap_or_default())
            .filter(|output| !output.trim().is_empty())
            .collect()
    }

    fn of_rank(&self, rank: usize) -> Record {
        let process = self.text(&format!("{rank}.process"));
        let process = process.and_then(|text| text.parse().ok());
        let output = process.and_then(|process: u32| self.text(&format!("{process}.output")));
        let end = self.text(&format!("{rank}.end"));
        Record {
            process,
            end: end.and_then(|text| parse(&text)),
            output: output.unwrap_or_default(),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let bytes = fs::read(self.0.join(name)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes a file that is there as a whole or not at all.
    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let unfinished = self.0.join(format!("{name}.{}", std::process::id()));
        fs::write(&unfinished, text)?;
        fs::rename(unfinished, self.0.join(name))
    }
}

fn parse(text: &str) -> Option<(u128, End)> {
    let mut parts = text.splitn(3, '\n');
    let time = parts.next()?.parse().ok()?;
    let word = parts.next()?;
    let text = parts.next()?.to_owned();
    let end = match word {
        "passed" => End::Passed,
        "failed" => End::Failed(text),
        "panicked" => End::Panicked(text),
        _ => return None,
    };
    Some((time, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use launcher::JobDirectory;
    use std::io::Write;

    #[test]
    fn what_ranks_write_is_read() {
        let directory = JobDirectory::new("record").unwrap();
        let records = Records(directory.path().to_owned());
        for process in [70, 71, 72] {
            let mut output = records.output_of(process).unwrap();
            writeln!(output, "process {process}").unwrap();
        }
        records.begin(0, 71).unwrap();
        records.begin(1, 70).unwrap();
        records.end(0, &End::Failed("a\nb".into())).unwrap();
        records.end(1, &End::Passed).unwrap();
        let read = records.read(3);
        let ends = read.iter().map(|rank| rank.end.clone().map(|end| end.1));
        let expected = [Some(End::Failed("a\nb".into())), Some(End::Passed), None];
        assert!(ends.eq(expected));
        assert_eq!(read[0].output, "process 71\n");
        assert_eq!(read[2], Record::default());
        assert_eq!(records.strays(&read), ["process 72\n"]);
        assert!(!records.has_lonely_rank());
    }
}
