//! What the tests share: a made-up node and a hand that presses keys.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::CellWidth;
use salus_api::record::RecordContent;
use salus_api::*;

use crate::desk::Places;
use crate::fixtures::{
    NOW_MS, audit, duplicates, files, folders, grants, images, patients, peers, previews, record,
    sync_reports,
};
use crate::folder::{Listing, Sort};
use crate::keys::{Code, Key};
use crate::model::{Model, Start};
use crate::msg::{CallId, Effect, Msg, Size};
use crate::picture::Depth;
use crate::scratch::Scratch;
use crate::theme::Theme;
use crate::update::update;
use crate::view::view;
use crate::when::Clock;

/// The passphrase that the made-up node takes.
pub(crate) const PASSPHRASE: &str = "correct horse";
/// The two sizes that every screen is looked at in.
pub(crate) const SIZES: [Size; 2] = [
    Size {
        width: 80,
        height: 24,
    },
    Size {
        width: 120,
        height: 40,
    },
];

/// The made-up clinic that the tests work at.
#[derive(Clone)]
pub(crate) struct FakeNode {
    pub patients: Vec<PatientRow>,
    pub record: PatientView,
    pub peers: Vec<PeerView>,
    pub audit: Vec<AuditRow>,
    pub duplicates: Vec<DuplicateView>,
    pub grants: Vec<GrantView>,
    /// Image files that it can read, and what the model says about each.
    pub images: Vec<(PathBuf, ClassifiedView)>,
    /// Folders of the machine, and what is in them: names, and whether each is a folder.
    pub folders: Vec<(PathBuf, Vec<(String, bool)>)>,
    /// What can be looked at of each of its files.
    pub previews: Vec<PreviewView>,
    /// Every look at a file that was asked for.
    pub looks: Vec<Request>,
    /// Places on the disk where something is already.
    pub taken: Vec<PathBuf>,
    /// What a program on this machine says to a file, after it was started.
    pub outside: Vec<Scratch>,
    /// Files for other programs that nobody needs any more.
    pub wiped: Vec<PathBuf>,
    pub state: LockState,
    /// Fails every call but `Status` where set.
    pub failure: Option<ApiError>,
    /// Everything asked that changes something.
    pub written: Vec<Request>,
}

impl FakeNode {
    pub fn new() -> Self {
        Self {
            patients: patients(),
            record: record(),
            peers: peers(),
            audit: audit(),
            duplicates: duplicates(),
            grants: grants(),
            images: images(),
            folders: folders(),
            previews: previews(),
            looks: Vec::new(),
            taken: Vec::new(),
            outside: vec![Scratch::Shown, Scratch::HandedOn],
            wiped: Vec::new(),
            state: LockState::Locked,
            failure: None,
            written: Vec::new(),
        }
    }

