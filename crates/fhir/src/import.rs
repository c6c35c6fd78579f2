//! From a file to the records of its patients.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use salus_record::model::*;
use serde::Serialize;

use crate::bundle::{Kind, Nodes, position_of};
use crate::counts::Counts;
use crate::error::{ImportError, Place, quoted};
use crate::graph::{Graph, references};
use crate::ids::{is_id, stable_id};
use crate::json::{Bad, Fault, Tally};
use crate::owner::Owner;
use crate::read::{Cx, Lookups, Read};
use crate::source::{self, Limits};
use crate::write::json::quote;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Import {
    /// Its patients, in the order of the file.
    pub patients: Vec<PatientImport>,
    /// Size of the file once inflated, bytes.
    pub bytes: u64,
    /// Resources that went with no patient, by type: those that name several patients, and those that nobody's
    /// resources refer to (only where the file has several patients).
    pub left_out: Counts,
}

/// One patient of a file.
pub struct PatientImport {
    /// The Patient's id at its source, or a stable replacement where it has none.
    pub source_id: String,
    /// BLAKE3 over the patient's resources, whatever their order, compression, white space and container: equal
    /// hashes mean that nothing is new.
    pub source_hash: [u8; 32],
    /// What the record models.
    pub content: RecordContent,
    /// All of the patient's resources as they were received, in a Bundle that can be imported again. What the
    /// record does not model is kept here.
    pub raw: Vec<u8>,
    /// What became of the resources.
    pub report: Report,
}

/// Sizes and counts only: contents are patients' data.
impl std::fmt::Debug for PatientImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PatientImport")
            .field("raw_bytes", &self.raw.len())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// What became of a patient's resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Resources that became typed items, by type.
    pub typed: Counts,
    /// Resources that are only kept as they came, by type.
    pub kept_raw: Counts,
    /// Of these, the statements that something is absent or not known ("no information about allergies"), which
    /// are no items.
    pub absent: Counts,
    /// Elements of typed resources that the record does not model, by path (`Patient.extension`).
    pub unmodelled: Counts,
}

/// Reads a file: a FHIR R4 Bundle (transaction, batch, collection, document or searchset), a resource, or
/// NDJSON of either; plain or gzip.
pub fn read_file(path: &Path, limits: &Limits) -> Result<Import, ImportError> {
    read_bytes(&source::read(path, limits)?, limits)
}

/// Reads the bytes of such a file.
pub fn read_bytes(bytes: &[u8], limits: &Limits) -> Result<Import, ImportError> {
    let text = source::text(bytes, limits)?;
    let graph = Graph::new(Nodes::collect(&text, limits)?)?;
    let owners = graph.owners()?;
    let mut parts: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, owner) in owners.iter().enumerate() {
        if let Some(patient) = owner.patient() {
            parts.entry(patient).or_default().push(index);
        }
    }
    let mut import = Import {
        bytes: text.len() as u64,
        ..Import::default()
    };
    let max_raw_bytes = u64::try_from(text.len())
        .unwrap_or(u64::MAX)
        .saturating_mul(RAW_COPIES)
        .saturating_add(RAW_ALLOWANCE_BYTES);
    let mut budget = Budget {
        max_raw_bytes,
        raw_bytes: max_raw_bytes,
        elements: limits.max_elements,
    };
    let lookups = Lookups::default();
    let any_shared = owners.contains(&Owner::Shared);
    let mut used = vec![false; owners.len()];
    for patient in graph.patients() {
        let mut part = parts.remove(&patient).unwrap_or_default();
        if any_shared {
            part.extend(shared_with(&graph, &owners, &part));
        }
        part.sort_unstable();
        for &index in &part {
            used[index] = true;
        }
        let ids = item_ids(&graph, &owners, &part);
        let one = One {
            graph: &graph,
            owners: &owners,
            ids: &ids,
            lookups: &lookups,
            patient,
            part: &part,
        };
        import.patients.push(one.read(&mut budget, limits)?);
    }
    for (index, used) in used.into_iter().enumerate() {
        let node = graph.node(index);
        if !used && node.container.is_none() && !graph.is_repeat(index) {
            import.left_out.add(&node.resource_type);
        }
    }
    Ok(import)
}

