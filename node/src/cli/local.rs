//! Commands that do not go through a node's API: founding a clinic, running the daemon, the terminal UI, the demo and
//! the benchmarks.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::pin::pin;

use salus_api::{ApiError, Auth, Status};

use super::args::{BenchArgs, DemoArgs, Global, InitArgs, NodeArgs, RestoreArgs};
use super::commands;
use super::exit::{Exit, Outcome, Stop, file_error};
use super::interrupt::Interrupt;
use super::output::Out;
use super::render;
use super::secrets::{self, Surroundings};
use crate::backup::{self, RestoreOptions};
use crate::bench::{self, BenchOptions};
use crate::daemon;
use crate::demo::{self, DemoOptions};
use crate::setup::{self, InitOptions};

/// `salus init`.
pub async fn init(
    args: &InitArgs,
    global: &Global,
    around: &Surroundings,
    interrupt: &mut Interrupt,
    out: &mut Out,
) -> Outcome {
    let Some(staff) = global.staff.clone().filter(|s| !s.trim().is_empty()) else {
        return Err(ApiError::usage("init needs the name of the first person")
            .hint("add --staff NAME")
            .into());
    };
    if args.clinic.trim().is_empty() {
        return Err(ApiError::usage("a clinic needs a name").into());
    }
    let data_dir = global.folder()?;
    // The file for the words is made first: words that nobody can write down are worse than no clinic.
    let recovery = args.recovery_out.as_deref().map(Recovery::create);
    let recovery = recovery.transpose()?;
    let passphrase = match secrets::given(global, around)? {
        Some(passphrase) => passphrase,
        None if around.terminal => interrupt.or(secrets::ask_new(&staff)).await??,
        None => return Err(secrets::missing().into()),
    };
    secrets::not_empty(&passphrase)?;
    let options = InitOptions {
        data_dir: data_dir.clone(),
        clinic: args.clinic.trim().to_owned(),
        staff: staff.trim().to_owned(),
        role: args.role.value(),
        passphrase,
        network: args.network.value(),
        test_kdf: args.test_kdf,
    };
    // From here to the words on the screen no signal is heeded: a clinic without its words must not come about.
    let done = tokio::task::spawn_blocking(move || setup::init(options))
        .await
        .map_err(|_| ApiError::failed("the clinic could not be founded: it stopped midway"))??;
    let founded = render::Founded {
        clinic: &done.clinic_id,
        name: &done.clinic_name,
        staff: &done.staff,
        data_dir: &data_dir,
        addresses: &done.addresses,
        words: recovery.is_none().then_some(&done.recovery_words),
        words_file: args.recovery_out.as_deref(),
    };
    if let Some(recovery) = recovery
        && let Err(error) = recovery.write(&done.recovery_words)
    {
        // The clinic exists; its words must not be lost with the file.
        out.error(&error);
        let shown = render::Founded {
            words: Some(&done.recovery_words),
            words_file: None,
            ..founded
        };
        render::founded(out, &shown)?;
        return Ok(Exit::of(&error));
    }
    render::founded(out, &founded)
}

/// `salus restore`.
pub async fn restore(
    args: &RestoreArgs,
    global: &Global,
    around: &Surroundings,
    interrupt: &mut Interrupt,
    out: &mut Out,
) -> Outcome {
    let recovery = commands::recovery_words(&args.recovery)?;
    let passphrase = match secrets::given(global, around)? {
        Some(passphrase) => passphrase,
        None if around.terminal => {
            interrupt
                .or(secrets::ask("Passphrase of the backup"))
                .await??
        }
        None => return Err(secrets::missing().into()),
    };
    let options = RestoreOptions {
        file: args.file.clone(),
        data_dir: global.folder()?,
        staff: global.staff.clone(),
        passphrase,
        recovery,
    };
    let restored = tokio::task::spawn_blocking(move || backup::restore(&options))
        .await
        .map_err(|_| ApiError::failed("the backup could not be restored: it stopped midway"))??;
    render::restored(out, &restored)
}

