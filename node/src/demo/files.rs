//! The demo's step about files: sealed at one clinic, opened at another, destroyed at both.

use std::path::{Path, PathBuf};

use salus_api::{ApiError, AttachmentView, Request, Response};

use super::images::chart;
use super::{Clinic, Teller, expect, unexpected};

/// Samples a second of the recording.
const RATE: u32 = 8_000;

/// What is attached: a picture, a recording, a letter.
fn files(root: &Path) -> Result<Vec<PathBuf>, ApiError> {
    let letter = "Referral. The wound heals well; please see the picture.\n".repeat(40);
    let made = [
        ("wound.png", chart()?),
        ("heart.wav", recording()),
        ("referral.txt", letter.into_bytes()),
    ];
    let mut paths = Vec::new();
    for (name, bytes) in made {
        let path = root.join(name);
        std::fs::write(&path, bytes).map_err(|e| crate::folder::io_error("write", &path, &e))?;
        paths.push(path);
    }
    Ok(paths)
}

/// Three seconds of beats, as a WAV file of 8 bits.
fn recording() -> Vec<u8> {
    let samples: Vec<u8> = (0..3 * RATE)
        .map(|n| {
            let within = n % RATE;
            let loud = 100_u32.saturating_sub(within / 8);
            let up = (within / 40).is_multiple_of(2);
            let level = if up { 128 + loud } else { 128 - loud };
            u8::try_from(level).unwrap_or(128)
        })
        .collect();
    let len = u32::try_from(samples.len()).unwrap_or(0);
    let mut wav = Vec::with_capacity(samples.len() + 44);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + len).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    wav.extend_from_slice(&16_u32.to_le_bytes());
    wav.extend_from_slice(&[1, 0, 1, 0]);
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&RATE.to_le_bytes());
    wav.extend_from_slice(&[1, 0, 8, 0]);
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&len.to_le_bytes());
    wav.extend_from_slice(&samples);
    wav
}

/// Attaches the files to a patient's record at a clinic.
pub(super) async fn attach(root: &Path, at: &Clinic, patient: &str) -> Result<usize, ApiError> {
    let request = Request::Attach {
        patient: patient.to_owned(),
        paths: files(root)?,
        about: None,
        confirmed: false,
        each: false,
    };
    match at.ask(request).await? {
        Response::Attached(files) => Ok(files.len()),
        other => Err(unexpected(&other)),
    }
}

async fn list(at: &Clinic, patient: &str) -> Result<Vec<AttachmentView>, ApiError> {
    let patient = patient.to_owned();
    match at.ask(Request::Attachments { patient }).await? {
        Response::Attachments(files) => Ok(files),
        other => Err(unexpected(&other)),
    }
}

/// A physician attaches files; the other clinic has them, sealed, and opens one; one was a mistake and is erased everywhere.
pub(super) async fn travel(
    root: &Path,
    clinics: &[Clinic],
    patient: &str,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    let attached = attach(root, a, patient).await?;
    b.sync().await?;
    let here = list(b, patient).await?;
    let here: Vec<&AttachmentView> = here.iter().filter(|file| file.available).collect();
    expect(
        here.iter().filter(|file| !file.blob.is_empty()).count() == attached,
        "the other clinic has every file",
    )?;
    let copy = root.join("copy.wav");
    let request = Request::Fetch {
        patient: patient.to_owned(),
        attachment: "heart.wav".into(),
        to: copy.clone(),
        replace: true,
    };
    b.ask(request).await?;
    let read =
        |path: &Path| std::fs::read(path).map_err(|e| crate::folder::io_error("read", path, &e));
    expect(
        read(&copy)? == read(&root.join("heart.wav"))?,
        "the file is the one that was attached",
    )?;
    a.ask(Request::Erase {
        patient: patient.to_owned(),
        attachment: Some("referral.txt".into()),
        reason: "of another patient".into(),
    })
    .await?;
    b.sync().await?;
    for clinic in [a, b] {
        let left = list(clinic, patient).await?;
        expect(
            left.iter().filter(|file| file.erased.is_some()).count() == 1
                && left.iter().all(|file| file.name != "referral.txt"),
            "the erased file is gone",
        )?;
    }
    tell.done(&format!(
        "{attached} files attached, sealed and brought to {}, one opened there; one erased at both clinics",
        b.name
    ));
    Ok(())
}
