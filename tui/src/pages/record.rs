//! One patient's record: sections at the left, rows at the right.

use salus_api::{
    ApiError, ConflictsView, ErrorKind, Event, PatientRow, PatientView, Request, Response,
    SuggestionView,
};

use super::decide::Decide;
use super::past::Past;
use super::{
    Answer, Attach, Audit, Conflicts, Duplicates, File, Go, Image, Note, Page, Pressure, Rights,
    Screen, Seek, Sync, record_rows, sentence,
};
use crate::canvas::Canvas;
use crate::describe::describe;
use crate::desk::Desk;
use crate::detail::Detail;
use crate::files;
use crate::input::Input;
use crate::keymap::{self, Action, Context};
use crate::keys::{Code, Key};
use crate::msg::CallId;
use crate::sections::{self, Kind, Row, Section, Target};
use crate::series::{self, Series};
use crate::subject::Subject;
use crate::table::{self, Cursor};
use crate::theme::Tone;

/// Columns of the list of sections.
const SIDE_COLUMNS: u16 = 20;
/// From this width on, an item is shown beside its list.
const WIDE: u16 = 110;
/// Longest filter, bytes (a guess).
const MAX_FILTER_BYTES: usize = 128;

/// An item that is shown by itself.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Item {
    target: Target,
    detail: Detail,
    scroll: usize,
}

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Record {
    subject: Subject,
    view: Option<Box<PatientView>>,
    /// Its observations in order of time; made once, as the sections are.
    measured: Vec<Series>,
    sections: Vec<Section>,
    section: usize,
    /// Where the cursor stands in each section, among the rows it can stand on.
    cursors: [Cursor; Kind::ALL.len()],
    filter: Input,
    filtering: bool,
    item: Option<Item>,
    past: Past,
    decide: Decide,
    waiting: Option<CallId>,
    stale: bool,
    asked_ms: u64,
    error: Option<ApiError>,
    /// Whether it was erased from here: its absence is no news then.
    erased: bool,
}

impl Record {
    /// Whether the record is on the screen, and as it is now.
    fn shows_the_present(&self) -> bool {
        self.view.is_some() && self.past.wanted().is_none()
    }

    /// Whether it is on the screen as it was at another time, and nobody asked for yet another.
    fn is_of_another_time(&self) -> bool {
        self.view.is_some() && !self.past.is_travelling()
    }

    /// The record of a row of the patient list.
    pub fn open(desk: &mut Desk, row: &PatientRow) -> Self {
        let mut page = Self {
            subject: Subject::from_row(row),
            view: None,
            measured: Vec::new(),
            sections: Vec::new(),
            section: 0,
            cursors: [Cursor::default(); Kind::ALL.len()],
            filter: Input::new(MAX_FILTER_BYTES),
            filtering: false,
            item: None,
            past: Past::default(),
            decide: Decide::default(),
            waiting: None,
            stale: false,
            asked_ms: 0,
            error: None,
            erased: false,
        };
        page.ask(desk);
        page
    }

    fn ask(&mut self, desk: &mut Desk) {
        desk.cancel(self.waiting);
        let patient = self.subject.id.clone();
        let at = self.past.wanted().cloned();
        self.waiting = Some(desk.call(Request::PatientShow { patient, at }));
        self.asked_ms = desk.clock.now_ms;
        self.stale = false;
    }

    fn kind(&self) -> Kind {
        Kind::ALL
            .get(self.section)
            .copied()
            .unwrap_or(Kind::Summary)
    }

    /// The rows that the filter leaves; headings over nothing are left out too.
    fn rows(&self) -> Vec<&Row> {
        let Some(section) = self.sections.get(self.section) else {
            return Vec::new();
        };
        let words: Vec<String> = self.words();
        let matching: Vec<&Row> = section.rows.iter().filter(|r| r.matches(&words)).collect();
        let followed = |n: usize| !matches!(matching.get(n + 1), None | Some(Row::Heading(_)));
        let keep = |(n, row): (usize, &&Row)| !matches!(row, Row::Heading(_)) || followed(n);
        let kept = matching
            .iter()
            .enumerate()
            .filter(|(n, row)| keep((*n, row)));
        kept.map(|(_, row)| *row).collect()
    }

    fn words(&self) -> Vec<String> {
        self.filter
            .text()
            .split_whitespace()
            .map(str::to_lowercase)
            .collect()
    }

