//! Observation and DiagnosticReport.

use salus_record::model::*;

use crate::bundle::Kind;
use crate::json::{Bad, Object};
use crate::read::datatypes::{
    concepts, instant, names, optional_concept, optional_period, optional_quantity, range,
    required_concept, timing,
};
use crate::read::{Cx, plain_text};

impl<'a> Cx<'_, 'a> {
    pub(crate) fn observation(&self, o: &mut Object<'a, '_>) -> Result<Observation, Bad> {
        Ok(Observation {
            id: self.id(),
            status: o.string("status")?,
            category: concepts(o, "category")?,
            code: required_concept(o, "code")?,
            value: value(o)?,
            data_absent_reason: optional_concept(o, "dataAbsentReason")?,
            effective: timing(o, &names!("effective"))?,
            issued: instant(o, "issued", "_issued")?,
            interpretation: concepts(o, "interpretation")?,
            reference_range: nonempty(o.list("referenceRange", reference_range)?),
            components: nonempty(o.list("component", component)?),
            members: self.links(o, "hasMember", &[Kind::Observation])?,
            body_site: optional_concept(o, "bodySite")?,
            method: optional_concept(o, "method")?,
            performer: self.words_list(o, "performer")?,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
            note: self.remarks(o, "note")?,
        })
    }

    pub(crate) fn diagnostic_report(
        &self,
        o: &mut Object<'a, '_>,
    ) -> Result<DiagnosticReport, Bad> {
        let mut forms = o.list("presentedForm", plain_text)?.into_iter().flatten();
        let text = forms.next();
        for _ in forms {
            o.unmodelled("presentedForm");
        }
        Ok(DiagnosticReport {
            id: self.id(),
            status: o.string("status")?,
            category: concepts(o, "category")?,
            code: required_concept(o, "code")?,
            effective: timing(o, &names!("effective"))?,
            issued: instant(o, "issued", "_issued")?,
            results: self.links(o, "result", &[Kind::Observation])?,
            conclusion: o.string("conclusion")?,
            conclusion_codes: concepts(o, "conclusionCode")?,
            performer: self.words_list(o, "performer")?,
            text,
            encounter: self.link(o, "encounter", &[Kind::Encounter])?,
        })
    }
}

/// `value[x]`, except `SampledData` (a waveform), which is left to the raw part.
fn value(o: &mut Object<'_, '_>) -> Result<Option<ObservationValue>, Bad> {
    if let Some(quantity) = optional_quantity(o, "valueQuantity")? {
        return Ok(Some(ObservationValue::Quantity(quantity)));
    }
    if let Some(concept) = optional_concept(o, "valueCodeableConcept")? {
        return Ok(Some(ObservationValue::Concept(concept)));
    }
    if let Some(text) = o.string("valueString")? {
        return Ok(Some(ObservationValue::String(text)));
    }
    if let Some(truth) = o.boolean("valueBoolean")? {
        return Ok(Some(ObservationValue::Boolean(truth)));
    }
    if let Some(number) = o.integer("valueInteger")? {
        return Ok(Some(ObservationValue::Integer(number)));
    }
    if let Some(at) = o.date_time("valueDateTime")? {
        return Ok(Some(ObservationValue::DateTime(at)));
    }
    if let Some(time) = o.time("valueTime")? {
        return Ok(Some(ObservationValue::Time(time)));
    }
    if let Some(period) = optional_period(o, "valuePeriod")? {
        return Ok(Some(ObservationValue::Period(period)));
    }
    if let Some((low, high)) = o.object("valueRange", range)?
        && (low.is_some() || high.is_some())
    {
        return Ok(Some(ObservationValue::Range { low, high }));
    }
    let ratio = o.object("valueRatio", |r| {
        Ok((
            optional_quantity(r, "numerator")?,
            optional_quantity(r, "denominator")?,
        ))
    })?;
    Ok(ratio
        .filter(|(above, below)| above.is_some() || below.is_some())
        .map(|(numerator, denominator)| ObservationValue::Ratio {
            numerator,
            denominator,
        }))
}

/// Items that say something.
fn nonempty<T: Default + PartialEq>(mut items: Vec<T>) -> Vec<T> {
    items.retain(|item| *item != T::default());
    items
}

fn component(o: &mut Object<'_, '_>) -> Result<ObservationComponent, Bad> {
    Ok(ObservationComponent {
        code: required_concept(o, "code")?,
        value: value(o)?,
        data_absent_reason: optional_concept(o, "dataAbsentReason")?,
        interpretation: concepts(o, "interpretation")?,
    })
}

fn reference_range(o: &mut Object<'_, '_>) -> Result<ReferenceRange, Bad> {
    let (low, high) = range(o)?;
    Ok(ReferenceRange {
        low,
        high,
        text: o.string("text")?,
    })
}
