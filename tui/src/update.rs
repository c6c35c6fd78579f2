//! What happens when something happened. Nothing here waits, reads a clock or touches the terminal.

use salus_api::{ErrorKind, Event, Request};

use crate::desk::Heard;
use crate::keymap::{self, Action, Context};
use crate::keys::Key;
use crate::model::{Model, Overlay};
use crate::msg::{Effect, Msg};
use crate::pages::{Go, Help, Palette, Question, Screen, Then};
use crate::scratch::Scratch;

/// After so long without a key the desk locks. HIPAA's automatic logoff (45 CFR 164.312(a)(2)(iii)) asks for a time and
/// names none; NIST SP 800-63B-3, section 4.3.3, allows 15 minutes at its strictest level; a desk that several people
/// pass by gets less (a guess).
pub(crate) const IDLE_LOCK_MS: u64 = 10 * 60 * 1_000;

/// Takes one message. Returns what the loop has to do.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => model.key(key),
        Msg::Paste(text) => model.paste(&text),
        Msg::Resize(size) => model.desk.size = size,
        Msg::Raster(raster) => model.desk.raster = raster,
        Msg::Tick { now_ms } => model.tick(now_ms),
        Msg::Progress(call, progress) => {
            let page = model
                .screens
                .iter_mut()
                .map(Screen::page_mut)
                .find(|p| p.waits_for(call));
            if let Some(page) = page {
                page.progress(progress);
            }
        }
        Msg::Answer(call, answer) => match model.desk.answer(call, &answer) {
            Heard::NotMine => {
                let at = model.screens.iter().position(|s| s.page().waits_for(call));
                // Nobody waits for it: a late answer to a question that was asked anew since.
                let Some(at) = at else {
                    return model.desk.take_effects();
                };
                if let Some(screen) = model.screens.get_mut(at) {
                    let go = screen.page_mut().answer(&mut model.desk, call, answer);
                    model.go(at, go);
                }
            }
            Heard::Fine => {}
            Heard::Back => {
                model.desk.say("The node answers again.");
                if model.desk.stream.is_none() {
                    model.desk.subscribe();
                }
                model.resume();
            }
            Heard::SessionOver => {
                model.leave("The node was locked or started anew. Sign in again.")
            }
        },
        Msg::Folder(call, listing) => {
            let pages = model.screens.iter_mut().map(Screen::page_mut);
            if let Some(page) = pages.into_iter().find(|p| p.waits_for(call)) {
                page.listed(listing);
            }
        }
        Msg::Scratch(call, scratch) => {
            let mut pages = model.screens.iter_mut().map(Screen::page_mut);
            match (pages.find(|p| p.waits_for(call)), scratch) {
                (Some(page), scratch) => page.scratch(&mut model.desk, scratch),
                // A place for a screen that is gone.
                (None, Scratch::Ready(file)) => model.desk.leave_scratch(file),
                (None, _) => {}
            }
        }
        Msg::Event(call, event) if model.desk.stream == Some(call) => model.event(&event),
        Msg::Event(..) => {}
        Msg::StreamEnded(call, error) if model.desk.stream == Some(call) => {
            model.desk.stream = None;
            match error.map(|e| e.kind) {
                // The node is gone, or ended the stream without a word.
                None | Some(ErrorKind::Failed) => model.desk.lost(),
                // It still answers: it says whether the session stands.
                Some(_) => model.desk.ask_status(),
            }
        }
        Msg::StreamEnded(..) => {}
        Msg::Terminate => model.desk.quit(),
    }
    model.desk.take_effects()
}

impl Model {
    fn key(&mut self, key: Key) {
        self.last_key_ms = self.desk.clock.now_ms;
        if !self.fits() {
            // What cannot be seen is not worked on.
            if keymap::resolve(self.context(), key) == Some(Action::Quit) {
                self.quit();
            }
            return;
        }
        if self.desk.shows_failure()
            && self.overlay.is_none()
            && keymap::resolve(Context::Failure, key) == Some(Action::Dismiss)
        {
            self.desk.notice = None;
            return;
        }
        let context = self.context();
        match (keymap::resolve(context, key), key.writes()) {
            (Some(action), _) => self.act(action, Some(key)),
            (None, Some(c)) if context.takes_text() => self.typed(c.encode_utf8(&mut [0; 4])),
            _ => {}
        }
    }

    fn paste(&mut self, text: &str) {
        self.last_key_ms = self.desk.clock.now_ms;
        if self.fits() && self.context().takes_text() {
            self.typed(text);
        }
    }

    fn typed(&mut self, text: &str) {
        if let Some(Overlay::Palette(palette)) = &mut self.overlay {
            palette.typed(text);
            return;
        }
        let Some(top) = self.screens.len().checked_sub(1) else {
            return;
        };
        if let Some(screen) = self.screens.get_mut(top) {
            let go = screen.page_mut().typed(&mut self.desk, text);
            self.go(top, go);
        }
    }

