//! The words on the pages of a PDF, as lines: a page is interpreted as if it were drawn, and every glyph that would be put somewhere is noted
//! with its place.
//!
//! What is drawn as a picture has no words. Lines are put together from places alone, from top to bottom and left to right, the page turned
//! so that most of its glyphs stand upright; columns beside each other stay beside each other.

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use hayro_interpret::font::{Glyph, GlyphRun};
use hayro_interpret::hayro_cmap::BfString;
use hayro_interpret::hayro_syntax::Pdf;
use hayro_interpret::hayro_syntax::page::Page;
use hayro_interpret::kurbo::{BezPath, Point, Rect};
use hayro_interpret::{
    BlendMode, ClipPath, Context, Device, DrawMode, DrawProps, Image, ImageDrawProps,
    InterpreterCache, InterpreterSettings, SoftMask, TransformExt, interpret_page,
};

use crate::text::beginning;

/// Pages that are looked at.
const MAX_PAGES: usize = 40;
/// Glyphs of a page that are noted: a page of small print has ten thousand.
const MAX_GLYPHS: usize = 50_000;
/// Things that a file's pages draw, words or not: a plan has some ten thousand lines. Forms within forms may draw without end.
const MAX_DRAWN: usize = 300_000;
/// Glyphs that are less apart in height than this share of their size stand on one line.
const SAME_LINE: f64 = 0.45;
/// A gap wider than this share of the size stands for a blank; most fonts have one of a quarter.
const BLANK: f64 = 0.18;
/// A gap wider than this stands between columns.
const COLUMN: f64 = 1.5;

/// What is written in a PDF.
pub(crate) struct Pages {
    /// How many there are, where there are any.
    pub count: Option<u32>,
    /// The text of the first ones, as much as a preview holds.
    pub text: String,
    /// Whether that is all.
    pub whole: bool,
}

/// Reads a whole file; `None` where it cannot be read, because it is broken, encrypted, or beyond the interpreter.
pub(crate) fn read(bytes: &[u8]) -> Option<Pages> {
    // It interprets programs of other programs: what it meets unprepared costs this file's preview and nothing else.
    catch_unwind(AssertUnwindSafe(|| pages(bytes)))
        .ok()
        .flatten()
}

fn pages(bytes: &[u8]) -> Option<Pages> {
    let pdf = Pdf::new(bytes.to_vec()).ok()?;
    let pages = pdf.pages();
    let cache = InterpreterCache::new();
    let mut text = String::new();
    let mut whole = pages.len() <= MAX_PAGES;
    let mut drawn = 0;
    for page in pages.iter().take(MAX_PAGES) {
        let mut noted = Noted {
            glyphs: Vec::new(),
            drawn,
        };
        let draw = || interpret(page, &pdf, &cache, &mut noted);
        let ended = catch_unwind(AssertUnwindSafe(draw)).is_ok();
        drawn = noted.drawn;
        whole &= ended && noted.glyphs.len() < MAX_GLYPHS;
        let found = lines(noted.glyphs);
        if !found.is_empty() && !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&found);
        if text.len() > crate::MAX_PREVIEW_TEXT || drawn > MAX_DRAWN {
            whole = false;
            break;
        }
    }
    let (text, all) = beginning(text.chars());
    Some(Pages {
        count: u32::try_from(pages.len()).ok().filter(|count| *count > 0),
        text,
        whole: whole && all,
    })
}

fn interpret<'a>(page: &Page<'a>, pdf: &'a Pdf, cache: &InterpreterCache<'a>, noted: &mut Noted) {
    let (width, height) = page.render_dimensions();
    let area = Rect::new(0.0, 0.0, f64::from(width), f64::from(height));
    let upright = page.initial_transform(true).to_kurbo();
    let settings = InterpreterSettings::default();
    let mut context = Context::new(upright, area, cache, pdf.xref(), settings);
    interpret_page(page, &mut context, noted);
}

/// A glyph and where it stands: the ends of its base line, and its size, in units of the page, `y` downwards.
struct Placed {
    start: Point,
    end: Point,
    size: f64,
    what: BfString,
}

/// Which way a line runs, in quarter turns from left to right.
fn quarter(glyph: &Placed) -> usize {
    let (across, down) = (glyph.end.x - glyph.start.x, glyph.end.y - glyph.start.y);
    match (across.abs() >= down.abs(), across >= 0.0, down >= 0.0) {
        (true, true, _) => 0,
        (false, _, true) => 1,
        (true, false, _) => 2,
        (false, _, false) => 3,
    }
}

