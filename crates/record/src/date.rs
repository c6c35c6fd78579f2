//! FHIR dates and times, checked but kept as written (R4 section 2.24.0.1, types `date` and `dateTime`).

/// Whether this is a FHIR `date`: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, and a day that exists.
pub(crate) fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), month, day) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    if parts.next().is_some() {
        return false;
    }
    let Some(year) = digits(year, 4) else {
        return false;
    };
    if year == 0 {
        return false;
    }
    let Some(month) = month else { return true };
    let Some(month) = digits(month, 2) else {
        return false;
    };
    if !(1..=12).contains(&month) {
        return false;
    }
    let Some(day) = day else { return true };
    digits(day, 2).is_some_and(|day| (1..=days(year, month)).contains(&day))
}

/// Whether this is a FHIR `dateTime`: a date, or a full date with a time to the second and its zone.
pub(crate) fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else {
        return is_date(text);
    };
    if date.len() != 10 || !is_date(date) {
        return false;
    }
    let time = if let Some(time) = time.strip_suffix('Z') {
        time
    } else {
        let Some(at) = time.rfind(['+', '-']) else {
            return false;
        };
        let (time, zone) = time.split_at(at);
        let Some((hours, minutes)) = zone.get(1..).and_then(|z| z.split_once(':')) else {
            return false;
        };
        // R4's own pattern: zones reach to 14:00.
        match (digits(hours, 2), digits(minutes, 2)) {
            (Some(h), Some(m)) if m < 60 && (h < 14 || (h == 14 && m == 0)) => time,
            _ => return false,
        }
    };
    let mut parts = time.split(':');
    let (Some(h), Some(m), Some(s), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (s, fraction_ok) = match s.split_once('.') {
        Some((s, f)) => (
            s,
            (1..=9).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()),
        ),
        None => (s, true),
    };
    fraction_ok
        && digits(h, 2).is_some_and(|h| h < 24)
        && digits(m, 2).is_some_and(|m| m < 60)
        // 60: a leap second.
        && digits(s, 2).is_some_and(|s| s <= 60)
}

fn digits(text: &str, len: usize) -> Option<u32> {
    (text.len() == len && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
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
            "1931-05-17T10:00:00Z",
        ] {
            assert!(!is_date(bad), "{bad}");
        }
    }

    #[test]
    fn times_need_a_full_date_and_a_zone() {
        for good in [
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.123+01:00",
            "2026-11-22T23:59:60-12:00",
        ] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "2026-11T10:00:00Z",
            "2026-11-22T10:00Z",
            "2026-11-22T10:00:00",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00+15:00",
            "2026-11-22T10:00:00é:00",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}
