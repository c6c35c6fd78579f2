//! Files in the clear for another program: where they lie, who may read them, and how they end.
//!
//! Each lies alone in a folder that only its owner may enter, under a name that says nothing. It is overwritten and removed
//! when the program that shows it ends; where that program only hands it on, when the screen that opened it is left; in any
//! case when the UI ends. A process that is killed leaves it behind; so may a disk that writes elsewhere than it read
//! (flash, snapshots): a runtime folder in memory (`XDG_RUNTIME_DIR`) is preferred.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A program that ends this soon after its start, without a complaint, has handed the file on (a guess: nobody looks at a
/// picture for less).
const HANDED_ON: Duration = Duration::from_secs(2);
/// Names tried for a folder (a guess: the first one is free).
const MAX_NAMES: usize = 16;
/// Attempts at a folder into which somebody still writes, and the time between two of them (guesses).
const MAX_WIPES: usize = 5;
const BETWEEN_WIPES: Duration = Duration::from_millis(100);
/// Bytes overwritten at a time.
const BLOCK_BYTES: usize = 64 * 1_024;

/// What the program on this system is called that opens a file with whatever shows it.
const LAUNCHER: &str = if cfg!(target_os = "macos") {
    "open"
} else if cfg!(windows) {
    // Not `start`: that is the shell's own, and a shell reads names.
    "explorer.exe"
} else {
    "xdg-open"
};

/// What became of a file for another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scratch {
    /// A file of this name may be written now.
    Ready(PathBuf),
    /// A program shows it; it is wiped when that ends.
    Shown,
    /// It was handed on: nobody tells when it is closed.
    HandedOn,
    /// The program has ended, and the file is wiped.
    Ended,
    /// It could not be shown, and is wiped; why, and what to do.
    Failed(String),
}

/// The program that shows files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Viewer {
    program: OsString,
    arguments: Vec<OsString>,
    /// Whether it is known to hand files on.
    hands_on: bool,
}

impl Viewer {
    /// What `SALUS_VIEWER` says, a program and its arguments parted by blanks, else the system's launcher.
    pub fn from_env(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let own = get("SALUS_VIEWER").and_then(|own| own.into_string().ok());
        let mut words = own.iter().flat_map(|own| own.split_whitespace());
        let first = words.next();
        let viewer = Self {
            program: first.unwrap_or(LAUNCHER).into(),
            arguments: words.map(OsString::from).collect(),
            hands_on: first.is_none(),
        };
        let search = get("PATH").unwrap_or_default();
        if is_there(&viewer.program, &search) {
            return Ok(viewer);
        }
        let program = viewer.program.to_string_lossy();
        Err(format!(
            "There is no program {program} here. Set SALUS_VIEWER to one that shows files and start salus again."
        ))
    }
}

/// Whether a program is where its name says, or in one of the folders of `PATH`.
fn is_there(program: &OsStr, search: &OsStr) -> bool {
    let program = Path::new(program);
    let is_program = |path: &Path| path.is_file() || path.with_added_extension("exe").is_file();
    match program.components().count() {
        1 => std::env::split_paths(search).any(|folder| is_program(&folder.join(program))),
        _ => is_program(program),
    }
}

/// Where such files are put: a folder in memory where the system has one for each person.
pub(crate) fn base(get: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let runtime = get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|folder| folder.is_absolute() && folder.is_dir());
    runtime.unwrap_or_else(std::env::temp_dir)
}

/// How a folder stands.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    /// A program shows what is in it.
    shown: bool,
    /// The screen that asked for it is gone.
    left: bool,
}

/// All such files of this run. Clones are of the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Scratches {
    base: PathBuf,
    viewer: Result<Viewer, String>,
    handed_on: Duration,
    folders: Arc<Mutex<HashMap<PathBuf, Held>>>,
}

impl Scratches {
    /// None yet.
    pub fn new(base: PathBuf, viewer: Result<Viewer, String>) -> Self {
        Self {
            base,
            viewer,
            handed_on: HANDED_ON,
            folders: Arc::default(),
        }
    }

    fn folders(&self) -> MutexGuard<'_, HashMap<PathBuf, Held>> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a place for a file with this ending. Nothing is made where nothing could show it.
    pub fn prepare(&self, ending: &str) -> Scratch {
        if let Err(why) = &self.viewer {
            return Scratch::Failed(why.clone());
        }
        match private_folder(&self.base) {
            Ok(folder) => {
                let file = folder.join(format!("attachment.{ending}"));
                self.folders().insert(folder, Held::default());
                Scratch::Ready(file)
            }
            Err(error) => Scratch::Failed(format!(
                "No private folder can be made in {}: {error}.",
                self.base.display()
            )),
        }
    }

