//! A file of a record: what can be looked at of it, what is known of it, and what can be done with it.

use salus_api::{ApiError, AttachmentView, ErrorKind, Event, Progress, Request, Response};

use super::attach::Attach;
use super::file_ask::{Ask, Asked};
use super::look::Look;
use super::outside::Outside;
use super::{Answer, Go, Page, Question, Screen, Then, record_rows, sentence, so_far};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::detail::{Detail, Line};
use crate::files;
use crate::keymap::{Action, Context};
use crate::keys::{Code, Key};
use crate::msg::{CallId, Size};
use crate::scratch::Scratch;
use crate::table::Cursor;
use crate::theme::Tone;
use crate::window::Step;

/// Columns of what is known, and from which width on there are more of them.
const TEXT_COLUMNS: (u16, u16) = (38, 46);
const WIDE: u16 = 110;
/// Columns between the look and what is known.
const GAP: u16 = 2;
/// How often a file that is not here is asked about (a guess: a glance's time).
const REFRESH_MS: u64 = 3_000;

/// What the node is doing with the file.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
struct Work {
    call: CallId,
    asked: Asked,
    step: Option<Progress>,
}

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct File {
    patient: String,
    file: AttachmentView,
    /// The item of the record that it belongs to, in words.
    about: Option<String>,
    /// What was said when it was attached just now.
    warnings: Vec<String>,
    look: Look,
    /// Whether the look has the whole width.
    whole: bool,
    scroll: usize,
    ask: Option<Ask>,
    work: Option<Work>,
    outside: Outside,
    refreshing: Option<CallId>,
    refreshed_ms: u64,
}

impl File {
    /// A file of a record, the item that it belongs to in words, and what there was to say about it just now.
    pub fn open(
        desk: &mut Desk,
        patient: String,
        file: AttachmentView,
        about: Option<String>,
        warnings: Vec<String>,
    ) -> Self {
        Self {
            look: Look::open(desk, &patient, &file, room(desk.size, false)),
            about: about.or_else(|| file.about.clone()),
            patient,
            file,
            warnings,
            whole: false,
            scroll: 0,
            ask: None,
            work: None,
            outside: Outside::default(),
            refreshing: None,
            refreshed_ms: desk.clock.now_ms,
        }
    }

    /// Asks how the file stands now.
    fn refresh(&mut self, desk: &mut Desk) {
        if self.refreshing.is_none() {
            let patient = self.patient.clone();
            self.refreshing = Some(desk.call(Request::Attachments { patient }));
        }
        self.refreshed_ms = desk.clock.now_ms;
    }

    fn refreshed(&mut self, desk: &mut Desk, files: Vec<AttachmentView>) {
        let Some(file) = files.into_iter().find(|file| file.entry == self.file.entry) else {
            return;
        };
        let looks_new = (file.available, &file.erased) != (self.file.available, &self.file.erased);
        self.file = file;
        if looks_new {
            self.look.renew(desk, &self.file);
        }
    }

    fn is_erased(&self) -> bool {
        self.file.erased.is_some()
    }

    /// Has the node do something with the file.
    fn work(&mut self, desk: &mut Desk, asked: Asked) {
        let request = asked.request(&self.patient, &self.file.id);
        let call = desk.call(request);
        self.work = Some(Work {
            call,
            asked,
            step: None,
        });
    }

    fn begin(&mut self, desk: &mut Desk, action: Action) {
        if self.work.is_some() {
            let error = ApiError::usage("Something is being done with this file already.");
            return desk.fail(error.hint("Wait for its end, or give it up: esc."));
        }
        if self.is_erased() && !matches!(action, Action::KeepFiles) {
            return desk.fail(ApiError::usage(
                "The file was erased: nothing is left of it.",
            ));
        }
        match action {
            Action::WriteFile => self.ask = Some(Ask::write(&self.file, &desk.places)),
            Action::EraseFile => self.ask = Some(Ask::erase(&self.file)),
            Action::KeepFiles => self.ask = Some(Ask::keep()),
            Action::OpenOutside => self.outside.open(desk, &self.file),
            _ => {}
        }
    }

    fn scroll(&mut self, desk: &Desk, action: Action) {
        if self.look.scroll(action, room(desk.size, self.whole)) || self.whole {
            return;
        }
        let rows = record_rows(desk.size).saturating_sub(self.foot_rows());
        let (_, columns) = split(desk.size.width.saturating_sub(2), false);
        let last = self.detail(desk).max_scroll(columns, rows);
        let mut cursor = Cursor { at: self.scroll };
        cursor.act(action, last + 1, usize::from(rows.saturating_sub(2)));
        self.scroll = cursor.at;
    }

