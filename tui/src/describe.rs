//! All that a record says about one of its items, put into lines.

use salus_api::record::{CodeableConcept, Observation, Timing};
use salus_api::{Inference, PatientView, SuggestionState, SuggestionView};

use crate::detail::{Detail, Line};
use crate::files;
use crate::rows;
use crate::sections::Target;
use crate::series::{self, Series};
use crate::theme::Tone;
use crate::when::Clock;

/// Collects lines, leaving out what is empty.
struct Lines<'a> {
    clock: &'a Clock,
    lines: Vec<Line>,
}

impl Lines<'_> {
    fn field(&mut self, label: &'static str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.lines.push(Line::Field(label, value, Tone::Text));
        }
    }

    fn maybe(&mut self, label: &'static str, value: &Option<String>) {
        self.field(label, value.as_deref().unwrap_or(""));
    }

    fn date(&mut self, label: &'static str, value: &Option<String>) {
        self.field(label, self.clock.moment(value.as_deref().unwrap_or("")));
    }

    fn time(&mut self, label: &'static str, timing: &Option<Timing>) {
        let text = match timing {
            None => return,
            Some(Timing::DateTime(at)) => self.clock.moment(at),
            Some(Timing::Period(p)) => {
                let end = |e: &Option<String>, open: &str| {
                    e.as_deref()
                        .map_or(open.to_owned(), |e| self.clock.moment(e))
                };
                format!("{} to {}", end(&p.start, "?"), end(&p.end, "now"))
            }
            Some(Timing::Age(age)) => format!("at {}", series::quantity(age)),
            Some(Timing::Text(text)) => text.clone(),
        };
        self.field(label, text);
    }

    fn concepts(&mut self, label: &'static str, concepts: &[CodeableConcept]) {
        let words: Vec<&str> = concepts.iter().map(CodeableConcept::label).collect();
        self.field(label, words.join(", "));
    }

    fn concept(&mut self, label: &'static str, concept: &Option<CodeableConcept>) {
        self.field(label, concept.as_ref().map_or("", CodeableConcept::label));
    }

    fn codes(&mut self, concept: &CodeableConcept) {
        for coding in &concept.coding {
            let system = match coding.system.as_deref().unwrap_or("") {
                "http://loinc.org" => "LOINC",
                "http://snomed.info/sct" => "SNOMED CT",
                "http://www.nlm.nih.gov/research/umls/rxnorm" => "RxNorm",
                "http://hl7.org/fhir/sid/cvx" => "CVX",
                "http://hl7.org/fhir/sid/icd-10" => "ICD-10",
                other => other,
            };
            self.field(
                "Code",
                format!("{system} {}", coding.code.as_deref().unwrap_or("?")),
            );
        }
    }

    fn text(&mut self, heading: &str, text: &Option<String>) {
        if let Some(text) = text.as_deref().filter(|t| !t.is_empty()) {
            self.heading(heading);
            self.lines.push(Line::Text(text.to_owned()));
        }
    }

    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::Blank);
        }
        self.lines.push(Line::Heading(text.to_owned()));
    }

    fn encounter(&mut self, view: &PatientView, id: &Option<String>) {
        let Some(id) = id else { return };
        let Some(e) = view.content.encounters.iter().find(|e| e.id == *id) else {
            return;
        };
        let start = e
            .period
            .as_ref()
            .and_then(|p| p.start.as_deref())
            .unwrap_or("");
        self.field(
            "Encounter",
            format!("{} {}", self.clock.day(start), e.code.label()),
        );
    }

    fn conditions(&mut self, view: &PatientView, ids: &[String]) {
        let found = view
            .content
            .conditions
            .iter()
            .filter(|c| ids.contains(&c.id));
        let words: Vec<&str> = found.map(|c| c.code.label()).collect();
        self.field("For", words.join(", "));
    }
}

