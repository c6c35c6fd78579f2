//! Keys in, state out: an image is chosen, looked at by a model, and decided about.

use std::path::{Path, PathBuf};

use salus_api::{ApiError, ErrorKind, PictureView, Request, Response};

use crate::fixtures::patients;
use crate::keymap::Context;
use crate::keys::{Code, Key};
use crate::msg::{Effect, Msg};
use crate::testing::{SIZES, Script, parse};
use crate::theme::Theme;

/// At the chooser, in a folder with one folder and three images.
fn chooser() -> Script {
    let mut s = Script::signed_in(SIZES[0]);
    s.press("oka amara<enter>i");
    s
}

/// What the model was asked to look at.
fn looked_at(s: &Script) -> Vec<PathBuf> {
    let path = |request: &Request| match request {
        Request::Classify { path, patient } => {
            assert_eq!(patient.as_deref(), Some(patients()[0].id.as_str()));
            Some(path.clone())
        }
        _ => None,
    };
    s.node.written.iter().filter_map(path).collect()
}

#[test]
fn a_table_of_ways_to_a_file() {
    const FILE: &str = "/home/ines/scans/chest-2026-11-20.png";
    let table: [(&str, Option<&str>); 19] = [
        ("<down><enter>", Some(FILE)),
        ("chest<enter>", Some(FILE)),
        ("11-20<enter>", Some(FILE)),
        ("CHEST-2026-11-20<enter>", Some(FILE)),
        // Completed as far as the names go together, and no further.
        (
            "c<tab>0.png<enter>",
            Some("/home/ines/scans/chest-2026-11-20.png"),
        ),
        ("c<tab>0<tab><enter>", Some(FILE)),
        ("h<tab><enter>", Some("/home/ines/scans/holiday.jpg")),
        // Folders: opened, left, written, completed.
        ("<enter>", None),
        ("<enter><backspace><down><enter>", Some(FILE)),
        ("a<tab><backspace>ches<enter>", Some(FILE)),
        ("<backspace><enter>chest<enter>", Some(FILE)),
        ("../scans/ches<enter>", Some(FILE)),
        ("..<enter>sca<tab>ches<enter>", Some(FILE)),
        ("~/scans/ches<enter>", Some(FILE)),
        ("/home/ines/scans/ches<enter>", Some(FILE)),
        (
            "<ctrl-w><ctrl-w><ctrl-w><ctrl-w>home/ines/scans/ches<enter>",
            Some(FILE),
        ),
        // Written out, it need not be in the list.
        (".hidden<enter>", None),
        ("<backspace><backspace><backspace><backspace>", None),
        ("archive/<enter>", None),
    ];
    for (keys, file) in table {
        let mut s = chooser();
        s.press(keys);
        assert_eq!(
            looked_at(&s),
            Vec::from_iter(file.map(PathBuf::from)),
            "{keys}"
        );
        let context = if file.is_some() {
            Context::Image
        } else {
            Context::Chooser
        };
        assert_eq!(s.model.context(), context, "{keys}: {}", s.screen());
    }
}

#[test]
fn a_path_is_pasted_whole() {
    let mut s = chooser();
    s.tell(Msg::Paste("/home/ines/scans/holiday.jpg\n".into()));
    s.answer();
    s.press("<backspace><enter>");
    assert_eq!(looked_at(&s), [Path::new("/home/ines/scans/holiday.jpg")]);
}

#[test]
fn a_folder_is_read_by_the_loop_and_a_late_one_is_dropped() {
    let mut s = chooser();
    for key in parse("<backspace>") {
        s.key(key);
    }
    let reading = |s: &Script| -> Vec<_> {
        let call = |e: &Effect| match e {
            Effect::ReadFolder { call, folder, .. } => Some((*call, folder.clone())),
            _ => None,
        };
        s.open.iter().filter_map(call).collect()
    };
    let [(late, folder)]: [_; 1] = reading(&s).try_into().expect("one folder is read");
    assert_eq!(folder, Path::new("/home/ines"));
    assert!(s.screen().contains("Reading the folder…"));
    // Further up before it has come: the first list belongs to another folder.
    s.key(Key::new(Code::Backspace));
    let listing = crate::folder::Listing::of(
        crate::folder::Sort::Images,
        [("ghost.png".to_owned(), false)],
    );
    s.tell(Msg::Folder(late, Ok(listing)));
    assert!(!s.screen().contains("ghost"));
    s.answer();
    assert!(s.screen().contains("ines/"), "{}", s.screen());
}

