//! Knowing the input that ends the process, or never ends itself.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// An input that takes so long never ends.
const ENDLESS: Duration = Duration::from_secs(60);

/// The exit code then.
const ENDLESS_CODE: i32 = 3;

/// Writes each input to a file before it is tried, and ends the process when one never ends.
pub(crate) struct Watch(Option<Watching>);

struct Watching {
    file: File,
    count: Arc<AtomicU64>,
    /// Dropped, it ends the thread.
    _end: Sender<()>,
}

impl Watch {
    /// Watches nothing if there is no folder. The file is `last-<target>.bin`, the raw bytes.
    pub(crate) fn begin(folder: Option<&Path>, target: &str) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self(None));
        };
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("last-{target}.bin"));
        let file = File::create(&path)?;
        let count = Arc::new(AtomicU64::new(0));
        let (end, ended) = channel();
        let counted = Arc::clone(&count);
        std::thread::spawn(move || {
            let mut before = u64::MAX;
            while ended.recv_timeout(ENDLESS) == Err(RecvTimeoutError::Timeout) {
                let now = counted.load(Ordering::Relaxed);
                if now == before {
                    eprintln!("an input takes longer than {ENDLESS:?}: {}", path.display());
                    std::process::exit(ENDLESS_CODE);
                }
                before = now;
            }
        });
        Ok(Self(Some(Watching {
            file,
            count,
            _end: end,
        })))
    }

    pub(crate) fn next(&mut self, input: &[u8]) -> io::Result<()> {
        let Some(watching) = &mut self.0 else {
            return Ok(());
        };
        watching.count.fetch_add(1, Ordering::Relaxed);
        watching.file.rewind()?;
        watching.file.write_all(input)?;
        watching.file.set_len(input.len() as u64)
    }
}
