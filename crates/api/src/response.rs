//! What a node answers.

use std::collections::BTreeMap;

use salus_record::model::RecordContent;
use serde::{Deserialize, Serialize};

use crate::attachment::{AttachedView, AttachmentView, FetchedView, PreviewView};
use crate::picture::ClassifiedView;
use crate::request::{Right, Role};
use crate::secret::SessionToken;
use crate::suggestion::{ImagesView, SuggestionView, SuggestionsView};

/// Everything that can be answered; which request gets which is said at [`crate::Request`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Response {
    /// It is done, and durable. The text says what, for a person.
    Done(String),
    /// State of the node.
    Status(Status),
    /// A session was opened.
    Unlocked {
        /// Carries further calls.
        session: SessionToken,
        /// Who was recognised.
        staff: String,
    },
    /// The clinic's staff.
    Staff(Vec<StaffView>),
    /// One patient's row.
    Patient(PatientRow),
    /// Patients.
    Patients(Vec<PatientRow>),
    /// One whole record.
    Record(Box<PatientView>),
    /// An item was added.
    Added {
        /// Its id.
        id: String,
    },
    /// Entries of the log.
    Audit(Vec<AuditRow>),
    /// What merged in a way that a person must look at.
    Conflicts(ConflictsView),
    /// Records that may be of the same person, the likeliest first.
    Duplicates(Vec<DuplicateView>),
    /// An image that a model looked at.
    Classified(Box<ClassifiedView>),
    /// What models suggested.
    Suggestions(SuggestionsView),
    /// Images by category.
    Images(ImagesView),
    /// What became of files that were to be attached, in their order.
    Attached(Vec<AttachedView>),
    /// Files of a record.
    Attachments(Vec<AttachmentView>),
    /// A file that was written to disk.
    Fetched(Box<FetchedView>),
    /// What can be looked at of a file.
    Preview(Box<PreviewView>),
    /// What an import did.
    Imported(ImportReport),
    /// An exported document.
    Exported(String),
    /// This clinic.
    Clinic(ClinicView),
    /// The clinics it knows.
    Peers(Vec<PeerView>),
    /// What syncing did, one for each clinic.
    Synced(Vec<SyncReport>),
    /// Who is entitled.
    Grants(Vec<GrantView>),
    /// What verification found.
    Verified(VerifyReport),
    /// A portable proof, as the bytes of its file.
    Proof(Vec<u8>),
    /// What the doctor found.
    Doctor(DoctorReport),
}

/// How much of a node is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockState {
    /// Started, nobody has unlocked since: no network, nothing readable.
    Sealed,
    /// Unlocked once and locked again: syncs and serves, shows nothing.
    Locked,
    /// Somebody works.
    Unlocked,
}

/// Where a node looks for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// 127.0.0.1 only.
    #[default]
    Loopback,
    /// The local network: no relay, no lookup service.
    Lan,
    /// Anywhere, by address; no relay, no lookup service in this version.
    Internet,
}

/// State of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The clinic's id, where readable.
    pub clinic: Option<String>,
    /// The clinic's name, where readable.
    pub name: Option<String>,
    /// How much is open.
    pub state: LockState,
    /// Who is signed in to the asking session.
    pub staff: Option<String>,
    /// Whether a daemon answers, rather than this process.
    pub daemon: bool,
    /// Where it looks for others.
    pub network: NetworkMode,
    /// Where it listens, as `ENDPOINT@IP:PORT`.
    pub addresses: Vec<String>,
    /// Patients it may read; absent while locked.
    pub patients: Option<u64>,
    /// Logs held.
    pub logs: u64,
    /// Entries held.
    pub entries: u64,
    /// Clinics connected now.
    pub connected: u32,
    /// Software version.
    pub version: String,
}

/// A person of the staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaffView {
    /// The name.
    pub name: String,
    /// The roles.
    pub roles: Vec<Role>,
    /// The signing key, hex.
    pub key: String,
    /// Whether retired.
    pub retired: bool,
}

