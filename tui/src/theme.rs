//! How things look, by what they mean.
//!
//! A screen says what a text *is* (a [`Tone`]); a [`Theme`] says what that looks like. The terminal's own background and
//! text colour are left alone. Nothing is said by colour alone: every tone that matters comes with words or a mark, and
//! [`Theme::Plain`] shows that this is so.

use ratatui::style::{Color, Modifier, Style};

/// A set of looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    /// For dark terminals.
    #[default]
    Dark,
    /// For light terminals.
    Light,
    /// No colour at all: bold, dim, underlined, reversed.
    Plain,
}

/// What a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ordinary text.
    #[default]
    Text,
    /// What the eye should find first.
    Strong,
    /// What can be overlooked: labels, hints, units.
    Dim,
    /// Lines that part one area from the next.
    Rule,
    /// Headings, keys, the place of the cursor.
    Accent,
    /// It is well: saved, verified, in step.
    Good,
    /// Look at this: conflicts, stale data.
    Caution,
    /// Danger: allergies, failures, unverified data.
    Danger,
    /// The bar at the top.
    Bar,
    /// Names in the bar at the top.
    BarStrong,
}

impl Tone {
    /// All of them.
    #[cfg(test)]
    const ALL: [Self; 10] = [
        Self::Text,
        Self::Strong,
        Self::Dim,
        Self::Rule,
        Self::Accent,
        Self::Good,
        Self::Caution,
        Self::Danger,
        Self::Bar,
        Self::BarStrong,
    ];
}

impl Theme {
    /// The theme that the environment asks for: `NO_COLOR` (no-color.org: present and not empty), else `COLORFGBG`'s
    /// background (rxvt's convention: 7 and 15 are light), else dark.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Self {
        if get("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            return Self::Plain;
        }
        match get("COLORFGBG")
            .as_deref()
            .and_then(|value| value.rsplit(';').next())
        {
            Some("7" | "15") => Self::Light,
            _ => Self::Dark,
        }
    }

    /// The next one round.
    pub fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Plain,
            Self::Plain => Self::Dark,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Plain => "no colour",
        }
    }

    /// What a tone looks like. The numbers are xterm's 256 colours.
    pub fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let (dark, light, modifiers) = match tone {
            Tone::Text => return plain,
            Tone::Strong => return plain.add_modifier(Modifier::BOLD),
            Tone::Dim => (248, 241, Modifier::DIM),
            Tone::Rule => (240, 250, Modifier::DIM),
            Tone::Accent => (80, 24, Modifier::BOLD),
            Tone::Good => (114, 22, Modifier::empty()),
            Tone::Caution => (221, 94, Modifier::BOLD),
            Tone::Danger => (210, 124, Modifier::BOLD),
            Tone::Bar => (250, 238, Modifier::REVERSED),
            Tone::BarStrong => (255, 232, Modifier::REVERSED.union(Modifier::BOLD)),
        };
        let colour = match self {
            Self::Dark => Color::Indexed(dark),
            Self::Light => Color::Indexed(light),
            Self::Plain => return plain.add_modifier(modifiers),
        };
        let weight = modifiers.intersection(Modifier::BOLD);
        let style = plain.fg(colour).add_modifier(weight);
        match tone {
            Tone::Bar | Tone::BarStrong => style.bg(self.bar()),
            _ => style,
        }
    }

    /// What the row under the cursor looks like, on top of its tones.
    pub fn selected(self) -> Style {
        match self {
            Self::Dark => Style::new().bg(Color::Indexed(236)),
            Self::Light => Style::new().bg(Color::Indexed(254)),
            Self::Plain => Style::new()
                .add_modifier(Modifier::REVERSED)
                .remove_modifier(Modifier::DIM),
        }
    }

    /// What a text that matches the search looks like, on top of its tone.
    pub fn matched(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    fn bar(self) -> Color {
        match self {
            Self::Dark => Color::Indexed(237),
            Self::Light | Self::Plain => Color::Indexed(254),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses() {
        let env = |pairs: &'static [(&str, &str)]| {
            Theme::from_env(|name| {
                pairs
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(env(&[]), Theme::Dark);
        assert_eq!(env(&[("NO_COLOR", "1")]), Theme::Plain);
        assert_eq!(env(&[("NO_COLOR", "")]), Theme::Dark);
        assert_eq!(env(&[("COLORFGBG", "0;15")]), Theme::Light);
        assert_eq!(env(&[("COLORFGBG", "15;0")]), Theme::Dark);
        assert_eq!(
            env(&[("NO_COLOR", "1"), ("COLORFGBG", "0;15")]),
            Theme::Plain
        );
    }

    #[test]
    fn the_plain_theme_has_no_colour() {
        for tone in Tone::ALL {
            let style = Theme::Plain.style(tone);
            assert_eq!((style.fg, style.bg), (None, None), "{tone:?}");
        }
        assert_eq!(Theme::Plain.selected().bg, None);
    }

    /// Red, green and blue of an xterm colour of the cube (16..=231) or the grey ramp (232..=255).
    fn rgb(index: u8) -> [f64; 3] {
        if index >= 232 {
            return [f64::from(8 + 10 * u16::from(index - 232)); 3];
        }
        let level = |n: u8| {
            if n == 0 {
                0.0
            } else {
                f64::from(55 + 40 * u16::from(n))
            }
        };
        let i = index - 16;
        [level(i / 36), level(i / 6 % 6), level(i % 6)]
    }

    /// WCAG 2.2, "contrast ratio".
    fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
        let luminance = |rgb: [f64; 3]| {
            let linear = rgb.map(|c| {
                let c = c / 255.0;
                if c <= 0.04045 {
                    c / 12.92
                } else {
                    ((c + 0.055) / 1.055).powf(2.4)
                }
            });
            0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_reads_on_its_background() {
        for (theme, page) in [(Theme::Dark, [30.0; 3]), (Theme::Light, [255.0; 3])] {
            let selected = match theme.selected().bg {
                Some(Color::Indexed(index)) => rgb(index),
                other => panic!("{other:?}"),
            };
            for tone in Tone::ALL.into_iter().filter(|t| *t != Tone::Rule) {
                let style = theme.style(tone);
                let Some(Color::Indexed(fg)) = style.fg else {
                    continue;
                };
                let grounds = match style.bg {
                    Some(Color::Indexed(bg)) => vec![rgb(bg)],
                    _ => vec![page, selected],
                };
                for ground in grounds {
                    let ratio = contrast(rgb(fg), ground);
                    assert!(
                        ratio >= 4.5,
                        "{theme:?} {tone:?}: {ratio:.1} (WCAG 2.2 AA asks 4.5)"
                    );
                }
            }
        }
    }
}
