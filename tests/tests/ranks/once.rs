//! Values that one rank computes for all.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::OnceError;
use mpisync::{Counter, CreateError, LockError, OnceShared, Transport, WaitReport};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::scratch::until;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::common::differs;
use crate::semaphore::{Arrivals, line, times};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    once_is_computed_once,
    once_gets,
    once_errors_pass_it_on,
    once_panics_pass_it_on,
    once_passes_on_in_order,
    once_types,
    once_has_so_much_room,
    once_large,
    once_that_cannot_be_sent,
    once_times_out,
    once_asks_for_itself,
    once_of_another_once,
    once_without_some,
    once_roots,
    onces_beside_each_other,
    onces_come_and_go,
    once_arguments_differ,
    once_shows_its_state,
    once_through_windows,
);

/// Words of scratch memory.
const COMPUTED: usize = 0;
const BY: usize = 1;

fn made<T: Serialize + DeserializeOwned>(job: &Job, root: i32) -> OnceShared<T> {
    let builder = OnceShared::builder(&job.world).root(root);
    builder.build().unwrap()
}

/// The reason why a case has no value.
#[derive(Debug, PartialEq)]
enum Failed {
    /// This attempt was meant to fail.
    Attempt(u64),
    Once(OnceError),
}

impl From<OnceError> for Failed {
    fn from(error: OnceError) -> Self {
        Failed::Once(error)
    }
}

fn timed_out(limit: Duration) -> OnceError {
    let report = WaitReport::default();
    let waited = limit;
    LockError::Timeout { waited, report }.into()
}

/// The number of earlier computations.
fn attempt(job: &Job) -> u64 {
    job.scratch.word(COMPUTED).fetch_add(1, SeqCst)
}

fn once_is_computed_once(job: &Job) {
    for round in 0..times(job, 200, 30) {
        let once = made::<(u64, i32)>(job, 0);
        let known = (once.rank(), once.size(), once.root());
        assert_eq!(known, (job.rank, job.size, 0));
        let value = *once.get_or_init(|| {
            assert_eq!(attempt(job), round, "computed twice");
            job.scratch.word(BY).store(job.rank as u64, SeqCst);
            (round, job.rank)
        });
        assert_eq!(value, (round, job.scratch.word(BY).load(SeqCst) as i32));
        // It stays at its address.
        let first = once.get_or_init(|| unreachable!("it is there"));
        assert!(std::ptr::eq(first, once.get().unwrap()));
        once.close().unwrap();
    }
}

fn once_gets(job: &Job) {
    for by in [0, job.size - 1] {
        let once = made::<Vec<i32>>(job, 0);
        assert_eq!(once.get(), None);
        job.world.barrier();
        if job.rank == by {
            once.get_or_init(|| vec![by; 100]);
        }
        job.world.barrier();
        assert_eq!(once.get(), Some(&vec![by; 100]));
    }
}

/// Each rank calls once, and all computations but the last fail.
fn once_errors_pass_it_on(job: &Job) {
    let once = made::<String>(job, 0);
    let last = job.size as u64 - 1;
    let mut mine = None;
    let outcome = once.get_or_try_init(|| {
        let number = attempt(job);
        mine = Some(number);
        if number < last {
            Err(Failed::Attempt(number))
        } else {
            Ok("at last".to_owned())
        }
    });
    match mine {
        Some(number) if number < last => assert_eq!(outcome, Err(Failed::Attempt(number))),
        _ => assert_eq!(outcome.unwrap(), "at last"),
    }
    job.world.barrier();
    assert_eq!(job.scratch.word(COMPUTED).load(SeqCst), last + 1);
    let value = once.get_or_init(|| unreachable!("it is there"));
    assert_eq!(value, "at last");
}

/// The same if the computation panics.
fn once_panics_pass_it_on(job: &Job) {
    let once = made::<u64>(job, job.size - 1);
    let last = job.size as u64 - 1;
    let mut mine = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let value = once.get_or_init(|| {
            let number = attempt(job);
            mine = Some(number);
            if number < last {
                resume_unwind(Box::new("on purpose"));
            }
            number
        });
        *value
    }));
    assert_eq!(outcome.is_err(), mine.is_some_and(|number| number < last));
    job.world.barrier();
    assert_eq!(*once.get_or_init(|| unreachable!("it is there")), last);
    assert_eq!(job.scratch.word(COMPUTED).load(SeqCst), last + 1);
}

