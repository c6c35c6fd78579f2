//! The command line as `docs/cli.md` has it: names, options and their help.

mod add;
mod ai;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use salus_api::ApiError;

pub use add::{
    Add, AllergyArgs, ConditionArgs, EncounterArgs, ImmunizationArgs, MedicationArgs,
    ObservationArgs, ProcedureArgs,
};
pub use ai::{
    Ai, ClassifyArgs, EvalArgs, FindImages, FrameChoice, Images, Licence, ModelName, Models,
    TrainArgs,
};
pub use values::{Color, Form, Grantable, Network, Sex, StaffRole, StoppableKind};

/// Peer-to-peer medical records: every clinic keeps its patients' records on its own disk and works without a network.
#[derive(Debug, Parser)]
#[command(
    name = "salus",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed, 2 bad usage, 3 refused, 4 not found, 5 integrity problem found.\n\
                  Start with `salus demo`, or with `salus init --clinic NAME --staff NAME`."
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The clinic's data folder [default: the platform's data folder]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SALUS_DATA_DIR",
        hide_env_values = true
    )]
    pub data_dir: Option<PathBuf>,
    /// Print JSON: one document, or one object a line for lists
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the passphrase from a file [or the variable SALUS_PASSPHRASE, or the terminal]
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Who acts; needed only where several are enrolled
    #[arg(long, global = true, value_name = "NAME")]
    pub staff: Option<String>,
    /// Answer yes to questions
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
    /// Say more on standard error; twice for still more
    #[arg(long, short = 'v', global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Errors only on standard error
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub color: Color,
}

impl Global {
    /// The data folder to work on.
    pub fn folder(&self) -> Result<PathBuf, ApiError> {
        let given = self.data_dir.clone().filter(|d| !d.as_os_str().is_empty());
        given
            .or_else(|| dirs::data_dir().map(|d| d.join("salus")))
            .ok_or_else(|| {
                ApiError::usage("this platform names no data folder")
                    .hint("say which with --data-dir DIR or SALUS_DATA_DIR")
            })
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Found a clinic: make its keys and its data folder
    Init(InitArgs),
    /// Check the passphrase and open a session with the running daemon
    Unlock,
    /// Close the session: the daemon forgets all keys that read records, and goes on syncing
    Lock,
    /// State of the node
    Status,
    /// Run the daemon in the foreground
    Node(NodeArgs),
    /// The terminal UI
    Tui,
    /// People who work here
    #[command(subcommand)]
    Staff(Staff),
    /// This clinic
    #[command(subcommand)]
    Clinic(Clinic),
    /// Patients and their records
    #[command(subcommand)]
    Patient(Patient),
    /// Add an item to a record
    #[command(subcommand)]
    Add(Add),
    /// End a medicine, a condition or an allergy
    Stop(StopArgs),
    /// Import FHIR R4 files, and with --patient images, scans, audio and documents: each whole or not at all, and again without effect
    Import(ImportArgs),
    /// Attach files to a record: images, scans, audio, documents
    #[command(after_help = "Examples:\n  \
        salus attach 7224e8 chest.dcm\n  \
        salus attach 7224e8 report.pdf --about 91c2\n\
        DICOM, PNG, JPEG, TIFF, WAV, FLAC, MP3, OGG, M4A, PDF and text, known by their content. All files are attached, or none.\n\
        A DICOM file whose tags name another person is refused, unless that is confirmed with --yes.")]
    Attach(AttachArgs),
    /// Files of a record, and which of them are here
    Attachments(AttachmentsArgs),
    /// Write a file of a record to disk, in the clear; it is brought from another clinic where it is not here
    Fetch(FetchArgs),
    /// Destroy a file of a record, or the whole record, here and wherever the entry reaches
    #[command(
        after_help = "Examples:\n  salus erase 7224e8 chest.dcm --reason \"of another patient\"\n  \
        salus erase 7224e8 --reason \"the patient asked for it\"      the whole record\n\
        What was said and the bytes and keys of files are destroyed at every clinic that syncs; that there was something, who wrote it\n\
        and why it was erased stay in the log. It cannot reach a clinic that refuses, a backup, or a file written to disk before.\n\
        Of a whole record this asks first; --yes answers. Only its home clinic erases a record."
    )]
    Erase(EraseArgs),
    /// Export a record
    #[command(after_help = "Attached files are not in it: `salus fetch` writes them.")]
    Export(ExportArgs),
    /// Clinics that this one knows
    Peers(PeersArgs),
    /// Exchange entries with other clinics until nothing more moves
    Sync(SyncArgs),
    /// Entitle a clinic to a record
    Grant(GrantArgs),
    /// End a clinic's entitlement: it gets nothing more, and a new key keeps what follows from it
    Revoke(RevokeArgs),
    /// Who is and was entitled to a record
    Grants(PatientArg),
    /// What happened, and whether it is all there
    #[command(subcommand)]
    Audit(Audit),
    /// What models suggest, and what clinicians make of it
    #[command(subcommand)]
    Ai(Ai),
    /// Models: what they are, whether they are whole, how good, and training
    #[command(subcommand)]
    Models(Models),
    /// Images that models saw
    #[command(subcommand)]
    Images(Images),
    /// Write everything this node holds into one sealed file
    Backup {
        /// The file to make; it must not exist
        file: PathBuf,
    },
    /// Make a data folder from a backup, as a new life of the clinic: other clinics give back what came after it
    Restore(RestoreArgs),
    /// Look for what is wrong with this node, and say what to do
    Doctor {
        /// Mend what can be mended without losing anything
        #[arg(long)]
        repair: bool,
    },
    /// A throwaway federation with made-up patients: the UI, or a report with --headless
    Demo(DemoArgs),
    /// The project's own benchmarks
    Bench(BenchArgs),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// Which patient.
