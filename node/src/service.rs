//! Answers the API: each request in, one answer out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use salus_api::{
    ApiError, Auth, Client, Envelope, ErrorKind, Event, ExportFormat, ImportReport, Passphrase,
    Progress, Reply, Request, Response, Status,
};
use salus_audit::LogId;
use salus_fhir::{CsvOptions, ExportOptions, Import, IpsOptions, Limits};
use tokio::sync::{broadcast, mpsc};

use crate::attachments::{self, ToAttach, ToFetch, ToLook};
use crate::core::{Core, Imported, Prepared, Source, Staff, ToImport, log_right, verify_all};
use crate::folder::{Folder, FolderLock, dialable};
use crate::network;
use crate::node::{Node, NodeOptions, Worker, blocking, lock};

/// Rows of an audit log in one answer, at most.
const MAX_AUDIT_ROWS: u32 = 10_000;
/// How long `peers add` waits for the other clinic to answer: one that runs nearby does so in milliseconds.
const FIRST_CONTACT: Duration = Duration::from_millis(700);
/// Patients in one search answer, at most.
const MAX_FOUND: u32 = 1_000;

/// Starts a sealed node on a folder that this process holds, and serves it to the handle that comes with it.
pub fn open(
    folder: Folder,
    held: FolderLock,
    options: NodeOptions,
) -> Result<(Arc<Node>, Client), ApiError> {
    let node = Node::start(folder, held, options)?;
    let (client, calls) = salus_api::channel();
    tokio::spawn(serve(Arc::clone(&node), calls));
    Ok((node, client))
}

/// Serves calls until every client is gone.
async fn serve(node: Arc<Node>, mut calls: mpsc::Receiver<Envelope>) {
    while let Some(envelope) = calls.recv().await {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let replies = envelope.replies;
            let answer = answer(&node, envelope.call.auth, envelope.call.request, &replies).await;
            // A caller that hung up wants no answer.
            let _ = replies.send(Reply::Done(answer)).await;
        });
    }
}

