//! Keys in, escape sequences out: what a terminal with pixels of its own is told, frame by frame.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use salus_api::{PictureView, PreviewView, Request};

use crate::attachments::at_files;
use crate::graphics::tests::sequences;
use crate::graphics::{Gallery, Protocol, Raster};
use crate::msg::{Msg, Size};
use crate::testing::{SIZES, Script};
use crate::theme::Theme;
use crate::view::view;

/// A terminal that keeps what is written to it: cells, and sequences after them.
struct Wall {
    terminal: Terminal<TestBackend>,
    gallery: Gallery<Vec<u8>>,
    read: usize,
}

impl Wall {
    fn new(protocol: Protocol) -> Self {
        let Size { width, height } = SIZES[0];
        Self {
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            gallery: Gallery::new(Vec::new(), Some(protocol), 1),
            read: 0,
        }
    }

    /// Draws as the loop does. Returns what was written for pictures.
    fn draw(&mut self, s: &Script) -> Vec<u8> {
        let Size { width, height } = s.model.desk.size;
        self.terminal.backend_mut().resize(width, height);
        let mut pictures = Vec::new();
        let drawn = self.terminal.draw(|frame| pictures = view(&s.model, frame));
        let screen = drawn.unwrap().area.as_size();
        self.gallery.show(screen, pictures).unwrap();
        let written = self.gallery.written()[self.read..].to_vec();
        self.read += written.len();
        written
    }

    /// What kitty is told to do, and about which picture; the second parts of one left out.
    fn told(&mut self, s: &Script) -> Vec<(String, u32)> {
        let written = self.draw(s);
        let told = sequences(&written).into_iter().filter_map(|(keys, _)| {
            let value = |name: &str| {
                let mut all = keys.split(',').filter_map(|key| key.split_once('='));
                Some(all.find(|(key, _)| *key == name)?.1.to_owned())
            };
            assert_eq!(value("q").as_deref(), Some("2"), "{keys}");
            let id = value("i")?.parse().unwrap();
            Some((value("a")? + &value("d").unwrap_or_default(), id))
        });
        told.collect()
    }
}

fn told(parts: &[(&str, u32)]) -> Vec<(String, u32)> {
    let owned = |(what, id): &(&str, u32)| ((*what).to_owned(), *id);
    parts.iter().map(owned).collect()
}

/// At the files of a record, in colour; the file of the fourth row is a picture of this size.
fn at_pictures(protocol: Protocol, width: u32, height: u32) -> Script {
    let mut s = at_files(SIZES[0]);
    s.model.desk.theme = Theme::Dark;
    s.model.desk.raster = Some(Raster {
        protocol,
        cell: (10, 20),
    });
    let levels = (0..width * height).map(|n| u8::try_from(n % 251).unwrap());
    s.node.previews[3] = PreviewView::Picture {
        picture: PictureView {
            width,
            height,
            rgb: levels.flat_map(|level| [level; 3]).collect(),
        },
        from_file: true,
        frame: (0, 1),
        window: None,
    };
    s
}

/// The first number that is used.
const FIRST: u32 = 257;

#[test]
fn a_picture_is_handed_over_once_and_deleted_when_its_page_is_left() {
    let mut s = at_pictures(Protocol::Kitty, 300, 200);
    let mut wall = Wall::new(Protocol::Kitty);
    assert_eq!(wall.draw(&s), b"", "no picture, nothing to say");
    s.press("jjj<enter>");
    assert_eq!(wall.told(&s), told(&[("t", FIRST), ("p", FIRST)]));
    // The cells are blank: nothing shines through.
    assert!(!s.screen().contains('▀'), "{}", s.screen());
    s.wait(2);
    assert_eq!(wall.draw(&s), b"", "nothing changed");
    s.press("<esc>");
    assert_eq!(wall.told(&s), told(&[("dI", FIRST)]));
    s.press("<enter>");
    assert_eq!(wall.told(&s), told(&[("t", FIRST + 1), ("p", FIRST + 1)]));
}

#[test]
fn a_picture_is_asked_for_in_pixels() {
    let mut s = at_pictures(Protocol::Kitty, 300, 200);
    let side = |s: &Script| match s.node.looks.last() {
        Some(Request::Preview { max_side, .. }) => *max_side,
        other => panic!("{other:?}"),
    };
    s.press("jjj<enter>");
    assert_eq!(side(&s), 380, "38 columns of 10 pixels");
    s.press("m");
    assert_eq!(side(&s), 780);
    s.tell(Msg::Resize(SIZES[1]));
    s.wait(1);
    assert_eq!(side(&s), 1_024, "no more than is drawn");
}