#[test]
fn what_went_wrong_is_said_beside_the_path_which_stays() {
    let mut s = chooser();
    s.press("absent.png<enter>");
    let screen = s.screen();
    assert!(
        screen.contains("no such file") && screen.contains("check the name"),
        "{screen}"
    );
    assert!(screen.contains("/scans/absent.png"), "{screen}");
    // The next key takes it away, and the path can be mended.
    s.press("<backspace>");
    assert!(!s.screen().contains("no such file") && s.screen().contains("absent.pn"));
    s.press("<ctrl-u>nowhere/");
    assert!(
        s.screen().contains("There is no such folder."),
        "{}",
        s.screen()
    );
    s.press("<backspace>chest<enter>");
    assert_eq!(s.model.context(), Context::Image);

    // Refused is said where all refusals are; the session is asked about.
    let mut s = chooser();
    s.node.failure = Some(ApiError::new(
        ErrorKind::Refused,
        "A registrar asks no model.",
    ));
    s.press("chest<enter>");
    assert!(
        s.screen().contains("A registrar asks no model.") && s.screen().contains("/scans/chest")
    );
    assert_eq!(s.model.context(), Context::Chooser);
}

#[test]
fn the_last_folder_is_kept_until_somebody_else_may_sit_here() {
    let mut s = chooser();
    s.press("~/<enter>").press("<backspace>");
    s.press("/home/ines/scans/ches<enter>");
    s.press("<esc>i");
    assert!(s.screen().contains("/home/ines/scans/"), "{}", s.screen());
    s.node
        .folders
        .push(("/data".into(), vec![("x.png".into(), false)]));
    s.press("/data/x<enter><esc>i");
    assert!(s.screen().contains("/data/"), "{}", s.screen());
    s.press("<ctrl-l>");
    assert_eq!(s.model.desk.folder, None);
}

#[test]
fn a_decision_leads_back_to_the_record() {
    let id = "9e".repeat(32);
    let patient = || patients()[0].id.clone();
    let accept = |label: Option<&str>| Request::Accept {
        patient: patient(),
        suggestion: id.clone(),
        label: label.map(str::to_owned),
    };
    let reject = Request::Reject {
        patient: patient(),
        suggestion: id.clone(),
        why: "blurred".to_owned(),
    };
    let table = [
        ("chest<enter>y<enter>", Some(accept(None))),
        (
            "chest<enter>y<ctrl-u>atelectasis<enter>",
            Some(accept(Some("atelectasis"))),
        ),
        ("chest<enter>y<esc>", None),
        ("chest<enter>x<enter>", None),
        ("chest<enter>xblurred<enter>", Some(reject)),
        // What was not assessed has no finding of its own.
        ("holiday<enter>y<enter>", None),
        (
            "holiday<enter>ya garden<enter>",
            Some(accept(Some("a garden"))),
        ),
    ];
    for (keys, asked) in table {
        let mut s = chooser();
        s.press(keys);
        assert_eq!(
            s.node.written.get(1..).unwrap_or(&[]),
            Vec::from_iter(asked.clone()),
            "{keys}"
        );
        let on_record = s.pages() == ["patients", "record"];
        assert_eq!(on_record, asked.is_some(), "{keys}");
        if on_record {
            let said = s.screen();
            assert!(
                said.contains("✓ Accepted: it is")
                    || said.contains("✓ The suggestion is rejected."),
                "{keys}: {said}"
            );
        }
    }
}

#[test]
fn a_decision_that_fails_stays_where_it_was_typed() {
    let mut s = chooser();
    s.press("chest<enter>xblurred");
    assert!(s.model.unsaved().is_some());
    s.node.failure = Some(ApiError::failed("The disk is full."));
    s.press("<enter>");
    assert!(s.screen().contains("The disk is full.") && s.screen().contains("blurred"));
    s.node.failure = None;
    s.press("<esc><enter>");
    assert_eq!(s.pages(), ["patients", "record"]);
}

#[test]
fn an_answer_that_was_not_noted_cannot_be_decided_about() {
    let mut s = chooser();
    for key in parse("chest<enter>") {
        s.key(key);
    }
    let waiting = s.waiting();
    let [(call, Request::Classify { .. })] = waiting.as_slice() else {
        panic!("not asked")
    };
    let call = *call;
    let said = s.node.images[0].1.clone();
    s.open.clear();
    s.tell(Msg::Answer(call, Ok(Response::Classified(Box::new(said)))));
    s.press("y");
    assert!(
        s.screen().contains("did not note this answer"),
        "{}",
        s.screen()
    );
    assert_eq!(s.model.context(), Context::Image);
}

#[test]
fn nothing_is_typed_while_the_model_looks_and_one_can_leave() {
    let mut s = chooser();
    for key in parse("chest<enter>x<enter><backspace>") {
        s.key(key);
    }
    assert_eq!(s.waiting().len(), 1);
    assert!(s.screen().contains("the model looks at it…") && s.screen().contains("/scans/chest_"));
    s.key(Key::new(Code::Esc));
    assert_eq!(s.pages(), ["patients", "record"]);
    // The answer comes all the same, and is in the record.
    s.answer();
    assert_eq!(s.pages(), ["patients", "record"]);
}