#[derive(Debug, Args)]
pub struct PatientArg {
    /// An id or any unambiguous prefix of it, an MRN, or an exact name
    #[arg(value_name = "PATIENT")]
    pub patient: String,
}

/// `salus init`. Who acts is the global `--staff`.
#[derive(Debug, Args)]
#[command(
    override_usage = "salus init --clinic <NAME> --staff <NAME> [OPTIONS]",
    after_help = "The recovery words are shown once: whoever has them can replace this clinic's keys."
)]
pub struct InitArgs {
    /// The clinic's name, as other clinics will see it
    #[arg(long, value_name = "NAME")]
    pub clinic: String,
    /// The role of the first person, whose name is --staff
    #[arg(long, value_enum, default_value_t)]
    pub role: StaffRole,
    /// Where this node may look for others
    #[arg(long, value_enum, default_value_t)]
    pub network: Network,
    /// Write the recovery words to a new file instead of showing them
    #[arg(long, value_name = "FILE")]
    pub recovery_out: Option<PathBuf>,
    /// Weak key derivation, for tests only
    #[arg(long, hide = true, env = "SALUS_TEST_KDF", hide_env = true)]
    pub test_kdf: bool,
}

/// `salus node`.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Listen here instead of at the address that `init` chose
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
}

/// `salus staff`.
#[derive(Debug, Subcommand)]
pub enum Staff {
    /// Enrol a person, who gets a passphrase of their own
    Add {
        /// Their name, as the roster will show it
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: StaffRole,
        /// Read the new person's passphrase from a file [otherwise it is asked for, twice]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        /// The clinic's recovery words
        #[command(flatten)]
        recovery: RecoveryArg,
    },
    /// Who is enrolled
    List,
    /// End a person's key: nothing signed with it from now on counts anywhere
    Retire {
        /// Their name
        name: String,
        /// The clinic's recovery words
        #[command(flatten)]
        recovery: RecoveryArg,
    },
    /// Change your own passphrase
    Passphrase {
        /// Read the new passphrase from a file [otherwise it is asked for, twice]
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
}

/// Where the recovery words come from.
#[derive(Clone, Debug, Default, Args)]
pub struct RecoveryArg {
    /// Read the clinic's recovery words from a file: needed where an administrator or the clinic's own keys change
    #[arg(long, value_name = "FILE")]
    pub recovery: Option<PathBuf>,
}

/// `salus clinic`.
#[derive(Debug, Subcommand)]
pub enum Clinic {
    /// This clinic's id and addresses, and what to type at another clinic
    Id {
        /// As a QR code too
        #[arg(long)]
        qr: bool,
    },
    /// Replace this node's keys, for instance after a theft: what the old ones sign from now on counts nowhere
    RotateKey {
        /// The clinic's recovery words [otherwise they are asked for]
        #[command(flatten)]
        recovery: RecoveryArg,
    },
}

/// `salus patient`.
#[derive(Debug, Subcommand)]
pub enum Patient {
    /// Register a patient
    New(NewPatientArgs),
    /// All patients that this clinic may read
    List,
    /// Patients by words of their name, MRN, phone or date of birth
    Find {
        /// Words that must all match
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// A record: the summary first
    Show {
        /// Which
        #[command(flatten)]
        patient: PatientArg,
        /// Every item of the record, with its id
        #[arg(long)]
        all: bool,
        /// As it was: at a time (2026-03-01T14:30:00Z, or a day), or right after an entry
        #[arg(long, value_name = "TIME|HASH")]
        at: Option<String>,
    },
    /// Set one field of the demographics
    Set {
        /// Which
        #[command(flatten)]
        patient: PatientArg,
        /// For instance `phone` or `address.city`
        path: String,
        /// The value; "" removes it
        value: String,
    },
    /// Write a note
    Note {
        /// Which
        #[command(flatten)]
        patient: PatientArg,
        /// What it says; `-` reads standard input
        text: String,
    },
    /// The record's log, newest first
    History(PatientArg),
    /// Values that clinics wrote apart and that differ, and merges that need a clinician's eye
    Conflicts(PatientArg),
    /// Settle a conflict
    Resolve(ResolveArgs),
    /// Note that a clinician looked at a merge that `patient conflicts` warns of, and lets it stand
    Acknowledge {
        /// Which
        #[command(flatten)]
        patient: PatientArg,
        /// The warning's id that `patient conflicts` shows, or its beginning
        warning: String,
        /// Why it may stand
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
    /// Records that may be of the same person
    Duplicates {
        /// Whose [otherwise everybody's]
        patient: Option<String>,
    },
    /// Show two records as one: nothing is deleted, `unlink` takes it back
    Link(PairArgs),
    /// Take a link back
    Unlink(PairArgs),
}

/// Two patients.
#[derive(Debug, Args)]
pub struct PairArgs {
    /// One record
    #[arg(value_name = "PATIENT")]
    pub patient: String,
    /// The other
    #[arg(value_name = "PATIENT")]
    pub other: String,
}

/// `salus patient resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// Which
    #[command(flatten)]
    pub patient: PatientArg,
    /// The path that `patient conflicts` shows
    pub path: String,
    /// The number of the value to keep
    #[arg(value_parser = clap::value_parser!(u32).range(1..), required_unless_present = "value")]
    pub choice: Option<u32>,
    /// Another value than those in conflict: text, or JSON for a field that is not text
    #[arg(
        long,
        value_name = "VALUE",
        conflicts_with = "choice",
        requires = "why"
    )]
    pub value: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// `salus patient new`.
#[derive(Debug, Args)]
pub struct NewPatientArgs {
    /// Family name
    #[arg(long, value_name = "NAME")]
    pub family: String,
    /// Given names
    #[arg(long, value_name = "NAMES")]
    pub given: String,
    /// Date of birth
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub birth_date: String,
    /// Administrative sex
    #[arg(long, value_enum)]
    pub sex: Sex,
    /// Medical record number [otherwise one is drawn]
    #[arg(long)]
    pub mrn: Option<String>,
    /// Telephone
    #[arg(long)]
    pub phone: Option<String>,
}

/// `salus stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// What
    #[arg(value_enum, value_name = "KIND")]
    pub kind: StoppableKind,
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// Its id, any unambiguous prefix of it, or its exact words
    pub item: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// `salus import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Files, or folders with .json, .ndjson and .gz files; with --patient also with other files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Whose images, scans, audio and documents they are [FHIR files say it themselves]
    #[arg(long, value_name = "PATIENT")]
    pub patient: Option<String>,
}