    fn detail(&self, desk: &Desk) -> Detail {
        let known = self
            .file
            .facts
            .get("warnings")
            .and_then(|all| all.as_array());
        let is_known = |text: &str| known.is_some_and(|all| all.iter().any(|one| one == text));
        let new = self.warnings.iter().filter(|text| !is_known(text));
        let mut lines: Vec<Line> = new
            .map(|text| Line::Field("Warning", text.clone(), Tone::Caution))
            .collect();
        lines.extend(files::lines(&self.file, self.about.as_deref(), &desk.clock));
        Detail {
            title: files::name(&self.file),
            lines,
        }
    }

    /// What is going on, in lines.
    fn foot(&self) -> Vec<String> {
        let work = self
            .work
            .as_ref()
            .map(|work| so_far(work.asked.words(), work.step.as_ref()));
        work.into_iter()
            .chain(self.outside.words().map(str::to_owned))
            .collect()
    }

    fn foot_rows(&self) -> u16 {
        u16::try_from(self.foot().len()).unwrap_or(0)
    }

    /// The node has done what was asked of it, or could not.
    fn worked(&mut self, desk: &mut Desk, answer: Answer) -> Go {
        let Some(Work { asked, .. }) = self.work.take() else {
            return Go::Stay;
        };
        match (answer, asked) {
            (Ok(Response::Fetched(_)), Asked::Outside(_)) => self.outside.fetched(desk),
            (Ok(Response::Fetched(view)), _) => {
                self.ask = None;
                desk.say(format!("Written to {}.", view.path));
            }
            (Ok(Response::Done(done)), _) => {
                self.ask = None;
                desk.say(sentence(&done));
            }
            (Ok(_), _) => {}
            (Err(error), Asked::Write { to, replace: false })
                if error.message.contains("is there already") =>
            {
                let question = Question::new(
                    "Replace the file that is there?",
                    &format!("{}. Its content would be lost.", error.message),
                    "Replace it",
                    "Leave it",
                    Then::Replace(to),
                );
                return Go::Ask(question);
            }
            (Err(error), asked) => {
                if let Asked::Outside(_) = asked {
                    self.outside.close(desk);
                }
                desk.fail(error);
            }
        }
        self.refresh(desk);
        Go::Stay
    }

    /// Ends what only reads, and says so.
    fn give_up(&mut self, desk: &mut Desk) -> bool {
        let reads = |work: &&Work| matches!(work.asked, Asked::Outside(_) | Asked::Write { .. });
        let Some(call) = self.work.as_ref().filter(reads).map(|work| work.call) else {
            return false;
        };
        desk.cancel(Some(call));
        if let Some(Work {
            asked: Asked::Outside(_),
            ..
        }) = self.work.take()
        {
            self.outside.close(desk);
        }
        desk.say("Given up. What arrived of the file is kept by the node.");
        true
    }

    fn submit(&mut self, desk: &mut Desk, action: Action) {
        let Some(ask) = &mut self.ask else { return };
        if action == Action::Back {
            if !self.give_up(desk) {
                self.ask = None;
            }
            return;
        }
        if self.work.is_none()
            && let Some(asked) = ask.act(action, &desk.places)
        {
            self.work(desk, asked);
        }
    }
}

/// Columns of the look and of what is known, of so many.
fn split(width: u16, whole: bool) -> (u16, u16) {
    let (narrow, wide) = TEXT_COLUMNS;
    let text = match (whole, width >= WIDE) {
        (true, _) => return (width, 0),
        (false, false) => narrow.min(width),
        (false, true) => wide,
    };
    (width.saturating_sub(text + GAP), text)
}

/// Columns and rows of the look.
fn room(size: Size, whole: bool) -> (u16, u16) {
    (
        split(size.width.saturating_sub(2), whole).0,
        record_rows(size),
    )
}

impl Page for File {
    fn context(&self) -> Context {
        match &self.ask {
            Some(_) => Context::Prompt,
            None if self.look.has_window() => Context::Slice,
            None => Context::File,
        }
    }

    fn offers(&self, action: Action) -> bool {
        match action {
            Action::WriteFile | Action::EraseFile | Action::OpenOutside => !self.is_erased(),
            Action::NextFrame | Action::PreviousFrame => self.look.has_frames(),
            Action::HabitWindow => self.look.has_habits(),
            Action::Larger => self.look.is_drawn(),
            _ => true,
        }
    }

