//! Entries under way: what waits to be sent or acknowledged, and what came and is not stored yet.

use std::collections::VecDeque;

use salus_audit::LogId;

use crate::frame::Group;
use crate::limits::{
    Config, MAX_ENTRIES, MAX_FRAME_BYTES, MAX_GROUPS, MAX_STATEMENT_BYTES, MAX_UNACKED_FRAMES,
    WINDOW_BYTES,
};
use crate::port::{TaskId, Violation};

/// Bytes around an entry in a frame, at most: the head of its byte string.
const ENTRY_OVERHEAD: usize = 9;

/// Bytes around a group in a frame, at most: two array heads, the log's id, the flag, the head of a statement.
const GROUP_OVERHEAD: usize = 51;

/// Entries of one log that wait to be sent.
#[derive(Debug)]
struct Chunk {
    log: LogId,
    end: bool,
    entries: VecDeque<Vec<u8>>,
    statement: Option<Vec<u8>>,
}

impl Chunk {
    /// Bytes of its groups beside the entries: a statement goes with the last of them.
    fn overhead(&self) -> usize {
        GROUP_OVERHEAD + self.statement.as_ref().map_or(0, Vec::len)
    }
}

#[derive(Debug)]
struct Unacked {
    bytes: usize,
    entries: u64,
    ends: Vec<LogId>,
}

/// What this side sends.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    queued_bytes: usize,
    unacked: VecDeque<Unacked>,
    unacked_bytes: usize,
    acked_frames: u64,
}

/// What an acknowledgement settled.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Acked {
    pub entries: u64,
    pub ends: Vec<LogId>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.unacked.is_empty()
    }

    pub(crate) fn awaits_ack(&self) -> bool {
        !self.unacked.is_empty()
    }

    /// Bytes that wait to be sent or acknowledged.
    pub(crate) fn bytes(&self) -> usize {
        self.queued_bytes + self.unacked_bytes
    }

    /// Entries of a log to be sent. A statement goes with an end only; one that is too long does not go.
    pub(crate) fn push(
        &mut self,
        log: LogId,
        entries: Vec<Vec<u8>>,
        end: bool,
        statement: Option<Vec<u8>>,
    ) {
        let fits = |bytes: &Vec<u8>| end && (1..=MAX_STATEMENT_BYTES).contains(&bytes.len());
        let chunk = Chunk {
            log,
            end,
            entries: entries.into(),
            statement: statement.filter(fits),
        };
        self.queued_bytes += chunk.entries.iter().map(|entry| cost(entry)).sum::<usize>();
        self.queued_bytes += chunk.overhead();
        self.chunks.push_back(chunk);
    }

    /// The next frame's groups, if there is enough to send and room in the window. Entries of logs that the
    /// peer may no longer hold are left out; their ends are not.
    pub(crate) fn next(
        &mut self,
        config: &Config,
        more_to_come: bool,
        entitled: impl Fn(LogId) -> bool,
    ) -> Option<Vec<Group>> {
        if self.chunks.is_empty() || self.unacked.len() >= MAX_UNACKED_FRAMES {
            return None;
        }
        if more_to_come && self.queued_bytes < config.frame_bytes {
            return None;
        }
        // One frame may always be under way; another only if a full one, or all there is, fits.
        let mut room = config.frame_bytes;
        if self.unacked.is_empty() {
            room = room.max(MAX_FRAME_BYTES);
        } else {
            let least = self.chunks.front().map_or(0, |chunk| {
                let first = chunk.entries.front().map_or(0, |entry| cost(entry));
                first + chunk.overhead() + ENTRY_OVERHEAD
            });
            let all = self.queued_bytes + ENTRY_OVERHEAD;
            let wanted = all.min(config.frame_bytes).max(least);
            room = config.window_bytes.saturating_sub(self.unacked_bytes);
            if room < wanted {
                return None;
            }
        }
        Some(self.fill(room.min(MAX_FRAME_BYTES), config.frame_bytes, entitled))
    }

    /// Fills a frame up to `full` bytes; a single entry may need more, up to `room`.
    fn fill(&mut self, room: usize, full: usize, entitled: impl Fn(LogId) -> bool) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        let (mut size, mut count) = (ENTRY_OVERHEAD, 0);
        while let Some(chunk) = self.chunks.front_mut() {
            let may_go = entitled(chunk.log);
            let overhead = chunk.overhead();
            if groups.len() >= MAX_GROUPS || (size + overhead > full && !groups.is_empty()) {
                break;
            }
            let mut group = Group {
                log: chunk.log,
                end: false,
                entries: Vec::new(),
                statement: None,
            };
            let mut filled = false;
            while let Some(entry) = chunk.entries.front() {
                let bytes = cost(entry);
                let alone = groups.is_empty() && group.entries.is_empty();
                let limit = if alone { room } else { full };
                let fits = size + overhead + bytes <= limit || alone;
                if may_go && (!fits || count >= MAX_ENTRIES) {
                    filled = true;
                    break;
                }
                self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
                if let Some(entry) = chunk.entries.pop_front().filter(|_| may_go) {
                    size += bytes;
                    count += 1;
                    group.entries.push(entry);
                }
            }
            group.end = !filled && chunk.end;
            if !filled {
                group.statement = chunk.statement.take().filter(|_| may_go);
                self.chunks.pop_front();
                self.queued_bytes = self.queued_bytes.saturating_sub(overhead);
            }
            if group.end || !group.entries.is_empty() {
                size += overhead;
                groups.push(group);
            }
            if filled {
                break;
            }
        }
        groups
    }

    /// Remembers a frame as sent until it is acknowledged.
    pub(crate) fn sent(&mut self, groups: &[Group], bytes: usize) {
        let ends = groups.iter().filter(|group| group.end);
        self.unacked_bytes += bytes;
        self.unacked.push_back(Unacked {
            bytes,
            entries: groups.iter().map(|group| group.entries.len() as u64).sum(),
            ends: ends.map(|group| group.log).collect(),
        });
    }

    /// The peer has stored that many frames in all.
    pub(crate) fn acked(&mut self, frames: u64) -> Result<Acked, Violation> {
        let sent = self.acked_frames + self.unacked.len() as u64;
        if frames < self.acked_frames || frames > sent {
            return Err(Violation::Unexpected("an acknowledgement of nothing"));
        }
        let mut acked = Acked::default();
        while self.acked_frames < frames {
            self.acked_frames += 1;
            if let Some(frame) = self.unacked.pop_front() {
                self.unacked_bytes = self.unacked_bytes.saturating_sub(frame.bytes);
                acked.entries += frame.entries;
                acked.ends.extend(frame.ends);
            }
        }
        Ok(acked)
    }
}

