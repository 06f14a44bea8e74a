//! The page in Chromium. Where there is none, `cargo xtask test` leaves out all tests whose names end with
//! `in_chromium`.

mod browser;

use super::write;
use crate::files::tests::{found, strange, with_shown};
use crate::made::{TWENTIETH, event, process, wait};
use browser::Page;
use mpisync::inspect::trace::{Activity, Process};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::time::Duration;
use tempfile::TempDir;

const US: u64 = 1000;

/// Where the chart is in its canvas: the space of labels and axis, and that on the right; and how high a lane
/// of a small job is.
const LABELS: f64 = 118.0;
const AXIS: f64 = 30.0;
const MARGIN: f64 = 8.0;
const LANE: f64 = 46.0;
/// A line of pixels in each row of a lane, without texts: of the waits, and of what is held.
const WAITS: f64 = 3.0;
const HOLDS: f64 = 25.0;

/// In a job of a millisecond, rank 0 holds the mutex, and rank 1 waits for it and then holds it.
fn two_ranks() -> Vec<Process> {
    let [mut first, mut second] = [0, 1].map(|rank| process(rank, 2));
    first.events = vec![event(Activity::Hold, 0, 900 * US)];
    second.events = vec![
        wait(100 * US, 900 * US, 0, TWENTIETH),
        event(Activity::Hold, 900 * US, 1000 * US),
    ];
    vec![first, second]
}

/// A browser with the page of these processes, and the folder in which that is.
fn shown(processes: Vec<Process>) -> (Page, TempDir) {
    let mut page = Page::new(1200, 800);
    let folder = opened(&mut page, processes);
    (page, folder)
}

fn opened(page: &mut Page, processes: Vec<Process>) -> TempDir {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("timeline.html");
    let mut file = File::create(&path).expect("there is room");
    with_shown(&found(processes), |shown| write(shown, &mut file)).expect("there is room");
    page.open(&path);
    folder
}

/// Where a time of the job is in the page, in that row of a lane, while all of the job is seen.
fn point(page: &mut Page, lane: u32, row: f64, part: f64) -> (f64, f64) {
    let side = |side| format!("document.getElementById('chart').getBoundingClientRect().{side}");
    let (left, top) = (page.number(&side("left")), page.number(&side("top")));
    (left + x_of(page, part), top + y_of(lane, row))
}

/// Where a part of the time that is seen is in the canvas.
fn x_of(page: &mut Page, part: f64) -> f64 {
    let width = page.number("document.getElementById('chart').clientWidth");
    LABELS + part * (width - LABELS - MARGIN)
}

fn y_of(lane: u32, row: f64) -> f64 {
    AXIS + LANE * f64::from(lane) + row
}

/// Makes sure that the bar of an activity is there between these parts of the time that is seen, and nowhere
/// else in the row.
#[track_caller]
fn has_bar(page: &mut Page, activity: &str, (lane, row): (u32, f64), from: f64, to: f64) {
    let y = y_of(lane, row);
    let found = page.eval(&format!(
        "(() => {{
            const canvas = document.getElementById('canvas');
            const style = getComputedStyle(document.documentElement);
            const colour = style.getPropertyValue('--{activity}').trim();
            const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
            const copy = new OffscreenCanvas(canvas.width, 1).getContext('2d');
            copy.drawImage(canvas, 0, -{y});
            const {{ data }} = copy.getImageData(0, 0, canvas.width, 1);
            const found = [];
            for (let x = 0; x < canvas.width; x++) {{
                if (parts.every((part, at) => data[4 * x + at] === part)) found.push(x);
            }}
            return found;
        }})()"
    ));
    let found: Vec<f64> = serde_json::from_value(found).expect("numbers");
    let (Some(first), Some(last)) = (found.first(), found.last()) else {
        panic!("there is no {activity} in lane {lane}");
    };
    let (from, to) = (x_of(page, from), x_of(page, to));
    let is_near = |x: f64, expected: f64| (x - expected).abs() <= 1.5;
    let text = format!("{activity} from {first} to {last}, not {from} to {to}");
    // The arrow may hide the beginning, and the lines of the axis some pixels.
    assert!(*first >= from - 1.5 && *first <= from + 8.0, "{text}");
    assert!(is_near(last + 1.0, to), "{text}");
    assert!(
        found.len() as f64 > 0.95 * (to - from),
        "{text}: {} pixels",
        found.len()
    );
}

