//! FHIR's general-purpose datatypes (R4 section 2.24).

use salus_record::model::*;

use crate::json::{Bad, Object};
use crate::read::own_extension;
use crate::urls;

/// `Coding`; `None` if it says nothing (an extension in its place is left to the raw part).
pub(crate) fn coding(o: &mut Object<'_, '_>) -> Result<Option<Coding>, Bad> {
    let coding = Coding {
        system: o.string("system")?,
        code: o.string("code")?,
        display: o.string("display")?,
    };
    Ok((coding != Coding::default()).then_some(coding))
}

/// `CodeableConcept`.
pub(crate) fn concept(o: &mut Object<'_, '_>) -> Result<CodeableConcept, Bad> {
    let coding = o.list("coding", coding)?.into_iter().flatten().collect();
    Ok(CodeableConcept {
        coding,
        text: o.string("text")?,
    })
}

/// A required concept: one that says nothing where it is missing.
pub(crate) fn required_concept(o: &mut Object<'_, '_>, name: &str) -> Result<CodeableConcept, Bad> {
    Ok(o.object(name, concept)?.unwrap_or_default())
}

/// An optional concept.
pub(crate) fn optional_concept(
    o: &mut Object<'_, '_>,
    name: &str,
) -> Result<Option<CodeableConcept>, Bad> {
    Ok(o.object(name, concept)?
        .filter(|c| *c != CodeableConcept::default()))
}

/// A list of concepts, without those that say nothing.
pub(crate) fn concepts(o: &mut Object<'_, '_>, name: &str) -> Result<Vec<CodeableConcept>, Bad> {
    let mut concepts = o.list(name, concept)?;
    concepts.retain(|c| *c != CodeableConcept::default());
    Ok(concepts)
}

/// A status that FHIR writes as a concept and the record as its code.
pub(crate) fn status_concept(o: &mut Object<'_, '_>, name: &str) -> Result<Option<String>, Bad> {
    let concept = o.object(name, concept)?.unwrap_or_default();
    let code = concept.coding.into_iter().find_map(|c| c.code);
    Ok(code.or(concept.text))
}

/// `Quantity` and its kinds (`SimpleQuantity`, `Age`); `None` if it says nothing.
pub(crate) fn quantity(o: &mut Object<'_, '_>) -> Result<Option<Quantity>, Bad> {
    let quantity = Quantity {
        value: o.decimal("value")?,
        comparator: o.string("comparator")?,
        unit: o.string("unit")?,
        system: o.string("system")?,
        code: o.string("code")?,
    };
    Ok((quantity != Quantity::default()).then_some(quantity))
}

/// An optional quantity.
pub(crate) fn optional_quantity(
    o: &mut Object<'_, '_>,
    name: &str,
) -> Result<Option<Quantity>, Bad> {
    Ok(o.object(name, quantity)?.flatten())
}

/// An optional `Period`.
pub(crate) fn optional_period(o: &mut Object<'_, '_>, name: &str) -> Result<Option<Period>, Bad> {
    let period = o.object(name, |o| {
        Ok(Period {
            start: o.date_time("start")?,
            end: o.date_time("end")?,
        })
    })?;
    Ok(period.filter(|p| *p != Period::default()))
}

/// `Range` as its two ends.
pub(crate) fn range(o: &mut Object<'_, '_>) -> Result<(Option<Quantity>, Option<Quantity>), Bad> {
    Ok((optional_quantity(o, "low")?, optional_quantity(o, "high")?))
}

/// `Identifier`.
pub(crate) fn identifier(o: &mut Object<'_, '_>) -> Result<Identifier, Bad> {
    Ok(Identifier {
        system: o.string("system")?,
        value: o.string("value")?,
        kind: optional_concept(o, "type")?,
    })
}

/// An `instant`, also one that is only a date: as some systems write it, and as an export of ours puts it aside.
pub(crate) fn instant(
    o: &mut Object<'_, '_>,
    name: &str,
    aside: &str,
) -> Result<Option<String>, Bad> {
    match o.date_time(name)? {
        None => Ok(o
            .object(aside, |i| {
                own_extension(i, urls::EXT_TIMING, |e| e.date_time("valueDateTime"))
            })?
            .flatten()),
        at => Ok(at),
    }
}

