//! What a sandbox costs the process that owns it. One test in a process of its own, for its memory is measured.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test may break on what it did not expect"
)]

use std::time::Duration;

use salus_sandbox::{Config, Sandbox};

/// Memory of this process that is in use, in KiB: now (`VmRSS`) or at most so far (`VmHWM`, proc_pid_status(5)).
fn resident_kib(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(what));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

#[test]
fn the_parent_stays_small_whatever_its_children_do() {
    let sandbox = Sandbox::new(Config {
        program: env!("CARGO_BIN_EXE_sandbox-test-worker").into(),
        workers: 2,
        memory_bytes: 256 << 20,
        time: Duration::from_secs(20),
        max_response_bytes: 4 << 20,
        ..Config::default()
    });
    let request = vec![5; 4 << 20];
    let work = || {
        // 48 MiB that pass through the parent.
        let passed = sandbox.run_reading("length", b"", std::io::repeat(5), 48 << 20);
        assert_eq!(passed.unwrap(), b"50331648");
        assert_eq!(sandbox.run("echo", &request).unwrap().len(), request.len());
        // 64 MiB that the parent never sees.
        assert!(sandbox.run("answer", b"67108864").is_err());
        assert!(sandbox.run("allocate", b"4096").is_err());
        assert!(sandbox.run("abort", b"").is_err());
    };
    work();
    let before = resident_kib("VmRSS:");
    for _ in 0..10 {
        work();
    }
    let grown = resident_kib("VmRSS:").saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB");
    // The most there ever was: requests and answers of 4 MiB, and pieces of the others.
    let most = resident_kib("VmHWM:").saturating_sub(before);
    assert!(most < 32 * 1024, "was {most} KiB larger in between");
}
