//! Keys in, state out: files of a record are looked at, written, opened elsewhere, kept, erased and attached.

use std::path::{Path, PathBuf};

use salus_api::{
    ApiError, ErrorKind, Event, PictureView, PreviewView, Progress, Request, Response,
};

use crate::fixtures::{files, patients};
use crate::keymap::{Action, Context};
use crate::keys::{Code, Key};
use crate::msg::{Msg, Size};
use crate::scratch::Scratch;
use crate::testing::{SIZES, Script};

/// The record with its files, at the section of files.
pub(crate) fn at_files(size: Size) -> Script {
    let mut s = Script::signed_in(size);
    s.node.record.attachments = files();
    s.press("oka amara<enter>-");
    s
}

/// At one of them, by its row.
fn at_file(row: usize) -> Script {
    let mut s = at_files(SIZES[0]);
    s.press(&"j".repeat(row)).press("<enter>");
    assert_eq!(s.pages().last(), Some(&"file"));
    s
}

/// A window, and a frame, as they are asked for.
type Asked = (Option<(f64, f64)>, Option<u32>);

/// Windows and frames that were asked for, the first look aside.
fn looks(s: &Script) -> Vec<Asked> {
    let look = |request: &Request| match request {
        Request::Preview { window, frame, .. } => (*window, *frame),
        other => panic!("{other:?}"),
    };
    s.node.looks.iter().skip(1).map(look).collect()
}

fn id(row: usize) -> String {
    files()[row].id.clone()
}

#[test]
fn a_table_of_windows_and_frames() {
    let soft = Some((40.0, 400.0));
    let table: [(&str, &[Asked]); 12] = [
        ("", &[]),
        ("<up>", &[(Some((80.0, 400.0)), None)]),
        ("k", &[(Some((80.0, 400.0)), None)]),
        ("<down>", &[(Some((0.0, 400.0)), None)]),
        (
            "<left>l",
            &[(Some((40.0, 364.0)), None), (Some((40.0, 400.0)), None)],
        ),
        ("1", &[(Some((-600.0, 1_500.0)), None)]),
        ("2", &[(Some((300.0, 1_500.0)), None)]),
        ("3", &[(Some((40.0, 80.0)), None)]),
        ("4", &[(soft, None)]),
        ("10", &[(Some((-600.0, 1_500.0)), None), (None, None)]),
        ("..", &[(None, Some(5)), (None, Some(6))]),
        (",4", &[(None, Some(3)), (soft, Some(3))]),
    ];
    for (keys, asked) in table {
        let mut s = at_file(0);
        assert_eq!(s.model.context(), Context::Slice);
        s.press(keys);
        assert_eq!(looks(&s), asked, "{keys}");
    }
}

#[test]
fn what_is_shown_is_said_in_words() {
    let mut s = at_file(0);
    let screen = s.screen();
    for words in [
        "centre 40, width 400 HU (own)",
        "frame 5 of 10",
        "small preview",
    ] {
        assert!(screen.contains(words), "{words}: {screen}");
    }
    s.press("1.");
    let screen = s.screen();
    assert!(
        screen.contains("centre -600, width 1500 HU (lung)") && screen.contains("frame 6 of 10")
    );
    assert!(!screen.contains("small preview"), "{screen}");
    // At both ends one stays.
    s.press("nnnnnnnn");
    assert!(s.screen().contains("frame 10 of 10"));
    s.press(",,,,,,,,,,,,");
    assert!(s.screen().contains("frame 1 of 10"), "{}", s.screen());
}

#[test]
fn keys_that_are_held_down_ask_for_their_last_wish_only() {
    let mut s = at_file(0);
    for _ in 0..20 {
        s.key(Key::new(Code::Up));
    }
    let waiting = s.waiting();
    let previews = waiting
        .iter()
        .filter(|(_, r)| matches!(r, Request::Preview { .. }));
    assert_eq!(previews.count(), 1, "{waiting:?}");
    // The screen stays usable, and says where it is going.
    assert!(s.screen().contains("centre 840,") && s.screen().contains('…'));
    s.answer();
    assert_eq!(
        looks(&s),
        [(Some((80.0, 400.0)), None), (Some((840.0, 400.0)), None)]
    );
    // A failure leaves the picture, and asks nothing more.
    s.node.failure = Some(ApiError::failed("The file is not here."));
    s.key(Key::new(Code::Up));
    s.key(Key::new(Code::Up));
    s.answer();
    let screen = s.screen();
    assert!(
        screen.contains("The file is not here.") && screen.contains("centre 840,"),
        "{screen}"
    );
    // Leaving hangs up.
    s.node.failure = None;
    s.press("<esc>");
    s.key(Key::new(Code::Up));
    s.key(Key::new(Code::Esc));
    assert!(
        !s.waiting()
            .iter()
            .any(|(_, r)| matches!(r, Request::Preview { .. }))
    );
}

