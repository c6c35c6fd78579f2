//! Code systems, vital signs and units that the command line knows by short names.

use salus_api::ApiError;
use salus_api::record::{CodeableConcept, Coding, Decimal, Quantity};

/// LOINC's URI.
pub const LOINC: &str = "http://loinc.org";
/// SNOMED CT's URI.
pub const SNOMED: &str = "http://snomed.info/sct";
/// UCUM's URI.
pub const UCUM: &str = "http://unitsofmeasure.org";
/// HL7 v3 ActCode's URI.
pub const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
/// URI of FHIR's observation categories.
pub const OBSERVATION_CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// Short names of code systems, with their URIs (FHIR R4, page `terminologies-systems`).
const SYSTEMS: &[(&str, &str)] = &[
    ("loinc", LOINC),
    ("snomed", SNOMED),
    ("sct", SNOMED),
    ("rxnorm", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("icd10", "http://hl7.org/fhir/sid/icd-10"),
    ("icd10cm", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("atc", "http://www.whocc.no/atc"),
    ("cvx", "http://hl7.org/fhir/sid/cvx"),
    ("cpt", "http://www.ama-assn.org/go/cpt"),
];

/// What a code without a system is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// LOINC where it looks like it.
    Loinc,
    /// SNOMED CT where it looks like it.
    Snomed,
    /// Of no system that we could name.
    Unknown,
}

/// A concept from what was typed: words, a code, or both. One of them is there, or there is an error.
pub fn concept(
    words: Option<&str>,
    code: Option<&str>,
    bare: Bare,
) -> Result<CodeableConcept, ApiError> {
    let words = words.map(str::trim).filter(|w| !w.is_empty());
    let Some(code) = code.map(str::trim).filter(|c| !c.is_empty()) else {
        return words.map(CodeableConcept::text).ok_or_else(|| {
            ApiError::usage("nothing says what it is").hint("give it a name or a code")
        });
    };
    let (system, code) = match code.rsplit_once('|') {
        Some((system, code)) => (Some(system_uri(system)?), code.trim()),
        None if bare == Bare::Loinc && is_loinc(code) => (Some(LOINC.to_owned()), code),
        None if bare == Bare::Snomed && is_snomed(code) => (Some(SNOMED.to_owned()), code),
        None => (None, code),
    };
    if code.is_empty() {
        return Err(ApiError::usage("there is no code after the `|`").hint("write SYSTEM|CODE"));
    }
    let known = VITALS
        .iter()
        .find(|v| system.as_deref() == Some(LOINC) && v.loinc == code)
        .map(|v| v.display);
    let display = words.or(known);
    Ok(CodeableConcept {
        text: Some(display.unwrap_or(code).to_owned()),
        coding: vec![Coding {
            system,
            code: Some(code.to_owned()),
            display: display.map(str::to_owned),
        }],
    })
}

fn system_uri(system: &str) -> Result<String, ApiError> {
    let system = system.trim();
    if let Some((_, uri)) = SYSTEMS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(system))
    {
        return Ok((*uri).to_owned());
    }
    // An absolute URI: a scheme, a colon and more (RFC 3986, section 3).
    match system.split_once(':') {
        Some((scheme, rest))
            if !rest.is_empty()
                && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
                && !system.contains(char::is_whitespace) =>
        {
            Ok(system.to_owned())
        }
        _ => {
            let known: Vec<&str> = SYSTEMS.iter().map(|(name, _)| *name).collect();
            Err(ApiError::usage(format!("`{system}` is no code system"))
                .hint(format!("use a URI, or one of {}", known.join(", "))))
        }
    }
}

/// Digits, a hyphen and one check digit (LOINC Users' Guide, "LOINC codes").
fn is_loinc(code: &str) -> bool {
    code.split_once('-').is_some_and(|(number, check)| {
        (1..=7).contains(&number.len())
            && check.len() == 1
            && number
                .bytes()
                .chain(check.bytes())
                .all(|b| b.is_ascii_digit())
    })
}

/// 6 to 18 digits, the first not 0 (SNOMED CT Release File Specifications, data type SCTID).
fn is_snomed(code: &str) -> bool {
    (6..=18).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_digit())
        && !code.starts_with('0')
}

