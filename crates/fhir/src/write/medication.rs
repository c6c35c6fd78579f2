//! MedicationRequest and MedicationStatement.

use salus_record::model::*;

use crate::urls;
use crate::write::bundle::{Links, Type};
use crate::write::datatypes::{
    Forms, concepts, named, optional_concept, optional_timing, quantity, remark, required_code,
    required_concept, timing_extension,
};
use crate::write::json::Object;

impl Links<'_> {
    pub(crate) fn medication(&self, o: &mut Object<'_>, item: &Medication) {
        match item.kind {
            MedicationKind::MedicationRequest if !self.is_ips() => {
                self.medication_request(o, item);
            }
            // A patient summary says what is taken, whoever ordered it.
            MedicationKind::MedicationRequest | MedicationKind::MedicationStatement => {
                self.medication_statement(o, item)
            }
        }
    }

    fn medication_request(&self, o: &mut Object<'_>, item: &Medication) {
        self.head(o, Type::MedicationRequest, &item.id);
        optional_timing(o, "effective", Forms::NONE, item.effective.as_ref());
        required_code(o, "status", item.status.as_deref());
        if let Some(why) = &item.status_reason {
            o.object("statusReason", |o| o.str("text", why));
        }
        required_code(o, "intent", item.intent.as_deref());
        required_concept(o, "medicationCodeableConcept", &item.code);
        self.patient(o, "subject");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        o.opt("authoredOn", item.authored_on.as_deref());
        named(o, "requester", item.requester.as_deref());
        self.medication_tail(o, item, "dosageInstruction");
    }

    fn medication_statement(&self, o: &mut Object<'_>, item: &Medication) {
        self.head(o, Type::MedicationStatement, &item.id);
        // One list of extensions: a statement may need several.
        let forms = Forms::DATE_TIME_OR_PERIOD;
        let (effective, aside) = match &item.effective {
            Some(time) if !forms.has(time) => (None, Some(time)),
            time => (time.as_ref(), None),
        };
        let is_request = item.kind == MedicationKind::MedicationRequest;
        let extensions = [
            is_request.then_some(Extension::Code(urls::EXT_MEDICATION_KIND, REQUEST)),
            item.intent
                .as_deref()
                .map(|intent| Extension::Code(urls::EXT_INTENT, intent)),
            aside.map(Extension::Timing),
        ];
        o.list("extension", &extensions, |e, extension| match extension {
            Some(Extension::Code(url, code)) if !code.is_empty() => {
                e.str("url", url);
                e.str("valueCode", code);
            }
            Some(Extension::Timing(time)) => timing_extension(e, time),
            _ => {}
        });
        required_code(o, "status", item.status.as_deref());
        if let Some(why) = &item.status_reason {
            o.list("statusReason", &[why], |o, why| o.str("text", why));
        }
        required_concept(o, "medicationCodeableConcept", &item.code);
        self.patient(o, "subject");
        self.link(o, "context", Type::Encounter, item.encounter.as_deref());
        self.timing(o, "effective", forms, effective);
        o.opt("dateAsserted", item.authored_on.as_deref());
        named(o, "informationSource", item.requester.as_deref());
        self.medication_tail(o, item, "dosage");
    }

    fn medication_tail(&self, o: &mut Object<'_>, item: &Medication, dosage_name: &str) {
        concepts(o, "reasonCode", &item.reason);
        self.links(
            o,
            "reasonReference",
            Type::Condition,
            &item.reason_conditions,
        );
        remark(o, item.note.as_deref());
        o.list(dosage_name, &item.dosage, dosage);
    }
}

/// What a MedicationRequest of the record is called where a summary writes it as a statement.
const REQUEST: &str = "MedicationRequest";

/// One of a statement's extensions.
enum Extension<'c> {
    /// URL and code.
    Code(&'static str, &'c str),
    /// A time that `effective[x]` has no form for.
    Timing(&'c Timing),
}

fn dosage(o: &mut Object<'_>, dosage: &Dosage) {
    o.integer("sequence", dosage.sequence.map(i64::from));
    o.opt("text", dosage.text.as_deref());
    o.object("timing", |o| {
        o.object("repeat", |o| {
            o.integer("frequency", dosage.frequency.map(i64::from));
            o.decimal("period", dosage.period.as_ref());
            o.opt("periodUnit", dosage.period_unit.as_deref());
        });
    });
    o.boolean("asNeededBoolean", dosage.as_needed);
    optional_concept(o, "route", dosage.route.as_ref());
    o.list("doseAndRate", dosage.dose.as_slice(), |o, dose| {
        o.object("doseQuantity", |o| quantity(o, dose));
    });
}
