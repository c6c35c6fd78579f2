//! Frames of the client API: JSON that a daemon reads from its own machine's clients, and they from it.

use salus_api::{
    ApiError, Auth, Call, ErrorKind, Event, ExportFormat, NewPatient, Passphrase, Progress, Reply,
    Request, Response, SessionToken,
};

use super::{Target, same};
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const API: Target = Target {
    name: "api",
    about: "calls and replies of the client API",
    form: Form::Json,
    max_bytes: 32 * 1024,
    make: |_| Box::new(Api),
};

struct Api;

impl Subject for Api {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let session = Auth::Session(SessionToken::new("0123456789abcdef".into()));
        let passphrase = Auth::Passphrase {
            staff: Some("Ada".into()),
            passphrase: Passphrase::new("correct horse".into()),
        };
        let show = Request::PatientList;
        let new = Request::PatientNew(NewPatient {
            family: "Hopkins".into(),
            ..NewPatient::default()
        });
        let export = Request::Export {
            patient: "MRN-1".into(),
            format: ExportFormat::Fhir,
        };
        let calls = [
            (Auth::Nobody, Request::Status),
            (session.clone(), show),
            (session, new),
            (passphrase, export),
        ];
        let calls = calls.map(|(auth, request)| serde_json::to_vec(&Call { auth, request }));
        let replies = [
            Reply::Progress(Progress {
                what: "importing".into(),
                done: 1,
                total: 2,
            }),
            Reply::Event(Event::PatientsChanged(vec!["p1".into()])),
            Reply::Done(Ok(Response::Exported("{}".into()))),
            Reply::Done(Ok(Response::Patients(Vec::new()))),
            Reply::Done(Err(ApiError::new(ErrorKind::Refused, "no").hint("ask"))),
        ];
        let replies = replies.map(|reply| serde_json::to_vec(&reply));
        calls.into_iter().chain(replies).flatten().collect()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        const PROMISE: &str = "what is read is written and read as the same";
        if let Ok(reply) = serde_json::from_slice::<Reply>(input) {
            let again = serde_json::to_vec(&reply).map_err(|error| error.to_string())?;
            let again = serde_json::from_slice::<Reply>(&again).ok();
            same(&again.as_ref(), &Some(&reply), PROMISE)?;
            return Ok(Outcome::accepted("reply"));
        }
        match serde_json::from_slice::<Call>(input) {
            Ok(call) => {
                let again = serde_json::to_vec(&call).map_err(|error| error.to_string())?;
                let again = serde_json::from_slice::<Call>(&again).ok();
                same(&again.as_ref(), &Some(&call), PROMISE)?;
                Ok(Outcome::accepted("call"))
            }
            // Errors quote what they found.
            Err(error) => {
                let text = error.to_string();
                let said = text.split(['`', '"']).next();
                Ok(Outcome::refused(said.unwrap_or_default()))
            }
        }
    }
}