    /// What the rows stand for, those only on which the cursor can stand.
    fn targets(&self) -> Vec<Target> {
        self.rows()
            .into_iter()
            .filter_map(Row::target)
            .cloned()
            .collect()
    }

    fn cursor(&self) -> Cursor {
        self.cursors.get(self.section).copied().unwrap_or_default()
    }

    fn selected(&self) -> Option<Target> {
        self.targets().into_iter().nth(self.cursor().at)
    }

    fn go_to(&mut self, section: usize) {
        self.section = section.min(Kind::ALL.len() - 1);
        self.filter.clear();
        self.item = None;
    }

    fn show(&mut self, view: Box<PatientView>, desk: &Desk) {
        let selected = self.selected();
        self.subject = Subject::from_view(&view);
        self.measured = series::series(&view.content.observations);
        self.sections = sections::sections(&view, &self.measured, &desk.clock);
        if let Some(item) = &mut self.item {
            match describe(&view, &self.measured, &item.target, &desk.clock) {
                Some(detail) => item.detail = detail,
                None => self.item = None,
            }
        }
        self.decide.compare(&view.suggestions);
        self.view = Some(view);
        // The cursor stays on its item, wherever that is now.
        let targets = self.targets();
        let at = selected.and_then(|t| targets.iter().position(|other| *other == t));
        if let Some(cursor) = self.cursors.get_mut(self.section) {
            cursor.at = at.unwrap_or(cursor.at);
            cursor.clamp(targets.len());
        }
    }

    fn open_item(&mut self, desk: &Desk) {
        let (Some(view), Some(target)) = (&self.view, self.selected()) else {
            return;
        };
        if let Some(detail) = describe(view, &self.measured, &target, &desk.clock) {
            self.item = Some(Item {
                target,
                detail,
                scroll: 0,
            });
        }
    }

    /// The screen of the file that is marked; as it was, only what is known of it is shown.
    fn file(&self, desk: &mut Desk) -> Option<File> {
        let (view, Target::Attachment(id)) = (self.view.as_ref()?, self.selected()?) else {
            return None;
        };
        let file = view.attachments.iter().find(|file| file.id == id)?;
        let about = files::about(view, file);
        let here = !self.is_past() && self.item.is_none();
        here.then(|| File::open(desk, self.id(), file.clone(), about, Vec::new()))
    }

    fn scroll(&mut self, desk: &Desk, action: Action) {
        let Some(item) = &mut self.item else { return };
        let rows = record_rows(desk.size);
        let width = desk.size.width.saturating_sub(SIDE_COLUMNS + 3);
        let last = item.detail.max_scroll(width, rows);
        let mut cursor = Cursor { at: item.scroll };
        cursor.act(action, last + 1, usize::from(rows.saturating_sub(2)));
        item.scroll = cursor.at;
    }

    /// Reads the record as it was; as it is where nothing is said.
    fn travel(&mut self, desk: &mut Desk, at: Option<String>) {
        self.past.want(at);
        self.ask(desk);
    }

    /// Whether the past is shown, or is about to be.
    fn is_past(&self) -> bool {
        self.past.wanted().is_some() || self.subject.at().is_some()
    }

    /// Says why something is not done while the past is shown.
    fn refuse(desk: &mut Desk) {
        let key = keymap::keys_for(Context::Past, Action::Present).next();
        let key = key.map(|k| k.to_string()).unwrap_or_default();
        let error = ApiError::usage("This is the record as it was: nothing can be changed in it.");
        desk.fail(error.hint(format!("Come back to the present first: {key}.")));
    }