    /// Shows a file and waits until its program has ended. Tells first that it is shown.
    pub fn show(&self, file: &Path, tell: impl Fn(Scratch)) {
        let told = self.shown(file, &tell);
        let folder = file.parent().unwrap_or(file);
        let keep = {
            let mut folders = self.folders();
            let held = folders.get_mut(folder);
            let left = held.is_none_or(|held| {
                held.shown = false;
                held.left
            });
            told == Scratch::HandedOn && !left
        };
        if !keep {
            self.wipe(file);
        }
        tell(told);
    }

    fn shown(&self, file: &Path, tell: &impl Fn(Scratch)) -> Scratch {
        let viewer = match &self.viewer {
            Ok(viewer) => viewer,
            Err(why) => return Scratch::Failed(why.clone()),
        };
        let name = viewer.program.to_string_lossy();
        let folder = file.parent().unwrap_or(file);
        // A folder that was wiped meanwhile is not shown any more.
        match self.folders().get_mut(folder) {
            Some(held) => held.shown = true,
            None => return Scratch::Ended,
        }
        if let Err(error) = owner_only(file) {
            return Scratch::Failed(format!("The file cannot be kept from others: {error}."));
        }
        let began = Instant::now();
        let mut command = Command::new(&viewer.program);
        command.args(&viewer.arguments).arg(file);
        // What it prints would land on the screen.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let ended = command.spawn().and_then(|mut child| {
            tell(Scratch::Shown);
            child.wait()
        });
        let soon = began.elapsed() < self.handed_on;
        match ended {
            Err(error) => Scratch::Failed(format!("{name} cannot be started: {error}.")),
            Ok(status) if status.success() && (viewer.hands_on || soon) => Scratch::HandedOn,
            Ok(status) if !status.success() && (viewer.hands_on || soon) => {
                Scratch::Failed(format!("{name} did not show the file ({status})."))
            }
            Ok(_) => Scratch::Ended,
        }
    }

    /// The screen that asked for a file is gone: wipes it, at the end of its program where one shows it.
    pub fn leave(&self, file: &Path) {
        let folder = file.parent().unwrap_or(file);
        let shown = match self.folders().get_mut(folder) {
            Some(held) => {
                held.left = true;
                held.shown
            }
            None => return,
        };
        if !shown {
            self.wipe(file);
        }
    }

    /// Wipes a file now.
    fn wipe(&self, file: &Path) {
        let folder = file.parent().unwrap_or(file);
        // It stays known until it is wiped: what fails is tried again when the UI ends.
        for _ in 0..MAX_WIPES {
            if wipe_folder(folder).is_ok() {
                self.folders().remove(folder);
                return;
            }
            std::thread::sleep(BETWEEN_WIPES);
        }
    }

    /// Wipes all of them: the UI ends.
    pub fn wipe_all(&self) {
        for (folder, _) in self.folders().drain() {
            // Nobody is left to tell if this fails.
            drop(wipe_folder(&folder));
        }
    }
}

/// A new folder that nobody else may enter.
fn private_folder(base: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut tried = Err(io::ErrorKind::AlreadyExists.into());
    for _ in 0..MAX_NAMES {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("salus-{}-{:x}-{n}", std::process::id(), since.as_nanos());
        // It must be new: somebody else's folder is not taken, and no link is followed.
        let folder = base.join(name);
        tried = builder.create(&folder).map(|()| folder);
        if !matches!(&tried, Err(e) if e.kind() == io::ErrorKind::AlreadyExists) {
            break;
        }
    }
    tried
}

