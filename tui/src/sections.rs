//! A record cut into sections of rows. Made once when a record arrives; drawn as often as needed.

use salus_api::PatientView;
use salus_api::record::RecordContent;

use crate::pages::is_undecided;
use crate::rows::{self, is_active, is_current, item};
use crate::series::{self, Series};
use crate::subject;
use crate::table::{Cell, Column};
use crate::text;
use crate::theme::Tone;
use crate::when::Clock;

/// Rows of one kind in the summary; the rest is counted (fits 80x24 with all kinds present).
const SUMMARY_ROWS: usize = 5;
/// Columns of a remark: what the narrowest terminal leaves beside the list of sections.
const REMARK_COLUMNS: usize = 54;

/// The parts of a record, in the order of the list at the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Summary,
    Allergies,
    Conditions,
    Medications,
    Observations,
    Reports,
    Immunizations,
    Procedures,
    Encounters,
    Notes,
    Attachments,
    Suggestions,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Summary,
        Self::Allergies,
        Self::Conditions,
        Self::Medications,
        Self::Observations,
        Self::Reports,
        Self::Immunizations,
        Self::Procedures,
        Self::Encounters,
        Self::Notes,
        Self::Attachments,
        Self::Suggestions,
    ];

    /// The key that jumps to it.
    pub fn key(self) -> char {
        let keys = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0', '-', '='];
        Self::ALL
            .iter()
            .zip(keys)
            .find(|(kind, _)| **kind == self)
            .map_or(' ', |(_, key)| key)
    }

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Summary => "Summary",
            Self::Allergies => "Allergies",
            Self::Conditions => "Conditions",
            Self::Medications => "Medications",
            Self::Observations => "Observations",
            Self::Reports => "Reports",
            Self::Immunizations => "Immunizations",
            Self::Procedures => "Procedures",
            Self::Encounters => "Encounters",
            Self::Notes => "Notes",
            Self::Attachments => "Attachments",
            Self::Suggestions => "AI suggestions",
        }
    }

    /// What is said where it is empty.
    pub fn nothing(self) -> String {
        match self {
            Self::Suggestions => "No suggestions of models.".to_owned(),
            _ => format!("No {} recorded.", self.title().to_lowercase()),
        }
    }

    /// The columns of its rows.
    pub fn columns(self) -> &'static [Column] {
        const DATE: Column = Column::fixed("Date", 10);
        const SINCE: Column = Column::fixed("Since", 10);
        const STATUS: Column = Column::fixed("Status", 11);
        match self {
            Self::Summary => {
                const C: &[Column] = &[Column::share("", 5), Column::share("", 4)];
                C
            }
            Self::Allergies => {
                const C: &[Column] = &[
                    Column::share("Substance", 1),
                    Column::share("Reaction", 1),
                    Column::fixed("Status", 9),
                ];
                C
            }
            Self::Conditions => {
                const C: &[Column] = &[
                    SINCE,
                    Column::share("Condition", 1),
                    STATUS,
                    Column::fixed("Until", 10).from(75),
                ];
                C
            }
            Self::Medications => {
                const C: &[Column] = &[
                    Column::share("Medicine", 7),
                    Column::share("Dose", 4),
                    Column::fixed("Status", 9),
                    SINCE.from(75),
                ];
                C
            }
            Self::Observations => {
                const C: &[Column] = &[
                    Column::share("Measurement", 1),
                    Column::fixed("Latest", 14).right(),
                    Column::fixed("Trend", 6),
                    DATE,
                ];
                C
            }
            Self::Reports => {
                const C: &[Column] = &[
                    DATE,
                    Column::share("Report", 1),
                    Column::fixed("Results", 7).right(),
                    Column::fixed("Status", 11).from(75),
                ];
                C
            }
            Self::Immunizations => {
                const C: &[Column] = &[DATE, Column::share("Vaccine", 1), STATUS];
                C
            }
            Self::Procedures => {
                const C: &[Column] = &[
                    DATE,
                    Column::share("Procedure", 1),
                    Column::share("For", 1).from(75),
                    STATUS,
                ];
                C
            }
            Self::Encounters => {
                const C: &[Column] = &[
                    DATE,
                    Column::share("Encounter", 3),
                    Column::share("For", 2),
                    Column::fixed("Class", 10).from(75),
                ];
                C
            }
            Self::Notes => {
                const C: &[Column] = &[DATE, Column::fixed("By", 11), Column::share("Note", 1)];
                C
            }
            Self::Attachments => {
                const C: &[Column] = &[
                    DATE,
                    Column::share("File", 2),
                    Column::fixed("Kind", 14),
                    Column::fixed("Size", 8).right().from(62),
                    Column::share("By", 1).from(75),
                    Column::fixed("Here", 8),
                ];
                C
            }
            Self::Suggestions => {
                const C: &[Column] = &[
                    DATE.from(75),
                    Column::share("Suggestion", 3),
                    Column::fixed("p", 5).right(),
                    Column::fixed("Decision", 9),
                    Column::share("Model", 2),
                ];
                C
            }
        }
    }
}

