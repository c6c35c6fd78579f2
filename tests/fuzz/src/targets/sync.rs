//! A peer's half of a conversation, told to an engine that answers it.

use salus_audit::{ChainId, ClinicId, LogId};
use salus_sync::{Config, Engine, Input, Output, Timestamp, check_frame};

use super::Target;
use super::ledger::Ledger;
use crate::mutate::{join, split};
use crate::rng::Rng;
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const SYNC: Target = Target {
    name: "sync",
    about: "frames of a peer, handled by Engine with a store behind it",
    form: Form::Frames,
    max_bytes: 64 * 1024,
    make: |rng| Box::new(Sync::new(rng)),
};

/// Outputs and frames after one input, beyond which an engine never comes to rest.
const MAX_STEPS: usize = 20_000;

/// Bit of the options: the peer has dialled.
const PEER_DIALLED: u8 = 1;
/// Bit of the options: time passes after each frame.
const SLOW: u8 = 2;

struct Sync {
    ids: [[u8; 32]; 6],
}

/// An engine with its store.
struct Side {
    me: ClinicId,
    peer: ClinicId,
    engine: Engine,
    ledger: Ledger,
    now: Timestamp,
    /// What happened, for telling inputs apart.
    last: String,
    ended: bool,
    in_step: bool,
}

impl Side {
    fn new(me: ClinicId, peer: ClinicId, ledger: Ledger, dials: bool) -> Self {
        let mut side = Self {
            me,
            peer,
            engine: Engine::new(me, Config::default(), [7; 32]),
            ledger,
            now: Timestamp::from_millis(0),
            last: String::new(),
            ended: false,
            in_step: false,
        };
        let input = Input::PeerConnected {
            peer,
            initiator: dials,
        };
        side.engine.handle(side.now, input);
        side
    }

    fn receive(&mut self, bytes: Vec<u8>) {
        let peer = self.peer;
        self.engine
            .handle(self.now, Input::Received { peer, bytes });
    }

    /// Lets it do all that it can, and gives the frames that it sends.
    fn settle(&mut self) -> Result<Vec<Vec<u8>>, Broken> {
        let mut frames = Vec::new();
        for _ in 0..MAX_STEPS {
            if let Some(output) = self.engine.poll_output() {
                self.note(&output);
                if let Some(input) = self.ledger.answer(output) {
                    self.engine.handle(self.now, input);
                }
            } else if let Some(frame) = self.engine.poll_transmit(self.peer, self.now) {
                frames.push(frame.into_bytes());
            } else {
                return Ok(frames);
            }
        }
        Err(format!("{:?} does not come to rest", self.me))
    }

    fn note(&mut self, output: &Output) {
        match output {
            Output::PeerMisbehaved { why, .. } => {
                self.ended = true;
                self.last = why.to_string();
            }
            Output::InStep { stats, .. } => {
                self.in_step = true;
                let counts = [
                    stats.received,
                    stats.refused,
                    stats.pending,
                    stats.unresolved,
                ];
                let counts = counts.map(|count| count > 0);
                self.last = format!("in step {counts:?}");
            }
            Output::Equivocation { .. } => self.last = "fork".into(),
            _ => {}
        }
    }
}

impl Sync {
    fn new(rng: &mut Rng) -> Self {
        Self {
            ids: std::array::from_fn(|_| rng.array32()),
        }
    }

    fn clinic(&self, at: usize) -> ClinicId {
        ClinicId::from_bytes(self.ids[at])
    }

    /// A node with three logs of which the first is its roster; the peer has one of them in part and one other.
    fn ledger(&self, of_peer: bool) -> Ledger {
        let mut ledger = Ledger::new(&[self.clinic(0), self.clinic(1)]);
        let log = |at: usize| LogId::from_bytes(self.ids[at]);
        let (mine, other) = (
            ChainId::from_bytes(self.ids[4]),
            ChainId::from_bytes(self.ids[5]),
        );
        ledger.write(log(2), true, mine, b"roster");
        ledger.write(log(3), false, mine, b"edit");
        if of_peer {
            ledger.write(log(3), false, other, b"their edit");
            ledger.write(log(3), false, other, b"and another");
            ledger.write(log(1), false, other, b"a record of theirs");
        } else {
            ledger.write(log(3), false, mine, b"our edit");
            ledger.write(log(0), false, mine, b"a record of ours");
            // Enough logs that ranges are split.
            for number in 0..100_u8 {
                ledger.write(LogId::from_bytes([number; 32]), false, mine, &[number]);
            }
        }
        ledger
    }

    fn side(&self, options: u8) -> Side {
        let dials = options & PEER_DIALLED == 0;
        Side::new(self.clinic(0), self.clinic(1), self.ledger(false), dials)
    }

    /// What an honest peer sends.
    fn transcript(&self, options: u8) -> Result<Vec<Vec<u8>>, Broken> {
        let mut here = self.side(options);
        let dials = options & PEER_DIALLED != 0;
        let mut there = Side::new(self.clinic(1), self.clinic(0), self.ledger(true), dials);
        let mut said = Vec::new();
        loop {
            let frames = there.settle()?;
            let answers = {
                for frame in &frames {
                    here.receive(frame.clone());
                }
                here.settle()?
            };
            if frames.is_empty() && answers.is_empty() {
                return Ok(said);
            }
            said.extend(frames);
            for answer in answers {
                there.receive(answer);
            }
        }
    }
}

impl Subject for Sync {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let options = [0, PEER_DIALLED, SLOW, PEER_DIALLED | SLOW];
        let seeds = options.iter().filter_map(|options| {
            let frames = self.transcript(*options).ok()?;
            Some(join(*options, &frames))
        });
        seeds.collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let (options, frames) = split(input);
        let mut side = self.side(options);
        side.settle()?;
        for frame in frames {
            // The same decoder, without a session around it.
            let _ = check_frame(frame);
            side.receive(frame.to_vec());
            side.settle()?;
            if options & SLOW != 0 {
                side.now = side.now.after(1_000);
                if side.engine.poll_timeout().is_some_and(|at| at <= side.now) {
                    side.engine.handle_timeout(side.now);
                    side.settle()?;
                }
            }
            if side.ended {
                break;
            }
            self.check_bounds(&side, input.len())?;
        }
        Ok(if side.in_step && !side.ended {
            Outcome::accepted(side.last)
        } else {
            Outcome::refused(side.last)
        })
    }
}

impl Sync {
    /// What one peer may make the engine remember grows with what it sent, and not beyond what is held here.
    fn check_bounds(&self, side: &Side, sent: usize) -> Result<(), Broken> {
        let Some(footprint) = side.engine.footprint(side.peer) else {
            return Ok(());
        };
        // An item takes at least 66 bytes on the wire; about 100 logs are held here.
        let most = sent / 66 + 200;
        let within = footprint.incoming_bytes <= sent
            && footprint.logs <= most
            && footprint.heights <= most
            && footprint.stuck <= most
            && side.engine.tasks() <= most;
        if within {
            Ok(())
        } else {
            Err("a peer makes the engine remember more than it sent".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_transcript_brings_both_into_step_again() {
        let sync = Sync::new(&mut Rng::new(1, "sync"));
        let seeds = sync.seeds();
        assert_eq!(seeds.len(), 4);
        for seed in seeds {
            assert!(split(&seed).1.len() >= 4);
            assert!(sync.run(&seed).unwrap().accepted);
        }
    }
}