fn status(page: &mut Page) -> String {
    page.text("document.getElementById('status').textContent")
}

/// Where the middle of an element is.
fn middle(page: &mut Page, selector: &str) -> (f64, f64) {
    let place = page.eval(&format!(
        "(() => {{
            const box = document.querySelector('{selector}').getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"
    ));
    serde_json::from_value(place).expect("two numbers")
}

/// What the tip says, if there is one: its title, and then names and values.
fn tip(page: &mut Page) -> Option<Vec<String>> {
    let said = page.eval(
        "(() => {
            const tip = document.getElementById('tip');
            if (!tip.checkVisibility()) return null;
            return [...tip.querySelectorAll('b, dt, dd')].map((it) => it.textContent);
        })()",
    );
    serde_json::from_value(said).expect("texts")
}

#[test]
fn lanes_have_their_bars_in_chromium() {
    let (mut page, _folder) = shown(two_ranks());
    has_bar(&mut page, "hold", (0, HOLDS), 0.0, 0.9);
    has_bar(&mut page, "wait", (1, WAITS), 0.1, 0.9);
    has_bar(&mut page, "hold", (1, HOLDS), 0.9, 1.0);
    assert_eq!(status(&mut page), "The whole job: 1.00 ms");
    let title = page.text("document.querySelector('h1').textContent");
    assert!(title.starts_with("2 ranks on 1 host"), "{title}");
    let line = page.text("document.querySelector('table code').textContent");
    assert_eq!(line, "src/main.rs:10");
    // On a narrow screen it does not have to be moved sideways, and the bars are where the canvas is.
    page.resize(480, 800);
    page.settle();
    let wider = page.number("document.documentElement.scrollWidth - innerWidth");
    assert_eq!(wider, 0.0);
    // Words of buttons are whole.
    let lines = page.number(
        "(() => {
            const range = document.createRange();
            range.selectNodeContents(document.querySelector('button[data-wait]'));
            return range.getClientRects().length;
        })()",
    );
    assert_eq!(lines, 1.0);
    has_bar(&mut page, "wait", (1, WAITS), 0.1, 0.9);
    page.keep_picture("narrow.png");
    assert_eq!(page.complaints(), Vec::<&Value>::new());
}

#[test]
fn it_zooms_and_moves_in_chromium() {
    let (mut page, _folder) = shown(two_ranks());
    let page = &mut page;
    // What is under the pointer stays there.
    let at = point(page, 0, HOLDS, 0.5);
    page.pointer("mouseWheel", at, json!({ "deltaX": 0, "deltaY": -315 }));
    assert_eq!(status(page), "250 µs to 750 µs: 500 µs of 1.00 ms");
    has_bar(page, "hold", (0, HOLDS), 0.0, 1.0);
    page.pointer("mouseWheel", at, json!({ "deltaX": 0, "deltaY": 400 }));
    assert_eq!(status(page), "The whole job: 1.00 ms");

    page.eval("document.getElementById('chart').focus()");
    page.press("+");
    assert_eq!(status(page), "250 µs to 750 µs: 500 µs of 1.00 ms");
    page.press("End");
    assert_eq!(status(page), "500 µs to 1.00 ms: 500 µs of 1.00 ms");
    has_bar(page, "wait", (1, WAITS), 0.0, 0.8);
    has_bar(page, "hold", (1, HOLDS), 0.8, 1.0);
    page.press("0");
    assert_eq!(status(page), "The whole job: 1.00 ms");

    let button = middle(page, "#in");
    page.click(button);
    page.click(button);
    assert_eq!(status(page), "375 µs to 625 µs: 250 µs of 1.00 ms");
    let button = middle(page, "#out");
    page.click(button);
    assert_eq!(status(page), "250 µs to 750 µs: 500 µs of 1.00 ms");

    let (from, to) = (point(page, 0, HOLDS, 0.5), point(page, 0, HOLDS, 0.4));
    let left = || json!({ "button": "left", "clickCount": 1 });
    page.pointer("mousePressed", from, left());
    page.pointer("mouseMoved", to, json!({ "button": "left", "buttons": 1 }));
    page.pointer("mouseReleased", to, left());
    assert_eq!(status(page), "300 µs to 800 µs: 500 µs of 1.00 ms");

    let button = middle(page, "#fit");
    page.click(button);
    assert_eq!(status(page), "The whole job: 1.00 ms");
    assert_eq!(page.complaints(), Vec::<&Value>::new());
}

