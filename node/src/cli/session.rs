//! Who acts: the session that `unlock` keeps in the data folder, or a passphrase for one command.

use std::path::{Path, PathBuf};

use salus_api::{
    ApiError, Auth, Client, ErrorKind, Progress, Request, Response, SessionToken, Status,
};

use super::args::Global;
use super::exit::{Exit, Outcome, Stop, file_error};
use super::json::Object;
use super::output::Out;
use super::render;
use super::secrets::{self, Surroundings};
use crate::whole_file;

/// Name of the file that holds the session's token, inside the data folder.
const SESSION_FILE: &str = "session";

/// A handle with the one who uses it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The node.
    pub client: Client,
    /// Who asks.
    pub auth: Auth,
}

impl Caller {
    /// Asks, and waits for the answer.
    pub async fn call(&self, request: Request) -> Result<Response, ApiError> {
        self.client.call(self.auth.clone(), request).await
    }

    /// The same, and hears how far it has come.
    pub async fn call_with(
        &self,
        request: Request,
        progress: impl FnMut(Progress),
    ) -> Result<Response, ApiError> {
        let auth = self.auth.clone();
        self.client.call_with(auth, request, progress).await
    }
}

/// A node, and what a command needs to act on it.
pub struct Desk<'a> {
    /// The node.
    pub client: &'a Client,
    /// Whether it is a daemon, which other commands will reach too.
    pub daemon: bool,
    /// Its data folder.
    pub folder: &'a Path,
    /// The command's options.
    pub global: &'a Global,
    /// Where a passphrase may come from.
    pub around: &'a Surroundings,
}

impl Desk<'_> {
    /// The one who acts: by the passphrase given, by the session, or by asking at the terminal.
    ///
    /// Without a daemon the passphrase is exchanged for a session in this process at once: a command of many calls
    /// derives the key once.
    pub async fn caller(&self) -> Result<Caller, Stop> {
        let auth = match self.known().await? {
            Some(auth) => auth,
            None if self.around.terminal => self.passphrase(secrets::ask("Passphrase").await?),
            None => return Err(secrets::missing().into()),
        };
        let client = self.client.clone();
        let passphrase = matches!(auth, Auth::Passphrase { .. });
        if !self.daemon && passphrase {
            return match client.call(auth, Request::Unlock).await? {
                Response::Unlocked { session, .. } => Ok(Caller {
                    client,
                    auth: Auth::Session(session),
                }),
                _ => Err(render::unexpected().into()),
            };
        }
        Ok(Caller { client, auth })
    }

    /// The one who acts, by their passphrase and not by an open session: for what nobody else at the desk may do.
    pub async fn in_person(&self) -> Result<Caller, Stop> {
        let passphrase = match secrets::given(self.global, self.around)? {
            Some(passphrase) => passphrase,
            None if self.around.terminal => secrets::ask("Present passphrase").await?,
            None => return Err(secrets::missing().into()),
        };
        Ok(Caller {
            client: self.client.clone(),
            auth: self.passphrase(passphrase),
        })
    }

    /// The one who acts, as far as is known without asking; else nobody.
    pub async fn caller_if_known(&self) -> Result<Caller, ApiError> {
        Ok(Caller {
            client: self.client.clone(),
            auth: self.known().await?.unwrap_or_default(),
        })
    }

    async fn known(&self) -> Result<Option<Auth>, ApiError> {
        if let Some(passphrase) = secrets::given(self.global, self.around)? {
            return Ok(Some(self.passphrase(passphrase)));
        }
        let Some(token) = self.daemon.then(|| read_token(self.folder)).flatten() else {
            return Ok(None);
        };
        let auth = Auth::Session(token);
        let signed_in = match self.client.call(auth.clone(), Request::Status).await {
            Ok(Response::Status(Status { staff, .. })) => staff,
            Ok(_) => None,
            Err(error) if error.kind == ErrorKind::Refused => None,
            Err(error) => return Err(error),
        };
        Ok(match (signed_in, &self.global.staff) {
            (None, _) => {
                forget(self.folder)?;
                None
            }
            (Some(signed_in), Some(wanted)) if !same_name(&signed_in, wanted) => None,
            (Some(_), _) => Some(auth),
        })
    }

    fn passphrase(&self, passphrase: salus_api::Passphrase) -> Auth {
        Auth::Passphrase {
            staff: self.global.staff.clone(),
            passphrase,
        }
    }

    /// `salus unlock`.
    pub async fn unlock(&self, out: &mut Out) -> Outcome {
        let passphrase = match secrets::given(self.global, self.around)? {
            Some(passphrase) => passphrase,
            None if self.around.terminal => secrets::ask("Passphrase").await?,
            None => return Err(secrets::missing().into()),
        };
        let auth = self.passphrase(passphrase);
        let Response::Unlocked { session, staff } = self.client.call(auth, Request::Unlock).await?
        else {
            return Err(render::unexpected().into());
        };
        if self.daemon {
            write_token(self.folder, &session)?;
        }
        if out.form().json {
            let object = Object::new()
                .with("staff", &staff)
                .with("daemon", self.daemon)
                .with("session", self.daemon);
            out.json(&object)?;
            return Ok(Exit::DONE);
        }
        out.line(if self.daemon {
            format!("Unlocked as {staff}. `salus lock` ends the session.")
        } else {
            format!(
                "The passphrase of {staff} is right. No daemon runs on this folder, so each command asks for it; \
                 `salus node` starts one."
            )
        })?;
        Ok(Exit::DONE)
    }

    /// `salus lock`.
    pub async fn lock(&self, out: &mut Out) -> Outcome {
        let said = if self.daemon {
            let caller = self.caller_if_known().await?;
            let response = caller.call(Request::Lock).await?;
            forget(self.folder)?;
            response
        } else {
            forget(self.folder)?;
            Response::Done("No daemon runs on this folder: nothing is unlocked.".to_owned())
        };
        render::answer(out, &said)
    }

    /// `salus status`.
    pub async fn status(&self, out: &mut Out) -> Outcome {
        let caller = self.caller_if_known().await?;
        let response = caller.call(Request::Status).await?;
        render::answer(out, &response)
    }
}

