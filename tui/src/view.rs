//! The frame around every page: the bar at the top, the lines that say whose record it is, and the hints at the
//! bottom. Drawing changes nothing.

use ratatui::Frame;

use crate::canvas::{Aside, Canvas};
use crate::desk::{Desk, Link, Notice};
use crate::graphics::{self, Placed};
use crate::keymap::{self, Action, Context};
use crate::model::{MIN_SIZE, Model, Overlay};
use crate::subject::SUBJECT_ROWS;
use crate::text;
use crate::theme::Tone;

/// Draws the model. Returns the pictures that are to be shown in the terminal's own pixels.
pub(crate) fn view(model: &Model, frame: &mut Frame<'_>) -> Vec<Placed> {
    let area = frame.area();
    let mut aside = Aside::default();
    let mut canvas = Canvas::new(frame.buffer_mut(), area, model.desk.theme, &mut aside);
    if canvas.width() < MIN_SIZE.width || canvas.height() < MIN_SIZE.height {
        too_small(&mut canvas);
    } else {
        draw(model, &mut canvas);
    }
    if let Some(position) = aside.cursor {
        frame.set_cursor_position(position);
    }
    graphics::in_sight(aside.pictures, frame.buffer_mut())
}

fn too_small(canvas: &mut Canvas<'_>) {
    let (width, height) = (canvas.width(), canvas.height());
    let needs = format!("{} × {}", MIN_SIZE.width, MIN_SIZE.height);
    let lines = [
        (format!("Salus needs {needs}."), Tone::Strong),
        (format!("This is {width} × {height}."), Tone::Text),
        (
            "Make the window larger; nothing is lost.".to_owned(),
            Tone::Dim,
        ),
    ];
    let top = height.saturating_sub(3) / 2;
    for (y, (line, tone)) in (top..height).zip(&lines) {
        canvas.put_centred(y, line, *tone);
    }
}

fn draw(model: &Model, canvas: &mut Canvas<'_>) {
    let (width, height) = (canvas.width(), canvas.height());
    bar(&model.desk, canvas);
    let bottom = bottom_rows(&model.desk, width);
    let mut page = canvas.part(0, 1, width, height.saturating_sub(1 + bottom));
    let mut below = 0;
    if let Some(subject) = model.subject() {
        subject.view(&mut page, &model.desk.clock);
        below = SUBJECT_ROWS + 1;
    }
    let mut body = page.below(below);
    if let Some(screen) = model.top() {
        screen.page().view(&mut body, &model.desk);
    }
    match &model.overlay {
        None => {}
        Some(Overlay::Help(help)) => help.view(&mut page),
        // Whose record it is stays in sight.
        Some(Overlay::Palette(palette)) => palette.view(&mut page.below(below)),
        Some(Overlay::Question(question)) => question.view(&mut page.below(below)),
    }
    let mut foot = canvas.part(0, height - bottom, width, bottom);
    notice(&model.desk, &mut foot);
    let y = bottom - 1;
    hints(model, &mut foot, y);
}

/// Who, where, and how far in step with the others.
fn bar(desk: &Desk, canvas: &mut Canvas<'_>) {
    canvas.fill(0, Tone::Bar);
    let end = canvas.width() - 1;
    let mut at = end;
    if desk.session.is_some() {
        at = canvas.put_right(at, 0, &step(desk), Tone::Bar);
        if !desk.staff().is_empty() {
            at = canvas.put_right(at.saturating_sub(3), 0, desk.staff(), Tone::BarStrong);
        }
    }
    let mut x = canvas.put(1, 0, "Salus", Tone::BarStrong) + 2;
    let room = |x: u16| at.saturating_sub(x + 2);
    let clinic = if desk.session.is_some() {
        desk.clinic()
    } else {
        ""
    };
    if !clinic.is_empty() {
        x = canvas.put_within(x, 0, room(x), clinic, Tone::Bar) + 2;
    }
    if let Some(banner) = &desk.banner {
        let banner = format!(
            "[{}]",
            text::fit(banner, usize::from(room(x).saturating_sub(2)))
        );
        if room(x) > 4 {
            canvas.put_within(x, 0, room(x), &banner, Tone::Bar);
        }
    }
}

