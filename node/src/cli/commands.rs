//! Commands that ask the node one thing and show the answer.

use std::io::Read;
use std::path::Path;

use salus_api::{ApiError, NewPatient, Passphrase, Request, Response};

use super::args::{
    Ai, Audit, Clinic, Command, FindImages, Images, NewPatientArgs, Patient, Peers, RecoveryArg,
    ResolveArgs, Staff,
};
use super::exit::{Outcome, Stop, file_error};
use super::output::Out;
use super::secrets;
use super::session::{Caller, Desk};
use super::{attach, classify, erase, files, import, items, proof, render, sync, time};

/// Longest note that is read from standard input, bytes; what one change of a record may hold.
const MAX_NOTE_BYTES: u64 = 1 << 20;

/// Runs a command that needs an open node and somebody who acts.
///
/// `asked` is what [`request`] made of it.
pub async fn run(
    command: &Command,
    asked: Option<Request>,
    desk: &Desk<'_>,
    out: &mut Out,
) -> Outcome {
    match command {
        Command::Unlock => return desk.unlock(out).await,
        Command::Lock => return desk.lock(out).await,
        Command::Status => return desk.status(out).await,
        Command::Staff(staff @ Staff::Passphrase { .. }) => {
            let caller = desk.in_person().await?;
            let request = self::staff(staff, desk).await?;
            return show(command, &caller.call(request).await?, out);
        }
        _ => {}
    }
    let caller = desk.caller().await?;
    if let Some(asked) = asked {
        let response = caller.call(asked).await?;
        return show(command, &response, out);
    }
    match command {
        Command::Import(args) => import::import(args, desk.global.yes, &caller, out).await,
        Command::Attach(args) => attach::attach(args, &caller, desk, out).await,
        Command::Fetch(args) => attach::fetch(args, &caller, desk, out).await,
        Command::Sync(args) => sync::sync(args, &caller, out).await,
        Command::Erase(args) => erase::record(args, &caller, desk.global, desk.around, out).await,
        Command::Export(args) => files::export(args, &caller, desk.global, desk.around, out).await,
        Command::Staff(staff) => {
            let request = self::staff(staff, desk).await?;
            show(command, &caller.call(request).await?, out)
        }
        Command::Clinic(Clinic::RotateKey { recovery }) => {
            let recovery = match recovery_words(recovery)? {
                Some(words) => words,
                None if desk.around.terminal => secrets::ask("Recovery words").await?,
                None => {
                    return Err(ApiError::refused("this needs the clinic's recovery words")
                        .hint("use --recovery FILE")
                        .into());
                }
            };
            let request = Request::ClinicRotateKey { recovery };
            show(command, &caller.call(request).await?, out)
        }
        Command::Patient(Patient::Resolve(args)) => {
            let request = resolve(args, &caller).await?;
            show(command, &caller.call(request).await?, out)
        }
        Command::Ai(Ai::Classify(args)) => {
            classify::classify(args, Some(desk.folder), Some(&caller), out).await
        }
        Command::Audit(Audit::Prove(args)) => proof::prove(args, &caller, desk, out).await,
        // Commands without a node never come here: `cli::dispatch` tells them apart.
        _ => Err(render::unexpected().into()),
    }
}

/// The one question that a command asks; none where it asks several, or needs to ask a person first. It is made
/// before the node is opened and before a passphrase is asked for: what is wrong with it is said at once.
pub fn request(command: &Command) -> Result<Option<Request>, ApiError> {
    Ok(Some(match command {
        Command::Staff(Staff::List) => Request::StaffList,
        Command::Clinic(Clinic::Id { .. }) => Request::ClinicId,
        Command::Patient(patient) => return self::patient(patient),
        Command::Add(add) => Request::Add {
            patient: add.patient().to_owned(),
            item: Box::new(items::item(add)?),
        },
        Command::Stop(args) => Request::Stop {
            patient: args.patient.patient.clone(),
            kind: args.kind.value(),
            item: args.item.clone(),
            why: args.why.clone(),
        },
        Command::Peers(args) => match &args.command {
            None | Some(Peers::List) => Request::Peers,
            Some(Peers::Add { id, addresses }) => Request::PeerAdd {
                id: id.clone(),
                addresses: addresses.clone(),
            },
        },
        Command::Grant(args) => Request::Grant {
            patient: args.patient.patient.clone(),
            clinic: args.clinic.clone(),
            right: args.role.value(),
        },
        Command::Revoke(args) => Request::Revoke {
            patient: args.patient.patient.clone(),
            clinic: args.clinic.clone(),
        },
        Command::Backup { file } => Request::Backup {
            path: files::absolute(file)?,
        },
        Command::Doctor { repair } => Request::Doctor { repair: *repair },
        Command::Audit(Audit::Accesses(arg)) => Request::AuditAccesses {
            patient: arg.patient.clone(),
        },
        Command::Audit(Audit::Quarantine {
            patient,
            entry,
            why,
        }) => Request::Quarantine {
            patient: patient.patient.clone(),
            entry: entry.clone(),
            why: why.clone(),
        },
        Command::Ai(ai) => return Ok(self::ai(ai)),
        Command::Images(Images::Find(FindImages { category, patient })) => Request::FindImages {
            category: category.clone(),
            patient: patient.clone(),
        },
        Command::Attachments(args) if args.pin || args.unpin => Request::Pin {
            patient: args.patient.patient.clone(),
            pin: args.pin,
        },
        Command::Attachments(args) => Request::Attachments {
            patient: args.patient.patient.clone(),
        },
        Command::Erase(args) if args.attachment.is_some() => Request::Erase {
            patient: args.patient.patient.clone(),
            attachment: args.attachment.clone(),
            reason: args.reason.clone(),
        },
        Command::Grants(arg) => Request::Grants {
            patient: arg.patient.clone(),
        },
        Command::Audit(Audit::Log { patient, limit }) => Request::AuditLog {
            patient: patient.clone(),
            limit: *limit,
        },
        Command::Audit(Audit::Verify { patient, .. }) => Request::AuditVerify {
            patient: patient.clone(),
        },
        _ => return Ok(None),
    }))
}