/// Turns a page so that most of its glyphs run from left to right.
fn turn_upright(glyphs: &mut [Placed]) {
    let mut counts = [0_usize; 4];
    for glyph in glyphs.iter() {
        counts[quarter(glyph)] += 1;
    }
    let most = (0..4).max_by_key(|way| (counts[*way], 4 - way));
    let turned = |point: Point| match most {
        Some(1) => Point::new(point.y, -point.x),
        Some(2) => Point::new(-point.x, -point.y),
        Some(3) => Point::new(-point.y, point.x),
        _ => point,
    };
    for glyph in glyphs {
        (glyph.start, glyph.end) = (turned(glyph.start), turned(glyph.end));
    }
}

/// Notes glyphs, and draws nothing.
struct Noted {
    glyphs: Vec<Placed>,
    /// What was to be drawn so far, glyphs and others, of all pages.
    drawn: usize,
}

impl Noted {
    /// The interpreter knows no other way to be stopped.
    fn drawn(&mut self) {
        self.drawn += 1;
        if self.drawn > MAX_DRAWN {
            resume_unwind(Box::new("too much is drawn"));
        }
    }
}

impl Device<'_> for Noted {
    fn draw_glyph_run(&mut self, run: &GlyphRun<'_, '_>, props: DrawProps<'_>, _: &DrawMode) {
        self.drawn();
        for glyph in run.glyphs() {
            if self.glyphs.len() >= MAX_GLYPHS {
                return;
            }
            let Some(what) = glyph.as_unicode() else {
                continue;
            };
            let advance = match &**glyph {
                Glyph::Outline(outline) => outline.advance_width(),
                Glyph::Type3(drawn) => drawn.advance_width(),
            };
            // Glyphs are measured in thousandths of their size.
            let place = props.transform * glyph.transform();
            let start = place * Point::ZERO;
            let end = place * Point::new(f64::from(advance.unwrap_or_default()), 0.0);
            let size = (place * Point::new(0.0, 1_000.0) - start).hypot();
            if start.is_finite() && end.is_finite() && size.is_finite() && size > 0.0 {
                self.glyphs.push(Placed {
                    start,
                    end,
                    size,
                    what,
                });
            }
        }
    }

    fn draw_path(&mut self, _: &BezPath, _: DrawProps<'_>, _: &DrawMode) {
        self.drawn();
    }
    fn draw_image(&mut self, _: Image<'_, '_>, _: ImageDrawProps<'_>) {
        self.drawn();
    }
    fn push_clip_path(&mut self, _: &ClipPath) {
        self.drawn();
    }
    fn pop_clip(&mut self) {}
    fn push_transparency_group(&mut self, _: f32, _: Option<SoftMask<'_>>, _: BlendMode) {
        self.drawn();
    }
    fn pop_transparency_group(&mut self) {}
}

fn lines(mut glyphs: Vec<Placed>) -> String {
    let order = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    turn_upright(&mut glyphs);
    glyphs.sort_by(|a, b| order(a.start.y, b.start.y));
    let mut text = String::new();
    let mut rest = glyphs.as_mut_slice();
    let mut above: Option<(f64, f64)> = None;
    while let Some(first) = rest.first() {
        let (y, size) = (first.start.y, first.size);
        // Sorted by height: what belongs to the line follows.
        let on_line = rest
            .iter()
            .take_while(|glyph| glyph.start.y - y <= SAME_LINE * size.max(glyph.size))
            .count();
        let (line, below) = rest.split_at_mut(on_line.max(1));
        rest = below;
        line.sort_by(|a, b| order(a.start.x, b.start.x));
        let words = line_text(line);
        if words.is_empty() {
            continue;
        }
        if let Some((before, tall)) = above {
            text.push('\n');
            // A gap of a line or more.
            if y - before > 2.2 * tall.max(size) {
                text.push('\n');
            }
        }
        text.push_str(&words);
        above = Some((y, size));
    }
    text
}

fn line_text(line: &[Placed]) -> String {
    let mut text = String::new();
    let mut end: Option<f64> = None;
    for glyph in line {
        let what: &str = match &glyph.what {
            BfString::Char(one) => &one.to_string(),
            BfString::String(several) => several,
        };
        // Line ends are made of places, not of what a glyph claims to be.
        let what = what.replace(|c: char| c.is_control(), "");
        let gap = end.map_or(0.0, |end| glyph.start.x - end);
        let blank = text.is_empty() || text.ends_with(' ') || what.starts_with(' ');
        if gap > COLUMN * glyph.size {
            text.push_str("  ");
        } else if gap > BLANK * glyph.size && !blank {
            text.push(' ');
        }
        text.push_str(&what);
        end = Some(end.map_or(glyph.end.x, |before| before.max(glyph.end.x)));
    }
    text.trim().to_owned()
}
