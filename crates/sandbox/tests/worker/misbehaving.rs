//! A program with jobs that misbehave: what the tests start as worker. With the argument `hold` it is a parent itself:
//! it starts a job that never ends, says the child's process id and waits to be killed.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::only_used_in_recursion,
    reason = "its jobs do what a job must not do"
)]

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use salus_sandbox::{Config, Job, Sandbox, serve_if_worker};

const JOBS: &[Job] = &[
    Job {
        name: "echo",
        run: <[u8]>::to_vec,
    },
    Job {
        name: "length",
        run: |request| request.len().to_string().into_bytes(),
    },
    Job {
        name: "process-id",
        run: |_| std::process::id().to_string().into_bytes(),
    },
    Job {
        name: "allocate",
        run: |request| {
            let mib: usize = number(request);
            let bytes = vec![request.len() as u8; mib << 20];
            bytes.len().to_string().into_bytes()
        },
    },
    Job {
        name: "loop",
        run: |request| {
            let mut count = request.len();
            loop {
                count = std::hint::black_box(count.wrapping_add(1));
            }
        },
    },
    Job {
        name: "sleep",
        run: |request| {
            std::thread::sleep(Duration::from_millis(number(request) as u64));
            std::process::id().to_string().into_bytes()
        },
    },
    Job {
        name: "panic",
        run: |request| panic!("{}", String::from_utf8_lossy(request)),
    },
    Job {
        name: "abort",
        run: |_| std::process::abort(),
    },
    Job {
        name: "exit",
        run: |_| std::process::exit(9),
    },
    Job {
        name: "overflow-the-stack",
        run: |request| deeper(request, 0).to_string().into_bytes(),
    },
    Job {
        name: "print",
        run: |request| {
            // More than a pipe holds: what nobody reads must not stop the job.
            for _ in 0..20_000 {
                println!("\u{1}\0\0\0\u{4}rubbish");
                eprintln!("memory allocation of nothing at all");
            }
            request.to_vec()
        },
    },
    Job {
        name: "answer",
        run: |request| vec![7; number(request)],
    },
    Job {
        name: "environment",
        run: |_| {
            let variables =
                std::env::vars_os().map(|(name, value)| format!("{name:?}={value:?}\n"));
            let mut text: String = variables.collect();
            text += &format!("{:?}", std::env::current_dir().unwrap_or_default());
            text.into_bytes()
        },
    },
    #[cfg(unix)]
    Job {
        name: "process-group",
        run: |_| {
            let group = rustix::process::getpgrp();
            group.as_raw_nonzero().to_string().into_bytes()
        },
    },
    Job {
        name: "open-a-file",
        run: |_| format!("{:?}", std::fs::File::open("/dev/null").err()).into_bytes(),
    },
];

fn number(request: &[u8]) -> usize {
    let text = std::str::from_utf8(request).unwrap_or_default();
    text.parse().unwrap_or_default()
}

#[expect(unconditional_recursion, reason = "to overflow the stack")]
fn deeper(request: &[u8], depth: usize) -> usize {
    let room = std::hint::black_box([depth; 64]);
    deeper(request, depth + 1) + room[depth % 64]
}

fn main() -> ExitCode {
    if let Some(code) = serve_if_worker(JOBS) {
        return code;
    }
    if std::env::args().nth(1).as_deref() == Some("hold") {
        hold();
    }
    ExitCode::FAILURE
}

fn hold() {
    let sandbox = Sandbox::new(Config {
        workers: 1,
        time: Duration::from_secs(600),
        ..Config::default()
    });
    if let Ok(id) = sandbox.run("process-id", b"") {
        println!("{}", String::from_utf8_lossy(&id));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| sandbox.run("loop", b""));
        // Ends when the test closes its side, which it does not do before it has killed this process.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
}
