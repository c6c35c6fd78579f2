//! From `salus add …` to a typed item. Ids are drawn and absent dates filled in by the node.

use salus_api::record::{
    AllergyIntolerance, CodeableConcept, Coding, Condition, Dosage, Encounter, Immunization, Item,
    Medication, MedicationKind, Observation, ObservationValue, Period, Procedure, Reaction, Timing,
};
use salus_api::{ApiError, blood_pressure};

use super::args::{
    Add, AllergyArgs, ConditionArgs, EncounterArgs, ImmunizationArgs, MedicationArgs,
    ObservationArgs, ProcedureArgs,
};
use super::codes::{self, Bare};
use super::time;

/// Systolic and diastolic pressures that a cuff can show, mmHg; a guess that is wide of every living patient.
const PRESSURE_MMHG: std::ops::RangeInclusive<u16> = 10..=400;

/// Builds the item, or says which option is wrong.
pub fn item(add: &Add) -> Result<Item, ApiError> {
    match add {
        Add::Allergy(args) => allergy(args).map(Item::Allergy),
        Add::Condition(args) => condition(args).map(Item::Condition),
        Add::Medication(args) => medication(args).map(Item::Medication),
        Add::Observation(args) => observation(args),
        Add::Immunization(args) => immunization(args).map(Item::Immunization),
        Add::Procedure(args) => procedure(args).map(Item::Procedure),
        Add::Encounter(args) => encounter(args).map(Item::Encounter),
    }
}

fn allergy(args: &AllergyArgs) -> Result<AllergyIntolerance, ApiError> {
    let words = |w: &'static str| Some(w.to_owned());
    let reactions = args.reaction.iter().map(|reaction| Reaction {
        manifestation: vec![CodeableConcept::text(reaction)],
        severity: args.severity.map(|s| s.value().to_owned()),
        ..Reaction::default()
    });
    Ok(AllergyIntolerance {
        code: codes::concept(
            args.substance.as_deref(),
            args.code.as_deref(),
            Bare::Snomed,
        )?,
        clinical_status: words("active"),
        verification_status: args.verification.map(|v| v.value().to_owned()),
        kind: args.kind.map(|k| k.value().to_owned()),
        category: args.category.iter().map(|c| c.value().to_owned()).collect(),
        criticality: args.criticality.map(|c| c.value().to_owned()),
        onset: at(args.onset.as_deref())?,
        reactions: reactions.collect(),
        note: remark(args.note.as_deref()),
        ..AllergyIntolerance::default()
    })
}

fn condition(args: &ConditionArgs) -> Result<Condition, ApiError> {
    Ok(Condition {
        code: codes::concept(args.name.as_deref(), args.code.as_deref(), Bare::Snomed)?,
        clinical_status: Some(args.status.value().to_owned()),
        verification_status: args.verification.map(|v| v.value().to_owned()),
        severity: args.severity.map(|s| CodeableConcept::text(s.value())),
        onset: at(args.onset.as_deref())?,
        note: remark(args.note.as_deref()),
        ..Condition::default()
    })
}

fn medication(args: &MedicationArgs) -> Result<Medication, ApiError> {
    let since = match &args.since {
        Some(since) => Some(Timing::Period(Period {
            start: Some(time::date_or_time(since)?),
            end: None,
        })),
        None => None,
    };
    let dosage = remark(args.dose.as_deref()).map(|text| Dosage {
        text: Some(text),
        ..Dosage::default()
    });
    Ok(Medication {
        kind: if args.statement {
            MedicationKind::MedicationStatement
        } else {
            MedicationKind::MedicationRequest
        },
        code: codes::concept(args.name.as_deref(), args.code.as_deref(), Bare::Unknown)?,
        status: Some("active".to_owned()),
        intent: (!args.statement).then(|| "order".to_owned()),
        authored_on: args.at.as_deref().map(time::date_or_time).transpose()?,
        effective: since,
        dosage: dosage.into_iter().collect(),
        reason: remark(args.reason.as_deref())
            .map(CodeableConcept::text)
            .into_iter()
            .collect(),
        note: remark(args.note.as_deref()),
        ..Medication::default()
    })
}

