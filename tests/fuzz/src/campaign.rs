//! Trying inputs on one subject, many times.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::hexfile;
use crate::minimise::minimise;
use crate::mutate::mutate;
use crate::rng::Rng;
use crate::subject::{Outcome, Subject};
use crate::targets::Target;
use crate::watch::Watch;

/// Inputs kept beside the seeds, at most. Beyond it a new one takes the place of any.
const MAX_POOL: usize = 1_024;

/// A campaign that found so much stops: something is broken at the root.
const MAX_FINDINGS: usize = 20;

/// How much of what, and what is too much.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// How many inputs, seeds not counted.
    pub inputs: u64,
    /// It ends after this, too.
    pub time: Option<Duration>,
    /// The same seed makes the same inputs.
    pub seed: u64,
    /// An input may take so long.
    pub max_time: Duration,
    /// An input may allocate so much at its peak, in bytes: a decoder's bound for a gigabyte claimed.
    pub max_memory: usize,
    /// Where findings are written to, and the input being tried.
    pub folder: Option<PathBuf>,
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            inputs: 1_000_000,
            time: None,
            seed: 1,
            max_time: Duration::from_secs(1),
            max_memory: 64 << 20,
            folder: None,
        }
    }
}

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It panics: where, and what it says. Inputs here are made up, so it can be shown.
    Panic(String, String),
    /// A promise of the subject does not hold.
    Broken(String),
    /// It takes too long, in milliseconds.
    Slow(u128),
    /// It allocates too much, in bytes.
    Memory(usize),
}

impl Kind {
    /// Whether it is the same fault, whatever the figures.
    pub fn is_like(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::Panic(a, _), Kind::Panic(b, _)) | (Kind::Broken(a), Kind::Broken(b)) => a == b,
            (Kind::Slow(_), Kind::Slow(_)) | (Kind::Memory(_), Kind::Memory(_)) => true,
            _ => false,
        }
    }
}

/// An input that should not do what it does.
#[derive(Clone)]
pub struct Finding {
    /// What is wrong with it.
    pub kind: Kind,
    /// The smallest input found that does the same.
    pub input: Vec<u8>,
    /// The number of the input that it was found with; 0 for a seed or a file.
    pub number: u64,
    /// Where it was written to.
    pub file: Option<PathBuf>,
}

/// With the input in hexadecimal digits, as [`hexfile`] writes it.
impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input {}: {:?}: ", self.number, self.kind)?;
        self.input
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a campaign did.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Inputs tried.
    pub inputs: u64,
    /// How many of them were accepted.
    pub accepted: u64,
    /// Outcomes that differ.
    pub features: usize,
    /// The longest that one took.
    pub slowest: Duration,
    /// The most that one allocated at its peak, in bytes.
    pub largest: usize,
    /// Panics that the subject caught itself.
    pub caught: u64,
    /// How long it took.
    pub time: Duration,
    /// What was found.
    pub findings: Vec<Finding>,
}

thread_local! {
    /// Where the last panic of this thread was, and what it said.
    static LAST_PANIC: RefCell<(String, String)> = RefCell::default();
}
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Makes panics silent and remembers them: subjects catch thousands of their own.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            let place = panic.location().map(ToString::to_string);
            let said = panic.payload_as_str().unwrap_or_default().to_owned();
            let known = LAST_PANIC.try_with(|last| {
                let listening = !last.borrow().0.is_empty();
                *last.borrow_mut() = (place.unwrap_or_default(), said);
                listening
            });
            // Not while an input is tried: somebody wants to read it.
            if known != Ok(true) {
                before(panic);
            }
        }));
    });
}

/// What one input cost and came to.
struct Trial {
    result: Result<Outcome, Kind>,
    time: Duration,
    memory: usize,
}

impl Campaign {
    /// Tries the target's seeds and then so many inputs made of them.
    ///
    /// # Errors
    /// If the folder cannot be written to.
    pub fn run(&self, target: &Target) -> std::io::Result<Tally> {
        listen();
        let subject = (target.make)(&mut Rng::new(self.seed, target.name));
        let mut rng = Rng::new(self.seed.rotate_left(32), target.name);
        let seeds = subject.seeds();
        let mut run = Run {
            campaign: self,
            target,
            subject: subject.as_ref(),
            watch: Watch::begin(self.folder.as_deref(), target.name)?,
            tally: Tally::default(),
            seen: HashSet::new(),
        };
        let begun = Instant::now();
        let caught_before = PANICS.load(Ordering::Relaxed);
        for seed in &seeds {
            run.take(seed, 0)?;
        }
        let mut pool = seeds.clone();
        for number in 1..=self.inputs {
            let late = self.time.is_some_and(|time| begun.elapsed() >= time);
            if late || run.tally.findings.len() >= MAX_FINDINGS {
                break;
            }
            let mut input = rng.pick(&pool).cloned().unwrap_or_default();
            let other = rng.pick(&pool).cloned().unwrap_or_default();
            mutate(target.form, &mut input, &other, &mut rng, target.max_bytes);
            if !rng.one_in(4) {
                subject.repair(&mut input);
            }
            run.tally.inputs = number;
            if run.take(&input, number)? {
                if pool.len() < seeds.len() + MAX_POOL {
                    pool.push(input);
                } else if let Some(old) = pool.get_mut(seeds.len() + rng.below(MAX_POOL)) {
                    *old = input;
                }
            }
        }
        let Run {
            mut tally, seen, ..
        } = run;
        tally.features = seen.len();
        tally.time = begun.elapsed();
        // Those that ended an input are among the findings, and minimising repeats them.
        if tally.findings.is_empty() {
            tally.caught = PANICS.load(Ordering::Relaxed) - caught_before;
        }
        Ok(tally)
    }

