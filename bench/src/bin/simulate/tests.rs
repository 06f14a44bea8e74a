use super::*;
use clap::Parser;

fn simulated(directory: &std::path::Path) -> anyhow::Result<String> {
    let options = [
        "simulate",
        "--nodes=1,2,9",
        "--ranks=2",
        "--writers=0.02,0.5",
        "--writes=200",
        "--plot",
    ];
    let mut line: Vec<&std::ffi::OsStr> = options.iter().map(AsRef::as_ref).collect();
    line.push(directory.as_os_str());
    simulate(&Options::parse_from(line))?;
    Ok(std::fs::read_to_string(directory.join("simulate.svg"))?)
}

#[test]
fn the_picture_has_a_curve_for_each_share_and_way_and_a_point_for_each_number_of_nodes() {
    let directory = tempfile::tempdir().expect("there is room");
    // It is made.
    let svg = simulated(&directory.path().join("a/b")).expect("it is drawn");
    for share in ["2 %", "50 %"] {
        for way in WAYS {
            let curve = format!("{share} writers, {}", words(way.0));
            // In the legends of both charts, beside their samples and in them.
            assert_eq!(
                svg.matches(&format!(">{curve}</text>")).count(),
                2,
                "{curve}"
            );
            for nodes in [2, 9] {
                let points = format!("<title>{curve}, {nodes}: ");
                assert_eq!(svg.matches(&points).count(), 2, "{points}");
            }
        }
    }
    assert!(svg.contains(" to "), "no point has a spread");
    for word in ["number of nodes", "million/s", "µs", "2 ranks a node"] {
        assert!(svg.contains(word), "no {word}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().expect("there is room");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("there is room");
    let error = simulated(&file.join("below")).expect_err("a file is no directory");
    let error = format!("{error:#}");
    assert!(
        error.contains("cannot make") && error.contains("file/below"),
        "{error}"
    );
}
