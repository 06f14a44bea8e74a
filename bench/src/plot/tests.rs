use super::*;
use roxmltree::{Document, Node};

const STRANGE: &str = "a <b> & \"c\"";

fn spread(min: f64, median: f64, max: f64) -> Spread {
    Spread { median, min, max }
}

fn row(name: &str, is_ours: bool, value: Option<Spread>) -> Row {
    Row {
        name: name.to_owned(),
        is_ours,
        value,
    }
}

fn dots() -> Dots {
    let names = ["mpisync", "MPI_Win_lock", STRANGE];
    let group = |case: usize| Group {
        name: format!("Case {case} with a long name that goes into the chart"),
        rows: names
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let median = 2.0 * (1 + index * 40 + case) as f64;
                let value = spread(median * 0.9, median, median * 1.7);
                row(name, index == 0, Some(value))
            })
            .collect(),
    };
    Dots {
        title: String::from("An operation"),
        axis: String::from("time"),
        unit: Unit::Time,
        groups: (0..4).map(group).collect(),
    }
}

fn curves() -> Curves {
    let curve = |colour: usize| Curve {
        name: format!("subject {colour} with a rather long name"),
        colour,
        dashed: colour % 2 == 1,
        points: [8.0, 64.0, 512.0, 65_536.0, 1_048_576.0]
            .map(|bytes: f64| {
                let rate = bytes.sqrt() * (colour + 1) as f64 * 3.0;
                (bytes, spread(rate / 2.0, rate, rate * 1.5))
            })
            .to_vec(),
    };
    Curves {
        title: String::from("Throughput"),
        x: (String::from("size"), Unit::Bytes),
        y: (String::from("throughput"), Unit::MegabytesPerSecond),
        curves: (0..svg::COLOURS).map(curve).collect(),
    }
}

fn figure(panels: Vec<Panel>) -> Figure {
    Figure {
        name: String::from("picture"),
        title: format!("What is shown, {STRANGE}"),
        note: "Some words about how it was measured. ".repeat(8),
        panels,
    }
}

fn svg_of(panels: Vec<Panel>) -> String {
    figure(panels).svg().expect("there are points")
}

fn of<'a>(svg: &'a Document<'_>, name: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    let all = svg.root_element().descendants();
    all.filter(move |node| node.has_tag_name(name))
}

fn texts(svg: &Document<'_>) -> Vec<String> {
    let texts = of(svg, "text").filter_map(|node| node.text());
    texts.map(str::to_owned).collect()
}

/// The groups of marks with this title.
fn marks<'a>(svg: &'a Document<'_>, title: &'a str) -> Vec<Node<'a, 'a>> {
    let has_title = |node: &Node<'_, '_>| {
        let child = node.first_element_child();
        child.and_then(|child| child.text()) == Some(title)
    };
    of(svg, "g").filter(has_title).collect()
}

fn path_of<'a>(group: &Node<'a, 'a>, class: &str) -> &'a str {
    let path = group
        .children()
        .find(|it| it.attribute("class") == Some(class));
    let path = path.unwrap_or_else(|| panic!("no {class}"));
    path.attribute("d").expect("a path has it")
}

/// The numbers of a path.
fn numbers(path: &str) -> Vec<f64> {
    let parts = path.split(|char: char| !(char.is_ascii_digit() || char == '.'));
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(|part| part.parse().expect("a number")).collect()
}

#[test]
fn each_subject_and_case_has_a_row_with_its_median() {
    let svg = svg_of(vec![Panel::Dots(dots())]);
    let svg = Document::parse(&svg).expect("it is XML");
    let texts = texts(&svg);
    for name in ["mpisync", "MPI_Win_lock", STRANGE] {
        assert_eq!(
            texts.iter().filter(|text| *text == name).count(),
            4,
            "{name}"
        );
    }
    for group in dots().groups {
        assert!(texts.contains(&group.name));
        for row in group.rows {
            let median = row.value.expect("it has one").median;
            assert!(texts.contains(&Unit::Time.text(median)), "{median}");
        }
    }
    assert!(texts.iter().any(|text| text == "time, logarithmic"));
    assert!(texts.contains(&format!("What is shown, {STRANGE}")));
}