/// `salus attach`.
#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Whose files
    #[command(flatten)]
    pub patient: PatientArg,
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The report, encounter, note or other item that they belong to, by its id or the beginning of it
    #[arg(long, value_name = "ITEM")]
    pub about: Option<String>,
}

/// `salus attachments`.
#[derive(Debug, Args)]
pub struct AttachmentsArgs {
    /// Whose files
    #[command(flatten)]
    pub patient: PatientArg,
    /// Keep all files of this record here in full
    #[arg(long, conflicts_with = "unpin")]
    pub pin: bool,
    /// Leave it to the policy again which files are brought
    #[arg(long)]
    pub unpin: bool,
}

/// `salus fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// Whose file
    #[command(flatten)]
    pub patient: PatientArg,
    /// Which: its id, the beginning of it, or its name
    #[arg(value_name = "ATTACHMENT")]
    pub attachment: String,
    /// Into a file or a folder, or - for standard output [otherwise into this folder, under its own name]; over an existing file only
    /// with --yes
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `salus erase`.
#[derive(Debug, Args)]
pub struct EraseArgs {
    /// Whose
    #[command(flatten)]
    pub patient: PatientArg,
    /// Which file: its id, the beginning of it, or its name [otherwise the whole record]
    #[arg(value_name = "ATTACHMENT")]
    pub attachment: Option<String>,
    /// Why; whoever may hold the record's log reads it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `salus export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Which
    #[command(flatten)]
    pub patient: PatientArg,
    /// As what
    #[arg(long = "as", value_enum, default_value_t, value_name = "FORM")]
    pub form: Form,
    /// Into a file [otherwise to standard output]; over an existing one only with --yes
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `salus peers`.
#[derive(Debug, Args)]
pub struct PeersArgs {
    /// What to do; without it, list them
    #[command(subcommand)]
    pub command: Option<Peers>,
}

/// `salus peers add`.
#[derive(Debug, Subcommand)]
pub enum Peers {
    /// List the clinics known here
    List,
    /// Make another clinic known
    Add {
        /// Its id
        id: String,
        /// Where it is, as its `salus clinic id` prints it
        #[arg(required = true, value_name = "ADDR")]
        addresses: Vec<String>,
    },
}

/// `salus sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// A clinic's id, any unambiguous prefix of it, or its exact name [otherwise all]
    pub clinic: Option<String>,
    /// All clinics
    #[arg(long, conflicts_with = "clinic")]
    pub all: bool,
    /// One round with each, even where what came could let more follow
    #[arg(long)]
    pub once: bool,
}

