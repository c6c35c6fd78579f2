//! Portable proofs on the command line: making one with a node, checking one with nothing at all.

use std::io::{IsTerminal, Read, Write};
use std::path::Path;

use salus_api::{ApiError, Request, Response};
use salus_audit::{CheckedProof, ClinicId, Comparison, MAX_PROOF_BYTES, Proof};

use super::args::ProveArgs;
use super::exit::{Exit, Outcome, Stop, file_error};
use super::json::Object;
use super::output::{Line, Out, Style};
use super::session::{Caller, Desk};
use super::table::Table;
use super::{files, render, time};
use crate::whole_file;

/// `salus audit prove`.
pub async fn prove(args: &ProveArgs, caller: &Caller, desk: &Desk<'_>, out: &mut Out) -> Outcome {
    if desk.global.json && args.output.is_none() {
        return Err(ApiError::usage("a proof is a file of bytes, not JSON")
            .hint("name one with -o FILE")
            .into());
    }
    let to_stdout = args
        .output
        .as_deref()
        .is_none_or(|path| path == Path::new("-"));
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(ApiError::usage("a proof is a file, not a text")
            .hint("name one with -o FILE")
            .into());
    }
    let since = args.since.as_deref().map(read).transpose()?;
    let over = match &args.output {
        Some(path) if !to_stdout => files::may_replace(path, desk.global, desk.around).await?,
        _ => false,
    };
    let request = Request::AuditProve {
        patient: args.patient.clone(),
        entry: args.entry.clone(),
        since,
    };
    let Response::Proof(bytes) = caller.call(request).await? else {
        return Err(render::unexpected().into());
    };
    let Some(path) = args.output.as_deref().filter(|_| !to_stdout) else {
        let mut stdout = std::io::stdout().lock();
        stdout
            .write_all(&bytes)
            .and_then(|()| stdout.flush())
            .map_err(Stop::from)?;
        return Ok(Exit::DONE);
    };
    let content = |file: &mut dyn Write| file.write_all(&bytes);
    let written = if over {
        whole_file::write_over(path, content)
    } else {
        whole_file::write_new(path, content)
    };
    written.map_err(|e| file_error("write", path, &e))?;
    if out.form().json {
        let object = Object::new()
            .with("file", path.display().to_string())
            .with("bytes", bytes.len());
        out.json(&object)?;
    } else {
        out.line(format!(
            "{}: {} bytes written.",
            path.display(),
            bytes.len()
        ))?;
        out.line("Anybody checks it with `salus audit check`, given this clinic's id (`salus clinic id`).")?;
    }
    Ok(Exit::DONE)
}

/// `salus audit check`.
pub fn check(path: &Path, clinic: Option<&str>, against: Option<&Path>, out: &mut Out) -> Outcome {
    let expected = clinic.map(clinic_id).transpose()?;
    let proof = decode(path)?;
    let older = against.map(decode).transpose()?;
    let checked = match proof.check(expected) {
        Ok(checked) => checked,
        Err(fault) => return does_not_hold(out, &fault.to_string()),
    };
    let compared = match &older {
        None => None,
        Some(older) => match Proof::compare(older, &proof) {
            Ok(comparison) => Some(told(comparison)),
            Err(fault) => return does_not_hold(out, &fault.to_string()),
        },
    };
    show(out, &checked, expected.is_some(), compared.as_ref())?;
    Ok(match compared {
        Some((_, holds)) if !holds => Exit::INTEGRITY,
        _ => Exit::DONE,
    })
}

/// What a comparison with an older proof says, and whether it is in order.
fn told(comparison: Comparison) -> (String, bool) {
    match comparison {
        Comparison::Consistent => (
            "one continues the other: nothing was taken out or changed in between".into(),
            true,
        ),
        Comparison::Contradiction { contradiction, .. } => (
            format!("CONTRADICTION: {contradiction}; keep both files, together they are evidence"),
            false,
        ),
        Comparison::Unproven => (
            "this proof does not show that it continues the older one: ask the clinic for one made with --since; it can make none if something was taken out".into(),
            false,
        ),
        Comparison::Smaller => (
            "this proof is of an earlier or smaller state than the older one: either they are the wrong way round, or entries were taken out".into(),
            false,
        ),
        Comparison::OtherIncarnation { closed } => (
            match closed {
                Some(_) => "the clinic's node has begun a new life since, which closed the one of the older proof".into(),
                None => "the older proof is of another life of the clinic's node, which is not closed".into(),
            },
            closed.is_some(),
        ),
        Comparison::Unrelated => ("the older proof is another clinic's".into(), false),
        _ => ("this version cannot compare the two".into(), false),
    }
}