#[test]
fn another_image_and_back_to_the_one_before() {
    let mut s = chooser();
    s.press("chest<enter>i");
    assert_eq!(s.model.context(), Context::Chooser);
    s.press("<esc>");
    assert!(s.model.context() == Context::Image && s.screen().contains("chest-2026-11-20.png"));
    s.press("i<ctrl-u>holiday<enter>");
    assert!(s.screen().contains("Not assessed"), "{}", s.screen());
    assert_eq!(looked_at(&s).len(), 2);
    s.press("<esc>");
    assert_eq!(s.pages(), ["patients", "record"]);
}

#[test]
fn the_next_choice_begins_with_nothing_typed() {
    let mut s = chooser();
    s.press("chest<enter>i");
    s.press("holi<enter>");
    let looked_at = looked_at(&s);
    let names = looked_at.iter().filter_map(|path| path.file_name());
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["chest-2026-11-20.png", "holiday.jpg"]
    );
}

#[test]
fn what_was_not_assessed_shows_no_category_and_no_heat() {
    for size in SIZES {
        let mut s = Script::signed_in(size);
        s.model.desk.theme = Theme::Dark;
        s.press("oka amara<enter>iholiday<enter>");
        let screen = s.screen();
        assert!(
            !screen.contains("pneumonia") && !screen.contains("Heat map of"),
            "{screen}"
        );
        assert!(screen.contains("unlike those"), "{screen}");
        s.press("m");
        assert!(s.screen().contains("There is none"));
    }
}

#[test]
fn reservations_are_words_and_stay_in_sight() {
    for size in SIZES {
        let mut s = Script::signed_in(size);
        s.press("oka amara<enter>ichest<enter>");
        for keys in ["", "jjjjjj", "y", "<esc>x"] {
            s.press(keys);
            let screen = s.screen();
            assert!(
                screen.contains("A suggestion, not a finding; for research use"),
                "{screen}"
            );
            assert!(screen.contains("Okafor, Amara Chidinma"), "{screen}");
        }
        s.press("<esc>kkkkkkk");
        let screen = s.screen();
        assert!(
            screen.contains("0.051 (!)") && screen.contains("(!) COVID-19: unreliable"),
            "{screen}"
        );
    }
}

#[test]
fn the_past_has_no_images_looked_at() {
    let mut s = Script::signed_in(SIZES[0]);
    s.press("oka amara<enter>t2026-06-01<enter>i");
    assert_eq!(s.pages(), ["patients", "record"]);
    assert!(s.screen().contains("Come back to the present first"));
}

#[test]
fn hostile_names_and_answers_reach_no_screen() {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\n\u{202e}gnp.\u{200b}山\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}";
    let evil = EVIL.repeat(20) + &"w".repeat(10_000);
    let file = format!("{EVIL}.png");
    for size in SIZES {
        let mut s = Script::signed_in(size);
        let folder = Path::new("/home/ines/scans").join(EVIL);
        s.node.folders[3].1.push((EVIL.to_owned(), true));
        s.node.folders.push((
            folder.clone(),
            vec![(file.clone(), false), (evil.clone() + ".png", false)],
        ));
        let mut said = s.node.images[0].1.clone();
        for output in &mut said.inference.outputs {
            (output.label, output.note) = (evil.clone(), Some(evil.clone()));
            output.p = Some(f64::NAN);
        }
        for text in [
            &mut said.inference.input.name,
            &mut said.inference.model.name,
            &mut said.inference.model.weights,
            &mut said.inference.explanation,
        ] {
            text.clone_from(&evil);
        }
        said.ms = f64::NEG_INFINITY;
        s.node.images.push((folder.join(&file), said.clone()));
        said.inference.uncertain = true;
        s.node
            .images
            .push((folder.join(evil.clone() + ".png"), said));
        s.press("oka amara<enter>i");
        let walk = [
            "",
            "[2J<tab>",
            "<ctrl-u><down><enter>",
            "<tab>",
            "<enter>",
            "y",
            "<esc>m",
            "i",
            "<down><enter>",
            "jjj",
            "iabsent<enter>",
        ];
        for keys in walk {
            s.press(keys);
            let screen = s.screen();
            let bad = |c: char| {
                (c.is_control() && c != '\n')
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            };
            assert!(!screen.contains(bad), "after {keys:?}:\n{screen}");
            for line in screen.lines() {
                assert!(
                    crate::text::width(line) <= usize::from(size.width),
                    "{line}"
                );
            }
        }
        assert!(
            looked_at(&s).contains(&folder.join(&file)),
            "what an input would not take can be chosen"
        );
    }
}

#[test]
fn a_picture_that_lies_about_its_size_is_left_out() {
    let mut s = chooser();
    s.node.images[0].1.picture = PictureView {
        width: 4_000_000_000,
        height: 4_000_000_000,
        rgb: vec![1, 2, 3],
    };
    s.press("chest<enter>");
    assert!(
        s.screen().contains("The node sent no picture"),
        "{}",
        s.screen()
    );
    assert!(s.screen().contains("0.912"));
}
