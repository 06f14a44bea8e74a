use super::*;
use crate::folder::newest_job;
use crate::made::{TWENTIETH, contended, event, large, process, wait};
use mpisync::inspect::trace::{Activity, Object, Process, place};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::Instant;

/// What would end an element, a string or a line.
const STRANGE: &str = "</script><!--\"'&\u{1b}[2J\u{2028}\n{{job}}\u{0}";

pub(super) fn with_shown<T>(found: &Found, use_it: impl FnOnce(&Shown) -> T) -> T {
    let job = found.job.as_ref().expect("there is one");
    let report = Report::of(job, 100);
    use_it(&Shown {
        found,
        job,
        report: &report,
    })
}

pub(super) fn found(processes: Vec<Process>) -> Found {
    newest_job(processes.into_iter().map(Ok))
}

fn html_of(processes: Vec<Process>) -> String {
    written(processes, html::write)
}

fn svg_of(processes: Vec<Process>) -> String {
    written(processes, svg::write)
}

fn json_of(processes: Vec<Process>, most: usize) -> Value {
    let json = written(processes, |shown, to| {
        chrome::write(shown.job, most, to).map(drop)
    });
    serde_json::from_str(&json).expect("it is JSON")
}

fn written(
    processes: Vec<Process>,
    write: impl FnOnce(&Shown, &mut dyn Write) -> std::io::Result<()>,
) -> String {
    let mut bytes = Vec::new();
    with_shown(&found(processes), |shown| write(shown, &mut bytes)).expect("there is room");
    String::from_utf8(bytes).expect("it is text")
}

/// Two ranks, of which one keeps the other, with strange names.
pub(super) fn strange() -> Vec<Process> {
    let [mut first, mut second] = [0, 1].map(|rank| process(rank, 2));
    first.events = vec![event(Activity::Hold, 0, 900)];
    second.events = vec![
        wait(100, 900, 0, TWENTIETH),
        event(Activity::Hold, 900, 1000),
    ];
    for process in [&mut first, &mut second] {
        process.host = STRANGE.to_owned();
        process.calls[0] = STRANGE.to_owned();
        process.objects[0] = Object {
            kind: STRANGE.to_owned(),
            name: STRANGE.to_owned(),
            identity: 1,
        };
        process.places[TWENTIETH as usize] = place(STRANGE, 20);
    }
    vec![first, second]
}

fn phases<'a>(json: &'a Value, phase: &str) -> Vec<&'a Value> {
    let events = json["traceEvents"].as_array().expect("a list");
    events.iter().filter(|it| it["ph"] == phase).collect()
}

#[test]
fn the_json_has_tracks_events_and_arrows() {
    let json = json_of(strange(), 100);
    let names = phases(&json, "M");
    let has = |name: &str, thread: u64, value: &str| {
        names
            .iter()
            .any(|it| it["name"] == name && it["tid"] == thread && it["args"]["name"] == value)
    };
    assert!(has("process_name", 0, STRANGE));
    assert!(has("thread_name", 0, "rank 0") && has("thread_name", 1, "rank 1"));
    let events = phases(&json, "X");
    assert_eq!(events.len(), 3);
    let wait = events[1];
    assert_eq!((&wait["ts"], &wait["dur"]), (&0.1.into(), &0.8.into()));
    assert_eq!((&wait["pid"], &wait["tid"]), (&1.into(), &1.into()));
    let args = &wait["args"];
    assert_eq!(args["object"], STRANGE);
    assert_eq!(args["at"], "src/main.rs:10");
    assert_eq!(args["kept_by"], "rank 0");
    assert_eq!(args["kept_at"], format!("{STRANGE}:20"));
    assert_eq!(args["outcome"], "success");
    let (starts, ends) = (phases(&json, "s"), phases(&json, "f"));
    assert_eq!((starts.len(), ends.len()), (1, 1));
    assert_eq!(starts[0]["id"], ends[0]["id"]);
    assert_eq!((&starts[0]["tid"], &ends[0]["tid"]), (&0.into(), &1.into()));
    assert_eq!(starts[0]["ts"], 0.1);
}