/// A measurement that has a short name.
#[derive(Clone, Copy, Debug)]
pub struct Vital {
    /// Its short names, the first one shown.
    pub names: &'static [&'static str],
    /// Its LOINC code.
    pub loinc: &'static str,
    /// LOINC's words for it.
    pub display: &'static str,
    /// Its unit as people write it.
    pub unit: &'static str,
    /// The same in UCUM.
    pub ucum: &'static str,
    /// Code and display of its observation category.
    pub category: (&'static str, &'static str),
}

impl Vital {
    /// A value of it.
    pub fn quantity(&self, number: Decimal) -> Quantity {
        Quantity {
            value: Some(number),
            comparator: None,
            unit: Some(self.unit.to_owned()),
            system: Some(UCUM.to_owned()),
            code: Some(self.ucum.to_owned()),
        }
    }
}

/// Category of what is measured at the bedside.
const VITAL_SIGNS: (&str, &str) = ("vital-signs", "Vital Signs");
/// Category of what a laboratory measures.
const LABORATORY: (&str, &str) = ("laboratory", "Laboratory");

/// The first six as FHIR R4's vital-signs profile has them (codes and units); glucose and HbA1c by LOINC 2.78.
pub const VITALS: &[Vital] = &[
    Vital {
        names: &["weight"],
        loinc: "29463-7",
        display: "Body weight",
        unit: "kg",
        ucum: "kg",
        category: VITAL_SIGNS,
    },
    Vital {
        names: &["height"],
        loinc: "8302-2",
        display: "Body height",
        unit: "cm",
        ucum: "cm",
        category: VITAL_SIGNS,
    },
    Vital {
        names: &["temperature", "temp"],
        loinc: "8310-5",
        display: "Body temperature",
        unit: "°C",
        ucum: "Cel",
        category: VITAL_SIGNS,
    },
    Vital {
        names: &["heart-rate", "pulse"],
        loinc: "8867-4",
        display: "Heart rate",
        unit: "/min",
        ucum: "/min",
        category: VITAL_SIGNS,
    },
    Vital {
        names: &["respiratory-rate"],
        loinc: "9279-1",
        display: "Respiratory rate",
        unit: "/min",
        ucum: "/min",
        category: VITAL_SIGNS,
    },
    Vital {
        names: &["spo2"],
        loinc: "2708-6",
        display: "Oxygen saturation in Arterial blood",
        unit: "%",
        ucum: "%",
        category: VITAL_SIGNS,
    },
    Vital {
        names: &["glucose"],
        loinc: "2339-0",
        display: "Glucose [Mass/volume] in Blood",
        unit: "mg/dL",
        ucum: "mg/dL",
        category: LABORATORY,
    },
    Vital {
        names: &["hba1c"],
        loinc: "4548-4",
        display: "Hemoglobin A1c/Hemoglobin.total in Blood",
        unit: "%",
        ucum: "%",
        category: LABORATORY,
    },
];

/// The measurement of a short name.
pub fn vital(name: &str) -> Result<&'static Vital, ApiError> {
    VITALS
        .iter()
        .find(|v| v.names.iter().any(|n| n.eq_ignore_ascii_case(name)))
        .ok_or_else(|| {
            let known: Vec<&str> = VITALS.iter().map(|v| v.names[0]).collect();
            ApiError::usage(format!("`{name}` is no vital sign that has a short name")).hint(
                format!("use one of {}, or --code with --value", known.join(", ")),
            )
        })
}

/// Units as people write them, with their UCUM codes (UCUM 2.1).
const UNITS: &[(&str, &str)] = &[
    ("mmHg", "mm[Hg]"),
    ("°C", "Cel"),
    ("°F", "[degF]"),
    ("bpm", "/min"),
    ("IU", "[IU]"),
    ("IU/L", "[IU]/L"),
    ("IU/mL", "[IU]/mL"),
    ("µg", "ug"),
    ("mcg", "ug"),
    ("µmol/L", "umol/L"),
    ("mEq/L", "meq/L"),
];

