//! What all pages share: the clock, the look, who is signed in, the state of the node, and the way to ask it.

use std::path::PathBuf;

use salus_api::{ApiError, Auth, ErrorKind, LockState, PeerView, Request, Response, Status};

use crate::folder::Sort;
use crate::graphics::Raster;
use crate::msg::{CallId, Effect, Size};
use crate::picture::Depth;
use crate::theme::Theme;
use crate::when::Clock;

/// A message of success is shown for so long (a guess: time to read ten words twice).
const DONE_SHOWN_MS: u64 = 6_000;
/// Waiting between attempts to reach a lost node: doubled each time, up to this.
const MAX_RETRY_MS: u64 = 15_000;
/// How often the state of the node and the other clinics is read when nothing reports a change.
const REFRESH_MS: u64 = 30_000;

/// Somebody who signed in.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Session {
    /// Goes with every call.
    pub auth: Auth,
    /// Who; "" until the node said.
    pub staff: String,
    /// Whether the node's own state named somebody for this session: from then on, a state that names nobody
    /// means that the session is over.
    pub known: bool,
}

/// A line that tells what came of something.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Notice {
    /// It is done. Goes away by itself.
    Done {
        /// What is done.
        text: String,
        /// When it goes away.
        until_ms: u64,
    },
    /// It failed. Stays until it is taken away.
    Failed(ApiError),
}

/// Whether the node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It does.
    Up,
    /// It does not.
    Lost {
        /// Since when.
        since_ms: u64,
        /// Attempts made since.
        tries: u32,
        /// When the next one is due.
        next_ms: u64,
    },
}

/// Folders of whoever started the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// Where it was started.
    pub working: PathBuf,
    /// Their own.
    pub home: Option<PathBuf>,
}

/// State that every page reads and may ask changes of.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Desk {
    /// The time.
    pub clock: Clock,
    /// The terminal's size.
    pub size: Size,
    /// The look.
    pub theme: Theme,
    /// Which colours the terminal shows.
    pub depth: Depth,
    /// The terminal's own pixels, if it has them.
    pub raster: Option<Raster>,
    /// Where files are looked for first.
    pub places: Places,
    /// Where a file was last chosen in this session.
    pub folder: Option<PathBuf>,
    /// A line about this run of the program, for instance that it is a demonstration.
    pub banner: Option<String>,
    /// Who is signed in.
    pub session: Option<Session>,
    /// The node's state, as last heard.
    pub status: Option<Status>,
    /// The other clinics, as last heard; absent until they were.
    pub peers: Option<Vec<PeerView>>,
    /// What came of the last action.
    pub notice: Option<Notice>,
    /// Whether the node answers.
    pub link: Link,
    /// The stream of changes.
    pub stream: Option<CallId>,
    status_call: Option<CallId>,
    peers_call: Option<CallId>,
    refreshed_ms: u64,
    asked_peers_ms: u64,
    /// The other clinics have changed since they were asked about.
    stale: bool,
    calls: u64,
    effects: Vec<Effect>,
}

/// What an answer about the node's state means for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was no answer about the node's state.
    NotMine,
    /// Nothing to do.
    Fine,
    /// The node answers again after it was lost.
    Back,
    /// Our session is over: the node was locked or started anew.
    SessionOver,
}

impl Desk {
    /// A desk at which nobody works yet.
    pub fn new(clock: Clock, size: Size, theme: Theme, banner: Option<String>) -> Self {
        Self {
            clock,
            size,
            theme,
            depth: Depth::default(),
            raster: None,
            places: Places::default(),
            folder: None,
            banner,
            session: None,
            status: None,
            peers: None,
            notice: None,
            link: Link::Up,
            stream: None,
            status_call: None,
            peers_call: None,
            refreshed_ms: 0,
            asked_peers_ms: 0,
            stale: false,
            calls: 0,
            effects: Vec::new(),
        }
    }

    /// The pixels that pictures are drawn in; none where there is no colour, or half-blocks are used.
    pub fn pixels(&self) -> Option<Raster> {
        self.raster.filter(|_| self.theme != Theme::Plain)
    }

    /// Asks the node in the name of whoever is signed in.
    pub fn call(&mut self, request: Request) -> CallId {
        let auth = self
            .session
            .as_ref()
            .map_or(Auth::Nobody, |s| s.auth.clone());
        self.call_as(auth, request)
    }

    /// Asks the node in somebody's name.
    pub fn call_as(&mut self, auth: Auth, request: Request) -> CallId {
        let call = self.next_call();
        self.effects.push(Effect::Call {
            call,
            auth,
            request,
        });
        call
    }

    /// Asks for what a folder of this machine holds.
    pub fn read_folder(&mut self, folder: PathBuf, sort: Sort) -> CallId {
        let call = self.next_call();
        self.effects.push(Effect::ReadFolder { call, folder, sort });
        call
    }

    /// Asks for a place for a file that another program is to show.
    pub fn make_scratch(&mut self, ending: &'static str) -> CallId {
        let call = self.next_call();
        self.effects.push(Effect::MakeScratch { call, ending });
        call
    }

    /// Has another program show such a file.
    pub fn show_scratch(&mut self, call: CallId, file: PathBuf) {
        self.effects.push(Effect::ShowScratch { call, file });
    }

