//! A table of what DICOM files hold: `cargo run --release -p salus-imaging --example dicom_table FILE...`

#![expect(clippy::print_stdout, reason = "a table for people")]

use std::process::ExitCode;

use salus_imaging::{DecodeOptions, Size, decode};

fn main() -> ExitCode {
    let options = DecodeOptions {
        size: Size::Fit(256),
        statistics: true,
        ..DecodeOptions::default()
    };
    let mut failed = 0;
    for path in std::env::args().skip(1) {
        let decoded = std::fs::read(&path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| decode(&bytes, &options).map_err(|error| error.to_string()));
        match decoded {
            Ok(decoded) => {
                let (modality, statistics) = decoded
                    .dicom
                    .map(|dicom| (dicom.modality, dicom.statistics))
                    .unwrap_or_default();
                let modality = modality.unwrap_or_default();
                let size = format!(
                    "{} x {} x {}",
                    decoded.width, decoded.height, decoded.frames
                );
                match statistics {
                    Some(raw) => println!(
                        "{path}: {modality} {size}, min {} max {} mean {:.6}",
                        raw.min, raw.max, raw.mean
                    ),
                    None => println!("{path}: {} {size}", decoded.format),
                }
            }
            Err(error) => {
                failed += 1;
                println!("{path}: {error}");
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}
