//! `doctor`: looks for what is wrong with this node, says what to do, and mends what can be mended without losing anything.

use std::sync::Arc;

use salus_api::{ApiError, DoctorFinding, DoctorReport};
use salus_store::Store;
use salus_vault::VaultFile;

use crate::attachments;
use crate::core::{Core, failure};
use crate::node::{Node, Worker, blocking, lock};

/// A claimed time is in the future if it is later than this node's clock by more, milliseconds: clocks of well-kept computers differ by seconds.
const CLOCK_SLACK_MS: u64 = 10 * 60 * 1000;
/// Free bytes below which the disk is called nearly full: a day's entries and images of a busy clinic (a guess).
const LITTLE_SPACE: u64 = 512 << 20;

/// Examines a node; `repair` mends what can be.
pub async fn examine(
    node: &Arc<Node>,
    worker: &Worker,
    repair: bool,
) -> Result<DoctorReport, ApiError> {
    let mut report = at_rest(node, worker, repair).await?;
    report.findings.push(files(node, repair).await?);
    report.ok = report
        .findings
        .iter()
        .all(|finding| finding.ok || finding.mended);
    Ok(report)
}

/// Vault, store and logs.
async fn at_rest(
    node: &Arc<Node>,
    worker: &Worker,
    repair: bool,
) -> Result<DoctorReport, ApiError> {
    let (node, worker) = (Arc::clone(node), worker.clone());
    blocking(move || {
        let core = node.core()?;
        if repair && !lock(&core).has_role(&worker.staff, salus_audit::Role::Admin) {
            return Err(ApiError::refused("only an administrator mends the node")
                .hint("without --repair anybody of the staff may look"));
        }
        let mut findings = Vec::new();
        findings.push(staff(&node, &worker, repair)?);
        findings.push(space(&node));
        let handle = lock(&core).store_handle();
        findings.push(store(&handle)?);
        drop(handle);
        let mut core = lock(&core);
        findings.push(life(&core));
        findings.push(waiting(&mut core, repair)?);
        findings.push(clock(&mut core)?);
        findings.push(refused(&core)?);
        findings.extend(clinics(&core)?);
        findings.extend(contradictions(&core)?);
        Ok(DoctorReport {
            ok: false,
            findings,
        })
    })
    .await
}

/// The sealed files: what is held is read and hashed, what was attached here must be here.
async fn files(node: &Arc<Node>, repair: bool) -> Result<DoctorFinding, ApiError> {
    const WHAT: &str = "files";
    let health = attachments::examine(node, repair).await?;
    let held = format!("{} sealed files are whole", health.whole);
    let elsewhere = match health.elsewhere {
        0 => String::new(),
        n => format!("; {n} more are at other clinics and come when they are asked for"),
    };
    let bad = health.damaged.len() + health.lost.len();
    if bad == 0 && health.brought == 0 {
        return Ok(fine(WHAT, format!("{held}{elsewhere}")));
    }
    let found = format!(
        "{held}; {} damaged, {} missing that were attached here, {} brought again{elsewhere}",
        health.damaged.len(),
        health.lost.len(),
        health.brought
    );
    if bad == 0 {
        return Ok(DoctorFinding {
            mended: true,
            ..wrong(WHAT, found, "nothing more is to be done")
        });
    }
    let hint = if repair {
        "no clinic that was reached has them: try again when others are connected, or restore them from a backup"
    } else {
        "`salus doctor --repair` brings them again from other clinics"
    };
    Ok(wrong(WHAT, found, hint))
}

fn fine(what: &str, found: impl Into<String>) -> DoctorFinding {
    DoctorFinding {
        what: what.to_owned(),
        ok: true,
        found: found.into(),
        hint: None,
        mended: false,
    }
}

fn wrong(what: &str, found: impl Into<String>, hint: &str) -> DoctorFinding {
    DoctorFinding {
        ok: false,
        hint: Some(hint.to_owned()),
        ..fine(what, found)
    }
}

/// Who can unlock, against who is certified.
fn staff(node: &Node, worker: &Worker, repair: bool) -> Result<DoctorFinding, ApiError> {
    node.mend_vault(|vault| staff_of(vault, node, worker, repair))
}

fn staff_of(
    vault: &mut VaultFile,
    node: &Node,
    worker: &Worker,
    repair: bool,
) -> Result<(DoctorFinding, bool), ApiError> {
    const WHAT: &str = "staff";
    let slots = vault.staff(&worker.unlocked).map_err(failure::vault)?;
    let core = node.core()?;
    let stray: Vec<String> = {
        let core = lock(&core);
        slots
            .iter()
            .filter(|slot| !core.is_certified(slot.actor))
            .map(|slot| slot.name.clone())
            .collect()
    };
    if stray.is_empty() {
        let found = format!("{} can unlock, each certified in the roster", slots.len());
        return Ok((fine(WHAT, found), false));
    }
    let found = format!("in the vault without a certificate: {}", stray.join(", "));
    if !repair {
        let hint = "`salus doctor --repair` takes them out; enrol them again if they work here";
        return Ok((wrong(WHAT, found, hint), false));
    }
    for name in &stray {
        vault
            .remove_staff(&worker.unlocked, name)
            .map_err(failure::vault)?;
    }
    let hint = "they were taken out; enrol them again if they work here";
    let finding = DoctorFinding {
        mended: true,
        ..wrong(WHAT, found, hint)
    };
    Ok((finding, true))
}