fn observation(args: &ObservationArgs) -> Result<Item, ApiError> {
    let effective = args.at.as_deref().map(time::date_or_time).transpose()?;
    let note = remark(args.note.as_deref());
    if let Some(pressure) = &args.bp {
        let (systolic, diastolic) = pressures(pressure)?;
        let mut item = blood_pressure(systolic, diastolic, effective);
        if let Item::Observation(observation) = &mut item {
            observation.note = note;
        }
        return Ok(item);
    }
    let mut observation = Observation {
        status: Some("final".to_owned()),
        effective: effective.map(Timing::DateTime),
        note,
        ..Observation::default()
    };
    let category =
        |(code, display)| CodeableConcept::code(codes::OBSERVATION_CATEGORY, code, display);
    if let Some([name, value]) = args.vital.as_deref() {
        let vital = codes::vital(name)?;
        let amount = vital.quantity(codes::number(value)?);
        observation.category = vec![category(vital.category)];
        observation.code = CodeableConcept::code(codes::LOINC, vital.loinc, vital.display);
        observation.value = Some(ObservationValue::Quantity(amount));
        return Ok(Item::Observation(observation));
    }
    observation.code = codes::concept(args.display.as_deref(), args.code.as_deref(), Bare::Loinc)?;
    if let Some(vital) = codes::VITALS
        .iter()
        .find(|v| observation.code.has(codes::LOINC, v.loinc))
    {
        observation.category = vec![category(vital.category)];
    }
    let value = args
        .value
        .as_deref()
        .map(|v| observed(v, args.unit.as_deref()));
    observation.value = value.transpose()?;
    Ok(Item::Observation(observation))
}

/// `120/80`.
fn pressures(text: &str) -> Result<(u16, u16), ApiError> {
    let read = |part: &str| part.trim().parse::<u16>().ok();
    let pair = text
        .split_once('/')
        .and_then(|(systolic, diastolic)| Some((read(systolic)?, read(diastolic)?)));
    match pair {
        Some((systolic, diastolic))
            if PRESSURE_MMHG.contains(&systolic)
                && PRESSURE_MMHG.contains(&diastolic)
                && diastolic < systolic =>
        {
            Ok((systolic, diastolic))
        }
        _ => Err(ApiError::usage(format!("`{text}` is not a blood pressure"))
            .hint("write systolic/diastolic in mmHg, for instance 120/80")),
    }
}

/// A number with its comparator and unit, or words. What looks like a number and is none is an error: a decimal
/// comma would otherwise be stored as words that no one computes with.
fn observed(value: &str, unit: Option<&str>) -> Result<ObservationValue, ApiError> {
    let value = value.trim();
    let (comparator, digits) = ["<=", ">=", "<", ">"]
        .into_iter()
        .find_map(|c| value.strip_prefix(c).map(|rest| (Some(c), rest.trim())))
        .unwrap_or((None, value));
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || "+-.,".contains(c))
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.,eE".contains(&b));
    if numeric || comparator.is_some() || unit.is_some() {
        let amount = codes::quantity(codes::number(digits)?, comparator, unit);
        return Ok(ObservationValue::Quantity(amount));
    }
    if value.is_empty() {
        return Err(ApiError::usage("the value is empty").hint("leave --value out instead"));
    }
    Ok(ObservationValue::String(value.to_owned()))
}

fn immunization(args: &ImmunizationArgs) -> Result<Immunization, ApiError> {
    let dose = match args.dose.as_deref() {
        Some(dose) => {
            let (amount, unit) = dose.trim().split_once(' ').unwrap_or((dose.trim(), ""));
            let unit = Some(unit.trim()).filter(|u| !u.is_empty());
            Some(codes::quantity(codes::number(amount)?, None, unit))
        }
        None => None,
    };
    let words = |w: Option<&str>| remark(w).map(CodeableConcept::text);
    Ok(Immunization {
        status: Some("completed".to_owned()),
        code: codes::concept(args.vaccine.as_deref(), args.code.as_deref(), Bare::Unknown)?,
        occurrence: at(args.at.as_deref())?,
        lot_number: remark(args.lot.as_deref()),
        site: words(args.site.as_deref()),
        route: words(args.route.as_deref()),
        dose,
        note: remark(args.note.as_deref()),
        ..Immunization::default()
    })
}

fn procedure(args: &ProcedureArgs) -> Result<Procedure, ApiError> {
    let words = |w: Option<&str>| remark(w).map(CodeableConcept::text);
    Ok(Procedure {
        status: Some("completed".to_owned()),
        code: codes::concept(args.name.as_deref(), args.code.as_deref(), Bare::Snomed)?,
        performed: at(args.at.as_deref())?,
        reason: words(args.reason.as_deref()).into_iter().collect(),
        outcome: words(args.outcome.as_deref()),
        note: remark(args.note.as_deref()),
        ..Procedure::default()
    })
}