    /// Goes to an item and shows all of it.
    fn show_item(&mut self, desk: &mut Desk, path: &str) {
        let mut parts = path.split('/');
        let id = |parts: &mut std::str::Split<'_, char>| parts.next().unwrap_or("").to_owned();
        let (kind, target) = match parts.next() {
            Some("allergies") => (Kind::Allergies, Target::Allergy(id(&mut parts))),
            Some("conditions") => (Kind::Conditions, Target::Condition(id(&mut parts))),
            _ => (Kind::Medications, Target::Medication(id(&mut parts))),
        };
        let section = Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0);
        self.go_to(section);
        match self.targets().iter().position(|t| *t == target) {
            Some(at) => {
                self.cursors[self.section] = Cursor { at };
                self.open_item(desk);
            }
            None => {
                let error = ApiError::not_found("The record shows this item no more.");
                desk.fail(error.hint("The audit trail says who removed it."));
            }
        }
    }

    /// Whether the record may be written to; says so where it may not.
    fn may_write(&self, desk: &mut Desk) -> bool {
        let may = self.subject.may_write();
        if !may {
            let error = ApiError::usage("This clinic may read this record, but not write to it.");
            desk.fail(error.hint("Ask the clinic that is its home for the right to write."));
        }
        may
    }

    /// What a model suggested, where that is shown by itself or marked.
    fn suggestion(&self) -> Option<&SuggestionView> {
        let target = match &self.item {
            Some(item) => item.target.clone(),
            None => self.selected()?,
        };
        let Target::Suggestion(id) = target else {
            return None;
        };
        let mut all = self.view.as_ref()?.suggestions.iter();
        all.find(|suggestion| suggestion.id == id)
    }

    /// Whether a suggestion can be decided about here and now.
    fn may_decide(&self) -> bool {
        !self.is_past() && self.suggestion().is_some()
    }

    fn id(&self) -> String {
        self.subject.id.clone()
    }

    /// What is decided about, below the question.
    fn view_decided(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let target = self
            .decide
            .about()
            .map(|id| Target::Suggestion(id.to_owned()));
        let detail = target
            .zip(self.view.as_ref())
            .and_then(|(target, view)| describe(view, &self.measured, &target, &desk.clock));
        if let Some(detail) = detail {
            detail.view(&mut canvas.inset(1), 0);
        }
    }

    fn view_side(&self, canvas: &mut Canvas<'_>) {
        for (n, (y, kind)) in (0..canvas.height()).zip(Kind::ALL).enumerate() {
            let here = n == self.section;
            let count = self.sections.get(n).map_or(0, |s| s.count);
            let tone = match (here, count, kind) {
                (true, ..) => Tone::Strong,
                (false, 0, k) if k != Kind::Summary => Tone::Dim,
                _ => Tone::Text,
            };
            canvas.put(1, y, &kind.key().to_string(), Tone::Dim);
            canvas.put(3, y, kind.title(), tone);
            if count > 0 {
                let end = canvas.width() - 1;
                canvas.put_right(end, y, &count.to_string(), Tone::Dim);
            }
            if here {
                canvas.select(y, true);
            }
        }
    }

    fn view_rows(&self, canvas: &mut Canvas<'_>) {
        let kind = self.kind();
        let mut top = 0;
        if self.filtering || !self.filter.text().is_empty() {
            let label = if self.filtering {
                Tone::Accent
            } else {
                Tone::Dim
            };
            canvas.put(2, 0, "Filter", label);
            let width = canvas.width().saturating_sub(10);
            self.filter.view(canvas, 9, 0, width, self.filtering);
            top = 1;
        }
        if kind != Kind::Summary {
            table::headings(canvas, top, kind.columns());
            top += 1;
        }
        let mut list = canvas.below(top);
        let rows = self.rows();
        if rows.is_empty() {
            let text = match self.filter.text() {
                "" => kind.nothing(),
                _ => "Nothing matches the filter.".to_owned(),
            };
            list.put(2, 0, &text, Tone::Dim);
            return;
        }
        // Air before each heading where there is room for it.
        let headings = rows
            .iter()
            .skip(1)
            .filter(|r| matches!(r, Row::Heading(_)))
            .count();
        let airy = rows.len() + headings <= usize::from(list.height());
        let mut drawn: Vec<Option<&Row>> = Vec::with_capacity(rows.len() + headings);
        for row in rows {
            if airy && !drawn.is_empty() && matches!(row, Row::Heading(_)) {
                drawn.push(None);
            }
            drawn.push(Some(row));
        }
        let stops = drawn
            .iter()
            .enumerate()
            .filter(|(_, r)| r.is_some_and(|r| r.target().is_some()));
        let selected = stops.map(|(n, _)| n).nth(self.cursor().at);
        let first = table::first_shown(selected.unwrap_or(0), drawn.len(), list.height());
        let words = self.words();
        for (y, (n, row)) in (0..list.height()).zip(drawn.iter().enumerate().skip(first)) {
            match row {
                None => {}
                Some(Row::Heading(text)) => _ = list.put(2, y, text, Tone::Accent),
                Some(Row::Remark(cell)) => _ = list.put(2, y, &cell.text, cell.tone),
                Some(Row::Item { cells, .. }) => {
                    table::row_matching(&mut list, y, kind.columns(), cells, &words);
                }
            }
            if selected == Some(n) {
                list.select(y, self.item.is_none());
            }
        }
    }
}

