//! The International Patient Summary: a document of what another doctor must know (HL7 FHIR IPS 1.1 and 2.0 for
//! R4).

mod narrative;
mod section;
mod select;

use salus_record::model::*;

use crate::date::instant_of_ms;
use crate::ids::stable_uuid;
use crate::urls;
use crate::write::bundle::{Form, Links, Resource, resources};
use crate::write::datatypes::{absent, concept};
use crate::write::ips::narrative::{Div, table};
use crate::write::ips::section::Section;
use crate::write::json::Object;
use crate::write::line::Line;
use crate::write::patient::whole_name;

/// What a patient summary needs beside the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpsOptions {
    /// When it is made, milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The clinic that makes and keeps it: its custodian.
    pub clinic: String,
    /// Who is responsible for it; without anybody, the clinic is its author.
    pub practitioner: Option<String>,
    /// How many measurements, reports and procedures of one code are carried, the latest ones; at least 1. The
    /// default is 1: a summary says how things stand. For a trend, more.
    pub per_code: usize,
}

impl Default for IpsOptions {
    fn default() -> Self {
        Self {
            time_ms: 0,
            clinic: String::new(),
            practitioner: None,
            per_code: 1,
        }
    }
}

/// The part of a record that a patient summary carries.
///
/// - Allergies and conditions, but none that were entered in error or refuted.
/// - Medicines that are current; where none is, the latest of each that was taken before.
/// - Vaccinations that were given; procedures that were begun, and measurements and reports with something in them,
///   the latest of each code, and the measurements that those reports and panels are made of. Reports that say nothing
///   but a conclusion: the latest of each conclusion.
/// - No visits and no notes. What refers to a visit names it by an identifier.
pub fn ips_content(content: &RecordContent, options: &IpsOptions) -> RecordContent {
    select::summary(content, options.per_code.max(1))
}

/// Writes [`ips_content`] as an International Patient Summary: a FHIR R4 Bundle of type `document`, which
/// [`crate::read_bytes`] reads as that content.
///
/// The Composition comes first and has a section for medicines, for allergies and for problems in any case. One
/// about which the record says nothing holds a statement that no information is available: that nothing *is known
/// to be there* is only repeated where an item of the record says so. Each section is also written out in words.
/// Orders become MedicationStatements, and are orders again when they are read. What the profiles require and
/// nobody knows is HL7's `data-absent-reason`. The same record and options give the same bytes, fullUrls included.
pub fn export_ips(content: &RecordContent, options: &IpsOptions) -> String {
    let content = &ips_content(content, options);
    let links = Links::new(content, Form::Ips);
    let author = Author::new(options);
    let sections = sections(content, &links);
    let mut entries = String::with_capacity(2048 * (4 + content.observations.len()));
    Object::write(&mut entries, |o| {
        let mut all = vec![Entry::Composition, Entry::Patient];
        all.extend(author.practitioner.iter().map(|_| Entry::Practitioner));
        all.push(Entry::Organization);
        all.extend(resources(content).map(Entry::Item));
        all.extend(
            sections
                .iter()
                .filter_map(|s| s.absent.as_ref())
                .map(Entry::Absent),
        );
        o.list("entry", &all, |o, entry| match entry {
            Entry::Composition => composition(o, options, &author, &links, content, &sections),
            Entry::Patient => links.patient_entry(o, content),
            Entry::Practitioner => author.practitioner(o),
            Entry::Organization => author.organization(o),
            Entry::Item(resource) => links.entry(o, resource),
            Entry::Absent(absent) => absent.entry(o, &links),
        });
    });
    let inner = entries
        .strip_prefix('{')
        .and_then(|e| e.strip_suffix('}'))
        .unwrap_or_default();
    // Its name depends on all it says: another summary has another name.
    let id = stable_uuid(&["Bundle", inner]);
    let mut out = String::with_capacity(inner.len() + 512);
    Object::write(&mut out, |o| {
        o.str("resourceType", "Bundle");
        o.str("id", &id);
        profile(o, "Bundle-uv-ips");
        o.object("identifier", |i| {
            i.str("system", urls::URI);
            i.str("value", &format!("urn:uuid:{id}"));
        });
        o.str("type", "document");
        o.str("timestamp", &instant_of_ms(options.time_ms));
        o.raw(inner);
    });
    out
}