/// How far in step with the other clinics, in a few words.
fn step(desk: &Desk) -> String {
    if let Link::Lost { .. } = desk.link {
        return "! no answer".into();
    }
    let Some(peers) = &desk.peers else {
        return "…".into();
    };
    let connected = peers.iter().filter(|p| p.connected).count();
    let behind: u64 = peers.iter().map(|p| p.behind).sum();
    match (peers.len(), connected, behind) {
        (0, ..) => "○ no other clinic".into(),
        (_, 0, _) => "○ away from all".into(),
        (of, n, 0) if n == of => format!("● {n} of {of} in step"),
        (of, n, 0) => format!("◐ {n} of {of} connected"),
        (of, n, behind) => format!("◐ {n} of {of}, {behind} behind"),
    }
}

/// Rows at the bottom: the line or what came of the last action, and the hints.
fn bottom_rows(desk: &Desk, width: u16) -> u16 {
    let lines = failure_lines(desk, width).len();
    1 + u16::try_from(lines.max(1)).unwrap_or(1)
}

/// A failure in lines: what, then what to do.
fn failure_lines(desk: &Desk, width: u16) -> Vec<(String, Tone)> {
    let columns = usize::from(width.saturating_sub(4));
    match (&desk.notice, desk.link) {
        (Some(Notice::Failed(error)), _) => {
            let message = text::wrap(&error.message, columns.saturating_sub(15), 2);
            let mut lines: Vec<_> = message.into_iter().map(|l| (l, Tone::Danger)).collect();
            if let Some(hint) = &error.hint {
                lines.extend(
                    text::wrap(hint, columns, 2)
                        .into_iter()
                        .map(|l| (l, Tone::Text)),
                );
            }
            lines
        }
        (_, Link::Lost { since_ms, .. }) => {
            let since = desk.clock.time(since_ms);
            let text = format!(
                "The node has not answered since {since}. Trying again; nothing typed is lost."
            );
            vec![(text, Tone::Danger)]
        }
        _ => Vec::new(),
    }
}

fn notice(desk: &Desk, foot: &mut Canvas<'_>) {
    let width = foot.width();
    let lines = failure_lines(desk, width);
    for (y, (n, (line, tone))) in (0..).zip(lines.iter().enumerate()) {
        if n == 0 {
            foot.put(1, y, "!", Tone::Danger);
        }
        foot.put(3, y, line, *tone);
    }
    if desk.shows_failure() {
        let key = keymap::keys_for(Context::Failure, Action::Dismiss).next();
        let hint = key.map(|k| format!("{k} dismiss")).unwrap_or_default();
        foot.put_right(width - 1, 0, &hint, Tone::Dim);
    }
    if !lines.is_empty() {
        return;
    }
    foot.rule(0);
    if let Some(Notice::Done { text, .. }) = &desk.notice {
        let x = foot.put(1, 0, " ✓ ", Tone::Good);
        let shown = format!(
            "{} ",
            text::fit(text, usize::from(width.saturating_sub(x + 2)))
        );
        foot.put(x, 0, &shown, Tone::Good);
    }
}

/// The keys that are most useful here, as many as fit; help last, so that it is always seen.
fn hints(model: &Model, foot: &mut Canvas<'_>, y: u16) {
    let context = model.context();
    let help = keymap::keys_for(context, Action::Help).next();
    let mut end = foot.width() - 1;
    if let Some(key) = help {
        let at = foot.put_right(end, y, " help", Tone::Dim);
        end = foot
            .put_right(at, y, &key.to_string(), Tone::Accent)
            .saturating_sub(2);
    }
    let mut x = 1;
    let offered = |b: &keymap::Binding| b.action != Action::Help && model.offers(b.action);
    for (binding, key) in keymap::hints(context).filter(|(b, _)| offered(b)) {
        let hint = binding.hint;
        let wide = text::width(&key) + 1 + text::width(hint);
        if usize::from(x) + wide > usize::from(end) {
            break;
        }
        x = foot.put(x, y, &key, Tone::Accent);
        x = foot.put(x + 1, y, hint, Tone::Dim) + 3;
    }
}