async fn answer(
    node: &Arc<Node>,
    auth: Auth,
    request: Request,
    replies: &mpsc::Sender<Reply>,
) -> Result<Response, ApiError> {
    // What needs nobody.
    match (&request, &auth) {
        (Request::Status, Auth::Nobody) => return status(node, None).await,
        (Request::Lock, _) => {
            node.lock_now();
            return Ok(Response::Done("locked".into()));
        }
        _ => {}
    }
    if matches!(
        (&request, &auth),
        (Request::StaffPassphrase { .. }, Auth::Session(_))
    ) {
        // A desk that was left open must not give somebody else this person's signature.
        return Err(ApiError::refused("changing a passphrase needs the present one")
            .hint("give it with SALUS_PASSPHRASE, --passphrase-file or at the prompt, not by an open session"));
    }
    let at_work = node.at_work();
    let worker = node.recognise(auth).await?;
    if matches!(request, Request::Subscribe) {
        // A subscriber watches and does not work: it keeps neither the node open nor anybody's keys.
        drop((worker, at_work));
        return subscribe(node, replies).await;
    }
    let who = worker.staff.clone();
    match request {
        Request::Status => status(node, Some(&worker)).await,
        Request::Unlock => {
            let session = node.open_session(worker)?;
            Ok(Response::Unlocked {
                session,
                staff: who.name,
            })
        }
        Request::StaffAdd {
            name,
            role,
            passphrase,
            recovery,
        } => staff_add(node, worker, name, (role, passphrase, recovery)).await,
        Request::StaffRetire { name, recovery } => {
            let node = Arc::clone(node);
            blocking(move || {
                let name = node.retire(&worker, &name, recovery.as_ref())?;
                Ok(Response::Done(format!(
                    "{name} is retired: nothing signed with that key from now on counts"
                )))
            })
            .await
        }
        Request::StaffPassphrase { new } => {
            let node = Arc::clone(node);
            blocking(move || {
                node.change_passphrase(&worker, &new)?;
                Ok(Response::Done(
                    "the passphrase is changed; older backups open with the old one".into(),
                ))
            })
            .await
        }
        Request::ClinicRotateKey { recovery } => {
            node.rotate_key(&worker, recovery).await?;
            Ok(Response::Done("this node has new keys and is sealed: unlock it again. Clinics that were not connected must be given its new address: `salus clinic id`".into()))
        }
        Request::Backup { path } => crate::backup::backup(node, &worker, path)
            .await
            .map(Response::Done),
        Request::Doctor { repair } => crate::doctor::examine(node, &worker, repair)
            .await
            .map(Response::Doctor),
        Request::Import { path } => import(node, &who, path, replies)
            .await
            .map(Response::Imported),
        Request::ClinicId => {
            let addresses = addresses(node).await;
            core(node, move |core| {
                Ok(Response::Clinic(core.clinic_view(&addresses)))
            })
            .await
        }
        Request::Peers => Ok(Response::Peers(network::peers(node).await?)),
        Request::PeerAdd { id, addresses } => peer_add(node, who, id, addresses).await,
        Request::Sync { clinic } => sync(node, clinic).await,
        Request::Grant {
            patient,
            clinic,
            right,
        } => grant(node, who, patient, clinic, right).await,
        Request::ClassifyAttachment {
            patient,
            attachment,
        } => {
            may_open(node, &who).await?;
            let view = attachments::classify(node, &who, patient, attachment).await?;
            Ok(Response::Classified(Box::new(view)))
        }
        Request::Classify { path, patient } => classify(node, who, path, patient).await,
        Request::Attach {
            patient,
            paths,
            about,
            confirmed,
            each,
        } => {
            let asked = ToAttach {
                patient,
                paths,
                about,
                confirmed,
                each,
            };
            attachments::attach(node, &who, asked, replies)
                .await
                .map(Response::Attached)
        }
        Request::Attachments { patient } => list_attachments(node, who, patient).await,
        Request::Fetch {
            patient,
            attachment,
            to,
            replace,
        } => {
            may_open(node, &who).await?;
            let asked = ToFetch {
                patient,
                attachment,
                to,
                replace,
            };
            let fetched = attachments::fetch(node, &who, asked, replies).await?;
            Ok(Response::Fetched(Box::new(fetched)))
        }
        Request::Preview {
            patient,
            attachment,
            window,
            frame,
            max_side,
        } => {
            may_open(node, &who).await?;
            let asked = ToLook {
                patient,
                attachment,
                window,
                frame,
                max_side,
            };
            let preview = attachments::preview(node, &who, asked).await?;
            Ok(Response::Preview(Box::new(preview)))
        }
        Request::Pin { patient, pin } => {
            may_open(node, &who).await?;
            let said = attachments::pin(node, patient, pin).await?;
            Ok(Response::Done(said))
        }
        Request::Erase {
            patient,
            attachment,
            reason,
        } => erase(node, who, patient, attachment, reason).await,
        Request::PatientShow { .. } => {
            let mut answer = core(node, move |core| simple(core, &who, request)).await?;
            if let Response::Record(view) = &mut answer {
                attachments::fill_in_all(node, &mut view.attachments).await;
            }
            Ok(answer)
        }
        Request::AuditVerify { patient } => verify(node, patient, replies).await,
        other => core(node, move |core| simple(core, &who, other)).await,
    }
}

/// Classifies an image; where a patient is named, what was said is written into the record's log before it is shown.
async fn classify(
    node: &Arc<Node>,
    who: Staff,
    path: PathBuf,
    patient: Option<String>,
) -> Result<Response, ApiError> {
    let looking = Arc::clone(node);
    let mut view = blocking(move || {
        let classifier = looking.imaging.get(looking.folder.root())?;
        crate::imaging::look(&classifier, &path)
    })
    .await?;
    if let Some(patient) = patient {
        let inference = view.inference.clone();
        let id = node
            .with_core(move |core| {
                let log = core.patient(&patient)?;
                core.infer(&who, log, inference)
            })
            .await?;
        view.suggestion = Some(id.to_string());
    }
    Ok(Response::Classified(Box::new(view)))
}

/// Refuses whoever opens no records.
async fn may_open(node: &Arc<Node>, who: &Staff) -> Result<(), ApiError> {
    let who = who.clone();
    node.with_core(move |core| {
        if core.may_view(&who) {
            Ok(())
        } else {
            Err(opens_none())
        }
    })
    .await
}

fn opens_none() -> ApiError {
    ApiError::refused("not permitted: this role opens no records")
        .hint("an auditor reads logs (`salus audit log`), an administrator keeps staff and grants")
}

