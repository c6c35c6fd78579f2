//! Which merges are clinically unsafe: the rules by which [`crate::Concern`]s are found.

use automerge::Automerge;
use serde_json::Value;

use crate::apart::{Finder, Touched, Which, Written, seen};
use crate::apply::guard;
use crate::concern::{Concern, ConcernKind, MAX_CONCERNS};
use crate::graph::Graph;
use crate::model::{AllergyIntolerance, Condition, Medication};
use crate::read::Roots;
use crate::removed;

/// Finds all concerns, by kind, then items.
pub(crate) fn concerns(doc: &Automerge) -> Vec<Concern> {
    guard(|| find(doc)).unwrap_or_default()
}

fn find(doc: &Automerge) -> Vec<Concern> {
    let graph = Graph::of(doc);
    let apart = graph.apart();
    let Some(roots) = Roots::of(doc) else {
        return Vec::new();
    };
    if !apart.contains(&true) {
        return Vec::new();
    }
    let mut finder = Finder {
        doc,
        roots: &roots,
        seen: seen(doc, &graph),
        graph,
        apart,
        found: Vec::new(),
    };
    let allergies = finder.items::<AllergyIntolerance>();
    let conditions = finder.items::<Condition>();
    let medications = finder.items::<Medication>();
    finder.medications(&medications);
    finder.allergies(&allergies);
    finder.conditions(&conditions);
    finder.allergies_to_medicines(&allergies, &medications);
    removed::find(&mut finder);
    let mut found = finder.found;
    found.sort_by(|a, b| (a.kind, &a.items).cmp(&(b.kind, &b.items)));
    found.truncate(MAX_CONCERNS);
    found
}

impl Finder<'_> {
    fn medications(&mut self, items: &[Touched<Medication>]) {
        let is_end = |w: &Written| w.field == "status" && is_one_of(&w.value, &MEDICINE_ENDED);
        for (place, a) in items.iter().enumerate() {
            // Stopped here, its dose changed there.
            let changed = |w: &Written| {
                let dose = matches!(w.field.as_str(), "dosage" | "code" | "status");
                dose && !is_end(w) && !ends(a, w.node, &is_end)
            };
            let writes = self.apart((a, &is_end), (a, &changed));
            self.raise(ConcernKind::MedicineStopped, &[&a.path], writes, || {
                let label = &a.label;
                format!("{label} was stopped at one place while its dose was changed at another")
            });
            for b in items.get(place + 1..).unwrap_or(&[]) {
                if !a.substance.same(&b.substance) {
                    continue;
                }
                self.two_medications(a, b);
            }
        }
    }

    /// Two items of one medicine.
    fn two_medications(&mut self, a: &Touched<Medication>, b: &Touched<Medication>) {
        let given = |w: &Written| matches!(w.field.as_str(), "code" | "status" | "dosage");
        let is_end = |w: &Written| w.field == "status" && is_one_of(&w.value, &MEDICINE_ENDED);
        let items: [&str; 2] = [&a.path, &b.path];
        let status = |m: &Medication| m.status.clone().unwrap_or_default();
        let is_active = |m: &Medication| matches!(status(m).as_str(), "" | "active");
        let is_ended = |m: &Medication| MEDICINE_ENDED.contains(&status(m).as_str());
        match (is_active(&a.item), is_active(&b.item)) {
            (true, true) => {
                let writes = self.apart((a, &given), (b, &given));
                let label = &a.label;
                if a.substance.in_other_strength(&b.substance) {
                    self.raise(ConcernKind::DoseDiffers, &items, writes, || {
                        format!(
                            "{label} and {} were ordered at two places apart, and both are active",
                            b.label
                        )
                    });
                    return;
                }
                match a.item.dosage != b.item.dosage {
                    true => self.raise(ConcernKind::DoseDiffers, &items, writes, || {
                        format!("{label} was ordered at two places apart, with different doses, and both are active")
                    }),
                    false => self.raise(ConcernKind::MedicineTwice, &items, writes, || {
                        format!("{label} was ordered at two places apart, and both orders are active")
                    }),
                }
            }
            (true, false) if is_ended(&b.item) => {
                let writes = self.apart((a, &given), (b, &is_end));
                self.raise(ConcernKind::MedicineStopped, &items, writes, || {
                    stopped(&b.label)
                });
            }
            (false, true) if is_ended(&a.item) => {
                let writes = self.apart((a, &is_end), (b, &given));
                self.raise(ConcernKind::MedicineStopped, &items, writes, || {
                    stopped(&a.label)
                });
            }
            _ => {}
        }
    }

    fn allergies(&mut self, items: &[Touched<AllergyIntolerance>]) {
        let is_end = ends_allergy;
        for (place, a) in items.iter().enumerate() {
            for b in items.get(place + 1..).unwrap_or(&[]) {
                self.two_allergies(a, b);
            }
            let changed = |w: &Written| !is_end(w) && !ends(a, w.node, &is_end);
            let writes = self.apart((a, &is_end), (a, &changed));
            let label = &a.label;
            self.raise(ConcernKind::AllergyEnded, &[&a.path], writes, || {
                format!(
                    "the allergy to {label} was ended at one place while it was changed at another"
                )
            });
            if !allergy_ended(&a.item) {
                continue;
            }
            for b in items {
                if allergy_ended(&b.item) || !a.substance.same(&b.substance) {
                    continue;
                }
                let writes = self.apart((a, &is_end), (b, &|_| true));
                let mut items: [&str; 2] = [&a.path, &b.path];
                items.sort_unstable();
                self.raise(ConcernKind::AllergyEnded, &items, writes, || {
                    format!("the allergy to {label} was ended at one place while it was recorded at another")
                });
            }
        }
    }

    /// Two items of one allergy: whoever reads the milder one alone is misled.
    fn two_allergies(&mut self, a: &Touched<AllergyIntolerance>, b: &Touched<AllergyIntolerance>) {
        let (Some(of_a), Some(of_b)) = (&a.item.criticality, &b.item.criticality) else {
            return;
        };
        let over = allergy_ended(&a.item) || allergy_ended(&b.item);
        if of_a == of_b || over || !a.substance.same(&b.substance) {
            return;
        }
        let rated = |w: &Written| w.field == "criticality";
        let writes = self.apart((a, &rated), (b, &rated));
        let items: [&str; 2] = [&a.path, &b.path];
        self.raise(ConcernKind::AllergyDiffers, &items, writes, || {
            format!("the allergy to {} was recorded at two places apart, with criticality {of_a} at one and {of_b} at the other", a.label)
        });
    }

    fn conditions(&mut self, items: &[Touched<Condition>]) {
        let is_end = |w: &Written| match w.field.as_str() {
            "clinical_status" => is_one_of(&w.value, &["inactive", "remission", "resolved"]),
            "verification_status" => is_one_of(&w.value, &REFUTED),
            "abatement" => !w.value.is_null(),
            _ => false,
        };
        for a in items {
            let changed = |w: &Written| !is_end(w) && !ends(a, w.node, &is_end);
            let writes = self.apart((a, &is_end), (a, &changed));
            let label = &a.label;
            self.raise(ConcernKind::ConditionEnded, &[&a.path], writes, || {
                format!("{label} was ended at one place while it was changed at another")
            });
        }
    }

    fn allergies_to_medicines(
        &mut self,
        allergies: &[Touched<AllergyIntolerance>],
        medications: &[Touched<Medication>],
    ) {
        let recorded = |w: &Written| {
            let field = w.field.as_str();
            matches!(
                field,
                "code" | "clinical_status" | "verification_status" | "criticality"
            )
        };
        let given = |w: &Written| matches!(w.field.as_str(), "code" | "status" | "dosage");
        for a in allergies.iter().filter(|a| !allergy_ended(&a.item)) {
            for m in medications {
                let active = matches!(m.item.status.as_deref(), None | Some("active"));
                if !active || !a.substance.is_in(&m.substance) {
                    continue;
                }
                let writes = self.apart((a, &recorded), (m, &given));
                let (allergy, medicine) = (&a.label, &m.label);
                self.raise(ConcernKind::AllergyToMedicine, &[&a.path, &m.path], writes, || {
                    format!("{medicine} was ordered at one place while an allergy to {allergy} was recorded at another")
                });
            }
        }
    }
}

