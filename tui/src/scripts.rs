//! Keys in, state out: what a person does, with made-up answers.

use salus_api::record::{CodeableConcept, DiagnosticReport, Item, ObservationValue};
use salus_api::{
    ApiError, Auth, Event, LockState, PatientRow, Request, Response, SessionToken, SuggestionState,
};

use crate::desk::{Link, Notice};
use crate::fixtures::{concerns, files, patients, record};
use crate::keymap::BINDINGS;
use crate::keys::{Code, Key};
use crate::msg::{Effect, Msg, Size};
use crate::testing::{PASSPHRASE, SIZES, Script, parse};
use crate::update::IDLE_LOCK_MS;

fn script() -> Script {
    Script::signed_in(SIZES[0])
}

fn wide() -> Script {
    Script::signed_in(SIZES[1])
}

/// Seconds a practised person needs: Card, Moran and Newell's keystroke-level model (1980), 0.28 s a key for an
/// average non-secretary (40 words a minute) and 1.35 s of thought before each new step.
fn seconds(keys: usize, steps: usize) -> f64 {
    keys as f64 * 0.28 + steps as f64 * 1.35
}

#[test]
fn a_follow_up_entry_takes_13_keys_and_its_note() {
    let mut s = script();
    let note = "Feels well now";
    s.press("ama<enter>"); // who: 4 keys
    s.press("b12882<enter>"); // blood pressure: 7 keys
    s.press("n").press(note).press("<ctrl-s>"); // note: 2 keys and the words
    assert_eq!(s.pressed, 13 + note.len());
    assert_eq!(s.pages(), ["patients", "record"]);
    assert!(s.screen().contains("Note saved."));
    // The bar is Simple's median of 13 s for a follow-up (`anchors-mission.md`, section 5): who, values, note, done.
    let needed = seconds(s.pressed, 4);
    assert!(needed <= 13.0, "{needed:.1} s");

    let [
        Request::Add { patient, item },
        Request::PatientNote {
            patient: same,
            text,
        },
    ] = s.node.written.as_slice()
    else {
        panic!("{:?}", s.node.written.len())
    };
    assert_eq!((patient, text.as_str()), (same, note));
    assert_eq!(*patient, patients()[0].id);
    let Item::Observation(bp) = item.as_ref() else {
        panic!("a blood pressure is an observation")
    };
    let values: Vec<String> = bp
        .components
        .iter()
        .filter_map(|c| match &c.value {
            Some(ObservationValue::Quantity(q)) => q.value.as_ref().map(ToString::to_string),
            _ => None,
        })
        .collect();
    assert_eq!(values, ["128", "82"]);
}

#[test]
fn a_registration_takes_seven_keys_and_the_persons_data() {
    let mut s = script();
    s.press("<ctrl-n>")
        .press("Bauer<tab>Ada<tab>19840517<tab>f<tab><tab>0305550199<enter>");
    assert_eq!(s.pages(), ["patients", "record"]);
    let data = "BauerAda19840517f0305550199".len();
    assert_eq!(s.pressed, 7 + data);
    let needed = seconds(s.pressed, 6);
    assert!(
        needed <= 76.0,
        "the bar is Simple's 76 s for a registration; this takes {needed:.1} s"
    );
    let [Request::PatientNew(new)] = s.node.written.as_slice() else {
        panic!("nothing written")
    };
    assert_eq!(
        (new.birth_date.as_str(), new.sex.as_str()),
        ("1984-05-17", "female")
    );
    assert!(s.screen().contains("Bauer, Ada"));
}

#[test]
fn a_likely_duplicate_is_shown_before_it_is_registered() {
    let mut s = script();
    s.press("<ctrl-n>Smith<enter>Alex<enter>2001-07-30<enter>");
    assert!(s.screen().contains("Here already"), "{}", s.screen());
    assert!(s.screen().contains("Smith, Alexandra"));
}