/// One entry of the document.
enum Entry<'c> {
    Composition,
    Patient,
    Practitioner,
    Organization,
    Item(Resource<'c>),
    Absent(&'c Absent),
}

fn profile(o: &mut Object<'_>, name: &str) {
    o.object("meta", |m| {
        m.strs("profile", &[format!("{}{name}", urls::IPS_PROFILE)]);
    });
}

/// One section of the document, with what goes into it.
struct Filled<'c> {
    section: Section,
    items: Vec<Resource<'c>>,
    /// What is said where there is no item in a section that must be there.
    absent: Option<Absent>,
}

/// The statement that the record says nothing about a section.
struct Absent {
    section: Section,
    id: String,
}

impl Absent {
    fn entry(&self, o: &mut Object<'_>, links: &Links<'_>) {
        o.str("fullUrl", &format!("urn:uuid:{}", self.id));
        o.object("resource", |o| {
            let active = |o: &mut Object<'_>, system: &str| {
                o.object("clinicalStatus", |o| {
                    o.list("coding", &[()], |c, ()| {
                        c.str("system", system);
                        c.str("code", "active");
                    });
                });
            };
            let Some((code, display)) = self.section.no_information() else {
                return;
            };
            let code = crate::absence::no_information(code, display);
            match self.section {
                Section::Allergies => {
                    o.str("resourceType", "AllergyIntolerance");
                    o.str("id", &self.id);
                    active(o, urls::ALLERGY_CLINICAL);
                    o.object("code", |o| concept(o, &code));
                    links.patient(o, "patient");
                }
                Section::Medications => {
                    o.str("resourceType", "MedicationStatement");
                    o.str("id", &self.id);
                    o.str("status", "unknown");
                    o.object("medicationCodeableConcept", |o| concept(o, &code));
                    links.patient(o, "subject");
                    o.object("_effectiveDateTime", absent);
                }
                _ => {
                    o.str("resourceType", "Condition");
                    o.str("id", &self.id);
                    active(o, urls::CONDITION_CLINICAL);
                    o.object("code", |o| concept(o, &code));
                    links.patient(o, "subject");
                }
            }
        });
    }
}

fn sections<'c>(content: &'c RecordContent, links: &Links<'_>) -> Vec<Filled<'c>> {
    let mut sections: Vec<Filled<'c>> = Section::ALL
        .iter()
        .map(|&section| Filled {
            section,
            items: Vec::new(),
            absent: None,
        })
        .collect();
    for resource in resources(content) {
        let Some(section) = Section::of(&resource) else {
            continue;
        };
        if let Some(filled) = sections.iter_mut().find(|f| f.section == section) {
            filled.items.push(resource);
        }
    }
    for filled in &mut sections {
        if let (true, Some((code, _))) = (filled.items.is_empty(), filled.section.no_information())
        {
            filled.absent = Some(Absent {
                section: filled.section,
                id: stable_uuid(&[links.patient_url(), code]),
            });
        }
    }
    sections.retain(|f| !f.items.is_empty() || f.absent.is_some());
    sections
}

/// Who made the document.
struct Author<'o> {
    clinic: &'o str,
    clinic_id: String,
    /// Name and id.
    practitioner: Option<(&'o str, String)>,
}

impl<'o> Author<'o> {
    fn new(options: &'o IpsOptions) -> Self {
        let clinic = options.clinic.as_str();
        let practitioner = options.practitioner.as_deref().filter(|p| !p.is_empty());
        Self {
            clinic,
            clinic_id: stable_uuid(&["Organization", clinic]),
            practitioner: practitioner
                .map(|name| (name, stable_uuid(&["Practitioner", clinic, name]))),
        }
    }