async fn list_attachments(
    node: &Arc<Node>,
    who: Staff,
    patient: String,
) -> Result<Response, ApiError> {
    may_open(node, &who).await?;
    let mut views = node
        .with_core(move |core| {
            let log = core.patient(&patient)?;
            // A copy that this clinic cannot read is refused before anything is said of it.
            core.newest_key(log)?;
            let mut views = Vec::new();
            // What is shown as one is looked at as one.
            for of in core.person(log)? {
                let listed = core.attachment_views(of).and_then(|mut of_record| {
                    core.hash_inline(of, &mut of_record)?;
                    core.log_look(&who, of, "files listed")?;
                    Ok(of_record)
                });
                match listed {
                    Ok(of_record) => views.extend(of_record),
                    Err(error) if of == log => return Err(error),
                    Err(error) => tracing::warn!(log = %of, %error, "files of a linked record cannot be listed"),
                }
            }
            Ok(views)
        })
        .await?;
    attachments::fill_in_all(node, &mut views).await;
    Ok(Response::Attachments(views))
}

/// Destroys a file, or a record: its entry first, so that everybody hears of it; then the bytes that no record names any more.
async fn erase(
    node: &Arc<Node>,
    who: Staff,
    patient: String,
    attachment: Option<String>,
    reason: String,
) -> Result<Response, ApiError> {
    let said = node
        .with_core(move |core| match attachment {
            Some(attachment) => {
                let log = core.patient(&patient)?;
                core.erase_file(&who, log, &attachment, &reason)
            }
            None => {
                let log = core.patient_or_erased(&patient)?;
                core.erase_record(&who, log, &reason)
            }
        })
        .await?;
    attachments::collect(node).await?;
    Ok(Response::Done(said))
}

async fn core(
    node: &Arc<Node>,
    work: impl FnOnce(&mut Core) -> Result<Response, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    node.with_core(work).await
}

