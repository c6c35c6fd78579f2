//! What of a record goes into a patient summary.

use std::collections::{HashMap, HashSet};

use salus_record::model::*;

use crate::absence::is_absence;
use crate::date::signed_ms_of;

/// The summary's content: items in the order of the record, as they are.
pub(crate) fn summary(content: &RecordContent, per_code: usize) -> RecordContent {
    let (observations, diagnostic_reports) = measurements(content, per_code);
    RecordContent {
        patient: content.patient.clone(),
        allergies: pick(&content.allergies, |item| {
            holds(item.verification_status.as_deref()) && !is_absence(&item.code)
        }),
        conditions: pick(&content.conditions, |item| {
            holds(item.verification_status.as_deref()) && !is_absence(&item.code)
        }),
        medications: medications(content, per_code),
        immunizations: pick(&content.immunizations, |item| {
            !matches!(
                item.status.as_deref(),
                Some("entered-in-error" | "not-done")
            ) && !is_absence(&item.code)
        }),
        procedures: latest(
            &content.procedures,
            per_code,
            |item| (name(&item.code), when(item.performed.as_ref())),
            |item| {
                let status = item.status.as_deref();
                !matches!(
                    status,
                    Some("entered-in-error" | "not-done" | "preparation")
                ) && !is_absence(&item.code)
            },
        ),
        observations,
        diagnostic_reports,
        encounters: Vec::new(),
        notes: Vec::new(),
    }
}

/// Whether a statement still holds, by its verification status.
fn holds(status: Option<&str>) -> bool {
    !matches!(status, Some("entered-in-error" | "refuted"))
}

fn when(timing: Option<&Timing>) -> &str {
    timing.map_or("", Timing::when)
}

fn pick<T: Clone>(items: &[T], wanted: impl Fn(&T) -> bool) -> Vec<T> {
    items.iter().filter(|item| wanted(item)).cloned().collect()
}

/// The latest items of each code, in the order of the record.
fn latest<T: Clone>(
    items: &[T],
    per_code: usize,
    key: impl Fn(&T) -> (Named<'_>, &str),
    wanted: impl Fn(&T) -> bool,
) -> Vec<T> {
    let numbers = latest_numbers(items, per_code, key, wanted);
    let chosen = items
        .iter()
        .enumerate()
        .filter(|(i, _)| numbers.contains(i));
    chosen.map(|(_, item)| item.clone()).collect()
}

/// Their numbers. Of two at one time the one that comes first in the record is the later.
fn latest_numbers<T>(
    items: &[T],
    per_code: usize,
    key: impl Fn(&T) -> (Named<'_>, &str),
    wanted: impl Fn(&T) -> bool,
) -> HashSet<usize> {
    let mut groups: HashMap<Named<'_>, Vec<(i64, usize)>> = HashMap::new();
    for (i, item) in items.iter().enumerate().filter(|(_, item)| wanted(item)) {
        let (named, when) = key(item);
        // What has no date is older than what has one.
        let at = signed_ms_of(when).unwrap_or(i64::MIN);
        groups.entry(named).or_default().push((at, i));
    }
    let mut numbers = HashSet::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|(at, i)| (std::cmp::Reverse(*at), *i));
        numbers.extend(group.into_iter().take(per_code).map(|(_, i)| i));
    }
    numbers
}

/// What makes two items the same for a summary: a code's system and code, else its words; a report's conclusion, where that is all it
/// says.
type Named<'a> = (&'a str, &'a str, &'a str);

fn name(concept: &CodeableConcept) -> Named<'_> {
    let coded = concept.coding.iter().find_map(|coding| {
        let code = coding.code.as_deref()?;
        Some((coding.system.as_deref().unwrap_or_default(), code, ""))
    });
    coded.unwrap_or_else(|| ("", concept.label(), ""))
}

/// The current medicines; where there are none, the latest of each that is over, because a list without anything
/// would say that nothing is known.
fn medications(content: &RecordContent, per_code: usize) -> Vec<Medication> {
    let known = |item: &Medication| !is_absence(&item.code);
    let is_past =
        |item: &Medication| matches!(item.status.as_deref(), Some("completed" | "stopped"));
    // `cancelled`, `not-taken` and `draft` were never taken.
    let never = |item: &Medication| {
        matches!(
            item.status.as_deref(),
            Some("entered-in-error" | "cancelled" | "not-taken" | "draft")
        )
    };
    let current = pick(&content.medications, |item| {
        known(item) && !is_past(item) && !never(item)
    });
    if !current.is_empty() {
        return current;
    }
    let time = |item: &Medication| match when(item.effective.as_ref()) {
        "" => item.authored_on.clone().unwrap_or_default(),
        when => when.to_owned(),
    };
    let times: Vec<String> = content.medications.iter().map(time).collect();
    let indexed: Vec<(usize, &Medication)> = content.medications.iter().enumerate().collect();
    let numbers = latest_numbers(
        &indexed,
        per_code,
        |(i, item)| (name(&item.code), &times[*i]),
        |(_, item)| known(item) && is_past(item),
    );
    let chosen = indexed.iter().filter(|(i, _)| numbers.contains(i));
    chosen.map(|(_, item)| (*item).clone()).collect()
}

/// The latest measurements and reports of each code, and the measurements that these are made of.
fn measurements(
    content: &RecordContent,
    per_code: usize,
) -> (Vec<Observation>, Vec<DiagnosticReport>) {
    let valid = |status: Option<&str>| !matches!(status, Some("entered-in-error" | "cancelled"));
    let usable = |item: &Observation| {
        let says_something = item.value.is_some()
            || !item.components.is_empty()
            || !item.members.is_empty()
            || item.data_absent_reason.is_some();
        valid(item.status.as_deref()) && says_something
    };
    let reports = latest(
        &content.diagnostic_reports,
        per_code,
        |item| {
            let issued = item.issued.as_deref().unwrap_or("");
            let at = item.effective.as_ref().map_or(issued, Timing::when);
            let (system, code, _) = name(&item.code);
            let says = item
                .conclusion
                .as_deref()
                .filter(|_| item.results.is_empty());
            ((system, code, says.unwrap_or("")), at)
        },
        |item| valid(item.status.as_deref()),
    );
    let by_id: HashMap<&str, usize> = content
        .observations
        .iter()
        .enumerate()
        .filter(|(_, item)| usable(item))
        .map(|(i, item)| (item.id.as_str(), i))
        .collect();
    let mut chosen = latest_numbers(
        &content.observations,
        per_code,
        |item| (name(&item.code), when(item.effective.as_ref())),
        usable,
    );
    let parts = |ids: &[String]| -> Vec<usize> {
        let found = ids.iter().filter_map(|id| by_id.get(id.as_str()));
        found.copied().collect()
    };
    let mut next: Vec<usize> = reports.iter().flat_map(|r| parts(&r.results)).collect();
    next.extend(
        chosen
            .iter()
            .flat_map(|&i| parts(&content.observations[i].members)),
    );
    while let Some(i) = next.pop() {
        if chosen.insert(i) {
            next.extend(parts(&content.observations[i].members));
        }
    }
    let items = content.observations.iter().enumerate();
    let observations = items
        .filter(|(i, _)| chosen.contains(i))
        .map(|(_, o)| o.clone());
    (observations.collect(), reports)
}