fn does_not_hold(out: &mut Out, why: &str) -> Outcome {
    if out.form().json {
        out.json(&Object::new().with("ok", false).with("problem", why))?;
    } else {
        let line = Line::new().styled("DOES NOT HOLD: ", Style::Bad).add(why);
        out.line(line)?;
    }
    Ok(Exit::INTEGRITY)
}

fn show(
    out: &mut Out,
    checked: &CheckedProof,
    expected: bool,
    compared: Option<&(String, bool)>,
) -> Result<(), Stop> {
    let checkpoint = &checked.checkpoint;
    let root = blake3::Hash::from_bytes(checkpoint.root).to_hex();
    if out.form().json {
        let mut object = Object::new()
            .with("ok", compared.is_none_or(|(_, holds)| *holds))
            .with("clinic", checked.clinic.to_string())
            .with("name", &checked.clinic_name)
            .with("checkpoint_origin", checkpoint.origin.to_string())
            .with("checkpoint_size", checkpoint.size)
            .with("checkpoint_root", root.as_str())
            .with("since_size", checked.older.map(|older| older.size))
            .with_some("compared", compared.map(|(text, _)| text));
        if let Some(entry) = &checked.entry {
            let roles: Vec<String> = entry.roles.iter().map(ToString::to_string).collect();
            object = object
                .with("entry", entry.hash.to_string())
                .with("log", entry.log.to_string())
                .with("seq", entry.seq)
                .with("tree_index", entry.tree_index)
                .with("kind", entry.kind.to_string())
                .with("scope", entry.scope.map(|scope| scope.to_string()))
                .with("actor", &entry.actor_name)
                .with("roles", roles)
                .with("time_ms", entry.time_ms)
                .with("retired", entry.retired)
                .with("void", entry.void.map(|void| void.to_string()));
        }
        out.json(&object)?;
        return Ok(());
    }
    let headline = match compared {
        Some((_, false)) => Line::new().styled(
            "The proof holds by itself, and does not continue the older one.",
            Style::Bad,
        ),
        _ => Line::new().styled("The proof holds.", Style::Strong),
    };
    out.line(headline)?;
    let mut fields = Table::fields().indented(2);
    fields.field(
        "clinic",
        format!("{}, {}", checked.clinic_name, checked.clinic),
    );
    if let Some(entry) = &checked.entry {
        let roles: Vec<String> = entry.roles.iter().map(ToString::to_string).collect();
        fields.field("entry", entry.hash.to_string());
        let scope = entry
            .scope
            .map(|scope| format!(" ({scope})"))
            .unwrap_or_default();
        fields.field(
            "what",
            format!("{}{scope} in record {}", entry.kind, entry.log),
        );
        fields.field("by", format!("{}, {}", entry.actor_name, roles.join(", ")));
        fields.field("claimed time", time::iso(entry.time_ms));
        if let Some(void) = entry.void {
            fields.field("but", format!("it does not count: {void}"));
        }
    }
    fields.field(
        "tree",
        format!(
            "{} entries, root {root}, signed by node {}",
            checkpoint.size, checkpoint.origin
        ),
    );
    if let Some(older) = checked.older {
        fields.field(
            "continues",
            format!(
                "a signed tree of {} entries: none of them was taken out or changed",
                older.size
            ),
        );
    }
    if let Some((text, _)) = compared {
        fields.field("compared", text.as_str());
    }
    let columns = out.form().columns;
    out.lines(fields.lines(columns))?;
    if !expected {
        out.message("compare the clinic's id with the one that you know, or give it with --clinic");
    }
    Ok(())
}

fn clinic_id(text: &str) -> Result<ClinicId, ApiError> {
    text.trim().to_lowercase().parse().map_err(|_| {
        ApiError::usage(format!("`{text}` is not a clinic's id"))
            .hint("give all 64 hex digits, as `salus clinic id` prints them")
    })
}

fn decode(path: &Path) -> Result<Proof, ApiError> {
    let bytes = read(path)?;
    Proof::decode(&bytes).map_err(|error| {
        ApiError::integrity(format!("{} is not a proof: {error}", path.display()))
            .hint("name a file that `salus audit prove` wrote")
    })
}

/// Reads a proof file, within its bound.
fn read(path: &Path) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            let most = u64::try_from(MAX_PROOF_BYTES).unwrap_or(u64::MAX);
            file.take(most.saturating_add(1)).read_to_end(&mut bytes)
        })
        .map_err(|e| file_error("read", path, &e))?;
    if bytes.len() > MAX_PROOF_BYTES {
        return Err(ApiError::integrity(format!(
            "{} is larger than a proof can be",
            path.display()
        )));
    }
    Ok(bytes)
}
