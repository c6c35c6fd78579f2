//! `salus demo`: a throwaway federation on loopback with made-up patients, played as a story that fails if any step fails.
//!
//! Every clinic is a real node with its own sealed store, and every step goes through the client API, as a person's would.

mod core;
mod files;
mod images;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_api::{
    ApiError, Auth, Client, ErrorKind, Event, NetworkMode, Passphrase, PatientRow, PatientView,
    Reply, Request, Response, Right, Role,
};

use crate::folder::Folder;
use crate::made_up;
use crate::node::{Node, NodeOptions};
use crate::service;
use crate::setup::{InitOptions, init};

/// Names and towns of the made-up clinics, in the order in which they join.
const CLINICS: [(&str, &str, Role); 8] = [
    ("Riverside Clinic", "Dr. Amara Diallo", Role::Physician),
    ("Hilltop Health Centre", "Dr. Jonas Weber", Role::Physician),
    ("Harbour Hospital", "Dr. Mei Chen", Role::Physician),
    ("Old Mill Practice", "Dr. Sofia Rossi", Role::Physician),
    ("Northgate Clinic", "Dr. Paul Mensah", Role::Physician),
    ("Southfield Surgery", "Dr. Leila Karimi", Role::Physician),
    ("Eastwood Hospital", "Dr. Erik Lund", Role::Physician),
    ("Westbrook Clinic", "Dr. Ana Silva", Role::Physician),
];
/// An edit must be seen at the other clinic within this time while both run; far above the median, so that a busy machine
/// does not fail the demo.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// What to play.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Play the whole story and print a report, instead of opening the terminal UI.
    pub headless: bool,
    /// How many clinics, 2 to 8.
    pub clinics: usize,
    /// How many patients at the first clinic.
    pub patients: usize,
    /// Seed of the made-up patients.
    pub seed: u64,
    /// Keep the clinics' folders here instead of throwing them away.
    pub keep: Option<PathBuf>,
    /// Report as JSON, one object a step.
    pub json: bool,
}

/// What the demo's clinics are unlocked with.
const PASSPHRASE: &str = "made-up patients only";

struct Clinic {
    name: &'static str,
    folder: PathBuf,
    node: Arc<Node>,
    client: Client,
    auth: Auth,
}

impl Clinic {
    async fn ask(&self, request: Request) -> Result<Response, ApiError> {
        self.client.call(self.auth.clone(), request).await
    }

    async fn patients(&self) -> Result<Vec<PatientRow>, ApiError> {
        match self.ask(Request::PatientList).await? {
            Response::Patients(rows) => Ok(rows),
            other => Err(unexpected(&other)),
        }
    }

    async fn show(&self, patient: &str) -> Result<PatientView, ApiError> {
        match self
            .ask(Request::PatientShow {
                patient: patient.to_owned(),
                at: None,
            })
            .await?
        {
            Response::Record(view) => Ok(*view),
            other => Err(unexpected(&other)),
        }
    }