    pub fn answer(&mut self, auth: &Auth, request: Request) -> Result<Response, ApiError> {
        let signed_in = *auth != Auth::Nobody && self.state == LockState::Unlocked;
        if request == Request::Status {
            return Ok(Response::Status(self.status(signed_in)));
        }
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        match (auth, &request) {
            (Auth::Passphrase { passphrase, .. }, Request::Unlock) => {
                if passphrase.expose() != PASSPHRASE {
                    return Err(
                        ApiError::refused("This passphrase does not open the vault.")
                            .hint("Check the name and the keyboard layout, and try again."),
                    );
                }
                self.state = LockState::Unlocked;
                let session = SessionToken::new("token".into());
                return Ok(Response::Unlocked {
                    session,
                    staff: "Ines Falk".into(),
                });
            }
            _ if !signed_in => {
                return Err(ApiError::refused("The node is locked.").hint("Unlock it."));
            }
            _ => {}
        }
        match request {
            Request::PatientFind { text, limit } => Ok(Response::Patients(self.find(&text, limit))),
            Request::PatientShow { patient, at } => {
                let row = self.patients.iter().find(|r| r.id == patient);
                let row = row
                    .cloned()
                    .ok_or_else(|| ApiError::not_found("No such patient."))?;
                let mut view = if row.id == self.record.row.id {
                    self.record.clone()
                } else {
                    PatientView {
                        content: RecordContent::default(),
                        ..self.record.clone()
                    }
                };
                view.row = row;
                if let Some(at) = at {
                    view.at = Some(self.past(&at)?);
                    view.content.notes.clear();
                }
                Ok(Response::Record(Box::new(view)))
            }
            Request::Peers => Ok(Response::Peers(self.peers.clone())),
            Request::Sync { .. } => Ok(Response::Synced(sync_reports())),
            Request::Conflicts { .. } => Ok(Response::Conflicts(ConflictsView {
                conflicts: self.record.conflicts.clone(),
                concerns: self.record.concerns.clone(),
            })),
            Request::Acknowledge { ref concern, .. } => {
                self.record.concerns.retain(|c| c.id != *concern);
                self.written.push(request);
                Ok(Response::Done("noted: the merge stands".into()))
            }
            Request::Accept {
                ref suggestion,
                ref label,
                ..
            } => {
                let mut all = self.record.suggestions.iter_mut();
                let one = all.find(|s| s.id == *suggestion);
                let one = one.ok_or_else(|| ApiError::not_found("no such suggestion"))?;
                one.state = SuggestionState::Accepted;
                one.label = label.clone().or_else(|| one.label.clone());
                self.written.push(request);
                Ok(Response::Done("accepted: it is in the record now".into()))
            }
            Request::Reject { ref suggestion, .. } => {
                let mut all = self.record.suggestions.iter_mut();
                let one = all.find(|s| s.id == *suggestion);
                let one = one.ok_or_else(|| ApiError::not_found("no such suggestion"))?;
                one.state = SuggestionState::Rejected;
                self.written.push(request);
                Ok(Response::Done("the suggestion is rejected".into()))
            }
            Request::Classify {
                ref path,
                ref patient,
            } => {
                let found = self.images.iter().find(|(known, _)| known == path);
                let mut said = found.map(|(_, said)| said.clone()).ok_or_else(|| {
                    ApiError::failed(format!("{}: no such file", path.display()))
                        .hint("check the name")
                })?;
                if patient.is_some() {
                    let id = "9e".repeat(32);
                    let label = said.inference.outputs.first().map(|o| o.label.clone());
                    self.record.suggestions.push(SuggestionView {
                        id: id.clone(),
                        state: SuggestionState::Open,
                        label: label.filter(|_| !said.inference.uncertain),
                        p: None,
                        inference: said.inference.clone(),
                        actor: "Ines Falk".into(),
                        clinic: "Riverside Clinic".into(),
                        time_ms: NOW_MS,
                        verdicts: Vec::new(),
                    });
                    said.suggestion = Some(id);
                }
                self.written.push(request);
                Ok(Response::Classified(Box::new(said)))
            }
            Request::Attachments { .. } => {
                Ok(Response::Attachments(self.record.attachments.clone()))
            }
            Request::Preview { .. } => self.look(request),
            Request::Fetch {
                ref to,
                ref attachment,
                replace,
                ..
            } => {
                if self.taken.contains(to) && !replace {
                    let taken = format!("{} is there already", to.display());
                    return Err(ApiError::failed(taken).hint("nothing was written"));
                }
                let path = to.display().to_string();
                let all = &self.record.attachments;
                let file = all.iter().find(|file| file.id == *attachment);
                let attachment = file.cloned().expect("a file that it has");
                self.written.push(request);
                Ok(Response::Fetched(Box::new(FetchedView {
                    attachment,
                    path,
                    received: 0,
                    seconds: 0.1,
                })))
            }
            Request::Pin { pin, .. } => {
                self.written.push(request);
                Ok(Response::Done(match pin {
                    true => "the record's files are kept here".into(),
                    false => "the record's files are left to the policy".into(),
                }))
            }
            Request::Erase {
                attachment: None, ..
            } => {
                let id = self.record.row.id.clone();
                self.patients.retain(|row| row.id != id);
                self.written.push(request);
                Ok(Response::Done("erased the record here".into()))
            }
            Request::Erase {
                ref attachment,
                ref reason,
                ..
            } => {
                for file in &mut self.record.attachments {
                    if Some(&file.id) == attachment.as_ref() {
                        // What is erased is known by its entry alone.
                        *file = AttachmentView {
                            id: file.entry.clone(),
                            added_ms: file.added_ms,
                            clinic: file.clinic.clone(),
                            actor: file.actor.clone(),
                            entry: file.entry.clone(),
                            erased: Some(reason.clone()),
                            ..AttachmentView::default()
                        };
                    }
                }
                self.written.push(request);
                Ok(Response::Done("the file is erased".into()))
            }
            Request::Attach {
                ref paths,
                confirmed,
                ..
            } => {
                let path = paths.first().expect("one file").clone();
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
                if name.ends_with("dcm") && !confirmed {
                    let who =
                        format!("{name}: its tags name another person: the birth date differs");
                    return Err(ApiError::refused(who).hint("attach it to the right patient"));
                }
                if name.ends_with("pdf") {
                    return Err(ApiError::failed(format!("{name}: the file ends early")));
                }
                let new = AttachmentView {
                    id: "new".into(),
                    name: name.into(),
                    available: true,
                    ..files().remove(1)
                };
                self.previews.push(PreviewView::None("nothing".into()));
                self.record.attachments.push(new.clone());
                self.written.push(request.clone());
                Ok(Response::Attached(vec![AttachedView {
                    file: name.into(),
                    attachment: Some(new),
                    error: None,
                    added: true,
                    warnings: match confirmed {
                        true => vec!["its tags name another person; confirmed".into()],
                        false => Vec::new(),
                    },
                }]))
            }
            Request::Duplicates { .. } => Ok(Response::Duplicates(self.duplicates.clone())),
            Request::Link { ref other, .. } | Request::Unlink { ref other, .. } => {
                let linked = matches!(request, Request::Link { .. });
                for found in &mut self.duplicates {
                    if found.row.id == *other {
                        found.linked = linked;
                    }
                }
                self.record.linked = self
                    .duplicates
                    .iter()
                    .filter(|d| d.linked)
                    .map(|d| d.row.clone())
                    .collect();
                self.written.push(request);
                Ok(Response::Done(match linked {
                    true => "both records are shown as one".into(),
                    false => "the records stand apart".into(),
                }))
            }
            Request::Grants { .. } => Ok(Response::Grants(self.grants.clone())),
            Request::Grant {
                ref clinic, right, ..
            } => {
                let peer = self.peers.iter().find(|p| p.id == *clinic);
                self.grants.push(GrantView {
                    clinic: clinic.clone(),
                    name: peer.map(|p| p.name.clone()).unwrap_or_default(),
                    right,
                    by: "Ines Falk".into(),
                    time_ms: NOW_MS,
                    ended: None,
                });
                self.written.push(request);
                Ok(Response::Done("the clinic is entitled".into()))
            }
            Request::Revoke { ref clinic, .. } => {
                if *clinic == self.grants[0].clinic {
                    return Err(ApiError::usage("a record's home clinic cannot be revoked"));
                }
                for grant in &mut self.grants {
                    if grant.clinic == *clinic {
                        grant.ended = Some("revoked".into());
                    }
                }
                self.written.push(request);
                Ok(Response::Done("it gets nothing more of this record".into()))
            }
            Request::AuditAccesses { patient } => {
                let tells = |row: &&AuditRow| {
                    row.log == patient && matches!(row.kind.as_str(), "view" | "grant")
                };
                Ok(Response::Audit(
                    self.audit.iter().filter(tells).cloned().collect(),
                ))
            }
            Request::AuditLog { patient, .. } => {
                let of = |row: &&AuditRow| patient.as_ref().is_none_or(|p| row.log == *p);
                Ok(Response::Audit(
                    self.audit.iter().filter(of).cloned().collect(),
                ))
            }
            Request::AuditVerify { .. } => Ok(Response::Verified(VerifyReport {
                logs: 41,
                entries: 3_402,
                ok: true,
                problems: Vec::new(),
            })),
            Request::Resolve { ref path, .. } => {
                self.record.conflicts.retain(|c| c.path != *path);
                self.written.push(request);
                Ok(Response::Done("settled".into()))
            }
            Request::Add { .. } => {
                self.written.push(request);
                Ok(Response::Added { id: "new".into() })
            }
            Request::PatientNote { .. } => {
                self.written.push(request);
                Ok(Response::Done("written".into()))
            }
            Request::PatientNew(ref new) => {
                let row = PatientRow {
                    id: "77aa0c11d2".into(),
                    mrn: new.mrn.clone().unwrap_or_else(|| "204-131".into()),
                    family: new.family.clone(),
                    given: new.given.clone(),
                    birth_date: new.birth_date.clone(),
                    sex: new.sex.clone(),
                    updated_ms: NOW_MS,
                };
                self.patients.push(row.clone());
                self.written.push(request);
                Ok(Response::Patient(row))
            }
            Request::Lock => {
                self.state = LockState::Locked;
                Ok(Response::Done("locked".into()))
            }
            other => Err(ApiError::usage(format!(
                "the test's node knows no {other:?}"
            ))),
        }
    }

