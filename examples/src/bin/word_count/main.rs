//! Counts the words of text files: one rank reads them, all ranks count.
//!
//! Rank 0 reads the files by lines and puts the lines into a channel, split into messages. All
//! ranks take from it; rank 0 itself only while the channel is full, so that the program also works
//! with one rank. After the last line rank 0 drops its producer, and the ranks find the end of the
//! stream. A second channel sends their counts to rank 0, which counts again without the others and
//! compares.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Parser;
use mpisync::{batch::Meter, prelude::*};
use mpisync_examples::{cli, room::put_or_take};

mod counts;
mod text;

use counts::{Counts, Entry};
use text::{Text, pieces};

/// Counts the words of text files on all ranks
#[derive(Parser)]
struct Args {
    /// The text files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Capacity of each channel in messages
    #[arg(long, value_name = "N", default_value_t = 1024)]
    capacity: usize,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let texts = RemoteChannel::builder(world, args.capacity).name("texts");
    let texts = texts.build()?;
    let entries = RemoteChannel::builder(world, args.capacity).name("entries");
    let entries = entries.build()?;
    let start = Instant::now();
    let mine = count(&mut ctrl, texts, &args.files)?;
    let all = merge(&mut ctrl, entries, mine)?;
    let summary = verify(&mut ctrl, &args.files, &all, start.elapsed())?;
    ctrl.close()?;
    Ok(summary)
}

/// Rank 0 reads, all ranks count; each returns its counts.
///
/// The function owns the channel. So a rank that fails drops it, and no other rank waits for its
/// messages.
#[mpisync::collective]
fn count(
    ctrl: &mut WindowController,
    texts: RemoteChannel<Text>,
    files: &[PathBuf],
) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    let (producer, mut consumer) = texts.split();
    if ctrl.is_master() {
        let (mut bytes, total) = (0, length(files)?);
        let mut meter = Meter::new("bytes", &cli::so_far(bytes, total));
        let mut has_read = |more| {
            bytes += more;
            // A file may have grown since.
            meter.show(&cli::so_far(bytes.min(total), total));
        };
        for file in files {
            read(file, &producer, &consumer, &mut counts, &mut has_read)
                .with_context(|| format!("cannot read {}", file.display()))?;
        }
    }
    drop(producer); // the stream ends when all ranks have done so and the channel is empty
    while consumer
        .take_with(|text| counts.add_text(text.as_str()))
        .is_some()
    {}
    Ok(counts)
}

/// The total size of the files in bytes.
fn length(files: &[PathBuf]) -> anyhow::Result<u64> {
    let length = |file: &PathBuf| {
        let data = fs::metadata(file);
        data.with_context(|| format!("cannot read {}", file.display()))
    };
    files.iter().map(|file| Ok(length(file)?.len())).sum()
}

/// Puts the lines of a file into the channel, and counts some of them while it is full.
fn read(
    file: &Path,
    producer: &Producer<Text>,
    consumer: &Consumer<Text>,
    counts: &mut Counts,
    has_read: &mut impl FnMut(u64),
) -> anyhow::Result<()> {
    let mut file = BufReader::new(File::open(file)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        for piece in pieces(&normal(&line)) {
            let Some(text) = Text::of(piece) else {
                counts.add(piece, 1); // one word, longer than a message
                continue;
            };
            put_or_take(producer, consumer, text, |text| {
                counts.add_text(text.as_str());
                Ok(())
            })?;
        }
        has_read(line.len() as u64);
        line.clear();
    }
    Ok(())
}

/// In lower case, and without bytes that are not text.
fn normal(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_lowercase()
}

/// Sends the counts of all ranks to rank 0.
#[mpisync::collective]
fn merge(
    ctrl: &mut WindowController,
    entries: RemoteChannel<Entry>,
    mut counts: Counts,
) -> anyhow::Result<Counts> {
    let (producer, consumer) = entries.split();
    if ctrl.is_master() {
        drop(producer);
        for entry in consumer {
            counts.add(entry.word.as_str(), entry.count);
        }
    } else {
        producer.put_all(counts.entries())?;
    }
    Ok(counts)
}

/// Rank 0 compares the counts with its own, made without channels; all return the summary.
#[mpisync::single_write]
fn verify(
    ctrl: &mut WindowController,
    files: &[PathBuf],
    counts: &Counts,
    took: Duration,
) -> anyhow::Result<String> {
    let start = Instant::now();
    let mut serial = Counts::default();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serial.add_text(&normal(&bytes));
    }
    let alone = start.elapsed();
    if let Some(word) = counts.difference(&serial) {
        let (found, right) = (counts.of(word), serial.of(word));
        bail!("`{word}` was counted {found} times instead of {right} times");
    }
    let total = counts.total();
    let mut summary = String::new();
    for (word, count) in counts.most_frequent(10) {
        summary += &format!("{count:10} {word}\n");
    }
    let rate = total as f64 / took.as_secs_f64() / 1e6;
    summary += &format!(
        "ranks: {}; counted in {took:.3?}, {rate:.1} million words a second; \
         without channels in {alone:.3?}\n\
         verified: {total} words, {} of them different",
        ctrl.size(),
        counts.distinct()
    );
    Ok(summary)
}
