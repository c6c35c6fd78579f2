//! What can be asked of a node.

use std::path::PathBuf;

use salus_record::model::Item;
use serde::{Deserialize, Serialize};

use crate::secret::{Passphrase, SessionToken};
use crate::suggestion::Inference;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// Nobody in particular: `Status` and `Unlock` need no more.
    #[default]
    Nobody,
    /// A session that an earlier `Unlock` opened.
    Session(SessionToken),
    /// A staff member, by passphrase, for this one call.
    Passphrase {
        /// Who; needed only where several are enrolled.
        staff: Option<String>,
        /// The passphrase.
        passphrase: Passphrase,
    },
}

/// What a person of the staff may do (FHIR `PractitionerRole` in five words).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Edits everything, infers.
    Physician,
    /// Observations and notes.
    Nurse,
    /// Demographics and appointments.
    Registrar,
    /// Reads logs.
    Auditor,
    /// Enrols and retires staff.
    Admin,
}

/// What a clinic may do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Everything, revoking included.
    Home,
    /// Read and edit.
    Write,
    /// Read.
    Read,
    /// Keep and serve, without being able to read.
    Custodian,
}

/// Demographics of a patient to register.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPatient {
    /// Family name.
    pub family: String,
    /// Given names, blank-separated.
    pub given: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// `male`, `female`, `other` or `unknown`.
    pub sex: String,
    /// Medical record number; drawn by the node where absent.
    pub mrn: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
}

/// What `Stop` can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stoppable {
    /// A medicine.
    Medication,
    /// A condition.
    Condition,
    /// An allergy.
    Allergy,
}

/// Forms that `Export` can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// FHIR R4 collection Bundle.
    Fhir,
    /// International Patient Summary (HL7 FHIR IPS): a document Bundle.
    Ips,
    /// One table, RFC 4180.
    Csv,
}

