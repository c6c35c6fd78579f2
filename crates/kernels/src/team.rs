//! Threads that share the work on one image.
//!
//! A network is some thirty short phases; waking a sleeping thread for each would cost more than it gains. So a [`Team`]'s
//! helpers join a whole job: they spin from phase to phase while it lasts, a little longer in case the next one follows at
//! once, and then sleep.
//!
//! Nobody waits for a helper that has not come: the tasks of a phase are claimed one by one, first one's own share and
//! then what others have left, and a phase ends when its tasks are done, whoever did them.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread::{self, JoinHandle};

/// Spins of a helper without work before it sleeps: about 100 us where a spin is 140 cycles.
const IDLE_SPINS: u32 = 2_000;
/// Spins of a worker that waits for others before it offers its processor to them.
const PATIENT_SPINS: u32 = 20_000;

/// `Team::state`: how many helpers are inside the job, whether more may enter, and the job's number.
const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const JOB: u64 = 1 << 17;

type Job<'a> = &'a (dyn Fn(usize) + Sync);

struct Shared {
    state: AtomicU64,
    /// Written only while the state is closed and nobody is inside.
    job: UnsafeCell<Option<Job<'static>>>,
    asleep: Vec<AtomicBool>,
    failed: AtomicBool,
    quit: AtomicBool,
}

// SAFETY: `job` is the only part that is not `Sync` by itself. It is written by the one caller of `Team::run` (`&mut self`)
// while nobody is inside, published by the store that opens the state, and read only by those who have entered.
unsafe impl Sync for Shared {}
// SAFETY: a job is `Sync`, so that its reference may be used from any thread.
unsafe impl Send for Shared {}

/// Threads that work on one job at a time.
pub(crate) struct Team {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

impl Team {
    /// A team of `workers`, the caller of [`Team::run`] among them. Where threads cannot be had it is smaller.
    pub fn new(workers: usize) -> Self {
        let workers = workers.clamp(1, 256);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            asleep: (1..workers).map(|_| AtomicBool::new(false)).collect(),
            failed: AtomicBool::new(false),
            quit: AtomicBool::new(false),
        });
        let helpers = (1..workers)
            .map_while(|worker| {
                let shared = Arc::clone(&shared);
                thread::Builder::new()
                    .name(format!("kernels-{worker}"))
                    .spawn(move || help(&shared, worker))
                    .ok()
            })
            .collect();
        Team { shared, helpers }
    }

    /// How many work, the caller included.
    pub fn workers(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Calls `job` with worker 0 here and with the others' numbers on those helpers that come in time; returns when all
    /// calls have returned.
    ///
    /// # Panics
    ///
    /// Where the job panics.
    pub fn run(&mut self, job: Job<'_>) {
        if self.helpers.is_empty() {
            return job(0);
        }
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes. Those who use the reference are inside; none is inside when this function
        // returns or unwinds, and none can enter after it has closed the state.
        let job: Job<'static> = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        // SAFETY: nobody is inside (the last call waited for that), and `&mut self` excludes a second caller.
        unsafe { *shared.job.get() = Some(job) };
        shared.failed.store(false, Ordering::Relaxed);
        let number = shared.state.load(Ordering::Relaxed) / JOB + 1;
        shared
            .state
            .store(number.wrapping_mul(JOB) | OPEN, Ordering::Release);
        // Between the state above and the flags below, as in `help` between the flag and the state.
        fence(Ordering::SeqCst);
        for (asleep, helper) in shared.asleep.iter().zip(&self.helpers) {
            if asleep.swap(false, Ordering::SeqCst) {
                helper.thread().unpark();
            }
        }

        let outcome = catch_unwind(AssertUnwindSafe(|| job(0)));
        if outcome.is_err() {
            shared.failed.store(true, Ordering::Relaxed);
        }
        shared.state.fetch_and(!OPEN, Ordering::Relaxed);
        let mut patience = Patience::default();
        while shared.state.load(Ordering::Acquire) & INSIDE != 0 {
            patience.wait();
        }
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        assert!(
            !shared.failed.load(Ordering::Relaxed),
            "a helper of the team panicked"
        );
    }

    /// True once a worker of the running job has panicked: its tasks will never be done.
    pub fn failure(&self) -> Failure {
        Failure(Arc::clone(&self.shared))
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // A helper catches what its job throws, so there is nothing to report.
            let _ = helper.join();
        }
    }
}