#[test]
fn late_answers_to_earlier_letters_are_dropped() {
    let mut s = script();
    s.key(Key::char('s'));
    let earlier = s.waiting();
    s.key(Key::char('v'));
    // The first question was given up; its answer comes all the same.
    let (late, _) = earlier.last().expect("a question").clone();
    assert!(s.waiting().iter().all(|(call, _)| *call != late));
    let ghost = PatientRow {
        id: "dead".into(),
        family: "Ghost".into(),
        ..Default::default()
    };
    s.tell(Msg::Answer(late, Ok(Response::Patients(vec![ghost]))));
    assert!(!s.screen().contains("Ghost"));
    s.answer();
    assert!(s.screen().contains("Lindqvist"));
}

#[test]
fn enter_before_the_answer_never_opens_a_row_of_an_earlier_search() {
    // One match: it opens when the answer comes.
    let mut s = script();
    for key in parse("lind<enter>") {
        s.key(key);
    }
    assert_eq!(s.pages(), ["patients"]);
    s.answer();
    assert_eq!(s.pages(), ["patients", "record"]);
    assert!(s.screen().contains("Lindqvist, Sven"));
    // Two matches: they are seen first.
    let mut s = script();
    for key in parse("smith<enter>") {
        s.key(key);
    }
    s.answer();
    assert_eq!(s.pages(), ["patients"]);
    s.press("<enter>");
    assert_eq!(s.pages(), ["patients", "record"]);
}

#[test]
fn the_cursor_stays_on_its_patient_when_the_list_changes_under_it() {
    let mut s = script();
    s.press("<down><down>");
    let newcomer = PatientRow {
        id: "n".into(),
        family: "Abel".into(),
        ..Default::default()
    };
    s.node.patients.insert(0, newcomer);
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.tell(Msg::Event(stream, Event::PatientsChanged(vec!["n".into()])));
    s.wait(2).press("<enter>");
    assert!(s.screen().contains("Lindqvist, Sven"));
}

#[test]
fn a_wrong_passphrase_is_said_and_the_right_one_enters() {
    let mut s = Script::locked(SIZES[0]);
    s.press("nope<enter>");
    assert_eq!(s.pages(), ["unlock"]);
    assert!(
        s.screen()
            .contains("This passphrase does not open the vault.")
    );
    s.press(PASSPHRASE).press("<enter>");
    assert_eq!(s.pages(), ["patients"]);
    assert!(s.open.iter().any(|e| matches!(e, Effect::Subscribe { .. })));
    assert!(!format!("{:?}", s.model).contains("correct"));
}

#[test]
fn a_passphrase_is_bounded_and_never_drawn() {
    let mut s = Script::locked(SIZES[0]);
    s.tell(Msg::Paste("geheim".repeat(100_000)));
    assert!(!s.screen().contains("geheim"));
    s.key(Key::new(Code::Enter));
    let Some((_, Request::Unlock)) = s.waiting().last().cloned() else {
        panic!("no call")
    };
    let Some(Effect::Call {
        auth: Auth::Passphrase { passphrase, .. },
        ..
    }) = s.open.last()
    else {
        panic!("no passphrase")
    };
    assert!(passphrase.expose().len() <= 512);
}

#[test]
fn a_note_is_saved_only_when_the_node_says_so() {
    let mut s = script();
    s.press("ama<enter>nStable.");
    s.key(Key::ctrl('s'));
    assert_eq!(s.pages().last(), Some(&"note"));
    assert!(s.screen().contains("saving…") && !s.screen().contains("Note saved."));
    // Nothing changes it on its way.
    s.key(Key::char('x'));
    s.key(Key::ctrl('s'));
    let notes = |s: &Script| {
        s.waiting()
            .iter()
            .filter(|(_, r)| matches!(r, Request::PatientNote { .. }))
            .count()
    };
    assert_eq!(notes(&s), 1);
    let (call, _) = s
        .waiting()
        .into_iter()
        .find(|(_, r)| matches!(r, Request::PatientNote { .. }))
        .unwrap();
    s.open.clear();
    s.tell(Msg::Answer(
        call,
        Err(ApiError::failed("The disk is full.").hint("Free some space.")),
    ));
    assert!(s.screen().contains("The disk is full.") && s.screen().contains("Free some space."));
    assert!(s.screen().contains("Stable."), "the text is still there");
    s.press("<esc>");
    assert!(
        !s.screen().contains("The disk is full."),
        "the first escape takes the message away"
    );
    s.press("<ctrl-s>");
    assert_eq!(s.pages().last(), Some(&"record"));
}

