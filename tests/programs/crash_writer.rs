//! Writes notes into one record until it is killed, and says which of them were acknowledged: `crash-writer FOLDER PATIENT ACKNOWLEDGED`.
//!
//! First it says how many of the notes that were acknowledged before are there; a missing one ends it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::Write;
use std::process::ExitCode;

use salus::folder::Folder;
use salus::node::NodeOptions;
use salus_api::{Auth, Passphrase, Request, Response};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, patient, acknowledged] = args.as_slice() else {
        return ExitCode::FAILURE;
    };
    let acknowledged: u64 = acknowledged.parse().unwrap();
    let folder = Folder::new(folder);
    let held = folder.lock().unwrap().expect("nobody else has the folder");
    let (_node, client) =
        salus::service::open(folder, held, NodeOptions::in_process(false, false)).unwrap();
    let auth = Auth::Passphrase {
        staff: None,
        passphrase: Passphrase::new(std::env::var("SALUS_PASSPHRASE").unwrap()),
    };
    let Response::Unlocked { session, .. } = client.call(auth, Request::Unlock).await.unwrap()
    else {
        return ExitCode::FAILURE;
    };
    let auth = Auth::Session(session);
    let show = Request::PatientShow {
        patient: patient.clone(),
        at: None,
    };
    let Response::Record(view) = client.call(auth.clone(), show).await.unwrap() else {
        return ExitCode::FAILURE;
    };
    let texts: std::collections::HashSet<String> = view
        .content
        .notes
        .into_iter()
        .map(|note| note.text)
        .collect();
    for n in 1..=acknowledged {
        if !texts.contains(&format!("note {n}")) {
            eprintln!("note {n} of {acknowledged} is lost");
            return ExitCode::FAILURE;
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "holds {acknowledged}").unwrap();
    out.flush().unwrap();
    for n in acknowledged + 1.. {
        // One that was stored and not acknowledged is there already: it is written a second time.
        let note = Request::PatientNote {
            patient: patient.clone(),
            text: format!("note {n}"),
        };
        client.call(auth.clone(), note).await.unwrap();
        writeln!(out, "wrote {n}").unwrap();
        out.flush().unwrap();
    }
    ExitCode::SUCCESS
}
