//! What a sandbox costs the process that owns it. One test in a process of its own, for its memory is measured.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test may break on what it did not expect"
)]

use std::time::Duration;

use salus_sandbox::{Config, Sandbox};

/// Memory of this process that is in use, in KiB (proc_pid_status(5), `VmRSS`).
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
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
        assert_eq!(sandbox.run("echo", &request).unwrap().len(), request.len());
        // 64 MiB that the parent never sees.
        assert!(sandbox.run("answer", b"67108864").is_err());
        assert!(sandbox.run("allocate", b"4096").is_err());
        assert!(sandbox.run("abort", b"").is_err());
    };
    work();
    let before = resident_kib();
    for _ in 0..20 {
        work();
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB");
}
