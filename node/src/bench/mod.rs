//! `salus bench`: the project's own measurements, over the same code that clinics run.

mod scale;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use salus_api::{
    ApiError, Auth, Client, Event, NetworkMode, Passphrase, Reply, Request, Response, Right, Role,
};
use salus_audit::LogId;
use salus_record::Edit;
use serde_json::json;

use crate::core::Staff;
use crate::folder::{Folder, io_error};
use crate::made_up;
use crate::node::{Node, NodeOptions, blocking, lock};
use crate::service;
use crate::setup::{InitOptions, init};

/// Made-up patients where no folder of FHIR files is given.
const PATIENTS: u64 = 40;
/// Single edits that the sync benchmark adds to the imported patients, so that most entries are small, as in a clinic's day.
const EDITS: usize = 10_000;
/// Edits whose way to the other clinic is timed.
const SEEN_EDITS: usize = 100;
/// An edit that is not seen within this time makes the benchmark fail.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// What can be measured, in the order in which it is.
pub const NAMES: [&str; 6] = ["import", "sync", "visible", "verify", "first-sync", "scale"];
/// Those that run when none is named: the others take minutes.
const USUAL: [&str; 4] = ["import", "sync", "visible", "verify"];
/// What the clinics of a benchmark are unlocked with.
const PASSPHRASE: &str = "benchmark passphrase";

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct BenchOptions {
    /// Names out of [`NAMES`]; the quick ones where empty.
    pub names: Vec<String>,
    /// One JSON object a line instead of a table.
    pub json: bool,
    /// Folder of FHIR files to import; made-up patients where absent.
    pub data: Option<PathBuf>,
}

struct Site {
    node: Arc<Node>,
    client: Client,
    auth: Auth,
    staff: Staff,
    name: String,
}

impl Site {
    async fn new(root: &Path, name: &str) -> Result<Self, ApiError> {
        let folder = root.join(name);
        let passphrase = Passphrase::new(PASSPHRASE.to_owned());
        let options = InitOptions {
            data_dir: folder.clone(),
            clinic: name.to_owned(),
            staff: "Bench".to_owned(),
            role: Role::Physician,
            passphrase: passphrase.clone(),
            network: NetworkMode::Loopback,
            test_kdf: true,
        };
        blocking(move || init(options)).await?;
        let data = Folder::new(folder);
        let held = data
            .lock()?
            .ok_or_else(|| ApiError::failed("the folder is in use"))?;
        let (node, client) = service::open(data, held, NodeOptions::in_process(true, false))?;
        let auth = Auth::Passphrase {
            staff: None,
            passphrase,
        };
        let worker = node.recognise(auth.clone()).await?;
        let Response::Unlocked { session, .. } = client.call(auth, Request::Unlock).await? else {
            return Err(ApiError::failed("the node did not unlock"));
        };
        let auth = Auth::Session(session);
        Ok(Self {
            node,
            client,
            auth,
            staff: worker.staff,
            name: name.to_owned(),
        })
    }

    async fn ask(&self, request: Request) -> Result<Response, ApiError> {
        self.client.call(self.auth.clone(), request).await
    }

    async fn know(&self, other: &Self) -> Result<(), ApiError> {
        if let Response::Clinic(view) = other.ask(Request::ClinicId).await? {
            self.ask(Request::PeerAdd {
                id: view.id,
                addresses: view.addresses,
            })
            .await?;
        }
        Ok(())
    }
}

/// Collects figures and prints them as they come.
struct Report<'a> {
    print: &'a mut (dyn FnMut(&str) + Send),
    json: bool,
}

impl Report<'_> {
    fn figure(&mut self, bench: &str, what: &str, value: f64, unit: &str) {
        if self.json {
            let line = json!({ "bench": bench, "figure": what, "value": value, "unit": unit });
            (self.print)(&line.to_string());
        } else {
            (self.print)(&format!("{bench:<10} {what:<58} {value:>12.1} {unit}"));
        }
    }
}