/// What a row stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Allergy(String),
    Condition(String),
    Medication(String),
    /// By [`Series::key`].
    Series(String),
    Report(String),
    Immunization(String),
    Procedure(String),
    Encounter(String),
    Note(String),
    Attachment(String),
    Suggestion(String),
    Person,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    /// A heading over the rows that follow.
    Heading(String),
    /// Words that stand for no item.
    Remark(Cell),
    /// An item.
    Item {
        /// Its cells, one for each column.
        cells: Vec<Cell>,
        /// What it stands for.
        target: Target,
    },
}

impl Row {
    /// What it stands for, where the cursor can stand on it.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Item { target, .. } => Some(target),
            _ => None,
        }
    }

    /// Whether every word stands somewhere in the row. Headings always match.
    pub fn matches(&self, words: &[String]) -> bool {
        let Self::Item { cells, .. } = self else {
            return true;
        };
        words
            .iter()
            .all(|w| cells.iter().any(|c| c.text.to_lowercase().contains(w)))
    }
}

/// One part of the record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Section {
    /// Which.
    pub kind: Kind,
    /// How many items it has.
    pub count: usize,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// Cuts a record into sections.
pub(crate) fn sections(view: &PatientView, measured: &[Series], clock: &Clock) -> Vec<Section> {
    let make = |kind| section(kind, view, measured, clock);
    let mut sections: Vec<Section> = Kind::ALL.into_iter().map(make).collect();
    let summary = summary(view, measured, &sections);
    if let Some(first) = sections.first_mut() {
        first.rows = summary;
    }
    sections
}

/// One section; the summary is made from the others.
fn section(kind: Kind, view: &PatientView, measured: &[Series], clock: &Clock) -> Section {
    let c = &view.content;
    let rows = match kind {
        Kind::Summary => Vec::new(),
        Kind::Allergies => rows::allergies(c),
        Kind::Conditions => rows::conditions(c, clock),
        Kind::Medications => rows::medications(c, clock),
        Kind::Observations => rows::observations(measured, clock),
        Kind::Reports => rows::reports(c, clock),
        Kind::Immunizations => rows::immunizations(c, clock),
        Kind::Procedures => rows::procedures(c, clock),
        Kind::Encounters => rows::encounters(c, clock),
        Kind::Notes => rows::notes(c, clock),
        Kind::Attachments => rows::attachments(&view.attachments, clock),
        Kind::Suggestions => rows::suggestions(&view.suggestions, clock),
    };
    let count = match kind {
        Kind::Observations => c.observations.len(),
        _ => rows.len(),
    };
    Section { kind, count, rows }
}