#[test]
fn the_tip_says_what_is_under_the_pointer_in_chromium() {
    let (mut page, _folder) = shown(two_ranks());
    let page = &mut page;
    let of_wait = [
        "rank 1: wait, mutex \"queue\"",
        "call",
        "lock",
        "at",
        "src/main.rs:10",
        "lasted",
        "800 µs",
        "began",
        "at 100 µs",
        "outcome",
        "success",
        "kept by",
        "rank 0",
        "kept at",
        "src/main.rs:20",
        "process",
        "1001 on node0",
    ]
    .map(str::to_owned);
    assert_eq!(tip(page), None);
    let (on_wait, on_hold) = (point(page, 1, WAITS, 0.6), point(page, 0, HOLDS, 0.2));
    let outside = middle(page, "h1");
    page.pointer("mouseMoved", on_wait, json!({}));
    assert_eq!(tip(page).expect("there is one"), of_wait);
    page.pointer("mouseMoved", on_hold, json!({}));
    let held = tip(page).expect("there is one");
    assert_eq!(held[0], "rank 0: hold, mutex \"queue\"");
    assert_eq!(held[5..7], ["lasted", "900 µs"]);
    page.pointer("mouseMoved", outside, json!({}));
    assert_eq!(tip(page), None);

    // A click keeps it, until the user lets go.
    page.click(on_wait);
    page.pointer("mouseMoved", outside, json!({}));
    assert_eq!(tip(page).expect("it stays"), of_wait);
    page.eval("document.getElementById('chart').focus()");
    page.press("Escape");
    assert_eq!(tip(page), None);

    // So do the key and the button that lead to the longest wait.
    page.press("n");
    assert_eq!(tip(page).expect("it is shown"), of_wait);
    assert!(status(page).starts_with("Wait 1 of 1. rank 1: wait"));
    page.press("Escape");
    page.eval("document.querySelector('button[data-wait]').scrollIntoView({ block: 'center' })");
    let button = middle(page, "button[data-wait]");
    page.click(button);
    assert_eq!(tip(page).expect("it is shown"), of_wait);

    // Names are texts, whatever is in them.
    let _folder = opened(page, strange());
    let on_wait = point(page, 1, WAITS, 0.6);
    page.pointer("mouseMoved", on_wait, json!({}));
    let said = tip(page).expect("there is one");
    assert!(said[0].contains("</script><!--\"'&"), "{said:?}");
    assert_eq!(page.complaints(), Vec::<&Value>::new());
}

#[test]
fn it_is_readable_on_light_and_on_dark_in_chromium() {
    const TEXTS: [&str; 14] = [
        "h1",
        "h1 span",
        "header p",
        "header li",
        ".legend li",
        "button",
        "#status",
        "#help",
        "kbd",
        "h2",
        "th",
        "td.number",
        "#tip dt",
        "#tip dd",
    ];
    let [first, mut second] = <[Process; 2]>::try_from(two_ranks()).expect("two");
    second.has_ended = false;
    let (mut page, _folder) = shown(vec![first, second]);
    let page = &mut page;
    let mut grounds = Vec::new();
    for scheme in ["light", "dark", "light"] {
        page.prefer(scheme);
        let on_wait = point(page, 1, WAITS, 0.6);
        page.pointer("mouseMoved", on_wait, json!({}));
        for text in TEXTS {
            let [ink, ground] = colours(page, text);
            let contrast = contrast(ink, ground);
            // What the Web Content Accessibility Guidelines (level AA) ask for.
            assert!(
                contrast >= 4.5,
                "{scheme}: {text} has {contrast:.1}: {ink:?} on {ground:?}"
            );
        }
        page.keep_picture(&format!("{scheme}.png"));
        // The canvas has followed.
        has_bar(page, "hold", (0, HOLDS), 0.0, 0.9);
        let corner = page.eval(
            "(() => {
                const copy = new OffscreenCanvas(1, 1).getContext('2d');
                copy.drawImage(document.getElementById('canvas'), -2, -2);
                return [...copy.getImageData(0, 0, 1, 1).data.slice(0, 3)];
            })()",
        );
        assert_eq!(
            corner,
            json!(colours(page, "section")[1].map(|part| part as u8))
        );
        let [ink, ground] = colours(page, "body");
        assert_eq!(luminance(ink) < luminance(ground), scheme == "light");
        grounds.push(ground);
    }
    assert!(
        grounds[0] != grounds[1] && grounds[0] == grounds[2],
        "{grounds:?}"
    );
    assert_eq!(page.complaints(), Vec::<&Value>::new());
}

