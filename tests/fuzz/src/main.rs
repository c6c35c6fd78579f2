//! The command line of the fuzzer: see the library's page.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use salus_fuzz::targets::{TARGETS, Target};
use salus_fuzz::{Campaign, Tally, hexfile, worker};

/// Hostile bytes for every decoder.
#[derive(Parser)]
struct Arguments {
    /// What to fuzz; see --list.
    #[arg(default_value = "all")]
    target: String,
    /// How many inputs for each target.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u64,
    /// Ends each target after this many seconds, too.
    #[arg(long)]
    seconds: Option<u64>,
    /// The same seed makes the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where findings are written to, and the input being tried.
    #[arg(long, default_value = "target/fuzz")]
    folder: PathBuf,
    /// Tries the input in this file instead.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Reads the file of --replay as raw bytes, for the target named.
    #[arg(long, requires = "replay")]
    raw: bool,
    /// Lists the targets.
    #[arg(long)]
    list: bool,
}

#[expect(clippy::print_stdout, reason = "a command line")]
fn main() -> ExitCode {
    if let Some(code) = worker::serve_if_worker() {
        return code;
    }
    let arguments = Arguments::parse();
    if arguments.list {
        for target in TARGETS {
            println!("{:12} {}", target.name, target.about);
        }
        return ExitCode::SUCCESS;
    }
    spare_the_machine();
    let result = match &arguments.replay {
        Some(path) => replay(&arguments, path),
        None => fuzz(&arguments),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// What this process may map: an input that asks for more ends it, and stays in its file.
#[cfg(unix)]
const MAX_MAPPED_BYTES: u64 = 4 << 30;

/// Sees to it that no input takes all of the machine's memory before anybody can look at it.
#[cfg(unix)]
fn spare_the_machine() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit {
        current: Some(MAX_MAPPED_BYTES),
        maximum: Some(MAX_MAPPED_BYTES),
    };
    if let Err(error) = setrlimit(Resource::As, limit) {
        eprintln!("warning: memory is not limited: {error}");
    }
}

#[cfg(not(unix))]
fn spare_the_machine() {}

/// The targets of this name, or all.
fn named(name: &str) -> Result<Vec<&'static Target>, String> {
    let found: Vec<_> = TARGETS
        .iter()
        .filter(|target| name == "all" || target.name == name)
        .collect();
    if found.is_empty() {
        return Err(format!("no target is named {name}; --list names them"));
    }
    Ok(found)
}

#[expect(clippy::print_stdout, reason = "a command line")]
fn replay(arguments: &Arguments, path: &PathBuf) -> Result<bool, String> {
    let explain = |error: std::io::Error| format!("{}: {error}", path.display());
    let (name, input) = if arguments.raw {
        let input = std::fs::read(path).map_err(explain)?;
        (arguments.target.clone(), input)
    } else {
        hexfile::read(path).map_err(explain)?
    };
    let campaign = Campaign::default();
    let mut fine = true;
    for target in named(&name)? {
        let outcome = campaign.replay(target, &input);
        fine &= outcome.is_ok();
        println!("{}, {} bytes: {outcome:?}", target.name, input.len());
    }
    Ok(fine)
}

fn fuzz(arguments: &Arguments) -> Result<bool, String> {
    let campaign = Campaign {
        inputs: arguments.inputs,
        time: arguments.seconds.map(Duration::from_secs),
        seed: arguments.seed,
        folder: Some(arguments.folder.clone()),
        ..Campaign::default()
    };
    let mut fine = true;
    for target in named(&arguments.target)? {
        let tally = campaign
            .run(target)
            .map_err(|error| format!("{}: {error}", arguments.folder.display()))?;
        fine &= tally.findings.is_empty();
        report(target, &tally);
    }
    Ok(fine)
}

#[expect(clippy::print_stdout, reason = "a command line")]
fn report(target: &Target, tally: &Tally) {
    println!(
        "{:12} {:>9} inputs, {:>7} accepted, {:>5} outcomes, {:>8.1} s, slowest {:>7.2} ms, largest {:>7} KiB, {} panics caught inside, {} findings",
        target.name,
        tally.inputs,
        tally.accepted,
        tally.features,
        tally.time.as_secs_f64(),
        tally.slowest.as_secs_f64() * 1e3,
        tally.largest >> 10,
        tally.caught,
        tally.findings.len(),
    );
    for finding in &tally.findings {
        println!(
            "  input {}, made {} bytes small: {:?}",
            finding.number,
            finding.input.len(),
            finding.kind
        );
        if let Some(file) = &finding.file {
            println!("  replay with --replay {}", file.display());
        }
    }
}
