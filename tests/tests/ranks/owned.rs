//! Locks that own what they protect: when it is open, which rank creates it, and the errors of the
//! others.

use std::fs::{self, File};
use std::io::{self, BufRead, BufWriter, Write};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpisync::guarded::{AppendFile, GuardedError, Resource};
use mpisync::{CollectiveError, CreateError, Guarded, LockError, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::panics::{caught, expect_panic};
use mpisync_tests::scratch::Scratch;

mpisync_tests::cases!(on [1, 2, 4]:
    lines_are_whole,
    lines_are_torn_without_it,
    closed_before_the_unlock,
    readers_are_inside_together,
    one_rank_creates_it,
    one_rank_names_it,
    other_names_on_other_ranks,
    one_rank_writes_for_all,
    guarded_file_missing_on_a_node,
    timeouts_of_guarded_files,
    collective_with_a_guarded_file,
);

const LINES: usize = 200;

/// A line in many pieces; every tenth is larger than the buffer of a file.
fn write_line(file: &mut impl Write, rank: i32, number: usize) -> io::Result<()> {
    let words = if number.is_multiple_of(10) { 2_000 } else { 20 };
    write!(file, "{rank} {number}")?;
    for word in 0..words {
        write!(file, " word-{word}")?;
    }
    writeln!(file, " end")
}

/// The number of lines that are intact.
fn whole_lines(lines: impl Iterator<Item = String>, size: i32) -> usize {
    let mut next = vec![0; size as usize];
    let mut whole = 0;
    for line in lines {
        let mut words = line.split(' ');
        let rank = words.next().and_then(|word| word.parse().ok());
        let number = words.next().and_then(|word| word.parse().ok());
        let (Some(rank), Some(number)) = (rank, number) else {
            continue;
        };
        let mut expected = Vec::new();
        write_line(&mut expected, rank, number).unwrap();
        if expected.strip_suffix(b"\n") == Some(line.as_bytes()) {
            let next: &mut usize = &mut next[rank as usize];
            assert_eq!(*next, number, "rank {rank} wrote in another order");
            *next += 1;
            whole += 1;
        }
    }
    whole
}

/// All ranks append lines to a file, and each line is whole.
fn lines_are_whole(job: &Job) {
    let path = job.file("lines.txt");
    let mut file = Guarded::new(&job.world, AppendFile::new(&path)).unwrap();
    for number in 0..LINES {
        file.write(|file| write_line(file, job.rank, number))
            .unwrap();
        if number.is_multiple_of(50) {
            // Readers see whole lines only.
            let last = file.read(|file| {
                let lines = file.lines().collect::<io::Result<Vec<_>>>()?;
                Ok(lines.last().cloned())
            });
            assert!(last.unwrap().unwrap().ends_with(" end"));
        }
    }
    job.scratch.meet(0, job.size);
    let text = fs::read_to_string(&path).unwrap();
    let whole = whole_lines(text.lines().map(str::to_owned), job.size);
    assert_eq!(whole, LINES * job.size as usize);
    file.close().unwrap();
}

/// A buffered file that is declared before its guard: the end of each line is written after the
/// unlock.
fn lines_are_torn_without_it(job: &Job) {
    let path = job.file("torn.txt");
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == 0 {
        File::create(&path).unwrap();
    }
    job.scratch.meet(0, job.size);
    let mut file = BufWriter::new(File::options().append(true).open(&path).unwrap());
    let guard = ctrl.write();
    write_line(&mut file, job.rank, 0).unwrap();
    drop(guard);
    job.scratch.meet(1, job.size);
    drop(file);
    job.scratch.meet(2, job.size);
    let text = fs::read_to_string(&path).unwrap();
    let whole = whole_lines(text.lines().map(str::to_owned), job.size);
    assert_eq!(whole, usize::from(job.size == 1), "the lines were not torn");
}

/// A resource that only one rank may have open for writing, and that is slow to close.
struct Slow<'s> {
    scratch: &'s Scratch,
    rank: i32,
    fails: bool,
}

/// Words of the scratch memory: the number of ranks that have it open, and of its creations.
const WRITERS: usize = 10;
const READERS: usize = 11;
const CREATED: usize = 12;

struct Reading<'s>(&'s Scratch);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.word(READERS).fetch_sub(1, SeqCst);
    }
}

impl<'s> Resource for Slow<'s> {
    type Reader = Reading<'s>;
    type Writer = u64;
    type Error = io::Error;

    fn name(&self) -> String {
        "slow".to_owned()
    }

    fn create(&self) -> io::Result<()> {
        self.scratch.word(CREATED).fetch_add(1, SeqCst);
        if self.fails {
            return Err(io::Error::other("no place for it"));
        }
        Ok(())
    }

