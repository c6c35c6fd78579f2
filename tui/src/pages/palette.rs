//! All commands, by name: type a few letters of what you want to do.

use crate::canvas::Canvas;
use crate::input::Input;
use crate::keymap::{self, Action, BINDINGS, Binding, Context, Group};
use crate::table::{self, Cursor};
use crate::theme::Tone;

/// Longest text, bytes (a guess).
const MAX_BYTES: usize = 64;
/// Commands shown at once.
const MAX_ROWS: u16 = 12;

/// The palette.
#[derive(Clone, PartialEq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Palette {
    context: Context,
    /// What the page does not offer as it stands.
    refused: Vec<Action>,
    input: Input,
    cursor: Cursor,
}

/// How well letters fit a title: nothing where they do not stand in it in this order; more for starts of words and for
/// letters that follow each other.
pub(crate) fn score(title: &str, letters: &str) -> Option<u32> {
    let title: Vec<char> = title.to_lowercase().chars().collect();
    let (mut at, mut score, mut last) = (0, 0, None);
    for letter in letters
        .to_lowercase()
        .chars()
        .filter(|c| !c.is_whitespace())
    {
        // The start of a word where there is one, else the next place.
        let rest = || (at..title.len()).filter(|i| title[*i] == letter);
        let starts = |i: &usize| *i == 0 || title.get(i - 1).is_some_and(|c| !c.is_alphanumeric());
        let follows = last
            .map(|l| l + 1)
            .filter(|i| title.get(*i) == Some(&letter));
        let found = follows
            .or_else(|| rest().find(starts))
            .or_else(|| rest().next())?;
        score += 1;
        score += if follows.is_some() { 6 } else { 0 };
        score += if starts(&found) { 8 } else { 0 };
        last = Some(found);
        at = found + 1;
    }
    Some(score)
}

impl Palette {
    /// The palette for what can be done in a context, as far as the page offers it.
    pub fn new(context: Context, offers: impl Fn(Action) -> bool) -> Self {
        let all = BINDINGS.iter().map(|binding| binding.action);
        Self {
            context,
            refused: all.filter(|action| !offers(*action)).collect(),
            input: Input::new(MAX_BYTES),
            cursor: Cursor::default(),
        }
    }

    /// The commands that fit what was typed, best first.
    fn commands(&self) -> Vec<&'static Binding> {
        let hidden = [
            Action::Palette,
            Action::JumpSection,
            Action::ChooseNumber,
            Action::HabitWindow,
            Action::Commands,
        ];
        let useful = |b: &&Binding| {
            !matches!(b.group, Group::Moving | Group::Typing | Group::Questions)
                && !hidden.contains(&b.action)
                && !self.refused.contains(&b.action)
                && keymap::is_offered(b, self.context)
        };
        let letters = self.input.text();
        let mut found: Vec<(u32, &'static Binding)> = BINDINGS
            .iter()
            .filter(useful)
            .filter_map(|b| Some((score(b.title, letters).max(score(b.id, letters))?, b)))
            .collect();
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        found.into_iter().map(|(_, b)| b).collect()
    }

    /// The command under the cursor.
    pub fn chosen(&self) -> Option<Action> {
        self.commands().get(self.cursor.at).map(|b| b.action)
    }

    /// Moves or edits.
    pub fn act(&mut self, action: Action) {
        let len = self.commands().len();
        if !self.cursor.act(action, len, usize::from(MAX_ROWS)) && self.input.act(action) {
            self.cursor = Cursor::default();
        }
    }

    /// Types.
    pub fn typed(&mut self, text: &str) {
        self.input.insert(text);
        self.cursor = Cursor::default();
    }

    /// Draws it over the page.
    pub fn view(&self, canvas: &mut Canvas<'_>) {
        let width = canvas.width().saturating_sub(8).min(66);
        let rows = MAX_ROWS.min(canvas.height().saturating_sub(4));
        let x = canvas.width().saturating_sub(width) / 2;
        canvas.no_cursor();
        let mut part = canvas.part(x, 0, width, rows + 4);
        part.clear();
        let mut inside = part.frame("Commands");
        let wide = inside.width();
        inside.put(0, 0, "›", Tone::Accent);
        self.input
            .view(&mut inside, 2, 0, wide.saturating_sub(2), true);
        inside.rule(1);
        let commands = self.commands();
        if commands.is_empty() {
            inside.put(2, 2, "No command has these letters.", Tone::Dim);
        }
        let mut list = inside.part(0, 2, wide, rows);
        let first = table::first_shown(self.cursor.at, commands.len(), rows);
        for (y, (n, binding)) in (0..rows).zip(commands.iter().enumerate().skip(first)) {
            let end = list.width();
            let key = keymap::keys_for(self.context, binding.action).next();
            let key = key.map(|k| k.to_string()).unwrap_or_default();
            let at = list.put_right(end.saturating_sub(1), y, &key, Tone::Accent);
            list.put_within(2, y, at.saturating_sub(4), binding.title, Tone::Text);
            if n == self.cursor.at {
                list.select(y, true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_find_commands_by_the_starts_of_words() {
        let best = |letters: &str| {
            let mut palette = Palette::new(Context::Record, |_| true);
            palette.typed(letters);
            palette.chosen()
        };
        assert_eq!(best("bp"), Some(Action::BloodPressure));
        assert_eq!(best("note"), Some(Action::NewNote));
        assert_eq!(best("wan"), Some(Action::NewNote));
        assert_eq!(best("confl"), Some(Action::OpenConflicts));
        assert_eq!(best("lock"), Some(Action::Lock));
        assert_eq!(best("zzz"), None);
    }

    #[test]
    fn letters_that_follow_each_other_beat_scattered_ones() {
        assert!(score("Lock the node", "lock") > score("Look up the clock", "lock"));
        assert_eq!(score("abc", "ca"), None);
    }
}
