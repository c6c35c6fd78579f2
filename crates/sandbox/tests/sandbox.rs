//! What hostile bytes may do to a reader, and what comes of it.
#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a test may break on what it did not expect"
)]

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, test_kill_process};
use salus_sandbox::{Config, JOBS_PER_WORKER, Job, Sandbox, SandboxError};

fn config() -> Config {
    Config {
        program: env!("CARGO_BIN_EXE_sandbox-test-worker").into(),
        workers: 1,
        memory_bytes: 64 << 20,
        time: Duration::from_secs(20),
        ..Config::default()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn process_id(sandbox: &Sandbox) -> Pid {
    let id = text(sandbox.run("process-id", b"").unwrap());
    Pid::from_raw(id.parse().unwrap()).unwrap()
}

/// A process that nobody has waited for counts as there: a zombie is found by this.
fn is_there(id: Pid) -> bool {
    test_kill_process(id).is_ok()
}

#[test]
fn a_job_answers_and_its_worker_is_used_again() {
    let sandbox = Sandbox::new(config());
    assert_eq!(sandbox.run("echo", b"bytes").unwrap(), b"bytes");
    assert_eq!(sandbox.run("echo", b"").unwrap(), b"");
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(sandbox.run("echo", &large).unwrap(), large);
    assert_eq!(process_id(&sandbox), process_id(&sandbox));
}

/// A reader that gives zeros, and after so many of them does what it is told to.
struct Zeros<F>(usize, F);

impl<F: FnMut() -> io::Result<usize>> Read for Zeros<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = out.len().min(self.0);
        if n == 0 {
            return (self.1)();
        }
        out[..n].fill(0);
        self.0 -= n;
        Ok(n)
    }
}

#[test]
fn a_request_that_is_read_while_it_is_sent_arrives_whole() {
    let sandbox = Sandbox::new(config());
    let file: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let before = process_id(&sandbox);
    for len in [0, 1, 65_536, file.len()] {
        // It is read as far as was said, and no further.
        let input = io::Cursor::new(file.clone());
        let answer = sandbox
            .run_reading("echo", b"head", input, len as u64)
            .unwrap();
        assert!(answer.starts_with(b"head") && answer[4..] == file[..len]);
    }
    let limit = 64 << 20;
    let error = sandbox
        .run_reading("echo", b"", io::repeat(0), limit + 1)
        .unwrap_err();
    let refused =
        matches!(error, SandboxError::RequestTooLarge { bytes, .. } if bytes == limit + 1);
    assert!(refused, "{error:?}");
    let error = sandbox
        .run_reading("echo", b"", io::repeat(0), u64::MAX)
        .unwrap_err();
    assert!(matches!(error, SandboxError::RequestTooLarge { .. }));
    let error = sandbox
        .run_reading("nobody", b"", io::repeat(0), 1 << 20)
        .unwrap_err();
    assert!(matches!(error, SandboxError::UnknownJob(_)), "{error:?}");
    assert_eq!(process_id(&sandbox), before);
}

#[test]
fn what_cannot_be_read_is_told_from_what_breaks_the_reader() {
    let sandbox = Sandbox::new(config());
    let broken = Zeros(100_000, || Err(io::ErrorKind::PermissionDenied.into()));
    let error = sandbox
        .run_reading("echo", b"", broken, 200_000)
        .unwrap_err();
    let SandboxError::Input(why) = error else {
        panic!("{error:?}");
    };
    assert_eq!(why.kind(), io::ErrorKind::PermissionDenied);
    let short = sandbox.run_reading("echo", b"", io::Cursor::new([7; 99]), 100);
    let SandboxError::Input(why) = short.unwrap_err() else {
        panic!("what is too short was read");
    };
    assert_eq!(why.kind(), io::ErrorKind::UnexpectedEof);
    // A child that cannot hold what it is sent says so itself.
    let small = Sandbox::new(Config {
        memory_bytes: 16 << 20,
        ..config()
    });
    let error = small
        .run_reading("echo", b"", io::repeat(1), 48 << 20)
        .unwrap_err();
    assert!(
        matches!(error, SandboxError::OutOfMemory { .. }),
        "{error:?}"
    );
    assert_eq!(sandbox.run("echo", b"next").unwrap(), b"next");
    assert_eq!(small.run("echo", b"next").unwrap(), b"next");
}

