//! Ranks that differ: the error names the object, the call and the place on both sides.

use std::fmt::Debug;
use std::sync::atomic::Ordering::SeqCst;

use mpisync::ndarray::Ix1;
use mpisync::{
    Access, Collective, CollectiveError, CreateError, LockError, OnceShared, Region, Semaphore,
    WindowController,
};
use mpisync_tests::job::Job;

use crate::common::still_works;

mpisync_tests::cases!(on [2, 3, 4]:
    swapped_functions,
    swapped_functions_that_share,
    swapped_calls,
    swapped_fence_and_function,
    swapped_fence_and_close,
    swapped_updates_of_one_region,
    swapped_functions_of_one_controller,
    region_set_against_close,
    once_against_semaphore,
    objects_without_names,
    long_names,
    once_and_semaphore_that_differ,
    one_function_in_two_branches,
    writers_differ_in_one_function,
);

mpisync_tests::cases!(on [2, 3, 4] with [OwnJob, OneNode, Environment(&[("MPISYNC_DEADLOCK", "error")])]:
    swapped_fences,
);

fn controller(job: &Job, name: &str) -> WindowController {
    let builder = WindowController::builder(&job.world);
    builder.name(name).build().unwrap()
}

#[mpisync::collective]
fn step(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

#[mpisync::collective(share = 0)]
fn choose(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Ok(ctrl.rank())
}

#[mpisync::single_write(rank = writer)]
fn rows(ctrl: &mut WindowController, writer: i32) -> Result<i32, CollectiveError> {
    Ok(100 + ctrl.rank())
}

#[mpisync::single_write(rank = writer)]
fn columns(ctrl: &mut WindowController, writer: i32) -> Result<i32, CollectiveError> {
    Ok(200 + ctrl.rank())
}

/// A call, and the line where it is made.
macro_rules! at {
    ($call:expr) => {
        (line!(), $call)
    };
}

/// The line and the outcome of a call on this rank.
type Made<T> = (u32, Result<T, CollectiveError>);

/// Whether this rank is the one that makes the calls in another order.
fn is_odd(job: &Job, rank: i32) -> bool {
    rank == job.size - 1
}

/// Tells the other ranks the line of this rank's call, and waits for theirs. Returns the call of a
/// rank, which is `usual` or, of the odd rank, `other`, with its place.
fn call_at(job: &Job, round: usize, line: u32, calls: [&str; 2]) -> impl Fn(i32) -> String {
    let first = round * (1 + job.size as usize);
    let line_of = move |rank: i32| job.scratch.word(first + rank as usize);
    line_of(job.rank).store(line.into(), SeqCst);
    job.scratch.meet(first + job.size as usize, job.size);
    move |rank| {
        let call = calls[usize::from(is_odd(job, rank))];
        let line = line_of(rank).load(SeqCst);
        format!("{call} at {}:{line}", file!())
    }
}

/// Checks that the call, which is `usual` or, on the odd rank, `other`, is an error on this rank that
/// names both.
fn both_are_named<T: Debug>(job: &Job, round: usize, made: Made<T>, usual: &str, other: &str) {
    let (line, outcome) = made;
    let call = call_at(job, round, line, [usual, other]);
    let error = outcome.expect_err("the calls differ");
    let text = error.to_string();
    let CollectiveError::Diverged {
        rank,
        here_call,
        there_call,
        here,
        there,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_ne!(is_odd(job, rank), is_odd(job, job.rank), "{text}");
    assert_eq!(here_call.to_string(), call(job.rank), "{text}");
    assert_eq!(there_call.to_string(), call(rank), "{text}");
    assert_eq!((here_call.place(), there_call.place()), (&here, &there));
    let words = format!("is in {here_call}, and rank {rank} in {there_call}");
    assert!(text.contains(&words), "{text}");
}

/// Makes the two calls in the usual order, or on the odd rank in the other one.
macro_rules! swapped {
    ($job:ident: $first:expr => $first_named:literal, $second:expr => $second_named:literal) => {
        let (first, second) = ($first_named, $second_named);
        if is_odd($job, $job.rank) {
            both_are_named($job, 0, $second, first, second);
            both_are_named($job, 1, $first, second, first);
        } else {
            both_are_named($job, 0, $first, first, second);
            both_are_named($job, 1, $second, second, first);
        }
    };
}

/// One function with two controllers.
fn swapped_functions(job: &Job) {
    let (mut a, mut b) = (controller(job, "a"), controller(job, "b"));
    swapped!(job:
        at!(step(&mut a)) => "`#[collective] ranks::divergence::step` of controller \"a\"",
        at!(step(&mut b)) => "`#[collective] ranks::divergence::step` of controller \"b\""
    );
    still_works(&mut a);
    still_works(&mut b);
    assert_eq!(step(&mut b).unwrap(), job.rank);
}

fn swapped_functions_that_share(job: &Job) {
    let (mut a, mut b) = (controller(job, "a"), controller(job, "b"));
    swapped!(job:
        at!(choose(&mut a)) => "`#[collective] ranks::divergence::choose` of controller \"a\"",
        at!(choose(&mut b)) => "`#[collective] ranks::divergence::choose` of controller \"b\""
    );
    assert_eq!(choose(&mut b).unwrap(), 0);
}

/// The same without a macro.
fn swapped_calls(job: &Job) {
    let (mut a, mut b) = (controller(job, "a"), controller(job, "b"));
    swapped!(job:
        at!(Collective::enter(&mut a, "read").map(drop)) => "`read` of controller \"a\"",
        at!(Collective::enter(&mut b, "save").map(drop)) => "`save` of controller \"b\""
    );
    still_works(&mut a);
    still_works(&mut b);
}

/// A value that the odd rank shares, which the others collect.
#[track_caller]
fn fenced(job: &Job, ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    match ctrl.on(job.size - 1)?.single_write() {
        Access::Writer(fence) => fence.share(1),
        Access::Excluded(fence) => fence.collect(),
    }
}

/// All others wait for the odd rank, which is in a call of another controller.
fn swapped_fence_and_function(job: &Job) {
    let (mut a, mut b) = (controller(job, "a"), controller(job, "b"));
    let made = if is_odd(job, job.rank) {
        at!(step(&mut b))
    } else {
        at!(fenced(job, &mut a))
    };
    let fence = "`single_write` of controller \"a\"";
    let function = "`#[collective] ranks::divergence::step` of controller \"b\"";
    both_are_named(job, 0, made, fence, function);
    still_works(&mut a);
    still_works(&mut b);
}

fn swapped_fence_and_close(job: &Job) {
    let (mut a, b) = (controller(job, "a"), controller(job, "b"));
    let made = if is_odd(job, job.rank) {
        at!(b.close().map(|()| 0))
    } else {
        at!(rows(&mut a, job.size - 1))
    };
    let function = "`#[single_write] ranks::divergence::rows` of controller \"a\"";
    both_are_named(job, 0, made, function, "`close` of controller \"b\"");
    still_works(&mut a);
}

/// The value that another rank shares.
#[track_caller]
fn collected(ctrl: &mut WindowController, writer: i32) -> Result<i32, CollectiveError> {
    match ctrl.on(writer)?.single_write() {
        Access::Writer(_) => unreachable!("another rank writes"),
        Access::Excluded(fence) => fence.collect(),
    }
}

/// The first and the last rank wait for each other, in fences of two controllers. Only these are in
/// the deadlock.
fn swapped_fences(job: &Job) {
    let (mut a, mut b) = (controller(job, "a"), controller(job, "b"));
    let last = job.size - 1;
    let (line, outcome) = if is_odd(job, job.rank) {
        at!(collected(&mut b, 0))
    } else if job.rank == 0 {
        at!(collected(&mut a, last))
    } else {
        (0, Ok(0))
    };
    let calls = [
        "`collect` of controller \"a\"",
        "`collect` of controller \"b\"",
    ];
    let call = call_at(job, 0, line, calls);
    if ![0, last].contains(&job.rank) {
        return;
    }
    let error = outcome.expect_err("no rank shares");
    let text = error.to_string();
    let is_deadlock = matches!(error, CollectiveError::Lock(LockError::Deadlock { .. }));
    assert!(is_deadlock, "{text}");
    for rank in [0, last] {
        assert!(text.contains(&call(rank)), "{text}, without {}", call(rank));
    }
}

/// The odd rank, which does not write, makes the calls in another order than the writer. It gets an
/// error at once; the writer gets one in one of its next two calls, if it is on the same node.
fn assert_swapped(
    job: &Job,
    is_one_node: bool,
    [usual, other]: [&str; 2],
    mut first: impl FnMut() -> Made<i32>,
    mut second: impl FnMut() -> Made<i32>,
) {
    let mut texts = Vec::new();
    let mut lines = [0; 2];
    for number in 0..4 {
        let is_second = (number % 2 == 1) != is_odd(job, job.rank);
        let (line, outcome) = if is_second { second() } else { first() };
        lines[usize::from(is_second)] = line;
        match outcome {
            Err(error @ CollectiveError::Diverged { .. }) => texts.push(error.to_string()),
            Err(CollectiveError::WriterFailed { message, .. }) => texts.push(message),
            Ok(_) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    if is_odd(job, job.rank) || is_one_node {
        assert!(!texts.is_empty(), "nobody told rank {}", job.rank);
    }
    for text in texts {
        for (call, line) in [usual, other].into_iter().zip(lines) {
            let words = format!("{call} at {}:{line}", file!());
            assert!(text.contains(&words), "{text}, without {words}");
        }
    }
}

fn swapped_functions_of_one_controller(job: &Job) {
    let ctrl = std::cell::RefCell::new(controller(job, "table"));
    let is_one_node = ctrl.borrow().nodes() == 1;
    assert_swapped(
        job,
        is_one_node,
        [
            "`#[single_write] ranks::divergence::rows` of controller \"table\"",
            "`#[single_write] ranks::divergence::columns` of controller \"table\"",
        ],
        || at!(rows(&mut ctrl.borrow_mut(), 0)),
        || at!(columns(&mut ctrl.borrow_mut(), 0)),
    );
    // The writer learns of the last one in its next two calls, and with it the others.
    for _ in 0..4 {
        let _ = rows(&mut ctrl.borrow_mut(), 0);
    }
    still_works(&mut ctrl.borrow_mut());
}

fn swapped_updates_of_one_region(job: &Job) {
    let builder = Region::<i32, Ix1>::builder(&job.world, 4).name("field");
    let field = std::cell::RefCell::new(builder.build().unwrap());
    let is_one_node = field.borrow().nodes() == 1;
    assert_swapped(
        job,
        is_one_node,
        ["`update` of region \"field\""; 2],
        || at!(field.borrow_mut().update(|items| items[0])),
        || at!(field.borrow_mut().update(|items| items[1])),
    );
}

fn region_set_against_close(job: &Job) {
    let builder = Region::<i32, Ix1>::builder(&job.world, 4).name("field");
    let mut field = builder.build().unwrap();
    let ctrl = controller(job, "log");
    let made = if is_odd(job, job.rank) {
        at!(ctrl.close())
    } else {
        let (line, outcome) = at!(field.set(0, Some(&[1, 2, 3, 4]), 0));
        let outcome = outcome.map_err(|error| match error {
            mpisync::RegionError::Call(error) => error,
            error => panic!("{error}"),
        });
        (line, outcome)
    };
    let (set, close) = ("`set` of region \"field\"", "`close` of controller \"log\"");
    both_are_named(job, 0, made, set, close);
}

fn once_against_semaphore(job: &Job) {
    let once = OnceShared::<u32>::builder(&job.world).name("settings");
    let once = once.build().unwrap();
    let semaphore = Semaphore::builder(&job.world, 2).name("licences");
    let semaphore = semaphore.build().unwrap();
    let made = if is_odd(job, job.rank) {
        at!(once.close())
    } else {
        at!(semaphore.close())
    };
    let usual = "`close` of semaphore \"licences\"";
    both_are_named(job, 0, made, usual, "`close` of once \"settings\"");
}

/// An object without a name is named by its kind, and by its place.
fn objects_without_names(job: &Job) {
    let once = OnceShared::<u32>::new(&job.world).unwrap();
    let semaphore = Semaphore::new(&job.world, 2).unwrap();
    let made = if is_odd(job, job.rank) {
        at!(once.close())
    } else {
        at!(semaphore.close())
    };
    both_are_named(job, 0, made, "`close` of semaphore", "`close` of once");
}

/// Of a long name that another rank sends, the beginning and the end are told.
fn long_names(job: &Job) {
    let long = |part: &str| part.repeat(200 / part.len());
    let (mut a, mut b) = (controller(job, &long("ab")), controller(job, &long("xy")));
    let error = if is_odd(job, job.rank) {
        step(&mut b).unwrap_err()
    } else {
        step(&mut a).unwrap_err()
    };
    let CollectiveError::Diverged {
        here_call,
        there_call,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(here_call.object().len(), 200);
    let cut = there_call.object();
    assert!(cut.contains('…') && cut.len() < 100, "{cut}");
    assert_eq!(cut.contains("xy"), here_call.object().contains("ab"));
}

/// Checks that the ranks make objects that differ. Each rank gets an error that names both objects.
fn made_differently<T>(made: (u32, Result<T, CreateError>), objects: [&str; 2], cause: &str) {
    let (line, outcome) = made;
    let error = outcome.err().expect("they differ");
    let text = error.to_string();
    assert!(text.contains(cause), "{text}");
    for object in objects {
        let words = format!("{object} at {}:{line}:", file!());
        assert!(text.contains(&words), "{text}, without {words}");
    }
    assert!(
        !text.contains("message") && !text.contains("controller"),
        "{text}"
    );
}

fn once_and_semaphore_that_differ(job: &Job) {
    let odd = usize::from(is_odd(job, job.rank));
    let once = || OnceShared::<u32>::builder(&job.world).name("settings");
    let objects = ["the once \"settings\""; 2];
    let made = at!(once().capacity(100 + odd).build());
    made_differently(made, objects, "capacity");
    let made = at!(once().root(odd as i32).build());
    made_differently(made, objects, "root");
    let semaphore = |permits| Semaphore::builder(&job.world, permits).name("licences");
    let made = at!(semaphore(2 + odd as u32).build());
    made_differently(made, ["the semaphore \"licences\""; 2], "permits");

    let once = OnceShared::<u32>::builder(&job.world);
    let error = once.capacity(usize::MAX).build().unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("a once") && !text.contains("message"),
        "{text}"
    );
}

/// Ranks may call a function with an attribute at different places: the function is compared.
fn one_function_in_two_branches(job: &Job) {
    let mut ctrl = controller(job, "a");
    for writer in 0..job.size {
        let outcomes = if job.rank == 0 {
            [step(&mut ctrl), rows(&mut ctrl, writer), choose(&mut ctrl)]
        } else {
            let stepped = step(&mut ctrl);
            let written = rows(&mut ctrl, writer);
            [stepped, written, choose(&mut ctrl)]
        };
        assert_eq!(outcomes, [Ok(job.rank), Ok(100 + writer), Ok(0)]);
    }
    still_works(&mut ctrl);
}

/// Each rank takes the next one for the writer, and calls the function at a place of its own.
fn writers_differ_in_one_function(job: &Job) {
    let mut ctrl = controller(job, "a");
    let writer = (job.rank + 1) % job.size;
    let (line, outcome) = if is_odd(job, job.rank) {
        at!(rows(&mut ctrl, writer))
    } else {
        at!(rows(&mut ctrl, writer))
    };
    let name = "`#[single_write] ranks::divergence::rows` of controller \"a\"";
    let call = call_at(job, 0, line, [name; 2]);
    let error = outcome.unwrap_err();
    let text = error.to_string();
    let CollectiveError::WriterMismatch {
        here,
        here_call,
        rank,
        there_call: Some(there_call),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((here, rank), (writer, writer));
    assert_eq!(here_call.to_string(), call(job.rank));
    assert_eq!(there_call.to_string(), call(writer));
    for call in [here_call, there_call] {
        assert!(text.contains(&call.to_string()), "{text}");
    }
    still_works(&mut ctrl);
}