/// The events of a track, with their beginnings and ends.
type Slices<'a> = Vec<(i64, Reverse<i64>, &'a Value)>;

/// The track of an event, and when it begins and ends, in nanoseconds.
type Slice = ((u64, u64), i64, i64);

fn slice(event: &Value) -> Slice {
    let number = |name: &str| event[name].as_u64().expect("a number that is whole");
    let time = |name: &str| {
        let time = event[name].as_f64().expect("microseconds");
        assert!(time >= 0.0, "{event}");
        (time * 1000.0).round() as i64
    };
    let begin = time("ts");
    let length = if event["ph"] == "X" { time("dur") } else { 0 };
    ((number("pid"), number("tid")), begin, begin + length)
}

/// Makes sure that the JSON is as the documents say of the format: the fields of each phase, tracks with names,
/// events that are apart or nested, and arrows between events.
fn assert_is_in_the_format(json: &Value) {
    let fields = |value: &Value| -> Vec<String> {
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect()
    };
    assert_eq!(
        fields(json),
        ["displayTimeUnit", "otherData", "traceEvents"]
    );
    assert_eq!(json["displayTimeUnit"], "ns");
    for event in json["traceEvents"].as_array().expect("a list") {
        let expected: &[&str] = match event["ph"].as_str().expect("a phase") {
            "M" => &["args", "name", "ph", "pid", "tid"],
            "X" => &["args", "cat", "dur", "name", "ph", "pid", "tid", "ts"],
            "s" => &["cat", "id", "name", "ph", "pid", "tid", "ts"],
            "f" => &["bp", "cat", "id", "name", "ph", "pid", "tid", "ts"],
            phase => panic!("there is a phase {phase}"),
        };
        assert_eq!(fields(event), expected, "{event}");
        assert!(event["name"].is_string(), "{event}");
    }
    let named = |kind: &str| -> HashSet<(u64, u64)> {
        let all = phases(json, "M").into_iter();
        all.filter(|it| it["name"] == kind)
            .map(|it| {
                assert!(it["args"]["name"].is_string(), "{it}");
                let number = |name: &str| it[name].as_u64().expect("a number");
                (number("pid"), number("tid"))
            })
            .collect()
    };
    let (threads, processes) = (named("thread_name"), named("process_name"));
    let mut tracks: HashMap<(u64, u64), Slices> = HashMap::new();
    for event in phases(json, "X") {
        let (track, begin, end) = slice(event);
        assert!(threads.contains(&track), "{event}");
        assert!(processes.contains(&(track.0, 0)), "{event}");
        let events = tracks.entry(track).or_default();
        events.push((begin, Reverse(end), event));
    }
    for events in tracks.values_mut() {
        events.sort_by_key(|(begin, end, _)| (*begin, *end));
        let mut open: Vec<i64> = Vec::new();
        for (begin, Reverse(end), event) in events {
            open.retain(|it| *it > *begin);
            assert!(open.last().is_none_or(|it| *it >= *end), "{event}");
            open.push(*end);
        }
    }
    let (starts, ends) = (phases(json, "s"), phases(json, "f"));
    let ids = |all: &[&Value]| -> Vec<u64> {
        let mut ids: Vec<u64> = all
            .iter()
            .map(|it| it["id"].as_u64().expect("a number"))
            .collect();
        ids.sort_unstable();
        ids
    };
    let expected: Vec<u64> = (1..=starts.len() as u64).collect();
    assert_eq!((&ids(&starts), &ids(&ends)), (&expected, &expected));
    for start in starts {
        let end = ends
            .iter()
            .find(|it| it["id"] == start["id"])
            .expect("an end");
        assert_eq!((&start["cat"], &start["name"]), (&end["cat"], &end["name"]));
        assert_eq!(end["bp"], "e");
        let of = |event: &Value, is_wait: bool| -> Vec<&Value> {
            let (track, time, _) = slice(event);
            let around = tracks.get(&track).into_iter().flatten();
            around
                .filter(|(begin, Reverse(end), it)| {
                    *begin <= time && time < *end && (it["cat"] == "wait") == is_wait
                })
                .map(|(.., it)| *it)
                .collect()
        };
        let (holds, waits) = (of(start, false), of(end, true));
        let object = |it: &Value| (it["args"]["kind"].clone(), it["args"]["object"].clone());
        let is_kept = |wait: &&Value| holds.iter().any(|hold| object(hold) == object(wait));
        assert!(waits.iter().any(is_kept), "{start} {end}");
        assert!(slice(start).1 <= slice(end).1, "{start} {end}");
    }
}