/// `salus grant`.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// Which record
    #[command(flatten)]
    pub patient: PatientArg,
    /// A clinic's id, any unambiguous prefix of it, or its exact name
    pub clinic: String,
    /// To what: `custodian` keeps and serves without being able to read
    #[arg(long, value_enum)]
    pub role: Grantable,
}

/// `salus revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Which record
    #[command(flatten)]
    pub patient: PatientArg,
    /// A clinic's id, any unambiguous prefix of it, or its exact name
    pub clinic: String,
}

/// `salus restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A file that `salus backup` wrote
    pub file: PathBuf,
    /// The clinic's recovery words; an administrator needs none
    #[command(flatten)]
    pub recovery: RecoveryArg,
}

/// `salus audit prove`.
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// Which record; without it, the checkpoint alone is proved
    #[arg(value_name = "PATIENT", requires = "entry")]
    pub patient: Option<String>,
    /// The hash of one of this clinic's own entries, or its beginning
    pub entry: Option<String>,
    /// Into a file [otherwise to standard output, unless that is a terminal]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// An older proof of this clinic: prove, too, that nothing was taken out since
    #[arg(long, value_name = "PROOF")]
    pub since: Option<PathBuf>,
}

/// `salus audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Who did what and when, newest first
    Log {
        /// Which patient [otherwise everything]
        patient: Option<String>,
        /// At most so many entries
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Check hashes, signatures, chains, rights and stored values; exit code 5 where something is wrong
    Verify {
        /// Which patient [otherwise everything]
        patient: Option<String>,
        /// Everything
        #[arg(long, conflicts_with = "patient")]
        all: bool,
    },
    /// Who saw, received or exported a record
    Accesses(PatientArg),
    /// A file with which anybody proves, offline, that this clinic's log holds an entry
    Prove(ProveArgs),
    /// Check a proof file, with nothing but the clinic's public id; exit code 5 where it does not hold
    Check {
        /// A file that `audit prove` wrote
        proof: PathBuf,
        /// The clinic's id, as you know it
        #[arg(long, value_name = "ID")]
        clinic: Option<String>,
        /// An older proof of the same clinic: nothing may have been taken out or rewritten since
        #[arg(long, value_name = "PROOF")]
        against: Option<PathBuf>,
    },
    /// Hold a broken or hostile edit out of a record, at every clinic
    Quarantine {
        /// Which record
        #[command(flatten)]
        patient: PatientArg,
        /// The edit's hash, or its beginning
        entry: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: String,
    },
}

