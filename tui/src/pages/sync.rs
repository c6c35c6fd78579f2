//! The other clinics: who is reachable, how far behind, and syncing now.

use salus_api::{ApiError, NetworkMode, PeerView, Progress, Request, Response, SyncReport};

use super::patients::thousands;
use super::{Answer, Go, Page};
use crate::canvas::Canvas;
use crate::desk::Desk;
use crate::keymap::{Action, Context};
use crate::keys::Key;
use crate::msg::CallId;
use crate::rows;
use crate::subject::short_id;
use crate::table::{self, Cell, Column, Cursor};
use crate::theme::Tone;

const COLUMNS: &[Column] = &[
    Column::share("Clinic", 1),
    Column::fixed("State", 13),
    Column::fixed("Round trip", 10).right(),
    Column::fixed("In step", 11),
    Column::fixed("Behind", 14).right(),
    Column::fixed("Id", 8).from(100),
];

/// The page. What it shows of the clinics is the desk's.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Sync {
    cursor: Cursor,
    syncing: Option<CallId>,
    progress: Option<Progress>,
    reports: Vec<SyncReport>,
    error: Option<ApiError>,
}

/// A clinic's name, or the first digits of its id.
fn name(peer: &PeerView) -> String {
    if peer.name.is_empty() {
        short_id(&peer.id)
    } else {
        peer.name.clone()
    }
}

