//! `salus ai` and `salus images`: what models suggest, and the images that they saw.

use clap::{Args, Subcommand};

use super::PatientArg;

/// `salus ai`.
#[derive(Debug, Subcommand)]
pub enum Ai {
    /// What models suggested about a patient, and what became of it
    #[command(after_help = "Examples:\n  \
        salus ai suggestions 7224e8\n  \
        salus ai suggestions 7224e8 --json\n\
        A suggestion is no finding: nothing of it is in the record until a physician accepts it.")]
    Suggestions(PatientArg),
    /// Accept a suggestion: the finding enters the record, with where it comes from
    #[command(after_help = "Examples:\n  \
        salus ai accept 7224e8 9c41b0\n  \
        salus ai accept 7224e8 9c41b0 --label \"pleural effusion\"\n\
        What a model did not assess is accepted with a label only. A clinic that may only read notes its verdict in\n\
        the log; the finding enters the record when a clinic that may write accepts it, too.")]
    Accept {
        /// Which record
        #[command(flatten)]
        patient: PatientArg,
        /// The suggestion's id that `ai suggestions` shows, or its beginning
        suggestion: String,
        /// The finding in your own words [otherwise the model's]
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
    },
    /// Reject a suggestion; a finding that entered the record by it is marked as entered in error
    #[command(
        after_help = "Example:\n  salus ai reject 7224e8 9c41b0 --why \"artefact of the plate\""
    )]
    Reject {
        /// Which record
        #[command(flatten)]
        patient: PatientArg,
        /// The suggestion's id that `ai suggestions` shows, or its beginning
        suggestion: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// `salus images`.
#[derive(Debug, Subcommand)]
pub enum Images {
    /// Images by the category that a model suggested or a physician accepted; a look at every record shown
    #[command(after_help = "Examples:\n  \
        salus images find --category pneumonia\n  \
        salus images find --category chest_xray --patient 7224e8 --json")]
    Find(FindImages),
}

/// `salus images find`.
#[derive(Debug, Args)]
pub struct FindImages {
    /// The category, whatever its case and punctuation
    #[arg(long, value_name = "NAME")]
    pub category: String,
    /// Of one patient only: an id, its beginning, an MRN or an exact name
    #[arg(long, value_name = "PATIENT")]
    pub patient: Option<String>,
}
