//! Portable proofs: what a stranger checks offline, with this clinic's id alone.

use salus_api::ApiError;
use salus_audit::{BuildFault, Checkpoint, Entry, LogId, Proof};

use super::{Core, failure};

impl Core {
    /// A proof that this node's tree holds an entry, or of the tree's signed state alone; with `since`, an older proof file of this
    /// node, also that nothing was taken out or changed since.
    pub fn prove(
        &mut self,
        log: Option<LogId>,
        entry: Option<&str>,
        since: Option<&[u8]>,
    ) -> Result<Vec<u8>, ApiError> {
        let subject = match (log, entry) {
            (Some(log), Some(text)) => Some(self.own_entry_of(log, text)?),
            (None, None) => None,
            _ => {
                return Err(ApiError::usage(
                    "a proof is of a record's entry, or of the checkpoint alone",
                ));
            }
        };
        let since = since
            .map(|bytes| {
                Proof::decode(bytes).map_err(|error| {
                    ApiError::failed(format!("the older proof cannot be read: {error}"))
                        .hint("name a file that `salus audit prove` wrote")
                })
            })
            .transpose()?;
        let checkpoint = Checkpoint::of(self.chain_id(), &self.tree)
            .sign(&self.chain)
            .map_err(|_| ApiError::failed("the checkpoint could not be signed"))?;
        let roster = self.own_roster()?;
        let roster: Vec<Entry> = self
            .store
            .log_entries_for_replay(roster)
            .map_err(failure::store)?
            .into_iter()
            .map(|(_, entry)| entry)
            .collect();
        let leaves = self.store.own_leaves(..).map_err(failure::store)?;
        let proof = Proof::build(
            &roster,
            subject.as_ref(),
            &checkpoint,
            since.as_ref().map(Proof::checkpoint),
            leaves,
        )
        .map_err(build_fault)?;
        Ok(proof.encode())
    }

    /// An entry that this life of the node wrote: others' are proved by those who recorded them.
    fn own_entry_of(&mut self, log: LogId, text: &str) -> Result<Entry, ApiError> {
        let hash = self.find_entry(log, text)?;
        let meta = self.log(log)?.entry_meta(&hash).cloned();
        let meta = meta.ok_or_else(|| ApiError::not_found("the record has no such entry"))?;
        if meta.chain != self.chain_id() {
            return Err(ApiError::refused(format!(
                "that entry was recorded by {}, which has to prove it",
                self.chain_clinic(meta.chain)
            ))
            .hint("a node proves what stands in its own tree; an entry of this clinic's earlier life is proved by the proofs made then"));
        }
        self.store
            .entry(log, meta.line, meta.seq)
            .map_err(failure::store)?
            .ok_or_else(|| ApiError::integrity(format!("entry {hash} is gone")))
    }
}

fn build_fault(fault: BuildFault) -> ApiError {
    let message = fault.to_string();
    match fault {
        // What an auditor looks for: the store no longer continues what was signed.
        BuildFault::OlderLarger
        | BuildFault::OlderDiffers
        | BuildFault::Leaves
        | BuildFault::Root
        | BuildFault::RosterGap { .. } => ApiError::integrity(message)
            .hint("keep the older proof: it shows what this clinic had signed; `salus audit verify --all` names what is damaged"),
        BuildFault::OlderChain => ApiError::failed(message)
            .hint("the older proof was made in an earlier life of this node; compare both with `salus audit check NEW --against OLD`"),
        _ => ApiError::failed(message),
    }
}
