//! AllergyIntolerance, Condition, Immunization, Procedure and Encounter.

use salus_record::model::*;

use crate::bundle::Kind;
use crate::json::{Bad, Object};
use crate::read::datatypes::{
    coding, concepts, names, optional_concept, optional_period, optional_quantity,
    required_concept, status_concept, timing,
};
use crate::read::{Cx, own_extension};
use crate::urls;

impl<'a> Cx<'_, 'a> {
    pub(crate) fn allergy_intolerance(
        &self,
        o: &mut Object<'a, '_>,
    ) -> Result<AllergyIntolerance, Bad> {
        Ok(AllergyIntolerance {
            id: self.id(),
            code: required_concept(o, "code")?,
            clinical_status: clinical_status(o)?,
            verification_status: status_concept(o, "verificationStatus")?,
            kind: o.string("type")?,
            category: o.strings("category")?,
            criticality: o.string("criticality")?,
            onset: timing(o, &names!("onset"))?,
            recorded_date: o.date_time("recordedDate")?,
            reactions: reactions(o)?,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        })
    }

    pub(crate) fn condition(&self, o: &mut Object<'a, '_>) -> Result<Condition, Bad> {
        Ok(Condition {
            id: self.id(),
            code: required_concept(o, "code")?,
            clinical_status: clinical_status(o)?,
            verification_status: status_concept(o, "verificationStatus")?,
            category: concepts(o, "category")?,
            severity: optional_concept(o, "severity")?,
            body_site: concepts(o, "bodySite")?,
            onset: timing(o, &names!("onset"))?,
            abatement: timing(o, &names!("abatement"))?,
            recorded_date: o.date_time("recordedDate")?,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        })
    }

    pub(crate) fn immunization(&self, o: &mut Object<'a, '_>) -> Result<Immunization, Bad> {
        Ok(Immunization {
            id: self.id(),
            status: o.string("status")?,
            code: required_concept(o, "vaccineCode")?,
            occurrence: timing(o, &names!("occurrence"))?,
            lot_number: o.string("lotNumber")?,
            site: optional_concept(o, "site")?,
            route: optional_concept(o, "route")?,
            dose: optional_quantity(o, "doseQuantity")?,
            primary_source: o.boolean("primarySource")?,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        })
    }

    pub(crate) fn procedure(&self, o: &mut Object<'a, '_>) -> Result<Procedure, Bad> {
        Ok(Procedure {
            id: self.id(),
            status: o.string("status")?,
            code: required_concept(o, "code")?,
            performed: timing(o, &names!("performed"))?,
            reason: concepts(o, "reasonCode")?,
            reason_conditions: self.links(o, "reasonReference", &[Kind::Condition])?,
            body_site: concepts(o, "bodySite")?,
            outcome: optional_concept(o, "outcome")?,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        })
    }

    pub(crate) fn encounter(&self, o: &mut Object<'a, '_>) -> Result<Encounter, Bad> {
        let mut types = concepts(o, "type")?.into_iter();
        let code = types.next().unwrap_or_default();
        for _ in types {
            o.unmodelled("type");
        }
        let participants = o.list("participant", |p| self.words(p, "individual"))?;
        Ok(Encounter {
            id: self.id(),
            status: o.string("status")?,
            class: o.object("class", coding)?.flatten(),
            code,
            period: optional_period(o, "period")?,
            reason: concepts(o, "reasonCode")?,
            reason_conditions: self.links(o, "reasonReference", &[Kind::Condition])?,
            participants: participants.into_iter().flatten().collect(),
            service_provider: self.words(o, "serviceProvider")?,
        })
    }
}

/// The clinical status; of what was entered in error, the one that an export of ours put aside.
fn clinical_status(o: &mut Object<'_, '_>) -> Result<Option<String>, Bad> {
    match status_concept(o, "clinicalStatus")? {
        None => own_extension(o, urls::EXT_CLINICAL_STATUS, |e| e.string("valueCode")),
        status => Ok(status),
    }
}

fn reactions(o: &mut Object<'_, '_>) -> Result<Vec<Reaction>, Bad> {
    let mut reactions = o.list("reaction", |r| {
        Ok(Reaction {
            manifestation: concepts(r, "manifestation")?,
            severity: r.string("severity")?,
            description: r.string("description")?,
        })
    })?;
    reactions.retain(|r| *r != Reaction::default());
    Ok(reactions)
}
