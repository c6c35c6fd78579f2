//! The record of one patient as an Automerge document: typed edits in, typed view out.
//!
//! Start with [`Record`]. A clinic makes a change with [`Record::edit`] and puts it, sealed, into an entry of the
//! log; the other clinics verify the entry and hand the change to [`Record::apply_what_holds`]. Whatever the order,
//! equal sets of changes give equal documents. This crate decides how concurrent edits merge and which bytes are a
//! change at all. It does not decide who may write (the log does), and it knows neither files, clocks,
//! randomness nor the network.
//!
//! ```
//! use salus_record::{Edit, Record, Trust, actor_for};
//!
//! let (mut north, first) = Record::create(actor_for([1; 32], [9; 32]), 1_700_000_000_000)?;
//! let mut south = Record::new(actor_for([2; 32], [9; 32]));
//! south.apply([first.bytes], Trust::Foreign)?;
//!
//! let phone = |value: &str| Edit::SetPatient { path: "phone".into(), value: Some(value.into()) };
//! let a = north.edit(&[phone("555-1")], 0)?.expect("something changed");
//! let b = south.edit(&[phone("555-2")], 0)?.expect("something changed");
//! north.apply([(b.bytes, Some(b.scope))], Trust::Foreign)?;
//! south.apply([(a.bytes, Some(a.scope))], Trust::Foreign)?;
//!
//! assert_eq!(north.view(), south.view());
//! let conflicts = north.conflicts();
//! assert_eq!(conflicts[0].path, "patient/phone");
//! let choice = conflicts[0].values[1].value.clone();
//! north.edit(&[Edit::Resolve { path: conflicts[0].path.clone(), choice }], 0)?;
//! assert!(north.conflicts().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The document
//!
//! ```text
//! ROOT ─┬─ patient ───────────── family: Str, given: Bytes(["Ada"]), birth_date: Str, …      demographics
//!       ├─ allergies ──────┐
//!       ├─ conditions ─────┤
//!       ├─ medications ────┤                                                                 clinical
//!       ├─ immunizations ──┼─ <id> ─ code: Bytes({"text":"Asthma"}), clinical_status: Str, …
//!       ├─ procedures ─────┤
//!       ├─ encounters ─────┤
//!       ├─ observations ───┤                                                                 observation
//!       ├─ diagnostic_reports
//!       ├─ notes ──────────── <id> ─ author: Str, created_ms: Bytes(0), text: Text           note
//!       └─ sources ────────── <hash> ─ name: Str, time_ms: Bytes(0)                          any
//! ```
//!
//! - The eleven maps at the root are made by the first change of the home clinic ([`Record::create`]), and by no
//!   other: a change that makes, replaces or removes one of them later is refused. So they never conflict.
//! - An item is a map under its id (which is not repeated inside). Each field of its type in [`model`], under its
//!   serde name, is **one scalar**: a JSON string is a `Str`, any other JSON value is `Bytes` with its compact
//!   JSON. Absent and empty fields are absent keys; a field never written reads as its type's default.
//! - One scalar a field makes every FHIR datatype merge whole. Were a `Quantity` a nested map, two clinics that
//!   correct a dose apart could end with the number of one and the unit of the other, and nobody would be told.
//!   This way they end with both doses side by side, as a [`Conflict`].
//! - A note's text is an Automerge `Text`: people write into one note at two places, and both passages stay.
//! - A clinic that finds an item missing creates it. If two do so apart under one id (both import the same
//!   bundle), there are two maps under one key: they are read as one item field by field, and only fields that
//!   differ are conflicts. Whoever writes such a field next brings it into the winning map alone.
//! - What a later version adds (fields, collections, kinds of values) is not shown, but kept: edits write only
//!   fields that differ, and never remove what they cannot read.
//!
//! # What people are asked
//!
//! - Values of one field that were written apart are a [`Conflict`]: all are kept until one is chosen
//!   ([`Edit::Resolve`], by its value). A value that arrives later is a conflict again.
//! - What was written apart to *different* fields or items merges quietly, though it may be unsafe: one medicine ordered
//!   at two clinics, an allergy refuted here and confirmed there. [`Record::concerns`] finds it. Whoever saw both sides
//!   settles it by writing to one of the items or by [`Edit::Acknowledge`]; what a clinician did knowing of the other
//!   is never flagged.
//! - Both name the changes that wrote; [`Record::change_place`] tells which of its chain's changes each is.
//!
//! # Hostile members
//!
//! A member of the federation can sign any bytes. [`Record::apply_what_holds`] takes in all changes but faulty ones and
//! those that follow them, and what becomes of a set of changes depends neither on their order nor on how many come at
//! once.
//!
//! - A change is *judged* by its bytes and its causal past alone, so that all replicas agree: form, bounds, actor, number,
//!   past, operation numbers, what each operation refers to, nesting, collections, scope. Of 30,000 mutated changes with
//!   fitting checksums none that was judged sound broke Automerge (measured 2026-11-22, `tests/hostile.rs`).
//! - Then it is *tried* on a copy, which finds what nobody thought of. [`Record::apply_proved`] lets a process with
//!   limits do that ([`trial_request`], [`trial_job`], [`trial_verdict`]); [`Trust::Proven`] applies what was tried.
//! - A saved document is loaded only after a process with limits has loaded the same bytes ([`LoadProof`], [`load_job`]): damage
//!   with a fitting checksum can make Automerge take all memory.
//! - Two changes of one actor under one number are an equivocation: the smaller hash stands, the other is
//!   [`Fault::Forked`]. What the document holds already is not taken out; [`AppliedPart::rebuild`] says when a record
//!   made anew from its changes would be another. [`Record::begun_by`] names who may begin a record.
//!
//! # Cost
//!
//! On 2 vCPU, optimised (measured 2026-11-22, `cargo test -p salus-record -- --ignored --nocapture`):
//!
//! | | |
//! |---|---|
//! | concerns of 250 items, nothing written apart | 0.01 ms |
//! | concerns of 250 items imported apart from another change | 2 ms |
//! | concerns after 1,000 changes apart | 15 to 18 ms |
//! | one change on 250 items: `Proven`, `Foreign`, trial job | 0.1, 2.8, 3.3 ms |
//! | a record built from 1,003 changes: `Own`, `Proven`, `Foreign` | 14, 14, 45 ms |
//! | loading what was saved of 4 and of 204 changes | 0.1, 0.4 ms |
//! | … with a worker's load before it (`cargo run --release -p salus --example load_saved`) | 0.5, 1.4 ms |
//! | memory for the worst change that passes | 55 MiB |
//!
//! # Bounds
//!
//! Every count and length that comes from outside is bounded by a constant of this page, and no bytes make this
//! crate panic: what may panic inside Automerge runs on a copy, with the panic caught. (The program's panic hook
//! sees such a panic first; a node should install one that does not print the message.)

