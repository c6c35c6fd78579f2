//! Measurements of one kind, put in order of time.

use std::collections::BTreeMap;

use salus_api::record::{
    CodeableConcept, Observation, ObservationComponent, ObservationValue, Quantity,
};

use crate::when;

/// LOINC: systolic and diastolic blood pressure.
const SYSTOLIC: &str = "8480-6";
const DIASTOLIC: &str = "8462-4";
/// The key of the panel that holds both (LOINC 85354-9, as `salus_api::blood_pressure` writes it).
pub(crate) const PANEL: &str = "http://loinc.org|85354-9";
/// Eighths of a block, lowest first.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Eighths of a column, from nothing on.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Id of the observation.
    pub id: String,
    /// When it was true of the patient, as written.
    pub when: String,
    /// What came out, with its unit.
    pub value: String,
    /// The number to draw, and the unit it is in.
    pub number: Option<(f64, String)>,
    /// `H`, `L` or `!`, where the source said that it is high, low or abnormal; else "".
    pub flag: &'static str,
}

/// All measurements of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    /// Tells this kind from others within the record.
    pub key: String,
    /// What was measured.
    pub label: String,
    /// Vital signs, laboratory, …
    pub category: String,
    /// The measurements, oldest first. Never empty.
    pub points: Vec<Point>,
}

impl Series {
    /// The newest measurement.
    pub fn latest(&self) -> Option<&Point> {
        self.points.last()
    }

    /// The numbers to draw, oldest first: those in the unit of the newest, at least two, else none.
    pub fn numbers(&self) -> Vec<f64> {
        let newest = self.points.iter().rev().find_map(|p| p.number.as_ref());
        let Some((_, unit)) = newest else {
            return Vec::new();
        };
        let same = |p: &Point| {
            p.number
                .as_ref()
                .filter(|(_, u)| u == unit)
                .map(|(n, _)| *n)
        };
        let numbers: Vec<f64> = self.points.iter().filter_map(same).collect();
        if numbers.len() < 2 {
            Vec::new()
        } else {
            numbers
        }
    }
}

/// Sorts observations into series: vital signs first, then laboratory, then the others by name; within a category by label.
pub(crate) fn series(observations: &[Observation]) -> Vec<Series> {
    let mut found: BTreeMap<String, (u8, Series)> = BTreeMap::new();
    for observation in observations {
        let key = key(&observation.code);
        let (_, series) = found.entry(key.clone()).or_insert_with(|| {
            let (rank, category) = category(&observation.category);
            let label = match observation.code.label() {
                _ if key == PANEL => "Blood pressure".to_owned(),
                "" => "(no name)".to_owned(),
                label => label.to_owned(),
            };
            (
                rank,
                Series {
                    key,
                    label,
                    category,
                    points: Vec::new(),
                },
            )
        });
        series.points.push(point(observation));
    }
    let mut all: Vec<(u8, Series)> = found.into_values().collect();
    all.sort_by_cached_key(|(rank, s)| (*rank, s.category.clone(), s.label.to_lowercase()));
    let mut all: Vec<Series> = all.into_iter().map(|(_, series)| series).collect();
    for series in &mut all {
        series
            .points
            .sort_by_cached_key(|p| (when::sort_key(&p.when), p.id.clone()));
    }
    all
}

fn key(code: &CodeableConcept) -> String {
    match code.coding.iter().find(|c| c.code.is_some()) {
        Some(c) => format!(
            "{}|{}",
            c.system.as_deref().unwrap_or(""),
            c.code.as_deref().unwrap_or("")
        ),
        None => code.label().to_lowercase(),
    }
}

fn category(categories: &[CodeableConcept]) -> (u8, String) {
    let code = categories
        .iter()
        .flat_map(|c| &c.coding)
        .find_map(|c| c.code.as_deref())
        .or_else(|| categories.first().map(CodeableConcept::label))
        .unwrap_or("");
    match code {
        "vital-signs" => (0, "Vital signs".into()),
        "laboratory" => (1, "Laboratory".into()),
        "" => (3, "Other".into()),
        other => {
            let words = other.replace('-', " ");
            let mut chars = words.chars();
            let first = chars
                .next()
                .map(|c| c.to_uppercase().to_string())
                .unwrap_or_default();
            (2, first + chars.as_str())
        }
    }
}

fn point(observation: &Observation) -> Point {
    let when = observation.effective.as_ref().map(|t| t.when().to_owned());
    Point {
        id: observation.id.clone(),
        when: when
            .or_else(|| observation.issued.clone())
            .unwrap_or_default(),
        value: result(observation),
        number: number(observation),
        flag: flag(&observation.interpretation)
            .or_else(|| {
                observation
                    .components
                    .iter()
                    .find_map(|c| flag(&c.interpretation))
            })
            .unwrap_or(""),
    }
}

