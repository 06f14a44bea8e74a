//! A headless Chromium that a test looks at a page with.
//!
//! It speaks the DevTools protocol (<https://chromedevtools.github.io/devtools-protocol/>) over two pipes: JSON
//! messages, each with a zero byte at its end.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to start, to answer or to show something, on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

const FLAGS: [&str; 14] = [
    "--headless",
    "--remote-debugging-pipe",
    // It shows this program's own page only, and refuses to run as root otherwise.
    "--no-sandbox",
    "--disable-gpu",
    // Containers often have a small /dev/shm.
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    // It connects to nothing by itself.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
];

/// A page in a browser of its own.
pub struct Page {
    browser: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// The number of the last command.
    last: u64,
    session: Option<String>,
    /// What the browser has told without being asked.
    pub events: Vec<Value>,
    _profile: TempDir,
}

impl Page {
    /// An empty page of this size.
    pub fn new(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().expect("there is room");
        let mut command = Command::new("sh");
        // The browser reads from descriptor 3 and writes to descriptor 4.
        command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#]);
        command.arg(program()).args(FLAGS);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::null()).process_group(0);
        let mut browser = command.spawn().expect("there is a shell");
        let to = browser.stdin.take().expect("it is piped");
        let out = browser.stdout.take().expect("it is piped");
        let (sender, from) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(out).split(0) {
                let Ok(message) = message else { break };
                let message = serde_json::from_slice(&message).expect("it is JSON");
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut page = Page {
            browser,
            to,
            from,
            last: 0,
            session: None,
            events: Vec::new(),
            _profile: profile,
        };
        let target = page.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = page.ask("Target.attachToTarget", target);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({}));
        }
        page.resize(width, height);
        page
    }

    /// Sends a command, and returns the result.
    #[track_caller]
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let sent = self.to.write_all(format!("{command}\0").as_bytes());
        sent.expect("the browser runs");
        let until = Instant::now() + LIMIT;
        loop {
            let mut message = self.receive(until, method);
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    #[track_caller]
    fn receive(&mut self, until: Instant, what: &str) -> Value {
        let left = until.saturating_duration_since(Instant::now());
        match self.from.recv_timeout(left) {
            Ok(message) => message,
            Err(error) => panic!("{what}: the browser does not answer: {error}"),
        }
    }

    /// Shows a file, which has all of it once it returns.
    #[track_caller]
    pub fn open(&mut self, file: &Path) {
        let url = format!("file://{}", file.display());
        let before = self.events.len();
        let shown = self.ask("Page.navigate", json!({ "url": url }));
        assert!(shown["errorText"].is_null(), "{shown}");
        let until = Instant::now() + LIMIT;
        while !(self.events[before..].iter()).any(|event| event["method"] == "Page.loadEventFired")
        {
            let event = self.receive(until, "Page.loadEventFired");
            self.events.push(event);
        }
        self.settle();
    }

    /// Waits until the page has drawn what it was going to.
    #[track_caller]
    pub fn settle(&mut self) {
        const FRAMES: &str =
            "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))";
        self.eval(FRAMES);
    }

    /// The value of an expression in the page, also of a promise.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut told = self.ask("Runtime.evaluate", parameters);
        let error = &told["exceptionDetails"];
        assert!(error.is_null(), "{expression}: {error}");
        told["result"]["value"].take()
    }

    /// The text of an expression.
    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{expression} is {value}"))
            .to_owned()
    }

    /// The number that an expression is.
    #[track_caller]
    pub fn number(&mut self, expression: &str) -> f64 {
        let value = self.eval(expression);
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Gives the page this size.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    /// Says whether the user prefers light colours or dark ones.
    #[track_caller]
    pub fn prefer(&mut self, scheme: &str) {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.ask(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
        self.settle();
    }

    /// Moves the pointer, turns its wheel or presses its button.
    #[track_caller]
    pub fn pointer(&mut self, kind: &str, (x, y): (f64, f64), more: Value) {
        let mut event = json!({ "type": kind, "x": x, "y": y });
        for (name, value) in more.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        self.ask("Input.dispatchMouseEvent", event);
        self.settle();
    }

    /// Clicks at a point.
    #[track_caller]
    pub fn click(&mut self, at: (f64, f64)) {
        let left = || json!({ "button": "left", "clickCount": 1 });
        self.pointer("mousePressed", at, left());
        self.pointer("mouseReleased", at, left());
    }

    /// Presses a key.
    #[track_caller]
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.ask(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key }),
            );
        }
        self.settle();
    }

    /// The addresses of all requests of the page so far.
    pub fn requests(&self) -> Vec<&Value> {
        fn address(event: &Value) -> Option<&Value> {
            let parameters = &event["params"];
            match event["method"].as_str()? {
                "Network.requestWillBeSent" => Some(&parameters["request"]["url"]),
                "Network.webSocketCreated" => Some(&parameters["url"]),
                _ => None,
            }
        }
        self.events.iter().filter_map(address).collect()
    }

    /// What the page or the browser complains about.
    pub fn complaints(&self) -> Vec<&Value> {
        let is_complaint = |event: &&Value| {
            let method = event["method"].as_str().unwrap_or_default();
            [
                "Runtime.exceptionThrown",
                "Runtime.consoleAPICalled",
                "Log.entryAdded",
            ]
            .contains(&method)
        };
        self.events.iter().filter(is_complaint).collect()
    }

    /// Writes what the page shows to a file, if `TRACES` names a folder.
    pub fn keep_picture(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("TRACES") {
            let shown = self.ask("Page.captureScreenshot", json!({}));
            let bytes = STANDARD.decode(shown["data"].as_str().expect("text"));
            let path = Path::new(&folder).join(name);
            fs::write(path, bytes.expect("it is base64")).expect("there is room");
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.browser.id() as i32) {
            // It may have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.browser.wait();
    }
}

/// The browser: the one that `TEST_CHROMIUM` names, or that of Debian.
fn program() -> PathBuf {
    let named = std::env::var_os("TEST_CHROMIUM").unwrap_or_else(|| "chromium".into());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|place| place.join(&named));
    places.find(|place| place.is_file()).unwrap_or_else(|| {
        panic!(
            "there is no {named:?} to look at the page with: install Chromium (Debian: apt-get install chromium), \
             name one by TEST_CHROMIUM, or leave these tests out by `-- --skip in_chromium`"
        )
    })
}