fn cost(entry: &[u8]) -> usize {
    entry.len() + ENTRY_OVERHEAD
}

#[derive(Debug)]
struct Arrived {
    /// The commit that stores it; none once it is stored.
    task: Option<TaskId>,
    bytes: usize,
    ends: Vec<LogId>,
}

/// What came from the peer.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    frames: VecDeque<Arrived>,
    bytes: usize,
    stored: u64,
    acked: u64,
}

impl Inbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the peer had a right to send so much before its last frames were acknowledged.
    pub(crate) fn admits(&self, bytes: usize) -> Result<(), Violation> {
        let over = self.bytes + bytes > WINDOW_BYTES || self.frames.len() >= MAX_UNACKED_FRAMES;
        if over && !self.frames.is_empty() {
            return Err(Violation::TooMuch("entries before an acknowledgement"));
        }
        Ok(())
    }

    /// A frame came, to be stored by `task`; none if it carried no entry.
    pub(crate) fn arrived(&mut self, task: Option<TaskId>, bytes: usize, ends: Vec<LogId>) {
        self.bytes += bytes;
        self.frames.push_back(Arrived { task, bytes, ends });
    }

    /// Notes that a frame is stored.
    pub(crate) fn committed(&mut self, task: TaskId) {
        let mut frames = self.frames.iter_mut();
        if let Some(frame) = frames.find(|frame| frame.task == Some(task)) {
            frame.task = None;
        }
    }

    /// The logs whose last entries are stored now, all before them too.
    pub(crate) fn ended(&mut self) -> Vec<LogId> {
        let mut ends = Vec::new();
        while let Some(frame) = self.frames.pop_front_if(|frame| frame.task.is_none()) {
            self.bytes = self.bytes.saturating_sub(frame.bytes);
            self.stored += 1;
            ends.extend(frame.ends);
        }
        ends
    }

    /// How many frames are stored, if the peer has not been told.
    pub(crate) fn unsaid(&self) -> bool {
        self.stored > self.acked
    }

    /// Tells how many frames are stored.
    pub(crate) fn say(&mut self) -> u64 {
        self.acked = self.stored;
        self.stored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Message;

    fn log(n: u8) -> LogId {
        LogId::from_bytes([n; 32])
    }

    fn config(frame_bytes: usize, window_bytes: usize) -> Config {
        Config {
            frame_bytes,
            window_bytes,
            ..Config::default()
        }
    }

    #[test]
    fn small_logs_share_a_frame_and_large_ones_are_divided() {
        let config = config(1000, 100_000);
        let mut outbox = Outbox::default();
        for n in 0..3 {
            outbox.push(log(n), vec![vec![n; 100]; 2], true, None);
        }
        outbox.push(log(9), vec![vec![9; 300]; 5], true, None);
        let mut seen = Vec::new();
        while let Some(groups) = outbox.next(&config, false, |_| true) {
            let frame = Message::Entries {
                groups: groups.clone(),
            };
            let bytes = frame.encoded_len();
            assert!(bytes <= 1000, "{bytes}");
            outbox.sent(&groups, bytes);
            seen.push(
                groups
                    .iter()
                    .map(|g| (g.log, g.entries.len(), g.end))
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!(seen[0].len(), 3);
        assert_eq!(seen[1], [(log(9), 3, false)]);
        assert_eq!(seen.last().unwrap(), &[(log(9), 2, true)]);
        assert_eq!(outbox.queued_bytes, 0);
        let acked = outbox.acked(seen.len() as u64).unwrap();
        assert_eq!(acked.entries, 11);
        assert_eq!(acked.ends, [log(0), log(1), log(2), log(9)]);
        assert!(outbox.is_empty() && outbox.bytes() == 0);
    }

    #[test]
    fn nothing_beyond_the_window_is_sent_and_one_frame_always_is() {
        let config = config(1000, 1500);
        let mut outbox = Outbox::default();
        outbox.push(
            log(1),
            vec![vec![1; 5000], vec![2; 700], vec![3; 600]],
            true,
            None,
        );
        let first = outbox.next(&config, false, |_| true).unwrap();
        assert_eq!(first[0].entries.len(), 1);
        outbox.sent(&first, 5100);
        assert!(outbox.next(&config, false, |_| true).is_none());
        outbox.acked(1).unwrap();
        let second = outbox.next(&config, false, |_| true).unwrap();
        outbox.sent(&second, 760);
        let third = outbox.next(&config, false, |_| true).unwrap();
        assert!(third[0].end);
        assert!(outbox.acked(5).is_err());
        assert!(outbox.acked(0).is_err());
    }

    #[test]
    fn a_frame_waits_to_be_filled_while_the_store_loads() {
        let config = config(1000, 100_000);
        let mut outbox = Outbox::default();
        outbox.push(log(1), vec![vec![1; 100]], true, None);
        assert!(outbox.next(&config, true, |_| true).is_none());
        assert!(outbox.next(&config, false, |_| true).is_some());
    }

    #[test]
    fn entries_of_a_log_that_was_withdrawn_do_not_leave() {
        let config = config(1000, 100_000);
        let mut outbox = Outbox::default();
        outbox.push(log(1), vec![vec![1; 100]; 3], true, Some(vec![1; 9]));
        outbox.push(log(2), vec![vec![2; 100]], true, Some(vec![2; 9]));
        let groups = outbox
            .next(&config, false, |other| other != log(1))
            .unwrap();
        assert_eq!(groups[0].entries.len(), 0);
        assert!(groups[0].end && groups[0].statement.is_none());
        assert_eq!(groups[1].entries.len(), 1);
        assert_eq!(groups[1].statement, Some(vec![2; 9]));
        assert_eq!(outbox.queued_bytes, 0);
    }

    #[test]
    fn a_statement_goes_with_the_last_entries_and_not_if_it_is_too_long() {
        let config = config(1000, 100_000);
        let mut outbox = Outbox::default();
        outbox.push(log(1), vec![vec![1; 400]; 4], true, Some(vec![7; 500]));
        outbox.push(log(2), vec![], true, Some(vec![7; 513]));
        let mut said = Vec::new();
        while let Some(groups) = outbox.next(&config, false, |_| true) {
            let frame = Message::Entries {
                groups: groups.clone(),
            };
            let bytes = frame.encoded_len();
            assert!(bytes <= 1000, "{bytes}");
            outbox.sent(&groups, bytes);
            said.extend(groups.into_iter().map(|g| (g.log, g.end, g.statement)));
        }
        let statements = said.iter().filter(|(_, _, statement)| statement.is_some());
        assert_eq!(statements.count(), 1);
        assert!(said.contains(&(log(1), true, Some(vec![7; 500]))));
        assert_eq!(outbox.queued_bytes, 0);
    }

    #[test]
    fn frames_are_acknowledged_in_order_once_stored() {
        let mut inbox = Inbox::default();
        inbox.arrived(Some(TaskId(1)), 10, vec![]);
        inbox.arrived(Some(TaskId(2)), 10, vec![log(1)]);
        inbox.arrived(None, 10, vec![log(2)]);
        inbox.committed(TaskId(2));
        assert!(inbox.ended().is_empty() && !inbox.unsaid());
        inbox.committed(TaskId(1));
        assert_eq!(inbox.ended(), [log(1), log(2)]);
        assert!(inbox.unsaid());
        assert_eq!(inbox.say(), 3);
        assert!(inbox.is_empty() && !inbox.unsaid() && inbox.bytes() == 0);
    }

    #[test]
    fn a_peer_that_ignores_the_window_is_caught() {
        let mut inbox = Inbox::default();
        assert!(inbox.admits(WINDOW_BYTES + 1).is_ok());
        inbox.arrived(Some(TaskId(1)), WINDOW_BYTES - 10, vec![]);
        assert!(inbox.admits(10).is_ok());
        assert!(inbox.admits(11).is_err());
        for n in 2..=MAX_UNACKED_FRAMES as u64 {
            inbox.arrived(Some(TaskId(n)), 0, vec![]);
        }
        assert!(inbox.admits(1).is_err());
    }
}