#[test]
fn the_line_through_a_dot_has_the_length_of_its_spread() {
    let dots = Dots {
        groups: vec![Group {
            name: String::from("Case"),
            rows: vec![
                row("narrow", true, Some(spread(10.0, 10.0, 20.0))),
                row("wide", false, Some(spread(10.0, 100.0, 1_000.0))),
                row("from 0", false, Some(spread(0.0, 100.0, 1_000.0))),
            ],
        }],
        ..dots()
    };
    let svg = svg_of(vec![Panel::Dots(dots)]);
    let svg = Document::parse(&svg).expect("it is XML");
    let length = |title: &str| {
        let [group] = marks(&svg, title)[..] else {
            panic!("not one {title}");
        };
        // "M least y V y M least y H most M most …": from the least to the most.
        let numbers = numbers(path_of(&group, "bar"));
        assert!(!path_of(&group, "mark").is_empty());
        numbers[5] - numbers[0]
    };
    let narrow = length("Case: narrow, 10 ns (10 ns to 20 ns)");
    let wide = length("Case: wide, 100 ns (10 ns to 1 µs)");
    assert!(narrow > 10.0);
    // On a logarithmic axis it begins where the axis does.
    assert!((length("Case: from 0, 100 ns (0 ns to 1 µs)") - wide).abs() < 0.2);
    assert!(
        (wide / narrow - 100.0_f64.ln() / 2.0_f64.ln()).abs() < 0.05,
        "{wide}, {narrow}"
    );
}

#[test]
fn a_subject_that_hung_has_words_and_no_dot() {
    let mut dots = dots();
    dots.groups.truncate(1);
    dots.groups[0].rows.push(row("hangs", false, None));
    let svg = svg_of(vec![Panel::Dots(dots)]);
    let svg = Document::parse(&svg).expect("it is XML");
    assert!(texts(&svg).contains(&String::from("no end")));
    assert_eq!(of(&svg, "g").count(), 3);
}

#[test]
fn each_curve_has_a_name_and_each_point_its_spread() {
    let svg = svg_of(vec![Panel::Curves(curves())]);
    let svg = Document::parse(&svg).expect("it is XML");
    let texts = texts(&svg);
    for curve in curves().curves {
        assert_eq!(texts.iter().filter(|text| **text == curve.name).count(), 1);
        // In the legend and in the chart.
        let lines = marks(&svg, &curve.name);
        assert_eq!(lines.len(), 2);
        let class = format!("c{}", curve.colour);
        let dashed = if curve.dashed { "line dashed" } else { "line" };
        for line in lines {
            assert_eq!(line.attribute("class"), Some(class.as_str()));
            path_of(&line, dashed);
        }
        for (bytes, value) in curve.points {
            let (unit, bytes) = (Unit::MegabytesPerSecond, Unit::Bytes.text(bytes));
            let title = format!("{}, {bytes}: {}", curve.name, value.text(unit));
            let [point] = marks(&svg, &title)[..] else {
                panic!("not one {title}");
            };
            // "M left least H right M at least V most …"
            let numbers = numbers(path_of(&point, "bar"));
            assert!(numbers[1] - numbers[5] > 10.0, "{numbers:?}");
        }
    }
    for text in [
        "throughput, logarithmic",
        "size, logarithmic",
        "8 B",
        "100 MB/s",
    ] {
        assert!(texts.iter().any(|it| it == text), "no {text}");
    }
}

