//! The node, this clinic, and the clinics it knows.

use std::io;

use salus_api::{ClinicView, DoctorReport, LockState, NetworkMode, PeerView, Status};

use super::super::exit::{Exit, Outcome};
use super::super::json::Object;
use super::super::output::{Line, Out, Span, Style};
use super::super::table::Table;
use super::super::{qr, text, time};
use super::{count, json_lines, with_plural};

/// `doctor`: what is not in order comes with what to do.
pub fn doctor(out: &mut Out, report: &DoctorReport) -> Outcome {
    let exit = if report.ok { Exit::DONE } else { Exit::FAILED };
    if out.form().json {
        out.json(report)?;
        return Ok(exit);
    }
    let columns = out.form().columns.unwrap_or(80);
    for finding in &report.findings {
        let (word, style) = match (finding.ok, finding.mended) {
            (true, _) => ("fine", Style::Dim),
            (false, true) => ("mended", Style::Strong),
            (false, false) => ("WRONG", Style::Bad),
        };
        let line = Line::new()
            .styled(&format!("{word:<7}"), style)
            .add(format!("{:<16}", finding.what))
            .add(finding.found.as_str());
        out.line(line)?;
        if let Some(hint) = &finding.hint {
            for line in text::wrap(hint, columns.saturating_sub(23)) {
                out.line(format!("{:23}{line}", ""))?;
            }
        }
    }
    if !report.ok {
        out.message("`salus audit verify --all` checks every entry; `salus doctor --repair` mends what can be mended");
    }
    Ok(exit)
}

/// `status`.
pub fn status(out: &mut Out, status: &Status) -> io::Result<()> {
    if out.form().json {
        return out.json(status);
    }
    let name = status
        .name
        .as_deref()
        .unwrap_or("A clinic (its name is sealed)");
    out.line(Span::new(name, Style::Strong))?;
    status_below(out, status)
}

/// The same without the name above it.
pub fn status_below(out: &mut Out, status: &Status) -> io::Result<()> {
    let mut fields = Table::fields().indented(2);
    fields.field("id", status.clinic.as_deref().unwrap_or(""));
    fields.field("state", state(status.state));
    fields.field("signed in", status.staff.as_deref().unwrap_or(""));
    let answers = if status.daemon {
        "a daemon"
    } else {
        "this process"
    };
    fields.field("node", format!("{answers}, version {}", status.version));
    fields.field("network", network(status.network));
    fields.field(
        "holds",
        format!(
            "{} in {}",
            with_plural(status.entries, "entry"),
            with_plural(status.logs, "log")
        ),
    );
    if let Some(patients) = status.patients {
        fields.field("patients", count(patients));
    }
    fields.field(
        "connected",
        with_plural(u64::from(status.connected), "clinic"),
    );
    let columns = out.form().columns;
    out.lines(fields.lines(columns))?;
    addresses(out, &status.addresses)
}

/// Each on a line of its own and never wrapped, so that it can be copied.
fn addresses(out: &mut Out, addresses: &[String]) -> io::Result<()> {
    for address in addresses {
        let line = Line::new()
            .styled("  listens on", Style::Dim)
            .add(" ")
            .add(address.as_str());
        out.line(line)?;
    }
    Ok(())
}

fn state(state: LockState) -> &'static str {
    match state {
        LockState::Sealed => "sealed: no network, nothing readable until somebody unlocks it",
        LockState::Locked => "locked: syncs and serves, shows nothing",
        LockState::Unlocked => "unlocked: somebody works",
    }
}

fn network(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Loopback => "this machine only",
        NetworkMode::Lan => "the local network",
        NetworkMode::Internet => "anywhere, by address",
    }
}

/// `clinic id`.
pub fn clinic(out: &mut Out, clinic: &ClinicView) -> io::Result<()> {
    if out.form().json {
        return out.json(clinic);
    }
    out.line(Span::new(&clinic.name, Style::Strong))?;
    for (label, value) in [("  id      ", &clinic.id), ("  endpoint", &clinic.endpoint)] {
        let line = Line::new()
            .styled(label, Style::Dim)
            .add(" ")
            .add(value.as_str());
        out.line(line)?;
    }
    addresses(out, &clinic.addresses)?;
    out.line("At another clinic, type:")?;
    out.line(Line::new().add("  ").add(clinic.add_command.as_str()))
}

/// `clinic id --qr`: the code holds what stands behind `salus peers add`.
pub fn clinic_with_qr(out: &mut Out, view: &ClinicView) -> Outcome {
    let mut content = view.id.clone();
    for address in &view.addresses {
        content.push(' ');
        content.push_str(address);
    }
    if out.form().json {
        let object = Object::new()
            .with("id", &view.id)
            .with("name", &view.name)
            .with("qr", qr::half_blocks(&content, false)?)
            .merge(view);
        out.json(&object)?;
        return Ok(Exit::DONE);
    }
    clinic(out, view)?;
    let color = out.form().color;
    out.raw(&qr::half_blocks(&content, color)?)?;
    Ok(Exit::DONE)
}