#[test]
fn the_json_is_in_the_format() {
    let many = (0..30).map(|rank| large(rank, 30, 300)).collect();
    // By their clocks, one hold ends as the wait begins, one begins within it, and one with its end.
    let [mut first, mut second] = [0, 1].map(|rank| process(rank, 2));
    first.events = vec![
        event(Activity::Hold, 0, 100),
        event(Activity::Hold, 250, 400),
        event(Activity::Hold, 900, 1000),
    ];
    second.events = vec![
        wait(100, 101, 0, TWENTIETH),
        wait(200, 300, 0, TWENTIETH),
        wait(800, 900, 0, TWENTIETH),
        wait(950, 950, 0, TWENTIETH),
    ];
    let arrows = [None, Some(1), None, Some(2)];
    let jobs = [contended(8, 25), strange(), many, vec![first, second]];
    for (processes, arrows) in jobs.into_iter().zip(arrows) {
        for most in [usize::MAX, 100] {
            let json = json_of(processes.clone(), most);
            assert_is_in_the_format(&json);
            let found = phases(&json, "s").len();
            assert!(
                arrows.is_none_or(|expected| found == expected),
                "{found} arrows"
            );
            assert!(found > 0 || most == 100);
        }
    }
}

#[test]
fn threads_of_the_json_have_nested_events_only() {
    let mut made = process(0, 1);
    made.events = vec![
        event(Activity::Hold, 0, 100),
        event(Activity::Hold, 10, 50),
        event(Activity::Task, 40, 200),
        event(Activity::Wait, 100, 150),
    ];
    let json = json_of(vec![made], 100);
    let threads = phases(&json, "X")
        .iter()
        .map(|it| it["tid"].as_u64())
        .collect::<Vec<_>>();
    assert_eq!(threads, [Some(0), Some(0), Some(1), Some(0)]);
}

#[test]
fn a_large_json_leaves_out_the_shortest_events() {
    let processes = vec![large(0, 2, 1000), large(1, 2, 1000)];
    let json = json_of(processes, 300);
    let events = phases(&json, "X");
    assert_eq!(events.len(), 300);
    assert_eq!(json["otherData"]["shortest_events_left_out"], 1700);
    let shortest = events.iter().filter_map(|it| it["dur"].as_f64());
    assert!(shortest.fold(f64::MAX, f64::min) > 30.0);
}

#[test]
fn the_page_needs_nothing_else_and_has_no_markup_of_names() {
    let page = html_of(strange());
    for address in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(address), "{address}");
    }
    assert!(!page.contains("</script><!--"));
    assert_eq!(page.matches("<script").count(), 5);
    assert_eq!(page.matches("</script>").count(), 5);
    // Those of the template, but none of the names.
    assert!(page.chars().all(|char| !char.is_control() || char == '\n'));
    let (_, rest) = page.split_once("id=\"job\">").expect("it is there");
    let (json, _) = rest.split_once("</script>").expect("it ends");
    let facts: Value = serde_json::from_str(json).expect("it is JSON");
    let name = mpisync_cli::text::name_line(STRANGE);
    assert_eq!(facts["calls"][0], name.as_str());
    assert_eq!(facts["longest"][0], serde_json::json!([1, 100, 900]));
    assert_eq!(facts["span"], 1000);
    assert!(page.contains("&lt;/script&gt;"));
    assert!(page.contains("<html lang=\"en\">"));
}

