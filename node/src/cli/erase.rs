//! `salus erase` of a whole record, after a question.

use salus_api::{ApiError, Request, Response};

use super::args::EraseArgs;
use super::exit::Outcome;
use super::files::agreed;
use super::output::Out;
use super::render;
use super::session::{Caller, Desk};

/// Destroys a whole record, once somebody said yes to that. A file that was meant and not named must not cost the record.
pub async fn record(args: &EraseArgs, caller: &Caller, desk: &Desk<'_>, out: &mut Out) -> Outcome {
    if !desk.global.yes {
        let whose = name(args, caller).await;
        let question = format!(
            "The whole record of {whose} is destroyed for good, here and at every clinic that holds it. Erase it?"
        );
        if !desk.around.terminal || !agreed(question).await {
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