#[test]
fn a_picture_is_asked_for_as_large_as_its_room() {
    let side = |s: &Script| match s.node.looks.last() {
        Some(Request::Preview { max_side, .. }) => *max_side,
        other => panic!("{other:?}"),
    };
    let mut s = at_file(0);
    let narrow = side(&s);
    assert_eq!(narrow, 38);
    s.press("m");
    assert_eq!(side(&s), 78);
    s.press("m");
    assert_eq!(s.node.looks.len(), 2, "a smaller one is made here");
    s.tell(Msg::Resize(SIZES[1]));
    s.press("m").wait(1);
    assert_eq!(side(&s), 118);
}

#[test]
fn windows_of_ct_are_for_ct_and_frames_for_what_has_them() {
    let mut s = at_file(0);
    s.node.record.attachments[0]
        .dicom
        .as_mut()
        .unwrap()
        .insert("modality".into(), "MR".into());
    s.press("<esc>r<enter>1");
    assert_eq!(looks(&s).len(), 1, "the second first look");
    assert!(!s.screen().contains("HU"), "{}", s.screen());
    let offers = |s: &Script, action| s.model.offers(action);
    assert!(!offers(&s, Action::HabitWindow) && offers(&s, Action::NextFrame));
    // One frame, no window: arrows scroll.
    let mut s = at_file(3);
    assert_eq!(s.model.context(), Context::File);
    s.press("..<up><left>04");
    assert_eq!(looks(&s), []);
    assert!(!offers(&s, Action::NextFrame) && offers(&s, Action::WriteFile));
    let s = at_file(5);
    for action in [
        Action::WriteFile,
        Action::OpenOutside,
        Action::EraseFile,
        Action::Larger,
    ] {
        assert!(!offers(&s, action), "{action:?}");
    }
}

#[test]
fn a_recording_a_text_and_nothing() {
    let s = at_file(1);
    let screen = s.screen();
    assert!(screen.contains("3:25") && screen.contains("1 (mono)") && screen.contains("16000 Hz"));
    assert!(screen.contains('⣿') || screen.contains('⡇'), "{screen}");
    let mut s = at_file(2);
    assert!(
        s.screen().contains("Dear colleague") && s.screen().contains("more; the beginning only")
    );
    s.press("G");
    assert!(
        s.screen().contains("The beginning only: write it"),
        "{}",
        s.screen()
    );
    s.press("g");
    assert!(s.screen().contains("more; the"));
    let s = at_file(4);
    assert!(
        s.screen().contains("Nothing of this file can be shown"),
        "{}",
        s.screen()
    );
    let s = at_file(5);
    assert!(
        s.screen().contains("The file was erased") && s.screen().contains("attached to the wrong")
    );
    assert!(s.node.looks.is_empty(), "nobody looks at what is erased");
}

#[test]
fn a_file_is_written_where_one_says() {
    let fetch = |to: &str, replace| Request::Fetch {
        patient: patients()[0].id.clone(),
        attachment: id(0),
        to: to.into(),
        replace,
    };
    let table = [
        (
            "w<enter>",
            Some(fetch("/home/ines/scans/thorax.dcm", false)),
        ),
        (
            "w<ctrl-u>a.dcm<enter>",
            Some(fetch("/home/ines/scans/a.dcm", false)),
        ),
        (
            "w<ctrl-u>~/a.dcm<enter>",
            Some(fetch("/home/ines/a.dcm", false)),
        ),
        (
            "w<ctrl-u>../a.dcm<enter>",
            Some(fetch("/home/ines/a.dcm", false)),
        ),
        ("w<ctrl-u>/mnt/x<enter>", Some(fetch("/mnt/x", false))),
        ("w<ctrl-u><enter>", None),
        ("w<esc>", None),
        ("w<ctrl-u>/taken<enter>n", None),
        ("w<ctrl-u>/taken<enter>y", Some(fetch("/taken", true))),
    ];
    for (keys, asked) in table {
        let mut s = at_file(0);
        s.node.taken = vec!["/taken".into()];
        s.press(keys);
        assert_eq!(s.node.written, Vec::from_iter(asked.clone()), "{keys}");
        assert_eq!(
            s.screen().contains("✓ Written to /"),
            asked.is_some(),
            "{keys}: {}",
            s.screen()
        );
    }
    let mut s = at_file(0);
    s.node.taken = vec!["/taken".into()];
    s.press("w<ctrl-u>/taken<enter>");
    assert!(
        s.screen().contains("Replace the file that is there?"),
        "{}",
        s.screen()
    );
}