/// Staff names are told apart as the vault tells them apart: without regard to case.
fn same_name(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

fn token_path(folder: &Path) -> PathBuf {
    folder.join(SESSION_FILE)
}

fn read_token(folder: &Path) -> Option<SessionToken> {
    let token = secrets::read_secret(&token_path(folder)).ok()?;
    let token = token.trim_end().to_owned();
    (!token.is_empty()).then(|| SessionToken::new(token))
}

/// Keeps the token where only this user of the machine reads it.
fn write_token(folder: &Path, token: &SessionToken) -> Result<(), ApiError> {
    let path = token_path(folder);
    whole_file::write_over(&path, |file| {
        file.write_all(token.expose().as_bytes())?;
        file.write_all(b"\n")
    })
    .map_err(|e| file_error("keep the session in", &path, &e))
}

fn forget(folder: &Path) -> Result<(), ApiError> {
    let path = token_path(folder);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_error("remove the session", &path, &error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use salus_api::LockState;

    use super::*;
    use crate::cli::fake::{self, status};

    struct Room {
        folder: tempfile::TempDir,
        global: Global,
        around: Surroundings,
    }

    impl Room {
        fn new(variable: Option<&str>) -> Self {
            Self {
                folder: tempfile::tempdir().unwrap(),
                global: Global::default(),
                around: Surroundings {
                    variable: variable.map(OsString::from),
                    terminal: false,
                },
            }
        }

        fn desk<'a>(&'a self, client: &'a Client, daemon: bool) -> Desk<'a> {
            Desk {
                client,
                daemon,
                folder: self.folder.path(),
                global: &self.global,
                around: &self.around,
            }
        }

        fn session_file(&self) -> PathBuf {
            token_path(self.folder.path())
        }
    }

    /// A node that knows one passphrase and one session.
    fn node() -> Client {
        fake::node(|auth, request| {
            let known = match auth {
                Auth::Session(token) => token.expose() == "token",
                Auth::Passphrase { passphrase, .. } => passphrase.expose() == "right",
                Auth::Nobody => false,
            };
            match request {
                Request::Status => Ok(Response::Status(Status {
                    staff: known.then(|| "Ann".to_owned()),
                    state: LockState::Unlocked,
                    ..status()
                })),
                _ if !known => Err(ApiError::refused("wrong passphrase")),
                Request::Unlock => Ok(Response::Unlocked {
                    session: SessionToken::new("token".to_owned()),
                    staff: "Ann".to_owned(),
                }),
                Request::Lock => Ok(Response::Done("Locked.".to_owned())),
                _ => Ok(Response::Patients(Vec::new())),
            }
        })
    }

    #[tokio::test]
    async fn a_daemons_session_is_kept_for_the_next_commands_until_lock() {
        let client = node();
        let mut room = Room::new(Some("right"));
        let (mut out, seen) = Out::captured();
        room.desk(&client, true).unlock(&mut out).await.unwrap();
        assert_eq!(
            seen.stdout(),
            "Unlocked as Ann. `salus lock` ends the session.\n"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(room.session_file())
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        room.around.variable = None;
        let caller = room.desk(&client, true).caller().await.unwrap();
        assert!(matches!(caller.auth, Auth::Session(_)));
        room.desk(&client, true).lock(&mut out).await.unwrap();
        assert!(!room.session_file().exists());
    }

    #[tokio::test]
    async fn without_a_daemon_unlock_checks_the_passphrase_and_keeps_nothing() {
        let client = node();
        let room = Room::new(Some("right"));
        let (mut out, seen) = Out::captured();
        room.desk(&client, false).unlock(&mut out).await.unwrap();
        assert!(seen.stdout().contains("each command asks for it"));
        assert!(!room.session_file().exists());
        let caller = room.desk(&client, false).caller().await.unwrap();
        assert!(matches!(caller.auth, Auth::Session(_)));
    }

    #[tokio::test]
    async fn a_wrong_passphrase_and_none_at_all_are_refused() {
        let client = node();
        for variable in [Some("wrong"), None] {
            let room = Room::new(variable);
            let Err(Stop::Error(error)) = room.desk(&client, false).caller().await else {
                panic!("let in");
            };
            assert_eq!(error.kind, ErrorKind::Refused);
        }
    }

    #[tokio::test]
    async fn a_stale_session_is_forgotten_and_somebody_elses_is_not_used() {
        let client = node();
        let mut room = Room::new(None);
        std::fs::write(room.session_file(), "old\n").unwrap();
        assert!(room.desk(&client, true).caller().await.is_err());
        assert!(!room.session_file().exists());
        std::fs::write(room.session_file(), "token\n").unwrap();
        room.global.staff = Some("Bo".to_owned());
        assert!(room.desk(&client, true).caller().await.is_err());
        room.global.staff = Some("ann".to_owned());
        assert!(room.desk(&client, true).caller().await.is_ok());
    }
}