fn encounter(args: &EncounterArgs) -> Result<Encounter, ApiError> {
    let start = args.at.as_deref().map(time::date_or_time).transpose()?;
    let end = args.end.as_deref().map(time::date_or_time).transpose()?;
    if let (Some(start), Some(end)) = (&start, &end)
        && time::order(end) < time::order(start)
    {
        return Err(ApiError::usage(format!(
            "the encounter ends ({end}) before it begins ({start})"
        )));
    }
    let (code, display) = args.class.value();
    let status = if args.ongoing {
        "in-progress"
    } else {
        "finished"
    };
    Ok(Encounter {
        status: Some(status.to_owned()),
        class: Some(Coding {
            system: Some(codes::ACT_CODE.to_owned()),
            code: Some(code.to_owned()),
            display: Some(display.to_owned()),
        }),
        code: codes::concept(args.name.as_deref(), args.code.as_deref(), Bare::Snomed)?,
        period: start.map(|start| Period {
            start: Some(start),
            end,
        }),
        reason: remark(args.reason.as_deref())
            .map(CodeableConcept::text)
            .into_iter()
            .collect(),
        participants: args.with.clone(),
        ..Encounter::default()
    })
}

fn at(date: Option<&str>) -> Result<Option<Timing>, ApiError> {
    let date = date.map(time::date_or_time).transpose()?;
    Ok(date.map(Timing::DateTime))
}