    /// Such a file is not needed any more.
    pub fn leave_scratch(&mut self, file: PathBuf) {
        self.effects.push(Effect::LeaveScratch(file));
    }

    /// Gives up on a call that only reads.
    pub fn cancel(&mut self, call: Option<CallId>) {
        self.effects.extend(call.map(Effect::Cancel));
    }

    /// Ends the program.
    pub fn quit(&mut self) {
        self.effects.push(Effect::Quit);
    }

    /// What the loop has to do now.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn next_call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    /// Says that something is done.
    pub fn say(&mut self, text: impl Into<String>) {
        let until_ms = self.clock.now_ms.saturating_add(DONE_SHOWN_MS);
        self.notice = Some(Notice::Done {
            text: text.into(),
            until_ms,
        });
    }

    /// Says that something failed. Where it was refused, the node is asked whether our session still stands.
    pub fn fail(&mut self, error: ApiError) {
        if error.kind == ErrorKind::Refused {
            self.ask_status();
        }
        self.notice = Some(Notice::Failed(error));
    }

    /// Whether a failure is being shown.
    pub fn shows_failure(&self) -> bool {
        matches!(self.notice, Some(Notice::Failed(_)))
    }

    /// Who is signed in, or "".
    pub fn staff(&self) -> &str {
        self.session.as_ref().map_or("", |s| &s.staff)
    }

    /// This clinic's name, or "".
    pub fn clinic(&self) -> &str {
        self.status
            .as_ref()
            .and_then(|s| s.name.as_deref())
            .unwrap_or("")
    }

    /// Opens the stream of changes.
    pub fn subscribe(&mut self) {
        let Some(auth) = self.session.as_ref().map(|s| s.auth.clone()) else {
            return;
        };
        let call = self.next_call();
        self.stream = Some(call);
        self.effects.push(Effect::Subscribe { call, auth });
    }

    /// Closes it.
    pub fn unsubscribe(&mut self) {
        if self.stream.take().is_some() {
            self.effects.push(Effect::Unsubscribe);
        }
    }

    /// Asks for the node's state.
    pub fn ask_status(&mut self) {
        self.status_call = Some(self.call(Request::Status));
        self.refreshed_ms = self.clock.now_ms;
    }

    /// Asks about the other clinics.
    pub fn ask_peers(&mut self) {
        if self.session.is_some() {
            let earlier = self.peers_call.take();
            self.cancel(earlier);
            self.peers_call = Some(self.call(Request::Peers));
            self.asked_peers_ms = self.clock.now_ms;
            self.stale = false;
        }
    }

    /// Something changed about the other clinics: asks at once, but at most once a second.
    pub fn peers_changed(&mut self) {
        self.stale = self.asked_peers_ms == self.clock.now_ms;
        if !self.stale {
            self.ask_peers();
            self.ask_status();
        }
    }

    /// The node does not answer: tries again later, each time after a longer wait.
    pub fn lost(&mut self) {
        let now_ms = self.clock.now_ms;
        let (since_ms, tries) = match self.link {
            Link::Up => (now_ms, 0),
            Link::Lost {
                since_ms, tries, ..
            } => (since_ms, tries.saturating_add(1)),
        };
        let wait_ms = 1_000u64
            .saturating_mul(1 << tries.min(10))
            .min(MAX_RETRY_MS);
        self.link = Link::Lost {
            since_ms,
            tries,
            next_ms: now_ms.saturating_add(wait_ms),
        };
    }

    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) {
        self.clock.now_ms = now_ms;
        if matches!(self.notice, Some(Notice::Done { until_ms, .. }) if until_ms <= now_ms) {
            self.notice = None;
        }
        let due = match self.link {
            Link::Up => self.stale || self.refreshed_ms.saturating_add(REFRESH_MS) <= now_ms,
            Link::Lost { next_ms, .. } => next_ms <= now_ms && self.status_call.is_none(),
        };
        if due {
            self.ask_status();
            self.ask_peers();
        }
    }

    /// Takes an answer about the node's state.
    pub fn answer(&mut self, call: CallId, answer: &Result<Response, ApiError>) -> Heard {
        if self.peers_call == Some(call) {
            self.peers_call = None;
            if let Ok(Response::Peers(peers)) = answer {
                self.peers = Some(peers.clone());
            }
            return Heard::Fine;
        }
        if self.status_call != Some(call) {
            return Heard::NotMine;
        }
        self.status_call = None;
        match answer {
            Ok(Response::Status(status)) => {
                self.status = Some(status.clone());
                if let Some(session) = &mut self.session {
                    match &status.staff {
                        Some(staff) => {
                            session.staff.clone_from(staff);
                            session.known = true;
                        }
                        None if session.known || status.state != LockState::Unlocked => {
                            return Heard::SessionOver;
                        }
                        None => {}
                    }
                }
                match std::mem::replace(&mut self.link, Link::Up) {
                    Link::Up => Heard::Fine,
                    Link::Lost { .. } => Heard::Back,
                }
            }
            Err(error) if error.kind == ErrorKind::Refused && self.session.is_some() => {
                Heard::SessionOver
            }
            _ => {
                self.lost();
                Heard::Fine
            }
        }
    }
}