impl Page for Record {
    fn context(&self) -> Context {
        match (self.filtering, &self.item) {
            _ if self.past.prompt().is_some() || self.decide.prompt().is_some() => Context::Prompt,
            (true, _) => Context::Filter,
            (false, Some(_)) if self.may_decide() => Context::Suggestion,
            (false, Some(_)) => Context::Item,
            (false, None) if self.is_past() => Context::Past,
            (false, None) if self.kind() == Kind::Suggestions && self.may_decide() => {
                Context::Suggestions
            }
            (false, None) => Context::Record,
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, key: Option<Key>) -> Go {
        if self.past.prompt().is_some() {
            if self.past.act(action, &desk.clock) {
                self.ask(desk);
            }
            return Go::Stay;
        }
        if self.decide.prompt().is_some() {
            self.decide.act(desk, action, &self.subject.id);
            return Go::Stay;
        }
        if action.needs_the_present() && self.is_past() {
            Self::refuse(desk);
            return Go::Stay;
        }
        match action {
            Action::Back if self.filtering => {
                self.filtering = false;
                self.filter.clear();
            }
            Action::Back if self.item.is_some() => self.item = None,
            Action::Back | Action::Present if !self.filter.text().is_empty() => self.filter.clear(),
            // The present is asked for already, and does not come: one can still leave.
            Action::Present if self.past.wanted().is_none() => return Go::Back,
            Action::Present => self.travel(desk, None),
            Action::AsItWas => self.past.ask(),
            Action::Back => return Go::Back,
            Action::KeepFilter => self.filtering = false,
            Action::Filter => self.filtering = true,
            Action::NextSection => self.go_to((self.section + 1) % Kind::ALL.len()),
            Action::PreviousSection => {
                self.go_to(self.section.checked_sub(1).unwrap_or(Kind::ALL.len() - 1));
            }
            Action::JumpSection => {
                let pressed = |k: &Kind| key.is_some_and(|key| key.code == Code::Char(k.key()));
                if let Some(section) = Kind::ALL.iter().position(pressed) {
                    self.go_to(section);
                }
            }
            Action::OpenItem => match self.file(desk) {
                Some(page) => return Go::open(Screen::File(Box::new(page))),
                None => self.open_item(desk),
            },
            Action::AttachFile if self.may_write(desk) => {
                let page = Attach::open(desk, self.id());
                return Go::open(Screen::Attach(Box::new(page)));
            }
            Action::Reload => self.ask(desk),
            Action::AcceptSuggestion | Action::RejectSuggestion => {
                if let Some(about) = self.suggestion().cloned().filter(|_| !self.is_past()) {
                    match action {
                        Action::AcceptSuggestion => self.decide.accept(&about),
                        _ => self.decide.reject(&about),
                    }
                }
            }
            Action::NewNote if self.may_write(desk) => {
                return Go::open(Screen::Note(Note::new(self.id(), "")));
            }
            Action::BloodPressure if self.may_write(desk) => {
                let content = self.view.as_ref().map(|v| &v.content);
                let page = Pressure::new(self.id(), &self.subject.name, content);
                return Go::open(Screen::Pressure(page));
            }
            Action::OpenImage => {
                let page = Image::open(desk, self.id());
                return Go::open(Screen::Image(Box::new(page)));
            }
            Action::OpenConflicts => {
                let known = self.view.as_ref().map(|v| ConflictsView {
                    conflicts: v.conflicts.clone(),
                    concerns: v.concerns.clone(),
                });
                let page = Conflicts::open(desk, self.id(), known.unwrap_or_default());
                return Go::open(Screen::Conflicts(page));
            }
            Action::OpenDuplicates => {
                // Both names are asked about: they must be known.
                if let Some(row) = self.view.as_ref().map(|v| v.row.clone()) {
                    let page = Duplicates::open(desk, row);
                    return Go::open(Screen::Duplicates(page));
                }
            }
            Action::OpenRights => {
                let home = self.view.as_ref().map(|v| v.home.clone());
                let page = Rights::open(desk, self.id(), home.unwrap_or_default());
                return Go::open(Screen::Rights(page));
            }
            Action::RecordAudit => {
                return Go::open(Screen::Audit(Audit::of_record(desk, self.id())));
            }
            Action::OpenSync => return Go::open(Screen::Sync(Sync::open(desk))),
            _ if self.item.is_some() => self.scroll(desk, action),
            _ => {
                let len = self.targets().len();
                let page = usize::from(record_rows(desk.size).saturating_sub(1));
                let moved = self
                    .cursors
                    .get_mut(self.section)
                    .is_some_and(|cursor| cursor.act(action, len, page));
                if !moved && self.filtering && self.filter.act(action) {
                    self.cursors[self.section] = Cursor::default();
                }
            }
        }
        Go::Stay
    }

    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if self.past.prompt().is_some() {
            self.past.typed(text);
            return Go::Stay;
        }
        if self.decide.prompt().is_some() {
            self.decide.typed(text);
            return Go::Stay;
        }
        self.filter.insert(text);
        if let Some(cursor) = self.cursors.get_mut(self.section) {
            *cursor = Cursor::default();
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call) || self.decide.waits_for(call)
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.decide.waits_for(call) {
            self.decide.answered(answer.is_ok());
            match answer {
                Ok(Response::Done(done)) => desk.say(sentence(&done)),
                Ok(_) => {}
                Err(error) => desk.fail(error),
            }
            self.ask(desk);
            return Go::Stay;
        }
        self.waiting = None;
        match answer {
            Ok(Response::Record(view)) => {
                self.error = None;
                self.past.arrived();
                self.show(view, desk);
            }
            Ok(_) => {}
            // Erased, or not shared with this clinic any more: nothing of it stays on the screen.
            Err(error) if error.kind == ErrorKind::NotFound && self.shows_the_present() => {
                if !self.erased {
                    desk.fail(error);
                }
                return Go::Back;
            }
            Err(error) if error.kind == ErrorKind::NotFound && self.is_of_another_time() => {
                // What was shown of another time is gone: whether all is, the present tells.
                self.travel(desk, None);
            }
            Err(error) => {
                self.error = Some(error.clone());
                self.past.failed();
                desk.fail(error);
            }
        }
        Go::Stay
    }

