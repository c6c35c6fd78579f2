//! FHIR's general-purpose datatypes (R4 section 2.24), and how a missing required element is written.

use salus_record::model::*;

use crate::urls;
use crate::write::json::Object;

/// `Coding`.
pub(crate) fn coding(o: &mut Object<'_>, coding: &Coding) {
    o.opt("system", coding.system.as_deref());
    o.opt("code", coding.code.as_deref());
    o.opt("display", coding.display.as_deref());
}

/// `CodeableConcept`.
pub(crate) fn concept(o: &mut Object<'_>, concept: &CodeableConcept) {
    o.list("coding", &concept.coding, coding);
    o.opt("text", concept.text.as_deref());
}

/// A concept that may be absent.
pub(crate) fn optional_concept(o: &mut Object<'_>, name: &str, value: Option<&CodeableConcept>) {
    if let Some(value) = value {
        o.object(name, |o| concept(o, value));
    }
}

/// Concepts.
pub(crate) fn concepts(o: &mut Object<'_>, name: &str, values: &[CodeableConcept]) -> bool {
    o.list(name, values, concept)
}

/// A concept that FHIR requires: where there is none, it says that it is unknown.
pub(crate) fn required_concept(o: &mut Object<'_>, name: &str, value: &CodeableConcept) {
    if !o.object(name, |o| concept(o, value)) {
        o.object(name, absent);
    }
}

/// The extension that stands for a value that nobody knows (HL7 `data-absent-reason`).
pub(crate) fn absent(o: &mut Object<'_>) {
    o.list("extension", &[()], |e, ()| {
        e.str("url", urls::DATA_ABSENT);
        e.str("valueCode", "unknown");
    });
}

/// A code that FHIR requires: where there is none, it says that it is unknown.
pub(crate) fn required_code(o: &mut Object<'_>, name: &str, value: Option<&str>) {
    match value.filter(|code| !code.is_empty()) {
        Some(code) => o.str(name, code),
        None => {
            o.object(&format!("_{name}"), absent);
        }
    }
}

/// A status that FHIR writes as a concept.
pub(crate) fn status_concept(o: &mut Object<'_>, name: &str, system: &str, code: Option<&str>) {
    if let Some(code) = code {
        o.object(name, |o| {
            o.list("coding", &[()], |c, ()| {
                c.str("system", system);
                c.str("code", code);
            });
        });
    }
}

/// `Quantity`.
pub(crate) fn quantity(o: &mut Object<'_>, quantity: &Quantity) {
    o.decimal("value", quantity.value.as_ref());
    o.opt("comparator", quantity.comparator.as_deref());
    o.opt("unit", quantity.unit.as_deref());
    o.opt("system", quantity.system.as_deref());
    o.opt("code", quantity.code.as_deref());
}

/// A quantity that may be absent.
pub(crate) fn optional_quantity(o: &mut Object<'_>, name: &str, value: Option<&Quantity>) {
    if let Some(value) = value {
        o.object(name, |o| quantity(o, value));
    }
}

/// `Period`.
pub(crate) fn period(o: &mut Object<'_>, period: &Period) {
    o.opt("start", period.start.as_deref());
    o.opt("end", period.end.as_deref());
}

/// `Annotation`s: the one remark of an item.
pub(crate) fn remark(o: &mut Object<'_>, text: Option<&str>) {
    if let Some(text) = text {
        o.list("note", &[text], |n, text| n.str("text", text));
    }
}

/// Somebody who is only known by name.
pub(crate) fn named(o: &mut Object<'_>, name: &str, who: Option<&str>) {
    if let Some(who) = who {
        o.object(name, |r| r.str("display", who));
    }
}

/// Several of them.
pub(crate) fn named_list(o: &mut Object<'_>, name: &str, who: &[String]) -> bool {
    o.list(name, who, |r, who| r.str("display", who))
}

/// Which forms a `…[x]` element may have, beside a dateTime.
#[derive(Clone, Copy)]
pub(crate) struct Forms {
    pub(crate) date_time: bool,
    pub(crate) period: bool,
    pub(crate) age: bool,
    pub(crate) string: bool,
}

impl Forms {
    /// All of them (`onset[x]`, `abatement[x]`, `performed[x]`).
    pub(crate) const ALL: Self = Self {
        date_time: true,
        period: true,
        age: true,
        string: true,
    };
    /// `effective[x]`.
    pub(crate) const DATE_TIME_OR_PERIOD: Self = Self {
        date_time: true,
        period: true,
        age: false,
        string: false,
    };
    /// `occurrence[x]` of an Immunization.
    pub(crate) const DATE_TIME_OR_STRING: Self = Self {
        date_time: true,
        period: false,
        age: false,
        string: true,
    };
    /// Whether a time has one of them.
    pub(crate) fn has(self, value: &Timing) -> bool {
        match value {
            Timing::DateTime(at) => self.date_time && !at.is_empty(),
            Timing::Period(p) => self.period && *p != Period::default(),
            Timing::Age(age) => self.age && *age != Quantity::default(),
            Timing::Text(words) => self.string && !words.is_empty(),
        }
    }

    /// The element does not exist.
    pub(crate) const NONE: Self = Self {
        date_time: false,
        period: false,
        age: false,
        string: false,
    };
}

/// Writes a time if the element can have its form; returns whether it could.
pub(crate) fn timing(o: &mut Object<'_>, base: &str, forms: Forms, value: &Timing) -> bool {
    let form = |form: &str| format!("{base}{form}");
    match value {
        Timing::DateTime(at) if forms.date_time => {
            o.str(&form("DateTime"), at);
            true
        }
        Timing::Period(p) if forms.period => o.object(&form("Period"), |o| period(o, p)),
        Timing::Age(age) if forms.age => o.object(&form("Age"), |o| quantity(o, age)),
        Timing::Text(words) if forms.string => {
            o.str(&form("String"), words);
            true
        }
        _ => false,
    }
}

/// Writes a time that may be absent; one that the element has no form for is put into an extension of ours.
pub(crate) fn optional_timing(
    o: &mut Object<'_>,
    base: &str,
    forms: Forms,
    value: Option<&Timing>,
) {
    let Some(value) = value else { return };
    if !timing(o, base, forms, value) {
        o.list("extension", &[value], |e, value| timing_extension(e, value));
    }
}

/// The same where the element is required: without a time that it can have, it says that it is unknown.
pub(crate) fn required_timing(
    o: &mut Object<'_>,
    base: &str,
    forms: Forms,
    value: Option<&Timing>,
) {
    if !value.is_some_and(|value| forms.has(value)) {
        o.object(&format!("_{base}DateTime"), absent);
    }
    optional_timing(o, base, forms, value);
}

/// The extension for a time that its element has no form for.
pub(crate) fn timing_extension(e: &mut Object<'_>, value: &Timing) {
    e.str("url", urls::EXT_TIMING);
    timing(e, "value", Forms::ALL, value);
}

/// An `instant` that may be absent. One that is only a date, as some systems write it, is no instant, and is
/// put into an extension of ours.
pub(crate) fn instant(o: &mut Object<'_>, name: &str, value: Option<&str>) {
    match value {
        Some(date) if !date.is_empty() && !date.contains('T') => {
            o.object(&format!("_{name}"), |o| {
                o.list("extension", &[()], |e, ()| {
                    e.str("url", urls::EXT_TIMING);
                    e.str("valueDateTime", date);
                });
            });
        }
        value => o.opt(name, value),
    }
}