fn ai(command: &Ai) -> Option<Request> {
    Some(match command {
        Ai::Classify(_) => return None,
        Ai::Suggestions(arg) => Request::Suggestions {
            patient: arg.patient.clone(),
        },
        Ai::Accept {
            patient,
            suggestion,
            label,
        } => Request::Accept {
            patient: patient.patient.clone(),
            suggestion: suggestion.clone(),
            label: label.clone(),
        },
        Ai::Reject {
            patient,
            suggestion,
            why,
        } => Request::Reject {
            patient: patient.patient.clone(),
            suggestion: suggestion.clone(),
            why: why.clone(),
        },
    })
}

fn patient(command: &Patient) -> Result<Option<Request>, ApiError> {
    Ok(Some(match command {
        Patient::New(args) => Request::PatientNew(new_patient(args)?),
        Patient::List => Request::PatientList,
        Patient::Find { text, limit } => Request::PatientFind {
            text: text.join(" "),
            limit: *limit,
        },
        Patient::Show { patient, at, .. } => Request::PatientShow {
            patient: patient.patient.clone(),
            at: at.clone(),
        },
        Patient::Set {
            patient,
            path,
            value,
        } => Request::PatientSet {
            patient: patient.patient.clone(),
            path: path.clone(),
            value: value.clone(),
        },
        Patient::Note { patient, text } => Request::PatientNote {
            patient: patient.patient.clone(),
            text: note(text, std::io::stdin())?,
        },
        Patient::History(arg) => Request::PatientHistory {
            patient: arg.patient.clone(),
        },
        Patient::Conflicts(arg) => Request::Conflicts {
            patient: arg.patient.clone(),
        },
        // The number of a choice becomes its value first: a sync in between may number them anew.
        Patient::Resolve(_) => return Ok(None),
        Patient::Acknowledge {
            patient,
            warning,
            why,
        } => Request::Acknowledge {
            patient: patient.patient.clone(),
            concern: warning.clone(),
            why: why.clone(),
        },
        Patient::Duplicates { patient } => Request::Duplicates {
            patient: patient.clone(),
        },
        Patient::Link(pair) => Request::Link {
            patient: pair.patient.clone(),
            other: pair.other.clone(),
        },
        Patient::Unlink(pair) => Request::Unlink {
            patient: pair.patient.clone(),
            other: pair.other.clone(),
        },
    }))
}

/// Turns the number of a choice into its value.
async fn resolve(args: &ResolveArgs, caller: &Caller) -> Result<Request, Stop> {
    let patient = args.patient.patient.clone();
    let value = match (&args.value, args.choice) {
        // What is not JSON is text; a text that looks like JSON is given in quotes.
        (Some(text), _) => {
            serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.clone()))
        }
        (None, Some(choice)) => {
            let request = Request::Conflicts {
                patient: patient.clone(),
            };
            let Response::Conflicts(found) = caller.call(request).await? else {
                return Err(render::unexpected().into());
            };
            let in_patient = format!("patient/{}", args.path);
            let conflict = found
                .conflicts
                .into_iter()
                .find(|conflict| conflict.path == args.path || conflict.path == in_patient)
                .ok_or_else(|| {
                    ApiError::not_found(format!("the record has no conflict at `{}`", args.path))
                        .hint("see `salus patient conflicts PATIENT`")
                })?;
            let count = conflict.values.len();
            let chosen = conflict.values.into_iter().find(|v| v.choice == choice);
            chosen.map(|v| v.value).ok_or_else(|| {
                ApiError::usage(format!(
                    "`{}` has choices 1 to {count}, not {choice}",
                    args.path
                ))
            })?
        }
        (None, None) => return Err(render::unexpected().into()),
    };
    Ok(Request::Resolve {
        patient,
        path: args.path.clone(),
        value,
        why: args.why.clone(),
    })
}

