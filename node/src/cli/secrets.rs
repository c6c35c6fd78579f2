//! Where a passphrase comes from: a file, the environment, or a person at the terminal. It is never echoed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use salus_api::{ApiError, Passphrase};
use zeroize::Zeroize;

use super::args::Global;
use super::exit::{Stop, file_error};

/// The variable that may hold a passphrase.
pub const VARIABLE: &str = "SALUS_PASSPHRASE";
/// Longest passphrase or token that is read from a file, bytes; a guess that no passphrase reaches.
pub const MAX_SECRET_BYTES: u64 = 4096;

/// What the process finds around it, read once so that tests can say otherwise.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Content of `SALUS_PASSPHRASE`.
    pub variable: Option<OsString>,
    /// Whether a person can be asked.
    pub terminal: bool,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            variable: std::env::var_os(VARIABLE),
            terminal: std::io::stdin().is_terminal(),
        }
    }
}

/// The passphrase that came with the command, by file or by variable; the file wins.
pub fn given(global: &Global, around: &Surroundings) -> Result<Option<Passphrase>, ApiError> {
    if let Some(path) = &global.passphrase_file {
        return from_file(path).map(Some);
    }
    match &around.variable {
        Some(text) if !text.is_empty() => match text.to_str() {
            Some(text) => Ok(Some(Passphrase::new(text.to_owned()))),
            None => Err(ApiError::usage(format!("{VARIABLE} is not UTF-8"))),
        },
        _ => Ok(None),
    }
}

/// Reads a passphrase from a file, without the line break at its end.
pub fn from_file(path: &Path) -> Result<Passphrase, ApiError> {
    let mut text =
        read_secret(path).map_err(|e| file_error("read the passphrase from", path, &e))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(ApiError::usage(format!(
            "the passphrase file {} is empty",
            path.display()
        )));
    }
    Ok(Passphrase::new(text))
}

/// Reads a small secret file whole.
pub fn read_secret(path: &Path) -> std::io::Result<String> {
    // The room is taken at once, so that no copy of the secret is left behind by a growing buffer.
    let mut bytes = Vec::with_capacity(usize::try_from(MAX_SECRET_BYTES + 1).unwrap_or(usize::MAX));
    File::open(path)?
        .take(MAX_SECRET_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        bytes.zeroize();
        return Err(std::io::Error::other(format!(
            "more than {MAX_SECRET_BYTES} bytes"
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        error.into_bytes().zeroize();
        std::io::Error::other("not UTF-8")
    })
}

/// Asks at the terminal.
pub async fn ask(prompt: &str) -> Result<Passphrase, Stop> {
    let prompt = format!("{prompt}: ");
    let typed = tokio::task::spawn_blocking(move || rpassword::prompt_password(prompt)).await;
    match typed {
        Ok(Ok(typed)) => Ok(Passphrase::new(typed)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::Interrupted => Err(Stop::Interrupted),
        Ok(Err(error)) => Err(ApiError::failed(format!(
            "could not read a passphrase from the terminal: {error}"
        ))
        .hint(format!("use --passphrase-file FILE or {VARIABLE}"))
        .into()),
        Err(_) => Err(Stop::Interrupted),
    }
}

/// Asks for a new passphrase, twice, until both are the same.
pub async fn ask_new(whose: &str) -> Result<Passphrase, Stop> {
    /// After so many differing pairs something else is wrong.
    const MAX_TRIES: usize = 3;
    for _ in 0..MAX_TRIES {
        let first = ask(&format!("New passphrase for {whose}")).await?;
        not_empty(&first)?;
        if ask("The same again").await? == first {
            return Ok(first);
        }
    }
    Err(ApiError::usage("the two passphrases differ").into())
}

/// A new passphrase must be one.
pub fn not_empty(passphrase: &Passphrase) -> Result<(), ApiError> {
    if passphrase.expose().is_empty() {
        return Err(ApiError::usage("a passphrase must not be empty"));
    }
    Ok(())
}

/// Nobody can be asked and nothing was given.
pub fn missing() -> ApiError {
    ApiError::refused("this needs a passphrase, and there is no terminal to ask for it").hint(
        format!("use --passphrase-file FILE, {VARIABLE}, or `salus unlock` where a daemon runs"),
    )
}

#[cfg(test)]
mod tests {
    use salus_api::ErrorKind;

    use super::*;

    fn with_file(content: &[u8]) -> (tempfile::TempDir, Global) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        std::fs::write(&path, content).unwrap();
        let global = Global {
            passphrase_file: Some(path),
            ..Global::default()
        };
        (folder, global)
    }

    #[test]
    fn a_file_wins_over_the_variable_and_loses_only_its_line_break() {
        let around = Surroundings {
            variable: Some("from the variable".into()),
            terminal: false,
        };
        let (_folder, global) = with_file(b" correct horse \r\n");
        let found = given(&global, &around).unwrap().unwrap();
        assert_eq!(found.expose(), " correct horse ");
        let found = given(&Global::default(), &around).unwrap().unwrap();
        assert_eq!(found.expose(), "from the variable");
        assert_eq!(
            given(&Global::default(), &Surroundings::default()).unwrap(),
            None
        );
    }

    #[test]
    fn a_bad_passphrase_file_is_an_error_that_names_it() {
        for content in [&b"\n"[..], b"\xff\xfe", &[b'a'; 5000]] {
            let (_folder, global) = with_file(content);
            let error = given(&global, &Surroundings::default()).unwrap_err();
            assert!(error.message.contains("passphrase"), "{error}");
        }
        let global = Global {
            passphrase_file: Some("/nonexistent/passphrase".into()),
            ..Global::default()
        };
        let error = given(&global, &Surroundings::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
}
