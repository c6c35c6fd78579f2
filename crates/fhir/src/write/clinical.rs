//! AllergyIntolerance, Condition, Immunization, Procedure and Encounter.

use salus_record::model::*;

use crate::urls;
use crate::write::bundle::{Links, Type};
use crate::write::datatypes::{
    Forms, absent, coding, concept, concepts, named, named_list, optional_concept,
    optional_quantity, optional_timing, period, remark, required_code, required_concept,
    required_timing, status_concept,
};
use crate::write::json::Object;

impl Links<'_> {
    pub(crate) fn allergy_intolerance(&self, o: &mut Object<'_>, item: &AllergyIntolerance) {
        self.head(o, Type::AllergyIntolerance, &item.id);
        clinical_status(
            o,
            urls::ALLERGY_CLINICAL,
            item.clinical_status.as_deref(),
            item.verification_status.as_deref(),
        );
        let verification = item.verification_status.as_deref();
        status_concept(
            o,
            "verificationStatus",
            urls::ALLERGY_VERIFICATION,
            verification,
        );
        o.opt("type", item.kind.as_deref());
        o.strs("category", &item.category);
        o.opt("criticality", item.criticality.as_deref());
        self.code(o, &item.code);
        self.patient(o, "patient");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        optional_timing(o, "onset", Forms::ALL, item.onset.as_ref());
        o.opt("recordedDate", item.recorded_date.as_deref());
        remark(o, item.note.as_deref());
        o.list("reaction", &item.reactions, |o, reaction| {
            if *reaction == Reaction::default() {
                return;
            }
            if !o.list("manifestation", &reaction.manifestation, concept) {
                o.list("manifestation", &[()], |o, ()| absent(o));
            }
            o.opt("description", reaction.description.as_deref());
            o.opt("severity", reaction.severity.as_deref());
        });
    }

    pub(crate) fn condition(&self, o: &mut Object<'_>, item: &Condition) {
        self.head(o, Type::Condition, &item.id);
        clinical_status(
            o,
            urls::CONDITION_CLINICAL,
            item.clinical_status.as_deref(),
            item.verification_status.as_deref(),
        );
        let verification = item.verification_status.as_deref();
        status_concept(
            o,
            "verificationStatus",
            urls::CONDITION_VERIFICATION,
            verification,
        );
        concepts(o, "category", &item.category);
        optional_concept(o, "severity", item.severity.as_ref());
        self.code(o, &item.code);
        concepts(o, "bodySite", &item.body_site);
        self.patient(o, "subject");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        optional_timing(o, "onset", Forms::ALL, item.onset.as_ref());
        optional_timing(o, "abatement", Forms::ALL, item.abatement.as_ref());
        o.opt("recordedDate", item.recorded_date.as_deref());
        remark(o, item.note.as_deref());
    }

    pub(crate) fn immunization(&self, o: &mut Object<'_>, item: &Immunization) {
        self.head(o, Type::Immunization, &item.id);
        required_code(o, "status", item.status.as_deref());
        required_concept(o, "vaccineCode", &item.code);
        self.patient(o, "patient");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        required_timing(
            o,
            "occurrence",
            Forms::DATE_TIME_OR_STRING,
            item.occurrence.as_ref(),
        );
        o.boolean("primarySource", item.primary_source);
        o.opt("lotNumber", item.lot_number.as_deref());
        optional_concept(o, "site", item.site.as_ref());
        optional_concept(o, "route", item.route.as_ref());
        optional_quantity(o, "doseQuantity", item.dose.as_ref());
        remark(o, item.note.as_deref());
    }

    pub(crate) fn procedure(&self, o: &mut Object<'_>, item: &Procedure) {
        self.head(o, Type::Procedure, &item.id);
        required_code(o, "status", item.status.as_deref());
        self.code(o, &item.code);
        self.patient(o, "subject");
        self.link(o, "encounter", Type::Encounter, item.encounter.as_deref());
        self.timing(o, "performed", Forms::ALL, item.performed.as_ref());
        concepts(o, "reasonCode", &item.reason);
        self.links(
            o,
            "reasonReference",
            Type::Condition,
            &item.reason_conditions,
        );
        concepts(o, "bodySite", &item.body_site);
        optional_concept(o, "outcome", item.outcome.as_ref());
        remark(o, item.note.as_deref());
    }

    pub(crate) fn encounter(&self, o: &mut Object<'_>, item: &Encounter) {
        self.head(o, Type::Encounter, &item.id);
        required_code(o, "status", item.status.as_deref());
        let class = item.class.as_ref();
        if !o.object("class", |o| {
            class.into_iter().for_each(|class| coding(o, class))
        }) {
            o.object("class", absent);
        }
        concepts(o, "type", std::slice::from_ref(&item.code));
        self.patient(o, "subject");
        o.list("participant", &item.participants, |o, who| {
            named(o, "individual", Some(who))
        });
        if let Some(when) = &item.period {
            o.object("period", |o| period(o, when));
        }
        concepts(o, "reasonCode", &item.reason);
        self.links(
            o,
            "reasonReference",
            Type::Condition,
            &item.reason_conditions,
        );
        named(o, "serviceProvider", item.service_provider.as_deref());
    }

    /// A note, as a document of plain text.
    pub(crate) fn note(&self, o: &mut Object<'_>, note: &Note) {
        self.head(o, Type::DocumentReference, &note.id);
        o.str("status", "current");
        o.object("type", |o| {
            o.list("coding", &[()], |c, ()| {
                c.str("system", urls::LOINC);
                c.str("code", urls::LOINC_NOTE);
                c.str("display", "Note");
            });
        });
        self.patient(o, "subject");
        o.str("date", &crate::date::instant_of_ms(note.created_ms));
        named_list(o, "author", std::slice::from_ref(&note.author));
        o.list("content", &[()], |o, ()| {
            o.object("attachment", |o| plain_text(o, &note.text));
        });
        if let Some(encounter) = &note.encounter {
            o.object("context", |o| {
                self.links(
                    o,
                    "encounter",
                    Type::Encounter,
                    std::slice::from_ref(encounter),
                );
            });
        }
    }
}

/// Clinical status of an allergy or condition. R4 wants one unless the item was entered in error, and then forbids
/// it (invariants `ait-1`, `ait-2`, `con-3` and `con-5`): what the record has stands in an extension of ours.
fn clinical_status(
    o: &mut Object<'_>,
    system: &str,
    status: Option<&str>,
    verification: Option<&str>,
) {
    let in_error = verification == Some("entered-in-error");
    match status {
        None if in_error => {}
        None => {
            o.object("clinicalStatus", absent);
        }
        Some(status) if in_error => {
            o.list("extension", &[status], |e, status| {
                e.str("url", urls::EXT_CLINICAL_STATUS);
                e.str("valueCode", status);
            });
        }
        status => status_concept(o, "clinicalStatus", system, status),
    }
}

/// An inline attachment of plain text.
pub(crate) fn plain_text(o: &mut Object<'_>, text: &str) {
    o.str("contentType", "text/plain; charset=utf-8");
    // An empty text is an empty attachment, and still one.
    if text.is_empty() {
        o.integer("size", Some(0));
    } else {
        o.str("data", &crate::base64::encode(text.as_bytes()));
    }
}
