//! Steps of the demo about the core in depth: unsafe merges, proofs, rights that end, a lost disk.

use std::path::Path;

use salus_api::record::{CodeableConcept, Dosage, Item, Medication};
use salus_api::{ApiError, Auth, Passphrase, Request, Response};
use salus_audit::{Comparison, Proof};

use super::{Clinic, PASSPHRASE, Teller, expect, open, unexpected};
use crate::backup::{RestoreOptions, restore};
use crate::node::blocking;

fn medicine(dose: &str) -> Item {
    Item::Medication(Medication {
        code: CodeableConcept::text("Warfarin 5 mg oral tablet"),
        dosage: vec![Dosage {
            text: Some(dose.to_owned()),
            ..Dosage::default()
        }],
        ..Medication::default()
    })
}

/// One medicine is ordered at both clinics while they are apart: nothing conflicts, and both are warned.
pub(super) async fn unsafe_merge(
    clinics: &[Clinic],
    patient: &str,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    for clinic in [a, b] {
        clinic.node.disconnect().await;
    }
    for (clinic, dose) in [(a, "one tablet a day"), (b, "two tablets a day")] {
        clinic
            .ask(Request::Add {
                patient: patient.to_owned(),
                item: Box::new(medicine(dose)),
            })
            .await?;
    }
    for clinic in [a, b] {
        clinic.node.connect().await?;
    }
    a.sync().await?;
    b.sync().await?;
    for clinic in [a, b] {
        let view = clinic.show(patient).await?;
        expect(
            view.concerns
                .iter()
                .any(|concern| concern.code == "dose_differs"),
            "both clinics are warned of two doses",
        )?;
    }
    let concern = a.show(patient).await?.concerns.into_iter().next();
    let concern = concern.ok_or_else(|| ApiError::failed("no concern"))?;
    a.ask(Request::Acknowledge {
        patient: patient.to_owned(),
        concern: concern.id,
        why: "the second order replaces the first".into(),
    })
    .await?;
    a.sync().await?;
    b.sync().await?;
    expect(
        b.show(patient).await?.concerns.is_empty(),
        "the concern is settled",
    )?;
    tell.done(
        "one medicine was ordered twice, apart: both clinics were warned, a physician settled it",
    );
    Ok(())
}

