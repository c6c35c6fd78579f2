//! Observation and DiagnosticReport.

use salus_record::model::*;

use crate::write::bundle::{Links, Type};
use crate::write::clinical::plain_text;
use crate::write::datatypes::{
    Forms, absent, concept, concepts, instant, named_list, optional_concept, optional_quantity,
    period, quantity, remark, required_code, required_concept,
};
use crate::write::json::Object;

impl Links<'_> {
    pub(crate) fn observation(&self, o: &mut Object<'_>, item: &Observation) {
        self.head(o, Type::Observation, &item.id);
        required_code(o, "status", item.status.as_deref());
        concepts(o, "category", &item.category);
        required_concept(o, "code", &item.code);
        self.patient(o, "subject");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        self.timing(
            o,
            "effective",
            Forms::DATE_TIME_OR_PERIOD,
            item.effective.as_ref(),
        );
        instant(o, "issued", item.issued.as_deref());
        if !named_list(o, "performer", &item.performer) && self.is_ips() {
            o.list("performer", &[()], |o, ()| absent(o));
        }
        value(o, item.value.as_ref());
        optional_concept(o, "dataAbsentReason", item.data_absent_reason.as_ref());
        concepts(o, "interpretation", &item.interpretation);
        remark(o, item.note.as_deref());
        optional_concept(o, "bodySite", item.body_site.as_ref());
        optional_concept(o, "method", item.method.as_ref());
        o.list("referenceRange", &item.reference_range, |o, range| {
            optional_quantity(o, "low", range.low.as_ref());
            optional_quantity(o, "high", range.high.as_ref());
            o.opt("text", range.text.as_deref());
        });
        self.links(o, "hasMember", Type::Observation, &item.members);
        o.list("component", &item.components, |o, component| {
            if *component == ObservationComponent::default() {
                return;
            }
            required_concept(o, "code", &component.code);
            value(o, component.value.as_ref());
            optional_concept(o, "dataAbsentReason", component.data_absent_reason.as_ref());
            concepts(o, "interpretation", &component.interpretation);
        });
    }

    pub(crate) fn diagnostic_report(&self, o: &mut Object<'_>, item: &DiagnosticReport) {
        self.head(o, Type::DiagnosticReport, &item.id);
        required_code(o, "status", item.status.as_deref());
        if !concepts(o, "category", &item.category) && self.is_ips() {
            o.list("category", &[()], |o, ()| absent(o));
        }
        required_concept(o, "code", &item.code);
        self.patient(o, "subject");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        self.timing(
            o,
            "effective",
            Forms::DATE_TIME_OR_PERIOD,
            item.effective.as_ref(),
        );
        instant(o, "issued", item.issued.as_deref());
        named_list(o, "performer", &item.performer);
        self.links(o, "result", Type::Observation, &item.results);
        o.opt("conclusion", item.conclusion.as_deref());
        o.list("conclusionCode", &item.conclusion_codes, concept);
        o.list("presentedForm", item.text.as_slice(), |o, text| {
            plain_text(o, text)
        });
    }
}

fn value(o: &mut Object<'_>, value: Option<&ObservationValue>) {
    let Some(value) = value else { return };
    match value {
        ObservationValue::Quantity(q) => {
            o.object("valueQuantity", |o| quantity(o, q));
        }
        ObservationValue::Concept(c) => {
            o.object("valueCodeableConcept", |o| concept(o, c));
        }
        ObservationValue::String(text) => o.str("valueString", text),
        ObservationValue::Boolean(truth) => o.boolean("valueBoolean", Some(*truth)),
        ObservationValue::Integer(n) => o.integer("valueInteger", Some(*n)),
        ObservationValue::DateTime(at) => o.str("valueDateTime", at),
        ObservationValue::Time(time) => o.str("valueTime", time),
        ObservationValue::Period(p) => {
            o.object("valuePeriod", |o| period(o, p));
        }
        ObservationValue::Range { low, high } => {
            o.object("valueRange", |o| {
                optional_quantity(o, "low", low.as_ref());
                optional_quantity(o, "high", high.as_ref());
            });
        }
        ObservationValue::Ratio {
            numerator,
            denominator,
        } => {
            o.object("valueRatio", |o| {
                optional_quantity(o, "numerator", numerator.as_ref());
                optional_quantity(o, "denominator", denominator.as_ref());
            });
        }
    }
}
