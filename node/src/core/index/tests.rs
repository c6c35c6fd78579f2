use proptest::prelude::*;

use super::*;

fn row(family: &str, given: &str, mrn: &str) -> IndexRow {
    IndexRow {
        mrn: Some(mrn.into()),
        family: Some(family.into()),
        given: given.into(),
        birth_date: Some("1980-02-29".into()),
        sex: "female".into(),
        ..IndexRow::default()
    }
}

fn id(n: u8) -> LogId {
    LogId::from_bytes([n; 32])
}

fn three() -> Index {
    let mut index = Index::default();
    index.set(id(0x11), row("Núñez", "Ana María", "A-1"));
    index.set(id(0x12), row("Okafor", "Ada", "A-2"));
    index.set(id(0x22), row("Okafor", "Ada", "B-3"));
    index
}

fn found(index: &Index, text: &str) -> Vec<String> {
    let rows = index.search(text, 10);
    rows.into_iter().map(|row| row.mrn).collect()
}

#[test]
fn a_search_needs_every_word_and_no_accents() {
    let index = three();
    assert_eq!(found(&index, "nunez ana"), ["A-1"]);
    assert_eq!(found(&index, "ANA núñ"), ["A-1"]);
    assert_eq!(found(&index, "nunez ada"), [""; 0]);
    assert_eq!(index.search("", 2).len(), 2);
    assert_eq!(index.search(" -- ", 2).len(), 0);
    assert_eq!(index.search("1980-02", 10).len(), 3);
    assert_eq!(index.search("ada", 0).len(), 0);
}

#[test]
fn whole_words_come_before_beginnings_before_middles_before_slips() {
    let mut index = Index::default();
    for (n, family) in [
        (1, "Adaeze"),
        (2, "Sadat"),
        (3, "Ada"),
        (4, "Adda"),
        (5, "Bello"),
    ] {
        index.set(id(n), row(family, "Zoe", &format!("M-{n}")));
    }
    assert_eq!(found(&index, "ada"), ["M-3", "M-1", "M-2", "M-4"]);
    index.set(id(6), row("Adax", "Zoey", "M-6"));
    assert_eq!(found(&index, "adda zoe"), ["M-4", "M-1", "M-6"]);
    assert_eq!(found(&index, "zo adae"), ["M-1", "M-6"]);
}

#[test]
fn one_slip_still_finds_the_patient() {
    let mut index = three();
    index.set(id(0x33), row("Müller-Lüdenscheidt", "Jürgen", "C-1"));
    index.set(id(0x44), row("O'Brien", "Siobhán", "C-2"));
    for typed in [
        "jurgen muler",
        "mulelr",
        "ludenscheit",
        "Müller-Lüdenscheid",
        "jürgn",
    ] {
        assert_eq!(found(&index, typed), ["C-1"], "{typed}");
    }
    for typed in ["obrien", "o'brien", "o’brien", "brien", "siobhna", "obrein"] {
        assert_eq!(found(&index, typed), ["C-2"], "{typed}");
    }
}

#[test]
fn numbers_are_found_however_they_are_punctuated_and_a_whole_one_comes_first() {
    let mut index = three();
    let with = |mrn: &str, date: &str, phone: &str| IndexRow {
        birth_date: Some(date.into()),
        phone: Some(phone.into()),
        ..row("Adams", "Zoe", mrn)
    };
    index.set(id(0x33), with("207946", "1979-12-31", "+44 20 7946 0958"));
    index.set(id(0x44), with("000123", "2079-01-01", "555-010-1234"));
    index.set(id(0x55), with("2079460958", "1930-01-02", ""));
    for typed in [
        "020 7946 0958",
        "0207946 0958",
        "+442079460958",
        "0044 20 79460958",
        "(020) 7946-0958",
        "zoe 020 7946 0958",
        "31.12.1979",
        "31/12/79",
        "12/31/1979",
        "1979-12-31 adams",
    ] {
        let found = found(&index, typed);
        assert!(found.contains(&"207946".to_owned()), "{typed}: {found:?}");
        assert!(found.len() <= 2, "{typed}: {found:?}");
    }
    assert_eq!(found(&index, "2079460958"), ["207946", "2079460958"]);
    assert_eq!(found(&index, "207946")[0], "207946");
    assert_eq!(found(&index, "+1 555 010 1234"), ["000123"]);
    assert_eq!(found(&index, "+1 555 01"), ["000123"]);
    assert_eq!(found(&index, "0101234"), ["000123"]);
    assert_eq!(found(&index, "a1"), ["A-1"]);
    assert_eq!(found(&index, "B-"), ["B-3"]);
    assert_eq!(found(&index, "29.02.1980").len(), 3);
}

