//! The window of a picture: which of its values are drawn from black to white (DICOM PS3.3, C.11.2).

/// A step of the centre, and of the width, in parts of the width (guesses: ten keys cross a window, seven double it).
const CENTRE_STEP: f64 = 0.1;
const WIDTH_FACTOR: f64 = 1.1;
/// The least width that a window has (C.11.2.1.2: the width of a linear window is at least 1).
const MIN_WIDTH: f64 = 1.0;
/// Centres and widths are kept within what 32 bits of a sample and a rescale in hundreds can mean (a guess).
const MAX: f64 = 1e12;

/// Windows of CT by habit, in Hounsfield units: what they are for, centre and width.
pub(crate) const CT: [(&str, Window); 4] = [
    (
        "lung",
        Window {
            centre: -600.0,
            width: 1_500.0,
        },
    ),
    (
        "bone",
        Window {
            centre: 300.0,
            width: 1_500.0,
        },
    ),
    (
        "brain",
        Window {
            centre: 40.0,
            width: 80.0,
        },
    ),
    (
        "soft tissue",
        Window {
            centre: 40.0,
            width: 400.0,
        },
    ),
];

/// Centre and width, in units of the picture's modality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window {
    /// The value in the middle between black and white.
    pub centre: f64,
    /// From black to white.
    pub width: f64,
}

/// A change of a window by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The centre up: the picture gets darker.
    Up,
    /// The centre down: the picture gets lighter.
    Down,
    /// A smaller width: more contrast.
    Narrower,
    /// A larger width: less contrast.
    Wider,
}

impl Window {
    /// A window as the node says it; none where it is none.
    pub fn new((centre, width): (f64, f64)) -> Option<Self> {
        (centre.is_finite() && width.is_finite() && width > 0.0)
            .then(|| Self { centre, width }.bounded())
    }

    /// As the node takes it.
    pub fn pair(self) -> (f64, f64) {
        (self.centre, self.width)
    }

    /// The next window by hand.
    #[must_use]
    pub fn step(self, step: Step) -> Self {
        let Self { centre, width } = self;
        // A whole unit at the least, or nothing would move on the screen.
        let by = (width * CENTRE_STEP).max(MIN_WIDTH);
        let (centre, width) = match step {
            Step::Up => (centre + by, width),
            Step::Down => (centre - by, width),
            Step::Narrower => (centre, (width / WIDTH_FACTOR).min(width - 1.0)),
            Step::Wider => (centre, (width * WIDTH_FACTOR).max(width + 1.0)),
        };
        Self {
            centre: centre.round(),
            width: width.round(),
        }
        .bounded()
    }

    fn bounded(self) -> Self {
        Self {
            centre: self.centre.clamp(-MAX, MAX),
            width: self.width.clamp(MIN_WIDTH, MAX),
        }
    }

    /// In words, with what it is for where it is one of the windows of CT by habit.
    pub fn words(self, is_ct: bool, own: bool) -> String {
        let unit = if is_ct { " HU" } else { "" };
        let number = |n: f64| {
            if n.fract() == 0.0 {
                format!("{n:.0}")
            } else {
                format!("{n:.1}")
            }
        };
        let habit = CT.iter().find(|(_, window)| is_ct && *window == self);
        let what = match (habit, own) {
            (_, true) => " (own)".to_owned(),
            (Some((name, _)), _) => format!(" ({name})"),
            (None, _) => String::new(),
        };
        format!(
            "centre {}, width {}{unit}{what}",
            number(self.centre),
            number(self.width)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_relative_to_the_width_and_always_move() {
        let at = |centre, width| Window { centre, width };
        let table = [
            (at(40.0, 400.0), Step::Up, at(80.0, 400.0)),
            (at(40.0, 400.0), Step::Down, at(0.0, 400.0)),
            (at(40.0, 400.0), Step::Wider, at(40.0, 440.0)),
            (at(40.0, 400.0), Step::Narrower, at(40.0, 364.0)),
            (at(0.0, 3.0), Step::Up, at(1.0, 3.0)),
            (at(0.0, 3.0), Step::Narrower, at(0.0, 2.0)),
            (at(0.0, 1.0), Step::Narrower, at(0.0, 1.0)),
            (at(0.0, 1.0), Step::Wider, at(0.0, 2.0)),
            (at(MAX, MAX), Step::Up, at(MAX, MAX)),
        ];
        for (from, step, to) in table {
            assert_eq!(from.step(step), to, "{from:?} {step:?}");
        }
    }

    #[test]
    fn what_is_no_window_is_none() {
        for pair in [
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
            (0.0, 0.0),
            (1.0, -5.0),
        ] {
            assert_eq!(Window::new(pair), None, "{pair:?}");
        }
        assert_eq!(
            Window::new((f64::MAX, 0.25)),
            Some(Window {
                centre: MAX,
                width: 1.0
            })
        );
    }

    #[test]
    fn a_window_is_said_in_words() {
        let [(_, lung), .., (_, soft)] = CT;
        assert_eq!(lung.words(true, false), "centre -600, width 1500 HU (lung)");
        assert_eq!(soft.words(true, true), "centre 40, width 400 HU (own)");
        assert_eq!(soft.words(false, false), "centre 40, width 400");
        let odd = Window {
            centre: 0.55,
            width: 3.0,
        };
        assert_eq!(odd.words(false, false), "centre 0.6, width 3");
    }
}