/// One line of a patient list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientRow {
    /// The record's id, hex.
    pub id: String,
    /// Medical record number, or "".
    pub mrn: String,
    /// Family name, or "".
    pub family: String,
    /// Given names, blank-separated, or "".
    pub given: String,
    /// Date of birth, or "".
    pub birth_date: String,
    /// FHIR code.
    pub sex: String,
    /// Claimed time of the newest edit.
    pub updated_ms: u64,
}

/// One height of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeightView {
    /// Highest contiguous `seq` held.
    pub seq: u64,
    /// Hash of that entry, hex.
    pub hash: String,
}

/// A whole record with what a reader must know about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatientView {
    /// The row of the list.
    pub row: PatientRow,
    /// What the record says.
    pub content: RecordContent,
    /// Files.
    pub attachments: Vec<AttachmentView>,
    /// Values that were written apart and differ.
    pub conflicts: Vec<ConflictView>,
    /// Merges that need a clinician's eye.
    pub concerns: Vec<ConcernView>,
    /// What models suggested; none of it is among the content unless it was accepted.
    pub suggestions: Vec<SuggestionView>,
    /// Records that a signed link shows as one with this, whose items are among the content.
    pub linked: Vec<PatientRow>,
    /// Where the record is shown as it was: what that means.
    pub at: Option<AtView>,
    /// What must be said wherever the record is shown: a clinic whose log has two histories, and the like.
    pub warnings: Vec<String>,
    /// Heights of its log by chain, hex: equal heights on two nodes mean equal records.
    pub heights: BTreeMap<String, HeightView>,
    /// The clinic that may revoke.
    pub home: String,
    /// What this clinic may do.
    pub right: Right,
    /// Every entry that the record rests on was verified when stored and its stored bytes opened intact now.
    pub verified: bool,
    /// Entries of the log.
    pub entries: u64,
    /// Entries that were refused or wait for others.
    pub held_out: u64,
    /// When another clinic was last in step, where known.
    pub synced_ms: Option<u64>,
    /// Parts that could not be read by this version.
    pub problems: Vec<String>,
}

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Hash of the entry, hex.
    pub hash: String,
    /// The log, hex; a record's id.
    pub log: String,
    /// The patient's name, where this is a readable record.
    pub patient: Option<String>,
    /// The chain, hex.
    pub chain: String,
    /// Place in the chain.
    pub seq: u64,
    /// Name of the clinic that recorded it.
    pub clinic: String,
    /// Name of the person who did it.
    pub actor: String,
    /// Claimed time.
    pub time_ms: u64,
    /// `edit`, `view`, `grant`, …
    pub kind: String,
    /// `demographics`, `clinical`, …
    pub scope: Option<String>,
    /// What changed, in words; empty where sealed to us.
    pub summary: Vec<String>,
    /// Why it does not count, where it does not: revoked, retired, quarantined, …
    pub void: Option<String>,
}

/// A record as it was: the greatest causally closed set of entries of which none claims a later time, as known here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtView {
    /// The time asked for, or the claimed time of the entry asked for.
    pub time_ms: u64,
    /// The entry asked for, hex, where one was.
    pub entry: Option<String>,
    /// Entries that are shown.
    pub entries: u64,
    /// Entries held that came after.
    pub later: u64,
}

/// A merge that the documents made quietly and that a clinician should look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConcernView {
    /// What to acknowledge it by.
    pub id: String,
    /// `dose_differs`, `allergy_ended`, …
    pub code: String,
    /// What happened, in a sentence.
    pub text: String,
    /// Paths of the items concerned.
    pub paths: Vec<String>,
    /// Who wrote what apart.
    pub writers: Vec<ConcernWriter>,
}

/// One side of a merge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConcernWriter {
    /// Who wrote it.
    pub author: String,
    /// Where.
    pub clinic: String,
    /// When, as claimed.
    pub time_ms: u64,
    /// What was written: `medications/<id>/dosage`, or an item that was removed.
    pub path: String,
    /// The value; null where it was removed.
    pub value: serde_json::Value,
}

/// What merged in a way that a person must look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConflictsView {
    /// Values that were written apart and differ.
    pub conflicts: Vec<ConflictView>,
    /// Merges that need a clinician's eye.
    pub concerns: Vec<ConcernView>,
}