/// All that is known of an item; nothing where the record has no such item any more.
pub(crate) fn describe(
    view: &PatientView,
    measured: &[Series],
    target: &Target,
    clock: &Clock,
) -> Option<Detail> {
    let mut l = Lines {
        clock,
        lines: Vec::new(),
    };
    let c = &view.content;
    let title = match target {
        Target::Allergy(id) => {
            let a = c.allergies.iter().find(|a| a.id == *id)?;
            l.maybe("Status", &a.clinical_status);
            l.maybe("Verification", &a.verification_status);
            l.maybe("Kind", &a.kind);
            l.field("Category", a.category.join(", "));
            l.maybe("Criticality", &a.criticality);
            l.time("Since", &a.onset);
            l.date("Recorded", &a.recorded_date);
            l.encounter(view, &a.encounter);
            l.codes(&a.code);
            for reaction in &a.reactions {
                l.heading("Reaction");
                l.concepts("Seen", &reaction.manifestation);
                l.maybe("Severity", &reaction.severity);
                l.maybe("Description", &reaction.description);
            }
            l.text("Remark", &a.note);
            a.code.label().to_owned()
        }
        Target::Condition(id) => {
            let x = c.conditions.iter().find(|x| x.id == *id)?;
            l.maybe("Status", &x.clinical_status);
            l.maybe("Verification", &x.verification_status);
            l.concepts("Category", &x.category);
            l.concept("Severity", &x.severity);
            l.concepts("Where", &x.body_site);
            l.time("Since", &x.onset);
            l.time("Until", &x.abatement);
            l.date("Recorded", &x.recorded_date);
            l.encounter(view, &x.encounter);
            l.codes(&x.code);
            l.text("Remark", &x.note);
            x.code.label().to_owned()
        }
        Target::Medication(id) => {
            let m = c.medications.iter().find(|m| m.id == *id)?;
            l.maybe("Status", &m.status);
            l.maybe("Why", &m.status_reason);
            for dosage in &m.dosage {
                l.field("Dose", rows::dose(dosage));
            }
            l.date("Ordered", &m.authored_on);
            l.time("Taken", &m.effective);
            l.maybe("Ordered by", &m.requester);
            l.concepts("For", &m.reason);
            l.conditions(view, &m.reason_conditions);
            l.encounter(view, &m.encounter);
            l.codes(&m.code);
            l.text("Remark", &m.note);
            m.code.label().to_owned()
        }
        Target::Series(key) => {
            let s = measured.iter().find(|s| s.key == *key)?;
            series_lines(&mut l, view, s);
            s.label.clone()
        }
        Target::Report(id) => {
            let r = c.diagnostic_reports.iter().find(|r| r.id == *id)?;
            l.maybe("Status", &r.status);
            l.concepts("Category", &r.category);
            l.time("When", &r.effective);
            l.date("Released", &r.issued);
            l.field("By", r.performer.join(", "));
            l.encounter(view, &r.encounter);
            l.codes(&r.code);
            report_results(&mut l, view, &r.results);
            l.text("Conclusion", &r.conclusion);
            l.concepts("Conclusion", &r.conclusion_codes);
            l.text("Report", &r.text);
            r.code.label().to_owned()
        }
        Target::Immunization(id) => {
            let i = c.immunizations.iter().find(|i| i.id == *id)?;
            l.maybe("Status", &i.status);
            l.time("When", &i.occurrence);
            l.field(
                "Dose",
                i.dose.as_ref().map(series::quantity).unwrap_or_default(),
            );
            l.maybe("Lot", &i.lot_number);
            l.concept("Where", &i.site);
            l.concept("Route", &i.route);
            let source = i.primary_source.map(|p| {
                if p {
                    "given by the recorder"
                } else {
                    "reported"
                }
            });
            l.field("Source", source.unwrap_or(""));
            l.encounter(view, &i.encounter);
            l.codes(&i.code);
            l.text("Remark", &i.note);
            i.code.label().to_owned()
        }
        Target::Procedure(id) => {
            let p = c.procedures.iter().find(|p| p.id == *id)?;
            l.maybe("Status", &p.status);
            l.time("When", &p.performed);
            l.concepts("For", &p.reason);
            l.conditions(view, &p.reason_conditions);
            l.concepts("Where", &p.body_site);
            l.concept("Outcome", &p.outcome);
            l.encounter(view, &p.encounter);
            l.codes(&p.code);
            l.text("Remark", &p.note);
            p.code.label().to_owned()
        }
        Target::Encounter(id) => {
            let e = c.encounters.iter().find(|e| e.id == *id)?;
            l.maybe("Status", &e.status);
            let class = e
                .class
                .as_ref()
                .and_then(|c| c.display.clone().or_else(|| c.code.clone()));
            l.maybe("Class", &class);
            l.time("When", &e.period.clone().map(Timing::Period));
            l.concepts("For", &e.reason);
            l.conditions(view, &e.reason_conditions);
            l.field("Seen by", e.participants.join(", "));
            l.maybe("Where", &e.service_provider);
            l.codes(&e.code);
            e.code.label().to_owned()
        }
        Target::Note(id) => {
            let n = c.notes.iter().find(|n| n.id == *id)?;
            l.field("By", n.author.as_str());
            l.field("Begun", clock.at(n.created_ms));
            l.encounter(view, &n.encounter);
            l.lines.push(Line::Blank);
            l.lines.push(Line::Text(n.text.clone()));
            "Note".to_owned()
        }
        Target::Attachment(id) => {
            let a = view.attachments.iter().find(|a| a.id == *id)?;
            let about = files::about(view, a);
            l.lines.extend(files::lines(a, about.as_deref(), clock));
            files::name(a)
        }
        Target::Suggestion(id) => {
            let s = view.suggestions.iter().find(|s| s.id == *id)?;
            suggestion(&mut l, s);
            s.label.clone().unwrap_or_else(|| "Not assessed".to_owned())
        }
        Target::Person => {
            person(&mut l, view);
            c.patient.name()
        }
    };
    let title = if title.is_empty() {
        "(no name)".into()
    } else {
        title
    };
    Some(Detail {
        title,
        lines: l.lines,
    })
}

