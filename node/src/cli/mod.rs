//! The command line: parses, finds the node, asks, shows.
//!
//! A face of `salus_api`, like the terminal UI: it never reaches into the store. A command becomes one or several
//! [`salus_api::Request`]s ([`commands`]), the answers become text or JSON ([`render`]), and how it ended becomes an exit
//! code ([`exit`]). What it needs of the rest of this crate is called here and in [`local`] alone.
//!
//! Invariants: standard output carries the answer and nothing else; no text from elsewhere reaches the terminal
//! uncleaned ([`output`]); nothing is echoed, logged or kept of a passphrase.

mod args;
mod attach;
mod classify;
mod codes;
mod commands;
mod erase;
mod exit;
#[cfg(test)]
mod fake;
mod files;
mod import;
mod interrupt;
mod items;
mod json;
mod local;
mod models;
mod output;
mod progress;
mod proof;
mod qr;
mod render;
mod secrets;
mod session;
mod sync;
mod table;
mod text;
mod time;
mod walk;

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory, Parser};
use salus_api::{ApiError, Auth, ErrorKind, Problem, Response, VerifyReport};

use self::args::{Ai, Audit, Cli, Command, Global};
use self::exit::{Exit, Outcome, Stop};
use self::interrupt::Interrupt;
use self::output::Out;
use self::secrets::Surroundings;
use self::session::Desk;
use crate::connect::{self, OpenOptions};

/// Runs one command line and returns the exit code of `docs/cli.md`.
pub async fn main(line: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(answer) => return help_or_complaint(&answer).code(),
    };
    let mut out = Out::of_process(&cli.global);
    trace(&cli.global);
    let outcome = dispatch(&cli, &Surroundings::of_process(), &mut out).await;
    exit::finish(&mut out, outcome).code()
}

/// What clap has to say: help and version are answers, the rest is bad usage.
fn help_or_complaint(answer: &clap::Error) -> Exit {
    // `print` colours where the stream is a terminal; a closed pipe is nobody's business.
    let _ = answer.print();
    let _ = std::io::stdout().flush();
    if answer.use_stderr() {
        Exit::USAGE
    } else {
        Exit::DONE
    }
}

async fn dispatch(cli: &Cli, around: &Surroundings, out: &mut Out) -> Outcome {
    let global = &cli.global;
    // Before anything else: a prompt for a passphrase raises SIGINT itself, while the terminal echoes nothing.
    let mut interrupt = Interrupt::listen()?;
    match &cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "salus", &mut script);
            out.raw(&String::from_utf8_lossy(&script))?;
            Ok(Exit::DONE)
        }
        Command::Init(args) => local::init(args, global, around, &mut interrupt, out).await,
        Command::Restore(args) => local::restore(args, global, around, &mut interrupt, out).await,
        Command::Audit(Audit::Check {
            proof,
            clinic,
            against,
        }) => proof::check(proof, clinic.as_deref(), against.as_deref(), out),
        Command::Node(args) => local::node(args, global, around, &mut interrupt, out).await,
        Command::Demo(args) => interrupt.or(local::demo(args, out)).await?,
        Command::Models(command) => {
            let work = models::models(command, global, out);
            interrupt.or(work).await?
        }
        Command::Ai(Ai::Classify(args)) if args.patient.is_none() => {
            let folder = global.folder().ok();
            let work = classify::classify(args, folder.as_deref(), None, out);
            interrupt.or(work).await?
        }
        Command::Bench(args) => interrupt.or(local::bench(args, out)).await?,
        command => on_node(command, global, around, &mut interrupt, out).await,
    }
}

/// Opens the node, runs the command, and closes the node again however the command ended.
async fn on_node(
    command: &Command,
    global: &Global,
    around: &Surroundings,
    interrupt: &mut Interrupt,
    out: &mut Out,
) -> Outcome {
    let asked = commands::request(command)?;
    let folder = global.folder()?;
    let options = OpenOptions {
        network: matches!(
            command,
            Command::Sync(_)
                | Command::Tui
                | Command::Peers(_)
                | Command::Grant(_)
                | Command::Fetch(_)
                | Command::Doctor { repair: true }
                | Command::Ai(Ai::Classify(_))
        ),
        stay_connected: matches!(command, Command::Tui),
    };
    let connection = interrupt.or(connect::open(&folder, &options)).await??;
    let desk = Desk {
        client: &connection.client,
        daemon: connection.daemon,
        folder: &folder,
        global,
        around,
    };
    let outcome = match command {
        // It listens for signals itself, and gives the terminal back before it ends.
        Command::Tui => tui(&desk, out).await,
        command => {
            let work = commands::run(command, asked, &desk, out);
            let ended = interrupt.or(work).await.and_then(|outcome| outcome);
            unreadable_is_a_finding(command, ended, out)
        }
    };
    connection.close().await;
    outcome
}

/// A store that is too damaged to be opened is what `audit verify` looks for: its report says so, in the same form as any other.
fn unreadable_is_a_finding(command: &Command, ended: Outcome, out: &mut Out) -> Outcome {
    match ended {
        Err(Stop::Error(error))
            if matches!(command, Command::Audit(Audit::Verify { .. }))
                && error.kind == ErrorKind::Integrity =>
        {
            let problem = Problem {
                log: String::new(),
                chain: String::new(),
                seq: 0,
                what: error.message,
            };
            let report = VerifyReport {
                problems: vec![problem],
                ..VerifyReport::default()
            };
            render::answer(out, &Response::Verified(report))
        }
        ended => ended,
    }
}

/// `salus tui`: it asks for the passphrase itself where none came with the command.
async fn tui(desk: &Desk<'_>, out: &mut Out) -> Outcome {
    if !desk.around.terminal || out.form().columns.is_none() {
        return Err(ApiError::usage("the terminal UI needs a terminal")
            .hint("use the commands instead: `salus help`")
            .into());
    }
    let caller = desk.caller_if_known().await?;
    let options = salus_tui::Options {
        auth: Some(caller.auth).filter(|auth| *auth != Auth::Nobody),
        staff: desk.global.staff.clone(),
        banner: None,
    };
    salus_tui::run(desk.client.clone(), options)
        .await
        .map_err(|e| Stop::from(ApiError::failed(format!("the terminal UI stopped: {e}"))))?;
    Ok(Exit::DONE)
}

/// What the node's parts log goes to standard error. `SALUS_LOG` overrides, in the syntax of `tracing-subscriber`.
fn trace(global: &Global) {
    use tracing_subscriber::EnvFilter;
    let usual = match (global.quiet, global.verbose) {
        // What goes wrong is told as an answer; what libraries murmur is for those who ask.
        (true, _) | (_, 0) => "off",
        (_, 1) => "warn,salus=info",
        (_, _) => "info,salus=debug",
    };
    let filter = EnvFilter::try_from_env("SALUS_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    // Somebody else's subscriber, set before, is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}
