use super::*;
use crate::program::Choice;

fn setting(ranks: usize, hosts: usize) -> Setting {
    Setting {
        mpi: String::from("Open MPI 4.1.4"),
        ranks,
        hosts,
        cores: 2,
    }
}

/// An entry for each case and subject; those of `hung` have no value.
fn entries<Case: Choice, Name: Choice>(setting: &Setting, hung: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for case in Case::value_variants() {
        for subject in Name::value_variants() {
            let subject = spelling(subject.clone());
            // No two values are the same.
            let value = 10.0 + entries.len() as f64;
            let value = (subject != hung).then_some(value);
            entries.push(Entry {
                case: spelling(case.clone()),
                value,
                min: value.map(|value| value / 2.0),
                max: value.map(|value| value * 3.0),
                subject,
                setting: setting.clone(),
                unit: String::from("ns"),
            });
        }
    }
    entries
}

/// The pictures of a benchmark, by name.
fn drawn(bench: &str, entries: Vec<Entry>) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().expect("there is room");
    let paths = draw(bench, entries, "All was quiet.", directory.path()).expect("there are points");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("it is there");
        crate::plot::tests::check_texts(&text);
        assert!(text.contains("quiet."), "no note");
        let name = path.file_stem().expect("it has a name");
        (name.to_string_lossy().into_owned(), text)
    };
    paths.into_iter().map(read).collect()
}

/// Whether a text stands in a picture as often as this.
fn has(svg: &str, text: &str, times: usize) {
    let text = format!(">{text}</text>");
    assert_eq!(svg.matches(&text).count(), times, "{text}");
}

#[test]
fn each_folder_with_a_figure_is_drawn() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for folder in std::fs::read_dir(source).expect("it is there") {
        let path = folder.expect("it can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy();
        let has_figure = path.join("figure.rs").exists();
        assert_eq!(
            benchmarks().any(|bench| bench == name),
            has_figure,
            "{name}"
        );
    }
}

#[test]
fn locks_have_a_picture_of_each_job_and_one_of_all() {
    let mut all = Vec::new();
    for (ranks, hosts) in [(4, 1), (1, 1), (2, 2), (2, 1)] {
        all.extend(entries::<lock::Case, lock::Name>(
            &setting(ranks, hosts),
            "",
        ));
    }
    let drawn = drawn("lock", all);
    let names: Vec<&str> = drawn.iter().map(|(name, _)| name.as_str()).collect();
    let jobs = [
        "lock-1-rank",
        "lock-2-ranks",
        "lock-4-ranks",
        "lock-2-ranks-2-hosts",
    ];
    assert_eq!(names, [&jobs[..], &["lock-scaling"]].concat());
    let (_, two) = &drawn[1];
    has(two, "Locks: 2 ranks on 2 cores, Open MPI 4.1.4", 1);
    has(two, "Read lock, all ranks at once", 1);
    has(two, "8 bytes from one rank to all", 1);
    // In each of the cases, of which two are not times of operations.
    has(two, "mpisync", 10);
    has(two, "pthread_rwlock (glibc)", 10);
    assert!(two.contains("Read lock, all ranks at once: MPI_Win_lock, 29 ns (14.5 ns to 87 ns)"));
    has(
        &drawn[3].1,
        "Locks: 2 ranks on 2 hosts of a machine with 2 cores, Open MPI 4.1.4",
        1,
    );
    let (_, scaling) = &drawn[4];
    for text in ["Read locks", "Write locks", "1", "2", "4"] {
        has(scaling, text, if text.len() > 1 { 1 } else { 2 });
    }
    // 26 ns for an operation of any rank.
    for ranks in [1, 2, 4] {
        let point =
            format!("<title>mpisync, {ranks}: 38.5 million/s (12.8 million/s to 76.9 million/s)");
        assert!(scaling.contains(&point), "{ranks}");
    }
}

#[test]
fn a_subject_that_hung_is_named() {
    let entries = entries::<lock::Case, lock::Name>(&setting(2, 1), "mcs_rma");
    let (_, svg) = &drawn("lock", entries)[0];
    has(svg, "no end", 10);
    has(svg, "MCS lock in MPI windows", 10);
}

#[test]
fn sync_has_all_cases_and_subjects() {
    let all = entries::<sync::Case, sync::Name>(&setting(4, 1), "");
    let drawn = drawn("sync", all);
    let [(name, svg)] = &drawn[..] else {
        panic!("not one picture");
    };
    assert_eq!(name, "sync-4-ranks");
    for case in ["Mutex, one rank", "Counter, all ranks at once", "Barrier"] {
        has(svg, case, 1);
    }
    for subject in ["mpisync", "mpi4py.util.sync", "pshmem", "messages by hand"] {
        has(svg, subject, 7);
    }
}

#[test]
fn channels_have_the_throughput_of_each_size_and_the_latency() {
    let all = entries::<channel::Case, channel::Name>(&setting(2, 1), "mpi_channels");
    let (name, svg) = &drawn("channel", all)[0];
    assert_eq!(name, "channel-2-ranks");
    for size in ["8 B", "512 B", "64 KiB", "1 MiB"] {
        assert!(svg.contains(&format!("<title>mpisync, {size}: ")), "{size}");
    }
    // 8 bytes in 10 ns, from 5 to 30.
    assert!(svg.contains("mpisync, 8 B: 800 MB/s (267 MB/s to 1.6 GB/s)"));
    for text in ["Back and forth, one way", "size of a message, logarithmic"] {
        has(svg, text, 1);
    }
    // In the legend and in three rows; the one that hung is in no curve.
    has(svg, "mpi-rma", 4);
    has(svg, "mpi-channels", 3);
}

#[test]
fn batches_have_curves_by_the_number_of_tasks() {
    let all = entries::<batch::Case, batch::Name>(&setting(2, 1), "");
    let (name, svg) = &drawn("batch", all)[0];
    assert_eq!(name, "batch-2-ranks");
    for tasks in ["200", "3,000", "10,000,000"] {
        assert!(
            svg.contains(&format!("<title>mpisync, {tasks}: ")),
            "{tasks}"
        );
    }
    for text in [
        "States in memory",
        "States in a directory",
        "file operations alone, without fsync",
        "pshmem, without fsync",
        "1,000 tasks in memory, two ranks for each",
    ] {
        has(svg, text, 1);
    }
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let directory = tempfile::tempdir().expect("there is room");
    let setting = setting(2, 1);
    let error = draw("region", Vec::new(), "", directory.path()).expect_err("it has none");
    let message = "the benchmark region has no figure; these have: batch, channel, lock, sync";
    assert_eq!(error.to_string(), message);
    let mut idle = entries::<lock::Case, lock::Name>(&setting, "");
    idle.retain(|entry| entry.case == "idle");
    let error = draw("lock", idle, "", directory.path()).expect_err("it is in no picture");
    assert!(error.to_string().contains("leave out --cases"), "{error}");
    assert_eq!(
        std::fs::read_dir(directory.path())
            .expect("it is there")
            .count(),
        0
    );
}
