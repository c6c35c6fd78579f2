//! Small texts that people or peers write: ids, decimals, dates, recovery words.

use std::str::FromStr;

use salus_audit::{ClinicId, LogId, Right, Role, Scope};
use salus_record::{Decimal, date};
use salus_vault::RecoveryPhrase;

use super::{Target, same};
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const TEXT: Target = Target {
    name: "text",
    about: "ids, words of the log, decimals, dates and recovery words",
    form: Form::Bytes,
    max_bytes: 2 * 1024,
    make: |_| Box::new(Text),
};

struct Text;

/// The words for 32 zero bytes (BIP-39, its first test vector of 24 words).
const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art";

/// What was read as a `T` is written and read as the same.
fn read<T: FromStr + ToString + PartialEq>(text: &str) -> Result<bool, Broken> {
    let Ok(value) = text.parse::<T>() else {
        return Ok(false);
    };
    let again = value.to_string().parse::<T>().ok();
    same(
        &again.as_ref(),
        &Some(&value),
        "a value that is written reads as the same",
    )?;
    Ok(true)
}

impl Subject for Text {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let id = LogId::from_bytes([0x5a; 32]).to_string();
        let texts = [
            id.as_str(),
            "physician",
            "custodian",
            "1.20E-3",
            "-0.0000000001",
            "120",
            "2024",
            "2024-02-29",
            "2024-02-29T23:59:59.123+14:00",
            "10:30:00",
            WORDS,
        ];
        texts.map(|text| text.as_bytes().to_vec()).to_vec()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        let Ok(text) = std::str::from_utf8(input) else {
            return Ok(Outcome::refused("not UTF-8"));
        };
        let read = [
            read::<LogId>(text)?,
            read::<ClinicId>(text)?,
            read::<Role>(text)?,
            read::<Right>(text)?,
            read::<Scope>(text)?,
            decimal(text)?,
            date::is_date(text),
            date::is_date_time(text),
            date::is_time(text),
            text.parse::<RecoveryPhrase>().is_ok(),
        ];
        let what = format!("{read:?}");
        Ok(if read.contains(&true) {
            Outcome::accepted(what)
        } else {
            Outcome::refused(what)
        })
    }
}

/// A decimal keeps its digits.
fn decimal(text: &str) -> Result<bool, Broken> {
    let Ok(decimal) = text.parse::<Decimal>() else {
        return Ok(false);
    };
    let _ = decimal.to_f64();
    same(&decimal.as_str(), &text, "a decimal keeps its digits")?;
    Ok(true)
}