#[test]
fn a_text_that_would_be_lost_is_asked_about() {
    let mut s = script();
    s.press("ama<enter>nStable.<esc>");
    assert!(s.screen().contains("Discard this note?") && s.screen().contains("7 characters"));
    s.press("n");
    assert_eq!(s.pages().last(), Some(&"note"));
    s.press("<esc>y");
    assert_eq!(s.pages().last(), Some(&"record"));
    s.press("n<esc>");
    assert_eq!(
        s.pages().last(),
        Some(&"record"),
        "an empty note is left without a question"
    );
    s.press("nStable.<ctrl-q>");
    assert!(s.screen().contains("Leave Salus?") && !s.quit);
    s.press("y");
    assert!(s.quit);
    assert!(s.node.written.is_empty());
}

#[test]
fn a_lock_keeps_the_unsaved_note_for_its_writer() {
    let mut s = script();
    s.press("ama<enter>nHalf a sen<ctrl-l>");
    assert_eq!(
        (s.pages(), s.node.state),
        (vec!["unlock"], LockState::Locked)
    );
    assert!(!s.screen().contains("Half") && !s.screen().contains("Okafor"));
    assert!(s.model.desk.session.is_none() && s.model.desk.peers.is_none());
    s.press(PASSPHRASE).press("<enter>");
    assert_eq!(s.pages(), ["patients", "record", "note"]);
    assert!(s.screen().contains("Half a sen") && s.screen().contains("Okafor, Amara"));
}

#[test]
fn ten_minutes_without_a_key_lock_the_desk() {
    let mut s = script();
    s.press("ama<enter>");
    let idle_s = IDLE_LOCK_MS / 1_000;
    s.wait(idle_s - 1);
    assert_eq!(s.pages().last(), Some(&"record"));
    s.press("j").wait(idle_s - 1);
    assert_eq!(
        s.pages().last(),
        Some(&"record"),
        "a key starts the time anew"
    );
    s.wait(1);
    assert_eq!(s.pages(), ["unlock"]);
    assert!(s.screen().contains("10 minutes"));
    assert_eq!(s.node.state, LockState::Locked);
}

#[test]
fn a_node_that_locks_or_starts_anew_takes_the_desk_to_the_door() {
    let mut s = script();
    s.press("ama<enter>");
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.node.state = LockState::Locked;
    s.tell(Msg::Event(stream, Event::Locked));
    s.answer();
    assert_eq!(s.pages(), ["unlock"]);

    // A session that is refused: the node's state says that it is over.
    let mut s = script();
    s.node.state = LockState::Sealed;
    s.press("a");
    assert_eq!(s.pages(), ["unlock"]);
    assert!(s.screen().contains("started anew"));
}

#[test]
fn a_lost_node_is_said_and_tried_again_until_it_answers() {
    let mut s = script();
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.press("ama<enter>nStable.");
    s.tell(Msg::StreamEnded(stream, None));
    assert!(s.screen().contains("The node has not answered since"));
    assert!(s.screen().contains("Stable."));
    // Each attempt that fails waits longer than the one before.
    let mut attempts = 0;
    for _ in 0..20 {
        let now_ms = s.model.desk.clock.now_ms + 1_000;
        s.tell(Msg::Tick { now_ms });
        for (call, request) in s.waiting() {
            attempts += usize::from(request == Request::Status);
            s.tell(Msg::Answer(call, Err(ApiError::failed("gone"))));
        }
        s.open.clear();
    }
    assert!((4..=6).contains(&attempts), "{attempts}");
    s.wait(20);
    assert_eq!(s.model.desk.link, Link::Up);
    assert!(
        s.open.iter().any(|e| matches!(e, Effect::Subscribe { .. })),
        "listens again"
    );
    assert!(s.screen().contains("Stable."));
}