    /// What can be looked at of a file, in the window and frame that were asked for.
    fn look(&mut self, asked: Request) -> Result<Response, ApiError> {
        let Request::Preview {
            attachment,
            window,
            frame,
            ..
        } = &asked
        else {
            panic!("no look at a file")
        };
        let mut all = self.record.attachments.iter();
        let at = all.position(|file| file.id == *attachment);
        let at = at.ok_or_else(|| ApiError::not_found("no such file"))?;
        let mut view = self
            .previews
            .get(at)
            .cloned()
            .unwrap_or(PreviewView::None("nothing".into()));
        if let PreviewView::Picture {
            from_file,
            window: w,
            frame: (n, _),
            ..
        } = &mut view
        {
            *from_file |= window.is_some() || frame.is_some();
            *w = window.or(*w);
            *n = frame.unwrap_or(*n);
        }
        self.looks.push(asked);
        Ok(Response::Preview(Box::new(view)))
    }

    /// The past of the made-up record: a day or an instant of 2026, or one of its entries.
    fn past(&self, at: &str) -> Result<AtView, ApiError> {
        let entry = self.audit.iter().find(|row| row.hash == at);
        let time_ms = match (entry, at.parse::<jiff::Timestamp>()) {
            (Some(row), _) => row.time_ms,
            (None, Ok(time)) if time.as_millisecond() < 1_767_225_600_000 => {
                return Err(ApiError::not_found("the record did not exist then"));
            }
            (None, Ok(time)) => u64::try_from(time.as_millisecond()).unwrap(),
            (None, Err(_)) => {
                return Err(ApiError::usage(format!(
                    "`{at}` is neither a time nor an entry's hash"
                )));
            }
        };
        Ok(AtView {
            time_ms,
            entry: entry.map(|row| row.hash.clone()),
            entries: 75,
            later: 12,
        })
    }

