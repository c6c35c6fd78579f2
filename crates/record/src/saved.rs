//! Loading a saved document, once a process with limits has loaded the same bytes.
//!
//! Automerge believes what a saved document says about itself: 1.9 kB with the right checksum can claim runs that
//! take all memory (`tests/fuzz/regressions/snapshot-never-ends.hex`). So nothing is loaded here for which there is no
//! [`LoadProof`]: [`LoadProof::ask`] hands a request to somebody who runs [`load_job`] on it in a process of its own, and
//! takes the answer only where it is to this request. What ends that process has no proof.
//!
//! ```text
//! request:  "salus-load" | version 1 | the saved document
//! response: "salus-load" | version 1 | BLAKE3 of the request | 0 loads, or 1 does not
//! ```

use automerge::Automerge;

use crate::apply::guard;
use crate::{clinical, conflict, view};

/// First bytes of requests and responses, the version last.
const MAGIC: &[u8; 11] = b"salus-load\x01";
const LOADS: u8 = 0;
const DOES_NOT: u8 = 1;

/// A saved document that cannot be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saved document cannot be loaded")]
pub struct LoadError;

/// That these very bytes were loaded and looked at elsewhere; stands for them by their hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadProof([u8; 32]);

impl LoadProof {
    /// Has somebody else load a saved document: `prove` is given a request, and shall answer with what [`load_job`] makes
    /// of it in a process of its own.
    ///
    /// # Errors
    /// If there is no answer, or another one than that it loads.
    pub fn ask(
        saved: &[u8],
        prove: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Self, LoadError> {
        let request = [MAGIC.as_slice(), saved].concat();
        let answer = prove(&request).ok_or(LoadError)?;
        if answer == response(&request, LOADS) {
            Ok(Self(*blake3::hash(saved).as_bytes()))
        } else {
            Err(LoadError)
        }
    }

    fn is_of(&self, saved: &[u8]) -> bool {
        self.0 == *blake3::hash(saved).as_bytes()
    }
}

/// Loads a document for which there is a proof.
pub(crate) fn load(saved: &[u8], proof: &LoadProof) -> Result<Automerge, LoadError> {
    if !proof.is_of(saved) {
        return Err(LoadError);
    }
    read(saved).ok_or(LoadError)
}

/// The one place where bytes become a document. Nobody outside a process with limits comes here with bytes that no
/// such process has loaded, or that this one has not just saved.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever calls this has a proof, runs with limits, or saved the bytes itself"
)]
pub(crate) fn read(saved: &[u8]) -> Option<Automerge> {
    guard(|| Automerge::load(saved))?.ok()
}

/// Asks of a document, once, whatever is asked of it later.
pub(crate) fn look(doc: &Automerge) {
    view::view(doc);
    conflict::conflicts(doc);
    clinical::concerns(doc);
}

/// Loads what a request holds, and looks at it. Total: whatever the bytes are, an answer comes, unless the process is
/// ended for what it takes. What is not a request gets an answer that is no proof.
pub fn load_job(request: &[u8]) -> Vec<u8> {
    let Some(saved) = request.strip_prefix(MAGIC) else {
        return Vec::new();
    };
    let loads = read(saved).is_some_and(|doc| guard(|| look(&doc)).is_some());
    response(request, if loads { LOADS } else { DOES_NOT })
}

fn response(request: &[u8], says: u8) -> Vec<u8> {
    let hash = blake3::hash(request);
    [MAGIC.as_slice(), hash.as_bytes(), &[says]].concat()
}
