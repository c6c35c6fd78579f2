//! Reading one resource: an [`Object`] hands out its elements by name, checked for their type, and counts
//! those that nobody asked for.
//!
//! Elements stay raw text of the file until they are asked for, so what is not read costs nothing but being
//! skipped, numbers keep their digits, and every complaint knows its element and its place.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::str::FromStr;

use salus_record::date;
use salus_record::decimal::Decimal;
use serde_json::value::RawValue;

use crate::counts::Counts;
use crate::raw::{Field, Fields, MAX_FIELDS, items, kind, string};

/// Items of one list inside a resource. 100,000: a DiagnosticReport of the sample data has 20 results.
const MAX_ITEMS: usize = 100_000;

/// Bytes of one string (R4 section 2.24.0.1: "strings shall not exceed 1 MB").
pub(crate) const MAX_STRING_BYTES: usize = 1024 * 1024;

/// Why an element cannot be read. Boxed, because nearly every function here may return it.
#[derive(Debug)]
pub(crate) struct Bad(pub(crate) Box<BadElement>);

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct BadElement {
    /// `Observation.component[1].valueQuantity`.
    pub(crate) path: String,
    /// Address of the element's first byte in the text.
    pub(crate) address: usize,
    pub(crate) fault: Fault,
}

/// What is wrong with an element.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Not what FHIR says it is; completes the sentence "Observation.status …".
    Wrong(Cow<'static, str>),
    /// A reference (as written) that leads nowhere.
    Broken {
        reference: String,
        why: &'static str,
    },
    /// The budget of elements is used up.
    TooMany,
}

/// What is counted while a resource is read.
#[derive(Default)]
pub(crate) struct Tally {
    /// Elements that the record does not model, by path.
    pub(crate) unmodelled: RefCell<Counts>,
    /// Whether a `modifierExtension` was passed over: then the resource does not mean what it says.
    pub(crate) modified: Cell<bool>,
    /// Objects that may still be read.
    pub(crate) elements_left: Cell<u64>,
}

/// Where an element is: a chain of names that lives on the stack and is only written out in complaints.
#[derive(Clone, Copy)]
pub(crate) struct At<'p> {
    parent: Option<&'p At<'p>>,
    name: &'p str,
    index: Option<usize>,
    tally: &'p Tally,
}

impl<'p> At<'p> {
    /// The resource itself.
    pub(crate) fn root(resource_type: &'p str, tally: &'p Tally) -> Self {
        Self {
            parent: None,
            name: resource_type,
            index: None,
            tally,
        }
    }

    fn child<'c>(&'c self, name: &'c str, index: Option<usize>) -> At<'c> {
        At {
            parent: Some(self),
            name,
            index,
            tally: self.tally,
        }
    }

    fn write(&self, f: &mut impl fmt::Write, indexes: bool) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.write(f, indexes)?;
            f.write_char('.')?;
        }
        f.write_str(self.name)?;
        match self.index {
            Some(index) if indexes => write!(f, "[{index}]"),
            _ => Ok(()),
        }
    }

    fn path(&self, indexes: bool) -> String {
        let mut path = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut path, indexes);
        path
    }

    fn bad(&self, value: &RawValue, fault: Fault) -> Bad {
        let address = value.get().as_ptr().addr();
        Bad(Box::new(BadElement {
            path: self.path(true),
            address,
            fault,
        }))
    }

    fn wrong(&self, value: &RawValue, what: impl Into<Cow<'static, str>>) -> Bad {
        self.bad(value, Fault::Wrong(what.into()))
    }

    /// Uses up some of the budget of elements.
    fn charge(&self, value: &RawValue, elements: u64) -> Result<(), Bad> {
        match self.tally.elements_left.get().checked_sub(elements) {
            Some(left) => {
                self.tally.elements_left.set(left);
                Ok(())
            }
            None => Err(self.bad(value, Fault::TooMany)),
        }
    }

    /// Expected something, found a value of another kind.
    fn expected(&self, value: &RawValue, what: &str) -> Bad {
        self.wrong(value, format!("should be {what} and is {}", kind(value)))
    }
}