    fn event(&mut self, desk: &mut Desk, event: &Event) {
        let Event::PatientsChanged(ids) = event else {
            return;
        };
        if ids.contains(&self.subject.id) {
            // At once, but at most once a second: a sync reports many changes of one record.
            self.stale = true;
            if self.asked_ms != desk.clock.now_ms && self.waiting.is_none() {
                self.ask(desk);
            }
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        if self.stale && self.waiting.is_none() {
            self.ask(desk);
        }
    }

    fn resume(&mut self, desk: &mut Desk) {
        self.ask(desk);
    }

    fn seek(&mut self, desk: &mut Desk, seek: Seek) {
        match seek {
            Seek::Item(path) => self.show_item(desk, &path),
            Seek::AsItWas(entry) => {
                self.item = None;
                self.travel(desk, Some(entry));
            }
            Seek::Erased => self.erased = true,
        }
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let (width, height) = (canvas.width(), canvas.height());
        if let Some(prompt) = self.past.prompt() {
            prompt.view(&mut canvas.inset(1), false);
            return;
        }
        if let Some(prompt) = self.decide.prompt() {
            let mut area = canvas.inset(1);
            let below = prompt.view(&mut area, self.decide.is_saving());
            self.view_decided(&mut area.below(below + 1), desk);
            return;
        }
        let mut side = canvas.part(0, 0, SIDE_COLUMNS, height);
        self.view_side(&mut side);
        canvas.upright(SIDE_COLUMNS, 0, height);
        let mut body = canvas.part(SIDE_COLUMNS + 1, 0, width - SIDE_COLUMNS - 1, height);
        let Some(view) = &self.view else {
            let text = match &self.error {
                Some(error) => error.message.as_str(),
                None => "Reading the record…",
            };
            body.put(2, 0, text, Tone::Dim);
            return;
        };
        if let Some(item) = &self.item {
            item.detail.view(&mut body.inset(1), item.scroll);
            return;
        }
        if width < WIDE {
            self.view_rows(&mut body);
            return;
        }
        let half = body.width() * 3 / 5;
        self.view_rows(&mut body.part(0, 0, half, height));
        body.upright(half, 0, height);
        let shown = self
            .selected()
            .and_then(|t| describe(view, &self.measured, &t, &desk.clock));
        if let Some(detail) = shown {
            let rest = body.width() - half - 1;
            detail.view(&mut body.part(half + 1, 0, rest, height).inset(1), 0);
        }
    }

    fn unsaved(&self) -> Option<String> {
        self.decide.unsaved()
    }

    fn subject(&self) -> Option<&Subject> {
        Some(&self.subject)
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}
