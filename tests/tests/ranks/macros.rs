//! `#[mpisync::single_write]` on functions and methods of many forms.

use std::cell::Cell;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;

use mpisync::{CollectiveError, Plain, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::common::{assert_here, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    written_function,
    written_function_fails,
    written_function_panics,
    generic_functions,
    methods,
    slices,
    writer_by_option,
    collective_methods,
);

/// Doubles `number` on the master, and counts the runs.
#[mpisync::single_write]
fn double(ctrl: &mut WindowController, number: u64, runs: &Cell<u32>) -> anyhow::Result<u64> {
    runs.set(runs.get() + 1);
    // The write lock is held: reading is possible, on this rank only.
    let _guard = ctrl.read();
    if number > 1_000 {
        return Ok(0);
    }
    let checked = number
        .checked_mul(2)
        .ok_or_else(|| anyhow::anyhow!("too large"))?;
    Ok(checked)
}

fn written_function(job: &Job) {
    let mut ctrl = WindowController::builder(&job.world)
        .master(job.size - 1)
        .build()
        .unwrap();
    let runs = Cell::new(0);
    for round in 0..100 {
        // The arguments of the others are not used.
        let number = if ctrl.is_master() { round } else { 999 };
        assert_eq!(double(&mut ctrl, number, &runs).unwrap(), 2 * round);
        assert_eq!(double(&mut ctrl, 2_000, &runs).unwrap(), 0);
    }
    assert_eq!(runs.get(), if ctrl.is_master() { 200 } else { 0 });
}

#[mpisync::single_write]
fn open(ctrl: &mut WindowController, path: &str) -> anyhow::Result<Vec<u8>> {
    assert!(ctrl.is_master(), "only the master comes here");
    Ok(std::fs::read(path)?)
}

/// `?` leaves the body, not the function: the others get the error.
fn written_function_fails(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for _ in 0..10 {
        let error = open(&mut ctrl, "/nonexistent/file").unwrap_err();
        match error.downcast_ref::<CollectiveError>() {
            None => {
                assert_eq!(job.rank, 0, "only the writer has its own error");
                assert!(error.is::<std::io::Error>());
            }
            Some(CollectiveError::WriterFailed {
                rank,
                place,
                message,
            }) => {
                assert_ne!(job.rank, 0);
                assert_eq!(*rank, 0);
                assert_here(place, file!());
                assert!(message.contains("No such file"), "{message}");
            }
            Some(other) => panic!("{other:?}"),
        }
        still_works(&mut ctrl);
    }
}

#[mpisync::single_write]
fn explode(ctrl: &mut WindowController) -> Result<(), CollectiveError> {
    panic!("no paper on rank {}", ctrl.rank())
}

fn written_function_panics(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for _ in 0..10 {
        if job.rank == 0 {
            let words = expect_panic(|| explode(&mut ctrl));
            assert!(words.contains("no paper on rank 0"), "{words}");
        } else {
            match explode(&mut ctrl) {
                Err(CollectiveError::WriterPanicked {
                    rank: 0,
                    place,
                    message,
                }) => {
                    assert_here(&place, file!());
                    assert!(message.contains("no paper on rank 0"), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
        still_works(&mut ctrl);
    }
}

type Outcome<T> = Result<T, CollectiveError>;

#[mpisync::single_write]
fn pass_on<T>(ctrl: &mut WindowController, value: T) -> Outcome<T>
where
    T: Serialize + DeserializeOwned,
{
    assert_eq!(ctrl.rank(), 0);
    Ok(value)
}

#[mpisync::single_write]
fn longest<'a, I, const N: usize>(
    ctrl: &mut WindowController,
    words: I,
    ends: [&'a str; N],
) -> Outcome<String>
where
    I: IntoIterator<Item = &'a str>,
{
    assert_eq!(ctrl.rank(), 0);
    let all = words.into_iter().chain(ends);
    Ok(all
        .max_by_key(|word| word.len())
        .unwrap_or_default()
        .to_owned())
}

fn generic_functions(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let ctrl = &mut ctrl;
    let own = |number: i64| if job.rank == 0 { number } else { -1 };
    assert_eq!(pass_on(ctrl, own(5)).unwrap(), 5);
    assert_eq!(pass_on(ctrl, Some(vec![own(6)])).unwrap(), Some(vec![6]));
    assert_eq!(pass_on(ctrl, format!("{}", own(7))).unwrap(), "7");
    let words = if job.rank == 0 {
        "a bee sees"
    } else {
        "nothing whatsoever"
    };
    assert_eq!(
        longest(ctrl, words.split(' '), ["or", "so"]).unwrap(),
        "sees"
    );
}

/// A type that keeps its controller in a field.
struct Store<T> {
    ctrl: WindowController,
    lines: Vec<String>,
    kind: PhantomData<T>,
}

impl<T: Display + Debug> Store<T> {
    #[mpisync::single_write(ctrl = self.ctrl)]
    fn add(&mut self, item: T) -> anyhow::Result<usize> {
        self.lines.push(item.to_string());
        anyhow::ensure!(self.lines.len() < 4, "full of {} lines", self.lines.len());
        Ok(self.lines.len())
    }

    #[mpisync::single_write(ctrl = self.ctrl, rank = writer, share = serde)]
    fn lines_of(&mut self, writer: i32) -> anyhow::Result<Vec<String>> {
        Ok(self.lines.clone())
    }

    #[mpisync::collective(ctrl = self.ctrl, share = self.ctrl.master())]
    fn last_of_master(&mut self) -> anyhow::Result<Option<String>> {
        let _guard = self.ctrl.read();
        Ok(self.lines.last().cloned())
    }

    #[mpisync::collective(ctrl = self.ctrl)]
    fn check(&mut self, bad: bool) -> anyhow::Result<()> {
        anyhow::ensure!(!bad, "bad lines: {:?}", self.lines);
        Ok(())
    }
}

fn store(job: &Job) -> Store<i32> {
    Store {
        ctrl: mpisync::sync(&job.world).unwrap(),
        lines: Vec::new(),
        kind: PhantomData,
    }
}

fn methods(job: &Job) {
    let mut store = store(job);
    for number in 1..=3 {
        assert_eq!(store.add(10 * number + job.rank).unwrap(), number as usize);
    }
    // Each rank has its own lines; those of the writer are shared.
    assert_eq!(store.lines.len(), if job.rank == 0 { 3 } else { 0 });
    for writer in 0..job.size {
        let lines = store.lines_of(writer).unwrap();
        let expected: &[&str] = if writer == 0 {
            &["10", "20", "30"]
        } else {
            &[]
        };
        assert_eq!(lines, expected);
    }
    let words = store.add(0).unwrap_err().to_string();
    assert!(words.contains("full of 4 lines"), "{words}");
    still_works(&mut store.ctrl);
}

#[mpisync::single_write(rank = writer, share = slice)]
fn ramp<T>(ctrl: &mut WindowController, writer: i32, items: &[T]) -> Result<Vec<T>, CollectiveError>
where
    T: Plain,
{
    assert_eq!(ctrl.rank(), writer);
    Ok(items.to_vec())
}

fn slices(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for length in [0, 1, 1_000, 1_000_000] {
        let writer = length % job.size;
        let right: Vec<f64> = (0..length).map(f64::from).collect();
        let mine: &[f64] = if job.rank == writer { &right } else { &[-1.0] };
        assert!(ramp(&mut ctrl, writer, mine).unwrap() == right);
    }
}

#[mpisync::single_write(rank = if late { ctrl.size() - 1 } else { 0 })]
fn who(ctrl: &mut WindowController, late: bool) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

#[mpisync::single_write(rank = rank)]
fn which(ctrl: &mut WindowController, rank: i32) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

/// `rank = …` is any expression, and an invalid rank is an error on each rank.
fn writer_by_option(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    assert_eq!(who(&mut ctrl, false).unwrap(), 0);
    assert_eq!(who(&mut ctrl, true).unwrap(), job.size - 1);
    for rank in 0..job.size {
        assert_eq!(which(&mut ctrl, rank).unwrap(), rank);
    }
    let error = which(&mut ctrl, job.size).unwrap_err();
    assert!(
        matches!(error, CollectiveError::NoSuchRank { .. }),
        "{error:?}"
    );
    still_works(&mut ctrl);
}

fn collective_methods(job: &Job) {
    let mut store = store(job);
    store.lines.push(format!("of rank {}", job.rank));
    assert_eq!(store.last_of_master().unwrap().unwrap(), "of rank 0");
    store.check(false).unwrap();
    for culprit in 0..job.size {
        let words = store.check(job.rank == culprit).unwrap_err().to_string();
        let expected = format!("bad lines: [\"of rank {culprit}\"]");
        assert!(words.contains(&expected), "{words}");
    }
    still_works(&mut store.ctrl);
}