/// How many times the file's size the patients' raw parts may be together. They are more than the file where
/// patients share resources: a practitioner goes with each of them. 2: a guess.
const RAW_COPIES: u64 = 2;

/// What they may be beyond that, so that many patients in a small file may share a hospital. 16 MiB: a guess.
const RAW_ALLOWANCE_BYTES: u64 = 16 * 1024 * 1024;

/// What may still be used for all patients of a file together.
struct Budget {
    max_raw_bytes: u64,
    raw_bytes: u64,
    elements: u64,
}

/// The resources of nobody in particular that these refer to, directly or through each other.
fn shared_with(graph: &Graph<'_>, owners: &[Owner], part: &[usize]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut next = part.to_vec();
    while let Some(index) = next.pop() {
        // What a resource contains is part of its text.
        if graph.node(index).container.is_some() {
            continue;
        }
        for reference in references(graph.node(index).raw.get()) {
            if let Some(named) = graph.resolve(index, &reference)
                && owners.get(named) == Some(&Owner::Shared)
                && graph.node(named).container.is_none()
                && seen.insert(named)
            {
                found.push(named);
                next.push(named);
            }
        }
    }
    found
}

/// The ids of a patient's items: the resources' own where they are FHIR ids, unique in the record; otherwise
/// stable hashes of what names the resource.
fn item_ids(graph: &Graph<'_>, owners: &[Owner], part: &[usize]) -> HashMap<usize, String> {
    let mut ids: HashMap<usize, String> = HashMap::new();
    let mut taken: HashMap<String, usize> = HashMap::new();
    for &index in part {
        let node = graph.node(index);
        let is_typed = node.kind.is_typed() && node.kind != Kind::Patient;
        if !is_typed || !matches!(owners.get(index), Some(Owner::Subject(_))) {
            continue;
        }
        let own = match node.container {
            None => node.id.as_deref().or(node.full_url.as_deref().map(url_id)),
            Some(_) => None,
        };
        let id = match (own, node.container) {
            (Some(id), _) if is_id(id) => id.to_owned(),
            (Some(id), _) => stable_id(&[&node.resource_type, id]),
            (None, Some(container)) if node.id.is_some() => {
                let container = ids.get(&container).map_or("", String::as_str);
                stable_id(&[container, "#", node.id.as_deref().unwrap_or_default()])
            }
            (None, _) => stable_id(&[&node.resource_type, &hex(&node.hash)]),
        };
        *taken.entry(id.clone()).or_default() += 1;
        ids.insert(index, id);
    }
    // FHIR ids are unique by type, a record's in all: what several types share, none of them keeps.
    for (&index, id) in &mut ids {
        if taken.get(id).is_some_and(|n| *n > 1) {
            *id = stable_id(&[&graph.node(index).resource_type, "/", id]);
        }
    }
    ids
}

/// The id at the end of a fullUrl.
fn url_id(url: &str) -> &str {
    let id = url
        .strip_prefix("urn:uuid:")
        .or_else(|| url.rsplit_once('/').map(|(_, id)| id));
    id.filter(|id| is_id(id)).unwrap_or(url)
}