#[test]
fn a_value_without_spread_has_no_line() {
    let mut curves = curves();
    curves.curves.truncate(1);
    curves.curves[0].points = vec![(8.0, spread(5.0, 5.0, 5.0))];
    let svg = svg_of(vec![Panel::Curves(curves)]);
    let svg = Document::parse(&svg).expect("it is XML");
    let title = "subject 0 with a rather long name, 8 B: 5 MB/s";
    let [point] = marks(&svg, title)[..] else {
        panic!("not one point");
    };
    let paths = point.children().filter(|child| child.has_tag_name("path"));
    assert_eq!(paths.count(), 1);
}

/// The left, right, upper and lower end of each text.
fn boxes(svg: &Document<'_>) -> Vec<(f64, f64, f64, f64, String)> {
    let texts = of(svg, "text").map(|node| {
        let text = node.text().expect("it has text");
        let number = |name| node.attribute(name).unwrap().parse::<f64>().unwrap();
        let (x, y) = (number("x"), number("y"));
        let classes = node.attribute("class").unwrap_or_default();
        let large = if classes.contains("title") { 1.3 } else { 1.0 };
        let wide = svg::width_of(text) * large;
        let left = match classes {
            _ if classes.contains("end") => x - wide,
            _ if classes.contains("middle") => x - wide / 2.0,
            _ => x,
        };
        let box_ = (left, left + wide, y - 11.0 * large, y + 3.0);
        (box_.0, box_.1, box_.2, box_.3, text.to_owned())
    });
    texts.collect()
}

#[test]
fn texts_are_inside_the_picture_and_do_not_overlap() {
    let mut by_tasks = curves();
    by_tasks.y.1 = Unit::PerSecond;
    by_tasks.curves[0].points[0].1 = spread(900.0, 1_000.0, 1e9);
    by_tasks.x.1 = Unit::Number;
    for curve in &mut by_tasks.curves {
        curve.points.push((10_000_000.0, spread(1.0, 1.0, 1.0)));
    }
    let panels = vec![
        Panel::Dots(dots()),
        Panel::Curves(curves()),
        Panel::Curves(by_tasks),
        Panel::Dots(dots()),
    ];
    check_texts(&svg_of(panels));
}

/// Checks that no text of a picture leaves it or covers another one.
pub(crate) fn check_texts(svg: &str) {
    let svg = Document::parse(svg).expect("it is XML");
    let height = svg.root_element().attribute("height").expect("it has one");
    let height: f64 = height.parse().expect("a number");
    let boxes = boxes(&svg);
    assert!(boxes.len() > 20);
    for (index, one) in boxes.iter().enumerate() {
        assert!(one.0 >= 4.0 && one.1 <= WIDTH - 4.0, "{one:?}");
        assert!(one.2 >= 0.0 && one.3 <= height, "{one:?}");
        for other in &boxes[..index] {
            let apart =
                one.1 <= other.0 || other.1 <= one.0 || one.3 <= other.2 || other.3 <= one.2;
            assert!(apart, "{one:?} and {other:?}");
        }
    }
}

#[test]
fn panels_without_a_point_are_left_out() {
    let none = || {
        let mut dots = dots();
        dots.title = String::from("Nothing");
        dots.groups.clear();
        Panel::Dots(dots)
    };
    assert!(figure(vec![none()]).svg().is_none());
    let svg = svg_of(vec![none(), Panel::Curves(curves()), none()]);
    assert!(!svg.contains("Nothing") && svg.contains("Throughput"));
}

#[test]
fn files_are_small_and_replace_older_ones() {
    let directory = tempfile::tempdir().expect("there is room");
    let figure = figure(vec![Panel::Dots(dots()), Panel::Curves(curves())]);
    let path = directory.path().join("picture.svg");
    fs::write(&path, "old").expect("there is room");
    let written = figure.write(directory.path()).expect("it can be written");
    assert_eq!(written, Some(path.clone()));
    let text = fs::read_to_string(&path).expect("it is there");
    assert!(
        text.starts_with("<svg ") && text.len() < 60_000,
        "{}",
        text.len()
    );
    let error = figure
        .write(&directory.path().join("gone"))
        .expect_err("it is not there");
    assert!(error.to_string().contains("gone/picture.svg"), "{error}");
}
