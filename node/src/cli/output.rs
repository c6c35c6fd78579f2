//! The two standard streams, and the only way to them.
//!
//! Text goes out as [`Line`]s of [`Span`]s. A span cleans its text when it is made, so no text from elsewhere reaches
//! the terminal as more than text. What must pass unchanged (JSON, an exported document, a QR code) says so: `raw`.

use std::io::{self, BufWriter, IsTerminal, Write};

use salus_api::ApiError;
use serde::Serialize;

use super::args::{Color, Global};
use super::text;

/// Columns assumed on a terminal that does not tell its size (DEC VT100).
const USUAL_COLUMNS: usize = 80;

/// How a span stands out. Never the only carrier of a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As the rest.
    #[default]
    Plain,
    /// Headings and names.
    Strong,
    /// Beside the point.
    Dim,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
}

impl Style {
    /// Parameters of the terminal's SGR sequence (ECMA-48, section 8.3.117).
    fn sgr(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Dim => Some("2"),
            Self::Warn => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// A clean piece of one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    text: String,
    style: Style,
}

impl Span {
    /// Cleans the text.
    pub fn new(text: &str, style: Style) -> Self {
        Self {
            text: text::clean(text).into_owned(),
            style,
        }
    }

    /// The clean text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it stands out.
    pub fn style(&self) -> Style {
        self.style
    }
}

impl From<&str> for Span {
    fn from(text: &str) -> Self {
        Self::new(text, Style::Plain)
    }
}

impl From<String> for Span {
    fn from(text: String) -> Self {
        Self::new(&text, Style::Plain)
    }
}

impl From<u64> for Span {
    fn from(n: u64) -> Self {
        Self::from(n.to_string())
    }
}

/// One line of output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<Span>);

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece.
    #[must_use]
    pub fn add(mut self, span: impl Into<Span>) -> Self {
        self.0.push(span.into());
        self
    }

    /// Adds a piece that stands out.
    #[must_use]
    pub fn styled(self, text: &str, style: Style) -> Self {
        self.add(Span::new(text, style))
    }

    fn print(&self, color: bool) -> String {
        let mut printed = String::new();
        for Span { text, style } in &self.0 {
            match style.sgr().filter(|_| color && !text.is_empty()) {
                Some(sgr) => printed.push_str(&format!("\x1b[{sgr}m{text}\x1b[0m")),
                None => printed.push_str(text),
            }
        }
        printed.truncate(printed.trim_end_matches(' ').len());
        printed.push('\n');
        printed
    }
}

impl<T: Into<Span>> From<T> for Line {
    fn from(span: T) -> Self {
        Self::new().add(span)
    }
}

/// What the streams can show and how much is wanted on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Standard output carries JSON and nothing else.
    pub json: bool,
    /// No messages and no progress.
    pub quiet: bool,
    /// `-v` given how often.
    pub verbose: u8,
    /// Standard output may be coloured.
    pub color: bool,
    /// Standard error may be coloured.
    pub color_messages: bool,
    /// Columns of standard output, where it is a terminal.
    pub columns: Option<usize>,
    /// Standard error is a terminal: progress is a bar there.
    pub bars: bool,
}

impl Form {
    fn of_process(global: &Global) -> Self {
        let (stdout, stderr) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        // https://no-color.org: set and not empty.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        let color = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            color: color(stdout) && !global.json,
            color_messages: color(stderr),
            columns: stdout.then(|| {
                terminal_size::terminal_size()
                    .map_or(USUAL_COLUMNS, |(width, _)| usize::from(width.0))
            }),
            bars: stderr && !global.quiet,
        }
    }
}

/// Standard output and standard error.
pub struct Out {
    stdout: Box<dyn Write + Send>,
    stderr: Box<dyn Write + Send>,
    form: Form,
}