    fn folder(&self, folder: &Path, sort: Sort) -> Result<Listing, String> {
        let found = self.folders.iter().find(|(known, _)| known == folder);
        let names = found.map(|(_, names)| names.clone());
        names
            .map(|names| Listing::of(sort, names))
            .ok_or_else(|| "There is no such folder.".to_owned())
    }

    fn status(&self, signed_in: bool) -> Status {
        Status {
            clinic: Some("9f31ac02".into()),
            name: Some("Riverside Clinic".into()),
            state: self.state,
            staff: signed_in.then(|| "Ines Falk".into()),
            daemon: false,
            network: NetworkMode::Loopback,
            addresses: Vec::new(),
            patients: signed_in.then_some(self.patients.len() as u64),
            logs: 41,
            entries: 3_402,
            connected: 1,
            version: "0.1.0".into(),
        }
    }

    fn find(&self, text: &str, limit: u32) -> Vec<PatientRow> {
        let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
        let has = |r: &PatientRow, w: &String| {
            [&r.family, &r.given, &r.mrn, &r.birth_date]
                .into_iter()
                .any(|f| f.to_lowercase().contains(w.as_str()))
        };
        let fits = |r: &&PatientRow| words.iter().all(|w| has(r, w));
        self.patients
            .iter()
            .filter(fits)
            .take(limit as usize)
            .cloned()
            .collect()
    }
}

/// A model, the node that answers it, and a hand on the keyboard.
pub(crate) struct Script {
    pub model: Model,
    pub node: FakeNode,
    /// Calls that were asked and not answered yet.
    pub open: Vec<Effect>,
    /// Keys pressed.
    pub pressed: usize,
    pub quit: bool,
}

impl Script {
    /// Before anybody signed in.
    pub fn locked(size: Size) -> Self {
        Self::start(size, None)
    }

    /// Signed in, at the patient list, all answered.
    pub fn signed_in(size: Size) -> Self {
        Self::start(size, Some(Auth::Session(SessionToken::new("token".into()))))
    }

    fn start(size: Size, auth: Option<Auth>) -> Self {
        let mut node = FakeNode::new();
        if auth.is_some() {
            node.state = LockState::Unlocked;
        }
        let (model, open) = Model::new(Start {
            clock: Clock {
                now_ms: NOW_MS,
                zone: TimeZone::UTC,
            },
            size,
            theme: Theme::Plain,
            depth: Depth::Full,
            raster: None,
            places: Places {
                working: "/home/ines/scans".into(),
                home: Some("/home/ines".into()),
            },
            banner: Some("demo: clinic A of 2".into()),
            staff: Some("Ines Falk".into()),
            auth,
        });
        let mut script = Self {
            model,
            node,
            open,
            pressed: 0,
            quit: false,
        };
        script.answer();
        script
    }