/// Requests that one look into the core answers.
fn simple(core: &mut Core, who: &Staff, request: Request) -> Result<Response, ApiError> {
    let done = |changed: bool, what: &str| {
        Response::Done(if changed {
            what.to_owned()
        } else {
            format!("nothing to change: {what}")
        })
    };
    if opens_records(&request) && !core.may_view(who) {
        return Err(opens_none());
    }
    match request {
        Request::StaffList => Ok(Response::Staff(core.staff())),
        Request::PatientNew(new) => core.register(who, new).map(Response::Patient),
        Request::PatientList => core.patients().map(Response::Patients),
        Request::PatientFind { text, limit } => core
            .search(&text, size(limit.min(MAX_FOUND)))
            .map(Response::Patients),
        Request::PatientShow { patient, at } => {
            let log = core.patient(&patient)?;
            let mut view = match &at {
                None => core.show(log)?,
                Some(at) => core.show_at(log, at)?,
            };
            let purpose = match &at {
                None => "record shown",
                Some(_) => "record shown as it was",
            };
            match look_at_all(core, who, log, &view, purpose) {
                Ok(()) => {}
                // A damaged store takes no entries; what is intact in it stays readable, and says so.
                Err(error) if error.kind == ErrorKind::Integrity => {
                    view.verified = false;
                    view.problems
                        .push(format!("this look could not be logged: {}", error.message));
                }
                Err(error) => return Err(error),
            }
            Ok(Response::Record(Box::new(view)))
        }
        Request::PatientSet {
            patient,
            path,
            value,
        } => {
            let log = core.patient(&patient)?;
            core.set(who, log, &path, &value)
                .map(|changed| done(changed, "the field is set"))
        }
        Request::PatientNote { patient, text } => {
            let log = core.patient(&patient)?;
            core.note(who, log, &text)?;
            Ok(Response::Done("the note is written".into()))
        }
        Request::PatientHistory { patient } => {
            let log = core.patient_or_erased(&patient)?;
            core.log_look(who, log, "history shown")?;
            core.history(log, size(MAX_AUDIT_ROWS), true)
                .map(Response::Audit)
        }
        Request::Conflicts { patient } => {
            let log = core.patient(&patient)?;
            let conflicts = core.conflicts(log)?;
            core.log_look(who, log, "conflicts shown")?;
            Ok(Response::Conflicts(conflicts))
        }
        Request::Resolve {
            patient,
            path,
            value,
            why,
        } => {
            let log = core.patient(&patient)?;
            core.resolve(who, log, &path, value, why.as_deref())?;
            Ok(Response::Done("the conflict is settled".into()))
        }
        Request::Acknowledge {
            patient,
            concern,
            why,
        } => {
            let log = core.patient(&patient)?;
            core.acknowledge(who, log, &concern, &why)?;
            Ok(Response::Done("noted: the merge stands".into()))
        }
        Request::Duplicates { patient } => {
            let found = match patient {
                Some(patient) => {
                    let log = core.patient(&patient)?;
                    core.duplicates(log)?
                }
                None => core.all_duplicates()?,
            };
            Ok(Response::Duplicates(found))
        }
        Request::Link { patient, other } => {
            let (log, other) = (core.patient(&patient)?, core.patient(&other)?);
            core.link(who, log, other)
                .map(|changed| done(changed, "both records are shown as one"))
        }
        Request::Unlink { patient, other } => {
            let (log, other) = (core.patient(&patient)?, core.patient(&other)?);
            core.unlink(who, log, other)
                .map(|changed| done(changed, "the records stand apart"))
        }
        Request::Quarantine {
            patient,
            entry,
            why,
        } => {
            let log = core.patient(&patient)?;
            let Some(hash) = core.quarantine(who, log, &entry, &why)? else {
                return Ok(done(false, "that entry counts for nothing already"));
            };
            let short: String = hash.to_string().chars().take(12).collect();
            Ok(Response::Done(format!(
                "{short} is held out of the record, everywhere"
            )))
        }
        Request::Revoke { patient, clinic } => {
            let log = core.patient_or_erased(&patient)?;
            let clinic = core.find_clinic(&clinic)?;
            let name = core.clinic_name(clinic);
            let what = format!(
                "{name} gets nothing more of this record, and can read nothing that is written from now on"
            );
            core.revoke(who, log, clinic)
                .map(|changed| done(changed, &what))
        }
        Request::AuditAccesses { patient } => {
            let log = core.patient_or_erased(&patient)?;
            let open = core.may_view(who);
            if open {
                core.log_look(who, log, "accesses shown")?;
            }
            core.accesses(log, size(MAX_AUDIT_ROWS), open)
                .map(Response::Audit)
        }
        Request::AuditProve {
            patient,
            entry,
            since,
        } => {
            let log = patient
                .map(|text| core.patient_or_erased(&text))
                .transpose()?;
            core.prove(log, entry.as_deref(), since.as_deref())
                .map(Response::Proof)
        }
        Request::Add { patient, item } => {
            let log = core.patient(&patient)?;
            core.add(who, log, *item).map(|id| Response::Added { id })
        }
        Request::Stop {
            patient,
            kind,
            item,
            why,
        } => {
            let log = core.patient(&patient)?;
            let label = core.stop(who, log, kind, &item, why)?;
            Ok(Response::Done(format!("stopped: {label}")))
        }
        Request::Infer { patient, inference } => {
            let log = core.patient(&patient)?;
            let id = core.infer(who, log, *inference)?;
            Ok(Response::Added { id: id.to_string() })
        }
        Request::Suggestions { patient } => {
            let log = core.patient(&patient)?;
            let suggestions = core.suggestions(log)?;
            core.log_look(who, log, "suggestions of models shown")?;
            Ok(Response::Suggestions(suggestions))
        }
        Request::Accept {
            patient,
            suggestion,
            label,
        } => {
            let log = core.patient(&patient)?;
            core.accept(who, log, &suggestion, label.as_deref())
                .map(Response::Done)
        }
        Request::Reject {
            patient,
            suggestion,
            why,
        } => {
            let log = core.patient(&patient)?;
            core.reject(who, log, &suggestion, &why).map(Response::Done)
        }
        Request::FindImages { category, patient } => {
            let log = patient.map(|text| core.patient(&text)).transpose()?;
            core.find_images(who, &category, log).map(Response::Images)
        }
        Request::Export { patient, format } => {
            let log = core.patient(&patient)?;
            let view = core.show(log)?;
            core.log_disclosure(who, log, "record exported")?;
            for linked in view.linked.iter().filter_map(|row| row.id.parse().ok()) {
                core.log_disclosure(who, linked, "record exported")?;
            }
            Ok(Response::Exported(export(core, who, &view, format)))
        }
        Request::Grants { patient } => {
            let log = core.patient_or_erased(&patient)?;
            core.grants(log).map(Response::Grants)
        }
        Request::AuditLog {
            patient: Some(patient),
            limit,
        } => {
            let log = core.patient_or_erased(&patient)?;
            // An auditor reads the log, not the record: headers, without what is sealed.
            let open = core.may_view(who);
            if open {
                core.log_look(who, log, "audit log shown")?;
            }
            core.history(log, size(limit.min(MAX_AUDIT_ROWS)), open)
                .map(Response::Audit)
        }
        Request::AuditLog {
            patient: None,
            limit,
        } => core
            .audit_log(size(limit.min(MAX_AUDIT_ROWS)))
            .map(Response::Audit),
        _ => Err(ApiError::usage("this node does not know that request")
            .hint("use clients and daemon of the same version")),
    }
}