fn remark(text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|t| !t.is_empty());
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use salus_api::ErrorKind;

    use super::*;
    use crate::cli::args::{Cli, Command};

    fn build(args: &[&str]) -> Result<String, ApiError> {
        let line = ["salus", "add"].iter().chain(args);
        let cli = Cli::try_parse_from(line).map_err(|e| ApiError::failed(e.to_string()))?;
        let Command::Add(add) = cli.command else {
            panic!("not an item");
        };
        assert_eq!(add.patient(), "P");
        item(&add).map(|item| serde_json::to_string(&item).unwrap())
    }

    #[test]
    fn an_observation_by_code_has_its_unit_in_ucum() {
        let item = build(&[
            "observation",
            "P",
            "--code",
            "8480-6",
            "--display",
            "Systolic blood pressure",
            "--value",
            "120",
            "--unit",
            "mmHg",
            "--at",
            "2026-01-02",
        ]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"observation":{"id":"","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}],"text":"Systolic blood pressure"},"value":{"quantity":{"value":120,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},"effective":{"date_time":"2026-01-02"}}}"#);
    }

    #[test]
    fn a_vital_sign_needs_only_its_name_and_number() {
        let item = build(&["observation", "P", "--vital", "weight", "72.50"]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"observation":{"id":"","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}],"text":"Vital Signs"}],"code":{"coding":[{"system":"http://loinc.org","code":"29463-7","display":"Body weight"}],"text":"Body weight"},"value":{"quantity":{"value":72.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#);
    }

    #[test]
    fn a_blood_pressure_is_a_panel_of_two() {
        let item = build(&["observation", "P", "--bp", "120/80"]).unwrap();
        assert!(item.contains("85354-9") && item.contains("8480-6") && item.contains("8462-4"));
        for bad in ["80/120", "120", "a/b", "0/0", "120/80/60", "4000/80"] {
            let error = build(&["observation", "P", "--bp", bad]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn values_are_numbers_with_comparators_or_words_but_never_mistyped_numbers() {
        let value = |v: &str| build(&["observation", "P", "--display", "x", "--value", v]);
        assert!(value("<5").unwrap().contains(r#""comparator":"<""#));
        assert!(value(">= 0.50").unwrap().contains("0.50"));
        assert!(value("-1.5").unwrap().contains("-1.5"));
        assert!(value("never smoked").unwrap().contains("never smoked"));
        for bad in ["37,5", ".5", "1.2.3", "007", "<high"] {
            assert_eq!(value(bad).unwrap_err().kind, ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn an_allergy_says_substance_criticality_and_reaction() {
        let item = build(&[
            "allergy",
            "P",
            "--substance",
            "Penicillin",
            "--code",
            "373270004",
            "--criticality",
            "high",
            "--reaction",
            "Rash",
            "--severity",
            "moderate",
            "--category",
            "medication",
        ]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"allergy":{"id":"","code":{"coding":[{"system":"http://snomed.info/sct","code":"373270004","display":"Penicillin"}],"text":"Penicillin"},"clinical_status":"active","category":["medication"],"criticality":"high","reactions":[{"manifestation":[{"text":"Rash"}],"severity":"moderate"}]}}"#);
    }

    #[test]
    fn a_condition_says_code_onset_and_status() {
        let item = build(&[
            "condition",
            "P",
            "--name",
            "Asthma",
            "--code",
            "snomed|195967001",
            "--onset",
            "2001-02-03",
            "--status",
            "remission",
        ]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"condition":{"id":"","code":{"coding":[{"system":"http://snomed.info/sct","code":"195967001","display":"Asthma"}],"text":"Asthma"},"clinical_status":"remission","onset":{"date_time":"2001-02-03"}}}"#);
    }

    #[test]
    fn a_medicine_is_an_order_or_a_statement() {
        let order = build(&[
            "medication",
            "P",
            "--name",
            "Amoxicillin 500 mg",
            "--dose",
            "1-0-1",
        ]);
        insta::assert_snapshot!(order.unwrap(), @r#"{"medication":{"id":"","kind":"MedicationRequest","code":{"text":"Amoxicillin 500 mg"},"status":"active","intent":"order","dosage":[{"text":"1-0-1"}]}}"#);
        let statement = build(&[
            "medication",
            "P",
            "--name",
            "Ibuprofen",
            "--code",
            "rxnorm|5640",
            "--statement",
            "--since",
            "2026-01-02",
        ]);
        insta::assert_snapshot!(statement.unwrap(), @r#"{"medication":{"id":"","kind":"MedicationStatement","code":{"coding":[{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"5640","display":"Ibuprofen"}],"text":"Ibuprofen"},"status":"active","effective":{"period":{"start":"2026-01-02"}}}}"#);
    }

    #[test]
    fn immunizations_procedures_and_encounters_are_built_likewise() {
        let item = build(&[
            "immunization",
            "P",
            "--vaccine",
            "Influenza",
            "--code",
            "cvx|140",
            "--lot",
            "A1",
            "--dose",
            "0.5 mL",
            "--at",
            "2025-10-01",
        ]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"immunization":{"id":"","status":"completed","code":{"coding":[{"system":"http://hl7.org/fhir/sid/cvx","code":"140","display":"Influenza"}],"text":"Influenza"},"occurrence":{"date_time":"2025-10-01"},"lot_number":"A1","dose":{"value":0.5,"unit":"mL","system":"http://unitsofmeasure.org","code":"mL"}}}"#);
        let item = build(&["procedure", "P", "--code", "80146002", "--at", "2020-01-02"]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"procedure":{"id":"","status":"completed","code":{"coding":[{"system":"http://snomed.info/sct","code":"80146002"}],"text":"80146002"},"performed":{"date_time":"2020-01-02"}}}"#);
        let item = build(&[
            "encounter",
            "P",
            "--name",
            "Check-up",
            "--class",
            "ambulatory",
            "--at",
            "2026-01-02T10:00:00Z",
            "--end",
            "2026-01-02T10:20:00Z",
            "--with",
            "Dr. Ann",
        ]);
        insta::assert_snapshot!(item.unwrap(), @r#"{"encounter":{"id":"","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB","display":"ambulatory"},"code":{"text":"Check-up"},"period":{"start":"2026-01-02T10:00:00Z","end":"2026-01-02T10:20:00Z"},"participants":["Dr. Ann"]}}"#);
    }

    #[test]
    fn dates_that_are_none_are_bad_usage() {
        for bad in [
            ["condition", "P", "--name", "x", "--onset", "2023-02-30"],
            ["medication", "P", "--name", "x", "--since", "March"],
            ["procedure", "P", "--name", "x", "--at", "2026-01-02T10:00"],
        ] {
            assert_eq!(build(&bad).unwrap_err().kind, ErrorKind::Usage);
        }
        let backwards = [
            "encounter",
            "P",
            "--name",
            "x",
            "--at",
            "2026-01-02",
            "--end",
            "2026-01-01",
        ];
        assert_eq!(build(&backwards).unwrap_err().kind, ErrorKind::Usage);
    }
}
