//! A short run of every target, and every input that once broke something.

use std::path::Path;
use std::time::Duration;

use salus_fuzz::targets::{self, TARGETS};
use salus_fuzz::{Campaign, Rng, hexfile, worker};

/// How long a worker may take, on such a machine.
const WORKER_TIME: Duration = Duration::from_secs(10);

/// Has the fuzzer's own program serve as worker: this one does not.
fn with_worker() {
    worker::serve_by(env!("CARGO_BIN_EXE_salus-fuzz").into(), WORKER_TIME);
}

/// What is asked of any input, on a machine that does something else, too, and without optimisation.
fn campaign(inputs: u64) -> Campaign {
    Campaign {
        inputs,
        max_time: Duration::from_secs(20),
        ..Campaign::default()
    }
}

#[test]
fn two_thousand_inputs_break_no_decoder() {
    with_worker();
    for target in TARGETS {
        // Applying changes takes a millisecond each.
        let inputs = if target.name == "apply" { 200 } else { 2_000 };
        let tally = campaign(inputs).run(target).unwrap();
        assert_eq!(tally.inputs, inputs);
        assert!(
            tally.findings.is_empty(),
            "{}: {:#?}",
            target.name,
            tally.findings
        );
        // Else it only ever sees rubbish.
        assert!(tally.features >= 3, "{}: {tally:?}", target.name);
    }
}

#[test]
fn every_seed_is_accepted() {
    with_worker();
    for target in TARGETS {
        let subject = (target.make)(&mut Rng::new(1, target.name));
        let seeds = subject.seeds();
        assert!(!seeds.is_empty());
        for seed in seeds {
            let outcome = subject.run(&seed).unwrap();
            assert!(outcome.accepted, "{}: {outcome:?}", target.name);
            assert!(seed.len() <= target.max_bytes, "{}", target.name);
        }
    }
}

#[test]
fn what_once_broke_something_no_longer_does() {
    with_worker();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        files += 1;
        let (name, input) = hexfile::read(&path).unwrap();
        let target = targets::find(&name).unwrap();
        let outcome = campaign(0).replay(target, &input);
        assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
    }
    assert!(files > 0);
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let target = targets::find("header").unwrap();
    let run = |seed| {
        let campaign = Campaign {
            seed,
            ..campaign(500)
        };
        let tally = campaign.run(target).unwrap();
        (tally.accepted, tally.features)
    };
    assert_eq!(run(3), run(3));
}
