//! A program that is started as a worker and breaks the protocol in the way that the limit on memory names.

use std::io::{self, Read, Write};

const GREETING: &[u8] = &[0; 5];

fn main() -> io::Result<()> {
    let way = std::env::args().nth(2).unwrap_or_default();
    let mut out = io::stdout();
    match way.as_str() {
        "1" => out.write_all(b"usage: something else\n")?,
        "2" => {
            out.write_all(GREETING)?;
            out.write_all(b"rubbish without end")?;
        }
        // The largest answer that a frame can claim.
        "3" => {
            out.write_all(GREETING)?;
            out.write_all(&[1, 0xff, 0xff, 0xff, 0xff])?;
        }
        // An answer that ends before its length.
        "4" => {
            out.write_all(GREETING)?;
            out.write_all(&[1, 0, 0, 0, 9, b'x'])?;
        }
        // An answer to what it does not read.
        "5" => {
            out.write_all(GREETING)?;
            out.write_all(&[1, 0, 0, 0, 1, b'x'])?;
            out.flush()?;
            loop {
                std::thread::park();
            }
        }
        _ => {}
    }
    out.flush()?;
    if way == "4" {
        return Ok(());
    }
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