/// A time in milliseconds, as short as it says enough.
fn round_trip(ms: f64) -> String {
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

impl Sync {
    /// The page; asks for news of the clinics.
    pub fn open(desk: &mut Desk) -> Self {
        desk.ask_peers();
        desk.ask_status();
        Self {
            cursor: Cursor::default(),
            syncing: None,
            progress: None,
            reports: Vec::new(),
            error: None,
        }
    }

    fn sync(&mut self, desk: &mut Desk, clinic: Option<String>) {
        if self.syncing.is_none() {
            self.syncing = Some(desk.call(Request::Sync { clinic }));
            self.progress = None;
            self.error = None;
            self.reports.clear();
        }
    }
}

impl Page for Sync {
    fn context(&self) -> Context {
        Context::Sync
    }

    fn act(&mut self, desk: &mut Desk, action: Action, _key: Option<Key>) -> Go {
        let len = desk.peers.as_ref().map_or(0, Vec::len);
        match action {
            Action::Back => return Go::Back,
            Action::SyncAll => self.sync(desk, None),
            Action::SyncOne => {
                let peer = desk.peers.as_ref().and_then(|p| p.get(self.cursor.at));
                if let Some(id) = peer.map(|p| p.id.clone()) {
                    self.sync(desk, Some(id));
                }
            }
            Action::Reload => {
                desk.ask_peers();
                desk.ask_status();
            }
            _ => _ = self.cursor.act(action, len, 10),
        }
        Go::Stay
    }

    fn waits_for(&self, call: CallId) -> bool {
        self.syncing == Some(call)
    }

    fn answer(&mut self, desk: &mut Desk, _call: CallId, answer: Answer) -> Go {
        self.syncing = None;
        self.progress = None;
        desk.ask_peers();
        match answer {
            Ok(Response::Synced(reports)) => {
                if reports.iter().all(|r| r.error.is_none()) {
                    desk.say("Synced.");
                }
                self.reports = reports;
            }
            Ok(_) => {}
            Err(error) => {
                self.error = Some(error.clone());
                desk.fail(error);
            }
        }
        Go::Stay
    }

    fn progress(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    fn view(&self, canvas: &mut Canvas<'_>, desk: &Desk) {
        let mut area = canvas.inset(1);
        let end = area.width();
        area.put(1, 1, "Other clinics", Tone::Accent);
        if let Some(status) = &desk.status {
            let network = match status.network {
                NetworkMode::Loopback => "this machine only",
                NetworkMode::Lan => "local network",
                NetworkMode::Internet => "internet",
            };
            let (logs, entries) = (thousands(status.logs), thousands(status.entries));
            let here = format!("here: {logs} logs, {entries} entries · {network}");
            area.put_right(end, 1, &here, Tone::Dim);
        }
        table::headings(&mut area, 3, COLUMNS);
        let row = self.view_peers(&mut area, 4, desk);
        self.view_last(&mut area, row + 1, desk);
    }
}

impl Sync {
    fn view_peers(&self, area: &mut Canvas<'_>, top: u16, desk: &Desk) -> u16 {
        let Some(peers) = &desk.peers else {
            area.put(2, top, "asking…", Tone::Dim);
            return top + 1;
        };
        if peers.is_empty() {
            area.put(2, top, "This clinic knows no other clinic yet.", Tone::Dim);
            area.put(2, top + 1, "`salus peers add` makes one known.", Tone::Dim);
            return top + 2;
        }
        // Each clinic has a row, and one more for why the last attempt failed; the rest is for the last sync.
        let room = usize::from(area.height().saturating_sub(top + 7)) / 2;
        let first = table::first_shown(
            self.cursor.at,
            peers.len(),
            u16::try_from(room).unwrap_or(1),
        );
        let mut y = top;
        for (n, peer) in peers.iter().enumerate().skip(first).take(room.max(1)) {
            let (state, tone) = match (peer.connected, &peer.last_error) {
                (true, _) => ("● connected", Tone::Good),
                (false, Some(_)) => ("○ not reached", Tone::Caution),
                (false, None) => ("○ away", Tone::Dim),
            };
            let (behind, behind_tone) = match peer.behind {
                0 => ("–".to_owned(), Tone::Dim),
                1 => ("1 record".to_owned(), Tone::Caution),
                n => (format!("{} records", thousands(n)), Tone::Caution),
            };
            let rtt = peer.rtt_ms.map_or("–".to_owned(), round_trip);
            let step = peer
                .synced_ms
                .map_or("never".to_owned(), |ms| desk.clock.ago(ms));
            let cells = [
                Cell::new(name(peer), Tone::Strong),
                Cell::new(state, tone),
                Cell::new(rtt, Tone::Text),
                Cell::new(step, Tone::Text),
                Cell::new(behind, behind_tone),
                Cell::new(short_id(&peer.id), Tone::Dim),
            ];
            table::row(area, y, COLUMNS, &cells);
            if n == self.cursor.at {
                area.select(y, true);
            }
            y += 1;
            if let Some(error) = &peer.last_error {
                area.put(4, y, error, Tone::Caution);
                y += 1;
            }
        }
        y
    }

    fn view_last(&self, area: &mut Canvas<'_>, top: u16, desk: &Desk) {
        if self.syncing.is_some() {
            area.put(1, top, "Syncing…", Tone::Accent);
            if let Some(p) = &self.progress {
                let done = match p.total {
                    0 => thousands(p.done),
                    total => format!("{} of {}", thousands(p.done), thousands(total)),
                };
                area.put(11, top, &format!("{} · {done}", p.what), Tone::Dim);
            }
            return;
        }
        if let Some(error) = &self.error {
            area.put(1, top, "The last sync failed", Tone::Danger);
            area.put_wrapped(2, top + 1, &error.message, 3, Tone::Text);
            return;
        }
        if self.reports.is_empty() {
            return;
        }
        area.put(1, top, "What the last sync did", Tone::Accent);
        let names = desk.peers.as_deref().unwrap_or(&[]);
        for (y, report) in (top + 1..area.height()).zip(&self.reports) {
            let known = names.iter().find(|p| p.id == report.peer).map(name);
            let clinic = known.unwrap_or_else(|| short_id(&report.peer));
            area.put_within(2, y, 18, &clinic, Tone::Strong);
            let (what, tone) = match &report.error {
                Some(error) => (error.clone(), Tone::Danger),
                None => (
                    format!(
                        "{} sent · {} received · {} refused · {} · {:.1} s",
                        thousands(report.sent),
                        thousands(report.received),
                        thousands(report.refused),
                        rows::bytes(report.bytes),
                        report.seconds
                    ),
                    if report.refused > 0 {
                        Tone::Caution
                    } else {
                        Tone::Text
                    },
                ),
            };
            area.put(22, y, &what, tone);
        }
    }
}
