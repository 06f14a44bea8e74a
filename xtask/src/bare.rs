//! `cargo xtask bare`: the commands of the README on a machine that has only Rust and a C compiler.
//!
//! The machine is a minimal Debian in a directory, without ps, git or Python, and Rust. The bare system is kept
//! below the target directory; each run works in a copy of it. What is mounted there is mounted in a namespace of its own,
//! so that nothing stays mounted, whatever ends the run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nix::unistd::geteuid;

use crate::packages::install;
use crate::process::{output_of, run, run_quietly, say, take_down};
use crate::setup::Missing;
use crate::workspace::{Workspace, on_path};

/// What must not be there.
const ABSENT: [&str; 6] = ["cc", "git", "mpicc", "pip", "ps", "python3"];

/// What Rust needs before it can build the task runner.
const INSTALL_COMPILER: &str =
    "apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev";

/// Where the workspace, Rust, and the certificates of authorities that this machine trusts are in there.
const PLACE: &str = "root/mpisync";
const RUST: &str = "usr/local/rust";
const CERTIFICATES: &str = "usr/local/share/certificates.pem";

/// Mounts what a system needs and runs a command in it: `ROOT`, `RUST`, and the command.
const ENTER: &str = r#"
root=$1 rust=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount --bind "$rust" "$root/usr/local/rust"
mount -o remount,bind,ro "$root/usr/local/rust"
exec chroot "$root" "$@"
"#;

/// `cargo xtask bare`
#[derive(Args)]
pub struct Bare {
    /// Which release of Debian
    #[arg(long, value_name = "NAME", default_value = "bookworm")]
    suite: String,
    /// Where its packages come from
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://deb.debian.org/debian"
    )]
    mirror: String,
    /// Run this command of the task runner (may be given several times), such as "test --only fmt"
    #[arg(long = "run", value_name = "COMMAND", default_values = ["demo", "test"])]
    commands: Vec<String>,
}

impl Bare {
    /// Runs the commands, one after the other in one system.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        ensure!(
            geteuid().is_root(),
            "a system in a directory needs root: run this as root"
        );
        let suite = &self.suite;
        let rust = toolchain(workspace)?;
        let bare = bare_system(workspace, suite, &self.mirror)?;
        let system = System::copy(workspace, &bare)?;
        system.add_workspace(workspace)?;
        system.add_network()?;
        let absent = ABSENT
            .map(|program| format!("! command -v {program}"))
            .join(" && ");
        run_quietly(&mut system.command(&rust, &absent))
            .context("the bare system has more than it should")?;
        run_quietly(&mut system.command(&rust, INSTALL_COMPILER)).context("no C compiler")?;
        for command in &self.commands {
            let title = format!("bare {suite}: cargo xtask {command}");
            say(format!("== {title}"));
            let start = Instant::now();
            let line = format!("cd /{PLACE} && cargo xtask {command}");
            run_quietly(&mut system.command(&rust, &line)).with_context(|| title.clone())?;
            say(format!(
                "== {title}: passed, {:.1} s",
                start.elapsed().as_secs_f64()
            ));
        }
        Ok(())
    }
}

/// The directory of the Rust that this workspace is built with.
fn toolchain(workspace: &Workspace) -> Result<PathBuf> {
    let mut rustc = Command::new("rustc");
    let root = output_of(
        rustc
            .current_dir(&workspace.root)
            .args(["--print", "sysroot"]),
    );
    let root = PathBuf::from(root.context("rustc --print sysroot")?.trim());
    if !root.join("bin/cargo").exists() || root == Path::new("/usr") {
        bail!(
            "Rust in {} cannot be taken along; one that rustup has installed can",
            root.display()
        );
    }
    Ok(root)
}

/// The bare system, which is made once.
fn bare_system(workspace: &Workspace, name: &str, mirror: &str) -> Result<PathBuf> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
    ensure!(
        !name.is_empty() && name.chars().all(is_plain),
        "`{name}` is no release of Debian"
    );
    let place = workspace.target.join("bare");
    let bare = place.join(name);
    if bare.exists() {
        return Ok(bare);
    }
    if on_path("debootstrap").is_none() {
        install(Missing::Debootstrap)?;
    }
    fs::create_dir_all(&place)?;
    // Half a system must not be taken for one.
    let part = Directory(place.join(format!("{name}.part")));
    part.remove();
    // It mounts things in there too, and may be interrupted.
    let mut debootstrap = Command::new("unshare");
    debootstrap
        .args(["--mount", "debootstrap", "--variant=minbase", name])
        .arg(&part.0)
        .arg(mirror);
    run(&mut debootstrap).context("debootstrap cannot make a bare system")?;
    fs::rename(&part.0, &bare)?;
    Ok(bare)
}

/// A directory that is removed with all that is in it.
struct Directory(PathBuf);

impl Directory {
    fn remove(&self) {
        if self.0.exists() {
            take_down(
                Command::new("rm")
                    .args(["-rf", "--one-file-system"])
                    .arg(&self.0),
            );
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A system in a directory, which is removed at the end.
struct System {
    root: Directory,
}

impl System {
    fn copy(workspace: &Workspace, bare: &Path) -> Result<Self> {
        let name = format!("run-{}", process::id());
        let root = Directory(workspace.target.join("bare").join(name));
        let mut copy = Command::new("cp");
        run(copy.arg("-a").arg(bare).arg(&root.0))?;
        fs::create_dir_all(root.0.join(RUST))?;
        Ok(Self { root })
    }

    /// Copies the workspace, without what is built.
    fn add_workspace(&self, workspace: &Workspace) -> Result<()> {
        let place = self.root.0.join(PLACE);
        fs::create_dir_all(&place)?;
        let mut copy = Command::new("cp");
        copy.arg("-a");
        for entry in fs::read_dir(&workspace.root)? {
            let entry = entry?;
            let is_built = entry.path() == workspace.target || entry.file_name() == "target";
            if !is_built && entry.file_name() != ".git" {
                copy.arg(entry.path());
            }
        }
        run_quietly(copy.arg(place)).context("cannot copy the workspace")
    }

    /// Copies what it takes to reach the network from there: names, and the authorities that this machine trusts.
    fn add_network(&self) -> Result<()> {
        for file in ["etc/resolv.conf", "etc/hosts"] {
            let from = Path::new("/").join(file);
            // A machine without one does without one.
            if let Ok(text) = fs::read(&from) {
                let to = self.root.0.join(file);
                let _ = fs::remove_file(&to);
                fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let certificates = named.unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
        let to = self.root.0.join(CERTIFICATES);
        fs::copy(&certificates, to)
            .with_context(|| format!("cannot copy {}", certificates.display()))?;
        Ok(())
    }

    /// A line for a shell in the system.
    fn command(&self, rust: &Path, line: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child"])
            .args(["sh", "-ec", ENTER, "sh"])
            .arg(&self.root.0)
            .arg(rust)
            .args(["env", "-i", "HOME=/root", "LANG=C.UTF-8"])
            .arg(format!(
                "PATH=/{RUST}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            ))
            .arg(format!("SSL_CERT_FILE=/{CERTIFICATES}"));
        for name in ["TERM", "http_proxy", "https_proxy", "no_proxy"] {
            if let Ok(value) = env::var(name) {
                command.arg(format!("{name}={value}"));
            }
        }
        // pip has authorities of its own, unless it is told.
        if env::var_os("PIP_CERT").is_some() {
            command.arg(format!("PIP_CERT=/{CERTIFICATES}"));
        }
        command.args(["sh", "-ec", line]);
        command
    }
}
