//! The team: every task once, phases in order, no lost wake-up, panics come back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::team::{Phases, Team};

#[test]
fn every_task_runs_once_and_no_phase_begins_early() {
    for workers in [1, 2, 3, 5] {
        let mut team = Team::new(workers);
        let mut phases = Phases::new(20, &team);
        for job in 0..200 {
            let counts: Vec<AtomicUsize> = (0..20).map(|_| AtomicUsize::new(0)).collect();
            let tasks = |phase: usize| (phase * 7 + job) % 11;
            phases.reset();
            team.run(&|worker| {
                for phase in 0..20 {
                    phases.each(phase, worker, tasks(phase), |task| {
                        assert!(task < tasks(phase));
                        if phase > 0 {
                            assert_eq!(counts[phase - 1].load(Ordering::Relaxed), tasks(phase - 1));
                        }
                        counts[phase].fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            for (phase, count) in counts.iter().enumerate() {
                assert_eq!(count.load(Ordering::Relaxed), tasks(phase));
            }
        }
    }
}

#[test]
fn what_one_phase_wrote_the_next_one_reads() {
    let mut team = Team::new(3);
    let mut phases = Phases::new(2, &team);
    for job in 1..500 {
        let cells: Vec<AtomicUsize> = (0..64).map(|_| AtomicUsize::new(0)).collect();
        phases.reset();
        team.run(&|worker| {
            phases.each(0, worker, 64, |task| {
                cells[task].store(job, Ordering::Relaxed)
            });
            phases.each(1, worker, 64, |task| {
                assert_eq!(cells[63 - task].load(Ordering::Relaxed), job);
            });
        });
    }
}

#[test]
fn helpers_that_sleep_are_woken_for_the_next_job() {
    let mut team = Team::new(2);
    let arrived = AtomicUsize::new(0);
    for _ in 0..5 {
        // Long enough for the helper to fall asleep, or to be about to.
        thread::sleep(Duration::from_millis(2));
        let here = AtomicUsize::new(0);
        team.run(&|worker| {
            here.fetch_add(1, Ordering::SeqCst);
            if worker == 0 {
                while here.load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
            } else {
                arrived.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    assert_eq!(arrived.load(Ordering::SeqCst), 5);
}

#[test]
fn a_panic_of_any_worker_ends_the_job_and_the_team_works_on() {
    let mut team = Team::new(2);
    let mut phases = Phases::new(2, &team);
    for culprit in 0..16 {
        phases.reset();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team.run(&|worker| {
                phases.each(0, worker, 16, |task| assert!(task != culprit, "on purpose"));
                phases.each(1, worker, 16, |_| {});
            });
        }));
        assert!(outcome.is_err());
        phases.reset();
        let count = AtomicUsize::new(0);
        team.run(&|worker| {
            phases.each(0, worker, 9, |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        });
        assert_eq!(count.load(Ordering::Relaxed), 9);
    }
}