#[test]
fn what_lies_over_a_picture_hides_it() {
    let mut s = at_pictures(Protocol::Kitty, 300, 200);
    let mut wall = Wall::new(Protocol::Kitty);
    s.press("jjj<enter>");
    wall.draw(&s);
    for (id, keys) in (FIRST..).zip(["?", "<ctrl-p>"]) {
        s.press(keys);
        assert_eq!(wall.told(&s), told(&[("dI", id)]), "{keys}");
        s.wait(1);
        assert_eq!(wall.draw(&s), b"");
        s.press("<esc>");
        assert_eq!(wall.told(&s), told(&[("t", id + 1), ("p", id + 1)]));
    }
    // A question over it.
    let question = crate::pages::Question::new(
        "Replace the file that is there?",
        "",
        "Replace it",
        "Leave it",
        crate::pages::Then::Replace("/a".into()),
    );
    s.model.overlay = Some(crate::model::Overlay::Question(question));
    assert_eq!(wall.told(&s), told(&[("dI", FIRST + 2)]));
}

#[test]
fn a_screen_of_another_size_is_told_anew_and_one_that_is_too_small_shows_none() {
    let mut s = at_pictures(Protocol::Kitty, 300, 200);
    let mut wall = Wall::new(Protocol::Kitty);
    s.press("jjj<enter>");
    wall.draw(&s);
    s.tell(Msg::Resize(SIZES[1]));
    assert_eq!(
        wall.told(&s),
        told(&[("dI", FIRST), ("t", FIRST + 1), ("p", FIRST + 1)])
    );
    s.tell(Msg::Resize(Size {
        width: 40,
        height: 10,
    }));
    assert_eq!(wall.told(&s), told(&[("dI", FIRST + 1)]));
}

#[test]
fn a_picture_that_only_moves_is_not_handed_over_again() {
    let mut s = at_pictures(Protocol::Kitty, 300, 100);
    let mut wall = Wall::new(Protocol::Kitty);
    s.press("jjj<enter>");
    wall.draw(&s);
    // While it is read anew a line stands above it.
    s.key(crate::testing::parse("r")[0]);
    assert_eq!(wall.told(&s), told(&[("di", FIRST), ("p", FIRST)]));
}

#[test]
fn a_lock_takes_the_picture_out_of_the_terminal() {
    let mut s = at_pictures(Protocol::Kitty, 300, 200);
    let mut wall = Wall::new(Protocol::Kitty);
    s.press("jjj<enter>");
    wall.draw(&s);
    s.model.leave("Locked.");
    assert_eq!(wall.told(&s), told(&[("dI", FIRST)]));
}

#[test]
fn without_pixels_or_colour_half_blocks_and_characters_are_drawn() {
    let mut s = at_pictures(Protocol::Kitty, 300, 200);
    let mut wall = Wall::new(Protocol::Kitty);
    s.press("jjj<enter>");
    s.model.desk.theme = Theme::Plain;
    assert_eq!(wall.draw(&s), b"");
    s.model.desk.theme = Theme::Dark;
    s.tell(Msg::Raster(None));
    assert_eq!(wall.draw(&s), b"");
    assert!(s.screen().contains('▀'));
}

#[test]
fn sixels_are_drawn_once_and_their_cells_again_when_they_go() {
    let mut s = at_pictures(Protocol::Sixel, 300, 200);
    let mut wall = Wall::new(Protocol::Sixel);
    s.press("jjj<enter>");
    let pictures = |written: Vec<u8>| {
        let text = String::from_utf8(written).unwrap();
        text.matches("\x1bP0;1;0q").count()
    };
    let written = wall.draw(&s);
    // Below bar, subject and its line, one column in; the cursor is put back.
    let text = String::from_utf8(written.clone()).unwrap();
    assert!(text.starts_with("\x1b7\x1b[") && text.ends_with("\x1b\\\x1b8"));
    assert_eq!(pictures(written), 1);
    s.wait(1);
    assert_eq!(wall.draw(&s), b"");
    let with = wall.terminal.backend().buffer().clone();
    s.press("?");
    assert_eq!(wall.draw(&s), b"");
    let mut gone = with.clone();
    gone.content
        .clone_from(&wall.terminal.backend().buffer().content);
    // Every cell that the picture had was written: cells that are the same are not, and would keep its pixels.
    let blank = |(x, y): (u16, u16)| {
        let cell = &with[(x, y)];
        cell.symbol() == " " && matches!(cell.fg, ratatui::style::Color::Rgb(..))
    };
    let cells: Vec<_> = with.area.positions().map(|p| (p.x, p.y)).collect();
    let had: Vec<_> = cells.into_iter().filter(|at| blank(*at)).collect();
    assert!(had.len() > 100, "{}", had.len());
    assert!(had.iter().all(|at| with[*at] != gone[*at]));
    s.press("<esc>");
    assert_eq!(pictures(wall.draw(&s)), 1);
}