/// `peers`.
pub fn peers(out: &mut Out, peers: &[PeerView]) -> io::Result<()> {
    if out.form().json {
        return json_lines(out, peers);
    }
    if peers.is_empty() {
        out.message("no other clinic is known; make one known with `salus peers add ID ADDR`");
        return Ok(());
    }
    for peer in peers {
        let name = if peer.name.is_empty() {
            "(not met yet)"
        } else {
            &peer.name
        };
        let line = Line::new()
            .styled(name, Style::Strong)
            .add("  ")
            .add(peer.id.as_str());
        out.line(line)?;
        let mut fields = Table::fields().indented(2);
        let reached = match (peer.connected, peer.rtt_ms) {
            (true, Some(ms)) => format!("connected, {ms:.1} ms there and back"),
            (true, None) => "connected".to_owned(),
            (false, _) => "not connected".to_owned(),
        };
        fields.field("path", reached);
        // The endpoint's half of `ENDPOINT@IP:PORT` tells a reader nothing.
        let places: Vec<&str> = peer
            .addresses
            .iter()
            .map(|a| a.rsplit_once('@').map_or(a.as_str(), |(_, place)| place))
            .collect();
        fields.field("where", places.join(", "));
        let synced = peer.synced_ms.map_or_else(|| "never".to_owned(), time::iso);
        let behind = match peer.behind {
            0 => String::new(),
            n => format!("; known to differ in {}", with_plural(n, "log")),
        };
        fields.field("in step", format!("{synced}{behind}"));
        let failure = peer.last_error.as_deref().unwrap_or("");
        fields.field("failure", Span::new(failure, Style::Warn));
        let columns = out.form().columns;
        out.lines(fields.lines(columns))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use salus_api::Response;

    use super::super::answer;
    use super::super::tests::both;
    use super::*;
    use crate::cli::fake;

    fn view() -> ClinicView {
        let address = format!("{}@127.0.0.1:4433", "e1".repeat(32));
        ClinicView {
            id: "c1".repeat(32),
            name: "North Clinic".to_owned(),
            endpoint: "e1".repeat(32),
            add_command: format!("salus peers add {} {address}", "c1".repeat(32)),
            addresses: vec![address],
        }
    }

    #[test]
    fn status_says_what_is_open_and_what_is_held() {
        let (text, json) = both(|out| answer(out, &Response::Status(fake::status())));
        insta::assert_snapshot!(text, @"
        North Clinic
          id         c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
          state      locked: syncs and serves, shows nothing
          node       a daemon, version 0.1.0
          network    this machine only
          holds      12,345 entries in 41 logs
          connected  1 clinic
          listens on e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1@127.0.0.1:4433
        ");
        assert!(json.contains("\"state\":\"locked\""));
        let sealed = Status {
            clinic: None,
            name: None,
            state: LockState::Sealed,
            addresses: Vec::new(),
            ..fake::status()
        };
        let (text, _) = both(|out| answer(out, &Response::Status(sealed.clone())));
        assert!(text.starts_with("A clinic (its name is sealed)\n"));
    }

    #[test]
    fn a_clinic_tells_others_what_to_type() {
        let (text, _) = both(|out| answer(out, &Response::Clinic(view())));
        insta::assert_snapshot!(text, @"
        North Clinic
          id       c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1
          endpoint e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1
          listens on e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1@127.0.0.1:4433
        At another clinic, type:
          salus peers add c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1e1@127.0.0.1:4433
        ");
    }

    #[test]
    fn its_qr_code_stands_below_or_in_the_json() {
        let (text, json) = both(|out| clinic_with_qr(out, &view()));
        assert!(text.lines().last().unwrap().contains('▀'));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["endpoint"], "e1".repeat(32));
        assert!(value["qr"].as_str().unwrap().contains('█'));
    }

    #[test]
    fn peers_are_told_with_path_and_lag() {
        let known = vec![
            PeerView {
                id: "c2".repeat(32),
                name: "Hill Practice".to_owned(),
                addresses: vec!["ee@127.0.0.1:4434".to_owned()],
                connected: true,
                rtt_ms: Some(0.71),
                synced_ms: Some(1_795_347_575_123),
                behind: 0,
                last_error: None,
            },
            PeerView {
                id: "c3".repeat(32),
                name: String::new(),
                addresses: Vec::new(),
                connected: false,
                rtt_ms: None,
                synced_ms: None,
                behind: 3,
                last_error: Some("no path to it".to_owned()),
            },
        ];
        let (text, json) = both(|out| answer(out, &Response::Peers(known.clone())));
        insta::assert_snapshot!(text, @"
        Hill Practice  c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2
          path     connected, 0.7 ms there and back
          where    127.0.0.1:4434
          in step  2026-11-22T11:39:35Z
        (not met yet)  c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3
          path     not connected
          in step  never; known to differ in 3 logs
          failure  no path to it
        ");
        assert_eq!(json.lines().count(), 2);
    }
}