#[test]
fn names_of_other_scripts_are_found_by_their_own_letters() {
    let mut index = Index::default();
    for (n, family, given) in [
        (1, "Семёнов", "Юрий"),
        (2, "Παπαδόπουλος", "Άγγελος"),
        (3, "محمود", "أحمد"),
        (4, "王", "小明"),
        (5, "김", "민수"),
        (6, "शर्मा", "विकास"),
        (7, "サトウ", "はなこ"),
    ] {
        index.set(id(n), row(family, given, &format!("M-{n}")));
    }
    for (typed, mrn) in [
        ("семенов", "M-1"),
        ("ЮРИЙ сем", "M-1"),
        ("семонов", "M-1"),
        ("παπαδ", "M-2"),
        ("ΆΓΓΕΛΟΣ", "M-2"),
        ("احمد", "M-3"),
        ("王小明", "M-4"),
        ("小明", "M-4"),
        ("王 小", "M-4"),
        ("明", "M-4"),
        ("김민수", "M-5"),
        ("김민", "M-5"),
        ("शर्मा", "M-6"),
        ("ｻﾄｳ", "M-7"),
    ] {
        assert_eq!(found(&index, typed), [mrn], "{typed}");
    }
    assert_eq!(index.find("王小明"), Found::One(id(4)));
    assert_eq!(index.find("小明 王"), Found::One(id(4)));
}

#[test]
fn a_patient_is_named_by_number_name_or_prefix_and_never_guessed() {
    let index = three();
    assert_eq!(index.find("b-3"), Found::One(id(0x22)));
    assert_eq!(index.find("22"), Found::One(id(0x22)));
    assert_eq!(index.find("1"), Found::Several(vec![id(0x11), id(0x12)]));
    assert_eq!(index.find(&id(0x12).to_string()), Found::One(id(0x12)));
    assert_eq!(index.find(&format!("{}0", id(0x12))), Found::Nobody);
    assert_eq!(
        index.find("Ada Okafor"),
        Found::Several(vec![id(0x12), id(0x22)])
    );
    assert_eq!(index.find("ana maria nunez"), Found::One(id(0x11)));
    assert_eq!(index.find("Nunez, Ana Maria"), Found::One(id(0x11)));
    for nobody in [
        "nobody",
        "",
        "ana",
        "ana nunez",
        "okafo ada",
        "b3",
        "maria ana nunez",
    ] {
        assert_eq!(index.find(nobody), Found::Nobody, "{nobody}");
    }
}

#[test]
fn a_record_number_is_taken_only_by_itself() {
    let mut index = three();
    assert!(index.has_mrn("a-1") && index.has_mrn(" A-1 "));
    assert!(!index.has_mrn("A1") && !index.has_mrn("A-") && !index.has_mrn(""));
    index.set(id(0x44), row("Odd", "Number", "--"));
    assert!(index.has_mrn("--") && !index.has_mrn("-"));
}

#[test]
fn a_row_that_changed_or_went_is_found_by_nothing_old() {
    let mut index = three();
    let source = IndexRow {
        source_id: Some("p-17".into()),
        phone: Some("555 0100".into()),
        ..row("Okafor", "Ada", "B-3")
    };
    index.set(id(0x22), source.clone());
    assert_eq!(index.by_source("p-17"), [id(0x22)]);
    assert_eq!(index.by_source("P-17"), []);
    assert_eq!(found(&index, "5550100"), ["B-3"]);
    let newer = IndexRow {
        updated_ms: 9,
        ..source
    }
    .with_linked(vec![id(0x11)]);
    index.set(id(0x22), newer);
    assert_eq!(index.get(&id(0x22)).unwrap().updated_ms, 9);
    assert_eq!(index.get(&id(0x22)).unwrap().linked, [id(0x11)]);
    index.set(id(0x22), row("Eze", "Ngozi", "B-4"));
    assert_eq!(index.by_source("p-17"), []);
    assert!(!index.has_mrn("B-3") && index.has_mrn("B-4"));
    assert_eq!(found(&index, "5550100"), [""; 0]);
    assert_eq!(index.find("Ada Okafor"), Found::One(id(0x12)));
    assert!(index.remove(&id(0x12)) && !index.remove(&id(0x12)));
    assert_eq!(found(&index, "okafor"), [""; 0]);
    assert_eq!(index.get(&id(0x12)), None);
    assert_eq!(index.find("1"), Found::One(id(0x11)));
    let listed: Vec<_> = index.all().into_iter().map(|row| row.mrn).collect();
    assert_eq!(listed, ["B-4", "A-1"]);
    // Everything goes: nothing is left behind, and slots are used again.
    for n in [0x11, 0x22] {
        index.remove(&id(n));
    }
    for table in [&index.names, &index.mrns, &index.dates, &index.phones] {
        assert_eq!(table.iter().count(), 0);
    }
    assert!(index.sources.is_empty());
    assert!(index.order.is_empty() && index.by_log.is_empty());
    index.set(id(1), row("New", "One", "N-1"));
    assert_eq!(index.slots.len(), 3);
}