/// One object of a resource while it is read.
pub(crate) struct Object<'a, 'p> {
    fields: Vec<Field<'a>>,
    value: &'a RawValue,
    at: At<'p>,
}

impl<'a, 'p> Object<'a, 'p> {
    /// Reads an object with `read`, then counts the elements that it did not ask for.
    pub(crate) fn read<T>(
        value: &'a RawValue,
        at: At<'p>,
        read: impl FnOnce(&mut Self) -> Result<T, Bad>,
    ) -> Result<T, Bad> {
        if !value.get().starts_with('{') {
            return Err(at.expected(value, "an object"));
        }
        at.charge(value, 1)?;
        let Fields(fields) = serde_json::from_str(value.get()).map_err(|_| {
            at.wrong(
                value,
                format!("has an element twice, more than {MAX_FIELDS} elements, or a name that is no text"),
            )
        })?;
        if fields.is_empty() {
            return Err(at.wrong(value, "is empty (an element must have content)"));
        }
        let mut object = Self { fields, value, at };
        let result = read(&mut object)?;
        object.finish();
        Ok(result)
    }

    fn finish(self) {
        let mut path = String::new();
        for field in self.fields.iter().filter(|f| !f.read) {
            if field.name == "modifierExtension" {
                self.at.tally.modified.set(true);
            }
            path.clear();
            let _ = self.at.child(&field.name, None).write(&mut path, false);
            self.at.tally.unmodelled.borrow_mut().add(&path);
        }
    }

