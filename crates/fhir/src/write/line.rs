//! One item in a line of words: what a table shows of it, on paper or in a spreadsheet.

use std::borrow::Cow;

use salus_record::model::*;

use crate::date::instant_of_ms;
use crate::write::bundle::Resource;
use crate::write::patient::whole_name;

/// What a table shows of one item. Parts that the item does not have are empty.
#[derive(Default)]
pub(crate) struct Line<'c> {
    /// FHIR resource type.
    pub(crate) resource: &'static str,
    pub(crate) id: &'c str,
    pub(crate) code: Option<&'c CodeableConcept>,
    /// What it is, in words.
    pub(crate) display: Cow<'c, str>,
    /// What was measured, or how much is to be taken.
    pub(crate) value: String,
    pub(crate) unit: &'c str,
    pub(crate) status: &'c str,
    /// When it was, or began.
    pub(crate) date: Cow<'c, str>,
    pub(crate) end_date: Cow<'c, str>,
    pub(crate) category: String,
    /// Everything else in words.
    pub(crate) detail: String,
    /// Who did it or said it.
    pub(crate) by: String,
    pub(crate) encounter: &'c str,
    pub(crate) note: &'c str,
}

impl<'c> Line<'c> {
    /// The patient's own line.
    pub(crate) fn of_patient(patient: &'c Patient) -> Self {
        let deceased = text(&patient.deceased);
        let mut detail = Words::new("; ");
        detail.add(patient.sex.as_str());
        detail.named("MRN", text(&patient.mrn));
        Self {
            resource: "Patient",
            id: text(&patient.source_id),
            display: whole_name(patient).into(),
            status: if deceased.is_empty() { "" } else { "deceased" },
            date: text(&patient.birth_date).into(),
            end_date: if deceased == "true" { "" } else { deceased }.into(),
            detail: detail.text,
            ..Self::default()
        }
    }

    /// The line of an item.
    pub(crate) fn of(resource: &Resource<'c>) -> Self {
        let (item_type, id) = resource.name();
        let line = match *resource {
            Resource::Allergy(item) => allergy(item),
            Resource::Condition(item) => condition(item),
            Resource::Medication(item) => medication(item),
            Resource::Observation(item) => observation(item),
            Resource::DiagnosticReport(item) => report(item),
            Resource::Immunization(item) => immunization(item),
            Resource::Procedure(item) => procedure(item),
            Resource::Encounter(item) => encounter(item),
            Resource::Note(item) => note(item),
        };
        let display = match line.code {
            Some(code) if line.display.is_empty() => code.label().into(),
            _ => line.display,
        };
        Self {
            resource: item_type.as_str(),
            id,
            display,
            ..line
        }
    }
}

/// Words put together with something between them; empty ones are left out.
struct Words {
    text: String,
    between: &'static str,
}

impl Words {
    fn new(between: &'static str) -> Self {
        Self {
            text: String::new(),
            between,
        }
    }

    fn add(&mut self, words: &str) {
        self.named("", words);
    }