#[test]
fn the_list_is_in_the_order_of_names_without_their_accents() {
    let mut index = Index::default();
    for (n, family, given) in [
        (1, "Zapata", "Ana"),
        (2, "Ångström", "Eva"),
        (3, "de la Cruz", "Ana"),
        (4, "Li", "Wei"),
        (5, "Liang", "An"),
        (6, "Li", "An"),
        (7, "Li", "An"),
    ] {
        index.set(id(n), row(family, given, &format!("{n}")));
    }
    let listed: Vec<_> = index.all().into_iter().map(|row| row.mrn).collect();
    assert_eq!(listed, ["2", "3", "6", "7", "4", "5", "1"]);
}

#[test]
fn pairs_are_found_by_any_block_once_and_best_first() {
    let mut index = Index::default();
    let mut set = |n: u8, family: &str, given: &str, date: &str, change: &dyn Fn(&mut IndexRow)| {
        let mut row = row(family, given, &format!("M-{n}"));
        row.birth_date = Some(date.into());
        change(&mut row);
        index.set(id(n), row);
    };
    let same = |_: &mut IndexRow| {};
    set(1, "Okafor", "Ada", "1980-02-03", &same);
    set(2, "Okafor", "Ada", "1980-02-03", &same);
    set(3, "Okaffor", "Ada", "1980-03-02", &same); // by the sound of the name and the year
    set(4, "Nowak", "Jan", "1971-05-06", &same);
    set(5, "Jan", "Nowak", "1971-05-16", &same); // by the words of the name
    set(6, "Nowak", "Piotr", "1971-05-06", &same); // a twin
    set(7, "Silva", "Rita", "1990-10-11", &|row| {
        row.identifiers = vec![42]
    });
    set(8, "Costa", "R.", "1991-11-10", &|row| {
        row.identifiers = vec![41, 42]
    }); // by identifier, and not enough
    set(9, "Weber", "Eva", "1960-01-02", &|row| {
        row.phone = Some("+49 30 123456 78".into())
    });
    set(10, "Klein", "Eva", "1960-07-31", &|row| {
        row.phone = Some("030 12345678".into())
    });
    let pairs = |index: &Index, limit, linked: &dyn Fn(&LogId, &LogId) -> bool| -> Vec<(u8, u8)> {
        let pairs = index.duplicates(limit, linked);
        assert!(pairs.windows(2).all(|two| two[0].2.score >= two[1].2.score));
        assert!(pairs.iter().all(|(_, b, candidate)| candidate.log == *b));
        pairs
            .iter()
            .map(|(a, b, _)| (a.as_bytes()[0], b.as_bytes()[0]))
            .collect()
    };
    let none = |_: &LogId, _: &LogId| false;
    let all = pairs(&index, 100, &none);
    assert_eq!(all, [(1, 2), (1, 3), (2, 3), (4, 6)]);
    assert_eq!(pairs(&index, 2, &none), [(1, 2), (1, 3)]);
    assert_eq!(pairs(&index, 0, &none), []);
    let linked = |a: &LogId, b: &LogId| (*a, *b) == (id(1), id(2)) || (*a, *b) == (id(2), id(1));
    assert_eq!(pairs(&index, 2, &linked), [(1, 3), (2, 3)]);
    let of = |index: &Index, n: u8| -> Vec<u8> {
        let found = index.duplicates_of(&id(n), 10, &linked);
        found
            .iter()
            .map(|candidate| candidate.log.as_bytes()[0])
            .collect()
    };
    assert_eq!(of(&index, 1), [3]);
    assert_eq!(of(&index, 3), [1, 2]);
    assert_eq!(of(&index, 99), [0; 0]);
    let twin = index.duplicates_of(&id(4), 10, &none);
    assert!(twin[0].possible_twins && !twin[0].is_duplicate());
    let true_ones = index.duplicates_of(&id(1), 10, &none);
    assert!(
        true_ones
            .iter()
            .all(|c| c.is_duplicate() && c.score > twin[0].score)
    );
}

