//! Every action, once: what it is called, which keys do it, and where.
//!
//! The footer, the help screen and the palette are printed from [`BINDINGS`]; [`resolve`] is the only reader of
//! keys. One rule keeps letters free for typing: in a context that takes text, a key that writes a character never
//! resolves to an action.

use crate::keys::{Code, Key};

/// Something a person can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    // Everywhere.
    Help,
    Palette,
    NextTheme,
    Lock,
    Quit,
    Dismiss,
    // Moving.
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Back,
    // Patients.
    OpenPatient,
    Search,
    Commands,
    NewPatient,
    OpenAudit,
    OpenSync,
    // One record.
    PreviousSection,
    NextSection,
    JumpSection,
    OpenItem,
    Filter,
    KeepFilter,
    NewNote,
    BloodPressure,
    OpenImage,
    OpenConflicts,
    RecordAudit,
    AsItWas,
    Present,
    OpenDuplicates,
    OpenRights,
    Reload,
    // Forms and the note.
    SignIn,
    NextField,
    PreviousField,
    Submit,
    Confirm,
    Save,
    NewLine,
    // Typing.
    CursorLeft,
    CursorRight,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    DeleteBack,
    DeleteForward,
    DeleteWord,
    DeleteToStart,
    // Conflicts.
    ChooseNumber,
    ChooseValue,
    OtherValue,
    Acknowledge,
    // Suggestions of models.
    AcceptSuggestion,
    RejectSuggestion,
    // Images.
    ChooseFile,
    CompleteName,
    SwitchPicture,
    // Files.
    AttachFile,
    AttachAnother,
    OpenOutside,
    WriteFile,
    KeepFiles,
    EraseFile,
    Larger,
    NextFrame,
    PreviousFrame,
    CentreUp,
    CentreDown,
    Narrower,
    Wider,
    OwnWindow,
    HabitWindow,
    // Same person.
    Link,
    Unlink,
    // Rights.
    Grant,
    Revoke,
    EraseRecord,
    // Audit.
    OpenEntry,
    Verify,
    Accesses,
    // Sync.
    SyncAll,
    SyncOne,
    // Palette and questions.
    RunCommand,
    Yes,
    No,
}

impl Action {
    /// Whether it is refused while a record is shown as it was.
    pub fn needs_the_present(self) -> bool {
        matches!(
            self,
            Self::NewNote
                | Self::BloodPressure
                | Self::OpenImage
                | Self::AttachFile
                | Self::OpenConflicts
                | Self::OpenDuplicates
                | Self::OpenRights
        )
    }
}

/// Where keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Context {
    /// Signing in.
    Unlock,
    /// Typing into the patient search.
    Search,
    /// Walking through the patient list.
    Patients,
    /// A record's sections.
    Record,
    /// The same: the cursor stands on what a model suggested.
    Suggestions,
    /// The same, shown as they were.
    Past,
    /// Typing into the filter of a list.
    Filter,
    /// One item of a record, or one entry of the audit trail.
    Item,
    /// All of what a model suggested.
    Suggestion,
    /// Writing a note.
    Note,
    /// A form.
    Form,
    /// A line or two asked for by a page about a record.
    Prompt,
    /// Choosing an image file.
    Chooser,
    /// An image, and what a model said about it.
    Image,
    /// A file of a record.
    File,
    /// The same: a picture with a window that can be moved.
    Slice,
    /// Settling conflicts: the cursor stands on a value.
    Conflicts,
    /// The same: the cursor stands on a concern.
    Concerns,
    /// Records that may be of the same person.
    Duplicates,
    /// Who may see a record.
    Rights,
    /// The audit trail of everything.
    Audit,
    /// The audit trail of one record.
    RecordAudit,
    /// The other clinics.
    Sync,
    /// The help screen.
    Help,
    /// The command palette.
    Palette,
    /// A question.
    Question,
    /// A failure is being shown; asked before the context below it.
    Failure,
}

impl Context {
    /// All of them, in the order of the help screen.
    pub const ALL: [Self; 27] = [
        Self::Unlock,
        Self::Search,
        Self::Patients,
        Self::Record,
        Self::Suggestions,
        Self::Past,
        Self::Item,
        Self::Suggestion,
        Self::Filter,
        Self::Note,
        Self::Form,
        Self::Prompt,
        Self::Chooser,
        Self::Image,
        Self::File,
        Self::Slice,
        Self::Conflicts,
        Self::Concerns,
        Self::Duplicates,
        Self::Rights,
        Self::Audit,
        Self::RecordAudit,
        Self::Sync,
        Self::Help,
        Self::Palette,
        Self::Question,
        Self::Failure,
    ];

