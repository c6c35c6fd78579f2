//! What goes wrong below the API, in the API's words.

use salus_api::{ApiError, ErrorKind};
use salus_audit::{Refusal, Verdict};
use salus_store::StoreError;
use salus_vault::{UnlockError, VaultError};

/// A failure of the store.
pub fn store(error: StoreError) -> ApiError {
    let message = error.to_string();
    match error {
        StoreError::InUse => ApiError::failed(message)
            .hint("another process has the data folder open; stop it, or name another folder"),
        StoreError::Corrupt { .. } => ApiError::integrity(message)
            .hint("run `salus audit verify --all` to see what is damaged; what is intact stays usable"),
        StoreError::SetBack { .. } => ApiError::integrity(message).hint(
            "an older copy of store.redb was put back: writing on would sign two histories; put the newest copy back",
        ),
        StoreError::WrongKey => ApiError::integrity(message)
            .hint("vault.salus and store.redb belong to different clinics or times; restore both from one backup"),
        StoreError::ReadOnly => ApiError::integrity(message).hint(
            "`salus audit verify --all` says what is damaged; restore the data folder from a backup to write again",
        ),
        StoreError::NotWritable => ApiError::failed(message)
            .hint("make store.redb and its folder writable for this user; what is in it can be read meanwhile"),
        StoreError::Backup(_) => {
            ApiError::failed(message).hint("try another backup; nothing was restored")
        }
        StoreError::Full => {
            ApiError::failed(message).hint("free some space and try again; nothing was lost or half-written")
        }
        _ => ApiError::failed(message),
    }
}

/// A failure to unlock.
pub fn unlock(error: UnlockError) -> ApiError {
    let message = error.to_string();
    match error {
        UnlockError::WrongPassphrase => ApiError::refused(message)
            .hint("check the passphrase, the staff name and the caps lock"),
        UnlockError::StaffNeeded => {
            ApiError::usage(message).hint("say who you are with --staff NAME")
        }
        _ => ApiError::integrity(message).hint("restore vault.salus from a backup"),
    }
}

/// A change of the vault that was refused.
pub fn vault(error: VaultError) -> ApiError {
    let message = error.to_string();
    match error {
        VaultError::UnknownStaff => ApiError::not_found(message),
        VaultError::NameTaken
        | VaultError::BadName
        | VaultError::BadPassphrase
        | VaultError::LastStaff
        | VaultError::TooManyStaff
        | VaultError::Params(_) => ApiError::usage(message),
        _ => ApiError::integrity(message).hint("restore vault.salus from a backup"),
    }
}

/// A verdict other than `Accepted` about an entry that this node wrote itself.
pub fn own_entry(verdict: Verdict) -> ApiError {
    match verdict {
        Verdict::Refused(
            refusal @ (Refusal::Role | Refusal::Right | Refusal::ActorRetired | Refusal::Actor),
        ) => ApiError::refused(format!("not permitted: {refusal}")).hint(
            "see `salus staff list` for roles and `salus grants PATIENT` for the clinic's right",
        ),
        Verdict::Refused(Refusal::ChainClosed) => ApiError::refused(
            "this node's keys were replaced: another life of this clinic's store has begun",
        )
        .hint("work with the restored or renewed node; what was written here is not lost, sync once more to hand it over"),
        Verdict::Refused(refusal) => ApiError::new(
            ErrorKind::Failed,
            format!("the entry would be refused everywhere: {refusal}"),
        ),
        Verdict::Pending { .. } => ApiError::failed("the record is not complete here yet")
            .hint("sync with the clinic it came from, then try again"),
        Verdict::Equivocation { .. } => ApiError::integrity(
            "this node's own chain already has another entry at that place",
        )
        .hint(
            "an older copy of the data folder was put back: writing on would sign two histories; put the newest copy back",
        ),
        Verdict::Forked { .. } => ApiError::integrity(
            "this node's own chain already has another entry at that place",
        ),
        Verdict::Accepted | Verdict::Duplicate => ApiError::failed("the entry is there already"),
    }
}
