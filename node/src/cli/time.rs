//! Times as they are typed and shown: ISO 8601, always with their zone.

use jiff::Timestamp;
use salus_api::ApiError;
use salus_api::record::date::{is_date, is_date_time};

/// A claimed time as `2026-11-22T11:39:35Z`; "" for 0, which means never.
pub fn iso(ms: u64) -> String {
    if ms == 0 {
        return String::new();
    }
    i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map_or_else(
            || format!("{ms} ms"),
            |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        )
}

/// Checks a calendar date, `YYYY-MM-DD`.
pub fn date(text: &str) -> Result<String, ApiError> {
    if text.len() == "YYYY-MM-DD".len() && is_date(text) {
        return Ok(text.to_owned());
    }
    Err(ApiError::usage(format!("`{text}` is not a date")).hint("write it as YYYY-MM-DD"))
}

/// Checks a date, whole or partial, or a time with its zone as FHIR's `dateTime` has it (R4, section 2.24.0.1).
pub fn date_or_time(text: &str) -> Result<String, ApiError> {
    if is_date_time(text) {
        return Ok(text.to_owned());
    }
    Err(
        ApiError::usage(format!("`{text}` is not a date or time")).hint(
            "write YYYY, YYYY-MM or YYYY-MM-DD, or YYYY-MM-DDThh:mm:ss with a zone, for instance 2026-11-22T11:39:35Z",
        ),
    )
}

/// Milliseconds to sort FHIR dates by; what is not exact sorts as its beginning, what is no date at all first.
pub fn order(text: &str) -> i64 {
    let full = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let instant = if full.len() == "dddd-dd-dd".len() {
        format!("{full}T00:00:00Z")
    } else {
        full
    };
    instant
        .parse::<Timestamp>()
        .map_or(i64::MIN, Timestamp::as_millisecond)
}

/// A FHIR date or time without its seconds, which tell a reader of a record nothing; the zone stays.
pub fn brief(text: &str) -> String {
    if !(text.contains('T') && is_date_time(text)) {
        return text.to_owned();
    }
    let (clock, rest) = text.split_at("dddd-dd-ddTdd:dd".len());
    let zone = rest.find(['Z', '+', '-']).map_or("", |at| &rest[at..]);
    format!("{clock}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claimed_times_are_shown_in_utc_whatever_they_claim() {
        assert_eq!(iso(1_795_347_575_123), "2026-11-22T11:39:35Z");
        assert_eq!(iso(0), "");
        assert_eq!(iso(u64::MAX), "18446744073709551615 ms");
    }

    #[test]
    fn dates_are_checked_against_the_calendar() {
        assert!(date("2024-02-29").is_ok());
        for bad in [
            "2023-02-29",
            "2024-2-9",
            "24-02-09",
            "2024-02-29T00:00:00Z",
            "",
            "2024-02",
        ] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_need_seconds_and_a_zone() {
        for good in [
            "2024-02-29",
            "2024-02-29T10:00:00Z",
            "2024-02-29T10:00:00.123+01:00",
            "2024-02-29T10:00:00-05:00",
        ] {
            assert!(date_or_time(good).is_ok(), "{good}");
        }
        for bad in [
            "2024-02-29T10:00Z",
            "2024-02-29 10:00:00Z",
            "2024-02-29T10:00:00",
            "2024-02-29T25:00:00Z",
            "2024-02-29T10:00:00.Z",
            "2024-02-29T10:00:00Z[Europe/Berlin]",
            "yesterday",
            "é024-02-29T10:00:00Z",
        ] {
            assert!(date_or_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_brief_time_keeps_its_zone() {
        assert_eq!(
            brief("2024-02-29T10:00:35.5+01:00"),
            "2024-02-29T10:00+01:00"
        );
        assert_eq!(brief("2024-02-29T10:00:35Z"), "2024-02-29T10:00Z");
        assert_eq!(brief("2024-02"), "2024-02");
    }

    #[test]
    fn order_knows_zones_and_partial_dates() {
        assert!(order("2024") < order("2024-02") && order("2024-02") < order("2024-02-02"));
        assert!(order("2024-02-29T10:00:00+02:00") < order("2024-02-29T09:00:00Z"));
        assert_eq!(order("some day"), i64::MIN);
    }
}
