//! An input as a text file: lines of hexadecimal digits, with remarks after `#`. The first line names the target.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

/// Bytes in one line.
const LINE_BYTES: usize = 32;

/// Writes an input, with what is to be said about it.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, target: &str, about: &str, input: &[u8]) -> io::Result<()> {
    let mut text = format!("# target: {target}\n");
    for line in about.lines() {
        text += &format!("# {line}\n");
    }
    for line in input.chunks(LINE_BYTES) {
        for byte in line {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    fs::write(path, text)
}

/// Reads the target's name and the input.
///
/// # Errors
/// If the file cannot be read or is no such file.
pub fn read(path: &Path) -> io::Result<(String, Vec<u8>)> {
    parse(&fs::read_to_string(path)?).ok_or_else(|| {
        let what = "neither `# target: NAME` nor hexadecimal digits";
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

fn parse(text: &str) -> Option<(String, Vec<u8>)> {
    let target = text.lines().next()?.strip_prefix("# target:")?.trim();
    let digits: Option<Vec<u8>> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let (pairs, []) = digits.as_deref()?.as_chunks::<2>() else {
        return None;
    };
    let input = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    Some((target.to_owned(), input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_and_blanks_are_no_bytes() {
        let file = "# target: entry\n# a remark\n00ff 7f # ab\n\n10\n";
        let read = parse(file);
        assert_eq!(read, Some(("entry".into(), vec![0, 0xff, 0x7f, 0x10])));
        assert_eq!(parse("# target: entry\n0"), None);
        assert_eq!(parse("00"), None);
        assert_eq!(parse("# target: entry\n0g"), None);
    }
}