#[test]
fn how_far_it_has_come_is_said_and_it_can_be_given_up() {
    let mut s = at_file(0);
    s.press("w");
    s.key(Key::new(Code::Enter));
    let fetching = |s: &Script| {
        let mut all = s.waiting().into_iter();
        all.find(|(_, r)| matches!(r, Request::Fetch { .. }))
            .map(|(call, _)| call)
    };
    let call = fetching(&s).expect("it is being written");
    let step = Progress {
        what: "thorax.dcm: received".into(),
        done: 2_000,
        total: 5_000,
    };
    s.tell(Msg::Progress(call, step));
    assert!(
        s.screen()
            .contains("writing the file… thorax.dcm: received · 40 %"),
        "{}",
        s.screen()
    );
    s.key(Key::new(Code::Esc));
    assert_eq!(fetching(&s), None);
    assert!(s.screen().contains("Given up") && s.screen().contains("thorax.dcm"));
    s.answer();
    assert!(s.node.written.is_empty());
}

#[test]
fn another_program_gets_a_file_that_is_wiped() {
    const PLACE: &str = "/run/salus-1/attachment.dcm";
    let wiped = |s: &Script| s.node.wiped.clone();
    // Handed on: kept until the screen is left.
    let mut s = at_file(0);
    s.press("o");
    let [
        Request::Fetch {
            to, replace: false, ..
        },
    ] = s.node.written.as_slice()
    else {
        panic!("{:?}", s.node.written)
    };
    assert_eq!(to, Path::new(PLACE));
    assert!(
        s.screen().contains("wiped when this screen is left"),
        "{}",
        s.screen()
    );
    s.press("o");
    assert_eq!(
        (s.node.written.len(), wiped(&s).len()),
        (1, 0),
        "it still lies there"
    );
    s.press("<esc>");
    assert_eq!(wiped(&s), [PathBuf::from(PLACE)]);
    // Locked: nobody sits here any more.
    let mut s = at_file(0);
    s.press("o<ctrl-l>");
    assert_eq!(wiped(&s), [PathBuf::from(PLACE)]);
    // Shown, and ended: the loop has wiped it.
    let mut s = at_file(0);
    s.node.outside = vec![Scratch::Shown];
    s.press("o");
    assert!(
        s.screen().contains("wiped when that ends"),
        "{}",
        s.screen()
    );
    s.node.outside = vec![Scratch::Shown, Scratch::Ended];
    let mut s = at_file(0);
    s.node.outside = vec![Scratch::Shown, Scratch::Ended];
    s.press("o");
    assert!(
        s.screen().contains("its temporary file is wiped."),
        "{}",
        s.screen()
    );
    s.press("<esc>");
    assert!(wiped(&s).is_empty());
    // Nothing shows it: it is not fetched at all.
    let mut s = at_file(0);
    s.node.outside = vec![Scratch::Failed("Set SALUS_VIEWER to one.".into())];
    s.press("o");
    assert!(s.node.written.is_empty() && s.screen().contains("Set SALUS_VIEWER"));
    // The node could not write it.
    let mut s = at_file(0);
    s.node.taken = vec![PLACE.into()];
    s.press("o");
    assert_eq!(wiped(&s), [PathBuf::from(PLACE)]);
    // A place that comes when the screen is gone.
    let mut s = at_file(0);
    s.key(Key::char('o'));
    s.key(Key::new(Code::Esc));
    s.answer();
    assert_eq!(wiped(&s), [PathBuf::from(PLACE)]);
    // What no program is known for is not handed to any.
    let mut s = at_file(0);
    s.node.record.attachments[0].mime = "application/x-executable".into();
    s.press("r").press("o");
    assert!(s.node.written.is_empty() && s.screen().contains("No program is known"));
}