/// Whether the team's job has failed.
#[derive(Clone)]
pub(crate) struct Failure(Arc<Shared>);

impl Failure {
    fn happened(&self) -> bool {
        self.0.failed.load(Ordering::Relaxed)
    }
}

fn help(shared: &Shared, worker: usize) {
    let asleep = &shared.asleep[worker - 1];
    let mut done = 0;
    let mut idle = 0;
    while !shared.quit.load(Ordering::SeqCst) {
        let state = shared.state.load(Ordering::SeqCst);
        if state & OPEN != 0 && state / JOB != done {
            let entered = shared.state.compare_exchange_weak(
                state,
                state + 1,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if entered.is_err() {
                continue;
            }
            // SAFETY: we are inside: the job was written before the state was opened and stays until we leave.
            if let Some(job) = unsafe { *shared.job.get() }
                && catch_unwind(AssertUnwindSafe(|| job(worker))).is_err()
            {
                shared.failed.store(true, Ordering::Relaxed);
            }
            done = state / JOB;
            idle = 0;
            shared.state.fetch_sub(1, Ordering::Release);
        } else if idle < IDLE_SPINS {
            idle += 1;
            std::hint::spin_loop();
        } else {
            asleep.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let state = shared.state.load(Ordering::SeqCst);
            let work = state & OPEN != 0 && state / JOB != done;
            if !work && !shared.quit.load(Ordering::SeqCst) {
                thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}

/// Spins at first, then lets others run.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    fn wait(&mut self) {
        if self.0 < PATIENT_SPINS {
            self.0 += 1;
            std::hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// A counter on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Counter(AtomicUsize);

struct Phase {
    /// Tasks claimed of each worker's share.
    claimed: Vec<Counter>,
    done: Counter,
}

/// The phases of one job: no task of a phase begins before all tasks of the phase before are done.
pub(crate) struct Phases {
    phases: Vec<Phase>,
    workers: usize,
    failure: Failure,
}

impl Phases {
    pub fn new(phases: usize, team: &Team) -> Self {
        let workers = team.workers();
        let phases = (0..phases)
            .map(|_| Phase {
                claimed: (0..workers).map(|_| Counter::default()).collect(),
                done: Counter::default(),
            })
            .collect();
        Phases {
            phases,
            workers,
            failure: team.failure(),
        }
    }

    /// Ready for another job.
    pub fn reset(&mut self) {
        for phase in &mut self.phases {
            *phase.done.0.get_mut() = 0;
            for counter in &mut phase.claimed {
                *counter.0.get_mut() = 0;
            }
        }
    }

    /// The part of `worker` in phase `index` of `tasks` tasks; every worker names the same number. Returns when all
    /// tasks are done, and what they wrote can then be read.
    ///
    /// # Panics
    ///
    /// Where another worker has panicked.
    pub fn each(&self, index: usize, worker: usize, tasks: usize, mut task: impl FnMut(usize)) {
        let phase = &self.phases[index];
        let mut mine = 0;
        for turn in 0..self.workers {
            let owner = (worker + turn) % self.workers;
            let (start, end) = (
                tasks * owner / self.workers,
                tasks * (owner + 1) / self.workers,
            );
            loop {
                let next = start + phase.claimed[owner].0.fetch_add(1, Ordering::Relaxed);
                if next >= end {
                    break;
                }
                task(next);
                mine += 1;
            }
        }
        phase.done.0.fetch_add(mine, Ordering::Release);
        let mut patience = Patience::default();
        while phase.done.0.load(Ordering::Acquire) < tasks {
            assert!(!self.failure.happened(), "another worker panicked");
            patience.wait();
        }
    }
}