#[test]
fn changes_elsewhere_appear_by_themselves() {
    let mut s = script();
    s.press("ama<enter>");
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.node.record.content.patient.phone = Some("+49 30 9999".into());
    s.tell(Msg::Event(
        stream,
        Event::PatientsChanged(vec![patients()[0].id.clone()]),
    ));
    s.wait(1);
    assert!(s.screen().contains("+49 30 9999"));
    // A burst of changes is not a burst of questions.
    for _ in 0..1_000 {
        s.tell(Msg::Event(
            stream,
            Event::PatientsChanged(vec![patients()[0].id.clone()]),
        ));
    }
    assert!(s.waiting().len() <= 2, "{}", s.waiting().len());
}

#[test]
fn a_clinic_that_may_only_read_is_told_before_it_types() {
    let mut s = script();
    s.node.record.right = salus_api::Right::Read;
    s.press("ama<enter>b");
    assert_eq!(s.pages().last(), Some(&"record"));
    assert!(s.screen().contains("may read this record, but not write"));
}

#[test]
fn a_suggestion_is_accepted_or_rejected_by_whoever_looks_at_it() {
    let id = |n: &str| n.repeat(32);
    let accept = |id: String, label: Option<&str>| Request::Accept {
        patient: crate::fixtures::patients()[0].id.clone(),
        suggestion: id,
        label: label.map(str::to_owned),
    };
    let reject = |id: String, why: &str| Request::Reject {
        patient: crate::fixtures::patients()[0].id.clone(),
        suggestion: id,
        why: why.to_owned(),
    };
    // What is pressed in the section, and what the node is asked to write.
    let cases: Vec<(&str, Option<Request>)> = vec![
        ("y<enter>", Some(accept(id("5a"), None))),
        ("<enter>y<enter>", Some(accept(id("5a"), None))),
        (
            "y<ctrl-u>atelectasis<enter>",
            Some(accept(id("5a"), Some("atelectasis"))),
        ),
        // What was not assessed has no finding of its own.
        ("jy<enter>", None),
        (
            "jyeffusion<enter>",
            Some(accept(id("6b"), Some("effusion"))),
        ),
        ("x<enter>", None),
        ("xblurred<enter>", Some(reject(id("5a"), "blurred"))),
        ("jjxblurred<enter>", Some(reject(id("7c"), "blurred"))),
        // Whoever turns round decides nothing.
        ("y<esc>", None),
        ("xblurred<esc>", None),
        // In the past nothing is decided, and elsewhere there is nothing to decide.
        ("t2026-06-01<enter>=y<enter>", None),
        ("3yx", None),
    ];
    for (keys, asked) in cases {
        let mut script = script();
        script.node.record.suggestions = crate::fixtures::suggestions();
        script.press("oka amara<enter>=").press(keys);
        assert_eq!(script.node.written, Vec::from_iter(asked), "{keys}");
    }
}

#[test]
fn a_finding_that_was_entered_in_error_says_so_in_every_width() {
    for mut script in [script(), wide()] {
        let report = DiagnosticReport {
            id: "d1".into(),
            status: Some("entered-in-error".into()),
            code: CodeableConcept::code("", "", "Imaging"),
            conclusion: Some("pneumonia".into()),
            ..DiagnosticReport::default()
        };
        script.node.record.content.diagnostic_reports = vec![report];
        script.press("oka amara<enter>6");
        let screen = script.screen();
        assert!(screen.contains("entered in error: Imaging"), "{screen}");
    }
}