/// A new file for the recovery words; gone again unless they are written.
struct Recovery<'a> {
    path: &'a Path,
    file: File,
    written: bool,
}

impl<'a> Recovery<'a> {
    fn create(path: &'a Path) -> Result<Self, ApiError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| {
            file_error("make the file for the recovery words", path, &e)
                .hint("name a file that does not exist yet, in a folder that does")
        })?;
        Ok(Self {
            path,
            file,
            written: false,
        })
    }

    fn write(mut self, words: &str) -> Result<(), ApiError> {
        let write = |file: &mut File| -> io::Result<()> {
            writeln!(file, "{words}")?;
            file.sync_all()
        };
        write(&mut self.file)
            .map_err(|e| file_error("write the recovery words to", self.path, &e))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for Recovery<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// `salus node`. On a signal the daemon stops by itself, in its own order.
pub async fn node(
    args: &NodeArgs,
    global: &Global,
    around: &Surroundings,
    interrupt: &mut Interrupt,
    out: &mut Out,
) -> Outcome {
    const PROMPT: &str = "Passphrase (empty: start sealed, `salus unlock` opens it)";
    let passphrase = match secrets::given(global, around)? {
        Some(passphrase) => Some(passphrase),
        None if around.terminal => {
            let typed = interrupt.or(secrets::ask(PROMPT)).await??;
            Some(typed).filter(|typed| !typed.expose().is_empty())
        }
        None => None,
    };
    let auth = passphrase.map_or(Auth::Nobody, |passphrase| Auth::Passphrase {
        staff: global.staff.clone(),
        passphrase,
    });
    let mut said = Ok(());
    let started = Cell::new(false);
    let shared = RefCell::new(&mut *out);
    let waiting = || {
        let mut out = shared.borrow_mut();
        out.message("another command works on the data folder: waiting for it to end");
    };
    let ready = |status: &Status| {
        started.set(true);
        said = render::ready(&mut shared.borrow_mut(), status);
    };
    {
        let folder = global.folder()?;
        let mut daemon = pin!(daemon::run(folder, args.listen, auth, waiting, ready));
        match interrupt.or(&mut daemon).await {
            Ok(ended) => ended?,
            // The daemon has heard the same signal and is closing.
            Err(Stop::Interrupted) if started.get() => daemon.await?,
            Err(stop) => return Err(stop),
        }
    }
    said?;
    out.message("stopped");
    Ok(Exit::DONE)
}

/// `salus demo`.
pub async fn demo(args: &DemoArgs, out: &mut Out) -> Outcome {
    let options = DemoOptions {
        headless: args.headless,
        clinics: usize::from(args.clinics),
        patients: usize::from(args.patients),
        seed: args.seed,
        keep: args.keep.clone(),
        json: out.form().json,
    };
    let mut told = Told::new(out);
    let done = demo::run(options, &mut |line: &str| told.line(line)).await;
    told.end(done)
}

/// `salus bench`.
pub async fn bench(args: &BenchArgs, out: &mut Out) -> Outcome {
    let options = BenchOptions {
        names: args.names.clone(),
        json: out.form().json,
        data: args.data.clone(),
    };
    let mut told = Told::new(out);
    let done = bench::run(options, &mut |line: &str| told.line(line)).await;
    told.end(done)
}

/// Prints what is told line by line, and remembers the first line that could not be printed.
struct Told<'a> {
    out: &'a mut Out,
    printed: io::Result<()>,
}

impl<'a> Told<'a> {
    fn new(out: &'a mut Out) -> Self {
        Self {
            out,
            printed: Ok(()),
        }
    }

    fn line(&mut self, text: &str) {
        if self.printed.is_ok() {
            let json = self.out.form().json;
            let printed = if json {
                self.out.raw(text).and_then(|()| self.out.raw("\n"))
            } else {
                self.out.line(text)
            };
            self.printed = printed.and_then(|()| self.out.flush());
        }
    }

    fn end(self, done: Result<(), ApiError>) -> Outcome {
        done?;
        self.printed.map_err(Stop::from)?;
        Ok(Exit::DONE)
    }
}