/// Writes a record, and what is shown as one with it, in a form that others read.
fn export(core: &Core, who: &Staff, view: &salus_api::PatientView, format: ExportFormat) -> String {
    let time_ms = core.now_ms();
    let mut content = view.content.clone();
    // By its id the record is recognised when the file is imported, here and elsewhere.
    content
        .patient
        .source_id
        .get_or_insert_with(|| view.row.id.clone());
    match format {
        ExportFormat::Fhir => salus_fhir::export_bundle(&content, &ExportOptions { time_ms }),
        ExportFormat::Ips => {
            let options = IpsOptions {
                time_ms,
                clinic: core.clinic_name(core.me()),
                practitioner: Some(who.name.clone()),
                ..IpsOptions::default()
            };
            salus_fhir::export_ips(&content, &options)
        }
        ExportFormat::Csv => salus_fhir::export_csv(&content, &CsvOptions::default()),
    }
}

/// Logs a look at a record, and at those that are shown as one with it.
fn look_at_all(
    core: &mut Core,
    who: &Staff,
    log: LogId,
    view: &salus_api::PatientView,
    purpose: &str,
) -> Result<(), ApiError> {
    core.log_look(who, log, purpose)?;
    for row in &view.linked {
        if let Ok(linked) = row.id.parse() {
            core.log_look(who, linked, purpose)?;
        }
    }
    Ok(())
}

/// Whether a request shows or changes what records say, or who is a patient here.
fn opens_records(request: &Request) -> bool {
    matches!(
        request,
        Request::PatientNew(_)
            | Request::PatientList
            | Request::PatientFind { .. }
            | Request::PatientShow { .. }
            | Request::PatientSet { .. }
            | Request::PatientNote { .. }
            | Request::PatientHistory { .. }
            | Request::Conflicts { .. }
            | Request::Resolve { .. }
            | Request::Acknowledge { .. }
            | Request::Duplicates { .. }
            | Request::Link { .. }
            | Request::Unlink { .. }
            | Request::Add { .. }
            | Request::Stop { .. }
            | Request::Export { .. }
            | Request::Infer { .. }
            | Request::Suggestions { .. }
            | Request::Accept { .. }
            | Request::Reject { .. }
            | Request::FindImages { .. }
    )
}