#[test]
fn a_file_is_erased_with_a_reason_and_kept_files_are_kept() {
    let mut s = at_file(1);
    s.press("x<enter>");
    let screen = s.screen();
    assert!(
        screen.contains("CANNOT BE UNDONE") && screen.contains("Write why"),
        "{screen}"
    );
    assert!(s.node.written.is_empty());
    s.press("wrong room");
    assert!(s.model.unsaved().is_some());
    s.node.failure = Some(ApiError::failed("The disk is full."));
    s.press("<enter>");
    assert!(s.screen().contains("The disk is full.") && s.screen().contains("wrong room"));
    s.node.failure = None;
    s.press("<esc><enter>");
    let erase = Request::Erase {
        patient: patients()[0].id.clone(),
        attachment: Some(id(1)),
        reason: "wrong room".into(),
    };
    assert_eq!(s.node.written, [erase]);
    assert!(
        s.screen().contains("The file is erased.") && s.screen().contains("The file was erased")
    );
    s.press("w");
    assert!(s.screen().contains("nothing is left of it"));
    let mut s = at_file(0);
    s.press("p<enter>").press("p<left><enter>");
    let pins: Vec<bool> = s
        .node
        .written
        .iter()
        .map(|r| match r {
            Request::Pin { pin, .. } => *pin,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(pins, [true, false]);
}

#[test]
fn a_file_is_attached_and_shown() {
    let mut s = at_files(SIZES[0]);
    s.press("f");
    assert!(
        s.screen().contains("letter.pdf"),
        "all files can be chosen: {}",
        s.screen()
    );
    s.press("holi<enter>");
    assert_eq!(s.pages(), ["patients", "record", "file"]);
    let [
        Request::Attach {
            paths,
            confirmed: false,
            ..
        },
    ] = s.node.written.as_slice()
    else {
        panic!("{:?}", s.node.written)
    };
    assert_eq!(paths, &[PathBuf::from("/home/ines/scans/holiday.jpg")]);
    assert!(
        s.screen().contains("Attached: holiday.jpg"),
        "{}",
        s.screen()
    );
    s.press("<esc>");
    assert_eq!(s.pages(), ["patients", "record"]);
    assert!(s.screen().contains("holiday.jpg"));
    // What goes wrong is said beside the path.
    s.press("flett<enter>");
    assert!(s.screen().contains("the file ends early") && s.pages().last() == Some(&"attach"));
    // It can be given up.
    s.press("<ctrl-u>holi");
    s.key(Key::new(Code::Enter));
    s.key(Key::new(Code::Esc));
    assert!(s.screen().contains("Given up") && s.pages().last() == Some(&"attach"));
    s.answer();
    assert_eq!(s.node.written.len(), 1);
}

#[test]
fn a_file_that_names_somebody_else_is_attached_only_after_a_question() {
    let mut s = at_file(0);
    s.press("achest-2026-11-21<enter>");
    let screen = s.screen();
    assert!(
        screen.contains("Attach it to this record all the same?")
            && screen.contains("another person")
    );
    s.press("n");
    assert!(s.node.written.is_empty() && s.pages().last() == Some(&"attach"));
    s.press("<enter>y");
    assert!(matches!(
        s.node.written.as_slice(),
        [Request::Attach {
            confirmed: true,
            ..
        }]
    ));
    assert_eq!(s.pages(), ["patients", "record", "file", "file"]);
    assert!(s.screen().contains("Warning"), "{}", s.screen());
    // Another refusal is no question.
    let mut s = at_file(0);
    s.press("a");
    s.node.failure = Some(ApiError::new(
        ErrorKind::Refused,
        "An auditor attaches nothing.",
    ));
    s.press("holi<enter>");
    assert!(s.screen().contains("An auditor attaches nothing."));
    assert_eq!(s.model.context(), Context::Chooser);
}

#[test]
fn a_file_that_arrives_is_shown_as_it_comes() {
    let mut s = at_file(3);
    assert!(s.screen().contains("40 % of it"), "{}", s.screen());
    s.node.record.attachments[3].held = 21_000_000;
    s.wait(3);
    assert!(s.screen().contains("70 % of it"), "{}", s.screen());
    let before = s.node.looks.len();
    s.node.record.attachments[3].available = true;
    let stream = s.model.desk.stream.expect("somebody is signed in");
    s.tell(Msg::Event(
        stream,
        Event::PatientsChanged(vec![patients()[0].id.clone()]),
    ));
    s.answer();
    assert!(s.screen().contains("yes") && !s.screen().contains("% of it"));
    assert_eq!(s.node.looks.len(), before + 1, "it is looked at anew");
    // Erased elsewhere.
    s.node.record.attachments[3].erased = Some("a mistake".into());
    s.press("r");
    assert!(s.screen().contains("The file was erased") && s.screen().contains("a mistake"));
}

#[test]
fn as_it_was_a_file_is_only_read_about() {
    let mut s = at_files(SIZES[0]);
    s.press("t2026-06-01<enter>-<enter>");
    assert_eq!((s.pages().len(), s.model.context()), (2, Context::Item));
    assert!(s.screen().contains("thorax.dcm") && s.node.looks.is_empty());
    s.press("<esc>f");
    assert!(s.screen().contains("Come back to the present first"));
}

#[test]
fn nothing_odd_does_harm() {
    let picture = |width, height, bytes: usize| PictureView {
        width,
        height,
        rgb: vec![9; bytes],
    };
    let shown = |picture, frame, window| PreviewView::Picture {
        picture,
        from_file: true,
        frame,
        window,
    };
    let odd = [
        shown(picture(0, 0, 0), (0, 0), None),
        shown(picture(0, 0, 0), (u32::MAX, 0), Some((f64::NAN, 0.0))),
        shown(
            picture(1, 1, 3),
            (9, 2),
            Some((f64::MAX, f64::MIN_POSITIVE)),
        ),
        shown(
            picture(1, 4_000, 12_000),
            (u32::MAX, u32::MAX),
            Some((0.0, f64::INFINITY)),
        ),
        shown(
            picture(u32::MAX, u32::MAX, 3),
            (0, 1),
            Some((-1e300, 1e300)),
        ),
        PreviewView::Waveform {
            duration_ms: u64::MAX,
            peaks: Vec::new(),
        },
        PreviewView::Waveform {
            duration_ms: 0,
            peaks: vec![(127, -128)],
        },
        PreviewView::Text {
            text: String::new(),
            whole: true,
        },
        PreviewView::Text {
            text: "\u{1b}[2J\n".repeat(5_000) + &"w".repeat(70_000),
            whole: false,
        },
        PreviewView::None(String::new()),
    ];
    for (n, preview) in odd.into_iter().enumerate() {
        for (width, height) in [(80, 24), (120, 40), (1, 1), (10, 3), (80, 3), (500, 200)] {
            let mut s = at_files(SIZES[0]);
            s.node.previews[0] = preview.clone();
            s.node.record.attachments[0].held = u64::MAX;
            s.press("<enter>");
            s.tell(Msg::Resize(Size { width, height }));
            s.wait(1);
            assert!(!s.screen().contains('\u{1b}'), "{n}");
            s.press("<up><left>.,0mGg<down>m4");
            s.screen();
        }
    }
}

#[test]
fn what_a_file_says_of_itself_moves_no_cursor() {
    const EVIL: &str = "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\r\n\u{202e}gnp\u{200b}";
    for size in SIZES {
        let mut s = Script::signed_in(size);
        s.node.record.attachments = files();
        let long = EVIL.repeat(50);
        for file in &mut s.node.record.attachments {
            for text in [
                &mut file.name,
                &mut file.mime,
                &mut file.actor,
                &mut file.clinic,
                &mut file.sha256,
            ] {
                text.clone_from(&long);
            }
            file.about = Some(long.clone());
            file.erased = file.erased.as_ref().map(|_| long.clone());
            let maps = [Some(&mut file.facts), file.dicom.as_mut()];
            for map in maps.into_iter().flatten() {
                for value in map.values_mut().filter(|value| value.is_string()) {
                    *value = long.clone().into();
                }
                map.insert("warnings".into(), vec![long.clone(); 20].into());
                map.insert("note".into(), long.clone().into());
            }
        }
        s.node.previews[2] = PreviewView::Text {
            text: long.clone(),
            whole: true,
        };
        s.node.previews[4] = PreviewView::None(long.clone());
        s.press("oka amara<enter>-");
        for row in 0..6 {
            for keys in ["<enter>", "m", "w", "<esc>x", "<esc>p", "<esc>"] {
                s.press(keys);
                let screen = s.screen();
                let bad =
                    |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200b}');
                assert!(!screen.contains(bad), "row {row} after {keys}:\n{screen}");
            }
            s.press("<esc>j");
            assert_eq!(s.pages().last(), Some(&"record"), "row {row}");
        }
    }
}

#[test]
fn an_answer_of_another_kind_leaves_the_screen_usable() {
    let mut s = at_files(SIZES[0]);
    s.key(Key::new(Code::Enter));
    let call = s
        .waiting()
        .into_iter()
        .find(|(_, r)| matches!(r, Request::Preview { .. }));
    s.tell(Msg::Answer(
        call.expect("a look").0,
        Ok(Response::Done("what?".into())),
    ));
    assert!(s.screen().contains("Looking at the file"), "{}", s.screen());
    s.press("<esc>");
    assert_eq!(s.pages(), ["patients", "record"]);
}
