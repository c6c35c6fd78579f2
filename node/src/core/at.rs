//! A record as it was.
//!
//! What was known when cannot be told from claimed times alone: clocks lie. Shown is the greatest set of entries in which no entry
//! claims a later time and every entry's own past is whole, as far as it is held here and counts today.

use std::collections::BTreeMap;

use salus_api::{ApiError, AtView, PatientView};
use salus_audit::{ChainId, EntryHash, Kind, LogId, Meta};

use super::Core;

/// What part of a log is shown.
enum Moment {
    /// Entries whose claimed time, and that of all before them, is not later (milliseconds since 1970-01-01 UTC).
    Time(u64),
    /// An entry and all before it.
    Entry(EntryHash),
}

impl Core {
    /// The record as it was at a time, or right after an entry. The look itself is logged by [`Core::log_look`].
    pub fn show_at(&mut self, log: LogId, at: &str) -> Result<PatientView, ApiError> {
        let moment = self.moment(log, at)?;
        let time_ms = match &moment {
            Moment::Time(time_ms) => *time_ms,
            Moment::Entry(hash) => self
                .log(log)?
                .entry_meta(hash)
                .map_or(0, |meta| meta.time_ms),
        };
        let (past, later) = self.past(log, &moment)?;
        let edits: Vec<Meta> = past
            .iter()
            .filter(|meta| meta.kind == Kind::Edit)
            .cloned()
            .collect();
        if edits.is_empty() {
            return Err(ApiError::not_found("the record did not exist then")
                .hint("`salus patient history PATIENT` shows when it began"));
        }
        let document = self.document_of(log, &edits)?;
        let mut view = self.view_of(log, &document)?;
        view.attachments.retain(|attachment| {
            past.iter()
                .any(|meta| meta.hash.to_string() == attachment.entry)
        });
        view.suggestions = self.suggestions_within(log, &past)?;
        view.at = Some(AtView {
            time_ms,
            entry: match moment {
                Moment::Time(_) => None,
                Moment::Entry(hash) => Some(hash.to_string()),
            },
            entries: past.len() as u64,
            later,
        });
        Ok(view)
    }

    fn moment(&mut self, log: LogId, at: &str) -> Result<Moment, ApiError> {
        let at = at.trim();
        // Four digits may be a year or the beginning of a hash: a time is tried first, an unlucky hash is given longer.
        if let Some(time_ms) = end_of_moment(at) {
            return Ok(Moment::Time(time_ms));
        }
        if at.len() >= 4 && at.bytes().all(|b| b.is_ascii_hexdigit()) {
            return self.find_entry(log, at).map(Moment::Entry);
        }
        Err(ApiError::usage(format!("`{at}` is neither a time nor an entry's hash")).hint(
            "write a time as 2026-03-01T14:30:00Z, a day as 2026-03-01, or the beginning of a hash that `salus patient history PATIENT --json` shows",
        ))
    }

    /// The entries of a moment that count, in a causal order, and how many others are held.
    fn past(&mut self, log: LogId, moment: &Moment) -> Result<(Vec<Meta>, u64), ApiError> {
        let state = self.log(log)?;
        let mut shown: BTreeMap<ChainId, u64> = BTreeMap::new();
        let mut past = Vec::new();
        match moment {
            Moment::Entry(hash) => {
                let within = state.entries().filter(|meta| {
                    state
                        .is_ancestor(&meta.hash, hash)
                        .is_some_and(|before| before)
                });
                past.extend(within.cloned());
            }
            Moment::Time(time_ms) => {
                for meta in state.entries().filter(|meta| meta.time_ms <= *time_ms) {
                    let follows = match shown.get(&meta.line) {
                        Some(last) => last.checked_add(1) == Some(meta.seq),
                        None => meta.seq == 0 || meta.line != meta.chain,
                    };
                    let whole = state.clock(&meta.hash).is_some_and(|clock| {
                        clock
                            .iter()
                            .filter(|(line, _)| *line != meta.line)
                            .all(|(line, seq)| shown.get(line).is_some_and(|held| held >= seq))
                    });
                    if follows && whole {
                        shown.insert(meta.line, meta.seq);
                        past.push(meta.clone());
                    }
                }
            }
        }
        let later = (state.len() - past.len()) as u64;
        past.retain(|meta| state.void(&meta.hash).is_none());
        Ok((past, later))
    }
}

/// The last millisecond of what a text names: an RFC 3339 instant, or a day, month or year in UTC.
fn end_of_moment(text: &str) -> Option<u64> {
    use jiff::civil::Date;
    use jiff::tz::TimeZone;
    let end_of = |first: Date, next: fn(Date) -> Option<Date>| -> Option<u64> {
        let begin = next(first)?.to_zoned(TimeZone::UTC).ok()?;
        u64::try_from(begin.timestamp().as_millisecond())
            .ok()?
            .checked_sub(1)
    };
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return u64::try_from(instant.as_millisecond()).ok();
    }
    if let Ok(local) = text.parse::<jiff::civil::DateTime>()
        && text.contains(['T', ' '])
    {
        let instant = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
        return u64::try_from(instant.as_millisecond()).ok();
    }
    match text.len() {
        10 => end_of(text.parse().ok()?, |day| day.tomorrow().ok()),
        7 => end_of(format!("{text}-01").parse().ok()?, |day| {
            day.last_of_month().tomorrow().ok()
        }),
        4 if text.bytes().all(|b| b.is_ascii_digit()) => {
            end_of(format!("{text}-01-01").parse().ok()?, |day| {
                day.last_of_year().tomorrow().ok()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::end_of_moment;

    #[test]
    fn a_moment_ends_with_the_unit_that_it_names() {
        assert_eq!(end_of_moment("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(end_of_moment("1970-01-01T01:00:01+01:00"), Some(1_000));
        assert_eq!(end_of_moment("1970-01-01"), Some(86_399_999));
        assert_eq!(end_of_moment("1970-01"), Some(31 * 86_400_000 - 1));
        assert_eq!(end_of_moment("1970"), Some(365 * 86_400_000 - 1));
        for text in [
            "",
            "yesterday",
            "3f9a",
            "1970-13",
            "1970-02-30",
            "deadbeef",
            "1969",
        ] {
            assert!(end_of_moment(text).is_none() || text == "1969", "{text}");
        }
        assert_eq!(end_of_moment("1960"), None);
    }
}