/// The names of one `…[x]` that may be a time.
pub(crate) struct TimingNames {
    pub(crate) date_time: &'static str,
    pub(crate) instant: &'static str,
    pub(crate) period: &'static str,
    pub(crate) age: &'static str,
    pub(crate) range: &'static str,
    pub(crate) string: &'static str,
    pub(crate) timing: &'static str,
}

/// The names that start with this word: `names!("onset")`.
macro_rules! names {
    ($base:literal) => {
        $crate::read::datatypes::TimingNames {
            date_time: concat!($base, "DateTime"),
            instant: concat!($base, "Instant"),
            period: concat!($base, "Period"),
            age: concat!($base, "Age"),
            range: concat!($base, "Range"),
            string: concat!($base, "String"),
            timing: concat!($base, "Timing"),
        }
    };
}
pub(crate) use names;

/// A time in any of FHIR's forms. Where the element has none, the time that an export of ours put aside.
pub(crate) fn timing(o: &mut Object<'_, '_>, names: &TimingNames) -> Result<Option<Timing>, Bad> {
    match plain_timing(o, names)? {
        None => own_extension(o, urls::EXT_TIMING, |e| plain_timing(e, &names!("value"))),
        found => Ok(found),
    }
}

fn plain_timing(o: &mut Object<'_, '_>, names: &TimingNames) -> Result<Option<Timing>, Bad> {
    if let Some(at) = o.date_time(names.date_time)? {
        return Ok(Some(Timing::DateTime(at)));
    }
    if let Some(period) = optional_period(o, names.period)? {
        return Ok(Some(Timing::Period(period)));
    }
    if let Some(words) = o.string(names.string)? {
        return Ok(Some(Timing::Text(words)));
    }
    if let Some(age) = optional_quantity(o, names.age)? {
        return Ok(Some(Timing::Age(age)));
    }
    if let Some(at) = o.date_time(names.instant)? {
        return Ok(Some(Timing::DateTime(at)));
    }
    if let Some((low, high)) = o.object(names.range, range)? {
        let end = |q: Option<Quantity>| {
            let q = q.unwrap_or_default();
            let value = q.value.map(|v| v.to_string()).unwrap_or_default();
            [value, q.unit.or(q.code).unwrap_or_default()]
                .join(" ")
                .trim()
                .to_owned()
        };
        return Ok(Some(Timing::Text(format!("{} – {}", end(low), end(high)))));
    }
    // A schedule of events is a time only if it is a single one.
    let event = o.object(names.timing, |t| {
        let mut events = t.strings("event")?;
        let only = events
            .pop()
            .filter(|e| events.is_empty() && salus_record::date::is_date_time(e));
        if only.is_none() {
            t.unmodelled("event");
        }
        Ok(only)
    })?;
    Ok(event.flatten().map(Timing::DateTime))
}

/// `HumanName` in parts.
#[derive(Default)]
pub(crate) struct HumanName {
    pub(crate) usage: Option<String>,
    pub(crate) family: Option<String>,
    pub(crate) given: Vec<String>,
    pub(crate) prefix: Vec<String>,
    pub(crate) suffix: Vec<String>,
}

impl HumanName {
    /// The name as people say it.
    pub(crate) fn whole(&self) -> String {
        let parts = self
            .prefix
            .iter()
            .chain(&self.given)
            .chain(&self.family)
            .chain(&self.suffix);
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// `HumanName`; a name that is only written out whole counts as a family name.
pub(crate) fn human_name(o: &mut Object<'_, '_>) -> Result<HumanName, Bad> {
    let mut name = HumanName {
        usage: o.string("use")?,
        family: o.string("family")?,
        given: o.strings("given")?,
        prefix: o.strings("prefix")?,
        suffix: o.strings("suffix")?,
    };
    let text = o.string("text")?;
    if name.family.is_none() && name.given.is_empty() {
        name.family = text;
    }
    Ok(name)
}
