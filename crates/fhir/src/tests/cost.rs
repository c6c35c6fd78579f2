//! What an import costs at worst: measurements for people, not checks.
//!
//! `cargo test -p salus-fhir --release -- --ignored --nocapture cost_of`

use std::process::Command;
use std::time::Instant;

use super::{PATIENT, of_p};
use crate::{Limits, read_bytes};

/// A figure of this process in bytes (Linux), for instance `VmHWM`, the most memory that it ever held.
fn status(name: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

fn document(entries: &[String]) -> String {
    format!(
        r#"{{"resourceType":"Bundle","type":"document","entry":[{}]}}"#,
        entries.join(",")
    )
}

/// A document whose Composition names every one of its resources, and these each other.
fn large_document(n: usize, patients: usize) -> String {
    let references: Vec<String> = (0..n)
        .map(|i| format!(r#"{{"reference":"urn:uuid:o{i}"}}"#))
        .collect();
    let composition = format!(
        r#"{{"fullUrl":"urn:uuid:c","resource":{{"resourceType":"Composition","section":[{{"entry":[{}]}}]}}}}"#,
        references.join(",")
    );
    let mut entries = vec![composition];
    entries.extend((0..patients).map(|i| {
        format!(
            r#"{{"fullUrl":"urn:uuid:p{i}","resource":{{"resourceType":"Patient","id":"p{i}"}}}}"#
        )
    }));
    entries.extend((0..n).map(|i| {
        let (patient, next) = (i % patients, (i + patients) % n);
        format!(
            r#"{{"fullUrl":"urn:uuid:o{i}","resource":{{"resourceType":"Observation","id":"o{i}","code":{{"text":"x"}},"subject":{{"reference":"urn:uuid:p{patient}"}},"performer":[{{"reference":"urn:uuid:d"}}],"hasMember":[{{"reference":"urn:uuid:o{next}"}}]}}}}"#
        )
    }));
    entries.push(
        r#"{"fullUrl":"urn:uuid:d","resource":{"resourceType":"Practitioner","name":[{"text":"Dr."}]}}"#
            .to_owned(),
    );
    document(&entries)
}

/// A kind of file: what it is called, how many resources it has, how many elements each, and how it is made.
struct Case {
    name: &'static str,
    resources: usize,
    elements: usize,
    text: Box<dyn Fn(usize) -> String>,
}

fn cases() -> Vec<Case> {
    let case = |name, resources, elements, text: Box<dyn Fn(usize) -> String>| Case {
        name,
        resources,
        elements,
        text,
    };
    // Each of these resources is as small as one can be, so what is held beside the text shows.
    let lines = |line: fn(usize) -> String| -> Box<dyn Fn(usize) -> String> {
        Box::new(move |n| {
            let patient = std::iter::once(PATIENT.to_owned());
            patient
                .chain((0..n).map(line))
                .collect::<Vec<_>>()
                .join("\n")
        })
    };
    vec![
        case(
            "document, one patient",
            20_000,
            4,
            Box::new(|n| large_document(n, 1)),
        ),
        case(
            "document, one patient",
            80_000,
            4,
            Box::new(|n| large_document(n, 1)),
        ),
        case(
            "document, many patients",
            20_000,
            4,
            Box::new(|n| large_document(n, n / 10)),
        ),
        case(
            "document, many patients",
            80_000,
            4,
            Box::new(|n| large_document(n, n / 10)),
        ),
        case(
            "kept, and nothing in them",
            900_000,
            0,
            lines(|i| format!(r#"{{"resourceType":"Basic","id":"{i}"}}"#)),
        ),
        case(
            "conditions, and nothing in them",
            300_000,
            1,
            lines(|i| of_p("Condition", &i.to_string(), "")),
        ),
        case(
            "conditions of 1,000 elements",
            5_000,
            1_002,
            lines(|i| {
                let parts = [r#"{"text":"x"}"#; 1_000].join(",");
                of_p(
                    "Condition",
                    &i.to_string(),
                    &format!(r#""bodySite":[{parts}]"#),
                )
            }),
        ),
        case(
            "observations of 60,000 letters",
            900,
            2,
            lines(|i| {
                let note = "x".repeat(60_000);
                let text = format!(r#""code":{{"text":"x"}},"valueString":"{note}""#);
                of_p("Observation", &i.to_string(), &text)
            }),
        ),
        case(
            "nests of references, two patients",
            100_000,
            0,
            lines(|i| {
                let nest = format!("{}1{}", r#"{"reference":"#.repeat(40), "}".repeat(40));
                match i {
                    0 => r#"{"resourceType":"Patient","id":"q"}"#.to_owned(),
                    i => format!(r#"{{"resourceType":"Basic","id":"{i}","x":{nest}}}"#),
                }
            }),
        ),
    ]
}

/// Which of the cases a process of its own is to measure.
const CASE: &str = "SALUS_FHIR_COST_CASE";

#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_imports() {
    let Some(chosen) = std::env::var(CASE).ok() else {
        // One process each: memory that one case gave back would hide what the next one takes.
        for number in 0..cases().len() {
            let run = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--nocapture", "cost_of_imports"])
                .env(CASE, number.to_string())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stderr);
            eprint!("{said}");
            assert!(run.status.success());
        }
        return;
    };
    let case = cases().remove(chosen.parse().unwrap());
    let text = (case.text)(case.resources);
    // 5 makes the kernel count the peak anew (proc(5), clear_refs).
    let counted = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = status("VmRSS");
    let start = Instant::now();
    let result = read_bytes(text.as_bytes(), &Limits::default());
    let seconds = start.elapsed().as_secs_f64();
    let peak = status("VmHWM").zip(before).filter(|_| counted);
    let peak = peak.map_or(f64::NAN, |(peak, before)| {
        peak.saturating_sub(before) as f64
    });
    // What `Limits` says. The text itself is counted there and was held before.
    let bytes = text.len() as f64;
    let held = peak + bytes;
    let bound = 6.0 * bytes
        + 16.0 * 1024.0 * 1024.0
        + 600.0 * case.resources as f64
        + 1024.0 * (case.resources * case.elements) as f64;
    let outcome = match &result {
        Ok(import) => format!("{} patients", import.patients.len()),
        Err(error) => error.to_string(),
    };
    eprintln!(
        "{:>7} × {:<34} {:6.1} MB in {seconds:5.2} s, {:6.1} MB held, {:4.1} times the file, {:3.0} % of the bound ({outcome})",
        case.resources,
        case.name,
        bytes / 1e6,
        held / 1e6,
        held / bytes,
        100.0 * held / bound,
    );
}