async fn status(node: &Arc<Node>, worker: Option<&Worker>) -> Result<Response, ApiError> {
    let addresses = addresses(node).await;
    let connected = match node.mesh().await {
        Some(mesh) => mesh
            .peers()
            .await
            .iter()
            .filter(|peer| peer.connected)
            .count(),
        None => 0,
    };
    let mut status = Status {
        clinic: None,
        name: None,
        state: node.state(),
        staff: worker.map(|worker| worker.staff.name.clone()),
        daemon: node.options.daemon,
        network: node.settings.network,
        addresses: Vec::new(),
        patients: None,
        logs: 0,
        entries: 0,
        connected: u32::try_from(connected).unwrap_or(u32::MAX),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let known = worker.is_some();
    if let Ok(core) = node.core() {
        let mut core = lock(&core);
        (status.logs, status.entries) = core.size();
        if known {
            let view = core.clinic_view(&addresses);
            status.clinic = Some(view.id);
            status.name = Some(view.name);
            status.addresses = view.addresses;
            status.patients = core.patients().ok().map(|rows| rows.len() as u64);
        }
    }
    Ok(Response::Status(status))
}

/// Where others can dial this node.
async fn addresses(node: &Arc<Node>) -> Vec<std::net::SocketAddr> {
    match node.mesh().await {
        Some(mesh) => mesh.addresses(),
        None => dialable(
            node.options
                .listen
                .unwrap_or_else(|| node.settings.listen()),
        ),
    }
}

async fn staff_add(
    node: &Arc<Node>,
    worker: Worker,
    name: String,
    (role, passphrase, recovery): (salus_api::Role, Passphrase, Option<Passphrase>),
) -> Result<Response, ApiError> {
    let node = Arc::clone(node);
    blocking(move || {
        let name = name.trim().to_owned();
        node.enrol(&worker, &name, role, &passphrase, recovery.as_ref())?;
        Ok(Response::Done(format!("{name} is enrolled")))
    })
    .await
}

async fn peer_add(
    node: &Arc<Node>,
    who: Staff,
    id: String,
    addresses: Vec<String>,
) -> Result<Response, ApiError> {
    let clinic = node
        .with_core(move |core| {
            if !core.may_grant(&who) {
                return Err(ApiError::refused(
                    "not permitted: this role makes no clinics known",
                ));
            }
            core.add_peer(&id, &addresses).map(|peer| peer.clinic)
        })
        .await?;
    node.tell_peers().await?;
    node.tell(Event::PeersChanged);
    // A first contact fetches the other clinic's roster, so that records can be granted at once; a clinic that
    // does not answer now is met later.
    if !node
        .with_core(move |core| Ok(core.knows_roster(clinic)))
        .await?
    {
        let first = network::sync_with(node, clinic);
        let _ = tokio::time::timeout(FIRST_CONTACT, first).await;
    }
    Ok(Response::Peers(network::peers(node).await?))
}

async fn sync(node: &Arc<Node>, clinic: Option<String>) -> Result<Response, ApiError> {
    let clinics = node
        .with_core(move |core| match clinic {
            Some(text) => Ok(vec![core.find_clinic(&text)?]),
            None => Ok(core.peers()?.into_iter().map(|peer| peer.clinic).collect()),
        })
        .await?;
    if clinics.is_empty() {
        return Err(ApiError::not_found("no other clinic is known here")
            .hint("make one known with `salus peers add ID ADDRESS`"));
    }
    let reports = network::sync_all(node, clinics).await;
    // What arrived is shown from now on: the answer waits for the index.
    while node.with_core(|core| core.digest_dirty(64)).await? > 0 {}
    if !node.options.daemon {
        // A daemon brings files in its own time; a command ends now.
        attachments::catch_up(node).await;
    }
    Ok(Response::Synced(reports))
}

async fn grant(
    node: &Arc<Node>,
    who: Staff,
    patient: String,
    clinic: String,
    right: salus_api::Right,
) -> Result<Response, ApiError> {
    let (log, clinic, known) = node
        .with_core(move |core| {
            let log = core.patient(&patient)?;
            let clinic = core.find_clinic(&clinic)?;
            Ok((log, clinic, core.knows_roster(clinic)))
        })
        .await?;
    if !known {
        // Its keys are in its roster: ask for it now.
        let first = network::sync_with(node, clinic);
        let _ = tokio::time::timeout(FIRST_CONTACT, first).await;
    }
    core(node, move |core| {
        let name = core.clinic_name(clinic);
        Ok(Response::Done(
            if core.grant(&who, log, clinic, log_right(right))? {
                format!("granted to {name}")
            } else {
                format!("{name} is entitled to as much already")
            },
        ))
    })
    .await
}

async fn verify(
    node: &Arc<Node>,
    patient: Option<String>,
    replies: &mpsc::Sender<Reply>,
) -> Result<Response, ApiError> {
    if let Some(patient) = patient {
        return core(node, move |core| {
            let log = core.patient_or_erased(&patient)?;
            core.verify_record(log).map(Response::Verified)
        })
        .await;
    }
    let replies = replies.clone();
    let core = node.core()?;
    blocking(move || {
        let mut last = 0;
        let report = verify_all(&core, |done, total| {
            // About a hundred steps, whatever the size.
            if done == total || done > last + total / 100 {
                last = done;
                let step = Progress {
                    what: "entries verified".into(),
                    done,
                    total,
                };
                let _ = replies.try_send(Reply::Progress(step));
            }
        })?;
        Ok(Response::Verified(report))
    })
    .await
}

async fn subscribe(node: &Arc<Node>, replies: &mpsc::Sender<Reply>) -> Result<Response, ApiError> {
    let mut events = node.subscribe();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    let over = event == Event::Locked;
                    if replies.send(Reply::Event(event)).await.is_err() || over {
                        break;
                    }
                }
                // A subscriber that fell behind looks at everything again.
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    if replies.send(Reply::Event(Event::PatientsChanged(Vec::new()))).await.is_err() {
                        break;
                    }
                }
                Err(broadcast::error::RecvError::Closed) => break,
            },
            () = replies.closed() => break,
        }
    }
    Ok(Response::Done("the subscription ended".into()))
}

