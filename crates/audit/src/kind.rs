//! The small closed vocabularies of a header: what an entry is, what it may touch, who may write it.

use std::fmt;
use std::str::FromStr;

/// Implements the number on the wire, the word on the screen and both ways back for a closed set.
macro_rules! vocabulary {
    ($name:ident { $($variant:ident = $code:literal $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value, in the order of the codes.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The number that stands for it in CBOR.
            pub const fn code(self) -> u8 {
                match self { $($name::$variant => $code),+ }
            }

            /// The value with this number.
            pub const fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some($name::$variant),)+ _ => None }
            }

            /// The word that stands for it on screens and in commands.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok($name::$variant),)+ _ => Err(UnknownWord) }
            }
        }
    };
}

/// A word that is not in the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word")]
pub struct UnknownWord;

/// What an entry does. Reserved numbers are refused by [`LogState::admit`](crate::LogState::admit)
/// until a version supports them; other numbers are not entries at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Begins a log.
    Genesis = 0,
    /// Changes the record's document.
    Edit = 1,
    /// A look at the record.
    View = 2,
    /// Adds an attachment.
    Attach = 3,
    /// Authorises everyone to destroy attachments, or all that was sealed in the record.
    Erase = 4,
    /// Entitles a clinic to the record.
    Grant = 5,
    /// Ends a clinic's grants at a cut.
    Revoke = 6,
    /// Makes a new epoch.
    Rotate = 7,
    /// The patient's consent (reserved).
    Consent = 8,
    /// Issues a ticket (reserved).
    Share = 9,
    /// Uses a ticket (reserved).
    Redeem = 10,
    /// An answer of a model.
    Inference = 11,
    /// What a clinician made of an inference.
    Verdict = 12,
    /// An emergency access (reserved).
    BreakGlass = 13,
    /// Holds edits out of the document for everyone.
    Quarantine = 14,
    /// Shows this record and another one as one patient's.
    Link = 15,
    /// Takes a link back.
    Unlink = 16,
    /// Certifies a staff member's key, name and roles in a roster.
    Certify = 32,
    /// Ends a staff member's key at a cut.
    Retire = 33,
    /// Replaces a staff member's key (reserved).
    RotateKey = 34,
    /// Begins a new life of the clinic's store.
    Incarnation = 35,
    /// Begins a federation (reserved).
    Create = 64,
    /// Admits a clinic to a federation (reserved).
    Admit = 65,
    /// Removes a clinic from a federation (reserved).
    Remove = 66,
}

vocabulary!(Kind {
    Genesis = 0 "genesis",
    Edit = 1 "edit",
    View = 2 "view",
    Attach = 3 "attach",
    Erase = 4 "erase",
    Grant = 5 "grant",
    Revoke = 6 "revoke",
    Rotate = 7 "rotate",
    Consent = 8 "consent",
    Share = 9 "share",
    Redeem = 10 "redeem",
    Inference = 11 "inference",
    Verdict = 12 "verdict",
    BreakGlass = 13 "break-glass",
    Quarantine = 14 "quarantine",
    Link = 15 "link",
    Unlink = 16 "unlink",
    Certify = 32 "certify",
    Retire = 33 "retire",
    RotateKey = 34 "rotate-key",
    Incarnation = 35 "incarnation",
    Create = 64 "create",
    Admit = 65 "admit",
    Remove = 66 "remove",
});

impl Kind {
    /// Whether the body is clear: locked nodes and custodians must judge it. Other bodies are sealed
    /// under the epoch that the header names.
    pub const fn is_clear(self) -> bool {
        !matches!(
            self,
            Kind::Edit
                | Kind::View
                | Kind::Attach
                | Kind::Share
                | Kind::Inference
                | Kind::Verdict
                | Kind::BreakGlass
                | Kind::Link
                | Kind::Unlink
        )
    }

    /// Whether this version gives the kind a meaning.
    pub const fn is_supported(self) -> bool {
        matches!(
            self,
            Kind::Genesis
                | Kind::Edit
                | Kind::View
                | Kind::Attach
                | Kind::Erase
                | Kind::Grant
                | Kind::Revoke
                | Kind::Rotate
                | Kind::Inference
                | Kind::Verdict
                | Kind::Quarantine
                | Kind::Link
                | Kind::Unlink
                | Kind::Certify
                | Kind::Retire
                | Kind::Incarnation
        )
    }

    /// The right to the record that the writing clinic needs. Kinds that do not belong in a record, or
    /// have no meaning yet, are refused before anybody asks.
    pub(crate) const fn needs(self) -> Right {
        match self {
            Kind::View | Kind::Inference | Kind::Verdict => Right::Read,
            Kind::Genesis | Kind::Revoke | Kind::Rotate | Kind::Quarantine => Right::Home,
            _ => Right::Write,
        }
    }