pub mod decimal;
pub mod model;

mod apart;
mod apply;
mod bulk;
mod chunk;
mod clinical;
mod concern;
mod conflict;
pub mod date;
mod describe;
mod edit;
mod field;
mod graph;
mod item;
mod judge;
mod note;
mod patient;
mod read;
mod record;
mod removed;
mod rules;
mod saved;
mod schema;
mod sift;
mod substance;
mod trial;
mod view;
mod write;

#[cfg(test)]
mod tests;

pub use apply::{
    Applied, AppliedPart, ApplyError, ChangeMeta, Fault, Incoming, Trust, inspect_change,
};
pub use concern::{Concern, ConcernKind, ConcernWrite, MAX_CONCERNS};
pub use conflict::{Conflict, ConflictValue};
pub use decimal::{Decimal, NotADecimal};
pub use describe::MAX_DESCRIPTION_LINES;
pub use edit::{Edit, EditError, PATIENT_PATHS};
pub use model::*;
pub use record::{Change, Record, actor_for};
pub use saved::{LoadError, LoadProof, load_job};
pub use schema::{Collection, Scope};
pub use trial::{
    MAX_TRIAL_BYTES, NotAVerdict, TrialVerdict, trial_job, trial_request, trial_verdict,
};
pub use view::{Problem, RecordView, SourceMark};

/// Largest change, in bytes; the log bounds its payloads by the same number.
pub const MAX_CHANGE_BYTES: usize = 1 << 20;

/// Most operations of one change: a letter of a note is one, and the longest note can be replaced whole. Of what they
/// are, [`MAX_CHANGE_VALUES`] bounds those that stay.
pub const MAX_CHANGE_OPS: u64 = 2 * MAX_CHANGE_VALUES;

/// Most operations of one change that write something, and most that remove something. Runs are coded as such, so a
/// hundred bytes can hold all of them; applying a change takes less than 64 MiB nevertheless (measured 2026-11-22 over
/// the worst that passes, `tests/bombs.rs`).
pub const MAX_CHANGE_VALUES: u64 = MAX_NOTE_BYTES as u64 + 2048;

/// Most objects that one change makes: maps of items, texts of notes. A guess: an import of so many items makes more
/// than one change by its bytes.
pub const MAX_CHANGE_OBJECTS: u64 = 1 << 14;

/// Longest text of one note, in bytes: about 20 printed pages. Replacing it whole still fits into one change.
pub const MAX_NOTE_BYTES: usize = 1 << 16;

/// Longest value of one field, in bytes. A guess: far beyond any concept, far below [`MAX_CHANGE_BYTES`].
pub const MAX_FIELD_BYTES: usize = 1 << 18;

/// Longest id of an item, in bytes. FHIR ids have 64 characters at most (R4 section 2.24.0.1); ids made of a
/// source's address and a FHIR id are longer.
pub const MAX_ID_BYTES: usize = 256;