#[test]
fn the_picture_is_xml_of_limited_size() {
    let empty = vec![process(0, 1)];
    let mut reversed = process(0, 1);
    reversed.events = vec![
        event(Activity::Wait, 9, 2),
        event(Activity::Wait, 0, u64::MAX),
    ];
    let many = (0..250).map(|rank| large(rank, 250, 600)).collect();
    for processes in [empty, vec![reversed], strange(), contended(5, 10), many] {
        let picture = svg_of(processes);
        let parsed = roxmltree::Document::parse(&picture).expect("it is XML");
        assert_eq!(parsed.root_element().tag_name().name(), "svg");
        assert!(picture.len() < 4 << 20, "{}", picture.len());
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }
    let picture = svg_of(strange());
    assert!(picture.contains("class=\"wait\""));
    assert!(picture.contains("kept by rank 0"));
}

#[test]
fn files_replace_older_ones_and_leave_nothing_else() {
    let folder = tempfile::tempdir().expect("there is room");
    fs::write(folder.path().join("timeline.svg"), "old").expect("there is room");
    let paths = with_shown(&found(strange()), |shown| {
        super::write(folder.path(), shown)
            .expect("there is room")
            .paths
    });
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .expect("it is there")
        .map(|it| {
            it.expect("it can be read")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    assert_eq!(names, ["timeline.html", "timeline.json", "timeline.svg"]);
    assert_eq!(paths.len(), 3);
    let picture = fs::read_to_string(folder.path().join("timeline.svg"));
    assert!(picture.expect("it is there").starts_with("<svg"));
    let gone = folder.path().join("gone");
    let error = with_shown(&found(strange()), |shown| super::write(&gone, shown).err());
    let error = error.expect("it is not there").to_string();
    assert!(error.contains("timeline.html"), "{error}");
}

/// Prints how long larger jobs take. With `TRACES`, the files stay in that folder.
#[test]
fn files_of_larger_jobs_are_of_bounded_size() {
    let folder = tempfile::tempdir().expect("there is room");
    let folder = std::env::var_os("TRACES").map_or(folder.path().to_owned(), PathBuf::from);
    let large = |ranks, events| {
        let processes = (0..ranks).map(move |rank| Ok(large(rank, ranks, events)));
        Box::new(processes) as Box<dyn Iterator<Item = _>>
    };
    let contended = Box::new(contended(8, 25).into_iter().map(Ok));
    for (name, processes) in [
        ("contended", contended as Box<dyn Iterator<Item = _>>),
        ("medium", large(100, 1000)),
    ] {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).expect("there is room");
        let start = Instant::now();
        let found = newest_job(processes);
        let read = start.elapsed();
        let job = found.job.as_ref().expect("there is one");
        let report = Report::of(job, 100);
        let reported = start.elapsed() - read;
        let shown = Shown {
            found: &found,
            job,
            report: &report,
        };
        for (name, write) in [
            (
                "timeline.html",
                &html::write as &dyn Fn(&Shown, &mut dyn Write) -> _,
            ),
            ("timeline.svg", &svg::write),
            ("timeline.json", &|shown, to| {
                chrome::write(shown.job, chrome::MOST_EVENTS, to).map(drop)
            }),
        ] {
            let start = Instant::now();
            let path = replace(&folder, name, |to| write(&shown, to)).expect("there is room");
            let bytes = fs::metadata(path).expect("it is there").len();
            println!("  {name}: {:?}, {} MiB", start.elapsed(), bytes >> 20);
            assert!(bytes < 1_000_000 + 500 * job.events(), "{name}: {bytes}");
        }
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let peak = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or("");
        let events = job.events();
        println!("{name}: {events} events, read {read:?}, report {reported:?}, {peak}");
    }
}