    fn act(&mut self, desk: &mut Desk, action: Action, key: Option<Key>) -> Go {
        if self.ask.is_some() {
            self.submit(desk, action);
            return Go::Stay;
        }
        match action {
            Action::Back if self.give_up(desk) => {}
            Action::Back => return Go::Back,
            Action::AttachAnother => {
                let page = Attach::open(desk, self.patient.clone());
                return Go::open(Screen::Attach(Box::new(page)));
            }
            Action::WriteFile | Action::EraseFile | Action::KeepFiles | Action::OpenOutside => {
                self.begin(desk, action);
            }
            Action::CentreUp => self.look.step(desk, Step::Up),
            Action::CentreDown => self.look.step(desk, Step::Down),
            Action::Narrower => self.look.step(desk, Step::Narrower),
            Action::Wider => self.look.step(desk, Step::Wider),
            Action::OwnWindow => self.look.put_window(desk, None),
            Action::HabitWindow => {
                let digit = key.and_then(|key| match key.code {
                    Code::Char(c) => c.to_digit(10),
                    _ => None,
                });
                let nth = digit.and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
                if nth.is_some() {
                    self.look.put_window(desk, nth);
                }
            }
            Action::NextFrame => self.look.turn(desk, true),
            Action::PreviousFrame => self.look.turn(desk, false),
            Action::Larger => {
                self.whole = !self.whole && self.look.is_drawn();
                self.look.fit(desk, room(desk.size, self.whole));
            }
            Action::Reload => {
                self.look.renew(desk, &self.file);
                self.refresh(desk);
            }
            _ => self.scroll(desk, action),
        }
        Go::Stay
    }

    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if let (Some(ask), None) = (&mut self.ask, &self.work) {
            ask.typed(text);
        }
        Go::Stay
    }

    fn confirmed(&mut self, desk: &mut Desk, then: Then) -> Go {
        if let (Then::Replace(to), None) = (then, &self.work) {
            self.work(desk, Asked::Write { to, replace: true });
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.look.waits_for(call)
            || self.refreshing == Some(call)
            || self.work.as_ref().is_some_and(|work| work.call == call)
            || self.outside.waits_for(call)
    }

    fn progress(&mut self, progress: Progress) {
        if let Some(work) = &mut self.work {
            work.step = Some(progress);
        }
    }

    fn answer(&mut self, desk: &mut Desk, call: CallId, answer: Answer) -> Go {
        if self.look.waits_for(call) {
            self.look.answer(desk, answer);
            return Go::Stay;
        }
        if self.refreshing == Some(call) {
            self.refreshing = None;
            match answer {
                Ok(Response::Attachments(files)) => self.refreshed(desk, files),
                // The record was erased, or is not shared with this clinic any more.
                Err(error) if error.kind == ErrorKind::NotFound => {
                    desk.fail(error);
                    return Go::Back;
                }
                // What is shown stays where this fails; the frame says whether the node answers.
                _ => {}
            }
            return Go::Stay;
        }
        self.worked(desk, answer)
    }

    fn scratch(&mut self, desk: &mut Desk, scratch: Scratch) {
        if let Some(to) = self.outside.told(desk, scratch) {
            self.work(desk, Asked::Outside(to));
        }
    }

    fn event(&mut self, desk: &mut Desk, event: &Event) {
        if matches!(event, Event::PatientsChanged(ids) if ids.contains(&self.patient)) {
            self.refresh(desk);
        }
    }

    fn tick(&mut self, desk: &mut Desk) {
        self.look.fit(desk, room(desk.size, self.whole));
        let due = self.refreshed_ms.saturating_add(REFRESH_MS) <= desk.clock.now_ms;
        if due && !self.file.available && !self.is_erased() {
            self.refresh(desk);
        }
    }

    fn resume(&mut self, desk: &mut Desk) {
        // A question to a node that was lost meanwhile is answered no more.
        self.refreshing = None;
        self.refresh(desk);
    }

    fn left(&mut self, desk: &mut Desk) {
        self.look.hang_up(desk);
        desk.cancel(self.refreshing.take());
        if let Some(Work {
            call,
            asked: Asked::Outside(_),
            ..
        }) = &self.work
        {
            desk.cancel(Some(*call));
        }
        self.outside.close(desk);
    }

    fn unsaved(&self) -> Option<String> {
        self.ask.as_ref().and_then(Ask::unsaved)
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        if let Some(ask) = &self.ask {
            let busy = self
                .work
                .as_ref()
                .map(|work| so_far(work.asked.words(), work.step.as_ref()));
            let below = ask.view(&mut area, busy.as_deref());
            self.detail(desk)
                .view(&mut area.below(below + 1).inset(1), 0);
            return;
        }
        let foot = self.foot();
        let (width, height) = (area.width(), area.height());
        let rows = height.saturating_sub(self.foot_rows());
        let (look, text) = split(width, self.whole);
        self.look.view(&mut area.part(0, 0, look, rows), desk);
        if text > 0 {
            let mut known = area.part(look + GAP, 0, text, rows);
            self.detail(desk).view(&mut known, self.scroll);
        }
        for (y, line) in (rows..height).zip(foot) {
            area.put(0, y, &line, Tone::Caution);
        }
    }

    fn is_about_a_record(&self) -> bool {
        true
    }
}