fn hex(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

/// One patient's part of a file while it is read.
struct One<'g, 'a> {
    graph: &'g Graph<'a>,
    owners: &'g [Owner],
    ids: &'g HashMap<usize, String>,
    lookups: &'g Lookups,
    patient: usize,
    /// What goes with the patient, sorted.
    part: &'g [usize],
}

impl<'g, 'a> One<'g, 'a> {
    fn read(&self, budget: &mut Budget, limits: &Limits) -> Result<PatientImport, ImportError> {
        let mut content = RecordContent::default();
        let mut report = Report::default();
        // Typed items that turned out not to mean what they say, and what they contain.
        let mut dropped: HashSet<usize> = HashSet::new();
        for &index in self.part {
            let node = self.graph.node(index);
            self.graph.check_subject(index, self.owners, self.part)?;
            let typed =
                node.kind.is_typed() && matches!(self.owners.get(index), Some(Owner::Subject(_)));
            let outer_dropped = node.container.is_some_and(|outer| dropped.contains(&outer));
            let became = if typed && !outer_dropped {
                self.one(index, budget, limits, &mut content, &mut report)?
            } else {
                false
            };
            if became {
                report.typed.add(&node.resource_type);
            } else {
                dropped.insert(index);
                // What is contained is kept inside its container.
                if node.container.is_none() {
                    report.kept_raw.add(&node.resource_type);
                }
            }
        }
        let gone: HashSet<&str> = dropped
            .iter()
            .filter_map(|i| self.ids.get(i))
            .map(String::as_str)
            .collect();
        if !gone.is_empty() {
            unlink(&mut content, &gone);
        }
        let node = self.graph.node(self.patient);
        let own = node.id.as_deref().or(node.full_url.as_deref().map(url_id));
        let source_id = match own {
            Some(id) if is_id(id) => id.to_owned(),
            Some(id) => stable_id(&["Patient", id]),
            None => stable_id(&["Patient", &hex(&node.hash)]),
        };
        Ok(PatientImport {
            source_id,
            source_hash: self.source_hash(),
            content,
            raw: self.raw(budget, limits)?,
            report,
        })
    }

    /// Reads one resource into the content; `false` if it is only kept.
    fn one(
        &self,
        index: usize,
        budget: &mut Budget,
        limits: &Limits,
        content: &mut RecordContent,
        report: &mut Report,
    ) -> Result<bool, ImportError> {
        let tally = Tally::default();
        tally.elements_left.set(budget.elements);
        let cx = Cx {
            graph: self.graph,
            owners: self.owners,
            ids: self.ids,
            lookups: self.lookups,
            part: self.part,
            index,
        };
        if index == self.patient {
            content.patient = cx
                .patient(&tally)
                .map_err(|bad| self.error(index, bad, limits))?;
        } else {
            let read = cx
                .item(&tally)
                .map_err(|bad| self.error(index, bad, limits))?;
            // A modifier extension that nobody understood may turn the meaning round ("not", "family history
            // of"): R4 section 2.4.0.2 forbids to read on.
            if tally.modified.get() {
                return Ok(false);
            }
            match read {
                Read::Kept => return Ok(false),
                Read::Absent => {
                    let node = self.graph.node(index);
                    report.absent.add(&node.resource_type);
                    return Ok(false);
                }
                Read::Note(note) => content.notes.push(note),
                Read::Item(item) => push(content, *item),
            }
        }
        budget.elements = tally.elements_left.get();
        report.unmodelled.merge(&tally.unmodelled.into_inner());
        Ok(true)
    }

    fn error(&self, index: usize, bad: Bad, limits: &Limits) -> ImportError {
        let bad = *bad.0;
        let all = &self.graph.all;
        let place = Place {
            position: position_of(all.text, bad.address),
            ..all.place(self.graph.node(index))
        };
        match bad.fault {
            Fault::Wrong(what) => ImportError::Element {
                place,
                path: bad.path,
                what: what.into_owned(),
            },
            Fault::Broken { reference, why } => ImportError::BrokenReference {
                place,
                path: bad.path,
                reference: quoted(&reference),
                why,
            },
            Fault::TooMany => ImportError::TooManyElements {
                limit: limits.max_elements,
            },
        }
    }

    fn source_hash(&self) -> [u8; 32] {
        let hashes: BTreeSet<[u8; 32]> = self
            .part
            .iter()
            .map(|&index| self.graph.node(index))
            .filter(|node| node.container.is_none())
            .map(|node| node.hash)
            .collect();
        let mut hasher = blake3::Hasher::new_derive_key("salus/fhir/patient/v1");
        for hash in hashes {
            hasher.update(&hash);
        }
        *hasher.finalize().as_bytes()
    }

    /// The resources as they came, as a Bundle that the same limits let through.
    fn raw(&self, budget: &mut Budget, limits: &Limits) -> Result<Vec<u8>, ImportError> {
        // A search result stays one: its references to what stayed on the server are no mistake.
        let bundle_type = if self.graph.all.partial {
            "searchset"
        } else {
            "collection"
        };
        let mut raw =
            format!("{{\"resourceType\":\"Bundle\",\"type\":\"{bundle_type}\",\"entry\":[");
        let limit_bytes = budget.max_raw_bytes;
        let max_bytes = limits.max_patient_source_bytes.min(limits.max_bytes);
        let mut first = true;
        for node in self
            .part
            .iter()
            // A repeat under another fullUrl is there for those who refer to it by that one.
            .flat_map(|i| std::iter::once(i).chain(self.graph.aliases(*i)))
            .map(|&i| self.graph.node(i))
            .filter(|n| n.container.is_none())
        {
            let bytes = u64::try_from(node.raw.get().len()).unwrap_or(u64::MAX);
            budget.raw_bytes = budget
                .raw_bytes
                .checked_sub(bytes)
                .ok_or(ImportError::TooMuchShared { limit_bytes })?;
            raw.push_str(if first { "{" } else { ",{" });
            first = false;
            if let Some(url) = &node.full_url {
                raw.push_str("\"fullUrl\":");
                quote(&mut raw, url);
                raw.push(',');
            }
            raw.push_str("\"resource\":");
            let so_far = u64::try_from(raw.len()).unwrap_or(u64::MAX);
            let closing = 3; // `}` after the resource and `]}` after the last
            if so_far.saturating_add(bytes).saturating_add(closing) > max_bytes {
                return Err(ImportError::PatientTooLarge {
                    place: self.graph.all.place(self.graph.node(self.patient)),
                    limit_bytes: max_bytes,
                });
            }
            raw.push_str(node.raw.get());
            raw.push('}');
        }
        raw.push_str("]}");
        Ok(raw.into_bytes())
    }
}

fn push(content: &mut RecordContent, item: Item) {
    match item {
        Item::Allergy(item) => content.allergies.push(item),
        Item::Condition(item) => content.conditions.push(item),
        Item::Medication(item) => content.medications.push(item),
        Item::Observation(item) => content.observations.push(item),
        Item::DiagnosticReport(item) => content.diagnostic_reports.push(item),
        Item::Immunization(item) => content.immunizations.push(item),
        Item::Procedure(item) => content.procedures.push(item),
        Item::Encounter(item) => content.encounters.push(item),
    }
}

/// Takes the ids of items that did not become typed out of those that did.
fn unlink(content: &mut RecordContent, gone: &HashSet<&str>) {
    let one = |link: &mut Option<String>| {
        if link.as_deref().is_some_and(|id| gone.contains(id)) {
            *link = None;
        }
    };
    let many = |links: &mut Vec<String>| links.retain(|id| !gone.contains(id.as_str()));
    for item in &mut content.allergies {
        one(&mut item.encounter);
    }
    for item in &mut content.conditions {
        one(&mut item.encounter);
    }
    for item in &mut content.medications {
        one(&mut item.encounter);
        many(&mut item.reason_conditions);
    }
    for item in &mut content.observations {
        one(&mut item.encounter);
        many(&mut item.members);
    }
    for item in &mut content.diagnostic_reports {
        one(&mut item.encounter);
        many(&mut item.results);
    }
    for item in &mut content.immunizations {
        one(&mut item.encounter);
    }
    for item in &mut content.procedures {
        one(&mut item.encounter);
        many(&mut item.reason_conditions);
    }
    for item in &mut content.encounters {
        many(&mut item.reason_conditions);
    }
    for item in &mut content.notes {
        one(&mut item.encounter);
    }
}