/// A record that may be of the same person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DuplicateView {
    /// One record: the one asked for, where one was.
    pub of: PatientRow,
    /// The other record.
    pub row: PatientRow,
    /// How likely it is one person's, 0 to 1, by guessed weights: from 0.5 on as likely as not.
    pub score: f64,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// Whether a link shows them as one already.
    pub linked: bool,
}

/// Something that the doctor looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorFinding {
    /// What was looked at.
    pub what: String,
    /// Whether it is in order.
    pub ok: bool,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do, where something is to be done.
    pub hint: Option<String>,
    /// Whether it was mended now.
    pub mended: bool,
}

/// What the doctor found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorReport {
    /// Whether all is in order now.
    pub ok: bool,
    /// One for each thing looked at.
    pub findings: Vec<DoctorFinding>,
}

/// One of the values of a conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictChoice {
    /// Number to choose it by, from 1.
    pub choice: u32,
    /// The value.
    pub value: serde_json::Value,
    /// Who wrote it.
    pub author: String,
    /// Where.
    pub clinic: String,
    /// When, as claimed.
    pub time_ms: u64,
    /// Whether views show this one until somebody chooses.
    pub shown: bool,
}

/// A field that was written apart with different values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictView {
    /// Path to resolve it by, for instance `patient/phone`.
    pub path: String,
    /// The field in words.
    pub label: String,
    /// The values, by choice number.
    pub values: Vec<ConflictChoice>,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// File name.
    pub file: String,
    /// Size of the file, bytes, inflated.
    pub bytes: u64,
    /// Patients that are new here.
    pub created: u64,
    /// Patients that were known and changed.
    pub updated: u64,
    /// Patients that changed nothing.
    pub unchanged: u64,
    /// Ids of all patients of the file.
    pub patients: Vec<String>,
    /// Typed resources by FHIR type.
    pub typed: BTreeMap<String, u64>,
    /// Resources kept only as received, by FHIR type.
    pub kept_raw: BTreeMap<String, u64>,
    /// Elements kept only as received, by path.
    pub unmodelled: BTreeMap<String, u64>,
    /// Entries written.
    pub entries: u64,
    /// Seconds it took.
    pub seconds: f64,
}

/// This clinic, as others need to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClinicView {
    /// Its id, hex.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its iroh endpoint id, hex.
    pub endpoint: String,
    /// `ENDPOINT@IP:PORT`.
    pub addresses: Vec<String>,
    /// The line to type at another clinic.
    pub add_command: String,
}

/// A clinic this one knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its id, hex.
    pub id: String,
    /// Its name; "" until its roster was received.
    pub name: String,
    /// Where it was last known.
    pub addresses: Vec<String>,
    /// Whether connected now.
    pub connected: bool,
    /// Round trip, milliseconds, while connected.
    pub rtt_ms: Option<f64>,
    /// When it was last in step with us.
    pub synced_ms: Option<u64>,
    /// Logs that both may hold and that are known to differ.
    pub behind: u64,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// What syncing with one clinic did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncReport {
    /// The clinic's id, hex.
    pub peer: String,
    /// Entries sent.
    pub sent: u64,
    /// Entries received and kept.
    pub received: u64,
    /// Entries received and refused.
    pub refused: u64,
    /// Bytes both ways.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Logs that differ after all was tried: entries in them wait or were refused, or one side no longer shares them.
    pub unresolved: u64,
    /// Why it could not be finished, where it could not.
    pub error: Option<String>,
}

/// A clinic's right to a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// The clinic's id, hex.
    pub clinic: String,
    /// Its name, where known.
    pub name: String,
    /// What it may do.
    pub right: Right,
    /// Who granted it.
    pub by: String,
    /// When, as claimed.
    pub time_ms: u64,
    /// Why it no longer holds, where it does not.
    pub ended: Option<String>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The log, hex, or "" for the store itself.
    pub log: String,
    /// The chain, hex, or "".
    pub chain: String,
    /// Place in the chain.
    pub seq: u64,
    /// What is wrong.
    pub what: String,
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Logs checked.
    pub logs: u64,
    /// Entries checked.
    pub entries: u64,
    /// Whether nothing was found.
    pub ok: bool,
    /// What was found.
    pub problems: Vec<Problem>,
}
