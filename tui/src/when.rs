//! Times and dates as a person reads them.
//!
//! Two kinds come in: milliseconds since 1970-01-01 UTC (entries, notes), and FHIR date strings of any precision
//! (`YYYY`, `YYYY-MM`, `YYYY-MM-DD` or an instant with its zone). Both are claims of whoever wrote them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// Milliseconds of a minute, an hour and a day.
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// From here on a date says more than "43 d ago" does (a guess).
const RELATIVE_UP_TO_MS: u64 = 30 * DAY_MS;
/// A time this far ahead of our own clock is shown as it was claimed (NTP keeps desks well below it; a guess).
const SKEW_MS: u64 = 2 * MINUTE_MS;

/// What time it is here, and where here is.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Clock {
    /// Milliseconds since 1970-01-01 UTC, as the last tick said.
    pub now_ms: u64,
    /// The desk's time zone.
    pub zone: TimeZone,
}

impl Clock {
    /// Today's date at the desk.
    pub fn today(&self) -> Option<Date> {
        self.local(self.now_ms).map(|at| at.date())
    }

    fn local(&self, ms: u64) -> Option<Zoned> {
        let at = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }

    /// `2026-11-20 14:03` at the desk; "unknown" for 0.
    pub fn at(&self, ms: u64) -> String {
        if ms == 0 {
            return "unknown".into();
        }
        self.local(ms).map_or_else(
            || "unknown".into(),
            |at| at.strftime("%Y-%m-%d %H:%M").to_string(),
        )
    }

    /// `2026-11-20` at the desk.
    pub fn date(&self, ms: u64) -> String {
        self.at(ms).chars().take(10).collect()
    }

    /// `14:03` at the desk.
    pub fn time(&self, ms: u64) -> String {
        self.local(ms)
            .map_or_else(|| "--:--".into(), |at| at.strftime("%H:%M").to_string())
    }

    /// `just now`, `12 min ago`, `3 h ago`, `5 d ago`, then the date.
    pub fn ago(&self, ms: u64) -> String {
        if ms == 0 {
            return "unknown".into();
        }
        if ms > self.now_ms.saturating_add(SKEW_MS) {
            return self.at(ms);
        }
        let past = self.now_ms.saturating_sub(ms);
        match past {
            _ if past < MINUTE_MS => "just now".into(),
            _ if past < HOUR_MS => format!("{} min ago", past / MINUTE_MS),
            _ if past < DAY_MS => format!("{} h ago", past / HOUR_MS),
            _ if past < RELATIVE_UP_TO_MS => format!("{} d ago", past / DAY_MS),
            _ => self.date(ms),
        }
    }

    /// A FHIR date as a day: `2026-11-20`, or less where less was said. An instant is moved to the desk's zone.
    pub fn day(&self, fhir: &str) -> String {
        self.moment(fhir).chars().take(10).collect()
    }

    /// A FHIR date with its time, where it has one: `2026-11-20 14:03`.
    pub fn moment(&self, fhir: &str) -> String {
        match fhir.parse::<Timestamp>() {
            Ok(at) => at
                .to_zoned(self.zone.clone())
                .strftime("%Y-%m-%d %H:%M")
                .to_string(),
            Err(_) => fhir.to_owned(),
        }
    }

    /// A time that somebody typed, as the node takes it. A day or a minute is the desk's own, and means its end;
    /// anything else (an instant, a year, an entry's hash) stays as it is.
    pub fn typed_end(&self, typed: &str) -> String {
        let typed = typed.trim();
        let end = |next: DateTime| {
            let at = next.to_zoned(self.zone.clone()).ok()?.timestamp();
            Some(at.checked_sub(1.millisecond()).ok()?.to_string())
        };
        let next = match typed.len() {
            10 => typed
                .parse::<Date>()
                .and_then(Date::tomorrow)
                .map(|day| day.at(0, 0, 0, 0)),
            16 => DateTime::strptime("%Y-%m-%d %H:%M", typed)
                .and_then(|minute| minute.checked_add(1.minute())),
            _ => return typed.to_owned(),
        };
        next.ok().and_then(end).unwrap_or_else(|| typed.to_owned())
    }

    /// How old somebody born then is: `41 y`, `7 mo` below two years, `12 d` below two months; `~41 y` where only
    /// the year or month is known; "" where nothing can be said.
    pub fn age(&self, birth_date: &str) -> String {
        let (Some(today), Some((born, exact))) = (self.today(), date(birth_date)) else {
            return String::new();
        };
        let Ok(span) = born.until((jiff::Unit::Year, today)) else {
            return String::new();
        };
        if born > today {
            return String::new();
        }
        let (years, months, days) = (span.get_years(), span.get_months(), span.get_days());
        let about = if exact { "" } else { "~" };
        match (years, months) {
            (2.., _) => format!("{about}{years} y"),
            (0, 0 | 1) if exact => {
                let days = born.until(today).map_or(days, |s| s.get_days());
                format!("{days} d")
            }
            _ => format!("{about}{} mo", i32::from(years) * 12 + months),
        }
    }
}

/// A FHIR date as a calendar day (the first of the year or month where no more was said), and whether the day was said.
fn date(fhir: &str) -> Option<(Date, bool)> {
    let head = fhir.get(..10).unwrap_or(fhir);
    if let Ok(day) = head.parse::<Date>() {
        return Some((day, true));
    }
    let mut parts = fhir.splitn(2, '-');
    let year = parts.next().filter(|y| y.len() == 4)?.parse::<i16>().ok()?;
    let month = match parts.next() {
        None => 1,
        Some(month) if month.len() == 2 => month.parse::<i8>().ok()?,
        Some(_) => return None,
    };
    Date::new(year, month, 1).ok().map(|day| (day, false))
}