#[cfg(unix)]
fn owner_only(file: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn owner_only(_file: &Path) -> io::Result<()> {
    Ok(())
}

/// Overwrites and removes all that is in a folder, then the folder. One that is gone is wiped.
fn wipe_folder(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            // What cannot be overwritten is removed all the same.
            drop(overwrite(&entry.path()));
        }
        fs::remove_file(entry.path())?;
    }
    fs::remove_dir(folder)
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let zeros = [0; BLOCK_BYTES];
    while left > 0 {
        let block = zeros
            .get(..usize::try_from(left).unwrap_or(BLOCK_BYTES))
            .unwrap_or(&zeros);
        file.write_all(block)?;
        left -= block.len() as u64;
    }
    file.sync_data()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;

    use super::*;

    fn with(words: &str, handed_on: Duration) -> Scratches {
        let get = |name: &str| match name {
            "SALUS_VIEWER" => Some(OsString::from(words)),
            name => std::env::var_os(name),
        };
        let mut scratches = Scratches::new(std::env::temp_dir(), Viewer::from_env(get));
        scratches.handed_on = handed_on;
        scratches
    }

    fn ready(scratches: &Scratches) -> PathBuf {
        let Scratch::Ready(file) = scratches.prepare("png") else {
            panic!("no place for a file")
        };
        fs::write(&file, b"a picture").unwrap();
        file
    }

    fn shown(scratches: &Scratches, file: &Path) -> Vec<Scratch> {
        let (tell, told) = mpsc::channel();
        scratches.show(file, |scratch| tell.send(scratch).unwrap());
        told.try_iter().collect()
    }

    fn is_gone(file: &Path) -> bool {
        !file.exists() && !file.parent().unwrap().exists()
    }

    #[test]
    fn only_the_owner_reads_it_and_it_is_wiped_when_its_program_ends() {
        let scratches = with("true", Duration::ZERO);
        let file = ready(&scratches);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.parent().unwrap()), 0o700);
        assert_eq!(file.file_name().unwrap(), "attachment.png");
        assert_eq!(shown(&scratches, &file), [Scratch::Shown, Scratch::Ended]);
        assert!(is_gone(&file));
        let kept = with("true", Duration::MAX);
        let file = ready(&kept);
        shown(&kept, &file);
        assert_eq!(mode(&file), 0o600);
        kept.wipe_all();
        assert!(is_gone(&file));
    }

    #[test]
    fn what_is_handed_on_is_kept_until_the_screen_is_left() {
        let scratches = with("true", Duration::MAX);
        let file = ready(&scratches);
        assert_eq!(
            shown(&scratches, &file),
            [Scratch::Shown, Scratch::HandedOn]
        );
        assert_eq!(fs::read(&file).unwrap(), b"a picture");
        scratches.leave(&file);
        assert!(is_gone(&file));
        // A second time does no harm; what is wiped is not shown.
        scratches.leave(&file);
        assert_eq!(shown(&scratches, &file), [Scratch::Ended]);
    }

    #[test]
    fn a_screen_that_is_left_early_waits_for_the_program_only() {
        let scratches = with("true", Duration::MAX);
        let file = ready(&scratches);
        let still = scratches.clone();
        let left = file.clone();
        scratches.show(&file, |scratch| {
            if scratch == Scratch::Shown {
                still.leave(&left);
                assert!(left.exists(), "the program has not ended");
            }
        });
        assert!(is_gone(&file));
    }

    #[test]
    fn a_program_that_complains_or_is_not_there_leaves_nothing_behind() {
        let scratches = with("false", Duration::MAX);
        let file = ready(&scratches);
        let told = shown(&scratches, &file);
        assert!(
            matches!(told.last(), Some(Scratch::Failed(why)) if why.contains("false")),
            "{told:?}"
        );
        assert!(is_gone(&file));
        let absent = with("no-such-program-anywhere --full", Duration::MAX);
        let Scratch::Failed(why) = absent.prepare("png") else {
            panic!("nothing shows it")
        };
        assert!(why.contains("Set SALUS_VIEWER"), "{why}");
        assert!(absent.folders().is_empty());
    }

    #[test]
    fn all_are_wiped_at_the_end() {
        let scratches = with("true", Duration::MAX);
        let files = [ready(&scratches), ready(&scratches)];
        fs::write(files[0].with_file_name("thumbnail"), b"beside it").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", files[1].with_file_name("link")).unwrap();
        shown(&scratches, &files[0]);
        scratches.wipe_all();
        assert!(files.iter().all(|file| is_gone(file)));
    }

    #[test]
    fn what_is_wiped_was_overwritten_first() {
        let scratches = with("true", Duration::MAX);
        let file = ready(&scratches);
        // Another name of the same bytes.
        let other = std::env::temp_dir()
            .join(file.parent().unwrap().file_name().unwrap())
            .with_extension("same");
        fs::hard_link(&file, &other).unwrap();
        scratches.leave(&file);
        assert_eq!(fs::read(&other).unwrap(), [0; 9]);
        fs::remove_file(other).unwrap();
    }

    #[test]
    fn the_environment_names_the_program() {
        let env = |viewer: Option<&'static str>| {
            Viewer::from_env(move |name| match name {
                "SALUS_VIEWER" => viewer.map(OsString::from),
                _ => Some("/bin:/usr/bin".into()),
            })
        };
        let own = env(Some(" true  --full screen ")).unwrap();
        assert_eq!(own.arguments, ["--full", "screen"]);
        assert!(!own.hands_on);
        assert!(env(Some("/bin/true/nothing")).is_err());
        // Blank is as good as nothing.
        let system = env(Some("  "));
        assert_eq!(system, env(None));
        assert!(system.map_or_else(|why| why.contains(LAUNCHER), |viewer| viewer.hands_on));
    }
}