    /// Whether letters are text here.
    pub fn takes_text(self) -> bool {
        matches!(
            self,
            Self::Unlock
                | Self::Search
                | Self::Filter
                | Self::Note
                | Self::Form
                | Self::Prompt
                | Self::Chooser
                | Self::Palette
        )
    }
}

/// Under which heading the help screen prints an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    Everywhere,
    Moving,
    Patients,
    Record,
    Writing,
    Typing,
    Suggestions,
    Images,
    Files,
    Conflicts,
    Persons,
    Rights,
    Audit,
    Sync,
    Questions,
}

impl Group {
    /// All of them, in the order of the help screen.
    pub const ALL: [Self; 15] = [
        Self::Everywhere,
        Self::Moving,
        Self::Patients,
        Self::Record,
        Self::Writing,
        Self::Suggestions,
        Self::Images,
        Self::Files,
        Self::Conflicts,
        Self::Persons,
        Self::Rights,
        Self::Audit,
        Self::Sync,
        Self::Questions,
        Self::Typing,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Moving => "Moving",
            Self::Patients => "Patients",
            Self::Record => "Record",
            Self::Writing => "Notes and forms",
            Self::Typing => "Typing",
            Self::Suggestions => "AI suggestions",
            Self::Images => "Images",
            Self::Files => "Files",
            Self::Conflicts => "Conflicts and concerns",
            Self::Persons => "Same person?",
            Self::Rights => "Who may see a record",
            Self::Audit => "Audit trail",
            Self::Sync => "Sync",
            Self::Questions => "Palette and questions",
        }
    }
}

/// One action with all that is known of it.
#[derive(Debug)]
pub(crate) struct Binding {
    /// The action.
    pub action: Action,
    /// Its name, for scripts of keys and for configuration to come.
    pub id: &'static str,
    /// What it does, for help and palette.
    pub title: &'static str,
    /// The same in a word or two, for the footer; "" keeps it out of the footer.
    pub hint: &'static str,
    /// The keys that do it, preferred one first.
    pub keys: &'static [Key],
    /// Where.
    pub contexts: &'static [Context],
    /// Its heading in the help screen.
    pub group: Group,
}

impl Binding {
    /// A row of keys in short, `1…9`, where each key means another of the same thing.
    pub fn range(&self) -> Option<String> {
        match self.keys {
            [first, .., last] if self.keys.len() > 3 => Some(format!("{first}…{last}")),
            _ => None,
        }
    }

    /// The keys that do it in this context.
    pub fn keys_in(&self, context: Context) -> impl Iterator<Item = Key> {
        let here = self.contexts.contains(&context);
        let text = context.takes_text();
        self.keys
            .iter()
            .copied()
            .filter(move |k| here && !(text && k.writes().is_some()))
    }
}

use Context as C;

