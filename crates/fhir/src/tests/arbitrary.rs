//! Records made up by proptest: every field of every type, filled or not.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use salus_record::decimal::Decimal;
use salus_record::model::*;

fn text() -> BoxedStrategy<String> {
    prop_oneof![4 => "[a-zA-Z0-9 äß\"\\\\]{0,11}[a-z]", 1 => "\\PC{1,6}", 1 => Just("a\nb\t\u{1}😀".to_owned())].boxed()
}

/// Some text.
fn filled() -> Option<String> {
    Some("x".to_owned())
}

/// Gives content to a value that has none: in FHIR, no element is empty.
fn nonempty<T: Default + PartialEq>(fill: impl Fn(&mut T)) -> impl Fn(T) -> T {
    move |mut value| {
        if value == T::default() {
            fill(&mut value);
        }
        value
    }
}

fn maybe_text() -> impl Strategy<Value = Option<String>> {
    option::of(text())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}

fn date() -> impl Strategy<Value = String> {
    (1900..2100u32, 1..=12u32, 1..=28u32, 0..3u8).prop_map(|(y, m, d, precision)| match precision {
        0 => format!("{y}"),
        1 => format!("{y}-{m:02}"),
        _ => format!("{y}-{m:02}-{d:02}"),
    })
}

fn date_time() -> BoxedStrategy<String> {
    let time = (
        0..24u32,
        0..60u32,
        0..60u32,
        prop_oneof![Just("Z"), Just("+05:30"), Just("-11:00")],
    );
    let whole =
        (1900..2100u32, 1..=12u32, 1..=28u32, time).prop_map(|(y, m, d, (h, min, s, zone))| {
            format!("{y}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}{zone}")
        });
    prop_oneof![date(), whole].boxed()
}

fn decimal() -> impl Strategy<Value = Decimal> {
    let written = prop_oneof![
        "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,14})?",
        Just("1.20E-3".to_owned())
    ];
    written.prop_map(|d| d.parse().unwrap())
}

fn coding() -> impl Strategy<Value = Coding> {
    (
        option::of(Just("http://loinc.org".to_owned())),
        option::weighted(0.9, text()),
        maybe_text(),
    )
        .prop_map(|(system, code, display)| Coding {
            system,
            code,
            display,
        })
        .prop_map(nonempty(|c: &mut Coding| c.display = filled()))
}

fn concept() -> BoxedStrategy<CodeableConcept> {
    prop_oneof![
        (vec(coding(), 0..3), text()).prop_map(|(coding, text)| CodeableConcept {
            coding,
            text: Some(text)
        }),
        vec(coding(), 1..3).prop_map(|coding| CodeableConcept { coding, text: None }),
    ]
    .boxed()
}

/// A code that every item may lack.
fn any_concept() -> impl Strategy<Value = CodeableConcept> {
    prop_oneof![9 => concept(), 1 => Just(CodeableConcept::default())]
}

fn maybe_concept() -> impl Strategy<Value = Option<CodeableConcept>> {
    option::of(concept())
}

fn concepts() -> impl Strategy<Value = Vec<CodeableConcept>> {
    vec(concept(), 0..3)
}

fn quantity() -> BoxedStrategy<Quantity> {
    (
        option::weighted(0.9, decimal()),
        option::of(Just("<".to_owned())),
        maybe_text(),
        maybe_text(),
        maybe_text(),
    )
        .prop_map(|(value, comparator, unit, system, code)| Quantity {
            value,
            comparator,
            unit,
            system,
            code,
        })
        .prop_map(nonempty(|q: &mut Quantity| q.unit = filled()))
        .boxed()
}

fn period() -> impl Strategy<Value = Period> {
    prop_oneof![
        (date_time(), option::of(date_time())).prop_map(|(start, end)| Period {
            start: Some(start),
            end
        }),
        date_time().prop_map(|end| Period {
            start: None,
            end: Some(end)
        }),
    ]
}

fn timing() -> BoxedStrategy<Option<Timing>> {
    option::of(prop_oneof![
        date_time().prop_map(Timing::DateTime),
        period().prop_map(Timing::Period),
        quantity().prop_map(Timing::Age),
        text().prop_map(Timing::Text),
    ])
    .boxed()
}