/// UCUM codes that people write as they are.
const UCUM_AS_WRITTEN: &[&str] = &[
    "%", "/min", "mm[Hg]", "Cel", "[degF]", "kg", "g", "mg", "ug", "m", "cm", "mm", "L", "mL",
    "dL", "kg/m2", "g/L", "g/dL", "mg/L", "mg/dL", "ng/mL", "ug/L", "mmol/L", "umol/L", "nmol/L",
    "meq/L", "U/L", "[IU]", "[IU]/L", "[IU]/mL", "h", "min", "s", "ms", "d", "kPa", "10*9/L",
    "10*12/L", "fL", "pg", "mL/min", "L/min", "kcal",
];

/// An amount with its unit; a unit that UCUM does not have by that name stays words.
pub fn quantity(number: Decimal, comparator: Option<&str>, unit: Option<&str>) -> Quantity {
    let ucum = unit.and_then(|unit| {
        let renamed = UNITS.iter().find(|(written, _)| *written == unit);
        let written = UCUM_AS_WRITTEN.iter().find(|code| **code == unit);
        renamed.map(|(_, code)| *code).or(written.copied())
    });
    Quantity {
        value: Some(number),
        comparator: comparator.map(str::to_owned),
        unit: unit.map(str::to_owned),
        system: ucum.map(|_| UCUM.to_owned()),
        code: ucum.map(str::to_owned),
    }
}

/// A number as typed, digits kept.
pub fn number(text: &str) -> Result<Decimal, ApiError> {
    text.parse().map_err(|_| {
        ApiError::usage(format!("`{text}` is not a number"))
            .hint("write digits with a point, for instance 0.5 or 72.5")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(words: Option<&str>, code: &str, bare: Bare) -> (Option<String>, String, String) {
        let concept = concept(words, Some(code), bare).unwrap();
        let coding = concept.coding.into_iter().next().unwrap();
        (coding.system, coding.code.unwrap(), concept.text.unwrap())
    }

    #[test]
    fn a_code_says_its_system_or_is_known_by_its_shape() {
        let loinc = Some(LOINC.to_owned());
        let snomed = Some(SNOMED.to_owned());
        let case = |s: Option<String>, c: &str, t: &str| (s, c.to_owned(), t.to_owned());
        assert_eq!(
            first(None, "29463-7", Bare::Loinc),
            case(loinc.clone(), "29463-7", "Body weight")
        );
        assert_eq!(
            first(Some("SBP"), "loinc|8480-6", Bare::Unknown),
            case(loinc, "8480-6", "SBP")
        );
        assert_eq!(
            first(Some("Asthma"), "195967001", Bare::Snomed),
            case(snomed, "195967001", "Asthma")
        );
        assert_eq!(
            first(None, "195967001", Bare::Loinc),
            case(None, "195967001", "195967001")
        );
        assert_eq!(
            first(None, "urn:oid:1.2.3|x", Bare::Loinc),
            case(Some("urn:oid:1.2.3".into()), "x", "x")
        );
    }

    #[test]
    fn nonsense_for_a_code_is_bad_usage() {
        for code in ["nosuch|1", "loinc|", "http://a b|1", "|1"] {
            assert!(
                concept(Some("x"), Some(code), Bare::Loinc).is_err(),
                "{code}"
            );
        }
        assert!(concept(None, None, Bare::Loinc).is_err());
        assert!(concept(Some(" "), Some(""), Bare::Loinc).is_err());
    }

    #[test]
    fn units_get_their_ucum_code_where_they_have_one() {
        let code = |unit| quantity(number("1").unwrap(), None, Some(unit)).code;
        assert_eq!(code("mmHg").as_deref(), Some("mm[Hg]"));
        assert_eq!(code("mmol/L").as_deref(), Some("mmol/L"));
        assert_eq!(code("spoons"), None);
    }

    #[test]
    fn every_vital_sign_is_found_by_its_names_and_has_a_ucum_unit() {
        for vital_sign in VITALS {
            for name in vital_sign.names {
                assert_eq!(vital(name).unwrap().loinc, vital_sign.loinc);
            }
            assert!(is_loinc(vital_sign.loinc));
            let unit = quantity(number("1").unwrap(), None, Some(vital_sign.unit));
            assert_eq!(unit.code.as_deref(), Some(vital_sign.ucum));
        }
        assert!(vital("aura").is_err());
    }
}
