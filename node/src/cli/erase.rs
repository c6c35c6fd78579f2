//! `salus erase` of a whole record, after a question.

use salus_api::{ApiError, Request, Response};

use super::args::{EraseArgs, Global};
use super::exit::Outcome;
use super::files::agreed;
use super::output::Out;
use super::render;
use super::secrets::Surroundings;
use super::session::Caller;

/// Destroys a whole record, once somebody said yes to that. A file that was meant and not named must not cost the record.
pub async fn record(
    args: &EraseArgs,
    caller: &Caller,
    global: &Global,
    around: &Surroundings,
    out: &mut Out,
) -> Outcome {
    if !global.yes {
        let whose = name(args, caller).await;
        let question = format!(
            "The whole record of {whose} is destroyed for good, here and at every clinic that holds it. Erase it?"
        );
        if !around.terminal || !agreed(question).await {
            return Err(ApiError::failed(format!(
                "nothing was erased: this destroys the whole record of {whose}"
            ))
            .hint("name a file to erase only that (`salus attachments PATIENT` lists them), or add --yes for the whole record")
            .into());
        }
    }
    let request = Request::Erase {
        patient: args.patient.patient.clone(),
        attachment: None,
        reason: args.reason.clone(),
    };
    render::answer(out, &caller.call(request).await?)
}

/// The patient's name, where whoever asks may see it.
async fn name(args: &EraseArgs, caller: &Caller) -> String {
    let patient = args.patient.patient.clone();
    let shown = caller
        .call(Request::PatientShow { patient, at: None })
        .await;
    match shown {
        Ok(Response::Record(view)) => format!("{} {}", view.row.given, view.row.family),
        _ => args.patient.patient.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::cli::args::{Global, PatientArg};
    use crate::cli::exit::{Exit, Stop};
    use crate::cli::fake;

    /// What came of it, and what the node was asked.
    async fn run(yes: bool) -> (Outcome, Vec<Request>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let caller = fake::caller(move |_, request| {
            let response = match &request {
                Request::PatientShow { .. } => Response::Record(Box::new(fake::record())),
                _ => Response::Done("erased".to_owned()),
            };
            seen.lock().unwrap().push(request);
            Ok(response)
        });
        let args = EraseArgs {
            patient: PatientArg {
                patient: "P".to_owned(),
            },
            attachment: None,
            reason: "asked for".to_owned(),
        };
        let global = Global {
            yes,
            ..Global::default()
        };
        let (mut out, _) = Out::captured();
        let outcome = record(&args, &caller, &global, &Surroundings::default(), &mut out).await;
        let asked = asked.lock().unwrap().clone();
        (outcome, asked)
    }

    #[tokio::test]
    async fn a_record_is_not_erased_because_a_file_was_not_named() {
        let (outcome, asked) = run(false).await;
        let Err(Stop::Error(error)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(error.message.contains("Ng"), "{}", error.message);
        assert!(!asked.iter().any(|r| matches!(r, Request::Erase { .. })));
        let (outcome, asked) = run(true).await;
        assert_eq!(outcome, Ok(Exit::DONE));
        let erase = Request::Erase {
            patient: "P".to_owned(),
            attachment: None,
            reason: "asked for".to_owned(),
        };
        assert_eq!(asked, [erase]);
    }
}
