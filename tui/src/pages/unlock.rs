//! Signing in.

use salus_api::{Auth, LockState, Passphrase, Request, Response};

use super::{Answer, Go, Page};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::form::{Done, Field, Form};
use crate::input::Input;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::theme::Tone;

/// Longest staff name, bytes (a guess; the roster's entries are bounded by 8 KiB in all).
const MAX_STAFF_BYTES: usize = 128;
/// Longest passphrase, bytes: 24 words of any language fit (a guess).
const MAX_PASSPHRASE_BYTES: usize = 512;
const STAFF: usize = 0;
const PASSPHRASE: usize = 1;

/// A session that the node opened.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Attempt {
    /// Goes with every further call.
    pub auth: Auth,
    /// Who was recognised; "" where the node was not asked.
    pub staff: String,
}

/// The page.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Unlock {
    form: Form,
    waiting: Option<CallId>,
    /// What came of the last try, or why one has to sign in.
    message: Option<(String, Tone)>,
}

impl Unlock {
    /// A page on which this person, if known, has only to type the passphrase.
    pub fn new(staff: Option<&str>, message: Option<&str>) -> Self {
        let mut form = Form::new(vec![
            Field::line(
                "Staff",
                "",
                32,
                Input::new(MAX_STAFF_BYTES).with(staff.unwrap_or("")),
            ),
            Field::line("Passphrase", "", 32, Input::masked(MAX_PASSPHRASE_BYTES)),
        ]);
        form.focus = if staff.is_some_and(|s| !s.is_empty()) {
            PASSPHRASE
        } else {
            STAFF
        };
        Self {
            form,
            waiting: None,
            message: message.map(|m| (m.to_owned(), Tone::Caution)),
        }
    }

    /// A page that signs in with what the caller brought.
    pub fn with(desk: &mut Desk, staff: Option<&str>, auth: Auth) -> Self {
        let mut page = Self::new(staff, None);
        page.waiting = Some(desk.call_as(auth, Request::Unlock));
        page
    }

    /// Forgets what was typed as a passphrase.
    pub fn forget(&mut self) {
        if let Some(input) = self
            .form
            .fields
            .get_mut(PASSPHRASE)
            .and_then(Field::input_mut)
        {
            input.clear();
        }
    }

    fn submit(&mut self, desk: &mut Desk) {
        if self.form.value(PASSPHRASE).is_empty() {
            self.form.focus = PASSPHRASE;
            self.message = Some(("Type your passphrase.".into(), Tone::Caution));
            return;
        }
        let staff = Some(self.form.value(STAFF).to_owned()).filter(|s| !s.is_empty());
        let Some(input) = self
            .form
            .fields
            .get_mut(PASSPHRASE)
            .and_then(Field::input_mut)
        else {
            return;
        };
        let passphrase = Passphrase::new(input.take());
        let auth = Auth::Passphrase { staff, passphrase };
        self.waiting = Some(desk.call_as(auth, Request::Unlock));
        self.message = None;
    }
}

/// Signing in is what submitting means here.
fn submits(action: Action) -> Action {
    if action == Action::SignIn {
        Action::Submit
    } else {
        action
    }
}

impl Page for Unlock {
    fn context(&self) -> Context {
        Context::Unlock
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        if self.waiting.is_none() && self.form.act(submits(action)) == Done::Submit {
            self.submit(desk);
        }
        Go::Stay
    }

    fn typed(&mut self, _desk: &mut Desk, text: &str) -> Go {
        if self.waiting.is_none() {
            self.form.typed(text);
            self.message = None;
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.waiting == Some(call)
    }

    fn answer(&mut self, _desk: &mut Desk, _call: CallId, answer: Answer) -> Go {
        self.waiting = None;
        match answer {
            Ok(Response::Unlocked { session, staff }) => Go::Enter(Attempt {
                auth: Auth::Session(session),
                staff,
            }),
            Ok(_) => {
                self.message = Some(("The node gave no session.".into(), Tone::Danger));
                Go::Stay
            }
            Err(error) => {
                self.form.focus = PASSPHRASE;
                let hint = error.hint.map(|h| format!(" {h}")).unwrap_or_default();
                self.message = Some((format!("{}{hint}", error.message), Tone::Danger));
                Go::Stay
            }
        }
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let width = canvas.width().min(60);
        let x = (canvas.width() - width) / 2;
        let y = (canvas.height() / 4).saturating_sub(1);
        let height = canvas.height();
        let mut canvas = canvas.part(x, y, width, height);
        canvas.put(2, 0, "Salus", Tone::Accent);
        let name = desk.clinic();
        if !name.is_empty() {
            canvas.put(18, 0, name, Tone::Strong);
        }
        let (state, tone) = match desk.status.as_ref().map(|s| s.state) {
            None => ("", Tone::Dim),
            Some(LockState::Sealed) => (
                "sealed: nothing is readable and nothing syncs until somebody unlocks",
                Tone::Dim,
            ),
            Some(LockState::Locked) => (
                "locked: syncing goes on, nothing is readable until somebody unlocks",
                Tone::Dim,
            ),
            Some(LockState::Unlocked) => ("at work", Tone::Dim),
        };
        let row = canvas.put_wrapped(18, 1, state, 2, tone).max(3) + 1;
        let row = self.form.view(&mut canvas, row);
        if self.waiting.is_some() {
            canvas.put(
                18,
                row,
                "opening… (this takes about a second, on purpose)",
                Tone::Dim,
            );
        } else if let Some((message, tone)) = &self.message {
            canvas.put_wrapped(18, row, message, 4, *tone);
        } else if self.form.value(STAFF).is_empty() {
            let hint = "The name may stay empty where one person is enrolled.";
            canvas.put_wrapped(18, row, hint, 2, Tone::Dim);
        }
    }
}