/// Runs the benchmarks; `print` gets each line of the result.
pub async fn run(
    options: BenchOptions,
    print: &mut (dyn FnMut(&str) + Send),
) -> Result<(), ApiError> {
    let mut report = Report {
        print,
        json: options.json,
    };
    if let (Some(name), Some(folder)) = (options.names.first(), &options.data)
        && name == scale::OPENED
    {
        return scale::opened(folder.clone(), &mut report).await;
    }
    if let Some(unknown) = options
        .names
        .iter()
        .find(|name| !NAMES.contains(&name.as_str()))
    {
        return Err(
            ApiError::usage(format!("there is no benchmark `{unknown}`"))
                .hint(format!("the benchmarks are {}", NAMES.join(", "))),
        );
    }
    let wants = |name: &str| match options.names.as_slice() {
        [] => USUAL.contains(&name),
        names => names.iter().any(|wanted| wanted == name),
    };
    let dir = tempfile::Builder::new()
        .prefix("salus-bench-")
        .tempdir()
        .map_err(|e| ApiError::failed(format!("no folder for the benchmark could be made: {e}")))?;
    if wants("first-sync") {
        scale::first_sync(dir.path(), &mut report).await?;
    }
    if wants("scale") {
        scale::large(dir.path(), &mut report).await?;
    }
    if !USUAL.iter().any(|name| wants(name)) {
        return Ok(());
    }
    let files = match &options.data {
        Some(folder) => fhir_files(folder)?,
        None => made_up_files(&dir.path().join("fhir"))?,
    };
    let a = Site::new(dir.path(), "a").await?;
    let b = Site::new(dir.path(), "b").await?;
    let patients = import(&a, &files, wants("import").then_some(&mut report)).await?;
    a.know(&b).await?;
    b.know(&a).await?;
    if wants("sync") || wants("visible") || wants("verify") {
        let measured = sync(&a, &b, &patients, wants("sync").then_some(&mut report)).await;
        measured?;
    }
    if wants("visible") {
        visible(&a, &b, &patients, &mut report).await?;
    }
    if wants("verify") {
        verify(&b, &mut report).await?;
    }
    a.node.close().await;
    b.node.close().await;
    Ok(())
}

