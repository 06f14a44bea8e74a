//! What can be said of locks that own what they protect without MPI: one process, all of the interface.

use mpisync::guarded::{GuardedError, Handle};
use mpisync::prelude::*;
use std::cell::RefCell;
use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process;

/// What was done with a resource, in this order.
#[derive(Default)]
struct Events(RefCell<Vec<&'static str>>);

impl Events {
    fn add(&self, event: &'static str) {
        self.0.borrow_mut().push(event);
    }

    fn take(&self) -> Vec<&'static str> {
        self.0.take()
    }
}

/// A resource that notes what is done with it, and fails where it is told to.
struct Noted<'e> {
    events: &'e Events,
    fails: &'static str,
}

/// What is open; it notes when it is dropped.
struct Open<'e>(&'e Events);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.add("drop");
    }
}

impl Noted<'_> {
    fn step(&self, event: &'static str) -> Result<(), String> {
        self.events.add(event);
        if self.fails == event {
            return Err(format!("cannot {event}"));
        }
        Ok(())
    }
}

impl<'e> Resource for Noted<'e> {
    type Reader = Open<'e>;
    type Writer = Open<'e>;
    type Error = String;

    fn name(&self) -> String {
        "noted".to_owned()
    }

    fn create(&self) -> Result<(), String> {
        self.step("create")
    }

    fn open_to_read(&self) -> Result<Open<'e>, String> {
        self.step("open to read").map(|()| Open(self.events))
    }

    fn open_to_write(&self) -> Result<Open<'e>, String> {
        self.step("open to write").map(|()| Open(self.events))
    }

    fn close(&self, _: Open<'e>) -> Result<(), String> {
        self.step("close")
    }

    fn discard(&self, _: Open<'e>) -> Result<(), String> {
        self.step("discard")
    }
}

fn noted<'e>(events: &'e Events, fails: &'static str) -> Guarded<Noted<'e>> {
    let guarded = Guarded::local(Noted { events, fails }).expect("it is created");
    assert_eq!(events.take(), ["create"]);
    guarded
}

/// Whether nobody holds the lock.
fn is_free<R: Resource>(guarded: &Guarded<R>) -> bool {
    let shown = format!("{guarded:?}");
    shown.contains("writer: None") && shown.contains(", readers: []")
}

/// A path that nobody else uses.
fn fresh(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mpisync-{name}-{}", process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn it_is_open_while_the_closure_runs_and_not_longer() {
    let events = Events::default();
    let mut guarded = noted(&events, "");
    let value = guarded.write(|_| {
        events.add("write");
        Ok(7)
    });
    assert_eq!(value.unwrap(), 7);
    assert_eq!(events.take(), ["open to write", "write", "close", "drop"]);
    guarded
        .read(|_| {
            // Readers nest.
            guarded
                .read(|_| {
                    events.add("read");
                    Ok(())
                })
                .map_err(|error| error.to_string())
        })
        .unwrap();
    let nested = ["open to read", "open to read", "read", "drop", "drop"];
    assert_eq!(events.take(), nested);
    let value = guarded.single_write(|_| Ok("shared".to_owned()));
    assert_eq!(value.unwrap(), "shared");
    assert_eq!(events.take(), ["open to write", "close", "drop"]);
    assert!(is_free(&guarded));
    guarded.close().expect("nobody to wait for");
}

#[test]
fn a_closure_that_fails_or_panics_has_it_discarded() {
    let events = Events::default();
    let mut guarded = noted(&events, "");
    let discarded = ["open to write", "discard", "drop"];

    let outcome: Result<(), _> = guarded.write(|_| Err("no".to_owned()));
    assert!(matches!(outcome, Err(GuardedError::Use(error)) if error == "no"));
    assert_eq!(events.take(), discarded);
    assert!(is_free(&guarded));

    let panic = AssertUnwindSafe(|| guarded.write(|_| -> Result<(), String> { panic!("stop") }));
    assert!(catch_unwind(panic).is_err());
    assert_eq!(events.take(), discarded);
    assert!(is_free(&guarded));

    let panic = AssertUnwindSafe(|| guarded.read(|_| -> Result<(), String> { panic!("stop") }));
    assert!(catch_unwind(panic).is_err());
    assert_eq!(events.take(), ["open to read", "drop"]);
    assert!(is_free(&guarded));
}