#[test]
fn a_decision_says_what_came_of_it_and_is_asked_about_before_it_is_lost() {
    let mut script = script();
    script.node.record.suggestions = crate::fixtures::suggestions();
    script.press("oka amara<enter>=xblurred");
    assert!(script.model.unsaved().is_some());
    // Somebody else decides meanwhile: nobody decides about something else than they saw.
    script.node.record.suggestions[0].state = SuggestionState::Accepted;
    let stream = script.model.desk.stream.expect("somebody is signed in");
    let id = script.node.record.row.id.clone();
    script.wait(2);
    script.tell(Msg::Event(stream, Event::PatientsChanged(vec![id])));
    script.answer();
    assert!(script.screen().contains("Somebody else decided"));
    script.press("<enter>");
    assert!(script.screen().contains("The suggestion is rejected."));
    assert!(script.model.unsaved().is_none());
}

#[test]
fn the_palette_finds_and_runs_commands() {
    let mut s = script();
    s.press("ama<enter>:confl<enter>");
    assert_eq!(s.pages().last(), Some(&"conflicts"));
    s.press("<ctrl-p>dark<enter>");
    assert!(s.model.overlay.is_none());
    assert_eq!(s.model.desk.theme, crate::theme::Theme::Dark);
    assert!(matches!(s.model.desk.notice, Some(Notice::Done { .. })));
}

#[test]
fn help_lists_every_action_and_every_key() {
    let mut s = wide();
    s.tell(Msg::Resize(Size {
        width: 120,
        height: 130,
    }));
    s.press("<f1>");
    let screen = s.screen();
    for binding in BINDINGS {
        assert!(
            screen.contains(binding.title),
            "{} is missing",
            binding.title
        );
        let first = binding.keys.first().expect("a key").to_string();
        assert!(screen.contains(&first), "{first} is missing");
    }
    s.press("<esc>");
    assert!(s.model.overlay.is_none());
}

#[test]
fn hostile_text_reaches_no_screen() {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\n\t\u{202e}gnp.\u{2066}\u{200b}\u{feff}山\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}";
    let evil = EVIL.repeat(40) + &"w".repeat(100_000);
    let json = serde_json::to_string(&record()).expect("a record is plain data");
    let replaced = json
        .replace("Okafor", "QQQ")
        .replace("Metformin", "QQQ")
        .replace("Feels well", "QQQ");
    let quoted = serde_json::to_string(&evil).expect("a text");
    let record = replaced.replace("QQQ", quoted.trim_matches('"'));
    for size in SIZES {
        let mut s = Script::signed_in(size);
        s.node.record = serde_json::from_str(&record).expect("the same record with other words");
        s.node.record.problems = vec![evil.clone()];
        s.node.record.warnings = vec![evil.clone(); 2];
        s.node.record.concerns = concerns();
        for concern in &mut s.node.record.concerns {
            concern.text.clone_from(&evil);
            for writer in &mut concern.writers {
                (writer.author, writer.clinic) = (evil.clone(), evil.clone());
                (writer.path, writer.value) = (evil.clone(), serde_json::json!({ &evil: &evil }));
            }
        }
        for found in &mut s.node.duplicates {
            found.row.family.clone_from(&evil);
            found.reasons = vec![evil.clone(); 2];
        }
        s.node.record.linked = vec![s.node.duplicates[0].row.clone()];
        for grant in &mut s.node.grants {
            (grant.name, grant.by) = (evil.clone(), evil.clone());
            grant.ended = Some(evil.clone());
        }
        for row in &mut s.node.patients {
            row.mrn.clone_from(&evil);
        }
        s.node.patients[0].family.clone_from(&evil);
        for peer in &mut s.node.peers {
            (peer.name, peer.last_error) = (evil.clone(), Some(evil.clone()));
        }
        for row in &mut s.node.audit {
            row.log.clone_from(&s.node.patients[0].id);
            (row.actor, row.clinic) = (evil.clone(), evil.clone());
            row.summary = vec![evil.clone(); 3];
            row.void = Some(evil.clone());
        }
        let walks = [
            "",
            "<enter>",
            "2",
            "3",
            "4<enter>",
            "<esc>5",
            "6",
            "7",
            "8",
            "9",
            "0<enter>",
            "<esc>-",
            "b",
            "<esc>n",
            "<esc><esc>yc",
            "a",
            "<esc>jj<enter>",
            "no",
            "<esc><esc>d",
            "s",
            "n<esc>w",
            "<enter>",
            "<esc>x",
            "<esc><esc>a",
            "<enter>",
            "<esc><esc>s",
            "s",
            "<esc><esc><esc>a",
        ];
        for keys in walks {
            s.press(keys);
            let screen = s.screen();
            let bad = |c: char| {
                (c.is_control() && c != '\n')
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
            };
            assert!(!screen.contains(bad), "after {keys:?}:\n{screen}");
            for line in screen.lines() {
                assert!(
                    crate::text::width(line) <= usize::from(size.width),
                    "{line}"
                );
            }
        }
        let hostile = ApiError::failed(evil.clone()).hint(evil.clone());
        s.node.failure = Some(hostile);
        s.press("r");
        assert!(!s.screen().contains('\u{1b}'));
    }
}