#[test]
fn a_reader_that_hangs_ends_with_the_time_given() {
    let sandbox = Sandbox::new(Config {
        time: Duration::from_millis(300),
        ..config()
    });
    let before = process_id(&sandbox);
    let (release, held) = std::sync::mpsc::channel::<()>();
    // As a disk that has gone away does: until the test lets it, it does not return.
    let hanging = Zeros(100_000, move || {
        let _ = held.recv();
        Ok(0)
    });
    let error = sandbox
        .run_reading("echo", b"", hanging, 200_000)
        .unwrap_err();
    assert!(matches!(error, SandboxError::TimedOut { .. }), "{error:?}");
    assert!(!is_there(before));
    assert_eq!(sandbox.run("echo", b"next").unwrap(), b"next");
    drop(release);
}

#[test]
fn a_job_that_allocates_a_gigabyte_is_stopped_and_the_next_one_works() {
    let sandbox = Sandbox::new(config());
    let error = sandbox.run("allocate", b"1024").unwrap_err();
    assert!(
        matches!(error, SandboxError::OutOfMemory { limit_bytes } if limit_bytes == 64 << 20),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "reading it takes more than 64 MiB of memory"
    );
    let allowed = sandbox.run("allocate", b"48").unwrap();
    assert_eq!(text(allowed), (48 << 20).to_string());
}

#[test]
fn a_job_that_never_ends_is_stopped_in_the_time_given() {
    let sandbox = Sandbox::new(Config {
        time: Duration::from_millis(300),
        ..config()
    });
    let before = process_id(&sandbox);
    let begun = Instant::now();
    let error = sandbox.run("loop", b"").unwrap_err();
    let took = begun.elapsed();
    assert!(matches!(error, SandboxError::TimedOut { .. }), "{error:?}");
    assert!(took >= Duration::from_millis(300), "{took:?}");
    // Generous: the machine may be busy. It is the wall clock that ends a job that sleeps, below.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(!is_there(before));
    assert_ne!(process_id(&sandbox), before);
    let error = sandbox.run("sleep", b"60000").unwrap_err();
    assert!(matches!(error, SandboxError::TimedOut { .. }), "{error:?}");
}

#[test]
fn a_job_that_panics_is_answered_without_what_it_said() {
    let sandbox = Sandbox::new(config());
    let before = process_id(&sandbox);
    let error = sandbox.run("panic", b"Mary Hopkins, HIV").unwrap_err();
    assert!(matches!(error, SandboxError::Panicked), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("Hopkins"));
    assert!(!is_there(before));
    assert_ne!(process_id(&sandbox), before);
}

#[test]
fn a_job_that_kills_its_process_is_reported_with_how_it_ended() {
    let sandbox = Sandbox::new(config());
    for (job, how) in [
        ("abort", "signal: 6"),
        ("exit", "exit status: 9"),
        ("overflow-the-stack", "signal: 6"),
    ] {
        let error = sandbox.run(job, b"").unwrap_err();
        let SandboxError::Died(status) = error else {
            panic!("{job}: {error:?}");
        };
        assert!(status.to_string().starts_with(how), "{job}: {status}");
        assert_eq!(sandbox.run("echo", b"next").unwrap(), b"next");
    }
}

#[test]
fn a_job_that_prints_does_not_disturb_its_answer() {
    let sandbox = Sandbox::new(config());
    assert_eq!(sandbox.run("print", b"answer").unwrap(), b"answer");
    assert_eq!(sandbox.run("echo", b"next").unwrap(), b"next");
}

#[test]
fn what_a_job_printed_is_no_failed_allocation() {
    let sandbox = Sandbox::new(config());
    sandbox.run("print", b"").unwrap();
    let error = sandbox.run("exit", b"").unwrap_err();
    assert!(matches!(error, SandboxError::Died(_)), "{error:?}");
}

