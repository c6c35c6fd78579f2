//! What there is to fuzz: every decoder of bytes from elsewhere.

mod api;
mod audit;
mod fhir;
mod image;
mod ledger;
mod log;
mod media;
mod record;
mod sync;
mod text;
mod vault;

use crate::rng::Rng;
use crate::subject::{Form, Subject};

/// Something to fuzz, with its name.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// How it is called on the command line and in files.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// What its inputs are made of.
    pub form: Form,
    /// The largest input that is made.
    pub max_bytes: usize,
    /// Makes it, with what it needs to know.
    pub make: fn(&mut Rng) -> Box<dyn Subject>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    audit::ENTRY,
    audit::HEADER,
    audit::CONTROL,
    audit::BODY,
    audit::CHECKPOINT,
    audit::PROOF,
    audit::STATEMENT,
    audit::PORTABLE,
    log::ADMIT,
    sync::SYNC,
    fhir::FHIR,
    fhir::GZIP,
    record::CHANGE,
    record::APPLY,
    record::SNAPSHOT,
    vault::VAULT,
    vault::SEALED,
    api::API,
    image::IMAGE,
    media::MEDIA,
    text::TEXT,
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Two values of a decoder that should be the same.
pub(crate) fn same<T: PartialEq>(one: &T, other: &T, promise: &str) -> Result<(), String> {
    if one == other {
        Ok(())
    } else {
        Err(promise.to_owned())
    }
}