fn value() -> BoxedStrategy<ObservationValue> {
    let pair = || {
        prop_oneof![
            (quantity(), option::of(quantity())).prop_map(|(a, b)| (Some(a), b)),
            quantity().prop_map(|b| (None, Some(b))),
        ]
    };
    prop_oneof![
        quantity().prop_map(ObservationValue::Quantity),
        concept().prop_map(ObservationValue::Concept),
        text().prop_map(ObservationValue::String),
        any::<bool>().prop_map(ObservationValue::Boolean),
        any::<i64>().prop_map(ObservationValue::Integer),
        date_time().prop_map(ObservationValue::DateTime),
        (0..24u32, 0..60u32).prop_map(|(h, m)| ObservationValue::Time(format!("{h:02}:{m:02}:00"))),
        period().prop_map(ObservationValue::Period),
        pair().prop_map(|(low, high)| ObservationValue::Range { low, high }),
        pair().prop_map(|(numerator, denominator)| ObservationValue::Ratio {
            numerator,
            denominator
        }),
    ]
    .boxed()
}

fn identifier() -> impl Strategy<Value = Identifier> {
    (maybe_text(), maybe_text(), maybe_concept())
        .prop_map(|(system, value, kind)| Identifier {
            system,
            value,
            kind,
        })
        .prop_map(nonempty(|i: &mut Identifier| i.value = filled()))
}

fn address() -> BoxedStrategy<Address> {
    (
        texts(),
        maybe_text(),
        maybe_text(),
        maybe_text(),
        maybe_text(),
    )
        .prop_map(|(line, city, state, postal_code, country)| Address {
            line,
            city,
            state,
            postal_code,
            country,
        })
        .prop_map(nonempty(|a: &mut Address| a.city = filled()))
        .boxed()
}

fn patient() -> BoxedStrategy<Patient> {
    let sex = prop_oneof![
        Just(Sex::Male),
        Just(Sex::Female),
        Just(Sex::Other),
        Just(Sex::Unknown)
    ];
    let source_id = option::of(prop_oneof![
        "[A-Za-z0-9.-]{1,64}",
        Just("0f8fad5b-d9cb-469f-a165-70867728950e".to_owned()),
        Just("not an id".to_owned()),
    ]);
    let names = (maybe_text(), texts(), texts(), texts());
    let life = (
        option::of(date()),
        sex,
        option::of(prop_oneof![Just("true".to_owned()), date_time()]),
    );
    let rest = (
        maybe_text(),
        maybe_text(),
        option::of(address()),
        maybe_concept(),
        maybe_concept(),
    );
    (
        maybe_text(),
        source_id,
        names,
        life,
        rest,
        vec(identifier(), 0..3),
    )
        .prop_map(|(mrn, source_id, names, life, rest, identifiers)| Patient {
            mrn,
            source_id,
            family: names.0,
            given: names.1,
            prefix: names.2,
            suffix: names.3,
            birth_date: life.0,
            sex: life.1,
            deceased: life.2,
            phone: rest.0,
            email: rest.1,
            address: rest.2,
            marital_status: rest.3,
            language: rest.4,
            identifiers,
        })
        .boxed()
}