/// A record's sections, now and as they were.
const RECORD: &[C] = &[C::Record, C::Past, C::Suggestions];
/// Every context in which a person is signed in and no question is open.
const WORKING: &[C] = &[
    C::Search,
    C::Patients,
    C::Record,
    C::Suggestions,
    C::Past,
    C::Item,
    C::Suggestion,
    C::Filter,
    C::Note,
    C::Form,
    C::Prompt,
    C::Chooser,
    C::Image,
    C::File,
    C::Slice,
    C::Conflicts,
    C::Concerns,
    C::Duplicates,
    C::Rights,
    C::Audit,
    C::RecordAudit,
    C::Sync,
];
const LISTS: &[C] = &[
    C::Search,
    C::Patients,
    C::Record,
    C::Suggestions,
    C::Past,
    C::Item,
    C::Suggestion,
    C::Filter,
    C::Chooser,
    C::Image,
    C::File,
    C::Conflicts,
    C::Concerns,
    C::Duplicates,
    C::Rights,
    C::Audit,
    C::RecordAudit,
    C::Sync,
    C::Help,
    C::Palette,
    C::Note,
    C::Form,
    C::Prompt,
    C::Unlock,
];
const PAGES: &[C] = &[
    C::Search,
    C::Patients,
    C::Record,
    C::Suggestions,
    C::Past,
    C::Item,
    C::Suggestion,
    C::Filter,
    C::Chooser,
    C::Image,
    C::File,
    C::Slice,
    C::Conflicts,
    C::Concerns,
    C::Duplicates,
    C::Rights,
    C::Audit,
    C::RecordAudit,
    C::Help,
    C::Note,
];
const ENDS: &[C] = &[
    C::Patients,
    C::Record,
    C::Suggestions,
    C::Past,
    C::Item,
    C::Suggestion,
    C::Image,
    C::File,
    C::Slice,
    C::Conflicts,
    C::Concerns,
    C::Duplicates,
    C::Rights,
    C::Audit,
    C::RecordAudit,
    C::Sync,
    C::Help,
];
/// In [`Context::Past`] the same keys lead to the present.
const BACK: &[C] = &[
    C::Patients,
    C::Record,
    C::Suggestions,
    C::Item,
    C::Suggestion,
    C::Filter,
    C::Note,
    C::Form,
    C::Prompt,
    C::Chooser,
    C::Image,
    C::File,
    C::Slice,
    C::Conflicts,
    C::Concerns,
    C::Duplicates,
    C::Rights,
    C::Audit,
    C::RecordAudit,
    C::Sync,
    C::Help,
    C::Palette,
];
/// Where help is a key away.
const HELPED: &[C] = &[
    C::Unlock,
    C::Search,
    C::Patients,
    C::Record,
    C::Suggestions,
    C::Past,
    C::Item,
    C::Suggestion,
    C::Filter,
    C::Note,
    C::Form,
    C::Prompt,
    C::Chooser,
    C::Image,
    C::File,
    C::Slice,
    C::Conflicts,
    C::Concerns,
    C::Duplicates,
    C::Rights,
    C::Audit,
    C::RecordAudit,
    C::Sync,
];
const TYPING: &[C] = &[
    C::Unlock,
    C::Search,
    C::Filter,
    C::Note,
    C::Form,
    C::Prompt,
    C::Chooser,
    C::Palette,
];

const fn bind(
    action: Action,
    group: Group,
    id: &'static str,
    title: &'static str,
    hint: &'static str,
    keys: &'static [Key],
    contexts: &'static [Context],
) -> Binding {
    Binding {
        action,
        id,
        title,
        hint,
        keys,
        contexts,
        group,
    }
}

const fn key(code: Code) -> Key {
    Key::new(code)
}

