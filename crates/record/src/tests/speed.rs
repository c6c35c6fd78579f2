//! Timings, printed on demand.

use std::time::Instant;

use super::*;

/// `cargo test -p salus-record --config 'profile.dev.package.salus-record.opt-level=3' -- --ignored --nocapture speed`
#[test]
#[ignore = "prints timings"]
fn speed() {
    let observation = |n: usize| Observation {
        id: format!("4f2c1d3e-0000-4000-8000-{n:012}"),
        status: Some("final".into()),
        category: vec![CodeableConcept::code(
            "http://terminology.hl7.org/CodeSystem/observation-category",
            "vital-signs",
            "Vital signs",
        )],
        code: CodeableConcept::code("http://loinc.org", "8310-5", "Body temperature"),
        value: Some(ObservationValue::Quantity(Quantity {
            value: Some(format!("37.{n}").parse().unwrap()),
            unit: Some("Cel".into()),
            system: Some("http://unitsofmeasure.org".into()),
            code: Some("Cel".into()),
            ..Quantity::default()
        })),
        effective: Some(Timing::DateTime("2026-11-22T10:00:00Z".into())),
        issued: Some("2026-11-22T10:00:00.123Z".into()),
        encounter: Some(format!("enc-{}", n / 10)),
        ..Observation::default()
    };
    let edits: Vec<Edit> = (0..200)
        .map(|n| Edit::Put(Item::Observation(observation(n))))
        .collect();
    let time = |what: &str, runs: u32, run: &mut dyn FnMut()| {
        let best = (0..runs)
            .map(|_| {
                let begin = Instant::now();
                run();
                begin.elapsed()
            })
            .min()
            .unwrap();
        println!("{what}: {best:?}");
    };
    let (empty, first) = Record::create(actor(0), NOW_MS).unwrap();
    let mut record = empty.clone();
    let mut change = None;
    time("edit: 200 new observations, 8 fields each", 20, &mut || {
        record = empty.clone();
        change = record.edit(&edits, NOW_MS).unwrap();
    });
    for count in [1000_usize, 3000] {
        let many: Vec<Edit> = (0..count)
            .map(|n| Edit::Put(Item::Observation(observation(n))))
            .collect();
        time(&format!("import: {count} new observations"), 3, &mut || {
            record = empty.clone();
            record.import(many.clone(), NOW_MS).unwrap();
        });
        time(&format!("view: {count} observations"), 3, &mut || {
            drop(record.view())
        });
    }
    record = empty.clone();
    record.edit(&edits, NOW_MS).unwrap();
    let change = change.unwrap();
    println!("  {} operations, {} bytes", change.ops, change.bytes.len());
    time("edit: the same again (no change)", 20, &mut || {
        assert_eq!(record.edit(&edits, NOW_MS).unwrap(), None);
    });
    time("view: 200 observations", 20, &mut || {
        assert_eq!(record.view().content.observations.len(), 200);
    });
    time("conflicts", 20, &mut || {
        assert_eq!(record.conflicts().len(), 0)
    });
    time("describe", 20, &mut || {
        assert_eq!(record.describe_change(&change.hash).len(), 1)
    });
    let saved = record.save();
    println!("  saved: {} bytes", saved.len());
    time("save", 20, &mut || {
        assert_eq!(record.save().len(), saved.len())
    });
    time("load", 20, &mut || drop(load(&saved, actor(0)).unwrap()));
    let both = [first.bytes.clone(), change.bytes.clone()];
    for trust in [Trust::Own, Trust::Foreign] {
        time(
            &format!("apply both changes to an empty document, {trust:?}"),
            20,
            &mut || {
                Record::new(actor(1)).apply(both.clone(), trust).unwrap();
            },
        );
    }
    let mut n = 0;
    time("edit: one field", 50, &mut || {
        n += 1;
        edit(&mut record, set("phone", &n.to_string()));
    });
    let small: Vec<Vec<u8>> = (0..1000)
        .map(|n| edit(&mut record, set("phone", &format!("555-{n}"))).bytes)
        .collect();
    drop(small);
    let all = record.changes_since(&[]);
    println!("now {} changes", all.len());
    time("clone", 50, &mut || drop(record.clone()));
    time("edit: one field", 50, &mut || {
        n += 1;
        edit(&mut record, set("phone", &n.to_string()));
    });
    for trust in [Trust::Own, Trust::Foreign] {
        time(&format!("apply them all, {trust:?}"), 3, &mut || {
            Record::new(actor(1)).apply(all.clone(), trust).unwrap();
        });
        time(&format!("apply one of them, {trust:?}"), 5, &mut || {
            let mut other = load(&record.save(), actor(2)).unwrap();
            let mut writer = load(&record.save(), actor(3)).unwrap();
            let one = edit(&mut writer, set("phone", "x"));
            let begin = Instant::now();
            other.apply([one.bytes], trust).unwrap();
            println!("    apply alone: {:?}", begin.elapsed());
        });
    }
    let hydrated = record.doc.clone();
    time("automerge hydrate (for scale)", 20, &mut || {
        drop(hydrated.hydrate(None))
    });
}
