//! Measures what a sandbox costs: `cargo run -p salus-sandbox --example measure`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use salus_sandbox::{Config, Job, Sandbox, SandboxError, serve_if_worker};

const ECHO: Job = Job {
    name: "echo",
    run: <[u8]>::to_vec,
};

fn main() -> ExitCode {
    if let Some(code) = serve_if_worker(&[ECHO]) {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "its only purpose")]
fn measure() -> Result<(), SandboxError> {
    let cold = median(50, || {
        let sandbox = Sandbox::new(Config::default());
        let begun = Instant::now();
        sandbox.run(ECHO.name, b"")?;
        Ok(begun.elapsed())
    })?;
    println!("start of a worker and an empty job: {cold:?} (median of 50)");
    let sandbox = Sandbox::new(Config::default());
    for bytes in [0, 1_000, 1_000_000, 16_000_000] {
        let request = vec![7; bytes];
        let warm = median(200, || {
            let begun = Instant::now();
            sandbox.run(ECHO.name, &request)?;
            Ok(begun.elapsed())
        })?;
        println!("{bytes} bytes there and back: {warm:?} (median of 200)");
    }
    Ok(())
}

fn median(
    times: usize,
    mut once: impl FnMut() -> Result<Duration, SandboxError>,
) -> Result<Duration, SandboxError> {
    let mut all = (0..times).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
    all.sort();
    Ok(all.get(times / 2).copied().unwrap_or_default())
}