fn series_lines(l: &mut Lines<'_>, view: &PatientView, s: &Series) {
    let of = |id: &str| view.content.observations.iter().find(|o| o.id == id);
    let numbers = s.numbers();
    if numbers.len() > 1 {
        l.lines.push(Line::Chart(numbers));
        l.lines.push(Line::Blank);
    }
    for point in s.points.iter().rev() {
        let (value, tone) = match point.flag {
            "" => (point.value.clone(), Tone::Text),
            flag => (format!("{flag} {}", point.value), Tone::Caution),
        };
        l.lines
            .push(Line::Point(l.clock.moment(&point.when), value, tone));
    }
    let Some(newest) = s.latest().and_then(|p| of(&p.id)) else {
        return;
    };
    l.heading("Newest");
    l.maybe("Status", &newest.status);
    reference(l, newest);
    l.concept("Where", &newest.body_site);
    l.concept("Method", &newest.method);
    l.field("By", newest.performer.join(", "));
    l.encounter(view, &newest.encounter);
    l.codes(&newest.code);
    l.text("Remark", &newest.note);
}

fn reference(l: &mut Lines<'_>, observation: &Observation) {
    for range in &observation.reference_range {
        let text = match (&range.low, &range.high, &range.text) {
            (_, _, Some(text)) => text.clone(),
            (Some(low), Some(high), _) => {
                format!("{} to {}", series::quantity(low), series::quantity(high))
            }
            (Some(low), None, _) => format!("from {}", series::quantity(low)),
            (None, Some(high), _) => format!("up to {}", series::quantity(high)),
            _ => continue,
        };
        l.field("Normal", text);
    }
}

fn report_results(l: &mut Lines<'_>, view: &PatientView, ids: &[String]) {
    if ids.is_empty() {
        return;
    }
    l.heading("Results");
    for id in ids {
        match view.content.observations.iter().find(|o| o.id == *id) {
            Some(o) => {
                let flag = series::flag(&o.interpretation).unwrap_or("");
                let tone = if flag.is_empty() {
                    Tone::Text
                } else {
                    Tone::Caution
                };
                let value = format!("{flag} {}", series::result(o));
                let (label, value) = (o.code.label().to_owned(), value.trim_start().to_owned());
                l.lines.push(Line::Pair(label, value, tone));
            }
            None => l.lines.push(Line::Text(
                "(a result that this record does not hold)".into(),
            )),
        }
    }
}