/// Milliseconds to sort FHIR dates of different precision by; what is no date sorts first.
pub(crate) fn sort_key(fhir: &str) -> i64 {
    if let Ok(at) = fhir.parse::<Timestamp>() {
        return at.as_millisecond();
    }
    date(fhir)
        .and_then(|(day, _)| day.to_zoned(TimeZone::UTC).ok())
        .map_or(i64::MIN, |at| at.timestamp().as_millisecond())
}

/// Whether this is a date of birth that can be: a real day, written `YYYY-MM-DD`, not after today, and not before the
/// oldest age ever verified (122 years, Jeanne Calment, 1997) with room to spare.
pub(crate) fn check_birth_date(text: &str, today: Option<Date>) -> Result<(), &'static str> {
    const OLDEST_YEARS: i16 = 130;
    if text.len() != 10 {
        return Err("Write it as year-month-day, for instance 1984-05-17.");
    }
    let Ok(day) = text.parse::<Date>() else {
        return Err("There is no such day. Write year-month-day, for instance 1984-05-17.");
    };
    let Some(today) = today else { return Ok(()) };
    if day > today {
        return Err("This day is in the future.");
    }
    if today
        .checked_sub(OLDEST_YEARS.years())
        .is_ok_and(|oldest| day < oldest)
    {
        return Err("This is more than 130 years ago.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00:00 UTC.
    const NOW_MS: u64 = 1_795_348_800_000;

    fn clock() -> Clock {
        Clock {
            now_ms: NOW_MS,
            zone: TimeZone::UTC,
        }
    }

    #[test]
    fn ages_are_said_in_the_unit_that_matters() {
        let table = [
            ("1984-11-22", "42 y"),
            ("1984-11-23", "41 y"),
            ("2024-11-22", "2 y"),
            ("2024-11-23", "23 mo"),
            ("2026-09-22", "2 mo"),
            ("2026-10-01", "52 d"),
            ("2026-11-22", "0 d"),
            ("1984", "~42 y"),
            ("1984-12", "~41 y"),
            ("2030-01-01", ""),
            ("", ""),
            ("soon", ""),
            ("19840-1-1", ""),
        ];
        for (born, age) in table {
            assert_eq!(clock().age(born), age, "{born}");
        }
    }

    #[test]
    fn recent_times_are_relative_and_old_or_future_ones_are_dates() {
        let clock = clock();
        assert_eq!(clock.ago(NOW_MS - 20_000), "just now");
        assert_eq!(clock.ago(NOW_MS - 12 * MINUTE_MS), "12 min ago");
        assert_eq!(clock.ago(NOW_MS - 5 * HOUR_MS), "5 h ago");
        assert_eq!(clock.ago(NOW_MS - 3 * DAY_MS), "3 d ago");
        assert_eq!(clock.ago(NOW_MS - 45 * DAY_MS), "2026-10-08");
        assert_eq!(clock.ago(NOW_MS + HOUR_MS), "2026-11-22 13:00");
        assert_eq!(clock.ago(0), "unknown");
        assert_eq!(clock.at(u64::MAX), "unknown");
    }

    #[test]
    fn fhir_dates_keep_the_precision_they_were_written_with() {
        let clock = clock();
        assert_eq!(clock.day("2026"), "2026");
        assert_eq!(clock.day("2026-11-20T23:30:00-05:00"), "2026-11-21");
        assert_eq!(
            clock.moment("2026-11-20T23:30:00-05:00"),
            "2026-11-21 04:30"
        );
        assert_eq!(clock.moment("as a child"), "as a child");
    }

    #[test]
    fn a_typed_day_or_minute_is_the_desks_and_means_its_end() {
        let berlin = Clock {
            now_ms: NOW_MS,
            zone: TimeZone::fixed(jiff::tz::offset(1)),
        };
        for (typed, instant) in [
            (" 2026-03-01 ", "2026-03-01T22:59:59.999Z"),
            ("2026-03-01 14:30", "2026-03-01T13:30:59.999Z"),
            ("2026-02-30", "2026-02-30"),
            ("2026-03-01 25:00", "2026-03-01 25:00"),
            ("2026", "2026"),
            ("2026-03-01T14:30:00Z", "2026-03-01T14:30:00Z"),
            ("9b1d0f37", "9b1d0f37"),
            ("9b1d0f3712", "9b1d0f3712"),
            ("", ""),
        ] {
            assert_eq!(berlin.typed_end(typed), instant, "{typed}");
        }
    }

    #[test]
    fn dates_of_different_precision_sort_by_time() {
        assert!(sort_key("2026-11-20T01:00:00+02:00") < sort_key("2026-11-20"));
        assert!(sort_key("2026") < sort_key("2026-02"));
        assert!(sort_key("never") < sort_key("0001"));
    }

    #[test]
    fn birth_dates_must_be_real_days_that_have_been() {
        let today = clock().today();
        assert!(check_birth_date("1984-05-17", today).is_ok());
        for bad in [
            "",
            "17.05.1984",
            "1984-5-17",
            "1984-02-30",
            "2026-11-23",
            "1890-01-01",
        ] {
            assert!(check_birth_date(bad, today).is_err(), "{bad}");
        }
    }
}
