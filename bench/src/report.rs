//! The outcome of a benchmark: a table for people, JSON for programs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The figures of one subject in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The name of the case on the command line.
    pub case: String,
    /// The name of the subject on the command line.
    pub subject: String,
    /// Nanoseconds per operation, one figure per round; empty if the subject hung.
    pub rounds: Vec<f64>,
    /// The number of seconds after which the subject was aborted because it hung.
    pub no_end_in: Option<u64>,
}

impl Outcome {
    /// The median of the rounds; the mean of the two middle ones if their number is even.
    pub fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) {
            (sorted[middle - 1] + sorted[middle]) / 2.0
        } else {
            sorted[middle]
        }
    }

    /// The shortest round.
    fn min(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The longest round.
    fn max(&self) -> f64 {
        self.rounds.iter().copied().fold(0.0, f64::max)
    }
}

/// The environment of the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The MPI library and its version, as [`short_version`] returns it.
    pub mpi: String,
    /// Number of ranks.
    pub ranks: usize,
    /// Number of hosts.
    pub hosts: usize,
    /// Number of cores of a host, as the system reports it; 0 if it does not.
    pub cores: usize,
}

/// The number of cores of this host. The cores that this process may use can be fewer.
pub fn cores() -> usize {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let is_core = |line: &&str| line.starts_with("processor");
    text.lines().filter(is_core).count()
}

fn is_measured(outcome: &Outcome) -> bool {
    outcome.no_end_in.is_none()
}

/// The table: a line for each subject in each case, with the ratio of `us` to it.
pub fn table(setting: &Setting, outcomes: &[Outcome], us: &str) -> String {
    let mut text = format!(
        "{} ranks, {} host{}, {}; ns per operation\n",
        setting.ranks,
        setting.hosts,
        if setting.hosts == 1 { "" } else { "s" },
        setting.mpi
    );
    let ratio_head = format!("{us}/it");
    writeln!(
        text,
        "{:<22}{:<20}{:>12}{:>12}{:>12}{:>12}",
        "case", "subject", "median", "min", "max", ratio_head
    )
    .expect("writing to a String does not fail");
    let mut last_case = "";
    for outcome in outcomes {
        let ours = outcomes
            .iter()
            .find(|other| other.case == outcome.case && other.subject == us);
        let ratio = match ours {
            Some(ours)
                if ours.subject != outcome.subject && is_measured(ours) && is_measured(outcome) =>
            {
                format!("{:.3}", ours.median() / outcome.median())
            }
            _ => String::new(),
        };
        let case = if outcome.case == last_case {
            ""
        } else {
            &outcome.case
        };
        last_case = &outcome.case;
        if let Some(seconds) = outcome.no_end_in {
            let name = &outcome.subject;
            writeln!(text, "{case:<22}{name:<20} no end in {seconds} s")
                .expect("writing to a String does not fail");
            continue;
        }
        let line = format!(
            "{:<22}{:<20} {:>11.1} {:>11.1} {:>11.1} {:>11}",
            case,
            outcome.subject,
            outcome.median(),
            outcome.min(),
            outcome.max(),
            ratio
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One entry of the JSON file: a subject in a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The name of the case on the command line.
    pub case: String,
    /// The name of the subject on the command line.
    pub subject: String,
    /// The job.
    #[serde(flatten)]
    pub setting: Setting,
    /// The median of the rounds. This and the next two are null if the subject hung.
    pub value: Option<f64>,
    /// The shortest round.
    pub min: Option<f64>,
    /// The longest round.
    pub max: Option<f64>,
    /// The unit of the values.
    pub unit: String,
}

/// Writes an array with one object for each subject in each case.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, setting: &Setting, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let entries: Vec<Entry> = outcomes
        .iter()
        .map(|outcome| {
            // Tenths of a picosecond are noise.
            let rounded = |value: f64| is_measured(outcome).then(|| (value * 1e3).round() / 1e3);
            Entry {
                case: outcome.case.clone(),
                subject: outcome.subject.clone(),
                setting: setting.clone(),
                value: is_measured(outcome)
                    .then(|| outcome.median())
                    .and_then(rounded),
                min: rounded(outcome.min()),
                max: rounded(outcome.max()),
                unit: String::from("ns"),
            }
        })
        .collect();
    write(path, &entries)
}

/// The entries of a [JSON file](write_json).
///
/// # Errors
/// If the file cannot be read or has other contents.
pub fn read_json(path: &Path) -> anyhow::Result<Vec<Entry>> {
    Ok(serde_json::from_reader(BufReader::new(File::open(path)?))?)
}

/// Writes all rounds, for a program that [reads](read_rounds) them into its own table.
///
/// # Errors
/// If the file cannot be written.
pub fn write_rounds(path: &Path, outcomes: &[Outcome]) -> anyhow::Result<()> {
    write(path, outcomes)
}

/// The rounds that another program measured.
///
/// # Errors
/// If the file cannot be read or has other contents.
pub fn read_rounds(path: &Path) -> anyhow::Result<Vec<Outcome>> {
    Ok(serde_json::from_reader(BufReader::new(File::open(path)?))?)
}

fn write<T: Serialize>(path: &Path, entries: &[T]) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut file, &entries)?;
    writeln!(file)?;
    file.flush()?;
    Ok(())
}

