//! Locks that own what they protect, in a struct and in collective functions.
use mpisync::guarded::{AppendFile, GuardedError, Handle};
use mpisync::prelude::*;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;

struct Run<'p> {
    log: Guarded<AppendFile>,
    state: Guarded<Handle<'p, File, io::Error>>,
}

impl Run<'_> {
    #[mpisync::collective(ctrl = self.log.controller_mut())]
    fn sign(&mut self) -> Result<usize, anyhow::Error> {
        let rank = self.log.controller().rank();
        self.log.write(|file| writeln!(file, "rank {rank}"))?;
        Ok(self.log.read(|file| Ok(file.lines().count()))?)
    }

    fn save(&mut self, state: u32) -> Result<(), GuardedError<io::Error>> {
        self.state.single_write(|file| writeln!(file, "{state}"))
    }
}

fn run(dir: &Path) -> anyhow::Result<()> {
    let state = dir.join("state");
    let handle = Handle::new(
        state.display(),
        || File::open(&state),
        || File::create(&state),
        |file| file.sync_all(),
    );
    let mut run = Run {
        log: Guarded::local(AppendFile::new(dir.join("log")))?,
        state: Guarded::local(handle)?,
    };
    assert_eq!(run.sign()?, 1);
    run.save(3)?;
    assert_eq!(run.state.read(|file| io::read_to_string(file))?, "3\n");
    Ok(())
}

fn main() {
    let dir = std::env::temp_dir().join(format!("mpisync-pass-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let outcome = run(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    outcome.unwrap();

    let mut ctrl = WindowController::local();
    let rank = ctrl.read_with(|guard| guard.rank());
    ctrl.write_with(|guard| {
        let _again = guard.write();
        assert_eq!(rank, 0);
    });
}