    /// Whether the role covers an entry of this kind with this scope.
    pub(crate) fn is_covered_by(self, role: Role, scope: Option<Scope>) -> bool {
        match (self, scope) {
            (Kind::Edit | Kind::Attach, Some(scope)) => role.may_edit(scope),
            (Kind::Edit | Kind::Attach, None) => false,
            (Kind::View, _) => role.may_view(),
            (Kind::Inference | Kind::Verdict, _) => role.may_infer(),
            (Kind::Erase, _) => role.may_erase(),
            (Kind::Link | Kind::Unlink, _) => role.may_edit(Scope::Demographics),
            _ => role.may_grant(),
        }
    }
}

/// Which part of the document an edit may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Who the patient is, and appointments.
    Demographics = 0,
    /// Allergies, conditions, medicines, procedures and the like.
    Clinical = 1,
    /// Measurements.
    Observation = 2,
    /// Free-text notes.
    Note = 3,
    /// Images, audio, documents.
    Attachment = 4,
    /// What models suggested.
    Ai = 5,
}

vocabulary!(Scope {
    Demographics = 0 "demographics",
    Clinical = 1 "clinical",
    Observation = 2 "observation",
    Note = 3 "note",
    Attachment = 4 "attachment",
    Ai = 5 "ai",
});

/// What a staff member is certified to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Edits every scope.
    Physician = 0,
    /// Edits observations and notes.
    Nurse = 1,
    /// Edits demographics and appointments.
    Registrar = 2,
    /// Reads logs only.
    Auditor = 3,
    /// Keeps the roster and the grants.
    Admin = 4,
}

vocabulary!(Role {
    Physician = 0 "physician",
    Nurse = 1 "nurse",
    Registrar = 2 "registrar",
    Auditor = 3 "auditor",
    Admin = 4 "admin",
});

impl Role {
    /// Whether the role covers edits of this scope.
    pub const fn may_edit(self, scope: Scope) -> bool {
        match self {
            Role::Physician => true,
            Role::Nurse => matches!(scope, Scope::Observation | Scope::Note),
            Role::Registrar => matches!(scope, Scope::Demographics),
            Role::Auditor | Role::Admin => false,
        }
    }

    /// Whether the role may put a model to work on a record, and decide about what it answered.
    pub const fn may_infer(self) -> bool {
        matches!(self, Role::Physician)
    }

    /// Whether the role may open records: looks are logged, and only by those who may look.
    pub const fn may_view(self) -> bool {
        matches!(self, Role::Physician | Role::Nurse | Role::Registrar)
    }

    /// Whether the role may begin records and give grants.
    pub const fn may_grant(self) -> bool {
        matches!(self, Role::Physician | Role::Registrar | Role::Admin)
    }

    /// Whether the role covers destroying attachments and records.
    pub const fn may_erase(self) -> bool {
        matches!(self, Role::Physician | Role::Admin)
    }
}

/// What a clinic may do with a record, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Right {
    /// Keeps and serves the sealed log; gets no key.
    Custodian = 0,
    /// Reads, and logs its looks.
    Read = 1,
    /// Edits, and grants up to write.
    Write = 2,
    /// Owns: the clinic that began the record.
    Home = 3,
}

vocabulary!(Right {
    Custodian = 0 "custodian",
    Read = 1 "read",
    Write = 2 "write",
    Home = 3 "home",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_words_lead_back_to_the_value() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_code(u64::from(kind.code())), Some(kind));
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(kind.code(), kind as u8);
        }
        for &scope in Scope::ALL {
            assert_eq!(Scope::from_code(u64::from(scope.code())), Some(scope));
            assert_eq!(scope.code(), scope as u8);
        }
        for &role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(role.code(), role as u8);
        }
        for &right in Right::ALL {
            assert_eq!(Right::from_code(u64::from(right.code())), Some(right));
            assert_eq!(right.code(), right as u8);
        }
        assert_eq!(Kind::from_code(17), None);
        assert_eq!("surgeon".parse::<Role>(), Err(UnknownWord));
    }

    #[test]
    fn only_a_physician_edits_clinical_facts() {
        let may: Vec<_> = Role::ALL
            .iter()
            .filter(|role| role.may_edit(Scope::Clinical))
            .collect();
        assert_eq!(may, [&Role::Physician]);
    }

    #[test]
    fn rights_are_ordered_by_strength() {
        assert!(Right::Custodian < Right::Read);
        assert!(Right::Read < Right::Write);
        assert!(Right::Write < Right::Home);
    }
}
