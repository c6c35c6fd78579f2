//! The `salus` binary: the command line, the daemon and the terminal UI in one.

use std::process::ExitCode;
use std::time::Duration;

/// How long a prompt that a signal interrupted may take to give the terminal back.
const GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    // What a panic says may hold what it was working on: only its place is told.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => eprintln!("internal error at {}:{}", place.file(), place.line()),
        None => eprintln!("internal error"),
    }));
    if let Some(code) = salus::hostile::serve_if_worker() {
        return code;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(salus::cli::main(std::env::args_os()));
    runtime.shutdown_timeout(GRACE);
    ExitCode::from(code)
}