/// What most items have: code, status, encounter, note.
type Common = (
    CodeableConcept,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn common() -> BoxedStrategy<Common> {
    // Of two encounters there are, and one that the record does not hold.
    let encounter = option::of((0..3u8).prop_map(|i| format!("encounter-{i}")));
    let known = prop_oneof![
        Just("active"),
        Just("completed"),
        Just("resolved"),
        Just("entered-in-error")
    ];
    let status = option::of(prop_oneof![known.prop_map(str::to_owned), text()]);
    (any_concept(), status, encounter, maybe_text()).boxed()
}

/// A verification status: what a summary leaves out among them.
fn verification() -> impl Strategy<Value = Option<String>> {
    let known = prop_oneof![Just("entered-in-error"), Just("refuted"), Just("confirmed")];
    option::of(prop_oneof![known.prop_map(str::to_owned), text()])
}

fn condition_links() -> impl Strategy<Value = Vec<String>> {
    vec((0..3u8).prop_map(|i| format!("condition-{i}")), 0..3)
}

fn allergy() -> BoxedStrategy<AllergyIntolerance> {
    let reaction = (concepts(), maybe_text(), maybe_text())
        .prop_map(|(manifestation, severity, description)| Reaction {
            manifestation,
            severity,
            description,
        })
        .prop_map(nonempty(|r: &mut Reaction| r.description = filled()));
    (
        common(),
        (verification(), maybe_text(), texts(), maybe_text()),
        timing(),
        option::of(date_time()),
        vec(reaction, 0..3),
    )
        .prop_map(
            |((code, clinical_status, encounter, note), more, onset, recorded_date, reactions)| {
                AllergyIntolerance {
                    id: String::new(),
                    code,
                    clinical_status,
                    verification_status: more.0,
                    kind: more.1,
                    category: more.2,
                    criticality: more.3,
                    onset,
                    recorded_date,
                    reactions,
                    encounter,
                    note,
                }
            },
        )
        .boxed()
}

fn condition() -> BoxedStrategy<Condition> {
    (
        common(),
        (verification(), concepts(), maybe_concept(), concepts()),
        timing(),
        timing(),
        option::of(date_time()),
    )
        .prop_map(
            |((code, clinical_status, encounter, note), more, onset, abatement, recorded_date)| {
                Condition {
                    id: String::new(),
                    code,
                    clinical_status,
                    verification_status: more.0,
                    category: more.1,
                    severity: more.2,
                    body_site: more.3,
                    onset,
                    abatement,
                    recorded_date,
                    encounter,
                    note,
                }
            },
        )
        .boxed()
}

fn dosage() -> BoxedStrategy<Dosage> {
    (
        (
            maybe_text(),
            option::of(quantity()),
            option::of(any::<u32>()),
            option::of(decimal()),
        ),
        (
            maybe_text(),
            maybe_concept(),
            option::of(any::<bool>()),
            option::of(any::<u32>()),
        ),
    )
        .prop_map(|(a, b)| Dosage {
            text: a.0,
            dose: a.1,
            frequency: a.2,
            period: a.3,
            period_unit: b.0,
            route: b.1,
            as_needed: b.2,
            sequence: b.3,
        })
        .prop_map(nonempty(|d: &mut Dosage| d.text = filled()))
        .boxed()
}

fn medication() -> BoxedStrategy<Medication> {
    let kind = prop_oneof![
        Just(MedicationKind::MedicationRequest),
        Just(MedicationKind::MedicationStatement)
    ];
    let more = (
        maybe_text(),
        maybe_text(),
        option::of(date_time()),
        timing(),
    );
    (
        common(),
        kind,
        more,
        vec(dosage(), 0..3),
        (concepts(), condition_links(), maybe_text()),
    )
        .prop_map(
            |((code, status, encounter, note), kind, more, dosage, why)| Medication {
                id: String::new(),
                kind,
                code,
                status,
                status_reason: more.0,
                intent: more.1,
                authored_on: more.2,
                effective: more.3,
                dosage,
                reason: why.0,
                reason_conditions: why.1,
                requester: why.2,
                encounter,
                note,
            },
        )
        .boxed()
}

fn observation() -> BoxedStrategy<Observation> {
    let component = (
        any_concept(),
        option::of(value()),
        maybe_concept(),
        concepts(),
    )
        .prop_map(
            |(code, value, data_absent_reason, interpretation)| ObservationComponent {
                code,
                value,
                data_absent_reason,
                interpretation,
            },
        )
        .prop_map(nonempty(|c: &mut ObservationComponent| {
            c.code.text = filled();
        }));
    let range = (option::of(quantity()), option::of(quantity()), maybe_text())
        .prop_map(|(low, high, text)| ReferenceRange { low, high, text })
        .prop_map(nonempty(|r: &mut ReferenceRange| r.text = filled()));
    let members = vec((0..3u8).prop_map(|i| format!("observation-{i}")), 0..3);
    (
        common(),
        (
            concepts(),
            option::of(value()),
            maybe_concept(),
            timing(),
            option::of(date_time()),
        ),
        (concepts(), vec(range, 0..2), vec(component, 0..3), members),
        (maybe_concept(), maybe_concept(), texts()),
    )
        .prop_map(|((code, status, encounter, note), a, b, c)| Observation {
            id: String::new(),
            status,
            category: a.0,
            code,
            value: a.1,
            data_absent_reason: a.2,
            effective: a.3,
            issued: a.4,
            interpretation: b.0,
            reference_range: b.1,
            components: b.2,
            members: b.3,
            body_site: c.0,
            method: c.1,
            performer: c.2,
            encounter,
            note,
        })
        .boxed()
}

fn diagnostic_report() -> BoxedStrategy<DiagnosticReport> {
    let results = vec((0..3u8).prop_map(|i| format!("observation-{i}")), 0..4);
    (
        common(),
        concepts(),
        timing(),
        option::of(date_time()),
        results,
        (maybe_text(), concepts(), texts()),
    )
        .prop_map(
            |((code, status, encounter, text), category, effective, issued, results, more)| {
                DiagnosticReport {
                    id: String::new(),
                    status,
                    category,
                    code,
                    effective,
                    issued,
                    results,
                    conclusion: more.0,
                    conclusion_codes: more.1,
                    performer: more.2,
                    text,
                    encounter,
                }
            },
        )
        .boxed()
}

fn immunization() -> BoxedStrategy<Immunization> {
    (
        common(),
        timing(),
        maybe_text(),
        (maybe_concept(), maybe_concept(), option::of(quantity())),
        option::of(any::<bool>()),
    )
        .prop_map(
            |((code, status, encounter, note), occurrence, lot_number, more, primary_source)| {
                Immunization {
                    id: String::new(),
                    status,
                    code,
                    occurrence,
                    lot_number,
                    site: more.0,
                    route: more.1,
                    dose: more.2,
                    primary_source,
                    encounter,
                    note,
                }
            },
        )
        .boxed()
}

fn procedure() -> BoxedStrategy<Procedure> {
    (
        common(),
        timing(),
        concepts(),
        condition_links(),
        concepts(),
        maybe_concept(),
    )
        .prop_map(
            |(
                (code, status, encounter, note),
                performed,
                reason,
                reason_conditions,
                body_site,
                outcome,
            )| {
                Procedure {
                    id: String::new(),
                    status,
                    code,
                    performed,
                    reason,
                    reason_conditions,
                    body_site,
                    outcome,
                    encounter,
                    note,
                }
            },
        )
        .boxed()
}

fn encounter() -> BoxedStrategy<Encounter> {
    (
        common(),
        option::of(coding()),
        option::of(period()),
        concepts(),
        condition_links(),
        texts(),
    )
        .prop_map(
            |(
                (code, status, _, service_provider),
                class,
                period,
                reason,
                reason_conditions,
                participants,
            )| {
                Encounter {
                    id: String::new(),
                    status,
                    class,
                    code,
                    period,
                    reason,
                    reason_conditions,
                    participants,
                    service_provider,
                }
            },
        )
        .boxed()
}

fn note() -> BoxedStrategy<Note> {
    let text = prop_oneof![text(), Just(String::new()), Just("long ".repeat(1000))];
    (
        common(),
        0..253_402_207_200_000u64,
        prop_oneof![text_or_empty()],
        text,
    )
        .prop_map(|((_, _, encounter, _), created_ms, author, text)| Note {
            id: String::new(),
            created_ms,
            author,
            encounter,
            text,
        })
        .boxed()
}

fn text_or_empty() -> impl Strategy<Value = String> {
    prop_oneof![4 => text(), 1 => Just(String::new())]
}

macro_rules! number {
    ($items:expr, $word:literal) => {
        for (i, item) in $items.iter_mut().enumerate() {
            item.id = format!(concat!($word, "-{}"), i);
        }
    };
}

/// Whole records. Items are numbered, so that links between them are sometimes there and sometimes not.
pub(super) fn content() -> impl Strategy<Value = RecordContent> {
    (
        (
            patient(),
            vec(allergy(), 0..3),
            vec(condition(), 0..3),
            vec(medication(), 0..3),
        ),
        (
            vec(observation(), 0..4),
            vec(diagnostic_report(), 0..3),
            vec(immunization(), 0..3),
        ),
        (
            vec(procedure(), 0..3),
            vec(encounter(), 0..3),
            vec(note(), 0..3),
        ),
    )
        .prop_map(|(a, b, c)| {
            let mut content = RecordContent {
                patient: a.0,
                allergies: a.1,
                conditions: a.2,
                medications: a.3,
                observations: b.0,
                diagnostic_reports: b.1,
                immunizations: b.2,
                procedures: c.0,
                encounters: c.1,
                notes: c.2,
            };
            number!(content.allergies, "allergy");
            number!(content.conditions, "condition");
            number!(content.medications, "medication");
            number!(content.observations, "observation");
            number!(content.diagnostic_reports, "report");
            number!(content.immunizations, "immunization");
            number!(content.procedures, "procedure");
            number!(content.encounters, "encounter");
            number!(content.notes, "note");
            content
        })
}