    /// Words after the name of what they are.
    fn named(&mut self, name: &str, words: &str) {
        if words.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push_str(self.between);
        }
        self.text.push_str(name);
        if !name.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(words);
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

fn labels(concepts: &[CodeableConcept]) -> String {
    let mut words = Words::new("; ");
    concepts.iter().for_each(|c| words.add(c.label()));
    words.text
}

fn label(concept: &Option<CodeableConcept>) -> &str {
    concept.as_ref().map_or("", CodeableConcept::label)
}

/// From when to when.
fn span(timing: Option<&Timing>) -> (Cow<'_, str>, Cow<'_, str>) {
    match timing {
        None => Default::default(),
        Some(Timing::DateTime(at) | Timing::Text(at)) => (at.into(), "".into()),
        Some(Timing::Period(period)) => (text(&period.start).into(), text(&period.end).into()),
        Some(Timing::Age(age)) => (format!("at age {}", amount(age)).into(), "".into()),
    }
}

/// A quantity's number, with what it is compared by.
fn number(quantity: &Quantity) -> String {
    let value = quantity.value.as_ref().map_or("", |v| v.as_str());
    format!("{}{value}", text(&quantity.comparator))
}

fn unit(quantity: &Quantity) -> &str {
    let code = text(&quantity.code);
    quantity.unit.as_deref().unwrap_or(code)
}

/// Number and unit.
fn amount(quantity: &Quantity) -> String {
    let mut words = Words::new(" ");
    words.add(&number(quantity));
    words.add(unit(quantity));
    words.text
}

/// Two quantities with something between them.
fn pair(first: &Option<Quantity>, between: &str, second: &Option<Quantity>) -> String {
    let side = |quantity: &Option<Quantity>| quantity.as_ref().map_or(String::new(), amount);
    format!("{}{between}{}", side(first), side(second))
}

/// A value and its unit.
fn measured(value: Option<&ObservationValue>) -> (String, &str) {
    let words = match value {
        None => String::new(),
        Some(ObservationValue::Quantity(quantity)) => return (number(quantity), unit(quantity)),
        Some(ObservationValue::Concept(concept)) => concept.label().to_owned(),
        Some(
            ObservationValue::String(text)
            | ObservationValue::DateTime(text)
            | ObservationValue::Time(text),
        ) => text.clone(),
        Some(ObservationValue::Boolean(truth)) => truth.to_string(),
        Some(ObservationValue::Integer(n)) => n.to_string(),
        Some(ObservationValue::Period(p)) => format!("{} – {}", text(&p.start), text(&p.end)),
        Some(ObservationValue::Range { low, high }) => pair(low, " – ", high),
        Some(ObservationValue::Ratio {
            numerator,
            denominator,
        }) => pair(numerator, " : ", denominator),
    };
    (words, "")
}

fn allergy(item: &AllergyIntolerance) -> Line<'_> {
    let (onset, end_date) = span(item.onset.as_ref());
    let recorded = text(&item.recorded_date);
    let mut detail = Words::new("; ");
    detail.add(text(&item.kind));
    detail.add(text(&item.verification_status));
    detail.named("criticality", text(&item.criticality));
    for reaction in &item.reactions {
        let mut words = Words::new(", ");
        words.add(&labels(&reaction.manifestation));
        words.add(text(&reaction.description));
        words.add(text(&reaction.severity));
        detail.named("reaction", &words.text);
    }
    Line {
        code: Some(&item.code),
        status: text(&item.clinical_status),
        date: if onset.is_empty() {
            recorded.into()
        } else {
            onset
        },
        end_date,
        category: item.category.join("; "),
        detail: detail.text,
        encounter: text(&item.encounter),
        note: text(&item.note),
        ..Line::default()
    }
}

fn condition(item: &Condition) -> Line<'_> {
    let (onset, onset_end) = span(item.onset.as_ref());
    let (abated, abated_end) = span(item.abatement.as_ref());
    let recorded = text(&item.recorded_date);
    let end_date = [abated_end, abated, onset_end]
        .into_iter()
        .find(|end| !end.is_empty());
    let mut detail = Words::new("; ");
    detail.add(text(&item.verification_status));
    detail.add(label(&item.severity));
    detail.add(&labels(&item.body_site));
    Line {
        code: Some(&item.code),
        status: text(&item.clinical_status),
        date: if onset.is_empty() {
            recorded.into()
        } else {
            onset
        },
        end_date: end_date.unwrap_or_default(),
        category: labels(&item.category),
        detail: detail.text,
        encounter: text(&item.encounter),
        note: text(&item.note),
        ..Line::default()
    }
}

fn dosage(dosage: &Dosage) -> String {
    let mut words = Words::new(", ");
    words.add(text(&dosage.text));
    words.add(&dosage.dose.as_ref().map_or(String::new(), amount));
    if let Some(frequency) = dosage.frequency {
        let period = dosage.period.as_ref().map_or("1", |p| p.as_str());
        let unit = dosage.period_unit.as_deref().unwrap_or("d");
        words.add(&format!("{frequency} in {period} {unit}"));
    }
    words.add(label(&dosage.route));
    if dosage.as_needed == Some(true) {
        words.add("as needed");
    }
    words.text
}

fn medication(item: &Medication) -> Line<'_> {
    let (start, end_date) = span(item.effective.as_ref());
    let mut detail = Words::new("; ");
    item.dosage.iter().for_each(|d| detail.add(&dosage(d)));
    detail.named("for", &labels(&item.reason));
    detail.add(text(&item.status_reason));
    Line {
        code: Some(&item.code),
        status: text(&item.status),
        date: if start.is_empty() {
            text(&item.authored_on).into()
        } else {
            start
        },
        end_date,
        category: text(&item.intent).to_owned(),
        detail: detail.text,
        by: text(&item.requester).to_owned(),
        encounter: text(&item.encounter),
        note: text(&item.note),
        ..Line::default()
    }
}