/// The first rows of what matters at a glance.
fn summary(view: &PatientView, measured: &[Series], sections: &[Section]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut problems = view.warnings.clone();
    let warnings = problems.len();
    problems.extend(view.problems.iter().cloned());
    if !view.verified {
        problems.insert(
            warnings,
            "What is stored is not what was signed: verify it in the audit trail.".into(),
        );
    }
    if !problems.is_empty() {
        rows.push(Row::Heading("Attention".into()));
        for (n, problem) in problems.iter().enumerate() {
            let (mark, tone) = match n < warnings {
                true => ("! ", Tone::Danger),
                false => ("", Tone::Caution),
            };
            let lines = text::wrap(&format!("{mark}{problem}"), REMARK_COLUMNS, 3);
            rows.extend(
                lines
                    .into_iter()
                    .map(|line| Row::Remark(Cell::new(line, tone))),
            );
        }
    }
    // Cells of a section's row, by column, become the two cells of the summary.
    let mut digest =
        |title: &str, kind: Kind, columns: [usize; 2], keep: &dyn Fn(&Target) -> bool| {
            let Some(section) = sections.iter().find(|s| s.kind == kind) else {
                return;
            };
            let kept: Vec<_> = section
                .rows
                .iter()
                .filter_map(|row| match row {
                    Row::Item { cells, target } if keep(target) => Some((cells, target)),
                    _ => None,
                })
                .collect();
            if kept.is_empty() {
                return;
            }
            let more = kept.len().saturating_sub(SUMMARY_ROWS);
            rows.push(Row::Heading(match more {
                0 => title.to_owned(),
                more => format!("{title} · {more} more under {}", kind.key()),
            }));
            rows.extend(kept.into_iter().take(SUMMARY_ROWS).map(|(cells, target)| {
                let mut cells: Vec<Cell> = columns
                    .iter()
                    .filter_map(|n| cells.get(*n).cloned())
                    .collect();
                if let (Target::Series(key), Some(value)) = (target, cells.get_mut(1)) {
                    let numbers = measured.iter().find(|s| s.key == *key).map(Series::numbers);
                    let numbers = numbers.unwrap_or_default();
                    value.text += "  ";
                    value.text += &series::sparkline(&numbers, rows::TREND_COLUMNS);
                }
                Row::Item {
                    cells,
                    target: target.clone(),
                }
            }));
        };
    let c = &view.content;
    let active = |t: &Target| {
        c.conditions
            .iter()
            .any(|c| *t == Target::Condition(c.id.clone()) && is_active(c))
    };
    let current = |t: &Target| {
        c.medications
            .iter()
            .any(|m| *t == Target::Medication(m.id.clone()) && is_current(m))
    };
    let vital = |t: &Target| {
        measured
            .iter()
            .any(|s| s.category == "Vital signs" && *t == Target::Series(s.key.clone()))
    };
    digest("Conditions", Kind::Conditions, [1, 0], &active);
    digest("Medications", Kind::Medications, [0, 1], &current);
    digest("Vital signs", Kind::Observations, [0, 1], &vital);
    let undecided = |t: &Target| {
        view.suggestions
            .iter()
            .any(|s| *t == Target::Suggestion(s.id.clone()) && is_undecided(s.state))
    };
    digest(
        "AI suggestions, not decided",
        Kind::Suggestions,
        [1, 3],
        &undecided,
    );
    digest("Notes", Kind::Notes, [2, 0], &|_| true);
    rows.push(Row::Heading("Person".into()));
    rows.push(item(Target::Person, person(c)));
    for row in &view.linked {
        let who = format!(
            "Shown as one with {} · born {} · MRN {}",
            subject::row_name(row),
            row.birth_date,
            row.mrn
        );
        let lines = text::wrap(&who, REMARK_COLUMNS, 2);
        rows.extend(
            lines
                .into_iter()
                .map(|line| Row::Remark(Cell::new(line, Tone::Caution))),
        );
    }
    rows
}

fn person(c: &RecordContent) -> [(String, Tone); 2] {
    let p = &c.patient;
    let address = p.address.as_ref().map(|a| {
        let mut parts = a.line.clone();
        parts.extend(a.postal_code.clone());
        parts.extend(a.city.clone());
        parts.join(", ")
    });
    let phone = p.phone.clone().unwrap_or_else(|| "no telephone".into());
    [
        (phone, Tone::Text),
        (address.unwrap_or_default(), Tone::Dim),
    ]
}