/// What came out of an observation, in one line.
pub(crate) fn result(observation: &Observation) -> String {
    if let Some(value) = &observation.value {
        return self::value(value);
    }
    if let (Some(upper), Some(lower)) = (
        pressure(observation, SYSTOLIC),
        pressure(observation, DIASTOLIC),
    ) {
        let number = |q: &Quantity| q.value.as_ref().map_or("?".to_owned(), ToString::to_string);
        let pair = format!("{}/{}", number(upper), number(lower));
        return match unit(upper) {
            "" => pair,
            unit => format!("{pair} {unit}"),
        };
    }
    if !observation.components.is_empty() {
        let parts = observation.components.iter().map(component);
        return parts.collect::<Vec<_>>().join("; ");
    }
    if let Some(reason) = &observation.data_absent_reason {
        return format!("none: {}", reason.label());
    }
    match observation.members.len() {
        0 => "–".into(),
        n => format!("panel of {n}"),
    }
}

fn component(component: &ObservationComponent) -> String {
    let value = component.value.as_ref().map_or("–".to_owned(), value);
    format!("{} {value}", component.code.label())
}

fn pressure<'a>(observation: &'a Observation, code: &str) -> Option<&'a Quantity> {
    observation
        .components
        .iter()
        .find(|c| {
            c.code
                .coding
                .iter()
                .any(|c| c.code.as_deref() == Some(code))
        })
        .and_then(|c| match &c.value {
            Some(ObservationValue::Quantity(q)) => Some(q),
            _ => None,
        })
}

/// The number that is drawn: the value, or the systolic part.
fn number(observation: &Observation) -> Option<(f64, String)> {
    let quantity = match &observation.value {
        Some(ObservationValue::Quantity(q)) => q,
        Some(ObservationValue::Integer(n)) => {
            return n.to_string().parse().ok().map(|f| (f, String::new()));
        }
        Some(_) => return None,
        None => pressure(observation, SYSTOLIC)?,
    };
    let number = quantity.value.as_ref()?.to_f64();
    number
        .is_finite()
        .then(|| (number, unit(quantity).to_owned()))
}

/// The unit as people write it, else its code.
fn unit(quantity: &Quantity) -> &str {
    quantity
        .unit
        .as_deref()
        .or(quantity.code.as_deref())
        .unwrap_or("")
}

/// An amount with its unit.
pub(crate) fn quantity(quantity: &Quantity) -> String {
    let mut text = String::new();
    if let Some(comparator) = &quantity.comparator {
        text += comparator;
        text.push(' ');
    }
    text += &quantity
        .value
        .as_ref()
        .map_or("?".to_owned(), ToString::to_string);
    match unit(quantity) {
        "" | "1" | "{score}" => {}
        "%" => text += " %",
        unit => {
            text.push(' ');
            text += unit.trim_matches(['{', '}']);
        }
    }
    text
}

/// A value in words.
pub(crate) fn value(value: &ObservationValue) -> String {
    let ends = |low: &Option<Quantity>, between: &str, high: &Option<Quantity>| {
        let end = |q: &Option<Quantity>| q.as_ref().map_or("?".to_owned(), quantity);
        format!("{} {between} {}", end(low), end(high))
    };
    match value {
        ObservationValue::Quantity(q) => quantity(q),
        ObservationValue::Concept(c) => c.label().to_owned(),
        ObservationValue::String(s) | ObservationValue::DateTime(s) | ObservationValue::Time(s) => {
            s.clone()
        }
        ObservationValue::Boolean(b) => if *b { "yes" } else { "no" }.to_owned(),
        ObservationValue::Integer(n) => n.to_string(),
        ObservationValue::Period(p) => format!(
            "{} to {}",
            p.start.as_deref().unwrap_or("?"),
            p.end.as_deref().unwrap_or("now")
        ),
        ObservationValue::Range { low, high } => ends(low, "to", high),
        ObservationValue::Ratio {
            numerator,
            denominator,
        } => ends(numerator, "/", denominator),
    }
}

/// FHIR `observation-interpretation`, as laboratories mark it on paper.
pub(crate) fn flag(interpretation: &[CodeableConcept]) -> Option<&'static str> {
    let code = interpretation.iter().find_map(|c| {
        c.coding
            .iter()
            .find_map(|c| c.code.as_deref())
            .or(c.text.as_deref())
    })?;
    match code {
        "H" | "HH" | "HU" | "H>" | "High" | "high" => Some("H"),
        "L" | "LL" | "LU" | "L<" | "Low" | "low" => Some("L"),
        "A" | "AA" | "Abnormal" | "abnormal" => Some("!"),
        _ => None,
    }
}

/// Draws numbers as a line of blocks, the last `columns` of them; "" for fewer than two.
pub(crate) fn sparkline(numbers: &[f64], columns: usize) -> String {
    chart(numbers, columns, 1).pop().unwrap_or_default()
}

