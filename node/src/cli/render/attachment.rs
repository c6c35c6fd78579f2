//! `attachments`, `attach` and what `import` says of files.

use std::io;

use salus_api::{AttachedView, AttachmentView};

use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::table::{Column, Table};
use super::super::{text, time};

/// `attachments`: one line a file.
pub fn list(out: &mut Out, files: &[AttachmentView]) -> io::Result<()> {
    if out.form().json {
        return super::json_lines(out, files);
    }
    if files.is_empty() {
        out.message("no attachments");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("id", Column::Left),
        ("file", Column::Flexible),
        ("kind", Column::Left),
        ("size", Column::Right),
        ("added", Column::Left),
        ("by", Column::Flexible),
        ("here", Column::Left),
    ]);
    for file in files {
        let by = format!("{}, {}", file.actor, file.clinic);
        let (name, style) = match &file.erased {
            Some(reason) => (format!("erased: {reason}"), Style::Dim),
            None => (file.name.clone(), Style::Strong),
        };
        table.row([
            Span::new(text::short(&file.id), Style::Dim),
            Span::new(&name, style),
            kind(file).as_str().into(),
            match file.erased {
                Some(_) => "".into(),
                None => bytes(file.bytes).as_str().into(),
            },
            time::iso(file.added_ms).as_str().into(),
            by.as_str().into(),
            here(file),
        ]);
    }
    let columns = out.form().columns;
    out.lines(table.lines(columns))?;
    if files
        .iter()
        .any(|file| !file.available && file.erased.is_none())
    {
        out.message("what is not here is brought by `salus fetch PATIENT ID`, or all of it by `salus attachments PATIENT --pin`");
    }
    Ok(())
}

/// A size for people, in powers of 1,000: `1.5 MB`.
pub fn bytes(n: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let mut size = n as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < units.len() {
        size /= 1_000.0;
        unit += 1;
    }
    match unit {
        0 => super::with_plural(n, "byte"),
        _ if size < 9.95 => format!("{size:.1} {}", units[unit]),
        _ => format!("{size:.0} {}", units[unit]),
    }
}

/// What a file is, in a word or two: `CT 512x512`, `PNG 800x600`, `WAV 3:25`.
pub fn kind(file: &AttachmentView) -> String {
    let number = |name: &str| file.facts.get(name).and_then(serde_json::Value::as_u64);
    let word = |name: &str| file.facts.get(name).and_then(serde_json::Value::as_str);
    let tag = |name: &str| file.dicom.as_ref()?.get(name);
    let what = tag("modality")
        .and_then(serde_json::Value::as_str)
        .or_else(|| word("kind"))
        .unwrap_or(&file.mime);
    let rows = tag("rows").and_then(serde_json::Value::as_u64);
    let columns = tag("columns").and_then(serde_json::Value::as_u64);
    let size = columns
        .zip(rows)
        .or_else(|| number("width").zip(number("height")));
    let mut said = what.to_owned();
    match size {
        Some((width, height)) if width > 0 => said.push_str(&format!(" {width}x{height}")),
        _ => {}
    }
    let frames = tag("frames").and_then(serde_json::Value::as_u64);
    if let Some(frames) = frames.or_else(|| number("frames")).filter(|n| *n > 1) {
        said.push_str(&format!("x{frames}"));
    }
    if let Some(ms) = number("duration_ms") {
        said.push_str(&format!(" {}:{:02}", ms / 60_000, ms / 1_000 % 60));
    }
    if let Some(pages) = number("pages") {
        said.push_str(&format!(" {}", super::with_plural(pages, "page")));
    }
    said
}

fn here(file: &AttachmentView) -> Span {
    if file.erased.is_some() {
        return "".into();
    }
    match (file.available, file.held) {
        (true, _) => "yes".into(),
        (false, 0) => Span::new("no", Style::Warn),
        (false, held) => {
            let percent = held.saturating_mul(100) / file.bytes.max(1);
            Span::new(&format!("{percent} %"), Style::Warn)
        }
    }
}

/// What became of files that were to be attached; the exit code is the worst of all.
pub fn attached(out: &mut Out, files: &[AttachedView]) -> Outcome {
    let mut exit = Exit::DONE;
    for file in files {
        if let Some(error) = &file.error {
            exit = exit.worst(Exit::of(error));
            if out.form().json {
                let object = Object::new()
                    .with("file", &file.file)
                    .with("error", &error.message)
                    .with("exit", Exit::of(error).code());
                out.json(&object)?;
            }
            out.error(error);
            continue;
        }
        let Some(attachment) = &file.attachment else {
            continue;
        };
        if out.form().json {
            let object = Object::new()
                .with("file", &file.file)
                .with("added", file.added)
                .with("warnings", &file.warnings)
                .merge(attachment);
            out.json(&object)?;
            continue;
        }
        let line = Line::new()
            .styled(&attachment.name, Style::Strong)
            .add(if file.added {
                ": attached, "
            } else {
                ": here already, "
            })
            .add(kind(attachment))
            .add(", ")
            .add(bytes(attachment.bytes))
            .add("  ")
            .styled(text::short(&attachment.id), Style::Dim);
        out.line(line)?;
        for warning in &file.warnings {
            out.message(format!("  note: {warning}"));
        }
    }
    Ok(exit)
}