/// Codes by which a medicine is not taken any more, or not now (FHIR R4 `medicationrequest-status`,
/// `medication-statement-status`).
const MEDICINE_ENDED: [&str; 6] = [
    "stopped",
    "completed",
    "cancelled",
    "entered-in-error",
    "on-hold",
    "not-taken",
];
/// Codes by which it never was (FHIR R4 `allergyintolerance-verification`, `condition-ver-status`).
const REFUTED: [&str; 2] = ["refuted", "entered-in-error"];
/// Codes by which an allergy is over (FHIR R4 `allergyintolerance-clinical`).
const ALLERGY_OVER: [&str; 2] = ["inactive", "resolved"];

fn is_one_of(value: &Value, codes: &[&str]) -> bool {
    value.as_str().is_some_and(|code| codes.contains(&code))
}

fn ends_allergy(w: &Written) -> bool {
    match w.field.as_str() {
        "clinical_status" => is_one_of(&w.value, &ALLERGY_OVER),
        "verification_status" => is_one_of(&w.value, &REFUTED),
        _ => false,
    }
}

fn allergy_ended(a: &AllergyIntolerance) -> bool {
    let is = |code: &Option<String>, codes: &[&str]| {
        code.as_deref().is_some_and(|code| codes.contains(&code))
    };
    is(&a.clinical_status, &ALLERGY_OVER) || is(&a.verification_status, &REFUTED)
}

/// Whether a change ended the item itself: then what else it wrote says why, and changes nothing.
fn ends<I>(item: &Touched<I>, node: usize, is_end: Which<'_>) -> bool {
    item.writes.iter().any(|w| w.node == node && is_end(w))
}

fn stopped(label: &str) -> String {
    format!("{label} was stopped at one place while it was ordered at another")
}