/// Every action, in the order in which the footer prefers them.
#[rustfmt::skip]
pub(crate) static BINDINGS: &[Binding] = &[
    // What a screen is for comes first.
    bind(Action::Yes, Group::Questions, "yes", "Yes, do it", "yes", &[Key::char('y')], &[C::Question]),
    bind(Action::No, Group::Questions, "no", "No, go back", "no", &[Key::char('n'), key(Code::Esc), Key::char('q')], &[C::Question]),
    bind(Action::Dismiss, Group::Questions, "dismiss", "Take the message away", "dismiss", &[key(Code::Esc)], &[C::Failure]),
    bind(Action::Present, Group::Record, "present", "From the past to the present", "the present", &[key(Code::Esc), Key::char('q')], &[C::Past]),
    bind(Action::OpenPatient, Group::Patients, "open-patient", "Open the record", "open", &[key(Code::Enter), Key::char('l')], &[C::Patients, C::Search, C::Duplicates]),
    bind(Action::RunCommand, Group::Questions, "run-command", "Run the command", "run", &[key(Code::Enter)], &[C::Palette]),
    bind(Action::AcceptSuggestion, Group::Suggestions, "accept-suggestion", "Accept the marked suggestion", "accept", &[Key::char('y')], &[C::Suggestions, C::Suggestion, C::Image]),
    bind(Action::RejectSuggestion, Group::Suggestions, "reject-suggestion", "Reject it, with a reason", "reject", &[Key::char('x')], &[C::Suggestions, C::Suggestion, C::Image]),
    bind(Action::ChooseFile, Group::Images, "choose-file", "Open the marked file or folder", "open", &[key(Code::Enter)], &[C::Chooser]),
    bind(Action::CompleteName, Group::Images, "complete-name", "Complete the name", "complete", &[key(Code::Tab)], &[C::Chooser]),
    bind(Action::OpenItem, Group::Record, "open-item", "Show all of an item", "show", &[key(Code::Enter)], &[C::Record, C::Suggestions, C::Past, C::Concerns]),
    bind(Action::BloodPressure, Group::Record, "blood-pressure", "Enter a blood pressure", "pressure", &[Key::char('b')], RECORD),
    bind(Action::NewNote, Group::Record, "new-note", "Write a note", "note", &[Key::char('n')], RECORD),
    bind(Action::OpenImage, Group::Images, "image", "Have a model look at an image", "image", &[Key::char('i')], &[C::Record, C::Past, C::Suggestions, C::Image]),
    bind(Action::SwitchPicture, Group::Images, "switch-picture", "The image, or what speaks for it", "heat map", &[Key::char('m'), key(Code::Tab)], &[C::Image]),
    bind(Action::AttachFile, Group::Files, "attach", "Attach a file to this record", "attach", &[Key::char('f')], RECORD),
    bind(Action::CentreUp, Group::Files, "centre-up", "Window centre up: darker", "centre", &[key(Code::Up), Key::char('k')], &[C::Slice]),
    bind(Action::CentreDown, Group::Files, "centre-down", "Window centre down: lighter", "", &[key(Code::Down), Key::char('j')], &[C::Slice]),
    bind(Action::Narrower, Group::Files, "narrower", "Window narrower: more contrast", "", &[key(Code::Left), Key::char('h')], &[C::Slice]),
    bind(Action::Wider, Group::Files, "wider", "Window wider: less contrast", "width", &[key(Code::Right), Key::char('l')], &[C::Slice]),
    bind(Action::NextFrame, Group::Files, "next-frame", "Next frame", "frame", &[Key::char('.'), Key::char('n')], &[C::File, C::Slice]),
    bind(Action::PreviousFrame, Group::Files, "previous-frame", "Frame before", "", &[Key::char(','), Key::char('N')], &[C::File, C::Slice]),
    bind(Action::OwnWindow, Group::Files, "own-window", "The file's own window", "own", &[Key::char('0')], &[C::Slice]),
    bind(Action::HabitWindow, Group::Files, "habit-window", "CT: lung, bone, brain, tissue", "CT", &[Key::char('1'), Key::char('2'), Key::char('3'), Key::char('4')], &[C::Slice]),
    bind(Action::WriteFile, Group::Files, "write-file", "Write it to disk", "write", &[Key::char('w')], &[C::File, C::Slice]),
    bind(Action::OpenOutside, Group::Files, "open-outside", "Open it in another program", "open", &[Key::char('o')], &[C::File, C::Slice]),
    bind(Action::Larger, Group::Files, "larger", "The look over the whole width", "larger", &[Key::char('m'), key(Code::Tab)], &[C::File, C::Slice]),
    bind(Action::KeepFiles, Group::Files, "keep-files", "Keep this record's files, or not", "keep here", &[Key::char('p')], &[C::File, C::Slice]),
    bind(Action::EraseFile, Group::Files, "erase-file", "Erase it for good, with a reason", "erase", &[Key::char('x')], &[C::File, C::Slice]),
    bind(Action::AttachAnother, Group::Files, "attach-another", "Attach another file", "attach", &[Key::char('a'), Key::char('f')], &[C::File, C::Slice]),
    bind(Action::OpenConflicts, Group::Record, "conflicts", "Settle conflicts and concerns", "conflicts", &[Key::char('c')], RECORD),
    bind(Action::RecordAudit, Group::Record, "record-audit", "Who did what with this record", "audit", &[Key::char('a')], RECORD),
    bind(Action::OpenRights, Group::Record, "rights", "Who may see this record", "who may", &[Key::char('w')], RECORD),
    bind(Action::OpenDuplicates, Group::Record, "duplicates", "Same person? Records to link", "same person?", &[Key::char('d')], RECORD),
    bind(Action::Confirm, Group::Writing, "confirm", "Next line; after the last, do it", "go on", &[key(Code::Enter)], &[C::Prompt]),
    bind(Action::Save, Group::Writing, "save", "Save", "save", &[Key::ctrl('s')], &[C::Note, C::Form]),
    bind(Action::Submit, Group::Writing, "submit", "Next field; on the last one, save", "next", &[key(Code::Enter)], &[C::Form]),
    bind(Action::SignIn, Group::Writing, "sign-in", "Next field; on the last, sign in", "sign in", &[key(Code::Enter)], &[C::Unlock]),
    bind(Action::Acknowledge, Group::Conflicts, "acknowledge", "Let a merge stand, with a reason", "let it stand", &[Key::char('a')], &[C::Concerns]),
    bind(Action::ChooseValue, Group::Conflicts, "choose-value", "Keep the marked value", "keep it", &[key(Code::Enter)], &[C::Conflicts]),
    bind(Action::ChooseNumber, Group::Conflicts, "choose-number", "Keep the value with this number", "by number",
        &[Key::char('1'), Key::char('2'), Key::char('3'), Key::char('4'), Key::char('5'), Key::char('6'), Key::char('7'), Key::char('8'), Key::char('9')], &[C::Conflicts]),
    bind(Action::OtherValue, Group::Conflicts, "other-value", "Another value, with a reason", "another value", &[Key::char('o')], &[C::Conflicts]),
    bind(Action::Link, Group::Persons, "link", "Show both records as one", "show as one", &[Key::char('s')], &[C::Duplicates]),
    bind(Action::Unlink, Group::Persons, "unlink", "Take the link back", "unlink", &[Key::char('u')], &[C::Duplicates]),
    bind(Action::Grant, Group::Rights, "grant", "Grant a right to the marked clinic", "grant", &[key(Code::Enter)], &[C::Rights]),
    bind(Action::Revoke, Group::Rights, "revoke", "End the marked clinic's right", "revoke", &[Key::char('x')], &[C::Rights]),
    bind(Action::EraseRecord, Group::Rights, "erase-record", "Erase the whole record for good", "erase record", &[Key::char('X')], &[C::Rights]),
    bind(Action::SyncAll, Group::Sync, "sync-all", "Sync with all clinics now", "sync now", &[Key::char('s')], &[C::Sync]),
    bind(Action::SyncOne, Group::Sync, "sync-one", "Sync with the marked clinic now", "only this one", &[key(Code::Enter)], &[C::Sync]),
    bind(Action::OpenEntry, Group::Audit, "open-entry", "Show all of an entry", "show", &[key(Code::Enter)], &[C::Audit, C::RecordAudit]),
    bind(Action::AsItWas, Group::Record, "as-it-was", "The record as it was", "as it was", &[Key::char('t')], &[C::Record, C::Suggestions, C::Past, C::RecordAudit]),
    bind(Action::Accesses, Group::Audit, "accesses", "Only who saw the record, or all", "who saw it", &[Key::char('w')], &[C::RecordAudit]),
    bind(Action::Verify, Group::Audit, "verify", "Verify signatures, chains, rights", "verify", &[Key::char('v')], &[C::Audit, C::RecordAudit]),
    bind(Action::NewPatient, Group::Patients, "new-patient", "Register a new patient", "new patient", &[Key::char('n'), Key::ctrl('n')], &[C::Patients, C::Search]),
    bind(Action::Commands, Group::Patients, "commands", "Clear the search, then leave it", "commands", &[key(Code::Esc), key(Code::Tab)], &[C::Search]),
    bind(Action::Search, Group::Patients, "search", "Search patients", "search", &[Key::char('/'), Key::char('i')], &[C::Patients]),
    bind(Action::OpenSync, Group::Patients, "sync", "The other clinics, and syncing", "sync", &[Key::char('s'), key(Code::F(6))], &[C::Patients, C::Search, C::Record, C::Suggestions, C::Past]),
    bind(Action::OpenAudit, Group::Patients, "audit", "Who did what, in all records", "audit", &[Key::char('a'), key(Code::F(7))], &[C::Patients, C::Search]),
    bind(Action::KeepFilter, Group::Record, "keep-filter", "Keep the filter and go to the list", "keep", &[key(Code::Enter), key(Code::Tab)], &[C::Filter]),
    bind(Action::Filter, Group::Record, "filter", "Filter the list", "filter", &[Key::char('/')], &[C::Record, C::Suggestions, C::Past, C::Audit, C::RecordAudit]),
    bind(Action::NextSection, Group::Record, "next-section", "Next section", "", &[key(Code::Right), Key::char('l'), key(Code::Tab)], RECORD),
    bind(Action::PreviousSection, Group::Record, "previous-section", "Previous section", "", &[key(Code::Left), Key::char('h'), key(Code::BackTab)], RECORD),
    bind(Action::JumpSection, Group::Record, "jump-section", "Section by its number", "",
        &[Key::char('1'), Key::char('2'), Key::char('3'), Key::char('4'), Key::char('5'), Key::char('6'), Key::char('7'), Key::char('8'), Key::char('9'), Key::char('0'), Key::char('-'), Key::char('=')], RECORD),
    bind(Action::Reload, Group::Everywhere, "reload", "Read again", "", &[Key::char('r'), key(Code::F(5))], 
        &[C::Patients, C::Search, C::Record, C::Suggestions, C::Past, C::File, C::Slice, C::Conflicts, C::Concerns, C::Duplicates, C::Rights, C::Audit, C::RecordAudit, C::Sync]),
    // Writing.
    bind(Action::NewLine, Group::Writing, "new-line", "New line", "", &[key(Code::Enter)], &[C::Note]),
    bind(Action::NextField, Group::Writing, "next-field", "Next field", "", &[key(Code::Tab)], &[C::Form, C::Prompt, C::Unlock]),
    bind(Action::PreviousField, Group::Writing, "previous-field", "Previous field", "", &[key(Code::BackTab)], &[C::Form, C::Prompt, C::Unlock]),
    // Leaving, and what works everywhere.
    bind(Action::Back, Group::Moving, "back", "Back; asks if a text would be lost", "back", &[key(Code::Esc), Key::char('q')], BACK),
    bind(Action::Palette, Group::Everywhere, "palette", "All commands, by name", "palette", &[Key::ctrl('p'), Key::char(':')], WORKING),
    bind(Action::Help, Group::Everywhere, "help", "All keys", "help", &[Key::char('?'), key(Code::F(1))], HELPED),
    bind(Action::Lock, Group::Everywhere, "lock", "Lock the node; syncing goes on", "", &[Key::ctrl('l')], WORKING),
    bind(Action::NextTheme, Group::Everywhere, "next-theme", "Dark, light, no colour", "", &[Key::ctrl('t')], HELPED),
    bind(Action::Quit, Group::Everywhere, "quit", "Leave Salus", "quit", &[Key::ctrl('q'), Key::ctrl('c')], &Context::ALL),
    // Moving.
    bind(Action::Up, Group::Moving, "up", "Up", "", &[key(Code::Up), Key::char('k')], LISTS),
    bind(Action::Down, Group::Moving, "down", "Down", "", &[key(Code::Down), Key::char('j')], LISTS),
    bind(Action::PageUp, Group::Moving, "page-up", "A screenful up", "", &[key(Code::PageUp), Key::ctrl('b')], PAGES),
    bind(Action::PageDown, Group::Moving, "page-down", "A screenful down", "", &[key(Code::PageDown), Key::ctrl('f'), Key::char(' ')], PAGES),
    bind(Action::First, Group::Moving, "first", "First", "", &[key(Code::Home), Key::char('g')], ENDS),
    bind(Action::Last, Group::Moving, "last", "Last", "", &[key(Code::End), Key::char('G')], ENDS),
    // Typing.
    bind(Action::CursorLeft, Group::Typing, "cursor-left", "One character left", "", &[key(Code::Left)], TYPING),
    bind(Action::CursorRight, Group::Typing, "cursor-right", "One character right", "", &[key(Code::Right)], TYPING),
    bind(Action::WordLeft, Group::Typing, "word-left", "One word left", "", &[Key { code: Code::Left, ctrl: true, alt: false }, Key::alt(Code::Left), Key::alt(Code::Char('b'))], TYPING),
    bind(Action::WordRight, Group::Typing, "word-right", "One word right", "", &[Key { code: Code::Right, ctrl: true, alt: false }, Key::alt(Code::Right), Key::alt(Code::Char('f'))], TYPING),
    bind(Action::LineStart, Group::Typing, "line-start", "Start of the line", "", &[key(Code::Home), Key::ctrl('a')], TYPING),
    bind(Action::LineEnd, Group::Typing, "line-end", "End of the line", "", &[key(Code::End), Key::ctrl('e')], TYPING),
    bind(Action::DeleteBack, Group::Typing, "delete-back", "Delete to the left", "", &[key(Code::Backspace), Key::ctrl('h')], TYPING),
    bind(Action::DeleteForward, Group::Typing, "delete-forward", "Delete to the right", "", &[key(Code::Delete), Key::ctrl('d')], TYPING),
    bind(Action::DeleteWord, Group::Typing, "delete-word", "Delete the word to the left", "", &[Key::ctrl('w'), Key { code: Code::Backspace, ctrl: false, alt: true }], TYPING),
    bind(Action::DeleteToStart, Group::Typing, "delete-to-start", "Delete to the start of the line", "", &[Key::ctrl('u')], TYPING),
];