    /// One message, its effects kept.
    pub fn tell(&mut self, msg: Msg) {
        for effect in update(&mut self.model, msg) {
            match effect {
                Effect::Quit => self.quit = true,
                Effect::Cancel(gone) => self
                    .open
                    .retain(|e| !matches!(e, Effect::Call { call, .. } if *call == gone)),
                Effect::LeaveScratch(file) => self.node.wiped.push(file),
                effect => self.open.push(effect),
            }
        }
    }

    /// Lets the node and the disk answer all that was asked, and all that follows from it.
    pub fn answer(&mut self) {
        let asks = |e: &Effect| {
            matches!(
                e,
                Effect::Call { .. }
                    | Effect::ReadFolder { .. }
                    | Effect::MakeScratch { .. }
                    | Effect::ShowScratch { .. }
            )
        };
        while let Some(at) = self.open.iter().position(asks) {
            match self.open.remove(at) {
                Effect::Call {
                    call,
                    auth,
                    request,
                } => {
                    let answer = self.node.answer(&auth, request);
                    self.tell(Msg::Answer(call, answer));
                }
                Effect::ReadFolder { call, folder, sort } => {
                    let listing = self.node.folder(&folder, sort);
                    self.tell(Msg::Folder(call, listing));
                }
                Effect::MakeScratch { call, ending } => {
                    let file = PathBuf::from(format!("/run/salus-1/attachment.{ending}"));
                    let made = match self.node.outside.first() {
                        Some(failed @ Scratch::Failed(_)) => failed.clone(),
                        _ => Scratch::Ready(file),
                    };
                    self.tell(Msg::Scratch(call, made));
                }
                Effect::ShowScratch { call, .. } => {
                    for turn in self.node.outside.clone() {
                        self.tell(Msg::Scratch(call, turn));
                    }
                }
                _ => {}
            }
        }
    }

    /// The calls that wait for an answer.
    pub fn waiting(&self) -> Vec<(CallId, Request)> {
        let call = |e: &Effect| match e {
            Effect::Call { call, request, .. } => Some((*call, request.clone())),
            _ => None,
        };
        self.open.iter().filter_map(call).collect()
    }

    /// One key, nothing answered.
    pub fn key(&mut self, key: Key) {
        self.pressed += 1;
        self.tell(Msg::Key(key));
    }

    /// Keys, each answered before the next: letters as they are, others as `<enter>`, `<ctrl-s>`.
    pub fn press(&mut self, keys: &str) -> &mut Self {
        for key in parse(keys) {
            self.key(key);
            self.answer();
        }
        self
    }

    /// Lets seconds pass.
    pub fn wait(&mut self, seconds: u64) -> &mut Self {
        for _ in 0..seconds {
            let now_ms = self.model.desk.clock.now_ms + 1_000;
            self.tell(Msg::Tick { now_ms });
            self.answer();
        }
        self
    }

    /// What is seen: one line of text for each row.
    pub fn screen(&self) -> String {
        let size = self.model.desk.size;
        let mut terminal = Terminal::new(TestBackend::new(size.width, size.height)).unwrap();
        terminal.draw(|frame| _ = view(&self.model, frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let mut text = String::new();
        for y in 0..size.height {
            let (mut line, mut x) = (String::new(), 0);
            while x < size.width {
                let symbol = buffer[(x, y)].symbol();
                line += symbol;
                x += symbol.cell_width().max(1);
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// Names of the pages, the one that is seen last.
    pub fn pages(&self) -> Vec<&'static str> {
        self.model
            .screens
            .iter()
            .map(crate::pages::Screen::name)
            .collect()
    }
}

/// Keys written as text.
pub(crate) fn parse(keys: &str) -> Vec<Key> {
    let mut parsed = Vec::new();
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        if c == '<'
            && let Some(end) = rest.find('>')
        {
            let name = &rest[1..end];
            parsed.push(match name {
                "enter" => Key::new(Code::Enter),
                "esc" => Key::new(Code::Esc),
                "tab" => Key::new(Code::Tab),
                "backtab" => Key::new(Code::BackTab),
                "backspace" => Key::new(Code::Backspace),
                "up" => Key::new(Code::Up),
                "down" => Key::new(Code::Down),
                "left" => Key::new(Code::Left),
                "right" => Key::new(Code::Right),
                "end" => Key::new(Code::End),
                "f1" => Key::new(Code::F(1)),
                name => match name.strip_prefix("ctrl-").and_then(|c| c.chars().next()) {
                    Some(c) => Key::ctrl(c),
                    None => panic!("no key is called {name}"),
                },
            });
            rest = &rest[end + 1..];
        } else {
            parsed.push(Key::char(c));
            rest = &rest[c.len_utf8()..];
        }
    }
    parsed
}
