//! Sections in words: FHIR narratives (R4 section 2.24.1.7), a limited XHTML.

use crate::urls;
use crate::write::ips::section::Section;
use crate::write::line::Line;

/// A narrative while it is written. All text that goes in is escaped.
pub(crate) struct Div(String);

impl Div {
    pub(crate) fn new() -> Self {
        Self(format!("<div xmlns=\"{}\">", urls::XHTML))
    }

    /// A paragraph of these words, put together.
    pub(crate) fn paragraph(&mut self, words: &[&str]) {
        self.0.push_str("<p>");
        words.iter().for_each(|words| self.text(words));
        self.0.push_str("</p>");
    }

    fn row(&mut self, tag: &str, cells: &[String]) {
        self.0.push_str("<tr>");
        for cell in cells {
            self.0.push_str(&format!("<{tag}>"));
            self.text(cell);
            self.0.push_str(&format!("</{tag}>"));
        }
        self.0.push_str("</tr>");
    }

    /// Text; what XML 1.0 cannot hold (section 2.2) becomes U+FFFD.
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\n' | '\t' => self.0.push(c),
                '\r' => self.0.push_str("&#13;"),
                '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }

    /// The whole.
    pub(crate) fn end(mut self) -> String {
        self.0.push_str("</div>");
        self.0
    }
}

/// A section as a table, without the columns that no item fills; as a sentence, if there is no item.
pub(crate) fn table(section: Section, lines: &[Line<'_>]) -> Div {
    let mut div = Div::new();
    if lines.is_empty() {
        div.paragraph(&[no_items(section)]);
        return div;
    }
    let since = match section {
        Section::Medications | Section::Allergies | Section::Problems | Section::PastIllness => {
            "Since"
        }
        _ => "Date",
    };
    let names = [
        section.column(),
        "Value",
        "Status",
        since,
        "Until",
        "Details",
        "By",
        "Note",
    ];
    let rows: Vec<[String; 8]> = lines.iter().map(cells).collect();
    // The first column stays, whatever it holds: a row must not vanish.
    let shown: Vec<usize> = (0..names.len())
        .filter(|&i| i == 0 || rows.iter().any(|row| !row[i].is_empty()))
        .collect();
    let pick =
        |row: &[String; 8]| -> Vec<String> { shown.iter().map(|&i| row[i].clone()).collect() };
    div.0.push_str("<table><thead>");
    div.row("th", &pick(&names.map(str::to_owned)));
    div.0.push_str("</thead><tbody>");
    for row in &rows {
        div.row("td", &pick(row));
    }
    div.0.push_str("</tbody></table>");
    div
}

fn cells(line: &Line<'_>) -> [String; 8] {
    let what = if line.display.trim().is_empty() {
        "(not named)".to_owned()
    } else {
        line.display.to_string()
    };
    let value = [line.value.as_str(), line.unit].join(" ");
    [
        what,
        value.trim().to_owned(),
        line.status.to_owned(),
        line.date.to_string(),
        line.end_date.to_string(),
        line.detail.clone(),
        line.by.clone(),
        line.note.to_owned(),
    ]
}

fn no_items(section: Section) -> &'static str {
    match section {
        Section::Medications => {
            "No information about medicines is available. This does not say that none are taken."
        }
        Section::Allergies => {
            "No information about allergies is available. This does not say that there are none."
        }
        Section::Problems => {
            "No information about current problems is available. This does not say that there are none."
        }
        _ => "No information is available.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut div = Div::new();
        div.paragraph(&["</div><script>\"&", "\u{0}\u{b}\u{ffff}\r"]);
        assert_eq!(
            div.end(),
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>&lt;/div&gt;&lt;script&gt;&quot;&amp;\u{fffd}\u{fffd}\u{fffd}&#13;</p></div>"
        );
    }

    #[test]
    fn columns_that_nobody_fills_are_left_out() {
        let line = Line {
            display: "Iron".into(),
            status: "active",
            ..Line::default()
        };
        let text = table(Section::Medications, &[line]).end();
        assert!(
            text.contains("<tr><th>Medicine</th><th>Status</th></tr>"),
            "{text}"
        );
        assert!(
            text.contains("<tr><td>Iron</td><td>active</td></tr>"),
            "{text}"
        );
    }
}