/// What a key does in a context.
pub(crate) fn resolve(context: Context, key: Key) -> Option<Action> {
    BINDINGS
        .iter()
        .find(|b| b.keys_in(context).any(|k| k == key))
        .map(|b| b.action)
}

/// Whether an action is worth naming in a context: what the past refuses has its keys there only to say so.
pub(crate) fn is_offered(binding: &Binding, context: Context) -> bool {
    let refused = context == Context::Past && binding.action.needs_the_present();
    binding.contexts.contains(&context) && !refused
}

/// The keys that do an action in a context, preferred one first.
pub(crate) fn keys_for(context: Context, action: Action) -> impl Iterator<Item = Key> {
    BINDINGS
        .iter()
        .filter(move |b| b.action == action)
        .flat_map(move |b| b.keys_in(context))
}

/// What the footer says in a context: actions and the keys to name, most useful first.
pub(crate) fn hints(context: Context) -> impl Iterator<Item = (&'static Binding, String)> {
    BINDINGS
        .iter()
        .filter(move |b| !b.hint.is_empty() && is_offered(b, context))
        .filter_map(move |b| {
            let first = b.keys_in(context).next()?;
            Some((b, b.range().unwrap_or_else(|| first.to_string())))
        })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use super::*;

    #[test]
    fn no_two_actions_share_a_key_in_one_context() {
        for context in Context::ALL {
            let mut seen = HashMap::new();
            for binding in BINDINGS {
                for key in binding.keys_in(context) {
                    if let Some(other) = seen.insert(key, binding.id) {
                        panic!("{context:?}: {key} is {other} and {}", binding.id);
                    }
                }
            }
        }
    }

    #[test]
    fn every_action_is_listed_once_and_reachable() {
        let mut ids = BTreeSet::new();
        let mut actions = std::collections::HashSet::new();
        for binding in BINDINGS {
            assert!(ids.insert(binding.id), "{} twice", binding.id);
            assert!(actions.insert(binding.action), "{:?} twice", binding.action);
            assert!(!binding.title.is_empty());
            for context in binding.contexts {
                assert!(
                    binding.keys_in(*context).next().is_some(),
                    "{} has no key in {context:?}",
                    binding.id
                );
            }
        }
    }

    #[test]
    fn letters_stay_text_where_text_is_taken() {
        for context in Context::ALL.into_iter().filter(|c| c.takes_text()) {
            for c in (' '..='~').chain("äñ山".chars()) {
                assert_eq!(resolve(context, Key::char(c)), None, "{context:?} {c}");
            }
        }
    }

    #[test]
    fn what_the_past_refuses_is_not_offered_there() {
        for binding in BINDINGS.iter().filter(|b| b.action.needs_the_present()) {
            assert!(binding.contexts.contains(&C::Past), "{}", binding.id);
            assert!(hints(C::Past).all(|(b, _)| b.id != binding.id));
            assert!(!is_offered(binding, C::Past) && is_offered(binding, C::Record));
        }
    }

    #[test]
    fn one_can_always_leave() {
        for context in Context::ALL {
            assert_eq!(
                resolve(context, Key::ctrl('c')),
                Some(Action::Quit),
                "{context:?}"
            );
        }
    }

    #[test]
    fn arrows_and_vi_keys_do_the_same() {
        for context in [
            C::Patients,
            C::Record,
            C::Suggestions,
            C::Past,
            C::Audit,
            C::RecordAudit,
            C::Sync,
            C::Conflicts,
            C::Concerns,
            C::Duplicates,
            C::Rights,
            C::Help,
        ] {
            for (arrow, letter) in [(Code::Up, 'k'), (Code::Down, 'j'), (Code::End, 'G')] {
                assert_eq!(
                    resolve(context, key(arrow)),
                    resolve(context, Key::char(letter))
                );
            }
        }
    }
}