/// A share from 0 to 1 as a bar of at most so many columns, in eighths of a column.
pub(crate) fn bar(share: f64, columns: usize) -> String {
    let eighths = columns * 8;
    let filled = (0..=eighths)
        .rev()
        .find(|n| share * eighths as f64 + 0.5 >= *n as f64)
        .unwrap_or(0);
    let mut bar = "█".repeat(filled / 8);
    bar.extend(filled.checked_rem(8).and_then(|n| PARTS.get(n)));
    bar.trim_end().to_owned()
}

/// Draws numbers as bars over several rows, top row first, the last `columns` of them.
pub(crate) fn chart(numbers: &[f64], columns: usize, rows: usize) -> Vec<String> {
    let shown = &numbers[numbers.len().saturating_sub(columns)..];
    if shown.len() < 2 || rows == 0 {
        return Vec::new();
    }
    let low = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let high = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let steps = rows * BLOCKS.len() - 1;
    let levels: Vec<usize> = shown
        .iter()
        .map(|n| {
            // Halved first: the distance of two finite numbers may be infinite.
            let part = (n / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
            let part = if part.is_finite() { part } else { 0.5 };
            (0..=steps)
                .rev()
                .find(|step| part * steps as f64 + 0.5 >= *step as f64)
                .unwrap_or(0)
        })
        .collect();
    (0..rows)
        .rev()
        .map(|row| {
            let blank = ' ';
            let floor = row * BLOCKS.len();
            let block = |level: &usize| match level.checked_sub(floor) {
                Some(above) => BLOCKS[above.min(BLOCKS.len() - 1)],
                None => blank,
            };
            levels.iter().map(block).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use salus_api::record::{Item, Timing};

    use super::*;

    fn pulse(value: i64, at: &str, unit: &str) -> Observation {
        Observation {
            id: at.into(),
            code: CodeableConcept::code("http://loinc.org", "8867-4", "Heart rate"),
            value: Some(ObservationValue::Quantity(Quantity {
                value: Some(value.into()),
                unit: Some(unit.into()),
                ..Quantity::default()
            })),
            effective: Some(Timing::DateTime(at.into())),
            ..Observation::default()
        }
    }

    #[test]
    fn a_series_is_in_order_of_time_and_of_one_unit() {
        let all = series(&[
            pulse(70, "2026-03-01", "/min"),
            pulse(60, "2026-01-01T10:00:00Z", "/min"),
            pulse(1, "2026-02", "Hz"),
        ]);
        assert_eq!(all.len(), 1);
        let values: Vec<_> = all[0].points.iter().map(|p| p.value.as_str()).collect();
        assert_eq!(values, ["60 /min", "1 Hz", "70 /min"]);
        assert_eq!(all[0].numbers(), [60.0, 70.0]);
    }

    #[test]
    fn a_blood_pressure_is_one_value() {
        let Item::Observation(bp) = salus_api::blood_pressure(128, 82, Some("2026".into())) else {
            panic!("a blood pressure is an observation")
        };
        assert_eq!(result(&bp), "128/82 mmHg");
        let all = series(&[bp]);
        assert_eq!(all[0].category, "Vital signs");
        assert_eq!(all[0].points[0].number, Some((128.0, "mmHg".into())));
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let table = [
            (0.0, 4, ""),
            (1.0, 4, "████"),
            (0.5, 4, "██"),
            (0.03, 4, "▏"),
            (0.91, 4, "███▋"),
            (7.0, 2, "██"),
            (-1.0, 2, ""),
            (f64::NAN, 2, ""),
            (1.0, 0, ""),
        ];
        for (share, columns, drawn) in table {
            assert_eq!(bar(share, columns), drawn, "{share} of {columns}");
        }
    }

    #[test]
    fn sparklines_show_the_shape() {
        assert_eq!(sparkline(&[1.0, 2.0, 3.0, 8.0], 8), "▁▂▃█");
        assert_eq!(sparkline(&[5.0, 5.0], 8), "▅▅");
        assert_eq!(sparkline(&[5.0], 8), "");
        assert_eq!(sparkline(&[0.0, 9.0, 1.0, 2.0], 2), "▁█");
        assert_eq!(sparkline(&[f64::MIN, f64::MAX, 0.0], 9).chars().count(), 3);
        assert_eq!(chart(&[1.0, 2.0], 9, 2), [" █", "▁█"]);
    }

    #[test]
    fn units_and_comparators_are_kept() {
        let q = Quantity {
            value: Some("0.50".parse().unwrap()),
            comparator: Some("<".into()),
            unit: Some("mmol/L".into()),
            ..Quantity::default()
        };
        assert_eq!(quantity(&q), "< 0.50 mmol/L");
    }
}
