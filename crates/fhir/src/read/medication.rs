//! MedicationRequest and MedicationStatement.

use salus_record::model::*;

use crate::bundle::Kind;
use crate::json::{At, Bad, Object, Tally};
use crate::read::datatypes::{
    concept, concepts, names, optional_concept, optional_quantity, timing,
};
use crate::read::{Cx, Reference, broken, own_extension};
use crate::urls;

impl<'a> Cx<'_, 'a> {
    /// An order; `None` for an order *not* to give something, which must never be read as one to give it.
    pub(crate) fn medication_request(
        &self,
        o: &mut Object<'a, '_>,
    ) -> Result<Option<Medication>, Bad> {
        if o.boolean("doNotPerform")? == Some(true) {
            return Ok(None);
        }
        Ok(Some(Medication {
            id: self.id(),
            kind: MedicationKind::MedicationRequest,
            code: self.medicine(o)?,
            status: o.string("status")?,
            status_reason: optional_concept(o, "statusReason")?.map(|c| c.label().to_owned()),
            intent: o.string("intent")?,
            authored_on: o.date_time("authoredOn")?,
            // R4 has no such element; only an export of ours can bring one.
            effective: timing(o, &names!("effective"))?,
            dosage: dosages(o, "dosageInstruction")?,
            reason: concepts(o, "reasonCode")?,
            reason_conditions: self.links(o, "reasonReference", &[Kind::Condition])?,
            requester: self.words(o, "requester")?,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        }))
    }

    /// What a patient takes, whoever ordered it.
    pub(crate) fn medication_statement(&self, o: &mut Object<'a, '_>) -> Result<Medication, Bad> {
        let mut reasons = concepts(o, "statusReason")?.into_iter();
        let status_reason = reasons.next().map(|c| c.label().to_owned());
        for _ in reasons {
            o.unmodelled("statusReason");
        }
        let intent = own_extension(o, urls::EXT_INTENT, |e| e.string("valueCode"))?;
        let was_request = own_extension(o, urls::EXT_MEDICATION_KIND, |e| e.string("valueCode"))?
            .is_some_and(|kind| kind == "MedicationRequest");
        let kind = if was_request {
            MedicationKind::MedicationRequest
        } else {
            MedicationKind::MedicationStatement
        };
        Ok(Medication {
            id: self.id(),
            kind,
            code: self.medicine(o)?,
            status: o.string("status")?,
            status_reason,
            intent,
            authored_on: o.date_time("dateAsserted")?,
            effective: timing(o, &names!("effective"))?,
            dosage: dosages(o, "dosage")?,
            reason: concepts(o, "reasonCode")?,
            reason_conditions: self.links(o, "reasonReference", &[Kind::Condition])?,
            requester: self.words(o, "informationSource")?,
            encounter: self.link(o, "context", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        })
    }

    /// Which medicine: given as a concept, or by a Medication resource, whose code is then taken over.
    fn medicine(&self, o: &mut Object<'a, '_>) -> Result<CodeableConcept, Bad> {
        if let Some(concept) = optional_concept(o, "medicationCodeableConcept")? {
            return Ok(concept);
        }
        let found = o.object("medicationReference", |r| {
            let reference = Reference::read(r)?;
            let target = reference.reference.as_deref();
            let found = match target {
                Some(target) => self.resolve(r, target)?,
                None => None,
            };
            let code = match found {
                Some(index) => self.code_of(index)?,
                None => None,
            };
            r.charge(code.as_ref().map_or(0, cost))?;
            let words = reference.display.map(CodeableConcept::text);
            match (code.or(words), target) {
                (Some(medicine), _) => Ok(medicine),
                // A medicine without a name is worse than a file that is refused.
                (None, Some(target)) => {
                    Err(broken(r, target, "no Medication with a code is there"))
                }
                (None, None) => Err(broken(r, "", "it names no Medication")),
            }
        })?;
        Ok(found.unwrap_or_default())
    }

    /// The code of a Medication, or else of its first ingredient.
    fn code_of(&self, index: usize) -> Result<Option<CodeableConcept>, Bad> {
        let node = self.graph.node(index);
        if node.kind != Kind::Medication {
            return Ok(None);
        }
        if let Some(code) = self.lookups.codes.borrow().get(&index) {
            return Ok(code.clone());
        }
        // The Medication itself is only kept, so what else it says is not counted.
        let tally = Tally::default();
        tally.elements_left.set(MAX_MEDICATION_ELEMENTS);
        let code = Object::read(node.raw, At::root("Medication", &tally), |o| {
            if let Some(code) = optional_concept(o, "code")? {
                return Ok(Some(code));
            }
            let items = o.list("ingredient", |i| i.object("itemCodeableConcept", concept))?;
            Ok(items
                .into_iter()
                .flatten()
                .find(|c| *c != CodeableConcept::default()))
        })?;
        let code = code.filter(|_| !tally.modified.get());
        self.lookups.codes.borrow_mut().insert(index, code.clone());
        Ok(code)
    }
}

/// What a copy of a concept costs, in elements.
fn cost(concept: &CodeableConcept) -> u64 {
    let parts = concept
        .coding
        .iter()
        .flat_map(|c| [&c.system, &c.code, &c.display]);
    let bytes: usize = parts
        .chain([&concept.text])
        .flatten()
        .map(String::len)
        .sum();
    // 64 bytes: about what the strings of one Coding take.
    u64::try_from(1 + concept.coding.len() + bytes / 64).unwrap_or(u64::MAX)
}

/// Elements that are read of one Medication. 10,000: a guess; the sample data has 6.
const MAX_MEDICATION_ELEMENTS: u64 = 10_000;

fn dosages(o: &mut Object<'_, '_>, name: &str) -> Result<Vec<Dosage>, Bad> {
    let mut dosages = o.list(name, dosage)?;
    dosages.retain(|d| *d != Dosage::default());
    Ok(dosages)
}

/// `Dosage`. Of several doses the first counts; rates and maxima are left to the raw part and the text.
fn dosage(o: &mut Object<'_, '_>) -> Result<Dosage, Bad> {
    let repeat = o.object("timing", |t| {
        t.object("repeat", |r| {
            Ok((
                r.unsigned("frequency")?,
                r.decimal("period")?,
                r.string("periodUnit")?,
            ))
        })
    })?;
    let (frequency, period, period_unit) = repeat.flatten().unwrap_or_default();
    let mut doses = o
        .list("doseAndRate", |d| optional_quantity(d, "doseQuantity"))?
        .into_iter();
    let dose = doses.next().flatten();
    for _ in doses {
        o.unmodelled("doseAndRate");
    }
    // "When needed for pain" is "when needed" too, and must not become "always".
    let for_reason = o.has("asNeededCodeableConcept").then_some(true);
    Ok(Dosage {
        text: o.string("text")?,
        dose,
        frequency,
        period,
        period_unit,
        route: optional_concept(o, "route")?,
        as_needed: o.boolean("asNeededBoolean")?.or(for_reason),
        sequence: o.unsigned("sequence")?,
    })
}