/// Everything that can be asked. `patient` is an id, any unambiguous prefix of it, an MRN or an exact name;
/// `clinic` is an id, a prefix or an exact name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// State of the node. Needs nobody. → `Status`
    Status,
    /// Opens a session. → `Unlocked`
    Unlock,
    /// Wipes staff, vault and epoch keys from memory; syncing goes on. → `Done`
    Lock,
    /// Enrols a person. → `Done`
    StaffAdd {
        /// The name, as the roster will show it.
        name: String,
        /// The role.
        role: Role,
        /// The person's own first passphrase.
        passphrase: Passphrase,
        /// The clinic's recovery words: needed for an administrator, whom only the root key certifies.
        recovery: Option<Passphrase>,
    },
    /// → `Staff`
    StaffList,
    /// Ends a person's key: nothing that it signs from now on counts anywhere. Their name may be enrolled again,
    /// with a new key and passphrase. → `Done`
    StaffRetire {
        /// The name.
        name: String,
        /// The clinic's recovery words: needed for an administrator.
        recovery: Option<Passphrase>,
    },
    /// Changes the passphrase of whoever asks. → `Done`
    StaffPassphrase {
        /// The new one.
        new: Passphrase,
    },
    /// Registers a patient. → `Patient`
    PatientNew(NewPatient),
    /// All patients this clinic may read. → `Patients`
    PatientList,
    /// Patients whose name, MRN, phone or birth date match every word of the text, best first. → `Patients`
    PatientFind {
        /// Words.
        text: String,
        /// At most so many.
        limit: u32,
    },
    /// The whole record; a look, logged once per actor, record and hour. → `Record`
    PatientShow {
        /// Which.
        patient: String,
        /// As it was: an instant (RFC 3339, or a date), or an entry's hash or its beginning; as it is where absent.
        at: Option<String>,
    },
    /// Sets one demographic field. → `Done`
    PatientSet {
        /// Which.
        patient: String,
        /// For instance `phone` or `address.city`.
        path: String,
        /// The value; empty removes it.
        value: String,
    },
    /// Writes a note. → `Done`
    PatientNote {
        /// Which.
        patient: String,
        /// What it says.
        text: String,
    },
    /// The record's log, newest first. → `Audit`
    PatientHistory {
        /// Which.
        patient: String,
    },
    /// Values that were written apart and differ, and merges that need a clinician's eye. → `Conflicts`
    Conflicts {
        /// Which.
        patient: String,
    },
    /// Settles one conflict. → `Done`
    Resolve {
        /// Which.
        patient: String,
        /// The path that `Conflicts` gave.
        path: String,
        /// The value to keep: one of those that `Conflicts` gave, or another, which needs a reason.
        value: serde_json::Value,
        /// Why.
        why: Option<String>,
    },
    /// Says that a clinician has looked at a merge that `Conflicts` warned of and leaves it as it stands. → `Done`
    Acknowledge {
        /// Which.
        patient: String,
        /// The id that `Conflicts` gave.
        concern: String,
        /// Why it may stand.
        why: String,
    },
    /// Records that may be of the same person. → `Duplicates`
    Duplicates {
        /// Whose duplicates; those of everybody, linked ones left out, where absent.
        patient: Option<String>,
    },
    /// Shows two records as one from now on; nothing is deleted, and `Unlink` takes it back. → `Done`
    Link {
        /// One record.
        patient: String,
        /// The other.
        other: String,
    },
    /// Takes a link back. → `Done`
    Unlink {
        /// One record.
        patient: String,
        /// The other.
        other: String,
    },
    /// Holds a broken or hostile edit out of a record's document, at every clinic. Home only. → `Done`
    Quarantine {
        /// Which record.
        patient: String,
        /// The edit's hash, or its beginning.
        entry: String,
        /// Why.
        why: String,
    },
    /// Adds an item; an empty id is drawn, an absent date is now. → `Added`
    Add {
        /// Which.
        patient: String,
        /// What.
        item: Box<Item>,
    },
    /// Ends a medicine, a condition or an allergy. → `Done`
    Stop {
        /// Which.
        patient: String,
        /// What kind of item.
        kind: Stoppable,
        /// Its id, any unambiguous prefix, or exact words of its code.
        item: String,
        /// Why.
        why: Option<String>,
    },
    /// Has the image model look at a file on the node's machine. With a patient, what it says is written into the
    /// record's log as a suggestion. → `Classified`
    Classify {
        /// The file, as an absolute path.
        path: PathBuf,
        /// Whose image it is, if that is to be noted.
        patient: Option<String>,
    },
    /// Has the image model look at a file of a record where it is kept, and writes what it says into the record's log as a
    /// suggestion. → `Classified`
    ClassifyAttachment {
        /// Whose.
        patient: String,
        /// The attachment's id, its beginning, or its name.
        attachment: String,
    },
    /// Writes what a model said into a record's log, as a suggestion. → `Added`, with the suggestion's id
    Infer {
        /// Whose record.
        patient: String,
        /// What the model said.
        inference: Box<Inference>,
    },
    /// What models suggested about a patient, and what became of it; a look. → `Suggestions`
    Suggestions {
        /// Which.
        patient: String,
    },
    /// Accepts a suggestion. Where this clinic may write, the finding enters the record with it. → `Done`
    Accept {
        /// Which record.
        patient: String,
        /// The id that `Suggestions` gave, or its beginning.
        suggestion: String,
        /// The finding in the clinician's own words; the model's label where absent. Needed where the model did
        /// not assess the input.
        label: Option<String>,
    },
    /// Rejects a suggestion. A finding that had entered the record by it is marked as entered in error. → `Done`
    Reject {
        /// Which record.
        patient: String,
        /// The id that `Suggestions` gave, or its beginning.
        suggestion: String,
        /// Why.
        why: String,
    },
    /// Images by category, across the records that this clinic may read; a look at each record shown. → `Images`
    FindImages {
        /// The category, whatever its case and punctuation.
        category: String,
        /// One patient's only, where given.
        patient: Option<String>,
    },
    /// Attaches files to a record. → `Attached`, one for each path
    Attach {
        /// Whose files.
        patient: String,
        /// Absolute paths on the node's machine.
        paths: Vec<PathBuf>,
        /// The id of the item of the record that they belong to, or its beginning.
        about: Option<String>,
        /// Whether somebody confirmed that files whose tags name another person are this patient's all the same.
        confirmed: bool,
        /// Whether each file is attached or left out by itself; else all are attached, or none.
        each: bool,
    },
    /// Files of a record; a look. → `Attachments`
    Attachments {
        /// Whose.
        patient: String,
    },
    /// Writes a file of a record to disk, in the clear; brings it from another clinic where it is not here. An export. → `Fetched`
    Fetch {
        /// Whose.
        patient: String,
        /// The attachment's id, its beginning, or its name.
        attachment: String,
        /// Absolute path on the node's machine; a folder takes the file under its own name.
        to: PathBuf,
        /// Whether a file that is there is replaced.
        replace: bool,
    },
    /// What can be looked at of a file; a look. → `Preview`
    Preview {
        /// Whose.
        patient: String,
        /// The attachment's id, its beginning, or its name.
        attachment: String,
        /// The window of a DICOM picture, centre and width; the file's own where absent.
        window: Option<(f64, f64)>,
        /// Which frame; the one in the middle where absent.
        frame: Option<u32>,
        /// Longest side of a picture, pixels.
        max_side: u32,
    },
    /// Keeps a record's files here in full, or leaves it to the policy again. → `Done`
    Pin {
        /// Whose.
        patient: String,
        /// Whether to keep them.
        pin: bool,
    },
    /// Destroys a file of a record, or the record, here and at every clinic that the entry reaches. → `Done`
    Erase {
        /// Whose; of a record that was erased before, its id.
        patient: String,
        /// The attachment's id, its beginning, or its name; none for the whole record.
        attachment: Option<String>,
        /// Why; readable by whoever may hold the log.
        reason: String,
    },
    /// Imports one file, whole or not at all. → `Imported`
    Import {
        /// Absolute path on the node's machine.
        path: PathBuf,
    },
    /// → `Exported`
    Export {
        /// Which.
        patient: String,
        /// As what.
        format: ExportFormat,
    },
    /// This clinic's id and addresses. → `Clinic`
    ClinicId,
    /// → `Peers`
    Peers,
    /// Makes another clinic known, by its id and addresses. → `Peers`
    PeerAdd {
        /// The clinic's id.
        id: String,
        /// `ENDPOINT@IP:PORT`, as the other clinic's `clinic id` prints them.
        addresses: Vec<String>,
    },
    /// Syncs once with one clinic, or with all. → `Synced`
    Sync {
        /// Which; all where absent.
        clinic: Option<String>,
    },
    /// Entitles a clinic to a record. → `Done`
    Grant {
        /// Which record.
        patient: String,
        /// Which clinic.
        clinic: String,
        /// To what.
        right: Right,
    },
    /// Ends a clinic's entitlement at what is held here now, and makes a new key for what comes. Home only. → `Done`
    Revoke {
        /// Which record.
        patient: String,
        /// Which clinic.
        clinic: String,
    },
    /// Who is and was entitled to a record. → `Grants`
    Grants {
        /// Which record.
        patient: String,
    },
    /// Replaces this node's keys: a new incarnation, which closes the old one at what is held here now. → `Clinic`
    ClinicRotateKey {
        /// The clinic's recovery words.
        recovery: Passphrase,
    },
    /// The audit log of one patient or of everything, newest first. → `Audit`
    AuditLog {
        /// Which; everything where absent.
        patient: Option<String>,
        /// At most so many rows.
        limit: u32,
    },
    /// Checks one record's log or all: hashes, signatures, chains, rights, tree, stored values. → `Verified`
    AuditVerify {
        /// Which; everything where absent.
        patient: Option<String>,
    },
    /// Who saw, received or exported a record: every look, share and grant. → `Audit`
    AuditAccesses {
        /// Which.
        patient: String,
    },
    /// A file with which a stranger proves that this clinic's log holds an entry. → `Proof`
    AuditProve {
        /// Which record; a proof of the checkpoint alone where absent.
        patient: Option<String>,
        /// The entry's hash, or its beginning; of this clinic's own entries. Absent with `patient`.
        entry: Option<String>,
        /// An older proof file of this clinic: the new one then proves that nothing was taken out since.
        since: Option<Vec<u8>>,
    },
    /// Writes everything this node holds into one sealed file. → `Done`
    Backup {
        /// Absolute path on the node's machine; it must not exist.
        path: PathBuf,
    },
    /// Looks for what is wrong with this node, and mends what can be mended. → `Doctor`
    Doctor {
        /// Whether to mend.
        repair: bool,
    },
    /// Stays open and reports what changes, as `Event`s, until the client hangs up.
    Subscribe,
}