/// Imports one file. Reading, typing and building documents happen beside other work; only the commit takes the core.
async fn import(
    node: &Arc<Node>,
    who: &Staff,
    path: PathBuf,
    replies: &mpsc::Sender<Reply>,
) -> Result<ImportReport, ApiError> {
    let begun = std::time::Instant::now();
    let who = who.clone();
    let name = path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    let replies = replies.clone();
    let core = node.core()?;
    if !lock(&core).may_view(&who) {
        return Err(ApiError::refused(
            "not permitted: this role imports no records",
        ));
    }
    let mut report = blocking(move || {
        let import = read(&path)?;
        let bytes = import.bytes;
        let total = import.patients.len() as u64;
        let (me, chain, now) = {
            let core = lock(&core);
            (core.me(), core.chain_id(), core.now_ms())
        };
        let mut report = ImportReport {
            file: name.clone(),
            bytes,
            ..ImportReport::default()
        };
        let mut ready = Vec::new();
        for (done, patient) in (1u64..).zip(import.patients) {
            count(&mut report, &patient.report);
            let source = Source::pack(&patient, &name)?;
            let known = lock(&core).known_source(&patient.source_id, &patient.content.patient)?;
            ready.push(match known {
                Some(log) => ToImport::Known(log, Box::new(patient.content), source),
                None => ToImport::New(
                    patient.source_id,
                    Box::new(Prepared::new_record(
                        patient.content,
                        Some(source),
                        me,
                        chain,
                        now,
                    )?),
                ),
            });
            let step = Progress {
                what: format!("{name}: patients read"),
                done,
                total,
            };
            let _ = replies.try_send(Reply::Progress(step));
        }
        let mut core = lock(&core);
        let (_, before) = core.size();
        let outcomes = core.import(&who, ready)?;
        report.entries = core.size().1 - before;
        for outcome in outcomes {
            let log = match outcome {
                Imported::Created(log) => {
                    report.created += 1;
                    log
                }
                Imported::Updated(log) => {
                    report.updated += 1;
                    log
                }
                Imported::Unchanged(log) => {
                    report.unchanged += 1;
                    log
                }
            };
            report.patients.push(log.to_string());
        }
        Ok(report)
    })
    .await?;
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

fn read(path: &Path) -> Result<Import, ApiError> {
    let about = std::fs::metadata(path).map_err(|e| crate::folder::io_error("read", path, &e))?;
    if !about.is_file() {
        return Err(
            ApiError::failed(format!("{} is not a file", path.display()))
                .hint("give a FHIR file (.json, .ndjson or .gz), or a folder of them"),
        );
    }
    salus_fhir::read_file(path, &Limits::default()).map_err(|error| {
        use salus_fhir::ImportError;
        let message = format!("{}: {error}", path.display());
        match &error {
            ImportError::Io(io) => crate::folder::io_error("read", path, io),
            other => ApiError::failed(message)
                .hint(format!("nothing of it was imported; {}", other.hint())),
        }
    })
}

fn count(report: &mut ImportReport, part: &salus_fhir::Report) {
    for (into, from) in [
        (&mut report.typed, &part.typed),
        (&mut report.kept_raw, &part.kept_raw),
        (&mut report.unmodelled, &part.unmodelled),
    ] {
        for (name, n) in from.iter() {
            *into.entry(name.to_owned()).or_insert(0) += n;
        }
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
