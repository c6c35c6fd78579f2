//! Many patients: how fast they are written, synced, opened, searched and verified, and in how much memory.
//!
//! What memory a node needs is measured in a process of its own, which opens what this one made.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use salus_api::{ApiError, Auth, Passphrase, Request, Response};
use salus_audit::Right;
use salus_record::Edit;
use serde_json::Value;

use super::{PASSPHRASE, Report, Site, count, quantile, signature_rate, weight};
use crate::core::{Core, Prepared, Staff};
use crate::folder::Folder;
use crate::made_up;
use crate::node::{NodeOptions, lock};
use crate::service;

/// Entries of each made-up patient's log.
const ENTRIES_EACH: usize = 20;
/// Patients of the first sync.
pub(super) const SYNCED_PATIENTS: u64 = 10_000;
/// Patients of the clinic that is opened, searched and verified: 1,000,000 entries.
pub(super) const PATIENTS: u64 = 50_000;
/// Records of the two clinics that are in step.
const PATIENTS_AT_ONCE: u64 = 64;
/// Searches that are timed.
const SEARCHES: usize = 2_000;
/// Single edits that are timed.
const EDITS: usize = 500;

/// Writes made-up patients with [`ENTRIES_EACH`] entries each; the entries a second.
async fn populate(site: &Site, patients: u64, readers: &[String]) -> Result<f64, ApiError> {
    let begun = Instant::now();
    let before = {
        let core = site.node.core()?;
        let core = lock(&core);
        core.size().1
    };
    let mut from = 0;
    while from < patients {
        let to = (from + PATIENTS_AT_ONCE).min(patients);
        let (staff, readers) = (site.staff.clone(), readers.to_vec());
        site.node
            .with_core(move |core| some_patients(core, &staff, from..to, &readers))
            .await?;
        from = to;
    }
    let core = site.node.core()?;
    let written = lock(&core).size().1 - before;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    Ok(written as f64 / begun.elapsed().as_secs_f64())
}

fn some_patients(
    core: &mut Core,
    staff: &Staff,
    numbers: std::ops::Range<u64>,
    readers: &[String],
) -> Result<(), ApiError> {
    let mut records = Vec::new();
    for n in numbers {
        let content = made_up::patient(1, n);
        let prepared =
            Prepared::new_record(content, None, core.me(), core.chain_id(), core.now_ms())?;
        let more = ENTRIES_EACH.saturating_sub(prepared.entries() + readers.len());
        let edits: Vec<Vec<Edit>> = (0..more).map(|n| vec![Edit::Put(weight(n))]).collect();
        records.push((prepared, edits));
    }
    let readers: Vec<_> = readers
        .iter()
        .map(|name| Ok((core.find_clinic(name)?, Right::Write)))
        .collect::<Result<Vec<_>, ApiError>>()?;
    core.register_many(staff, records, &readers)
}