/// The name and version from the text of `MPI_Get_library_version`, which may have many lines.
pub fn short_version(long: &str) -> String {
    let line = long.lines().next().unwrap_or_default();
    let line = match line.split_once(',') {
        Some((name, _)) => name,
        None => line,
    };
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let word = match word.strip_prefix('v') {
            Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => number,
            _ => word,
        };
        if word != "Version:" && word != "Library" {
            words.push(word);
        }
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            break;
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(case: &str, subject: &str, rounds: &[f64]) -> Outcome {
        Outcome {
            case: case.into(),
            subject: subject.into(),
            rounds: rounds.into(),
            no_end_in: None,
        }
    }

    fn setting() -> Setting {
        Setting {
            mpi: "Open MPI 4.1.4".into(),
            ranks: 2,
            hosts: 1,
            cores: 2,
        }
    }

    #[test]
    fn median_is_the_middle() {
        assert_eq!(outcome("", "", &[9.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(outcome("", "", &[9.0, 1.0, 2.0, 4.0]).median(), 3.0);
    }

    #[test]
    fn versions_become_short() {
        let open_mpi = "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4";
        let mpich = "MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7 12:34:45 CDT 2022\n";
        let intel = "Intel(R) MPI Library 2021.19 for Linux* OS\n";
        assert_eq!(short_version(open_mpi), "Open MPI 4.1.4");
        assert_eq!(short_version(mpich), "MPICH 4.0.2");
        assert_eq!(short_version(intel), "Intel(R) MPI 2021.19");
    }

    #[test]
    fn ratios_are_within_a_case() {
        let outcomes = [
            outcome("read", "us", &[2.0]),
            outcome("read", "them", &[8.0]),
            outcome("write", "us", &[3.0]),
            outcome("write", "them", &[2.0]),
        ];
        let text = table(&setting(), &outcomes, "us");
        let ends: Vec<&str> = text
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().last().unwrap())
            .collect();
        assert_eq!(ends, ["2.0", "0.250", "3.0", "1.500"]);
    }

    #[test]
    fn a_row_says_that_a_subject_had_no_end() {
        let mut still = outcome("write", "them", &[]);
        still.no_end_in = Some(20);
        let text = table(&setting(), &[outcome("write", "us", &[3.0]), still], "us");
        assert!(
            text.ends_with("                      them                 no end in 20 s\n"),
            "{text}"
        );
    }

    #[test]
    fn json_has_the_promised_keys() {
        let path = std::env::temp_dir().join(format!("mpisync-report-{}.json", std::process::id()));
        let mut still = outcome("read_alone", "mcs_rma", &[]);
        still.no_end_in = Some(20);
        let outcomes = [outcome("read_alone", "mpisync", &[8.25, 8.5, 8.75]), still];
        write_json(&path, &setting(), &outcomes).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let read = read_json(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!((&read[0].setting, read[0].max), (&setting(), Some(8.75)));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = serde_json::json!([{
            "case": "read_alone", "subject": "mpisync", "mpi": "Open MPI 4.1.4",
            "ranks": 2, "hosts": 1, "cores": 2, "value": 8.5, "min": 8.25, "max": 8.75, "unit": "ns"
        }, {
            "case": "read_alone", "subject": "mcs_rma", "mpi": "Open MPI 4.1.4",
            "ranks": 2, "hosts": 1, "cores": 2, "value": null, "min": null, "max": null, "unit": "ns"
        }]);
        assert_eq!(value, expected);
    }
}
