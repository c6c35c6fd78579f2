//! Saved documents: a worker loads them first, and they are only a cache.

use std::sync::atomic::AtomicUsize;

use salus_record::{load_job, trial_job};
use salus_sandbox::{Config, Job, Sandbox};

use super::*;
use crate::hostile::{RECORD_LOAD, RECORD_TRIAL};

/// How many documents were loaded in trial.
static LOADS: AtomicUsize = AtomicUsize::new(0);

fn counted(request: &[u8]) -> Vec<u8> {
    LOADS.fetch_add(1, Ordering::Relaxed);
    load_job(request)
}

fn dies(_: &[u8]) -> Vec<u8> {
    panic!("as a worker that takes too much");
}

/// Jobs of a sandbox whose loads end as this function does.
const fn jobs(load: fn(&[u8]) -> Vec<u8>) -> [Job; 2] {
    let trial = Job {
        name: RECORD_TRIAL,
        run: trial_job,
    };
    let load = Job {
        name: RECORD_LOAD,
        run: load,
    };
    [trial, load]
}

static COUNTED: [Job; 2] = jobs(counted);
static DEADLY: [Job; 2] = jobs(dies);

fn without_workers() -> Arc<Sandbox> {
    Arc::new(Sandbox::new(Config {
        program: "/nowhere/at/all".into(),
        ..Config::default()
    }))
}

/// Two clinics with one record that both wrote, saved at the second and open at neither.
fn saved() -> (tempfile::TempDir, Clinic, Clinic, LogId) {
    let (dir, a, b) = two();
    let log = a.new_patient("Okafor");
    share(&a, &b, log, Right::Write);
    b.with(|core, who| core.note(who, log, "From Beta."))
        .unwrap();
    for n in 0..40 {
        a.with(|core, who| core.set(who, log, "phone", &n.to_string()))
            .unwrap();
    }
    a.carry_to(&b);
    b.carry_to(&a);
    let (a, b) = (a.reopen(), b.reopen());
    for clinic in [&a, &b] {
        clinic.with(|core, _| {
            let key = core.opened().unwrap().index_key.clone();
            assert!(core.store().snapshot(log, &key).unwrap().is_some());
        });
    }
    (dir, a, b, log)
}

#[test]
fn a_saved_document_that_a_worker_died_of_is_made_again_from_its_entries() {
    let (_dir, _, b, log) = saved();
    let truth = b.with(|core, _| core.show(log)).unwrap();
    let b = b.reopen();
    b.with(|core, who| {
        core.sandbox = Arc::new(Sandbox::without_isolation(&DEADLY));
        let shown = core.show(log).unwrap();
        assert_eq!(shown.content, truth.content);
        assert_eq!(shown.held_out, truth.held_out);
        assert_eq!(shown.conflicts, truth.conflicts);
        // What replaces it comes with the next edit.
        let key = core.opened().unwrap().index_key.clone();
        let before = core.store().snapshot(log, &key).unwrap();
        core.note(who, log, "More.").unwrap();
        assert_ne!(core.store().snapshot(log, &key).unwrap(), before);
    });
}

#[test]
fn without_workers_nothing_is_loaded_and_nothing_is_lost() {
    let (_dir, _, b, log) = saved();
    let truth = b.with(|core, _| core.show(log)).unwrap();
    let b = b.reopen();
    b.with(|core, who| {
        let workers = std::mem::replace(&mut core.sandbox, without_workers());
        // Half of it is of another clinic, and nobody is there to try that.
        let refused = core.show(log).unwrap_err();
        assert!(refused.message.contains("in isolation"), "{refused:?}");
        assert!(core.note(who, log, "More.").is_err());
        core.sandbox = workers;
        assert_eq!(core.show(log).unwrap().content, truth.content);
    });
    // What is all its own is there even so.
    let own = b.new_patient("Berg");
    b.with(|core, who| core.note(who, own, "One.")).unwrap();
    let b = b.reopen();
    b.with(|core, who| {
        core.sandbox = without_workers();
        core.note(who, own, "Two.").unwrap();
        let notes = core.show(own).unwrap().content.notes;
        assert_eq!(notes.len(), 2);
    });
}

#[test]
fn a_saved_document_is_tried_once_as_long_as_the_node_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let a = Clinic::found(dir.path(), "Alpha");
    let log = a.new_patient("Okafor");
    let a = a.reopen();
    a.with(|core, _| {
        core.sandbox = Arc::new(Sandbox::without_isolation(&COUNTED));
        for _ in 0..3 {
            core.show(log).unwrap();
            // As a full cache does.
            core.opened().unwrap().forget(&log);
        }
        assert_eq!(LOADS.load(Ordering::Relaxed), 1);
    });
    let a = a.reopen();
    a.with(|core, _| {
        core.sandbox = Arc::new(Sandbox::without_isolation(&COUNTED));
        core.show(log).unwrap();
        assert_eq!(LOADS.load(Ordering::Relaxed), 2);
    });
}