    /// Tries one input and says what is wrong with it, if anything is.
    pub fn replay(&self, target: &Target, input: &[u8]) -> Result<Outcome, Kind> {
        listen();
        let subject = (target.make)(&mut Rng::new(self.seed, target.name));
        self.judge(subject.as_ref(), input).result
    }

    fn judge(&self, subject: &dyn Subject, input: &[u8]) -> Trial {
        let mut trial = self.once(subject, input);
        if trial.time > self.max_time {
            // The machine may have been busy with something else: the quicker of three counts.
            for _ in 0..2 {
                trial.time = trial.time.min(self.once(subject, input).time);
            }
        }
        if trial.result.is_ok() && trial.time > self.max_time {
            trial.result = Err(Kind::Slow(trial.time.as_millis()));
        }
        if trial.result.is_ok() && trial.memory > self.max_memory {
            trial.result = Err(Kind::Memory(trial.memory));
        }
        trial
    }

    fn once(&self, subject: &dyn Subject, input: &[u8]) -> Trial {
        LAST_PANIC.with(|last| last.borrow_mut().0 = "listening".into());
        crate::MEMORY.reset_peak_usage();
        let before = crate::MEMORY.current_usage();
        let begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| subject.run(input)));
        let time = begun.elapsed();
        let memory = crate::MEMORY.peak_usage().saturating_sub(before);
        let (place, said) = LAST_PANIC.with(RefCell::take);
        let result = match result {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(broken)) => Err(Kind::Broken(broken)),
            Err(_) => Err(Kind::Panic(place, said)),
        };
        Trial {
            result,
            time,
            memory,
        }
    }
}

/// A campaign at work.
struct Run<'c> {
    campaign: &'c Campaign,
    target: &'c Target,
    subject: &'c dyn Subject,
    watch: Watch,
    tally: Tally,
    seen: HashSet<u64>,
}

impl Run<'_> {
    /// Tries an input; true if it brought something new.
    fn take(&mut self, input: &[u8], number: u64) -> std::io::Result<bool> {
        self.watch.next(input)?;
        let trial = self.campaign.judge(self.subject, input);
        self.tally.slowest = self.tally.slowest.max(trial.time);
        self.tally.largest = self.tally.largest.max(trial.memory);
        match trial.result {
            Ok(outcome) => {
                self.tally.accepted += u64::from(outcome.accepted && number > 0);
                Ok(self.seen.insert(outcome.feature))
            }
            Err(kind) => {
                self.found(kind, input, number)?;
                Ok(false)
            }
        }
    }

    fn found(&mut self, kind: Kind, input: &[u8], number: u64) -> std::io::Result<()> {
        let findings = &mut self.tally.findings;
        if findings.iter().any(|known| known.kind.is_like(&kind)) {
            return Ok(());
        }
        let input = minimise(input, |smaller| {
            let again = self.campaign.judge(self.subject, smaller).result;
            again.is_err_and(|again| again.is_like(&kind))
        });
        let file = match &self.campaign.folder {
            Some(folder) => {
                let name = self.target.name;
                let about = format!(
                    "{kind:?}\nfound by input {number} of seed {}",
                    self.campaign.seed
                );
                let hash = blake3::hash(&input).to_hex();
                let hash = hash.get(..12).unwrap_or_default();
                let path = folder.join(format!("{name}-{hash}.hex"));
                hexfile::write(&path, name, &about, &input)?;
                Some(path)
            }
            None => None,
        };
        findings.push(Finding {
            kind,
            input,
            number,
            file,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::{Broken, Form};

    /// Breaks on a 7 after a 3, takes its time on a leading 9, allocates on an 11, and else counts.
    struct Touchy;

    impl Subject for Touchy {
        fn seeds(&self) -> Vec<Vec<u8>> {
            vec![vec![1, 2, 3, 4, 5, 6, 8]]
        }

        fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
            for pair in input.windows(2) {
                assert!(pair != [3, 7], "three and seven");
            }
            if input.first() == Some(&9) {
                std::thread::sleep(Duration::from_millis(40));
            }
            if input.contains(&11) {
                drop(vec![1_u8; 3 << 20]);
            }
            if input.contains(&13) {
                return Err("thirteen".into());
            }
            Ok(Outcome::accepted("counted"))
        }
    }

    #[test]
    fn faults_of_every_kind_are_found_made_small_and_told_apart() {
        let target = Target {
            name: "touchy",
            about: "",
            form: Form::Bytes,
            max_bytes: 64,
            make: |_| Box::new(Touchy),
        };
        let campaign = Campaign {
            inputs: 8_000,
            max_time: Duration::from_millis(30),
            max_memory: 1 << 20,
            ..Campaign::default()
        };
        let tally = campaign.run(&target).unwrap();
        let found = |wanted: fn(&Kind) -> bool| {
            let finding = tally.findings.iter().find(|f| wanted(&f.kind));
            finding.map(|f| f.input.clone())
        };
        assert_eq!(found(|k| matches!(k, Kind::Panic(..))), Some(vec![3, 7]));
        assert_eq!(found(|k| matches!(k, Kind::Slow(_))), Some(vec![9]));
        assert_eq!(found(|k| matches!(k, Kind::Memory(_))), Some(vec![11]));
        assert_eq!(found(|k| matches!(k, Kind::Broken(_))), Some(vec![13]));
        assert_eq!(tally.findings.len(), 4);
        assert!(campaign.replay(&target, &[1, 3, 7]).is_err());
        assert!(campaign.replay(&target, &[1]).is_ok());
    }
}