    fn act(&mut self, action: Action, key: Option<Key>) {
        match action {
            Action::Quit => return self.quit(),
            Action::Lock => return self.lock("Locked. Syncing goes on."),
            Action::NextTheme => {
                self.desk.theme = self.desk.theme.next();
                return self
                    .desk
                    .say(format!("Colours: {}.", self.desk.theme.name()));
            }
            Action::Help => return self.overlay = Some(Overlay::Help(Help::default())),
            Action::Palette => {
                return self.overlay = Some(Overlay::Palette(Palette::new(self.context(), |a| {
                    self.offers(a)
                })));
            }
            _ => {}
        }
        let Some(top) = self.screens.len().checked_sub(1) else {
            return;
        };
        match (self.overlay.take(), action) {
            (None, _) => {
                if let Some(screen) = self.screens.get_mut(top) {
                    let go = screen.page_mut().act(&mut self.desk, action, key);
                    self.go(top, go);
                }
            }
            (Some(Overlay::Help(_) | Overlay::Palette(_)), Action::Back) => {}
            (Some(Overlay::Question(_)), Action::No) => {}
            (Some(Overlay::Question(question)), Action::Yes) => self.yes(top, question),
            (Some(Overlay::Palette(palette)), Action::RunCommand) => {
                if let Some(chosen) = palette.chosen() {
                    self.act(chosen, None);
                }
            }
            (Some(Overlay::Help(mut help)), action) => {
                help.act(action, self.desk.size);
                self.overlay = Some(Overlay::Help(help));
            }
            (Some(Overlay::Palette(mut palette)), action) => {
                palette.act(action);
                self.overlay = Some(Overlay::Palette(palette));
            }
            (Some(question), _) => self.overlay = Some(question),
        }
    }

    fn yes(&mut self, top: usize, question: Question) {
        match question.then {
            Then::Quit => self.desk.quit(),
            Then::Leave => self.go(top, Go::Back),
            then => {
                if let Some(screen) = self.screens.get_mut(top) {
                    let go = screen.page_mut().confirmed(&mut self.desk, then);
                    self.go(top, go);
                }
            }
        }
    }

    /// Does what the page at this place asked for.
    fn go(&mut self, at: usize, go: Go) {
        match go {
            Go::Stay => {}
            Go::Open(screen) => self.screens.push(*screen),
            Go::Swap(screen) => {
                if let Some(place) = self.screens.get_mut(at) {
                    place.page_mut().left(&mut self.desk);
                    *place = *screen;
                }
            }
            Go::Ask(question) => self.overlay = Some(Overlay::Question(question)),
            Go::Enter(attempt) => self.enter(attempt),
            Go::Back if self.screens.len() > 1 => {
                let was_top = at + 1 == self.screens.len();
                self.screens.remove(at).page_mut().left(&mut self.desk);
                if was_top {
                    // A question about the page that is gone is no question any more.
                    if matches!(self.overlay, Some(Overlay::Question(_))) {
                        self.overlay = None;
                    }
                    self.resume();
                }
            }
            Go::Back => {}
            Go::BackTo(seek) => {
                self.go(at, Go::Back);
                let below = at.checked_sub(1).and_then(|n| self.screens.get_mut(n));
                if let Some(screen) = below {
                    screen.page_mut().seek(&mut self.desk, seek);
                }
            }
        }
    }

    fn resume(&mut self) {
        if let Some(screen) = self.screens.last_mut() {
            screen.page_mut().resume(&mut self.desk);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Locked => return self.leave("The node was locked."),
            Event::PeersChanged => self.desk.peers_changed(),
            _ => {}
        }
        for screen in &mut self.screens {
            screen.page_mut().event(&mut self.desk, event);
        }
    }

    fn tick(&mut self, now_ms: u64) {
        self.desk.tick(now_ms);
        if now_ms.saturating_sub(self.last_key_ms) >= IDLE_LOCK_MS {
            self.last_key_ms = now_ms;
            if self.desk.session.is_some() {
                return self.lock("Locked after 10 minutes without a key. Syncing goes on.");
            }
            if let Some(Screen::Unlock(page)) = self.screens.last_mut() {
                page.forget();
            }
        }
        for screen in &mut self.screens {
            screen.page_mut().tick(&mut self.desk);
        }
    }

    fn lock(&mut self, why: &str) {
        if self.desk.session.is_some() {
            self.desk.call(Request::Lock);
            self.leave(why);
        }
    }

    fn quit(&mut self) {
        match self.unsaved() {
            // Asked a second time in a row it is meant.
            Some(_) if matches!(&self.overlay, Some(Overlay::Question(q)) if q.then == Then::Quit) =>
            {
                self.desk.quit();
            }
            Some(what) if self.fits() => {
                let question = Question::new("Leave Salus?", &what, "Leave", "Stay", Then::Quit);
                self.overlay = Some(Overlay::Question(question));
            }
            _ => self.desk.quit(),
        }
    }
}