fn new_patient(args: &NewPatientArgs) -> Result<NewPatient, ApiError> {
    let family = args.family.trim().to_owned();
    let given = args.given.trim().to_owned();
    if family.is_empty() && given.is_empty() {
        return Err(ApiError::usage("a patient needs a name"));
    }
    let filled = |text: &Option<String>| {
        let text = text.as_deref().map(str::trim).filter(|t| !t.is_empty());
        text.map(str::to_owned)
    };
    Ok(NewPatient {
        family,
        given,
        birth_date: time::date(&args.birth_date)?,
        sex: args.sex.value().to_owned(),
        mrn: filled(&args.mrn),
        phone: filled(&args.phone),
    })
}

/// The note itself, or what standard input holds where it is `-`.
fn note(text: &str, stdin: impl Read) -> Result<String, ApiError> {
    let mut note = text.to_owned();
    if text == "-" {
        note.clear();
        stdin
            .take(MAX_NOTE_BYTES + 1)
            .read_to_string(&mut note)
            .map_err(|e| ApiError::failed(format!("could not read standard input: {e}")))?;
    }
    if note.len() as u64 > MAX_NOTE_BYTES {
        return Err(ApiError::usage(format!(
            "the note is longer than {MAX_NOTE_BYTES} bytes"
        )));
    }
    let note = note.trim_end();
    if note.trim().is_empty() {
        return Err(ApiError::usage("the note is empty"));
    }
    Ok(note.to_owned())
}

async fn staff(command: &Staff, desk: &Desk<'_>) -> Result<Request, Stop> {
    Ok(match command {
        Staff::Add {
            name,
            role,
            new_passphrase_file,
            recovery,
        } => Request::StaffAdd {
            name: name.clone(),
            role: role.value(),
            recovery: recovery_words(recovery)?,
            passphrase: new_passphrase(new_passphrase_file.as_deref(), name, desk).await?,
        },
        Staff::Retire { name, recovery } => Request::StaffRetire {
            name: name.clone(),
            recovery: recovery_words(recovery)?,
        },
        Staff::Passphrase {
            new_passphrase_file,
        } => Request::StaffPassphrase {
            new: new_passphrase(new_passphrase_file.as_deref(), "you", desk).await?,
        },
        Staff::List => Request::StaffList,
    })
}

async fn new_passphrase(
    file: Option<&Path>,
    whose: &str,
    desk: &Desk<'_>,
) -> Result<Passphrase, Stop> {
    match file {
        Some(path) => Ok(secrets::from_file(path)?),
        None if desk.around.terminal => secrets::ask_new(whose).await,
        None => Err(ApiError::refused(
            "a new passphrase is needed, and there is no terminal to ask for it",
        )
        .hint("use --new-passphrase-file FILE")
        .into()),
    }
}

/// The recovery words that came with the command.
pub fn recovery_words(recovery: &RecoveryArg) -> Result<Option<Passphrase>, ApiError> {
    let Some(path) = recovery.recovery.as_deref() else {
        return Ok(None);
    };
    let words = secrets::read_secret(path).map_err(|e| {
        file_error("read the recovery words from", path, &e)
            .hint("name the file that `salus init --recovery-out` wrote, or one with the 24 words in order")
    })?;
    Ok(Some(Passphrase::new(words.trim().to_owned())))
}

