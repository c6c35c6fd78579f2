//! What it costs that a worker loads each saved document first: `cargo run --release -p salus --example load_saved`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use salus::hostile::{RECORD_LOAD, sandbox, serve_if_worker};
use salus_record::{Edit, LoadError, LoadProof, Record};

/// Edits after the import, as a record of some years has them.
const EDITS: usize = 200;
const TIMES: usize = 200;

fn main() -> ExitCode {
    if let Some(code) = serve_if_worker() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "its only purpose")]
fn measure() -> Result<(), Box<dyn std::error::Error>> {
    for (name, edits) in [("new", 0), ("of some years", EDITS)] {
        let (mut record, _) = Record::create([7; 16], 1)?;
        record.import(Edit::all(salus::made_up::patient(1, 1)), 1)?;
        for n in 0..edits {
            let phone = Edit::SetPatient {
                path: "phone".into(),
                value: Some(n.to_string()),
            };
            record.edit(&[phone], 1)?;
        }
        let saved = record.save();
        let sandbox = sandbox();
        let prove = || LoadProof::ask(&saved, |request| sandbox.run(RECORD_LOAD, request).ok());
        let proof = prove()?;
        let alone = median(|| Record::load(&saved, [7; 16], &proof))?;
        let with = median(|| Record::load(&saved, [7; 16], &prove()?))?;
        println!(
            "a record {name}, {} changes, saved in {} bytes: {alone:?} to load, {with:?} with the worker's load before it (medians of {TIMES})",
            record.changes_since(&[]).len(),
            saved.len()
        );
    }
    Ok(())
}

fn median(mut load: impl FnMut() -> Result<Record, LoadError>) -> Result<Duration, LoadError> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        drop(load()?);
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times.get(TIMES / 2).copied().unwrap_or_default())
}
