//! When to dial whom: at once for somebody who waits, by and by for a daemon that keeps in touch.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Timing;

/// A small generator (SplitMix64): spreads the dials of nodes that lost each other at the same moment.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self(seed.iter().fold(7, |value, byte| {
            value.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte)
        }))
    }

    /// Between half of it and one and a half.
    fn around(&mut self, millis: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Duration::from_millis(millis / 2 + z % millis.max(1))
    }
}

/// The dials to one peer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dials {
    /// The attempt under way.
    pub attempt: Option<u64>,
    failures: u32,
    due: Option<Instant>,
}

impl Dials {
    /// When the next dial is due, for a peer that no connection stands with and no dial is under way to. The node with
    /// the lower endpoint id dials; the other leaves it to it for a while, in case it cannot.
    pub(crate) fn due(
        &mut self,
        waited_for: bool,
        kept: bool,
        lower: bool,
        timing: &Timing,
        now: Instant,
    ) -> Option<Instant> {
        if self.attempt.is_some() || !(waited_for || kept) {
            return None;
        }
        if self.due.is_none() {
            let grace = if waited_for || lower {
                0
            } else {
                timing.grace_ms
            };
            self.due = Some(now + Duration::from_millis(grace));
        }
        self.due
    }

    /// Somebody waits: whatever was planned, it is due now.
    pub(crate) fn hurry(&mut self) {
        self.due = None;
    }

    pub(crate) fn failed(&mut self, timing: &Timing, jitter: &mut Jitter, now: Instant) {
        self.attempt = None;
        let doubled = timing.retry_ms.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + jitter.around(doubled.min(timing.retry_max_ms)));
    }

    pub(crate) fn connected(&mut self) {
        self.attempt = None;
        self.due = None;
    }

    /// Only now it went right: somebody who accepts and then refuses is not dialled every second.
    pub(crate) fn in_step(&mut self) {
        self.failures = 0;
    }

    /// The connection was lost: not again in the same instant, as the other may dial too.
    pub(crate) fn lost(&mut self, lower: bool, timing: &Timing, jitter: &mut Jitter, now: Instant) {
        let grace = if lower { 0 } else { timing.grace_ms };
        let pause = jitter.around(timing.retry_ms) + Duration::from_millis(grace);
        self.due = Some(now + pause);
    }
}

/// What a peer's breaches of the protocol lead to: for a while it is neither let in nor dialled, each time longer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shuns {
    offences: u32,
    until: Option<Instant>,
}

impl Shuns {
    /// It broke the protocol.
    pub(crate) fn misbehaved(&mut self, timing: &Timing, now: Instant) {
        let doubled = timing.shun_ms.saturating_mul(1 << self.offences.min(16));
        let pause = Duration::from_millis(doubled.min(timing.shun_max_ms));
        self.offences = self.offences.saturating_add(1);
        self.until = Some(now + pause);
    }

    /// Until when it is shunned, if it is.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// A session ended in order after both were in step.
    pub(crate) fn went_well(&mut self) {
        *self = Self::default();
    }

    /// Both are in step: in a session that lasts, what was long ago is forgotten. Whoever keeps in step for a moment and
    /// breaks the protocol then gains nothing.
    pub(crate) fn in_step(&mut self, timing: &Timing, now: Instant) {
        let forgotten = Duration::from_millis(timing.shun_max_ms);
        if self.until.is_some_and(|until| until + forgotten <= now) {
            self.went_well();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_lower_one_dials_and_the_higher_one_only_if_nobody_does() {
        let timing = Timing::default();
        let now = Instant::now();
        let due = |waited, kept, lower| {
            let due = Dials::default().due(waited, kept, lower, &timing, now);
            due.map(|due| (due - now).as_millis())
        };
        assert_eq!(due(false, false, true), None);
        assert_eq!(due(false, true, true), Some(0));
        assert_eq!(due(false, true, false), Some(u128::from(timing.grace_ms)));
        assert_eq!(due(true, false, false), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn dials_that_fail_become_rarer_up_to_a_limit() {
        let timing = Timing::default();
        let now = Instant::now();
        let mut jitter = Jitter::new(&[3; 32]);
        let mut dials = Dials::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            dials.failed(&timing, &mut jitter, now);
            let due = dials.due(false, true, true, &timing, now).unwrap();
            pauses.push((due - now).as_millis());
        }
        assert!((500..1_500).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses[39] >= 30_000 && pauses[39] < 90_000);
        assert_ne!(pauses[38], pauses[39]);
        dials.hurry();
        assert_eq!(dials.due(true, true, false, &timing, now), Some(now));
        dials.connected();
        dials.lost(true, &timing, &mut jitter, now);
        assert!(dials.due(false, true, true, &timing, now).unwrap() > now);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_breaks_the_protocol_is_shunned_twice_as_long_each_time() {
        let timing = Timing::default();
        let now = Instant::now();
        let mut shuns = Shuns::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            shuns.misbehaved(&timing, now);
            // A moment in step in between does not help.
            shuns.in_step(&timing, now + Duration::from_secs(30));
            pauses.push((shuns.until(now).unwrap() - now).as_secs());
        }
        assert_eq!(pauses[..4], [1, 2, 4, 8]);
        assert_eq!(pauses[10..], [600, 600]);
        assert!(shuns.until(now + Duration::from_secs(600)).is_none());
        shuns.in_step(&timing, now + Duration::from_secs(1_200));
        shuns.misbehaved(&timing, now);
        assert_eq!((shuns.until(now).unwrap() - now).as_secs(), 1);
        shuns.went_well();
        assert!(shuns.until(now).is_none());
    }
}