/// Shows an answer the way that suits the command.
fn show(command: &Command, response: &Response, out: &mut Out) -> Outcome {
    match (command, response) {
        (Command::Clinic(Clinic::Id { qr: true }), Response::Clinic(clinic)) => {
            render::clinic_with_qr(out, clinic)
        }
        (Command::Patient(Patient::Show { all, .. }), Response::Record(view)) => {
            render::record(out, view, *all)
        }
        (Command::Patient(Patient::Conflicts(arg)), Response::Conflicts(conflicts)) => {
            render::conflicts(out, &arg.patient, conflicts)
        }
        (Command::Ai(Ai::Suggestions(arg)), Response::Suggestions(found)) => {
            render::suggestions(out, &arg.patient, found)
        }
        (Command::Patient(Patient::History(_)), Response::Audit(rows)) => {
            render::history(out, rows)
        }
        _ => render::answer(out, response),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use salus_api::{ErrorKind, Right, Stoppable};

    use super::*;
    use crate::cli::args::{Cli, Global};
    use crate::cli::exit::Exit;
    use crate::cli::fake;
    use crate::cli::secrets::Surroundings;

    fn command(line: &str) -> Command {
        let words = std::iter::once("salus").chain(line.split_whitespace());
        Cli::try_parse_from(words).unwrap().command
    }

    #[test]
    fn commands_ask_what_they_say() {
        let asked = |line: &str| request(&command(line)).unwrap().unwrap();
        let p = || "P".to_owned();
        assert_eq!(
            asked("stop condition P Asthma --why over"),
            Request::Stop {
                patient: p(),
                kind: Stoppable::Condition,
                item: "Asthma".to_owned(),
                why: Some("over".to_owned()),
            }
        );
        assert_eq!(
            asked("grant P North --role read"),
            Request::Grant {
                patient: p(),
                clinic: "North".to_owned(),
                right: Right::Read,
            }
        );
        assert_eq!(
            asked("ai reject P 77aa --why artefact"),
            Request::Reject {
                patient: p(),
                suggestion: "77aa".to_owned(),
                why: "artefact".to_owned(),
            }
        );
        assert_eq!(
            asked("ai accept P 77aa --label effusion"),
            Request::Accept {
                patient: p(),
                suggestion: "77aa".to_owned(),
                label: Some("effusion".to_owned()),
            }
        );
        assert_eq!(
            asked("images find --category pneumonia --patient P"),
            Request::FindImages {
                category: "pneumonia".to_owned(),
                patient: Some(p()),
            }
        );
        assert_eq!(
            asked("patient find ng wei"),
            Request::PatientFind {
                text: "ng wei".to_owned(),
                limit: 50,
            }
        );
        assert_eq!(
            asked("audit verify --all"),
            Request::AuditVerify { patient: None }
        );
        assert_eq!(
            asked("audit log P"),
            Request::AuditLog {
                patient: Some(p()),
                limit: 100,
            }
        );
        assert_eq!(
            asked("patient new --family Ng --given Wei --birth-date 1956-02-03 --sex female"),
            Request::PatientNew(NewPatient {
                family: "Ng".to_owned(),
                given: "Wei".to_owned(),
                birth_date: "1956-02-03".to_owned(),
                sex: "female".to_owned(),
                mrn: None,
                phone: None,
            })
        );
        assert_eq!(
            asked("peers add aa e@127.0.0.1:1"),
            Request::PeerAdd {
                id: "aa".to_owned(),
                addresses: vec!["e@127.0.0.1:1".to_owned()],
            }
        );
    }

    #[test]
    fn a_bad_question_is_bad_usage() {
        for line in [
            "patient new --family Ng --given Wei --birth-date 03.02.1956 --sex female",
            "add observation P --vital aura 5",
        ] {
            assert_eq!(
                request(&command(line)).unwrap_err().kind,
                ErrorKind::Usage,
                "{line}"
            );
        }
    }

    #[test]
    fn a_note_may_come_from_standard_input_within_bounds() {
        assert_eq!(note("fine", &b""[..]).unwrap(), "fine");
        assert_eq!(note("-", &b"two\nlines\n"[..]).unwrap(), "two\nlines");
        assert!(note("-", &b" \n"[..]).is_err());
        assert!(note("-", &b"\xff"[..]).is_err());
        assert!(note("-", &vec![b'a'; (1 << 20) + 1][..]).is_err());
    }

    #[tokio::test]
    async fn what_reads_or_writes_records_needs_somebody() {
        let client = fake::node(|_, _| Err(ApiError::failed("asked")));
        let (global, around) = (Global::default(), Surroundings::default());
        let desk = Desk {
            client: &client,
            daemon: false,
            folder: std::path::Path::new("/nonexistent"),
            global: &global,
            around: &around,
        };
        let (mut out, _) = Out::captured();
        for line in [
            "patient list",
            "staff add Bo --role nurse",
            "import a.json",
            "sync",
            "clinic id",
        ] {
            let command = command(line);
            let outcome = run(&command, request(&command).unwrap(), &desk, &mut out).await;
            assert!(
                matches!(&outcome, Err(Stop::Error(e)) if e.kind == ErrorKind::Refused),
                "{line}: {outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn verification_that_finds_something_exits_with_five() {
        let report = salus_api::VerifyReport {
            logs: 1,
            ..Default::default()
        };
        let (mut out, _) = Out::captured();
        let verify = command("audit verify");
        let outcome = show(&verify, &Response::Verified(report), &mut out);
        assert_eq!(outcome, Ok(Exit::INTEGRITY));
    }
}