    fn open_to_read(&self) -> io::Result<Reading<'s>> {
        self.scratch.word(READERS).fetch_add(1, SeqCst);
        assert_eq!(
            self.scratch.word(WRITERS).load(SeqCst),
            0,
            "a reader beside a writer"
        );
        Ok(Reading(self.scratch))
    }

    fn open_to_write(&self) -> io::Result<u64> {
        let writers = self.scratch.word(WRITERS).fetch_add(1, SeqCst);
        assert_eq!(writers, 0, "rank {} opens it beside another", self.rank);
        assert_eq!(
            self.scratch.word(READERS).load(SeqCst),
            0,
            "a writer beside a reader"
        );
        Ok(0)
    }

    fn close(&self, _: u64) -> io::Result<()> {
        // Long enough for others to enter if the lock were already free.
        std::thread::sleep(Duration::from_micros(300));
        self.scratch.word(WRITERS).fetch_sub(1, SeqCst);
        Ok(())
    }
}

fn slow(job: &Job, fails: bool) -> Slow<'_> {
    Slow {
        scratch: &job.scratch,
        rank: job.rank,
        fails,
    }
}

/// For every end of a closure, its resource is closed before another rank enters.
fn closed_before_the_unlock(job: &Job) {
    let mut slow = Guarded::new(&job.world, slow(job, false)).unwrap();
    for round in 0..60 {
        match (round + job.rank) % 5 {
            0 => slow.write(|_| Ok(())).unwrap(),
            1 => {
                let error = slow.write(|_| Err::<(), _>(io::Error::other("mine")));
                assert!(matches!(error, Err(GuardedError::Use(_))));
            }
            2 => {
                let panic = expect_panic(|| slow.write(|_| -> io::Result<()> { panic!("stop") }));
                assert!(panic.contains("stop"));
            }
            3 => slow.read(|_| Ok(())).unwrap(),
            _ => {
                let panic = expect_panic(|| slow.read(|_| -> io::Result<()> { panic!("stop") }));
                assert!(panic.contains("stop"));
            }
        }
    }
    // In fences, too.
    for round in 0..20 {
        let writer = round % job.size;
        slow.single_write_on(writer, |_| Ok(())).unwrap();
        slow.write(|_| Ok(())).unwrap();
    }
}

/// Readers do not wait for each other.
fn readers_are_inside_together(job: &Job) {
    let slow = Guarded::new(&job.world, slow(job, false)).unwrap();
    let meeting = slow.read(|_| {
        job.scratch.meet(0, job.size);
        Ok(())
    });
    meeting.unwrap();
}

/// The master creates it; the others wait, and get the error if that fails.
fn one_rank_creates_it(job: &Job) {
    let created = job.scratch.word(CREATED);
    let guarded = Guarded::new(&job.world, slow(job, false)).unwrap();
    assert_eq!(created.load(SeqCst), 1);
    guarded.close().unwrap();

    let error = Guarded::new(&job.world, slow(job, true)).unwrap_err();
    assert_eq!(created.load(SeqCst), 2);
    if job.rank == 0 {
        assert!(matches!(error, GuardedError::Create { .. }), "{error:?}");
    } else {
        let GuardedError::Call(CollectiveError::WriterFailed {
            rank: 0, message, ..
        }) = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(message, "slow cannot be created: no place for it");
    }
    assert!(error.to_string().contains("no place for it"), "{error}");

    let last = job.size - 1;
    let ctrl = WindowController::builder(&job.world).master(last);
    let guarded = Guarded::with_controller(ctrl.build().unwrap(), slow(job, false)).unwrap();
    assert_eq!(guarded.controller().master(), last);
    assert_eq!(created.load(SeqCst), 3);
}

/// Rank 0 chooses a path; all ranks use it.
fn one_rank_names_it(job: &Job) {
    let mut log = Guarded::create(&job.world, || {
        assert_eq!(job.rank, 0);
        let name = format!("of-process-{}.txt", std::process::id());
        Ok(AppendFile::new(job.file(&name)))
    })
    .unwrap();
    log.write(|file| write_line(file, job.rank, 0)).unwrap();
    job.scratch.meet(0, job.size);
    let lines = log.read(|file| file.lines().collect::<io::Result<Vec<_>>>());
    assert_eq!(
        whole_lines(lines.unwrap().into_iter(), job.size),
        job.size as usize
    );

    let failed = Guarded::<AppendFile>::create(&job.world, || Err(io::Error::other("no idea")));
    let error = failed.unwrap_err();
    assert_eq!(matches!(error, GuardedError::Use(_)), job.rank == 0);
    assert!(error.to_string().contains("no idea"), "{error}");
}

/// Ranks with different files share no lock.
fn other_names_on_other_ranks(job: &Job) {
    if job.size == 1 {
        return;
    }
    let path = job.file(if job.rank == 1 {
        "mine.txt"
    } else {
        "ours.txt"
    });
    let error = Guarded::new(&job.world, AppendFile::new(path)).unwrap_err();
    if job.rank == 1 {
        let text = error.to_string();
        assert!(
            text.contains("mine.txt") && text.contains("ours.txt"),
            "{text}"
        );
        let differ = matches!(
            error,
            GuardedError::Make(CreateError::ArgumentsDiffer { .. })
        );
        assert!(differ, "{text}");
    } else {
        assert!(matches!(
            error,
            GuardedError::Make(CreateError::OtherRank { .. })
        ));
    }
    // Also if the difference is at the beginning of a long path.
    let deep = "deep/".repeat(100);
    let path = PathBuf::from(format!("{}/{deep}file", i32::from(job.rank == 1)));
    let error = Guarded::new(&job.world, path).unwrap_err();
    assert!(matches!(error, GuardedError::Make(_)), "{error}");
}

