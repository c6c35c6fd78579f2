//! Bytes of a file on their way into the sandbox: read from the beginning as often as they are wanted, and never held whole.
//!
//! Not here: what is made of them ([`crate::inspect`], [`crate::imaging`]), and files in the store
//! ([`crate::attachments`], which gives its own [`Bytes`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use salus_api::ApiError;
use salus_sandbox::{Sandbox, SandboxError};

/// Bytes that can be read from their beginning, more than once.
pub trait Bytes: Send + Sync {
    /// How many there are.
    fn length(&self) -> u64;

    /// All of them, from the beginning. An [`ApiError`] inside of an error is the reason to be told.
    fn read(&self) -> Box<dyn Read + Send>;
}

/// Few enough to be in memory.
impl Bytes for Arc<[u8]> {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(Self::clone(self)))
    }
}

/// A file of this machine that is open, and how long it was when it was opened.
#[derive(Debug, Clone)]
pub struct OnDisk {
    /// The file. Its own position stays where it is.
    pub file: Arc<File>,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Bytes for OnDisk {
    fn length(&self) -> u64 {
        self.bytes
    }

    fn read(&self) -> Box<dyn Read + Send> {
        Box::new(FromStart {
            file: Arc::clone(&self.file),
            at: 0,
        })
    }
}

/// Reads a file by positions of its own, so that several can read it.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let n = std::os::unix::fs::FileExt::read_at(&*self.file, out, self.at)?;
        #[cfg(windows)]
        let n = std::os::windows::fs::FileExt::seek_read(&*self.file, out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Arc<Mutex<blake3::Hasher>>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        let read = out.get(..n).unwrap_or_default();
        let mut hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
        hasher.update(read);
        Ok(n)
    }
}

/// Has a job of a sandbox read `head` and the first `length` of these bytes: its answer, and the BLAKE3 of what it read of them.
///
/// # Errors
/// If they cannot be read, or the job gives no answer: what `path` names, why, and what to do.
pub fn run(
    sandbox: &Sandbox,
    job: &str,
    head: &[u8],
    (bytes, length): (&dyn Bytes, u64),
    path: &Path,
) -> Result<(Vec<u8>, blake3::Hash), ApiError> {
    let hasher = Arc::new(Mutex::new(blake3::Hasher::new()));
    // Not one byte more, so that the hash is of what was sent.
    let input = Hashing {
        inner: bytes.read().take(length),
        hasher: Arc::clone(&hasher),
    };
    let answer = sandbox
        .run_reading(job, head, input, length)
        .map_err(|error| refused(path, error))?;
    let hasher = hasher.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((answer, hasher.finalize()))
}

fn refused(path: &Path, error: SandboxError) -> ApiError {
    let name = path.display();
    let failed = ApiError::failed(format!("{name}: {error}"));
    match error {
        SandboxError::Unavailable(_) | SandboxError::NotAWorker | SandboxError::UnknownJob(_) => {
            failed.hint("files are read in a process of their own; let this user start one")
        }
        SandboxError::Input(error) => match error.downcast::<ApiError>() {
            Ok(reason) => reason,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => changed(path),
            Err(error) => crate::folder::io_error("read", path, &error),
        },
        _ => failed.hint("the file is damaged or made to break readers; export it again"),
    }
}

/// The file is not what it was when it was read before.
pub fn changed(path: &Path) -> ApiError {
    ApiError::failed(format!("{} changed while it was read", path.display()))
        .hint("wait until the program that writes it has finished")
}

/// Gives what `inner` gives, and an error in place of the last of the first `left` bytes unless these have the hash that was expected.
pub struct Unchanged<R> {
    inner: R,
    left: u64,
    hasher: blake3::Hasher,
    expected: blake3::Hash,
}

impl<R: Read> Unchanged<R> {
    /// For bytes of which the first `first` were read before and had this hash.
    pub fn new(inner: R, first: u64, expected: blake3::Hash) -> Self {
        Self {
            inner,
            left: first,
            hasher: blake3::Hasher::new(),
            expected,
        }
    }
}

impl<R: Read> Read for Unchanged<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        let known = usize::try_from(self.left).map_or(n, |left| left.min(n));
        if known > 0 {
            self.hasher.update(out.get(..known).unwrap_or_default());
            self.left -= known as u64;
            if self.left == 0 && self.hasher.finalize() != self.expected {
                return Err(io::Error::other("it changed while it was read"));
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(bytes: &dyn Bytes) -> Vec<u8> {
        let mut read = Vec::new();
        bytes.read().read_to_end(&mut read).unwrap();
        read
    }

    #[test]
    fn bytes_are_read_from_the_beginning_each_time() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a file").unwrap();
        let on_disk = OnDisk {
            file: Arc::new(file),
            bytes: 6,
        };
        let in_memory: Arc<[u8]> = b"a file".to_vec().into();
        for bytes in [&on_disk as &dyn Bytes, &in_memory] {
            assert_eq!(bytes.length(), 6);
            for _ in 0..2 {
                assert_eq!(all(bytes), b"a file");
            }
        }
    }

    #[test]
    fn what_differs_from_what_was_looked_into_is_not_read_to_its_end() {
        let file = vec![7; 100_000];
        let read = |file: &[u8], first: u64, expected| {
            let mut out = Vec::new();
            let read = Unchanged::new(file, first, expected).read_to_end(&mut out);
            (read.is_ok(), out.len())
        };
        let whole = blake3::hash(&file);
        assert_eq!(read(&file, 100_000, whole), (true, 100_000));
        let mut other = file.clone();
        other[99_999] = 8;
        let (same, read_of_it) = read(&other, 100_000, whole);
        assert!(!same && read_of_it < 100_000);
        // Of what lies behind nothing was known.
        let head = blake3::hash(&file[..1_000]);
        assert_eq!(read(&other, 1_000, head), (true, 100_000));
        other[999] = 8;
        assert!(!read(&other, 1_000, head).0);
    }

    #[test]
    fn what_cannot_be_read_is_told_as_such() {
        struct Refusing;
        impl Bytes for Refusing {
            fn length(&self) -> u64 {
                4
            }
            fn read(&self) -> Box<dyn Read + Send> {
                let reason = ApiError::integrity("the blob is damaged");
                Box::new(Failing(Some(io::Error::other(reason))))
            }
        }
        struct Failing(Option<io::Error>);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0.take().map_or(Ok(0), Err)
            }
        }
        let sandbox = crate::hostile::media_sandbox();
        let path = Path::new("scan.dcm");
        let run = |bytes: &dyn Bytes| {
            run(
                &sandbox,
                salus_media::JOB,
                b"",
                (bytes, bytes.length()),
                path,
            )
            .unwrap_err()
        };
        let error = run(&Refusing);
        assert_eq!(error, ApiError::integrity("the blob is damaged"));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let shrunk = OnDisk {
            file: Arc::new(file),
            bytes: 6,
        };
        let error = run(&shrunk);
        assert!(error.message.contains("scan.dcm changed"), "{error:?}");
    }
}
