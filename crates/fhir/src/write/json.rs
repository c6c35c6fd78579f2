//! Writing JSON: an [`Object`] takes elements in the order in which they are given, and leaves out what says
//! nothing, because in FHIR no element is empty.

use salus_record::decimal::Decimal;

/// One JSON object while it is written.
pub(crate) struct Object<'w> {
    out: &'w mut String,
    /// Length of the text after the opening brace.
    start: usize,
}

impl<'w> Object<'w> {
    /// Writes an object. If `write` puts nothing into it, nothing at all is written and `false` returned.
    pub(crate) fn write(out: &'w mut String, write: impl FnOnce(&mut Object<'_>)) -> bool {
        out.push('{');
        let start = out.len();
        write(&mut Object { out, start });
        if out.len() == start {
            out.pop();
            return false;
        }
        out.push('}');
        true
    }

    fn name(&mut self, name: &str) {
        if self.out.len() > self.start {
            self.out.push(',');
        }
        quote(self.out, name);
        self.out.push(':');
    }

    /// A string; an empty one is left out.
    pub(crate) fn str(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            quote(self.out, value);
        }
    }

    /// A string that may be absent.
    pub(crate) fn opt(&mut self, name: &str, value: Option<&str>) {
        self.str(name, value.unwrap_or_default());
    }

    /// A list of strings.
    pub(crate) fn strs(&mut self, name: &str, values: &[String]) {
        let mut values = values.iter().filter(|v| !v.is_empty()).peekable();
        if values.peek().is_none() {
            return;
        }
        self.name(name);
        for (i, value) in values.enumerate() {
            self.out.push(if i == 0 { '[' } else { ',' });
            quote(self.out, value);
        }
        self.out.push(']');
    }

    /// A boolean that may be absent.
    pub(crate) fn boolean(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.literal(name, if value { "true" } else { "false" });
        }
    }

    /// A whole number that may be absent.
    pub(crate) fn integer(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.literal(name, &value.to_string());
        }
    }

    /// A decimal that may be absent, with its digits.
    pub(crate) fn decimal(&mut self, name: &str, value: Option<&Decimal>) {
        if let Some(value) = value {
            self.literal(name, value.as_str());
        }
    }

    /// Elements that are already written: names and values with commas between them.
    pub(crate) fn raw(&mut self, elements: &str) {
        if elements.is_empty() {
            return;
        }
        if self.out.len() > self.start {
            self.out.push(',');
        }
        self.out.push_str(elements);
    }

    fn literal(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.push_str(value);
    }

    /// A nested object; left out, name and all, if nothing is put into it.
    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) -> bool {
        let before = self.out.len();
        self.name(name);
        let written = Object::write(self.out, write);
        if !written {
            self.out.truncate(before);
        }
        written
    }

    /// A list of nested objects, without those that nothing is put into.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: &[T],
        mut write: impl FnMut(&mut Object<'_>, &T),
    ) -> bool {
        let before = self.out.len();
        self.name(name);
        self.out.push('[');
        let start = self.out.len();
        for item in items {
            let end = self.out.len();
            if end > start {
                self.out.push(',');
            }
            if !Object::write(self.out, |o| write(o, item)) {
                self.out.truncate(end);
            }
        }
        if self.out.len() == start {
            self.out.truncate(before);
            return false;
        }
        self.out.push(']');
        true
    }
}

/// Appends a JSON string.
pub(crate) fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_left_out() {
        let mut out = String::new();
        Object::write(&mut out, |o| {
            o.str("a", "");
            o.object("b", |b| b.opt("c", None));
            o.list("d", &["", "x", ""], |o, x| o.str("e", x));
            o.list("f", &[""], |o, x| o.str("e", x));
            o.strs("g", &[String::new()]);
            o.integer("h", Some(-5));
            o.boolean("i", Some(false));
        });
        assert_eq!(out, r#"{"d":[{"e":"x"}],"h":-5,"i":false}"#);
        let mut out = String::new();
        assert!(!Object::write(&mut out, |_| {}) && out.is_empty());
    }

    #[test]
    fn every_character_survives_quoting() {
        let text: String = (0..0x250u32)
            .filter_map(char::from_u32)
            .chain("é😀\u{2028}".chars())
            .collect();
        let mut out = String::new();
        quote(&mut out, &text);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }
}