/// One rank writes; the others get its value after it has closed the file, or its error.
fn one_rank_writes_for_all(job: &Job) {
    let path = job.file("header.txt");
    let mut file = Guarded::new(&job.world, AppendFile::new(&path)).unwrap();
    for writer in 0..job.size {
        let bytes = file.single_write_on(writer, |file| {
            assert_eq!(job.rank, writer);
            writeln!(file, "header of {writer}")?;
            Ok(file.buffer().len())
        });
        assert!(bytes.unwrap() > 0, "the line was still in the buffer");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with(&format!("header of {writer}\n")), "{text}");
        job.scratch.meet(20 + writer as usize, job.size);
    }

    // The close fails on the writer, and so does the call on all ranks.
    let mut full = Guarded::new(&job.world, AppendFile::new("/dev/full")).unwrap();
    let error = full
        .single_write(|file| writeln!(file, "lost"))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("/dev/full cannot be written out and closed"),
        "{text}"
    );
    match error {
        GuardedError::Close { .. } => assert_eq!(job.rank, 0),
        GuardedError::Call(CollectiveError::WriterFailed { rank: 0, .. }) => {
            assert_ne!(job.rank, 0)
        }
        error => panic!("{error:?}"),
    }

    // The writer panics.
    let write = || full.single_write(|_| -> io::Result<()> { panic!("stop") });
    match caught(AssertUnwindSafe(write)) {
        Err(panic) => {
            assert_eq!(job.rank, 0);
            assert!(panic.contains("stop"), "{panic}");
        }
        Ok(outcome) => {
            let error = outcome.unwrap_err();
            let panicked = matches!(
                error,
                GuardedError::Call(CollectiveError::WriterPanicked { .. })
            );
            assert!(panicked, "{error:?}");
        }
    }
    let value = full.single_write(|_| Ok(5));
    assert_eq!(value.unwrap(), 5);
    let size = job.size;
    let error = full.single_write_on(size, |_| Ok(())).unwrap_err();
    let expected = CollectiveError::NoSuchRank { rank: size, size };
    assert!(matches!(error, GuardedError::Call(error) if error == expected));
}

/// A rank that finds no file at the path does not make one.
fn guarded_file_missing_on_a_node(job: &Job) {
    let path = job.file("shared.txt");
    let mut file = Guarded::new(&job.world, AppendFile::new(&path)).unwrap();
    job.scratch.meet(0, job.size);
    if job.rank == 0 {
        // As if the path were in the `/tmp` of another host.
        fs::remove_file(&path).unwrap();
    }
    job.scratch.meet(1, job.size);
    let error = file.write(|file| writeln!(file, "lost")).unwrap_err();
    assert!(matches!(error, GuardedError::Open { .. }), "{error:?}");
    assert!(!path.exists());
}

/// A rank that waits too long gets an error, and opens nothing.
fn timeouts_of_guarded_files(job: &Job) {
    if job.size == 1 {
        return;
    }
    let mut slow = Guarded::new(&job.world, slow(job, false)).unwrap();
    let limit = Duration::from_millis(20);
    if job.rank == 0 {
        let inside = slow.write(|_| {
            job.scratch.raise(0);
            job.scratch.meet(1, job.size);
            Ok(())
        });
        inside.unwrap();
    } else {
        job.scratch.wait_for(0);
        let errors = [
            slow.read_timeout(limit, |_| Ok(())).unwrap_err(),
            slow.write_timeout(limit, |_| Ok(())).unwrap_err(),
        ];
        for error in errors {
            let timeout = matches!(error, GuardedError::Lock(LockError::Timeout { .. }));
            assert!(timeout, "{error:?}");
        }
        job.scratch.meet(1, job.size);
    }
    slow.write_timeout(Duration::from_secs(20), |_| Ok(()))
        .unwrap();
}

#[mpisync::collective(ctrl = log.controller_mut())]
fn sign(log: &mut Guarded<AppendFile>, fails: bool) -> anyhow::Result<()> {
    let rank = log.controller().rank();
    anyhow::ensure!(!fails || rank > 0, "rank 0 does not sign");
    log.write(|file| write_line(file, rank, 0))?;
    Ok(())
}

/// The attribute macros accept its controller.
fn collective_with_a_guarded_file(job: &Job) {
    let path = job.file("signed.txt");
    let mut log = Guarded::new(&job.world, AppendFile::new(&path)).unwrap();
    sign(&mut log, false).unwrap();
    // All have signed when the call returns.
    let text = fs::read_to_string(&path).unwrap();
    let whole = whole_lines(text.lines().map(str::to_owned), job.size);
    assert_eq!(whole, job.size as usize);
    let error = sign(&mut log, true).unwrap_err();
    assert!(
        error.to_string().contains("rank 0 does not sign"),
        "{error}"
    );
}