impl Out {
    /// The streams of this process.
    pub fn of_process(global: &Global) -> Self {
        // Standard output sends each line at once: right for a person, slow for a program that reads thousands.
        let stdout: Box<dyn Write + Send> = if io::stdout().is_terminal() {
            Box::new(io::stdout())
        } else {
            Box::new(BufWriter::new(io::stdout()))
        };
        Self {
            stdout,
            stderr: Box::new(io::stderr()),
            form: Form::of_process(global),
        }
    }

    /// What the streams can show.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// One line of the answer.
    pub fn line(&mut self, line: impl Into<Line>) -> io::Result<()> {
        let printed = line.into().print(self.form.color);
        self.stdout.write_all(printed.as_bytes())
    }

    /// Lines of the answer.
    pub fn lines(&mut self, lines: impl IntoIterator<Item = Line>) -> io::Result<()> {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// A part of the answer that must pass unchanged.
    pub fn raw(&mut self, text: &str) -> io::Result<()> {
        self.stdout.write_all(text.as_bytes())
    }

    /// One JSON document on one line.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_string(value).map_err(io::Error::other)?;
        text.push('\n');
        self.raw(&text)
    }

    /// A message beside the answer, on standard error; not with `--quiet`.
    pub fn message(&mut self, line: impl Into<Line>) {
        if !self.form.quiet {
            self.complain(&line.into());
        }
    }

    /// What went wrong and what to do about it, on standard error.
    pub fn error(&mut self, error: &ApiError) {
        let line = Line::new()
            .styled("error:", Style::Bad)
            .add(" ")
            .add(error.message.as_str());
        self.complain(&line);
        if let Some(hint) = &error.hint {
            let line = Line::new()
                .styled("  hint:", Style::Strong)
                .add(" ")
                .add(hint.as_str());
            self.complain(&line);
        }
    }

    /// Hands everything over to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    /// Standard error cannot be reported upon: if it is gone, nobody hears of it.
    fn complain(&mut self, line: &Line) {
        let printed = line.print(self.form.color_messages);
        let _ = self.stderr.write_all(printed.as_bytes());
    }
}

#[cfg(test)]
mod capture {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a test's command wrote.
    pub struct Captured {
        stdout: Buffer,
        stderr: Buffer,
    }

    impl Captured {
        /// What went to standard output so far.
        pub fn stdout(&self) -> String {
            String::from_utf8(self.stdout.0.lock().unwrap().clone()).unwrap()
        }

        /// What went to standard error so far.
        pub fn stderr(&self) -> String {
            String::from_utf8(self.stderr.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Out {
        /// Streams that a test can read, with the form of a pipe.
        pub fn captured() -> (Self, Captured) {
            Self::captured_as(Form::default())
        }

        /// Streams that a test can read, with a form.
        pub fn captured_as(form: Form) -> (Self, Captured) {
            let (stdout, stderr) = (Buffer::default(), Buffer::default());
            let out = Self {
                stdout: Box::new(stdout.clone()),
                stderr: Box::new(stderr.clone()),
                form,
            };
            (out, Captured { stdout, stderr })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_added_only_where_it_is_wanted_and_never_from_the_text() {
        let line = || Line::new().styled("N\x1b[31mg", Style::Strong).add(" x");
        let (mut out, seen) = Out::captured();
        out.line(line()).unwrap();
        assert_eq!(seen.stdout(), "N\\u{1b}[31mg x\n");
        let (mut out, seen) = Out::captured_as(Form {
            color: true,
            ..Form::default()
        });
        out.line(line()).unwrap();
        assert_eq!(seen.stdout(), "\x1b[1mN\\u{1b}[31mg\x1b[0m x\n");
    }

    #[test]
    fn quiet_silences_messages_but_not_errors() {
        let (mut out, seen) = Out::captured_as(Form {
            quiet: true,
            ..Form::default()
        });
        out.message("working");
        out.error(&ApiError::failed("no disk\nleft"));
        assert_eq!(seen.stderr(), "error: no disk left\n");
    }
}