/// Room on the disk.
fn space(node: &Node) -> DoctorFinding {
    const WHAT: &str = "disk";
    match crate::folder::free_bytes(node.folder.root()) {
        Some(free) if free < LITTLE_SPACE => wrong(
            WHAT,
            format!("{} MiB are free", free >> 20),
            "free some space: a full disk stops edits, and loses none",
        ),
        Some(free) => fine(WHAT, format!("{} MiB are free", free >> 20)),
        None => fine(WHAT, "this platform does not say how much is free"),
    }
}

/// Every page and row of the store, looked at beside other work.
fn store(store: &Store) -> Result<DoctorFinding, ApiError> {
    const WHAT: &str = "store";
    let problems = match store.check_integrity() {
        Ok(problems) => problems,
        Err(error) => {
            let error = failure::store(error);
            let hint = error.hint.clone().unwrap_or_default();
            return Ok(wrong(WHAT, error.message, &hint));
        }
    };
    Ok(match problems.first() {
        None => fine(
            WHAT,
            format!("{} entries, every row is intact", store.entry_count()),
        ),
        Some(first) => wrong(
            WHAT,
            format!(
                "{} problem(s), the first: {}: {}",
                problems.len(),
                first.table,
                first.what
            ),
            "`salus audit verify --all` names everything; restore the newest backup, then sync: other clinics give back what came after it",
        ),
    })
}

/// Whether this node's keys are the clinic's present ones.
fn life(core: &Core) -> DoctorFinding {
    const WHAT: &str = "keys";
    if core.is_superseded() {
        wrong(
            WHAT,
            "another life of this clinic's store has begun: this one writes nothing more",
            "sync once to hand over what was written here, then work with the restored or renewed node",
        )
    } else {
        fine(WHAT, "the chain is the clinic's present one")
    }
}

/// Received entries that are not in documents and index yet.
fn waiting(core: &mut Core, repair: bool) -> Result<DoctorFinding, ApiError> {
    const WHAT: &str = "index";
    let waiting = core.dirty_count();
    if waiting == 0 {
        return Ok(fine(WHAT, "every record that can be read is in it"));
    }
    let found = format!("{waiting} records changed and are not in it yet");
    if !repair {
        return Ok(wrong(
            WHAT,
            found,
            "an unlocked node takes them in by itself; `salus doctor --repair` does it now",
        ));
    }
    while core.digest_dirty(64)? > 0 {}
    Ok(DoctorFinding {
        mended: true,
        ..wrong(WHAT, found, "they were taken in")
    })
}

/// Whether this computer's clock can be right.
fn clock(core: &mut Core) -> Result<DoctorFinding, ApiError> {
    const WHAT: &str = "clock";
    let now = core.now_ms();
    let newest = core.patients()?.iter().map(|row| row.updated_ms).max();
    Ok(match newest {
        Some(newest) if newest > now.saturating_add(CLOCK_SLACK_MS) => wrong(
            WHAT,
            format!(
                "an edit claims a time {} minutes ahead of this computer's clock",
                (newest - now) / 60_000
            ),
            "set this computer's clock, or ask the clinic that wrote it; no right is decided by a clock",
        ),
        _ => fine(WHAT, "no edit claims a time ahead of it"),
    })
}

/// What other clinics sent and this one did not take.
fn refused(core: &Core) -> Result<DoctorFinding, ApiError> {
    const WHAT: &str = "refused entries";
    let refused = core.refused_count()?;
    Ok(match refused {
        0 => fine(WHAT, "none"),
        n => DoctorFinding {
            hint: Some("they never touch a record; if they keep coming, ask that clinic to look at its node".into()),
            ..fine(WHAT, format!("{n} of other clinics are kept aside"))
        },
    })
}

/// The clinics that were made known.
fn clinics(core: &Core) -> Result<Vec<DoctorFinding>, ApiError> {
    const WHAT: &str = "clinics";
    let unknown: Vec<String> = core
        .peers()?
        .into_iter()
        .filter(|peer| !core.knows_roster(peer.clinic))
        .map(|peer| core.clinic_name(peer.clinic))
        .collect();
    Ok(if unknown.is_empty() {
        Vec::new()
    } else {
        vec![wrong(
            WHAT,
            format!("never reached so far: {}", unknown.join(", ")),
            "see `salus peers` for its address; both clinics must have made each other known",
        )]
    })
}

/// Clinics that stated what cannot both be true.
fn contradictions(core: &Core) -> Result<Vec<DoctorFinding>, ApiError> {
    Ok(core
        .contradictions()?
        .into_iter()
        .map(|found| {
            wrong(
                "evidence",
                format!("{}: {}", core.clinic_name(found.clinic), found.what),
                "both signed statements are kept; speak with that clinic before you rely on what it serves",
            )
        })
        .collect())
}