    /// Marks an element as read and gives it; `null` is the same as absent.
    fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let field = self.fields.iter_mut().find(|f| f.name == name)?;
        field.read = true;
        (field.value.get() != "null").then_some(field.value)
    }

    /// Whether the element is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|f| f.name == name && f.value.get() != "null")
    }

    /// Marks an element as understood although nothing of it is kept.
    pub(crate) fn skip(&mut self, name: &str) {
        self.take(name);
    }

    /// Uses up budget for what is copied from another resource: a file can refer to one thing a million times.
    pub(crate) fn charge(&self, elements: u64) -> Result<(), Bad> {
        self.at.charge(self.value, elements)
    }

    /// Counts an element, or what it says, as not modelled although it was read.
    pub(crate) fn unmodelled(&self, name: &str) {
        let path = self.at.child(name, None).path(false);
        self.at.tally.unmodelled.borrow_mut().add(&path);
    }

    /// Counts the object itself as not modelled.
    pub(crate) fn unmodelled_self(&self) {
        let path = self.at.path(false);
        self.at.tally.unmodelled.borrow_mut().add(&path);
    }

    /// Whether an element's text mentions this word.
    pub(crate) fn mentions(&self, name: &str, word: &str) -> bool {
        self.fields
            .iter()
            .any(|f| f.name == name && f.value.get().contains(word))
    }

    /// A complaint about one of its elements, or about itself where that is missing.
    pub(crate) fn wrong(&self, name: &str, what: &'static str) -> Bad {
        self.bad(name, Fault::Wrong(what.into()))
    }

    /// The same, of any kind.
    pub(crate) fn bad(&self, name: &str, fault: Fault) -> Bad {
        let value = self
            .fields
            .iter()
            .find(|f| f.name == name)
            .map_or(self.value, |f| f.value);
        self.at.child(name, None).bad(value, fault)
    }

    /// A complaint about itself.
    pub(crate) fn bad_self(&self, fault: Fault) -> Bad {
        self.at.bad(self.value, fault)
    }

    /// A string as it stands in the file; an empty one is absent.
    pub(crate) fn str(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Bad> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        text(value, &self.at.child(name, None), MAX_STRING_BYTES)
    }

    /// The same of a `base64Binary`, which may be as long as the file.
    pub(crate) fn long_str(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Bad> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        text(value, &self.at.child(name, None), usize::MAX)
    }

    /// A string.
    pub(crate) fn string(&mut self, name: &str) -> Result<Option<String>, Bad> {
        Ok(self.str(name)?.map(Cow::into_owned))
    }

    fn checked(
        &mut self,
        name: &str,
        is: fn(&str) -> bool,
        what: &'static str,
    ) -> Result<Option<String>, Bad> {
        match self.str(name)? {
            Some(text) if !is(&text) => Err(self.wrong(name, what)),
            text => Ok(text.map(Cow::into_owned)),
        }
    }

    /// A `date`.
    pub(crate) fn date(&mut self, name: &str) -> Result<Option<String>, Bad> {
        self.checked(
            name,
            date::is_date,
            "is not a date (YYYY, YYYY-MM or YYYY-MM-DD)",
        )
    }

    /// A `dateTime` or `instant`.
    pub(crate) fn date_time(&mut self, name: &str) -> Result<Option<String>, Bad> {
        self.checked(
            name,
            date::is_date_time,
            "is not a dateTime (a date, or YYYY-MM-DDThh:mm:ss with its zone)",
        )
    }

    /// A `time`.
    pub(crate) fn time(&mut self, name: &str) -> Result<Option<String>, Bad> {
        self.checked(name, date::is_time, "is not a time (hh:mm:ss)")
    }

    /// A `boolean`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Bad> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match value.get() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(self.at.child(name, None).expected(value, "true or false")),
            },
        }
    }

    fn number<T: FromStr>(&mut self, name: &str, what: &'static str) -> Result<Option<T>, Bad> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let at = self.at.child(name, None);
        if kind(value) != "a number" {
            return Err(at.expected(value, what));
        }
        match value.get().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(at.wrong(value, format!("should be {what}"))),
        }
    }

    /// A `decimal`, with its digits.
    pub(crate) fn decimal(&mut self, name: &str) -> Result<Option<Decimal>, Bad> {
        self.number(name, "a decimal of at most 64 characters")
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>, Bad> {
        self.number(name, "a whole number")
    }

    /// A `positiveInt` or `unsignedInt`.
    pub(crate) fn unsigned(&mut self, name: &str) -> Result<Option<u32>, Bad> {
        self.number(name, "a whole number from 0 to 4294967295")
    }

    /// A nested element.
    pub(crate) fn object<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Object<'a, '_>) -> Result<T, Bad>,
    ) -> Result<Option<T>, Bad> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        Object::read(value, self.at.child(name, None), read).map(Some)
    }

    /// A list of nested elements.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Object<'a, '_>) -> Result<T, Bad>,
    ) -> Result<Vec<T>, Bad> {
        let values = self.values(name)?;
        let mut items = Vec::with_capacity(values.len().min(64));
        for (index, value) in values.into_iter().enumerate() {
            items.push(Object::read(
                value,
                self.at.child(name, Some(index)),
                &mut read,
            )?);
        }
        Ok(items)
    }

    /// A list of strings; `null` items (which only carry extensions) are left out.
    pub(crate) fn strings(&mut self, name: &str) -> Result<Vec<String>, Bad> {
        let mut items = Vec::new();
        for (index, value) in self.values(name)?.into_iter().enumerate() {
            if value.get() != "null" {
                let item = text(value, &self.at.child(name, Some(index)), MAX_STRING_BYTES)?;
                items.extend(item.map(Cow::into_owned));
            }
        }
        Ok(items)
    }

    fn values(&mut self, name: &str) -> Result<Vec<&'a RawValue>, Bad> {
        let Some(value) = self.take(name) else {
            return Ok(Vec::new());
        };
        let at = self.at.child(name, None);
        if kind(value) != "an array" {
            return Err(at.expected(value, "an array"));
        }
        items(value, MAX_ITEMS)
            .ok_or_else(|| at.wrong(value, format!("has more than {MAX_ITEMS} items")))
    }
}

