//! FHIR dates and times, checked but kept as written (R4 section 2.24.0.1, types `date`, `dateTime` and `time`).

/// Digits of a second's fraction that are accepted: nanoseconds.
const MAX_FRACTION_DIGITS: usize = 9;

/// Whether this is a `date`: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, and a day that exists.
pub fn is_date(text: &str) -> bool {
    let b = text.as_bytes();
    let (Some(year), true) = (number(b, 0, 4), matches!(b.len(), 4 | 7 | 10)) else {
        return false;
    };
    let dash = |at: usize| b.get(at) == Some(&b'-');
    match b.len() {
        4 => year > 0,
        7 => year > 0 && dash(4) && number(b, 5, 2).is_some_and(|m| (1..=12).contains(&m)),
        _ => {
            let (Some(month), Some(day)) = (number(b, 5, 2), number(b, 8, 2)) else {
                return false;
            };
            let days = match month {
                4 | 6 | 9 | 11 => 30,
                2 if year.is_multiple_of(4)
                    && (!year.is_multiple_of(100) || year.is_multiple_of(400)) =>
                {
                    29
                }
                2 => 28,
                1..=12 => 31,
                _ => return false,
            };
            year > 0 && dash(4) && dash(7) && (1..=days).contains(&day)
        }
    }
}

/// Whether this is a `dateTime`: a date, or a whole day with a time to the second and its zone.
pub fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return is_date(text);
    };
    if date.len() != 10 || !is_date(date) {
        return false;
    }
    if let Some(time) = time.strip_suffix('Z') {
        return is_time(time);
    }
    let Some((time, zone)) = time
        .len()
        .checked_sub(6)
        .and_then(|at| time.split_at_checked(at))
    else {
        return false;
    };
    let zone = zone.as_bytes();
    let zone_ok = matches!(zone.first(), Some(b'+' | b'-'))
        && zone.get(3) == Some(&b':')
        // R4's own pattern: zones reach to 14:00.
        && match (number(zone, 1, 2), number(zone, 4, 2)) {
            (Some(h), Some(m)) => m < 60 && (h < 14 || (h == 14 && m == 0)),
            _ => false,
        };
    zone_ok && is_time(time)
}

/// Whether this is a `time`: `hh:mm:ss`, perhaps with a fraction.
pub fn is_time(text: &str) -> bool {
    let b = text.as_bytes();
    let fraction_ok = match b.get(8..) {
        Some([]) => true,
        Some([b'.', digits @ ..]) => {
            (1..=MAX_FRACTION_DIGITS).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    fraction_ok
        && b.get(2) == Some(&b':')
        && b.get(5) == Some(&b':')
        && number(b, 0, 2).is_some_and(|h| h < 24)
        && number(b, 3, 2).is_some_and(|m| m < 60)
        // 60: a leap second.
        && number(b, 6, 2).is_some_and(|s| s <= 60)
}

/// The digits from `at`, as a number.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u32> {
    bytes.get(at..at + len)?.iter().try_fold(0, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_that_exist_are_accepted_and_others_refused() {
        for good in [
            "1931",
            "1931-05",
            "1931-05-17",
            "2000-02-29",
            "2024-02-29",
            "9999-12-31",
        ] {
            assert!(is_date(good) && is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "31",
            "1931-5",
            "1931-13",
            "1931-00",
            "1900-02-29",
            "2023-02-30",
            "1931-05-17-1",
            "0000",
            "19x1",
            "1931-05-",
            "17.05.1931",
            " 1931",
            "1931/05",
            "1931-00-10",
            "1931-02é",
            "1931-05-17T10:00:00Z",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn times_need_a_whole_day_seconds_and_a_zone() {
        for good in [
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.123+01:00",
            "2026-11-22T23:59:60-12:00",
            "2026-11-22T10:00:00.0607701+14:00",
        ] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "2026-11T10:00:00Z",
            "2026-11-22T10:00Z",
            "2026-11-22T10:00:00",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00.1234567890Z",
            "2026-11-22T10:00:00+15:00",
            "2026-11-22T10:00:00é:00",
            "2026-11-22T",
            "2026-11-22Té",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
        assert!(is_time("10:00:00") && is_time("23:59:59.9") && !is_time("10:00"));
    }
}
