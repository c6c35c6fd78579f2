//! Milliseconds to FHIR instants and back (R4 section 2.24.0.1).

use jiff::Timestamp;
use salus_record::date::is_date_time;

/// An `instant` in UTC with milliseconds. Times past jiff's last (the year 9999) become that last one.
pub(crate) fn instant_of_ms(ms: u64) -> String {
    let at = i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX);
    format!("{at:.3}")
}

/// Milliseconds since 1970-01-01 UTC of a `dateTime`; of a date alone, its first millisecond. `None` before
/// 1970 and for what is no `dateTime`.
pub(crate) fn ms_of(text: &str) -> Option<u64> {
    u64::try_from(signed_ms_of(text)?).ok()
}

/// The same, negative before 1970.
pub(crate) fn signed_ms_of(text: &str) -> Option<i64> {
    if !is_date_time(text) {
        return None;
    }
    let whole = match text.len() {
        4 => format!("{text}-01-01T00:00:00Z"),
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    let at: Timestamp = whole.parse().ok()?;
    Some(at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_come_back_from_instants() {
        for ms in [0, 1, 999, 1_700_000_000_123, 253_402_207_200_999] {
            assert_eq!(ms_of(&instant_of_ms(ms)), Some(ms), "{}", instant_of_ms(ms));
        }
        assert!(
            is_date_time(&instant_of_ms(u64::MAX)),
            "{}",
            instant_of_ms(u64::MAX)
        );
        assert_eq!(ms_of("1970"), Some(0));
        assert_eq!(ms_of("1970-01-02"), Some(86_400_000));
        assert_eq!(ms_of("1969-12-31"), None);
        assert_eq!(signed_ms_of("1969-12-31"), Some(-86_400_000));
        assert_eq!(ms_of("yesterday"), None);
    }
}