#[test]
fn bytes_beyond_the_limits_are_refused_in_both_directions() {
    let sandbox = Sandbox::new(Config {
        max_request_bytes: 10,
        max_response_bytes: 20,
        ..config()
    });
    assert_eq!(sandbox.run("echo", &[1; 10]).unwrap(), [1; 10]);
    let error = sandbox.run("echo", &[1; 11]).unwrap_err();
    let refused = matches!(
        error,
        SandboxError::RequestTooLarge {
            bytes: 11,
            limit: 10
        }
    );
    assert!(refused, "{error:?}");
    assert_eq!(sandbox.run("answer", b"20").unwrap(), [7; 20]);
    let error = sandbox.run("answer", b"21").unwrap_err();
    let refused = matches!(error, SandboxError::ResponseTooLarge { limit: 20 });
    assert!(refused, "{error:?}");
    assert_eq!(sandbox.run("answer", b"3").unwrap(), [7; 3]);
}

#[test]
fn a_job_that_nobody_knows_is_named() {
    let sandbox = Sandbox::new(config());
    let before = process_id(&sandbox);
    for name in ["", "no-such-job", &"long".repeat(100)] {
        let error = sandbox.run(name, b"").unwrap_err();
        assert!(
            matches!(&error, SandboxError::UnknownJob(job) if job == name),
            "{error:?}"
        );
    }
    assert_eq!(process_id(&sandbox), before);
}

#[test]
fn eight_callers_share_two_workers() {
    let sandbox = Sandbox::new(Config {
        workers: 2,
        ..config()
    });
    let together = Barrier::new(8);
    let ids = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for caller in 0..8_u8 {
            let (sandbox, together, ids) = (&sandbox, &together, &ids);
            scope.spawn(move || {
                together.wait();
                for turn in 0..20 {
                    let request = [caller, turn];
                    assert_eq!(sandbox.run("echo", &request).unwrap(), request);
                }
                let id = text(sandbox.run("sleep", b"20").unwrap());
                ids.lock().unwrap().push(id);
            });
        }
    });
    let mut ids = ids.into_inner().unwrap();
    assert_eq!(ids.len(), 8);
    ids.sort();
    ids.dedup();
    assert!(ids.len() <= 2, "{} workers", ids.len());
}

#[test]
fn callers_that_wait_get_their_turn_when_workers_fail() {
    let sandbox = Sandbox::new(Config {
        workers: 2,
        ..config()
    });
    std::thread::scope(|scope| {
        for caller in 0..8_u8 {
            let sandbox = &sandbox;
            scope.spawn(move || {
                if caller % 2 == 0 {
                    assert!(sandbox.run("abort", b"").is_err());
                } else {
                    assert_eq!(sandbox.run("echo", &[caller]).unwrap(), [caller]);
                }
            });
        }
    });
}