#[test]
fn a_date_that_everybody_has_does_not_cost_the_square() {
    let mut index = Index::default();
    for n in 0..3000u32 {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        let row = IndexRow {
            birth_date: Some("1900-01-01".into()),
            family: Some(format!("Family{}", n / 2)),
            given: "Given".into(),
            ..IndexRow::default()
        };
        index.set(LogId::from_bytes(bytes), row);
    }
    let asked = std::cell::Cell::new(0);
    let pairs = index.duplicates(5000, &|_, _| {
        asked.set(asked.get() + 1);
        false
    });
    let twice = |log: &LogId| {
        let row = index.get(log).unwrap();
        row.family.clone()
    };
    assert_eq!(
        pairs
            .iter()
            .filter(|(a, b, _)| twice(a) == twice(b))
            .count(),
        1500
    );
    assert!(asked.get() <= 3000 * 16 * 7);
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z]{1,12}",
        "[A-ZÁÉÑÖØŁß][a-záéñöøłßşğı'-]{0,9}",
        "[А-Я][а-яё]{1,9}",
        "[α-ω]{2,9}",
        "[一-龥]{1,3}",
        "[가-힣]{1,3}",
        "[أ-ي]{2,8}",
        "\\PC{1,8}",
    ]
}

fn patient() -> impl Strategy<Value = IndexRow> {
    (
        name(),
        proptest::collection::vec(name(), 0..3),
        1900..2026u32,
        1..=12u32,
        1..=28u32,
        "[A-Z]{0,2}-?[0-9]{1,8}",
        "(\\+[1-9][0-9]{0,2} )?\\(?0?[1-9][0-9]{2}\\)?[ -][0-9]{3}[ .-][0-9]{4}",
    )
        .prop_map(|(family, given, year, month, day, mrn, phone)| IndexRow {
            mrn: Some(mrn),
            family: Some(family),
            given: given.join(" "),
            birth_date: Some(format!("{year}-{month:02}-{day:02}")),
            sex: "female".into(),
            phone: Some(phone),
            source_id: None,
            updated_ms: 0,
            linked: Vec::new(),
            identifiers: Vec::new(),
            images: Vec::new(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_patient_is_found_by_each_beginning_of_each_field(
        rows in proptest::collection::vec(patient(), 1..12)
    ) {
        let mut index = Index::default();
        for (n, row) in rows.iter().enumerate() {
            index.set(id(u8::try_from(n).unwrap()), row.clone());
        }
        for (n, row) in rows.iter().enumerate() {
            let own = id(u8::try_from(n).unwrap()).to_string();
            let family = row.family.clone().unwrap();
            let date = row.birth_date.clone().unwrap();
            let local = format!("{}.{}.{}", &date[8..], &date[5..7], &date[..4]);
            let fields = [
                (family.clone(), 1),
                (row.given.clone(), 1),
                (format!("{} {family}", row.given), 1),
                (row.mrn.clone().unwrap(), 1),
                (date, 2),
                (local, 4),
                (row.phone.clone().unwrap(), 7),
            ];
            for (field, least) in fields {
                let ends = field.char_indices().map(|(at, c)| at + c.len_utf8());
                for end in ends.skip(least - 1) {
                    let typed = &field[..end];
                    // Punctuation alone says nothing, and the ninth word is not looked at.
                    if words(&fold(typed)).next().is_none() {
                        continue;
                    }
                    let found = index.search(typed, rows.len());
                    prop_assert!(found.iter().any(|row| row.id == own), "{typed:?} of {field:?}");
                }
            }
        }
    }

    #[test]
    fn an_index_of_many_changes_is_the_index_of_the_last_rows(
        changes in proptest::collection::vec((0..6u8, proptest::option::of(patient())), 1..30),
        typed in "[a-z0-9]{1,3}",
    ) {
        let mut index = Index::default();
        let mut last = BTreeMap::new();
        for (n, row) in changes {
            match row {
                Some(row) => {
                    index.set(id(n), row.clone());
                    last.insert(n, row);
                }
                None => prop_assert_eq!(index.remove(&id(n)), last.remove(&n).is_some()),
            }
        }
        let mut fresh = Index::default();
        for (n, row) in last {
            fresh.set(id(n), row);
        }
        prop_assert_eq!(index.all(), fresh.all());
        prop_assert_eq!(index.search(&typed, 4), fresh.search(&typed, 4));
        for (one, other) in [(&index.names, &fresh.names), (&index.phones, &fresh.phones)] {
            let keys = |table| Table::iter(table).map(|line| line.key);
            prop_assert!(keys(one).eq(keys(other)));
        }
    }

    #[test]
    fn nothing_typed_or_kept_panics(text in "\\PC{0,40}", row in patient(), odd in "\\PC{0,20}") {
        let mut index = Index::default();
        index.set(id(1), IndexRow {
            birth_date: Some(odd.clone()),
            phone: Some(odd.clone()),
            mrn: Some(odd),
            ..row.clone()
        });
        index.set(id(2), row);
        index.search(&text, 5);
        index.find(&text);
        index.by_source(&text);
        index.duplicates(5, &|_, _| false);
        index.duplicates_of(&id(1), 5, &|_, _| false);
        index.remove(&id(1));
    }
}
