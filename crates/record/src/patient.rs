//! Setting one field of the patient from what a person typed.

use crate::date::{is_date, is_date_time};
use crate::edit::EditError;
use crate::model::{Address, CodeableConcept, Patient, Sex};

/// Longest value a person may type into one field, in bytes. A guess: longer than any real name or address.
const MAX_TYPED_BYTES: usize = 1024;

/// Sets the field at `path`, one of [`crate::PATIENT_PATHS`]; `None` or blanks remove it.
pub(crate) fn set(patient: &mut Patient, path: &str, value: Option<&str>) -> Result<(), EditError> {
    let value = value.map(str::trim).filter(|v| !v.is_empty());
    if let Some(value) = value {
        if value.len() > MAX_TYPED_BYTES {
            return Err(EditError::TooLong {
                what: "the value",
                limit: MAX_TYPED_BYTES,
            });
        }
        if value.chars().any(char::is_control) {
            return Err(EditError::Invalid {
                path: "the value",
                wanted: "one line without control characters",
            });
        }
    }
    let text = || value.map(str::to_owned);
    let words = || {
        value
            .iter()
            .flat_map(|v| v.split_whitespace())
            .map(str::to_owned)
            .collect()
    };
    match path {
        "family" => patient.family = text(),
        "given" => patient.given = words(),
        "prefix" => patient.prefix = words(),
        "suffix" => patient.suffix = words(),
        "birth_date" => {
            patient.birth_date = checked(value, is_date, "birth_date", DATE)?;
        }
        "sex" => {
            patient.sex = match value {
                None => Sex::Unknown,
                Some(v) => v
                    .to_ascii_lowercase()
                    .parse()
                    .map_err(|()| EditError::Invalid {
                        path: "sex",
                        wanted: "male, female, other or unknown",
                    })?,
            };
        }
        "mrn" => patient.mrn = text(),
        "phone" => patient.phone = text(),
        "email" => {
            patient.email = checked(
                value,
                is_email,
                "email",
                "an address such as name@example.org",
            )?;
        }
        "deceased" => {
            patient.deceased = checked(
                value.filter(|v| *v != "false"),
                |v| v == "true" || is_date_time(v),
                "deceased",
                "true, false, or a date such as 2026-11-22",
            )?;
        }
        "marital_status" => patient.marital_status = value.map(CodeableConcept::text),
        "language" => patient.language = value.map(CodeableConcept::text),
        _ => {
            let field = path
                .strip_prefix("address.")
                .ok_or(EditError::UnknownPatientPath)?;
            let mut address = patient.address.clone().unwrap_or_default();
            match field {
                "line" => address.line = value.iter().map(|v| (*v).to_owned()).collect(),
                "city" => address.city = text(),
                "state" => address.state = text(),
                "postal_code" => address.postal_code = text(),
                "country" => address.country = text(),
                _ => return Err(EditError::UnknownPatientPath),
            }
            patient.address = (address != Address::default()).then_some(address);
        }
    }
    Ok(())
}

/// How a date is to be written.
pub(crate) const DATE: &str = "a date that exists, as 1931, 1931-05 or 1931-05-17";

fn checked(
    value: Option<&str>,
    is_good: impl Fn(&str) -> bool,
    path: &'static str,
    wanted: &'static str,
) -> Result<Option<String>, EditError> {
    match value {
        Some(v) if !is_good(v) => Err(EditError::Invalid { path, wanted }),
        other => Ok(other.map(str::to_owned)),
    }
}

/// Something on both sides of one `@` and no blanks: enough to catch a slip, not to refuse an odd address.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::PATIENT_PATHS;

    #[test]
    fn every_listed_path_can_be_set_and_removed() {
        for path in PATIENT_PATHS {
            let value = match path {
                "birth_date" | "deceased" => "1931-05-17",
                "sex" => "female",
                "email" => "ada@example.org",
                _ => "Ada",
            };
            let mut patient = Patient::default();
            set(&mut patient, path, Some(value)).unwrap();
            assert_ne!(patient, Patient::default(), "{path}");
            set(&mut patient, path, None).unwrap();
            assert_eq!(patient, Patient::default(), "{path}");
        }
    }

    #[test]
    fn bad_values_and_unknown_paths_say_what_is_wanted() {
        let mut p = Patient::default();
        let error =
            |p: &mut Patient, path, value| set(p, path, Some(value)).unwrap_err().to_string();
        assert!(error(&mut p, "birth_date", "1931-02-30").contains("1931-05-17"));
        assert!(error(&mut p, "sex", "x").contains("female"));
        assert!(error(&mut p, "email", "nobody").contains('@'));
        assert!(error(&mut p, "deceased", "yes").contains("true"));
        assert!(error(&mut p, "phone", "1\n2").contains("control"));
        assert!(error(&mut p, "fax", "1").contains("address.postal_code"));
        assert!(error(&mut p, "address.planet", "1").contains("address.city"));
        assert!(set(&mut p, "family", Some(&"x".repeat(2000))).is_err());
        assert_eq!(p, Patient::default());
    }
}
