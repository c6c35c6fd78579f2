//! `salus sync`: round after round, until nothing more moves.

use salus_api::{ApiError, Request, Response, SyncReport};

use super::args::SyncArgs;
use super::exit::{Exit, Outcome};
use super::output::Out;
use super::progress::{Meter, Unit};
use super::render;
use super::session::Caller;

/// Rounds with one clinic. What a round brings (a roster, a grant) can let more follow in the next; with two clinics
/// that write all the time it would never end. A guess: rosters, grants, records, and one to spare.
const MAX_ROUNDS: usize = 4;

/// Syncs with one clinic or all. Exit code 1 where one could not be finished.
pub async fn sync(args: &SyncArgs, caller: &Caller, out: &mut Out) -> Outcome {
    let mut meter = Meter::start(out, "connecting", Unit::Steps, 0);
    let mut reports = round(caller, args.clinic.clone(), &mut meter, out).await?;
    let rounds = if args.once { 1 } else { MAX_ROUNDS };
    for report in &mut reports {
        let mut moved = report.sent + report.received > 0;
        for _ in 1..rounds {
            if !moved || report.error.is_some() {
                break;
            }
            let clinic = Some(report.peer.clone());
            let more = round(caller, clinic, &mut meter, out).await?;
            let more = more.into_iter().find(|r| r.peer == report.peer);
            moved = more.is_some_and(|more| add(report, more));
        }
    }
    drop(meter);
    render::sync_reports(out, &reports)
}

async fn round(
    caller: &Caller,
    clinic: Option<String>,
    meter: &mut Meter,
    out: &mut Out,
) -> Result<Vec<SyncReport>, ApiError> {
    let request = Request::Sync { clinic };
    let answer = caller
        .call_with(request, |step| meter.step(out, &step))
        .await;
    match answer? {
        Response::Synced(reports) => Ok(reports),
        _ => Err(render::unexpected()),
    }
}

/// Adds a further round; returns whether it moved anything.
fn add(report: &mut SyncReport, more: SyncReport) -> bool {
    report.sent += more.sent;
    report.received += more.received;
    report.refused += more.refused;
    report.bytes += more.bytes;
    report.seconds += more.seconds;
    report.unresolved = more.unresolved;
    report.error = more.error;
    more.sent + more.received > 0
}

/// The exit code of a sync.
pub fn exit_of(reports: &[SyncReport]) -> Exit {
    if reports.iter().any(|r| r.error.is_some()) {
        Exit::FAILED
    } else {
        Exit::DONE
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cli::fake;
    use crate::cli::output::Form;

    fn args(once: bool) -> SyncArgs {
        SyncArgs {
            clinic: None,
            all: true,
            once,
        }
    }

    /// Clinic `aa` has 30, then 5, then nothing; clinic `bb` is away.
    fn node() -> (Caller, Arc<Mutex<usize>>) {
        let rounds = Arc::new(Mutex::new(0));
        let seen = rounds.clone();
        let caller = fake::caller(move |_, request| {
            let Request::Sync { clinic } = request else {
                return Err(ApiError::usage("not asked"));
            };
            let mut round = seen.lock().unwrap();
            *round += 1;
            let near = SyncReport {
                peer: "aa".to_owned(),
                received: [30, 5].get(*round - 1).copied().unwrap_or(0),
                bytes: 1_000,
                seconds: 0.5,
                ..SyncReport::default()
            };
            let away = SyncReport {
                peer: "bb".to_owned(),
                error: Some("no path".to_owned()),
                ..SyncReport::default()
            };
            Ok(Response::Synced(match clinic {
                None => vec![near, away],
                Some(_) => vec![near],
            }))
        });
        (caller, rounds)
    }

    #[tokio::test]
    async fn rounds_go_on_until_nothing_moves_and_are_reported_as_one() {
        let (caller, rounds) = node();
        let (mut out, seen) = Out::captured_as(Form {
            json: true,
            ..Form::default()
        });
        let exit = sync(&args(false), &caller, &mut out).await.unwrap();
        assert_eq!((exit, *rounds.lock().unwrap()), (Exit::FAILED, 3));
        insta::assert_snapshot!(seen.stdout(), @r#"
        {"peer":"aa","sent":0,"received":35,"refused":0,"bytes":3000,"seconds":1.5,"unresolved":0}
        {"peer":"bb","sent":0,"received":0,"refused":0,"bytes":0,"seconds":0.0,"unresolved":0,"error":"no path"}
        "#);
    }

    #[tokio::test]
    async fn once_is_one_round() {
        let (caller, rounds) = node();
        let (mut out, seen) = Out::captured();
        sync(&args(true), &caller, &mut out).await.unwrap();
        assert_eq!(*rounds.lock().unwrap(), 1);
        insta::assert_snapshot!(seen.stdout(), @"
        clinic  sent  received  refused  bytes  seconds
        aa         0        30        0  1,000     0.50  in step
        bb         0         0        0      0     0.00  not finished: no path
        ");
    }
}
