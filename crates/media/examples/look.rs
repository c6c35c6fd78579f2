//! Looks into files in this process and says what they are: `cargo run --release -p salus-media --example look -- FILE...`

use std::io::Read;

use salus_media::{InspectOptions, inspect, needed};

#[expect(clippy::print_stdout, reason = "a command line")]
fn main() -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        let file = std::fs::File::open(&path)?;
        let total_len = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(needed(total_len) as u64)
            .read_to_end(&mut bytes)?;
        let began = std::time::Instant::now();
        let outcome = inspect(&bytes, total_len, &InspectOptions::default());
        let ms = began.elapsed().as_millis();
        println!("{} ({ms} ms)", path.display());
        match outcome {
            Ok(found) => println!(
                "  {:?}\n  {:?} {:?}",
                found.facts, found.preview, found.note
            ),
            Err(error) => println!("  refused: {error}"),
        }
    }
    Ok(())
}