/// The text of a string element; `None` if it is empty.
fn text<'a>(
    value: &'a RawValue,
    at: &At<'_>,
    max_bytes: usize,
) -> Result<Option<Cow<'a, str>>, Bad> {
    if kind(value) != "a string" {
        return Err(at.expected(value, "a string"));
    }
    if value.get().len() > max_bytes {
        return Err(at.wrong(value, "is longer than 1 MiB"));
    }
    match string(value) {
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => Ok(Some(text)),
        None => Err(at.wrong(value, "holds escapes that make no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(
        json: &str,
        read: impl FnOnce(&mut Object<'_, '_>) -> Result<T, Bad>,
    ) -> (Result<T, String>, Counts) {
        let tally = Tally::default();
        tally.elements_left.set(10);
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let result = Object::read(raw, At::root("Test", &tally), read).map_err(|bad| {
            let column = bad.0.address - raw.get().as_ptr().addr();
            format!("{} {:?} @{column}", bad.0.path, bad.0.fault)
        });
        (result, tally.unmodelled.into_inner())
    }

    #[test]
    fn what_nobody_asked_for_is_counted_by_path() {
        let json = r#"{"a":"1","b":{"c":[{"d":1,"e":{}},{"e":null}]},"_a":{"x":1}}"#;
        let (result, counts) = read(json, |o| {
            o.object("b", |b| b.list("c", |c| c.integer("d")))?;
            o.string("a")
        });
        assert_eq!(result, Ok(Some("1".to_owned())));
        let counts: Vec<_> = counts.iter().collect();
        assert_eq!(counts, [("Test._a", 1), ("Test.b.c.e", 2)]);
    }

    #[test]
    fn a_wrong_type_is_named_with_its_path_and_place_and_without_its_value() {
        let (result, _) = read(r#"{"b":{"c":[{"d":1},{"d":"secret"}]}}"#, |o| {
            o.object("b", |b| b.list("c", |c| c.integer("d")))
        });
        let text = result.unwrap_err();
        assert_eq!(
            text,
            "Test.b.c[1].d Wrong(\"should be a whole number and is a string\") @24"
        );
        let (result, _) = read(r#"{"birthDate":5}"#, |o| o.date("birthDate"));
        assert!(
            result
                .unwrap_err()
                .contains("should be a string and is a number")
        );
        let (result, _) = read(r#"{"a":[1]}"#, |o| o.object("a", |_| Ok(())));
        assert!(
            result
                .unwrap_err()
                .contains("should be an object and is an array")
        );
    }

    #[test]
    fn twins_empties_and_odd_strings_are_refused() {
        let fails = |json: &str| read(json, |o| o.string("a")).0.is_err();
        assert!(fails(r#"{"a":"1","a":"2"}"#));
        assert!(fails(r#"{"a":"1","\u0061":"2"}"#));
        assert!(fails("{}"));
        assert!(fails(r#"{"a":"\ud800"}"#));
        let many: Vec<_> = (0..300).map(|i| format!("\"{i}\":1")).collect();
        assert!(fails(&format!("{{{}}}", many.join(","))));
        assert!(fails(&format!(
            "{{\"a\":\"{}\"}}",
            "x".repeat(MAX_STRING_BYTES)
        )));
        assert_eq!(
            read(r#"{"a":"\u00e9\n"}"#, |o| o.string("a")).0,
            Ok(Some("é\n".to_owned()))
        );
        assert_eq!(read(r#"{"a":""}"#, |o| o.string("a")).0, Ok(None));
        assert_eq!(read(r#"{"a":null}"#, |o| o.string("a")).0, Ok(None));
    }

    #[test]
    fn the_budget_of_elements_is_kept() {
        let list = vec![r#"{"d":1}"#; 20].join(",");
        let (result, _) = read(&format!("{{\"c\":[{list}]}}"), |o| {
            o.list("c", |c| c.integer("d"))
        });
        assert!(result.unwrap_err().contains("TooMany"));
    }
}