    fn practitioner(&self, o: &mut Object<'_>) {
        let Some((name, id)) = &self.practitioner else {
            return;
        };
        o.str("fullUrl", &format!("urn:uuid:{id}"));
        o.object("resource", |o| {
            o.str("resourceType", "Practitioner");
            o.str("id", id);
            o.list("name", &[name], |o, name| o.str("text", name));
        });
    }

    fn organization(&self, o: &mut Object<'_>) {
        o.str("fullUrl", &format!("urn:uuid:{}", self.clinic_id));
        o.object("resource", |o| {
            o.str("resourceType", "Organization");
            o.str("id", &self.clinic_id);
            if self.clinic.is_empty() {
                o.object("_name", absent);
            }
            o.str("name", self.clinic);
        });
    }

    fn clinic_reference(&self, r: &mut Object<'_>) {
        r.str("reference", &format!("urn:uuid:{}", self.clinic_id));
        r.str("display", self.clinic);
    }

    fn author_reference(&self, r: &mut Object<'_>) {
        match &self.practitioner {
            Some((name, id)) => {
                r.str("reference", &format!("urn:uuid:{id}"));
                r.str("display", name);
            }
            None => self.clinic_reference(r),
        }
    }
}

fn composition<'c>(
    o: &mut Object<'_>,
    options: &IpsOptions,
    author: &Author<'_>,
    links: &Links<'c>,
    content: &RecordContent,
    sections: &[Filled<'c>],
) {
    let time = instant_of_ms(options.time_ms);
    let id = stable_uuid(&["Composition", links.patient_url(), &author.clinic_id, &time]);
    o.str("fullUrl", &format!("urn:uuid:{id}"));
    o.object("resource", |o| {
        o.str("resourceType", "Composition");
        o.str("id", &id);
        profile(o, "Composition-uv-ips");
        narrative(o, heading(content, author, &time));
        o.str("status", "final");
        loinc(o, "type", "60591-5", "Patient summary Document");
        links.patient(o, "subject");
        o.str("date", &time);
        o.list("author", &[()], |r, ()| author.author_reference(r));
        o.str("title", TITLE);
        o.object("custodian", |r| author.clinic_reference(r));
        o.list("section", sections, |o, filled| {
            let section = filled.section;
            o.str("title", section.title());
            let (code, display) = section.loinc();
            loinc(o, "code", code, display);
            let lines: Vec<Line<'_>> = filled.items.iter().map(Line::of).collect();
            narrative(o, table(section, &lines));
            let items = filled.items.iter().filter_map(|item| links.url(item));
            let absent = filled.absent.as_ref().map(|a| format!("urn:uuid:{}", a.id));
            let urls: Vec<&str> = items.chain(absent.as_deref()).collect();
            o.list("entry", &urls, |r, url| r.str("reference", url));
        });
    });
}

/// What the guide wants a summary to be called.
const TITLE: &str = "International Patient Summary";

/// Whose summary it is, and whose work.
fn heading(content: &RecordContent, author: &Author<'_>, time: &str) -> Div {
    let patient = &content.patient;
    let mut div = Div::new();
    let name = whole_name(patient);
    div.paragraph(&[if name.is_empty() {
        "Name unknown"
    } else {
        &name
    }]);
    let born = patient.birth_date.as_deref().unwrap_or("unknown");
    div.paragraph(&["Born: ", born, "; sex: ", patient.sex.as_str()]);
    let who = author.practitioner.as_ref().map_or("", |(name, _)| name);
    let by = if who.is_empty() || author.clinic.is_empty() {
        ""
    } else {
        ", "
    };
    div.paragraph(&["Made on ", time, " by ", who, by, author.clinic]);
    div
}

fn narrative(o: &mut Object<'_>, div: Div) {
    o.object("text", |t| {
        t.str("status", "generated");
        t.str("div", &div.end());
    });
}

fn loinc(o: &mut Object<'_>, name: &str, code: &str, display: &str) {
    o.object(name, |o| {
        o.list("coding", &[()], |c, ()| {
            c.str("system", urls::LOINC);
            c.str("code", code);
            c.str("display", display);
        });
    });
}