/// A stranger checks, with the clinic's id alone, that an entry stands in its log and that nothing was taken out since.
pub(super) async fn prove(
    clinics: &[Clinic],
    patient: &str,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let [a, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    let Response::Clinic(clinic) = a.ask(Request::ClinicId).await? else {
        return Err(ApiError::failed("the clinic has no id"));
    };
    let id = clinic
        .id
        .parse()
        .map_err(|_| ApiError::failed("the clinic's id cannot be read"))?;
    a.ask(Request::PatientNote {
        patient: patient.to_owned(),
        text: "Proved to a stranger.".into(),
    })
    .await?;
    let rows = match a
        .ask(Request::PatientHistory {
            patient: patient.to_owned(),
        })
        .await?
    {
        Response::Audit(rows) => rows,
        other => return Err(unexpected(&other)),
    };
    let entry = rows
        .iter()
        .find(|row| row.kind == "edit" && row.clinic == a.name)
        .map(|row| row.hash.clone());
    let ask = |entry: Option<String>, since: Option<Vec<u8>>| Request::AuditProve {
        patient: entry.is_some().then(|| patient.to_owned()),
        entry,
        since,
    };
    let Response::Proof(older) = a.ask(ask(entry, None)).await? else {
        return Err(ApiError::failed("there is no proof"));
    };
    let Response::Proof(newer) = a.ask(ask(None, Some(older.clone()))).await? else {
        return Err(ApiError::failed("there is no newer proof"));
    };
    let read = |bytes: &[u8]| {
        Proof::decode(bytes)
            .map_err(|e| ApiError::integrity(format!("the proof cannot be read: {e}")))
    };
    let (older, newer) = (read(&older)?, read(&newer)?);
    for proof in [&older, &newer] {
        proof
            .check(Some(id))
            .map_err(|e| ApiError::integrity(format!("the proof does not hold: {e}")))?;
    }
    expect(
        Proof::compare(&older, &newer) == Ok(Comparison::Consistent),
        "the newer proof continues the older one",
    )?;
    tell.done("a stranger checked a proof with the clinic's id alone: the entry is there, nothing was taken out since");
    Ok(())
}

/// A clinic is revoked and goes on writing; nothing of it counts, and nothing more reaches it.
pub(super) async fn revoke(
    clinics: &[Clinic],
    patient: &str,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    a.ask(Request::Revoke {
        patient: patient.to_owned(),
        clinic: b.name.to_owned(),
    })
    .await?;
    b.ask(Request::PatientNote {
        patient: patient.to_owned(),
        text: "Written after the revocation.".into(),
    })
    .await?;
    a.ask(Request::PatientNote {
        patient: patient.to_owned(),
        text: "Not for the revoked clinic.".into(),
    })
    .await?;
    // The log differs from now on, and nobody tells the revoked clinic why: the sync reports it, and goes on with the others.
    b.ask(Request::Sync { clinic: None }).await?;
    let says = |view: &salus_api::PatientView, text: &str| {
        view.content.notes.iter().any(|note| note.text == text)
    };
    let (at_a, at_b) = (a.show(patient).await?, b.show(patient).await?);
    expect(
        !says(&at_a, "Written after the revocation."),
        "what a revoked clinic writes does not count",
    )?;
    expect(
        !says(&at_b, "Not for the revoked clinic."),
        "a revoked clinic receives nothing more",
    )?;
    // It is entitled again, and reads the whole history, the epoch that it could not read included.
    a.ask(Request::Grant {
        patient: patient.to_owned(),
        clinic: b.name.to_owned(),
        right: salus_api::Right::Write,
    })
    .await?;
    b.sync().await?;
    expect(
        says(&b.show(patient).await?, "Not for the revoked clinic."),
        "a clinic that is entitled again reads all of it",
    )?;
    tell.done("a clinic was revoked: it received nothing, what it wrote did not count; entitled again, it reads everything");
    Ok(())
}

/// A disk dies: the backup is restored as a new life, and the other clinics give back what came after it.
pub(super) async fn lost_disk(
    root: &Path,
    clinics: &mut Vec<Clinic>,
    patient: &str,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let file = root.join("first.backup");
    let Some(first) = clinics.first() else {
        return Err(ApiError::failed("no clinics"));
    };
    first.ask(Request::Backup { path: file.clone() }).await?;
    first
        .ask(Request::PatientNote {
            patient: patient.to_owned(),
            text: "Written after the backup.".into(),
        })
        .await?;
    first.sync().await?;
    let lost = clinics.remove(0);
    lost.node.close().await;
    let folder = root.join("restored");
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    let options = RestoreOptions {
        file,
        data_dir: folder.clone(),
        staff: None,
        passphrase: passphrase.clone(),
        recovery: None,
    };
    let name = lost.name;
    drop(lost);
    blocking(move || restore(&options)).await?;
    let auth = Auth::Passphrase {
        staff: None,
        passphrase,
    };
    let restored = open(name, &folder, auth).await?;
    clinics.insert(0, restored);
    let Some(first) = clinics.first() else {
        return Err(ApiError::failed("no clinics"));
    };
    first.sync().await?;
    let view = first.show(patient).await?;
    expect(
        view.content
            .notes
            .iter()
            .any(|note| note.text == "Written after the backup."),
        "others give back what came after the backup",
    )?;
    expect(view.verified, "nothing forked")?;
    tell.done("a disk died: the backup was restored as a new life, and the others gave back what came after it");
    Ok(())
}