    async fn sync(&self) -> Result<(u64, u64), ApiError> {
        match self.ask(Request::Sync { clinic: None }).await? {
            Response::Synced(reports) => {
                let mut total = (0, 0);
                for report in reports {
                    if let Some(error) = report.error {
                        return Err(ApiError::failed(format!("{}: {error}", self.name)));
                    }
                    if report.refused > 0 {
                        return Err(ApiError::failed(format!(
                            "{}: {} entries were refused",
                            self.name, report.refused
                        )));
                    }
                    total.0 += report.sent;
                    total.1 += report.received;
                }
                Ok(total)
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// Prints steps as they are done, with the time each took.
struct Teller<'a> {
    print: &'a mut (dyn FnMut(&str) + Send),
    json: bool,
    begun: Instant,
    steps: u32,
}

impl Teller<'_> {
    fn done(&mut self, what: &str) {
        self.steps += 1;
        let ms = self.begun.elapsed().as_millis();
        if self.json {
            let ms = u64::try_from(ms).unwrap_or(u64::MAX);
            let line =
                serde_json::json!({ "step": self.steps, "ok": true, "what": what, "ms": ms });
            (self.print)(&line.to_string());
        } else {
            (self.print)(&format!("  ok {:>2}  {what}  ({ms} ms)", self.steps));
        }
        self.begun = Instant::now();
    }
}

/// Plays the demo; `print` gets each line of the report.
pub async fn run(
    options: DemoOptions,
    print: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ApiError> {
    if !(2..=CLINICS.len()).contains(&options.clinics) {
        return Err(ApiError::usage(format!(
            "the demo plays with 2 to {} clinics",
            CLINICS.len()
        )));
    }
    if options.patients == 0 || options.patients > 10_000 {
        return Err(ApiError::usage("the demo plays with 1 to 10000 patients"));
    }
    let throwaway = match &options.keep {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("salus-demo-")
                .tempdir()
                .map_err(|e| {
                    ApiError::failed(format!("no folder for the demo could be made: {e}"))
                })?,
        ),
    };
    let root = match (&options.keep, &throwaway) {
        (Some(keep), _) => keep.clone(),
        (None, Some(dir)) => dir.path().to_owned(),
        (None, None) => return Err(ApiError::failed("no folder for the demo")),
    };
    let begun = Instant::now();
    let mut tell = Teller {
        print,
        json: options.json,
        begun,
        steps: 0,
    };
    if !options.json {
        (tell.print)(&format!(
            "Salus demo: {} clinics on loopback, {} made-up patients, seed {}",
            options.clinics, options.patients, options.seed
        ));
    }
    let mut clinics = Vec::new();
    let played = async {
        found(&root, &options, &mut clinics, &mut tell).await?;
        share(&root, &options, &clinics, &mut tell).await?;
        if options.headless {
            let patient = converge(&clinics, &mut tell).await?;
            live(&clinics, &mut tell).await?;
            core::unsafe_merge(&clinics, &patient, &mut tell).await?;
            images::classify(&root, &clinics, &patient, &mut tell).await?;
            files::travel(&root, &clinics, &patient, &mut tell).await?;
            core::prove(&clinics, &patient, &mut tell).await?;
            core::revoke(&clinics, &patient, &mut tell).await?;
            core::lost_disk(&root, &mut clinics, &patient, &mut tell).await?;
            verify(&clinics, &mut tell).await
        } else {
            let patient = apart(&clinics, &mut tell).await?;
            if let Some(first) = clinics.first() {
                files::attach(&root, first, &patient).await?;
            }
            ui(&clinics, &options).await
        }
    }
    .await;
    let tampered = match (&played, clinics.get(1)) {
        (Ok(()), Some(second)) if options.headless => Some(second.folder.clone()),
        _ => None,
    };
    for clinic in clinics.drain(..) {
        clinic.node.close().await;
    }
    played?;
    if let Some(folder) = tampered {
        tamper(&folder, &root.join("tampered"), &mut tell).await?;
        if !options.json {
            let seconds = begun.elapsed().as_secs_f64();
            (tell.print)(&format!("All {} steps done in {seconds:.1} s.", tell.steps));
        }
    }
    Ok(())
}

/// The clinics are founded and made known to each other.
async fn found(
    root: &Path,
    options: &DemoOptions,
    clinics: &mut Vec<Clinic>,
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    for (name, staff, role) in CLINICS.iter().take(options.clinics) {
        let folder = root.join(name.to_lowercase().replace(' ', "-"));
        let passphrase = Passphrase::new(PASSPHRASE.to_owned());
        let outcome = {
            let init_options = InitOptions {
                data_dir: folder.clone(),
                clinic: (*name).to_owned(),
                staff: (*staff).to_owned(),
                role: *role,
                passphrase: passphrase.clone(),
                network: NetworkMode::Loopback,
                test_kdf: true,
            };
            crate::node::blocking(move || init(init_options)).await?
        };
        let clinic = open(
            name,
            &folder,
            Auth::Passphrase {
                staff: Some(outcome.staff),
                passphrase,
            },
        )
        .await?;
        clinics.push(clinic);
    }
    for clinic in clinics.iter() {
        let Response::Clinic(view) = clinic.ask(Request::ClinicId).await? else {
            continue;
        };
        for other in clinics.iter().filter(|other| other.folder != clinic.folder) {
            other
                .ask(Request::PeerAdd {
                    id: view.id.clone(),
                    addresses: view.addresses.clone(),
                })
                .await?;
        }
    }
    tell.done(&format!(
        "{} clinics founded, each with its own sealed store and keys",
        clinics.len()
    ));
    for clinic in clinics.iter() {
        clinic.sync().await?;
    }
    tell.done("the clinics met over iroh and verified each other's rosters");
    Ok(())
}

async fn open(name: &'static str, folder: &Path, auth: Auth) -> Result<Clinic, ApiError> {
    let data = Folder::new(folder);
    let held = data
        .lock()?
        .ok_or_else(|| ApiError::failed(format!("{} is in use", folder.display())))?;
    let (node, client) = service::open(data, held, NodeOptions::in_process(true, false))?;
    let Response::Unlocked { session, .. } = client.call(auth, Request::Unlock).await? else {
        return Err(ApiError::failed("the demo's clinic did not unlock"));
    };
    Ok(Clinic {
        name,
        folder: folder.to_owned(),
        node,
        client,
        auth: Auth::Session(session),
    })
}

/// Clinic A imports the patients and shares them with the others.
async fn share(
    root: &Path,
    options: &DemoOptions,
    clinics: &[Clinic],
    tell: &mut Teller<'_>,
) -> Result<(), ApiError> {
    let [first, others @ ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    let file = root.join("made-up.ndjson");
    let mut lines = String::new();
    for n in 0..options.patients {
        let content = made_up::patient(options.seed, n as u64);
        let options = salus_fhir::ExportOptions {
            time_ms: crate::setup::system_clock()(),
        };
        let bundle = salus_fhir::export_bundle(&content, &options);
        // One bundle a line: NDJSON.
        lines.extend(bundle.chars().map(|c| if c == '\n' { ' ' } else { c }));
        lines.push('\n');
    }
    std::fs::write(&file, &lines).map_err(|e| crate::folder::io_error("write", &file, &e))?;
    let Response::Imported(report) = first.ask(Request::Import { path: file.clone() }).await?
    else {
        return Err(ApiError::failed("the import gave no report"));
    };
    expect(
        report.created == options.patients as u64,
        "every made-up patient is imported",
    )?;
    tell.done(&format!(
        "{}: {} patients imported from FHIR R4 ({} entries, signed and sealed)",
        first.name, report.created, report.entries
    ));
    let Response::Imported(again) = first.ask(Request::Import { path: file.clone() }).await? else {
        return Err(ApiError::failed("the import gave no report"));
    };
    // The made-up file is in clear; the demo leaves nothing readable behind.
    let _ = std::fs::remove_file(&file);
    expect(again.entries == 0, "importing again writes nothing")?;
    tell.done("importing the same file again changed nothing");
    for (n, other) in others.iter().enumerate() {
        for patient in &report.patients {
            let right = if n == 0 { Right::Write } else { Right::Read };
            let clinic = other.name.to_owned();
            first
                .ask(Request::Grant {
                    patient: patient.clone(),
                    clinic,
                    right,
                })
                .await?;
        }
    }
    for other in others {
        other.sync().await?;
        let rows = other.patients().await?;
        expect(
            rows.len() == options.patients,
            "the other clinic holds every patient",
        )?;
    }
    tell.done(&format!(
        "granted to {} clinic(s) and synced: each holds the same {} patients",
        others.len(),
        options.patients
    ));
    Ok(())
}

/// Both clinics edit the same patient with no connection between them.
async fn apart(clinics: &[Clinic], tell: &mut Teller<'_>) -> Result<String, ApiError> {
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    let rows = a.patients().await?;
    let patient = rows.first().map(|row| row.id.clone()).unwrap_or_default();
    let set = |path: &str, value: &str| Request::PatientSet {
        patient: patient.clone(),
        path: path.into(),
        value: value.into(),
    };
    let note = |text: &str| Request::PatientNote {
        patient: patient.clone(),
        text: text.into(),
    };
    for clinic in [a, b] {
        clinic.node.disconnect().await;
    }
    a.ask(set("phone", "555-0150")).await?;
    a.ask(note(
        "Seen at Riverside: cough for three days, chest clear.",
    ))
    .await?;
    let pressure = salus_api::blood_pressure(148, 92, None);
    a.ask(Request::Add {
        patient: patient.clone(),
        item: Box::new(pressure),
    })
    .await?;
    b.ask(set("phone", "555-0199")).await?;
    b.ask(note("Telephone consultation from Hilltop: feels better."))
        .await?;
    for clinic in [a, b] {
        clinic.node.connect().await?;
    }
    tell.done("edited apart, the network unplugged: both changed the same phone number, each wrote a note");
    Ok(patient)
}

/// They reconnect: everything merges, the one real conflict is shown and settled.
async fn converge(clinics: &[Clinic], tell: &mut Teller<'_>) -> Result<String, ApiError> {
    let patient = apart(clinics, tell).await?;
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    let (sent, received) = a.sync().await?;
    let (at_a, at_b) = (a.show(&patient).await?, b.show(&patient).await?);
    expect(
        at_a.content == at_b.content,
        "both clinics show the same record",
    )?;
    expect(at_a.content.notes.len() == 2, "both notes are there")?;
    expect(
        at_a.conflicts.len() == 1 && at_b.conflicts.len() == 1,
        "the phone numbers conflict",
    )?;
    tell.done(&format!(
        "reconnected and converged: {sent} entries one way, {received} the other, 1 conflict shown on both sides"
    ));
    let conflict = at_a
        .conflicts
        .first()
        .ok_or_else(|| ApiError::failed("no conflict"))?;
    expect(conflict.values.len() == 2, "both values are kept")?;
    let value = conflict
        .values
        .iter()
        .find(|value| value.value == serde_json::json!("555-0199"))
        .map(|value| value.value.clone())
        .ok_or_else(|| ApiError::failed("Hilltop's value is not among the choices"))?;
    let path = conflict.path.clone();
    a.ask(Request::Resolve {
        patient: patient.clone(),
        path,
        value,
        why: None,
    })
    .await?;
    a.sync().await?;
    let (at_a, at_b) = (a.show(&patient).await?, b.show(&patient).await?);
    expect(
        at_a.conflicts.is_empty() && at_b.conflicts.is_empty(),
        "the conflict is settled",
    )?;
    expect(
        at_b.content.patient.phone.as_deref() == Some("555-0199"),
        "the choice stands",
    )?;
    a.sync().await?;
    b.sync().await?;
    let (at_a, at_b) = (a.show(&patient).await?, b.show(&patient).await?);
    expect(
        at_a.heights == at_b.heights,
        "both clinics hold the same log",
    )?;
    expect(
        at_a.content == at_b.content,
        "both clinics show the same record",
    )?;
    tell.done("a physician settled the conflict: equal records and equal heights on both sides");
    Ok(patient)
}

/// Both run and are connected: an edit at one appears at the other.
async fn live(clinics: &[Clinic], tell: &mut Teller<'_>) -> Result<(), ApiError> {
    let [a, b, ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    a.sync().await?;
    let patient = a
        .patients()
        .await?
        .first()
        .map(|row| row.id.clone())
        .unwrap_or_default();
    let mut events = b.client.open(b.auth.clone(), Request::Subscribe).await?;
    // The subscription is taken up by another task: let it arrive before the edit.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    a.ask(Request::PatientNote {
        patient: patient.clone(),
        text: "Seen live.".into(),
    })
    .await?;
    let seen = tokio::time::timeout(SEEN_WITHIN, async {
        while let Some(reply) = events.recv().await {
            if matches!(&reply, Reply::Event(Event::PatientsChanged(ids)) if ids.contains(&patient))
            {
                return true;
            }
        }
        false
    })
    .await;
    expect(seen == Ok(true), "the edit appears at the other clinic")?;
    let ms = begun.elapsed().as_secs_f64() * 1000.0;
    let view = b.show(&patient).await?;
    expect(
        view.content
            .notes
            .iter()
            .any(|note| note.text == "Seen live."),
        "the note is readable at the other clinic",
    )?;
    tell.done(&format!(
        "an edit at {} was visible at {} after {ms:.0} ms",
        a.name, b.name
    ));
    Ok(())
}

async fn verify(clinics: &[Clinic], tell: &mut Teller<'_>) -> Result<(), ApiError> {
    let mut entries = 0;
    for clinic in clinics {
        let Response::Verified(report) = clinic.ask(Request::AuditVerify { patient: None }).await?
        else {
            return Err(ApiError::failed("verification gave no report"));
        };
        if let Some(problem) = report.problems.first() {
            return Err(ApiError::integrity(format!(
                "{}: {}",
                clinic.name, problem.what
            )));
        }
        entries += report.entries;
    }
    tell.done(&format!(
        "every clinic verified its whole log: {entries} entries, signatures, chains, rights and trees"
    ));
    Ok(())
}

/// Somebody edits a copy of the disk by hand: it is found.
async fn tamper(original: &Path, copy: &Path, tell: &mut Teller<'_>) -> Result<(), ApiError> {
    std::fs::create_dir_all(copy).map_err(|e| crate::folder::io_error("make", copy, &e))?;
    for name in [
        "vault.salus",
        "store.redb",
        "store.redb.mark",
        "settings.json",
    ] {
        let (from, to) = (original.join(name), copy.join(name));
        std::fs::copy(&from, &to).map_err(|e| crate::folder::io_error("copy", &from, &e))?;
    }
    alter(&copy.join("store.redb"))?;
    let passphrase = Passphrase::new(PASSPHRASE.to_owned());
    let found = async {
        let clinic = open(
            "the tampered copy",
            copy,
            Auth::Passphrase {
                staff: None,
                passphrase,
            },
        )
        .await?;
        let answer = clinic.ask(Request::AuditVerify { patient: None }).await;
        clinic.node.close().await;
        match answer? {
            Response::Verified(report) => Ok(report.problems.len()),
            other => Err(unexpected(&other)),
        }
    }
    .await;
    match found {
        Ok(problems) => expect(problems > 0, "the change is found")?,
        // Damage that stops the store from opening at all is found, too.
        Err(error) if error.kind == ErrorKind::Integrity => {}
        Err(error) => return Err(error),
    }
    tell.done("a copy of the store was altered on disk: opening or verifying it said so");
    Ok(())
}

/// Changes one byte in each page behind the file's header: which pages are in use is redb's secret.
fn alter(path: &Path) -> Result<(), ApiError> {
    /// Size of redb's pages, bytes.
    const PAGE: usize = 4_096;
    let mut bytes = std::fs::read(path).map_err(|e| crate::folder::io_error("read", path, &e))?;
    // The first pages hold the file's own header; the records come after it.
    for page in bytes.chunks_mut(PAGE).skip(2) {
        if let Some(byte) = page.get_mut(PAGE / 2) {
            *byte ^= 0x20;
        }
    }
    std::fs::write(path, &bytes).map_err(|e| crate::folder::io_error("write", path, &e))
}

async fn ui(clinics: &[Clinic], options: &DemoOptions) -> Result<(), ApiError> {
    let [first, others @ ..] = clinics else {
        return Err(ApiError::failed("no clinics"));
    };
    for clinic in clinics {
        if let Some(mesh) = clinic.node.mesh().await {
            mesh.keep_connected(true);
        }
    }
    let banner = format!(
        "demo: {} of {} clinics, {} made-up patients",
        first.name,
        others.len() + 1,
        options.patients
    );
    salus_tui::run(
        first.client.clone(),
        salus_tui::Options {
            auth: Some(first.auth.clone()),
            staff: None,
            banner: Some(banner),
        },
    )
    .await
    .map_err(|e| {
        ApiError::failed(format!("the terminal UI ended: {e}"))
            .hint("`salus demo --headless` plays the story without a terminal")
    })
}

fn expect(holds: bool, what: &str) -> Result<(), ApiError> {
    if holds {
        return Ok(());
    }
    Err(ApiError::failed(format!(
        "the demo's story broke: {what} - but not so"
    )))
}

fn unexpected(response: &Response) -> ApiError {
    let kind = format!("{response:?}");
    let kind: String = kind.chars().take_while(|c| c.is_alphanumeric()).collect();
    ApiError::failed(format!("the node answered {kind}, which was not asked for"))
}
