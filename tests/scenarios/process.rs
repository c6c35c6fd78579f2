//! `salus` as a person runs it: processes, folders, exit codes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What every clinic of the tests is unlocked with.
pub const PASSPHRASE: &str = "correct horse battery staple";
/// A daemon says that it is ready within this time, or something is wrong with it.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// One clinic's data folder, and the program that works on it.
pub struct Clinic {
    pub folder: PathBuf,
    pub name: String,
    pub id: String,
    pub words: String,
}

/// A running daemon; killed when dropped, as a power cut would.
pub struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    /// Asks it to stop as `SIGTERM` does, and waits for it.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.0.wait().unwrap().code()
    }
}

#[cfg(target_os = "linux")]
impl Daemon {
    /// Its memory in KiB: now (`VmRSS`), or at most so far (`VmHWM`, proc_pid_status(5)).
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.unwrap().parse().unwrap()
    }
}

impl Clinic {
    /// `salus init` in a folder below `root`.
    pub fn found(root: &Path, name: &str) -> Self {
        let mut clinic = Self {
            folder: root.join(name.to_lowercase()),
            name: name.to_owned(),
            id: String::new(),
            words: String::new(),
        };
        let words = root.join(format!("{name}.words"));
        let staff = format!("Dr. {name}son");
        clinic.ok(&[
            "init",
            "--clinic",
            name,
            "--staff",
            &staff,
            "--recovery-out",
            words.to_str().unwrap(),
            "--test-kdf",
        ]);
        clinic.words = std::fs::read_to_string(words).unwrap();
        clinic.id = clinic.json(&["clinic", "id"])["id"]
            .as_str()
            .unwrap()
            .to_owned();
        clinic
    }

    /// The command line, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_salus-under-test"));
        command
            .args(["--data-dir", self.folder.to_str().unwrap()])
            .args(args)
            .env("SALUS_PASSPHRASE", PASSPHRASE)
            .env_remove("SALUS_DATA_DIR")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it; it must succeed. What it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "salus {args:?} at {} ended with {:?}: {}",
            self.name,
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it with `--json`; it must succeed and print one document.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        serde_json::from_str(&self.ok(&all)).unwrap()
    }

    /// Runs it with `--json`; it must succeed and print one document a line.
    pub fn lines(&self, args: &[&str]) -> Vec<Value> {
        let mut all = vec!["--json"];
        all.extend(args);
        self.ok(&all)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs it; it must fail with this exit code. What it said on standard error.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "salus {args:?} said: {said}"
        );
        assert!(
            said.lines().any(|line| line.starts_with("error:")),
            "no error is told: {said}"
        );
        assert!(
            !said.contains("panicked"),
            "salus {args:?} panicked: {said}"
        );
        said
    }

    /// Starts `salus node` and waits until it answers.
    pub fn daemon(&self) -> Daemon {
        let child = self
            .command(&["node"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Daemon(child);
        let begun = Instant::now();
        loop {
            let status = self.run(&["--json", "status"]);
            if status.status.success() {
                let status: Value = serde_json::from_slice(&status.stdout).unwrap();
                if status["daemon"] == Value::Bool(true) {
                    return daemon;
                }
            }
            assert!(begun.elapsed() < READY_WITHIN, "the daemon does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes another clinic known here.
    pub fn know(&self, other: &Clinic) {
        let view = other.json(&["clinic", "id"]);
        let mut args = vec!["peers", "add", view["id"].as_str().unwrap()];
        args.extend(
            view["addresses"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a.as_str().unwrap()),
        );
        self.ok(&args);
    }

    /// Registers a patient; the record's id.
    pub fn patient(&self, family: &str, given: &str) -> String {
        self.ok(&[
            "patient",
            "new",
            "--family",
            family,
            "--given",
            given,
            "--birth-date",
            "1980-02-29",
            "--sex",
            "female",
        ]);
        let rows = self.lines(&["patient", "find", &format!("{family} {given}")]);
        rows[0]["id"].as_str().unwrap().to_owned()
    }
}

/// Two clinics that know each other and have met once.
pub fn two(root: &Path) -> (Clinic, Clinic) {
    let (a, b) = (Clinic::found(root, "Alpha"), Clinic::found(root, "Beta"));
    a.know(&b);
    b.know(&a);
    let daemon = a.daemon();
    b.ok(&["sync"]);
    drop(daemon);
    (a, b)
}
