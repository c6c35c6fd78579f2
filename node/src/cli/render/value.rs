//! FHIR values and the API's words in plain text.

use salus_api::record::{CodeableConcept, Observation, ObservationValue, Period, Quantity, Timing};
use salus_api::{Right, Role};
use serde_json::Value;

use super::super::codes::LOINC;
use super::super::time;

/// LOINC codes of systolic and diastolic pressure (FHIR R4, vital-signs profile).
const PRESSURES: (&str, &str) = ("8480-6", "8462-4");

/// The word for a role.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Physician => "physician",
        Role::Nurse => "nurse",
        Role::Registrar => "registrar",
        Role::Auditor => "auditor",
        Role::Admin => "admin",
    }
}

/// The word for a right.
pub fn right(right: Right) -> &'static str {
    match right {
        Right::Home => "home",
        Right::Write => "write",
        Right::Read => "read",
        Right::Custodian => "custodian",
    }
}

/// `< 5 mg/dL`.
pub fn quantity(quantity: &Quantity) -> String {
    let number = quantity.value.as_ref().map(ToString::to_string);
    let unit = quantity.unit.as_deref().or(quantity.code.as_deref());
    let parts = [quantity.comparator.as_deref(), number.as_deref(), unit];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// From when to when.
pub fn period(period: &Period) -> String {
    match (&period.start, &period.end) {
        (Some(start), Some(end)) => format!("{} to {}", time::brief(start), time::brief(end)),
        (Some(start), None) => format!("since {}", time::brief(start)),
        (None, Some(end)) => format!("until {}", time::brief(end)),
        (None, None) => String::new(),
    }
}

/// A time, a stretch of time, an age or words.
pub fn timing(timing: &Timing) -> String {
    match timing {
        Timing::DateTime(at) => time::brief(at),
        Timing::Period(stretch) => period(stretch),
        Timing::Age(age) => format!("at {}", quantity(age)),
        Timing::Text(words) => words.clone(),
    }
}

/// The same where there may be none.
pub fn maybe_timing(at: Option<&Timing>) -> String {
    at.map(timing).unwrap_or_default()
}

/// Concepts by their words.
pub fn labels(concepts: &[CodeableConcept]) -> String {
    let labels: Vec<&str> = concepts.iter().map(CodeableConcept::label).collect();
    labels.join(", ")
}

/// What an observation found, its parts included; a blood pressure as people write it.
pub fn observed(observation: &Observation) -> String {
    if let Some(pressure) = pressure(observation) {
        return pressure;
    }
    let mut parts = Vec::new();
    if let Some(value) = &observation.value {
        parts.push(observed_value(value));
    }
    for component in &observation.components {
        let found = match (&component.value, &component.data_absent_reason) {
            (Some(value), _) => observed_value(value),
            (None, Some(reason)) => reason.label().to_owned(),
            (None, None) => continue,
        };
        parts.push(format!("{}: {found}", component.code.label()));
    }
    if parts.is_empty()
        && let Some(reason) = &observation.data_absent_reason
    {
        parts.push(format!("no value: {}", reason.label()));
    }
    if !observation.interpretation.is_empty() {
        parts.push(format!("({})", labels(&observation.interpretation)));
    }
    parts.join(", ").replace(", (", " (")
}

fn pressure(observation: &Observation) -> Option<String> {
    let part = |loinc: &str| {
        let mut found = observation
            .components
            .iter()
            .filter(|c| c.code.has(LOINC, loinc));
        match (found.next()?.value.as_ref()?, found.next()) {
            (ObservationValue::Quantity(q), None) if q.comparator.is_none() => {
                Some((q.value.as_ref()?.to_string(), q.unit.as_deref()?))
            }
            _ => None,
        }
    };
    if observation.components.len() != 2 || observation.value.is_some() {
        return None;
    }
    let (systolic, unit) = part(PRESSURES.0)?;
    let (diastolic, same) = part(PRESSURES.1)?;
    (unit == same).then(|| format!("{systolic}/{diastolic} {unit}"))
}

fn observed_value(value: &ObservationValue) -> String {
    match value {
        ObservationValue::Quantity(amount) => quantity(amount),
        ObservationValue::Concept(concept) => concept.label().to_owned(),
        ObservationValue::String(words) => words.clone(),
        ObservationValue::Boolean(true) => "yes".to_owned(),
        ObservationValue::Boolean(false) => "no".to_owned(),
        ObservationValue::Integer(n) => n.to_string(),
        ObservationValue::DateTime(at) => time::brief(at),
        ObservationValue::Time(at) => at.clone(),
        ObservationValue::Period(stretch) => period(stretch),
        ObservationValue::Range { low, high } => pair(low.as_ref(), high.as_ref(), " to "),
        ObservationValue::Ratio {
            numerator,
            denominator,
        } => pair(numerator.as_ref(), denominator.as_ref(), " : "),
    }
}

fn pair(first: Option<&Quantity>, second: Option<&Quantity>, between: &str) -> String {
    let shown = |q: Option<&Quantity>| q.map_or_else(|| "?".to_owned(), quantity);
    format!("{}{between}{}", shown(first), shown(second))
}

/// Any JSON value of a conflict: the words of a concept, the amount of a quantity, else compact JSON.
pub fn json(value: &Value) -> String {
    match value {
        Value::Null => "(nothing)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            let number = members.get("value").filter(|v| v.is_number());
            let coded = || members.get("coding")?.get(0)?.get("display")?.as_str();
            match (text("text").or_else(coded), number, text("unit")) {
                (Some(words), None, _) => words.to_owned(),
                (_, Some(number), Some(unit)) => format!("{number} {unit}"),
                _ => value.to_string(),
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use salus_api::record::{Item, ObservationComponent};
    use serde_json::json;

    use super::*;

    fn amount(value: &str, unit: &str) -> Quantity {
        Quantity {
            value: Some(value.parse().unwrap()),
            unit: Some(unit.to_owned()),
            ..Quantity::default()
        }
    }

    #[test]
    fn a_blood_pressure_reads_as_people_write_it() {
        let Item::Observation(mut observation) = salus_api::blood_pressure(120, 80, None) else {
            panic!("no observation");
        };
        assert_eq!(observed(&observation), "120/80 mmHg");
        observation.components.pop();
        assert_eq!(observed(&observation), "Systolic blood pressure: 120 mmHg");
    }

    #[test]
    fn every_kind_of_value_has_its_words() {
        let shown = |value| {
            observed(&Observation {
                value: Some(value),
                ..Observation::default()
            })
        };
        let concept = CodeableConcept::text("Never smoker");
        assert_eq!(shown(ObservationValue::Concept(concept)), "Never smoker");
        assert_eq!(shown(ObservationValue::Boolean(true)), "yes");
        assert_eq!(shown(ObservationValue::Integer(-3)), "-3");
        assert_eq!(
            shown(ObservationValue::Quantity(amount("37.50", "°C"))),
            "37.50 °C"
        );
        assert_eq!(
            shown(ObservationValue::Range {
                low: Some(amount("1", "g")),
                high: None,
            }),
            "1 g to ?"
        );
        let absent = Observation {
            data_absent_reason: Some(CodeableConcept::text("refused")),
            ..Observation::default()
        };
        assert_eq!(observed(&absent), "no value: refused");
        let parts = Observation {
            components: vec![ObservationComponent {
                code: CodeableConcept::text("Score"),
                value: Some(ObservationValue::Integer(4)),
                ..ObservationComponent::default()
            }],
            interpretation: vec![CodeableConcept::text("high")],
            ..Observation::default()
        };
        assert_eq!(observed(&parts), "Score: 4 (high)");
    }

    #[test]
    fn conflicting_values_read_as_words_where_they_have_any() {
        assert_eq!(json(&json!({"text": "Asthma"})), "Asthma");
        assert_eq!(json(&json!({"coding": [{"display": "Asthma"}]})), "Asthma");
        assert_eq!(json(&json!({"value": 5, "unit": "mg"})), "5 mg");
        assert_eq!(json(&json!(["a"])), "[\"a\"]");
        assert_eq!(json(&json!(null)), "(nothing)");
    }
}