#[test]
fn a_worker_is_replaced_after_so_many_jobs() {
    let sandbox = Sandbox::new(config());
    let first = process_id(&sandbox);
    for _ in 2..JOBS_PER_WORKER {
        sandbox.run("echo", b"").unwrap();
    }
    assert_eq!(process_id(&sandbox), first);
    assert!(!is_there(first));
    assert_ne!(process_id(&sandbox), first);
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_died_while_it_waited_is_replaced_unseen() {
    let sandbox = Sandbox::new(config());
    let id = process_id(&sandbox);
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    wait_until_it_runs_no_more(id);
    assert_eq!(sandbox.run("echo", b"bytes").unwrap(), b"bytes");
    assert!(!is_there(id));
}

#[test]
fn no_child_outlives_its_sandbox() {
    let sandbox = Sandbox::new(config());
    let id = process_id(&sandbox);
    assert!(is_there(id));
    drop(sandbox);
    assert!(!is_there(id));
}

#[cfg(target_os = "linux")]
#[test]
fn no_child_outlives_a_parent_that_was_killed_in_the_middle_of_a_job() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_sandbox-test-worker"))
        .arg("hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let child = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    assert!(is_there(child));
    parent.kill().unwrap();
    parent.wait().unwrap();
    // The child belongs to whoever adopts orphans here. It may stay a zombie there, but it does not run.
    wait_until_it_runs_no_more(child);
}

#[cfg(target_os = "linux")]
fn wait_until_it_runs_no_more(id: Pid) {
    let begun = Instant::now();
    while is_running(id) {
        assert!(begun.elapsed() < Duration::from_secs(10), "still running");
        std::thread::yield_now();
    }
}

/// Whether a process exists and is more than a zombie (proc_pid_stat(5), field 3).
#[cfg(target_os = "linux")]
fn is_running(id: Pid) -> bool {
    let path = format!("/proc/{}/stat", id.as_raw_nonzero());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

#[test]
fn the_environment_does_not_reach_the_child() {
    // Cargo sets variables for this process; they stand for a passphrase.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let sandbox = Sandbox::new(config());
    let seen = text(sandbox.run("environment", b"").unwrap());
    assert_eq!(seen, "\"/\"");
}

#[test]
fn an_interrupt_typed_at_the_terminal_is_not_sent_to_the_child() {
    // It goes to the process group of the foreground, and the child leads its own.
    let sandbox = Sandbox::new(config());
    let group = text(sandbox.run("process-group", b"").unwrap());
    assert_eq!(group, process_id(&sandbox).as_raw_nonzero().to_string());
}

#[test]
fn a_job_opens_no_file() {
    let sandbox = Sandbox::new(config());
    let answer = text(sandbox.run("open-a-file", b"").unwrap());
    assert!(answer.contains("Too many open files"), "{answer}");
}

#[test]
fn a_program_that_is_no_worker_is_told_from_one_that_cannot_be_started() {
    let run = |program: &str| {
        let sandbox = Sandbox::new(Config {
            program: program.into(),
            ..config()
        });
        sandbox.run("echo", b"").unwrap_err()
    };
    let error = run("/nowhere/at/all");
    assert!(matches!(error, SandboxError::Unavailable(_)), "{error:?}");
    let error = run("/bin/echo");
    assert!(matches!(error, SandboxError::NotAWorker), "{error:?}");
}

#[test]
fn answers_that_are_none_end_the_worker() {
    let run = |way| {
        let sandbox = Sandbox::new(Config {
            program: env!("CARGO_BIN_EXE_sandbox-rubbish-worker").into(),
            memory_bytes: way,
            ..config()
        });
        sandbox.run("echo", b"").unwrap_err()
    };
    let error = run(1);
    assert!(matches!(error, SandboxError::NotAWorker), "{error:?}");
    for way in [2, 3] {
        let error = run(way);
        assert!(matches!(error, SandboxError::Garbled), "{way}: {error:?}");
    }
    // One that answers before it has read what it is sent.
    let hasty = Sandbox::new(Config {
        program: env!("CARGO_BIN_EXE_sandbox-rubbish-worker").into(),
        memory_bytes: 5,
        ..config()
    });
    let error = hasty
        .run_reading("echo", b"", io::repeat(0), 1 << 20)
        .unwrap_err();
    assert!(matches!(error, SandboxError::Garbled), "{error:?}");
    let error = run(4);
    assert!(matches!(error, SandboxError::Died(_)), "{error:?}");
}

#[test]
fn without_isolation_jobs_run_in_this_process() {
    const JOBS: &[Job] = &[
        Job {
            name: "process-id",
            run: |_| std::process::id().to_string().into_bytes(),
        },
        Job {
            name: "length",
            run: |request| request.len().to_string().into_bytes(),
        },
        Job {
            name: "panic",
            run: |_| panic!("as it should"),
        },
    ];
    let sandbox = Sandbox::without_isolation(JOBS);
    let read = sandbox.run_reading("length", b"head", io::repeat(0), 10);
    assert_eq!(text(read.unwrap()), "14");
    let short = sandbox.run_reading("length", b"", io::empty(), 10);
    assert!(matches!(short, Err(SandboxError::Input(_))), "{short:?}");
    let id = text(sandbox.run("process-id", b"").unwrap());
    assert_eq!(id, std::process::id().to_string());
    let error = sandbox.run("panic", b"").unwrap_err();
    assert!(matches!(error, SandboxError::Panicked), "{error:?}");
    let error = sandbox.run("echo", b"").unwrap_err();
    assert!(matches!(error, SandboxError::UnknownJob(_)), "{error:?}");
}