/// If some fail, the waiting ranks compute in the order of arrival.
fn once_passes_on_in_order(job: &Job) {
    for (round, root) in [(0, 0), (1, job.size - 1)] {
        let once = made::<usize>(job, root);
        let arrivals = Arrivals::around(job, root, round == 0, 10 + round);
        let failed = job.scratch.word(20 + round);
        let right = job.size as usize / 2;
        let fail = || Failed::Attempt(failed.fetch_add(1, SeqCst));
        if job.rank == root {
            let outcome = once.get_or_try_init(|| {
                arrivals.let_come(&once);
                let shown = format!("{once:?}");
                assert!(shown.contains(&format!("held: [({root}, 1)]")), "{shown}");
                Err(fail())
            });
            assert_eq!(outcome, Err(Failed::Attempt(0)));
        } else {
            let place = arrivals.turn(job.rank) + 1;
            let fails = place < right;
            let compute = || if fails { Err(fail()) } else { Ok(place) };
            let known = right.max(1);
            let right = if fails {
                Err(Failed::Attempt(place as u64))
            } else {
                Ok(&known)
            };
            assert_eq!(once.get_or_try_init(compute), right);
        }
        job.world.barrier();
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Settings {
    name: String,
    steps: Option<u32>,
    limits: BTreeMap<String, (f64, f64)>,
    mode: Result<(), Vec<bool>>,
}

fn once_types(job: &Job) {
    fn all_have<T: Serialize + DeserializeOwned + PartialEq + Clone>(job: &Job, value: T) {
        let once = made::<T>(job, 0);
        assert!(once.get_or_init(|| value.clone()) == &value);
    }
    all_have(job, ());
    all_have(job, (-7i64, f32::MIN_POSITIVE, 'ß', None::<u8>));
    all_have(job, String::new());
    all_have(job, "größer".repeat(100));
    all_have(job, vec![0.5f64; 1_000]);
    let settings = Settings {
        name: "run".to_owned(),
        steps: Some(3),
        limits: BTreeMap::from([("x".to_owned(), (0.0, 1.5))]),
        mode: Err(vec![true, false]),
    };
    all_have(job, settings);
}

/// A value that fits exactly, and one with a byte more, after which others can compute a smaller
/// one.
fn once_has_so_much_room(job: &Job) {
    for capacity in [0, 1, 10, 100, 64 << 10] {
        let builder = OnceShared::<Vec<u8>>::builder(&job.world);
        let once = match capacity {
            // The default capacity.
            65536 => builder.build(),
            _ => builder.capacity(capacity).root(job.size - 1).build(),
        };
        let once = once.unwrap();
        // With its length, of seven bits per byte.
        let head = |length: usize| (length.max(1).ilog2() / 7 + 1) as usize;
        let fits = |length: &usize| length + head(*length) <= capacity;
        let too_long = (0..).take_while(fits).count();
        let outcome = once.get_or_try_init(|| Ok::<_, OnceError>(vec![7; too_long]));
        let bytes = too_long + head(too_long);
        let error = outcome.unwrap_err();
        assert_eq!(error, OnceError::TooLarge { bytes, capacity });
        let cure = format!("capacity({bytes})");
        assert!(error.to_string().contains(&cure), "{error}");
        job.world.barrier();
        assert_eq!(once.get(), None);
        job.world.barrier();
        if capacity > 0 {
            let value = once.get_or_init(|| vec![8; too_long - 1]);
            assert!(value.len() == too_long - 1 && value.iter().all(|byte| *byte == 8));
        } else {
            let words = expect_panic(|| once.get_or_init(Vec::new));
            assert!(words.contains("there is room for 0"), "{words}");
        }
    }
}

/// A value that is sent in pieces.
fn once_large(job: &Job) {
    let builder = OnceShared::<Vec<u32>>::builder(&job.world).capacity(6 << 20);
    let once = builder.root(job.size / 2).build().unwrap();
    let number = |index: u32| index.wrapping_mul(0x9e37_79b9);
    let value = once.get_or_init(|| (0..1_000_000).map(number).collect());
    let mut numbers = (0..).map(number).zip(value);
    assert!(value.len() == 1_000_000 && numbers.all(|(right, value)| right == *value));
}

/// A type that can be written and not read, because the format is not self-describing.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
}

fn once_that_cannot_be_sent(job: &Job) {
    let once = made::<PathBuf>(job, 0);
    let unreadable = || OsStr::from_bytes(b"\xff").into();
    let outcome = once.get_or_try_init(|| Ok::<_, OnceError>(unreadable()));
    assert!(matches!(outcome, Err(OnceError::Encode(_))), "{outcome:?}");
    job.world.barrier();
    assert!(once.get_or_init(|| "/tmp".into()) == Path::new("/tmp"));

    let once = made::<Untagged>(job, job.size - 1);
    let mut is_mine = false;
    let outcome = once.get_or_try_init(|| {
        is_mine = true;
        attempt(job);
        Ok::<_, OnceError>(Untagged::Number(3))
    });
    if is_mine {
        assert_eq!(outcome, Ok(&Untagged::Number(3)));
    } else {
        assert!(matches!(outcome, Err(OnceError::Decode(_))), "{outcome:?}");
        let words = expect_panic(|| once.get().is_some());
        assert!(words.contains("cannot be read"), "{words}");
    }
    job.world.barrier();
    assert_eq!(job.scratch.word(COMPUTED).load(SeqCst), 1);
}

fn once_times_out(job: &Job) {
    for computing in [0, job.size - 1] {
        let once = made::<String>(job, 0);
        let gave_up = job.scratch.word(10 + computing as usize);
        if job.rank == computing {
            once.get_or_init(|| {
                gave_up.store(1, SeqCst);
                let all_have = || gave_up.load(SeqCst) == job.size as u64;
                until("the others to give up", all_have);
                "late".to_owned()
            });
        } else {
            until("one to compute", || gave_up.load(SeqCst) > 0);
            for limit in [0, 1, 20].map(Duration::from_millis) {
                let start = Instant::now();
                let outcome = once.get_or_try_init_timeout(limit, || unreachable!("no turn"));
                assert_eq!(outcome, Err::<&String, OnceError>(timed_out(limit)));
                assert!(start.elapsed() >= limit && once.get().is_none());
            }
            gave_up.fetch_add(1, SeqCst);
        }
        let compute = || -> Result<String, OnceError> { unreachable!("it is there") };
        let value = once.get_or_try_init_timeout(Duration::MAX, compute);
        assert_eq!(value.unwrap(), "late");
    }
}

fn once_asks_for_itself(job: &Job) {
    let once = made::<u32>(job, 0);
    for rank in 0..job.size {
        if job.rank == rank {
            let words = expect_panic(|| once.get_or_init(|| 1 + *once.get_or_init(|| 1)));
            assert!(words.contains("asked for by that itself"), "{words}");
            assert!(words.contains(file!()), "{words}");
            // Reading does not start a computation.
            let outcome = once.get_or_try_init(|| match once.get() {
                None => Err(Failed::Attempt(7)),
                Some(value) => Ok(*value),
            });
            assert_eq!(outcome, Err(Failed::Attempt(7)));
        }
        job.world.barrier();
    }
    assert_eq!(*once.get_or_init(|| 3), 3);
}

fn once_of_another_once(job: &Job) {
    let inner = made::<u64>(job, 0);
    let outer = made::<String>(job, job.size - 1);
    if job.rank % 2 == 0 {
        inner.get_or_init(|| attempt(job));
    }
    let value = outer.get_or_init(|| {
        let inner = inner.get_or_init(|| attempt(job));
        format!("{inner} and {}", attempt(job))
    });
    assert_eq!(value, "0 and 1");
}

/// Ranks that never call do not take part, even if the value is on their node.
fn once_without_some(job: &Job) {
    for (round, idle) in [0, job.size - 1].into_iter().enumerate() {
        let once = made::<Vec<u8>>(job, idle);
        let done = job.scratch.word(10 + round);
        let all_others = job.size as u64 - 1;
        if job.rank == idle {
            until("the others", || done.load(SeqCst) == all_others);
        } else {
            let value = once.get_or_init(|| vec![5; 20_000]);
            assert!(*value == [5; 20_000]);
            done.fetch_add(1, SeqCst);
        }
    }
}

fn once_roots(job: &Job) {
    for root in 0..job.size {
        let once = made::<i32>(job, root);
        assert_eq!((once.root(), *once.get_or_init(|| root)), (root, root));
    }
    // Every other rank, then each alone.
    for colors in [2, job.size] {
        let color = job.rank % colors;
        let comm = job.world.split_by_color(Color::with_value(color)).unwrap();
        let builder = OnceShared::<i32>::builder(&comm).root(comm.size() - 1);
        let once = builder.build().unwrap();
        assert_eq!(*once.get_or_init(|| color), color);
    }
}

fn onces_beside_each_other(job: &Job) {
    let make = |number: i32| made::<(i32, String)>(job, number % job.size);
    let onces: Vec<_> = (0..30).map(make).collect();
    // Each rank begins with another one.
    for number in (0..30).map(|number| (number + 4 * job.rank) % 30) {
        let (first, second) = onces[number as usize].get_or_init(|| {
            attempt(job);
            (number, number.to_string())
        });
        assert_eq!((*first, second), (number, &number.to_string()));
    }
    job.world.barrier();
    assert_eq!(job.scratch.word(COMPUTED).load(SeqCst), 30);
}

fn onces_come_and_go(job: &Job) {
    for round in 0..times(job, 300, 40) {
        let once = made::<u64>(job, job.size - 1);
        // Some ranks never call, and some have finished before others call.
        if !(job.rank as u64 + round).is_multiple_of(3) {
            assert_eq!(*once.get_or_init(|| round), round);
        }
        if round.is_multiple_of(4) {
            once.close().unwrap();
        }
    }
}

fn once_arguments_differ(job: &Job) {
    let builder = || OnceShared::<u32>::builder(&job.world);
    for root in [-1, job.size] {
        let error = builder().root(root).build().unwrap_err();
        assert!(error.to_string().contains("root"), "{error}");
    }
    let error = builder().capacity(1 << 31).build().unwrap_err();
    assert!(matches!(error, CreateError::Capacity { .. }), "{error}");
    if job.size == 1 {
        return;
    }
    let odd = job.rank == 1;
    differs(builder().root(odd.into()).build().map(drop), "root");
    let capacity = 100 + usize::from(odd);
    differs(builder().capacity(capacity).build().map(drop), "capacity");
    let outcome = if odd {
        let builder = OnceShared::<i32>::builder(&job.world);
        builder.anywhere().build().map(drop)
    } else {
        builder().anywhere().build().map(drop)
    };
    differs(outcome, "type of value");
    let outcome = if odd {
        Counter::<u32>::new(&job.world).map(drop)
    } else {
        builder().build().map(drop)
    };
    differs(outcome, "the same objects");
    assert_eq!(*builder().build().unwrap().get_or_init(|| 3), 3);
}

fn once_shows_its_state(job: &Job) {
    let builder = OnceShared::<u32>::builder(&job.world);
    let once = builder.name("token").build().unwrap();
    let shown = format!("{once:?}");
    assert!(
        shown.contains("token") && shown.contains("value: None"),
        "{shown}"
    );
    once.get_or_init(|| 12);
    let shown = format!("{once:?}");
    assert!(
        shown.contains("value: Some(12)") && shown.contains("u32"),
        "{shown}"
    );
    job.world.barrier();
    if job.rank == 0 {
        assert!(line(&once).is_empty());
    }
}

fn once_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = OnceShared::<Vec<i32>>::builder(&comm).capacity(500_000);
    let once = match builder.transport(Transport::Windows).build() {
        Ok(once) => once,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let value = once.get_or_init(|| {
        attempt(job);
        vec![-1; 100_000]
    });
    assert!(*value == [-1; 100_000]);
    job.world.barrier();
    assert_eq!(job.scratch.word(COMPUTED).load(SeqCst), 1);
}