/// Why a model did not assess its input, where it says nothing itself.
pub(crate) fn doubt(said: &Inference) -> &'static str {
    match said.distance.filter(|d| *d >= 1.0) {
        Some(_) => "the input is unlike what the model knows",
        None => "the model is unsure",
    }
}

/// What a model suggested, how sure it is, what speaks against it, and who decided what.
fn suggestion(l: &mut Lines<'_>, s: &SuggestionView) {
    let said = &s.inference;
    let (state, tone) = match s.state {
        SuggestionState::Open => ("not decided: no part of the record", Tone::Accent),
        SuggestionState::Accepted => ("accepted", Tone::Text),
        SuggestionState::Rejected => ("rejected", Tone::Text),
        SuggestionState::Disputed => ("! disputed: decided apart and differently", Tone::Danger),
    };
    l.lines
        .push(Line::Field("Decision", state.to_owned(), tone));
    if said.uncertain {
        let why = doubt(said).to_owned();
        l.lines
            .push(Line::Field("Not assessed", why, Tone::Caution));
    }
    for output in &said.outputs {
        let p = output.p.map(|p| format!("p = {}", rows::probability(p)));
        l.lines.push(Line::Pair(
            output.label.clone(),
            p.unwrap_or_default(),
            Tone::Text,
        ));
        if let Some(note) = &output.note {
            l.lines
                .push(Line::Field("", format!("! {note}"), Tone::Caution));
        }
    }
    l.field("Why", said.explanation.as_str());
    l.field(
        "Model",
        format!("{} {}", said.model.name, said.model.version),
    );
    l.field("Weights", said.model.weights.as_str());
    l.field("Input", said.input.name.as_str());
    l.field("Input's hash", said.input.hash.as_str());
    l.field("Asked by", format!("{}, {}", s.actor, s.clinic));
    l.field("At", l.clock.at(s.time_ms));
    for verdict in &s.verdicts {
        let decided = match (verdict.accepted, &verdict.label, &verdict.why) {
            (true, Some(label), _) => format!("accepted as {label}"),
            (true, None, _) => "accepted".to_owned(),
            (false, _, why) => format!("rejected: {}", why.as_deref().unwrap_or("")),
        };
        l.heading(&decided);
        l.field("By", format!("{}, {}", verdict.actor, verdict.clinic));
        l.field("At", l.clock.at(verdict.time_ms));
        if !verdict.stands {
            l.field("", "decided anew since");
        }
    }
}

fn person(l: &mut Lines<'_>, view: &PatientView) {
    let p = &view.content.patient;
    l.field("Title", p.prefix.join(" "));
    l.field("Suffix", p.suffix.join(" "));
    l.maybe("Born", &p.birth_date);
    l.field("Sex", p.sex.as_str());
    l.maybe("Deceased", &p.deceased);
    l.maybe("Telephone", &p.phone);
    l.maybe("E-mail", &p.email);
    if let Some(a) = &p.address {
        let city = [&a.postal_code, &a.city]
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>();
        let mut lines = a.line.clone();
        lines.push(city.join(" "));
        lines.extend(a.state.clone());
        lines.extend(a.country.clone());
        lines.retain(|line| !line.is_empty());
        l.field("Address", lines.join("\n"));
    }
    l.concept("Married", &p.marital_status);
    l.concept("Language", &p.language);
    for identifier in &p.identifiers {
        let kind = identifier.kind.as_ref().map_or("", CodeableConcept::label);
        let value = identifier.value.as_deref().unwrap_or("");
        let system = identifier.system.as_deref().unwrap_or("");
        let words = [kind, value, system].join(" ");
        l.field("Identifier", words.trim());
    }
    l.heading("Record");
    l.field("Id", view.row.id.as_str());
    l.field("Home", view.home.as_str());
    l.field("Entries", view.entries.to_string());
}