fn observation(item: &Observation) -> Line<'_> {
    let (date, end_date) = span(item.effective.as_ref());
    let (mut value, unit) = measured(item.value.as_ref());
    let mut parts = Words::new("; ");
    for component in &item.components {
        let (value, unit) = measured(component.value.as_ref());
        let mut words = Words::new(" ");
        words.add(component.code.label());
        words.add(&value);
        words.add(unit);
        words.add(label(&component.data_absent_reason));
        parts.add(&words.text);
    }
    let mut detail = Words::new("; ");
    // A blood pressure has no value of its own: its parts are the value.
    if item.value.is_none() {
        value = parts.text;
    } else {
        detail.add(&parts.text);
    }
    detail.add(&labels(&item.interpretation));
    for range in &item.reference_range {
        let mut words = Words::new(", ");
        if range.low.is_some() || range.high.is_some() {
            words.add(&pair(&range.low, " – ", &range.high));
        }
        words.add(text(&range.text));
        detail.named("reference", &words.text);
    }
    detail.named("no value:", label(&item.data_absent_reason));
    detail.add(label(&item.body_site));
    detail.add(label(&item.method));
    Line {
        code: Some(&item.code),
        value,
        unit,
        status: text(&item.status),
        date,
        end_date,
        category: labels(&item.category),
        detail: detail.text,
        by: item.performer.join("; "),
        encounter: text(&item.encounter),
        note: text(&item.note),
        ..Line::default()
    }
}

fn report(item: &DiagnosticReport) -> Line<'_> {
    let (date, end_date) = span(item.effective.as_ref());
    let mut value = Words::new("; ");
    value.add(text(&item.conclusion));
    value.add(&labels(&item.conclusion_codes));
    let mut detail = Words::new("; ");
    if !item.results.is_empty() {
        detail.add(&format!("{} results", item.results.len()));
    }
    Line {
        code: Some(&item.code),
        value: value.text,
        status: text(&item.status),
        date: if date.is_empty() {
            text(&item.issued).into()
        } else {
            date
        },
        end_date,
        category: labels(&item.category),
        detail: detail.text,
        by: item.performer.join("; "),
        encounter: text(&item.encounter),
        note: text(&item.text),
        ..Line::default()
    }
}

fn immunization(item: &Immunization) -> Line<'_> {
    let (date, end_date) = span(item.occurrence.as_ref());
    let mut detail = Words::new("; ");
    detail.named("lot", text(&item.lot_number));
    detail.add(label(&item.site));
    detail.add(label(&item.route));
    Line {
        code: Some(&item.code),
        value: item.dose.as_ref().map_or(String::new(), number),
        unit: item.dose.as_ref().map_or("", unit),
        status: text(&item.status),
        date,
        end_date,
        detail: detail.text,
        encounter: text(&item.encounter),
        note: text(&item.note),
        ..Line::default()
    }
}

fn procedure(item: &Procedure) -> Line<'_> {
    let (date, end_date) = span(item.performed.as_ref());
    let mut detail = Words::new("; ");
    detail.named("for", &labels(&item.reason));
    detail.add(&labels(&item.body_site));
    Line {
        code: Some(&item.code),
        value: label(&item.outcome).to_owned(),
        status: text(&item.status),
        date,
        end_date,
        detail: detail.text,
        encounter: text(&item.encounter),
        note: text(&item.note),
        ..Line::default()
    }
}

fn encounter(item: &Encounter) -> Line<'_> {
    let class = item.class.as_ref();
    let class = class.and_then(|c| c.display.as_deref().or(c.code.as_deref()));
    let mut by = Words::new("; ");
    item.participants.iter().for_each(|who| by.add(who));
    by.add(text(&item.service_provider));
    let period = item.period.as_ref();
    Line {
        code: Some(&item.code),
        status: text(&item.status),
        date: period.map_or("", |p| text(&p.start)).into(),
        end_date: period.map_or("", |p| text(&p.end)).into(),
        category: class.unwrap_or_default().to_owned(),
        detail: labels(&item.reason),
        by: by.text,
        ..Line::default()
    }
}

fn note(item: &Note) -> Line<'_> {
    Line {
        display: "Note".into(),
        date: instant_of_ms(item.created_ms).into(),
        by: item.author.clone(),
        encounter: text(&item.encounter),
        note: &item.text,
        ..Line::default()
    }
}