#[test]
fn nothing_typed_blind_does_anything() {
    let mut s = script();
    s.press("ama<enter>");
    s.tell(Msg::Resize(Size {
        width: 60,
        height: 20,
    }));
    s.press("b12882<enter>");
    assert!(s.node.written.is_empty());
    assert_eq!(s.pages().last(), Some(&"record"));
    s.press("<ctrl-c>");
    assert!(s.quit);
}

#[test]
fn any_keys_in_any_order_at_any_size_do_no_harm() {
    // A fixed pseudo-random walk (xorshift64, Marsaglia 2003) over all keys that do anything.
    let mut keys: Vec<Key> = BINDINGS
        .iter()
        .flat_map(|b| b.keys.iter().copied())
        .collect();
    keys.retain(|k| *k != Key::ctrl('q') && *k != Key::ctrl('c'));
    keys.extend("aé山1/ ".chars().map(Key::char));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % n as u64).unwrap()
    };
    let script = || {
        let mut s = script();
        s.node.record.attachments = files();
        s
    };
    let mut s = script();
    for step in 0..6_000 {
        s.key(keys[next(keys.len())]);
        match next(40) {
            0 => s.tell(Msg::Tick {
                now_ms: s.model.desk.clock.now_ms + 1_000,
            }),
            1 => {
                let (width, height) = (
                    u16::try_from(next(140)).unwrap(),
                    u16::try_from(next(50)).unwrap(),
                );
                s.tell(Msg::Resize(Size {
                    width: width.max(1),
                    height: height.max(1),
                }));
            }
            2 => s.tell(Msg::Resize(SIZES[next(2)])),
            3 => s.node.failure = Some(ApiError::refused("no").hint("ask")),
            4 => s.node.failure = None,
            _ => {}
        }
        if next(3) > 0 {
            s.answer();
        }
        if step % 7 == 0 {
            s.screen();
        }
        if s.model.desk.session.is_none() && next(4) == 0 {
            s.node.failure = None;
            s.tell(Msg::Resize(SIZES[0]));
            s = script();
        }
    }
}

#[test]
fn the_same_messages_give_the_same_state() {
    let play = || {
        let mut s = script();
        s.press("ama<enter>b12882<enter>5<down><enter>");
        s.model
    };
    assert!(play() == play());
}

#[test]
fn a_session_that_was_opened_elsewhere_needs_no_passphrase() {
    let s = script();
    assert_eq!(s.pages(), ["patients"]);
    let token = Auth::Session(SessionToken::new("token".into()));
    assert!(
        s.model
            .desk
            .session
            .as_ref()
            .is_some_and(|session| session.auth == token)
    );
}
