//! A whole story made of one seed.

use std::collections::{BTreeMap, VecDeque};

use super::act::Act;
use super::heal::Ending;
use super::ledger::Found;
use super::{Event, World};
use crate::limits::Config;

/// What a story came to.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub transcript: [u8; 32],
    pub steps: u64,
    pub found: Found,
    pub acts: BTreeMap<&'static str, u64>,
}

/// When the storm is over.
const STORM_MS: u64 = 1_500;

pub(super) fn story(seed: u64) -> Told {
    let config = Config {
        hello_ms: 2_000,
        stall_ms: 4_000,
        defer_ms: 200,
        frame_bytes: 1_500,
        window_bytes: 6_000,
        open_logs: 4,
    };
    // Three to seven clinics, few of them more often.
    let clinics = [3, 3, 3, 4, 4, 5, 6, 7][usize::try_from(seed % 8).unwrap()];
    let mut world = World::new(seed, clinics, config);
    if world.chance(75) {
        begin_to_lie(&mut world);
    }
    for act in acts(&mut world) {
        let time = world.below(STORM_MS);
        world.at(time, Event::Act(act));
    }
    world.run(STORM_MS);
    let ending = [Ending::Gone, Ending::Tamed, Ending::Lying][world.pick(3)];
    world.heal(ending);
    world.check_converged();
    // Edits when all are at rest: they arrive without any further round.
    let honest = world.honest();
    for _ in 0..3 {
        let node = honest[world.pick(honest.len())];
        let changed = world.write(node);
        world.tell_soon(node, changed);
    }
    world.run_to_rest();
    world.check_converged();
    world.ask_for_a_sync();
    world.check_converged();
    world.check_in_step();
    if seed.is_multiple_of(4) {
        world.check_order();
    }
    told(&world)
}

/// One of the clinics lies: it has one node or several, which show different people different things.
fn begin_to_lie(world: &mut World) {
    let liar = world.pick(world.clinics);
    world.liar = Some(liar);
    world.lying = true;
    world.nodes[liar].ledger.lies = true;
    world.nodes[liar].ledger.deaf = world.chance(50);
    for _ in 0..world.pick(3) {
        let time = world.below(STORM_MS);
        world.at(time, Event::Act(Act::Twin { node: liar }));
    }
}

fn acts(world: &mut World) -> VecDeque<Act> {
    let nodes = world.nodes.len();
    let mut acts = VecDeque::new();
    for _ in 0..20 + world.below(30) {
        let node = world.pick(nodes);
        acts.push_back(Act::Write { node });
    }
    for _ in 0..8 + 3 * nodes {
        let (a, b) = (world.pick(nodes), world.pick(nodes));
        acts.push_back(match world.below(16) {
            0 => Act::Crash { node: a },
            1..4 => Act::Cut { a, b },
            4 => Act::Request { a, b },
            5 => Act::BackUp { node: a },
            6 => Act::Restore { node: a },
            n => Act::Connect {
                a,
                b,
                garbles: n == 7,
            },
        });
    }
    acts
}

fn told(world: &World) -> Told {
    let mut told = Told {
        transcript: *world.transcript.finalize().as_bytes(),
        steps: world.queue.steps,
        acts: world.seen.acts.clone(),
        ..Told::default()
    };
    let mut voids = 0;
    for node in world.honest() {
        let found = world.nodes[node].ledger.found;
        told.found.entries += found.entries;
        told.found.forked += found.forked;
        told.found.evidence += found.evidence;
        told.found.refused += found.refused;
        told.found.pending += found.pending;
        told.found.statements += found.statements;
        let logs = world.nodes[node].ledger.logs.values();
        voids += logs.map(|state| state.voids().count() as u64).sum::<u64>();
    }
    told.acts.insert("void", voids);
    told
}