/// A first sync of many records, and what it costs to know that nothing is new.
pub(super) async fn first_sync(root: &Path, report: &mut Report<'_>) -> Result<(), ApiError> {
    let a = Site::new(root, "first").await?;
    let b = Site::new(root, "second").await?;
    a.know(&b).await?;
    b.know(&a).await?;
    b.ask(Request::Sync { clinic: None }).await?;
    let rate = populate(&a, SYNCED_PATIENTS, &["second".to_owned()]).await?;
    report.figure(
        "first-sync",
        "entries signed, sealed, durable, in batches",
        rate,
        "entries/s",
    );
    let begun = Instant::now();
    let Response::Synced(reports) = b.ask(Request::Sync { clinic: None }).await? else {
        return Err(ApiError::failed("the sync gave no report"));
    };
    let whole = begun.elapsed().as_secs_f64();
    let first = reports
        .first()
        .ok_or_else(|| ApiError::failed("nobody to sync with"))?;
    if let Some(error) = &first.error {
        return Err(ApiError::failed(error.clone()));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let received = first.received as f64;
    report.figure(
        "first-sync",
        "entries of 10,000 patients received",
        received,
        "",
    );
    report.figure(
        "first-sync",
        "received, verified, sealed, durable",
        received / first.seconds,
        "entries/s",
    );
    report.figure(
        "first-sync",
        "the same until every record can be searched",
        received / whole,
        "entries/s",
    );
    report.figure(
        "first-sync",
        "signatures alone, two an entry, both cores",
        2.0 * signature_rate(&a)?,
        "entries/s",
    );
    let mut again: Vec<f64> = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        b.ask(Request::Sync { clinic: None }).await?;
        again.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    report.figure(
        "first-sync",
        "two clinics in step: asking and knowing, median",
        quantile(&mut again, 0.5),
        "ms",
    );
    a.node.close().await;
    b.node.close().await;
    Ok(())
}

/// A clinic of many patients, opened by a process of its own.
pub(super) async fn large(root: &Path, report: &mut Report<'_>) -> Result<(), ApiError> {
    let site = Site::new(root, "large").await?;
    let rate = populate(&site, PATIENTS, &[]).await?;
    report.figure(
        "scale",
        "entries signed, sealed, durable, in batches",
        rate,
        "entries/s",
    );
    site.node.close().await;
    drop(site);
    let program = std::env::current_exe()
        .map_err(|e| ApiError::failed(format!("this program cannot be started again: {e}")))?;
    let output = tokio::task::spawn_blocking({
        let folder = root.join("large");
        move || {
            Command::new(program)
                .args(["bench", OPENED, "--json", "--data"])
                .arg(folder)
                .output()
        }
    })
    .await
    .map_err(|_| ApiError::failed("the measuring process could not be watched"))?
    .map_err(|e| ApiError::failed(format!("the measuring process did not start: {e}")))?;
    if !output.status.success() {
        return Err(ApiError::failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(figure) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let text = |name: &str| {
            figure
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let value = figure
            .get("value")
            .and_then(Value::as_f64)
            .unwrap_or(f64::NAN);
        report.figure("scale", &text("figure"), value, &text("unit"));
    }
    Ok(())
}

/// The hidden benchmark that [`large`] runs in a process of its own.
pub(super) const OPENED: &str = "opened";

/// Opens a folder that [`large`] made, and measures.
pub(super) async fn opened(folder: PathBuf, report: &mut Report<'_>) -> Result<(), ApiError> {
    let data = Folder::new(folder.clone());
    let held = data
        .lock()?
        .ok_or_else(|| ApiError::failed("the folder is in use"))?;
    let begun = Instant::now();
    let (node, client) = service::open(data, held, NodeOptions::in_process(false, false))?;
    let auth = Auth::Passphrase {
        staff: None,
        passphrase: Passphrase::new(PASSPHRASE.to_owned()),
    };
    let Response::Unlocked { session, .. } = client.call(auth, Request::Unlock).await? else {
        return Err(ApiError::failed("the node did not unlock"));
    };
    let auth = Auth::Session(session);
    let find = |text: String| Request::PatientFind { text, limit: 20 };
    client.call(auth.clone(), find("a".to_owned())).await?;
    report.figure(
        "opened",
        "search ready after the passphrase",
        begun.elapsed().as_secs_f64(),
        "s",
    );
    report.figure("opened", "memory then", resident("VmRSS"), "MB");

    let Response::Patients(rows) = client.call(auth.clone(), Request::PatientList).await? else {
        return Err(ApiError::failed("the list gave no patients"));
    };
    report.figure("opened", "patients", count(rows.len()), "");
    let mut searches = Vec::with_capacity(SEARCHES);
    for n in 0..SEARCHES {
        let Some(row) = rows.get(n * 7919 % rows.len().max(1)) else {
            break;
        };
        // As somebody types: the beginning of the family name, then more of it, then the given name.
        let typed: String = format!("{} {}", row.family, row.given);
        let text: String = typed
            .chars()
            .take(1 + n % typed.chars().count().max(1))
            .collect();
        let begun = Instant::now();
        client.call(auth.clone(), find(text)).await?;
        searches.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    report.figure(
        "opened",
        "a keystroke's search, median",
        quantile(&mut searches, 0.5),
        "ms",
    );
    report.figure(
        "opened",
        "a keystroke's search, 99th percentile",
        quantile(&mut searches, 0.99),
        "ms",
    );

    let mut edits = Vec::with_capacity(EDITS);
    for n in 0..EDITS {
        let Some(row) = rows.get(n * 104_729 % rows.len().max(1)) else {
            break;
        };
        let note = Request::PatientNote {
            patient: row.id.clone(),
            text: format!("note {n}"),
        };
        let begun = Instant::now();
        client.call(auth.clone(), note).await?;
        edits.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    report.figure(
        "opened",
        "an edit durable, of records not open before, median",
        quantile(&mut edits, 0.5),
        "ms",
    );
    report.figure(
        "opened",
        "an edit durable, of records not open before, 99th percentile",
        quantile(&mut edits, 0.99),
        "ms",
    );
    report.figure(
        "opened",
        "fdatasync of 4 KiB on the same disk, median",
        fdatasync(&folder)?,
        "ms",
    );
    report.figure("opened", "memory after the work", resident("VmRSS"), "MB");

    let begun = Instant::now();
    let Response::Verified(found) = client
        .call(auth, Request::AuditVerify { patient: None })
        .await?
    else {
        return Err(ApiError::failed("verification gave no report"));
    };
    if let Some(problem) = found.problems.first() {
        return Err(ApiError::integrity(problem.what.clone()));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let entries = found.entries as f64;
    let seconds = begun.elapsed().as_secs_f64();
    report.figure("opened", "audit verify --all", seconds, "s");
    report.figure("opened", "the same", entries / seconds, "entries/s");
    report.figure("opened", "memory at its highest", resident("VmHWM"), "MB");
    node.close().await;
    Ok(())
}

/// The median of single writes made durable, beside which an edit's time is to be read.
fn fdatasync(folder: &Path) -> Result<f64, ApiError> {
    use std::io::Write;
    let path = folder.join("fdatasync.bench");
    let failed = |e: std::io::Error| crate::folder::io_error("write", &path, &e);
    let mut file = std::fs::File::create(&path).map_err(failed)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&[0; 4096]).map_err(failed)?;
        let begun = Instant::now();
        file.sync_data().map_err(failed)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    drop(file);
    let _ = std::fs::remove_file(&path);
    Ok(quantile(&mut times, 0.5))
}

/// A line of `/proc/self/status` in megabytes; not a number where there is none.
fn resident(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_can_be_read_where_it_is_told() {
        if cfg!(target_os = "linux") {
            assert!(resident("VmRSS") > 1.0);
        }
        assert!(resident("Nothing").is_nan());
    }
}
