//! How a command ends. The exit codes of `docs/cli.md` are decided here and nowhere else.

use std::io;

use salus_api::{ApiError, ErrorKind};

use super::output::Out;

/// A process exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exit(u8);

impl Exit {
    /// Done.
    pub const DONE: Self = Self(0);
    /// Something of it failed, and was reported.
    pub const FAILED: Self = Self(1);
    /// The command was not understood.
    pub const USAGE: Self = Self(2);
    /// Stored data is not what was written.
    pub const INTEGRITY: Self = Self(5);

    /// The code of an error.
    pub fn of(error: &ApiError) -> Self {
        Self(error.kind.exit_code())
    }

    /// The code of a run of several parts: the highest, because the codes rise with how much they ask of a person.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        self.max(other)
    }

    /// The number that the process returns.
    pub fn code(self) -> u8 {
        self.0
    }
}

/// Why a command stopped before its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// It could not be done.
    Error(ApiError),
    /// SIGINT or SIGTERM.
    Interrupted,
    /// Whoever read standard output has gone (`| head`): nobody is left to tell.
    Pipe,
}

/// What a command returns.
pub type Outcome = Result<Exit, Stop>;

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

/// Only writes to the standard streams come this way; files get errors that name them.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Pipe;
        }
        Self::Error(ApiError::failed(format!(
            "could not write to standard output: {error}"
        )))
    }
}

/// Flushes, says what went wrong, and gives the exit code.
pub fn finish(out: &mut Out, outcome: Outcome) -> Exit {
    let outcome = outcome.and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    match outcome {
        Ok(exit) => exit,
        Err(Stop::Pipe) => Exit::DONE,
        Err(Stop::Interrupted) => {
            let error = ApiError::failed("interrupted")
                .hint("whatever was reported as done is done; run it again for the rest");
            let _ = out.flush();
            out.error(&error);
            Exit::FAILED
        }
        Err(Stop::Error(error)) => {
            let _ = out.flush();
            out.error(&error);
            Exit::of(&error)
        }
    }
}

/// What could not be done with a file, in the kind that fits.
pub fn file_error(doing: &str, path: &std::path::Path, error: &io::Error) -> ApiError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Failed,
    };
    ApiError::new(
        kind,
        format!("could not {doing} {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code_and_its_hint_on_standard_error() {
        for (kind, code) in [
            (ErrorKind::Failed, 1),
            (ErrorKind::Usage, 2),
            (ErrorKind::Refused, 3),
            (ErrorKind::NotFound, 4),
            (ErrorKind::Integrity, 5),
        ] {
            let (mut out, seen) = Out::captured();
            let error = ApiError::new(kind, "no such thing").hint("look elsewhere");
            assert_eq!(finish(&mut out, Err(error.into())).code(), code);
            assert_eq!(seen.stdout(), "");
            assert_eq!(
                seen.stderr(),
                "error: no such thing\n  hint: look elsewhere\n"
            );
        }
    }

    #[test]
    fn a_broken_pipe_ends_quietly_and_an_interruption_ends_with_one() {
        let (mut out, seen) = Out::captured();
        let pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(finish(&mut out, Err(pipe.into())), Exit::DONE);
        assert_eq!(seen.stderr(), "");
        assert_eq!(finish(&mut out, Err(Stop::Interrupted)), Exit::FAILED);
        assert!(seen.stderr().starts_with("error: interrupted\n"));
    }

    #[test]
    fn the_worst_of_several_results_counts() {
        let refused = Exit::of(&ApiError::refused(""));
        assert_eq!(Exit::DONE.worst(refused).worst(Exit::FAILED), refused);
    }
}