#[test]
fn each_step_that_fails_is_an_error_of_its_own() {
    let events = Events::default();
    let resource = Noted {
        events: &events,
        fails: "create",
    };
    let error = Guarded::local(resource).expect_err("it cannot be created");
    assert_eq!(error.to_string(), "noted cannot be created: cannot create");
    events.take();

    let error = noted(&events, "open to read").read(|_| Ok(())).unwrap_err();
    assert!(matches!(&error, GuardedError::Open { name, .. } if name == "noted"));
    assert!(
        error.to_string().ends_with(": cannot open to read"),
        "{error}"
    );
    events.take();

    let error = noted(&events, "open to write")
        .write(|_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, GuardedError::Open { error, .. } if error == "cannot open to write"));
    events.take();

    let mut guarded = noted(&events, "close");
    let error = guarded.write(|_| Ok(())).unwrap_err();
    assert!(matches!(&error, GuardedError::Close { .. }));
    assert!(error.to_string().ends_with(": cannot close"), "{error}");
    assert!(is_free(&guarded));

    // What the closure says comes first.
    let mut guarded = Guarded::local(Noted {
        events: &events,
        fails: "discard",
    })
    .unwrap();
    let error = guarded
        .write(|_| Err::<(), _>("first".to_owned()))
        .unwrap_err();
    assert_eq!(error.to_string(), "first");
}

#[test]
fn lines_are_appended_and_read() -> io::Result<()> {
    let path = fresh("lines");
    let mut file = Guarded::local(AppendFile::new(&path).durable())?;
    assert_eq!(fs::metadata(&path)?.len(), 0, "it is created");
    let long = "x".repeat(100_000);
    file.write(|file| writeln!(file, "one"))?;
    file.write(|file| writeln!(file, "{long}"))?;
    // It is no new file for who finds it.
    let mut file = Guarded::local(AppendFile::new(&path))?;
    file.single_write(|file| writeln!(file, "three"))?;
    let lines = file.read(|file| file.lines().collect::<io::Result<Vec<_>>>())?;
    assert_eq!(lines, ["one", &long, "three"]);
    fs::remove_file(&path)?;
    // Once it is there, nobody creates it: another node has another directory, say.
    let error = file.write(|file| writeln!(file, "lost")).unwrap_err();
    assert!(matches!(error, GuardedError::Open { .. }));
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
    assert!(!path.exists());
    Ok(())
}

#[test]
fn text_that_does_not_fit_is_an_error_of_the_close() {
    let mut full = Guarded::local(AppendFile::new("/dev/full")).unwrap();
    let error = full.write(|file| writeln!(file, "short")).unwrap_err();
    assert!(matches!(error, GuardedError::Close { .. }));
    let error = io::Error::from(error);
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(
        error
            .to_string()
            .starts_with("/dev/full cannot be written out")
    );
    // More than the buffer holds fails in the closure.
    let long = "x".repeat(100_000);
    let error = full.write(|file| writeln!(file, "{long}")).unwrap_err();
    assert!(matches!(error, GuardedError::Use(_)));
    assert!(is_free(&full));
}

#[test]
fn a_path_is_a_resource() -> io::Result<()> {
    let path = fresh("path");
    let mut guarded = Guarded::local(path.clone()).map_err(io::Error::other)?;
    let written = guarded.write(|path| Ok(fs::write(path, "text")?));
    written.map_err(io::Error::other)?;
    let read = guarded.read(|path| Ok(fs::read_to_string(path)?));
    assert_eq!(read.map_err(io::Error::other)?, "text");
    fs::remove_file(path)
}

#[test]
fn closures_make_a_handle() -> io::Result<()> {
    let path = fresh("handle");
    let handle = Handle::new(
        "a file",
        || fs::File::open(&path),
        || fs::File::create(&path),
        |file| file.sync_all(),
    );
    let mut guarded = Guarded::local(handle)?;
    guarded.write(|file| file.write_all(b"text"))?;
    let mut text = String::new();
    guarded.read(|file| file.read_to_string(&mut text))?;
    assert_eq!(text, "text");
    fs::remove_file(&path)
}

#[test]
fn closures_of_a_controller_run_under_its_lock() {
    let mut ctrl = WindowController::local();
    let names = ctrl.read_with(|guard| (guard.rank(), guard.size(), guard.name().to_owned()));
    assert_eq!(names, (0, 1, "local".to_owned()));
    ctrl.write_with(|guard| {
        assert!(format!("{guard:?}").contains("writer: Some(0)"));
        assert_eq!((guard.rank(), guard.size(), guard.name()), (0, 1, "local"));
        let nested = guard.write();
        drop(nested.read());
    });
    assert!(ctrl.try_write().is_some(), "it is free again");
}