/// Two files at a time, as `salus import` does.
async fn import(
    site: &Site,
    files: &[PathBuf],
    report: Option<&mut Report<'_>>,
) -> Result<Vec<String>, ApiError> {
    let begun = Instant::now();
    let (mut bytes, mut entries, mut patients) = (0u64, 0u64, Vec::new());
    let mut running = tokio::task::JoinSet::new();
    let mut left = files.iter();
    loop {
        while running.len() < 2 {
            let Some(path) = left.next() else { break };
            let (client, auth, path) = (site.client.clone(), site.auth.clone(), path.clone());
            running.spawn(async move { client.call(auth, Request::Import { path }).await });
        }
        let Some(done) = running.join_next().await else {
            break;
        };
        let answer = done.map_err(|_| ApiError::failed("an import broke off"))??;
        if let Response::Imported(imported) = answer {
            bytes += imported.bytes;
            entries += imported.entries;
            patients.extend(imported.patients);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    if let Some(report) = report {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (bytes, entries) = (bytes as f64, entries as f64);
        report.figure("import", "patients", count(patients.len()), "");
        report.figure(
            "import",
            "FHIR JSON, typed, signed, sealed, durable",
            bytes / 1e6 / seconds,
            "MB/s",
        );
        report.figure("import", "entries written", entries, "");
    }
    Ok(patients)
}

/// A first sync of everything to an empty clinic.
async fn sync(
    a: &Site,
    b: &Site,
    patients: &[String],
    report: Option<&mut Report<'_>>,
) -> Result<(), ApiError> {
    b.ask(Request::Sync { clinic: None }).await?;
    let edits = EDITS / patients.len().max(1);
    let logs: Vec<LogId> = patients.iter().filter_map(|id| id.parse().ok()).collect();
    let staff = a.staff.clone();
    let begun = Instant::now();
    a.node
        .with_core(move |core| {
            for log in logs {
                let batch = (0..edits).map(|n| vec![Edit::Put(weight(n))]);
                core.edit_many(&staff, log, batch, "weight measured")?;
            }
            Ok(())
        })
        .await?;
    let writing = begun.elapsed().as_secs_f64();
    for patient in patients {
        let grant = Request::Grant {
            patient: patient.clone(),
            clinic: b.name.clone(),
            right: Right::Write,
        };
        a.ask(grant).await?;
    }
    let Response::Synced(reports) = b.ask(Request::Sync { clinic: None }).await? else {
        return Err(ApiError::failed("the sync gave no report"));
    };
    let Some(first) = reports.first() else {
        return Err(ApiError::failed("nobody to sync with"));
    };
    if let Some(error) = &first.error {
        return Err(ApiError::failed(error.clone()));
    }
    let again = Instant::now();
    b.ask(Request::Sync { clinic: None }).await?;
    let in_step = again.elapsed().as_secs_f64();
    let Some(report) = report else { return Ok(()) };
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (received, bytes) = (first.received as f64, first.bytes as f64);
    let written = count(edits * patients.len());
    report.figure(
        "sync",
        "single edits written in batches at the first clinic",
        written / writing,
        "entries/s",
    );
    report.figure("sync", "entries received by an empty clinic", received, "");
    report.figure(
        "sync",
        "received, verified, sealed, durable",
        received / first.seconds,
        "entries/s",
    );
    report.figure(
        "sync",
        "the same in bytes on the wire",
        bytes / 1e6 / first.seconds,
        "MB/s",
    );
    report.figure(
        "sync",
        "two clinics in step: asking and knowing",
        in_step * 1000.0,
        "ms",
    );
    report.figure(
        "sync",
        "signatures alone, two an entry, one thread",
        signature_rate(a)?,
        "entries/s",
    );
    Ok(())
}

/// How fast the same entries' signatures are judged with nothing else done: the limit that they set.
fn signature_rate(site: &Site) -> Result<f64, ApiError> {
    let core = site.node.core()?;
    let entries = lock(&core).sample_entries(1_024)?;
    if entries.is_empty() {
        return Ok(0.0);
    }
    let begun = Instant::now();
    let mut judged = 0;
    while begun.elapsed() < Duration::from_millis(500) {
        judged += salus_audit::verify_signatures(&entries).len();
    }
    Ok(count(judged) / begun.elapsed().as_secs_f64())
}

/// From a durable edit at one clinic to its event at the other, both running.
async fn visible(
    a: &Site,
    b: &Site,
    patients: &[String],
    report: &mut Report<'_>,
) -> Result<(), ApiError> {
    let Some(patient) = patients.first() else {
        return Ok(());
    };
    let mut events = b.client.open(b.auth.clone(), Request::Subscribe).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut seen = Vec::new();
    let mut durable = Vec::new();
    for n in 0..SEEN_EDITS {
        while events.try_recv().is_ok() {}
        let begun = Instant::now();
        let text = format!("note {n}");
        a.ask(Request::PatientNote {
            patient: patient.clone(),
            text,
        })
        .await?;
        durable.push(begun.elapsed().as_secs_f64() * 1000.0);
        let wait = async {
            while let Some(reply) = events.recv().await {
                if matches!(&reply, Reply::Event(Event::PatientsChanged(ids)) if ids.contains(patient))
                {
                    return true;
                }
            }
            false
        };
        if tokio::time::timeout(SEEN_WITHIN, wait).await != Ok(true) {
            return Err(ApiError::failed("an edit was not seen at the other clinic"));
        }
        seen.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    report.figure(
        "visible",
        "edit durable here, median",
        quantile(&mut durable, 0.5),
        "ms",
    );
    report.figure(
        "visible",
        "edit visible at the other clinic, median",
        quantile(&mut seen, 0.5),
        "ms",
    );
    report.figure(
        "visible",
        "edit visible at the other clinic, 95th percentile",
        quantile(&mut seen, 0.95),
        "ms",
    );
    Ok(())
}

async fn verify(site: &Site, report: &mut Report<'_>) -> Result<(), ApiError> {
    let begun = Instant::now();
    let Response::Verified(found) = site.ask(Request::AuditVerify { patient: None }).await? else {
        return Err(ApiError::failed("verification gave no report"));
    };
    if let Some(problem) = found.problems.first() {
        return Err(ApiError::integrity(problem.what.clone()));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let rate = found.entries as f64 / begun.elapsed().as_secs_f64();
    report.figure(
        "verify",
        "audit verify --all, documents rebuilt",
        rate,
        "entries/s",
    );
    Ok(())
}

fn weight(n: usize) -> salus_record::Item {
    use salus_record::{CodeableConcept, Observation, ObservationValue, Quantity, Timing};
    salus_record::Item::Observation(Observation {
        id: format!("bench-{n}"),
        status: Some("final".into()),
        code: CodeableConcept::code("http://loinc.org", "29463-7", "Body weight"),
        value: Some(ObservationValue::Quantity(Quantity {
            value: format!("{}.{}", 60 + n % 40, n % 10).parse().ok(),
            unit: Some("kg".into()),
            ..Quantity::default()
        })),
        effective: Some(Timing::DateTime(format!(
            "2026-{:02}-{:02}",
            1 + n % 12,
            1 + n % 28
        ))),
        ..Observation::default()
    })
}

fn fhir_files(folder: &Path) -> Result<Vec<PathBuf>, ApiError> {
    let mut files = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|e| io_error("read", folder, &e))?;
    for entry in entries {
        let path = entry.map_err(|e| io_error("read", folder, &e))?.path();
        let name = path.to_string_lossy();
        if [".json", ".ndjson", ".gz"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn made_up_files(folder: &Path) -> Result<Vec<PathBuf>, ApiError> {
    std::fs::create_dir_all(folder).map_err(|e| io_error("make", folder, &e))?;
    let mut files = Vec::new();
    for n in 0..PATIENTS {
        let path = folder.join(format!("{n}.json"));
        let options = salus_fhir::ExportOptions { time_ms: 0 };
        let text = salus_fhir::export_bundle(&made_up::patient(1, n), &options);
        std::fs::write(&path, text).map_err(|e| io_error("write", &path, &e))?;
        files.push(path);
    }
    Ok(files)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn count(n: usize) -> f64 {
    n as f64
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index within the slice"
    )]
    let at = (q * count(values.len().saturating_sub(1))).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