/// The colours of a text and of what is under it.
fn colours(page: &mut Page, selector: &str) -> [[f64; 3]; 2] {
    let colours = page.eval(&format!(
        "(() => {{
            let element = document.querySelector('{selector}');
            const ink = getComputedStyle(element).color;
            let ground = 'rgba(0, 0, 0, 0)';
            while (ground === 'rgba(0, 0, 0, 0)') {{
                ground = getComputedStyle(element).backgroundColor;
                element = element.parentElement;
            }}
            return [ink, ground].map((colour) => colour.match(/^rgb\\((\\d+), (\\d+), (\\d+)\\)$/).slice(1).map(Number));
        }})()"
    ));
    serde_json::from_value(colours).expect("two colours")
}

/// By the definition of the Web Content Accessibility Guidelines.
fn luminance(colour: [f64; 3]) -> f64 {
    let linear = |part: f64| match part / 255.0 {
        part if part <= 0.04045 => part / 12.92,
        part => ((part + 0.055) / 1.055).powf(2.4),
    };
    let [red, green, blue] = colour.map(linear);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Ways in which a page can ask a server for something, each with the directive that forbids it.
const REQUESTS: [(&str, &str); 8] = [
    (
        "connect-src",
        "fetch(url, { mode: 'no-cors' }).catch(() => 0)",
    ),
    ("connect-src", "navigator.sendBeacon(url, '')"),
    (
        "connect-src",
        "(() => { try { new WebSocket(url.replace('http', 'ws')) } catch {} })()",
    ),
    ("img-src", "new Image().src = url"),
    (
        "font-src",
        "new FontFace('font', `url(${url})`).load().catch(() => 0)",
    ),
    (
        "script-src-elem",
        "document.head.append(Object.assign(document.createElement('script'), { src: url }))",
    ),
    (
        "frame-src",
        "document.body.append(Object.assign(document.createElement('iframe'), { src: url }))",
    ),
    (
        "form-action",
        "(() => { const form = document.createElement('form'); form.action = url; document.body.append(form); form.submit(); })()",
    ),
];

#[test]
fn no_request_leaves_it_in_chromium() {
    let server = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    server.set_nonblocking(true).expect("it is a socket");
    let url = format!("http://{}/", server.local_addr().expect("it is bound"));

    let (mut page, folder) = shown(two_ranks());
    for key in ["n", "+", "0"] {
        page.eval("document.getElementById('chart').focus()");
        page.press(key);
    }
    page.prefer("dark");
    let own = format!("file://{}", folder.path().join("timeline.html").display());
    assert_eq!(page.requests(), [&own]);
    assert_eq!(page.complaints(), Vec::<&Value>::new());

    // If it asked for something, the browser would refuse.
    page.eval("window.refused = []");
    page.eval("addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective))");
    for (directive, request) in REQUESTS {
        page.eval("refused.length = 0");
        page.eval(&format!("(async (url) => {{ {request}; }})('{url}')"));
        page.settle();
        assert_eq!(page.eval("refused"), json!([directive]), "{request}");
    }
    // For a frame, Chromium may connect before it looks at the policy. It asks for nothing then.
    while let Ok((mut connection, _)) = server.accept() {
        connection.set_nonblocking(false).expect("it is a socket");
        let limit = Some(Duration::from_millis(500));
        connection.set_read_timeout(limit).expect("it is a socket");
        let mut request = [0; 100];
        let length = connection.read(&mut request).unwrap_or(0);
        assert_eq!(String::from_utf8_lossy(&request[..length]), "");
    }

    // A page without such a policy reaches this server.
    let path = folder.path().join("other.html");
    std::fs::write(&path, "<!DOCTYPE html>").expect("there is room");
    page.open(&path);
    page.eval(&format!("fetch('{url}', {{ mode: 'no-cors' }}), 0"));
    server.set_nonblocking(false).expect("it is a socket");
    let (connection, _) = server.accept().expect("it connects");
    let mut request = String::new();
    let read = BufReader::new(connection).read_line(&mut request);
    assert!(read.is_ok() && request.starts_with("GET / "), "{request}");
    assert!(page.requests().iter().any(|it| **it == url));
}