/// `salus demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Play the story and print a report, instead of opening the UI
    #[arg(long)]
    pub headless: bool,
    /// Clinics
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=8))]
    pub clinics: u8,
    /// Patients
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub patients: u16,
    /// Which patients are made up: the same number makes the same ones
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Keep the clinics' data folders here
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `salus bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which: import, sync, visible, verify, first-sync, scale [otherwise the first four: the others take minutes]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// FHIR files to measure with, instead of made-up patients
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("salus").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_understood() {
        for line in [
            "init --clinic North --staff Ann --role physician --network loopback --recovery-out f",
            "unlock",
            "lock",
            "status --json",
            "node --listen 127.0.0.1:4433",
            "tui",
            "staff add Bo --role nurse --new-passphrase-file f",
            "staff list",
            "staff retire Bo --recovery f",
            "staff passphrase --new-passphrase-file f",
            "clinic rotate-key --recovery f",
            "patient show 3f9a --at 2026-03-01",
            "patient duplicates 3f9a",
            "patient duplicates",
            "patient link 3f9a 77aa",
            "patient unlink 3f9a 77aa",
            "patient resolve 3f9a patient/phone --value 555-3 --why asked",
            "patient acknowledge 3f9a 12 --why seen",
            "revoke 3f9a North",
            "export 3f9a --as ips -o f",
            "export 3f9a --as csv",
            "audit accesses 3f9a",
            "audit prove 3f9a 77aa -o f --since g",
            "audit prove -o f",
            "audit check f --clinic ab --against g",
            "audit quarantine 3f9a 77aa --why broken",
            "backup f",
            "restore f --recovery g",
            "doctor --repair",
            "ai suggestions 3f9a",
            "ai accept 3f9a 77aa",
            "ai accept 3f9a 77aa --label effusion",
            "ai reject 3f9a 77aa --why artefact",
            "images find --category pneumonia",
            "images find --category pneumonia --patient 3f9a --json",
            "clinic id --qr",
            "patient new --family Ng --given Wei --birth-date 1956-02-03 --sex female --mrn 7 --phone 1",
            "patient list --json",
            "patient find ng wei --limit 3",
            "patient show 3f9a --json",
            "patient set 3f9a address.city Kiel",
            "patient note 3f9a fine",
            "patient history 3f9a",
            "patient conflicts 3f9a",
            "patient resolve 3f9a patient/phone 2",
            "add allergy 3f9a --substance Penicillin --criticality high --reaction Rash",
            "add condition 3f9a --name Asthma --code snomed|195967001 --onset 2001-02-03 --status active",
            "add medication 3f9a --name Amoxicillin --dose 1-0-1 --statement",
            "add observation 3f9a --code 8480-6 --display x --value 120 --unit mmHg --at 2026-01-02",
            "add observation 3f9a --bp 120/80",
            "add observation 3f9a --vital weight 72.5",
            "add observation 3f9a --vital temperature -3.5",
            "add immunization 3f9a --vaccine Influenza --lot A1",
            "add procedure 3f9a --name Appendectomy --at 2020-01-02",
            "add encounter 3f9a --name Check-up --class ambulatory",
            "stop medication 3f9a Amoxicillin --why rash",
            "stop allergy 3f9a Penicillin --why tested",
            "import a.json folder",
            "export 3f9a --as fhir -o out.json --yes",
            "peers",
            "peers add abcd e@127.0.0.1:1 e@127.0.0.1:2",
            "sync",
            "sync --all --once",
            "sync abcd",
            "grant 3f9a abcd --role custodian",
            "grants 3f9a",
            "audit log --limit 5",
            "audit log 3f9a",
            "audit verify --all --json",
            "audit verify 3f9a",
            "demo --headless --clinics 3 --patients 5 --seed 7 --keep d --json",
            "bench import sync --json --data d",
            "completions bash",
            "--data-dir d --passphrase-file f --staff Ann --color never -vv status",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn bad_usage_is_told_from_asking_for_help() {
        for line in [
            "",
            "frobnicate",
            "patient",
            "patient new --family Ng",
            "sync abcd --all",
            "grant a b --role home",
            "demo --clinics 1",
            "status -q -v",
            "import",
            "ai",
            "ai reject 3f9a 77aa",
            "images find",
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        for (line, kind) in [
            ("--help", ErrorKind::DisplayHelp),
            ("help patient", ErrorKind::DisplayHelp),
            ("--version", ErrorKind::DisplayVersion),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (kind, 0), "{line}");
        }
    }

    #[test]
    fn every_command_and_option_has_its_help() {
        fn visit(command: &clap::Command) {
            for sub in command.get_subcommands() {
                assert!(sub.get_about().is_some(), "{}", sub.get_name());
                visit(sub);
            }
            for arg in command.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
        }
        visit(&Cli::command());
    }
}
