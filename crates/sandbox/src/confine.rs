//! The limits that a worker sets on itself. They are set before it reads anything, and cannot be raised again, but for
//! the processor time, which every job gets anew.

use std::io;

use crate::config::Limits;

/// Sets all limits but the processor time.
#[cfg(unix)]
pub(crate) fn confine(limits: &Limits) -> io::Result<()> {
    use rustix::process::Resource;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, Signal};
        // The thread that started this process lives until it has seen the process end.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let space = mapped_bytes()?.saturating_add(limits.memory_bytes);
        limit(Resource::As, space)?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = limits;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // Descriptors that are open stay open; no further one is given.
    limit(Resource::Nofile, 0)
}

/// Gives a job its processor time: its wall-clock time and a second, for the parent's own clock ends it first.
#[cfg(unix)]
pub(crate) fn allow_processor_time(limits: &Limits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    use rustix::time::{ClockId, clock_gettime};

    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let allowed = limits.time_ms.div_ceil(1_000).saturating_add(1);
    let new = Rlimit {
        current: Some(used.saturating_add(allowed)),
        maximum: None,
    };
    Ok(setrlimit(Resource::Cpu, new)?)
}

#[cfg(unix)]
fn limit(resource: rustix::process::Resource, bytes: u64) -> io::Result<()> {
    use rustix::process::{Rlimit, getrlimit, setrlimit};

    // An administrator's own limit may be lower, and cannot be raised.
    let most = getrlimit(resource).maximum;
    let bytes = most.map_or(bytes, |most| most.min(bytes));
    let new = Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    Ok(setrlimit(resource, new)?)
}

/// What the process has mapped now, in bytes (proc_pid_status(5), `VmSize`).
#[cfg(any(target_os = "linux", target_os = "android"))]
fn mapped_bytes() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmSize:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    kib.and_then(|kib| kib.checked_mul(1_024))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(not(unix))]
pub(crate) fn confine(_: &Limits) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn allow_processor_time(_: &Limits) -> io::Result<()> {
    Ok(())
}
