//! What is still to happen in a simulated world, and its time.

use std::collections::BTreeMap;

/// Events in the order of their times, those of one time in the order in which they were put in. Taking one moves the time on.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// Milliseconds since the world began.
    pub now: u64,
    /// How many events were taken.
    pub steps: u64,
    put_in: u64,
    events: BTreeMap<(u64, u64), E>,
}

impl<E> Queue<E> {
    pub fn new() -> Self {
        Self {
            now: 0,
            steps: 0,
            put_in: 0,
            events: BTreeMap::new(),
        }
    }

    pub fn at(&mut self, time: u64, event: E) {
        self.put_in += 1;
        self.events.insert((time, self.put_in), event);
    }

    /// What happens next, and when.
    pub fn peek(&self) -> Option<(u64, &E)> {
        let ((time, _), event) = self.events.first_key_value()?;
        Some((*time, event))
    }

    /// The next event, if it is before `until`; else the time is `until`.
    pub fn pop_before(&mut self, until: u64) -> Option<E> {
        if self.peek().is_none_or(|(time, _)| time >= until) {
            self.now = self.now.max(until);
            return None;
        }
        let ((time, _), event) = self.events.pop_first()?;
        self.now = time;
        self.steps += 1;
        Some(event)
    }

    /// Nothing of what was to happen will.
    pub fn clear(&mut self) {
        self.events.clear();
    }
}
