//! What people write with digits: dates of birth and telephone numbers.

/// Digits that are looked at: 15 (ITU-T E.164) and an extension.
const MAX_PHONE_DIGITS: usize = 20;

/// Digits from which on two numbers may be one without their country's: subscriber numbers are this long or longer.
const LOCAL_DIGITS: usize = 7;

/// Longest country code (ITU-T E.164).
const COUNTRY_DIGITS: usize = 3;

/// A telephone number without punctuation, zeros before the area's number, and extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phone {
    digits: String,
    /// Written with `+` or `00`: it begins with a country's code.
    is_international: bool,
}

impl Phone {
    /// The number in a folded text; nothing where there is no digit.
    pub(super) fn of(folded: &str) -> Option<Self> {
        let text = folded.trim().replace("(0)", "");
        // An extension, or words behind the number.
        let number = text
            .find(char::is_alphabetic)
            .filter(|at| digits(&text[..*at]).count() >= LOCAL_DIGITS)
            .map_or(text.as_str(), |at| &text[..at]);
        let all: String = digits(number).take(MAX_PHONE_DIGITS).collect();
        let significant = all.trim_start_matches('0');
        (!significant.is_empty()).then(|| Self {
            digits: significant.to_owned(),
            is_international: number.starts_with('+') || all.starts_with("00"),
        })
    }

    /// Whether a text is written with nothing but what belongs to a number, and has a digit.
    pub(super) fn is_one(text: &str) -> bool {
        text.bytes().any(|b| b.is_ascii_digit())
            && text
                .bytes()
                .all(|b| b.is_ascii_digit() || b"+-()./".contains(&b))
    }

    /// How many digits say something.
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// Its key: the digits from the last to the first, so that numbers with and without a country's code stand together.
    pub(super) fn key(&self) -> String {
        self.digits.chars().rev().collect()
    }

    /// The digits that two writings of one number have in common; `None` for a shorter number.
    pub(super) fn local(&self) -> Option<&str> {
        self.digits
            .len()
            .checked_sub(LOCAL_DIGITS)
            .map(|at| &self.digits[at..])
    }

    /// Whether the number with this key is the same, where one of both may lack the country's code.
    pub(super) fn is_same(&self, key: &str) -> bool {
        let own = self.key();
        let (short, long) = if own.len() < key.len() {
            (own.as_str(), key)
        } else {
            (key, own.as_str())
        };
        short == long
            || (short.len() >= LOCAL_DIGITS
                && long.len() - short.len() <= COUNTRY_DIGITS
                && long.starts_with(short))
    }

    /// The beginnings of the keys that may be the same number.
    pub(super) fn key_starts(&self) -> Vec<String> {
        let own = self.key();
        let shortest = own.len().saturating_sub(COUNTRY_DIGITS).max(LOCAL_DIGITS);
        let mut starts: Vec<String> = (shortest..own.len())
            .map(|end| own[..end].to_owned())
            .collect();
        starts.push(own);
        starts
    }

    /// Parts of keys by which a number of which only some is typed is known: anywhere, and at a key's end (the number's beginning).
    pub(super) fn parts(&self) -> (String, Vec<String>) {
        let own = self.key();
        let without_country = (1..=COUNTRY_DIGITS)
            .filter(|_| self.is_international)
            .filter_map(|code| own.len().checked_sub(code))
            .filter(|left| *left >= COUNTRY_DIGITS)
            .map(|left| own[..left].to_owned())
            .collect();
        (own, without_country)
    }
}

fn digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(char::is_ascii_digit)
}

/// What a typed date of birth, perhaps not yet typed to its end, may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DateQuery {
    /// ISO dates that begin so.
    Begins(String),
    /// A day of one of several months (bit n is month n) and a year, of which nothing, the beginning or the last two digits may be known.
    Day { year: String, months: u16, day: u8 },
}

impl DateQuery {
    /// All that a word may mean as a date: `1980-02-29`, `1980-2-29`, `198002`, `29.02.1980`, `29/2/80`, `02/29/1980`, and beginnings
    /// of these. The day comes first wherever both orders would do.
    pub(super) fn of(word: &str) -> Vec<Self> {
        let mut parts = word.split(['-', '.', '/']);
        let is_date = word
            .bytes()
            .all(|b| b.is_ascii_digit() || b"-./".contains(&b));
        let (first, second, third, more) = (parts.next(), parts.next(), parts.next(), parts.next());
        match (first, second, third) {
            (Some(digits), None, None) if is_date => unseparated(digits),
            (Some(year), Some(month), day) if is_date && more.is_none() && year.len() == 4 => {
                iso(year, month, day)
            }
            (Some(a), Some(b), year) if is_date && more.is_none() => {
                let year_text = year.unwrap_or("");
                day_and_month(a, b, year_text, year.is_none())
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether an ISO date is a day that is meant; for [`Day`](Self::Day).
    pub(super) fn is_met_by(&self, iso: &str) -> bool {
        match self {
            Self::Begins(start) => iso.starts_with(start.as_str()),
            Self::Day { year, months, day } => {
                let (Some(y), Some(m), Some(d)) = (iso.get(..4), iso.get(5..7), iso.get(8..))
                else {
                    return false;
                };
                let is_month = m
                    .parse::<u32>()
                    .is_ok_and(|m| m < 16 && months & (1 << m) != 0);
                is_month
                    && d.parse() == Ok(*day)
                    && (y.starts_with(year.as_str()) || (year.len() == 2 && y.ends_with(year)))
            }
        }
    }

    /// Whether it means one day of one year.
    pub(super) fn is_whole(&self) -> bool {
        match self {
            Self::Begins(start) => start.len() == 10,
            Self::Day { year, months, .. } => year.len() == 4 && months.is_power_of_two(),
        }
    }
}

fn unseparated(digits: &str) -> Vec<DateQuery> {
    let begins = match digits.len() {
        2..=4 => digits.to_owned(),
        5..=6 => format!("{}-{}", &digits[..4], &digits[4..]),
        7..=8 => format!("{}-{}-{}", &digits[..4], &digits[4..6], &digits[6..]),
        _ => return Vec::new(),
    };
    let mut found = vec![DateQuery::Begins(begins)];
    if digits.len() == 8 {
        found.extend(day_and_month(
            &digits[..2],
            &digits[2..4],
            &digits[4..],
            false,
        ));
    }
    found
}

fn iso(year: &str, month: &str, day: Option<&str>) -> Vec<DateQuery> {
    let spellings = |part: &str| -> Vec<String> {
        let mut spellings = vec![part.to_owned()];
        if part.len() == 1 && part != "0" {
            spellings.push(format!("0{part}"));
        }
        spellings
    };
    let mut found = Vec::new();
    for month in spellings(month) {
        match day {
            None => found.push(DateQuery::Begins(format!("{year}-{month}"))),
            Some(day) => found.extend(
                spellings(day)
                    .into_iter()
                    .map(|day| DateQuery::Begins(format!("{year}-{month}-{day}"))),
            ),
        }
    }
    found
}

fn day_and_month(a: &str, b: &str, year: &str, is_unfinished: bool) -> Option<DateQuery> {
    if a.len() > 2 || b.len() > 2 || year.len() > 4 {
        return None;
    }
    let number = |text: &str| text.parse::<u8>().ok();
    let months = |text: &str| -> u16 {
        let unfinished = is_unfinished && text.len() == 1;
        (1..=12u8)
            .filter(|month| {
                number(text) == Some(*month)
                    || (unfinished && format!("{month:02}").starts_with(text))
            })
            .fold(0, |bits, month| bits | (1 << month))
    };
    let of = |day: &str, month: &str| {
        let day = number(day).filter(|day| (1..=31).contains(day))?;
        let months = months(month);
        (months != 0).then(|| DateQuery::Day {
            year: year.to_owned(),
            months,
            day,
        })
    };
    of(a, b).or_else(|| {
        // American, where it cannot be meant otherwise.
        number(b).filter(|b| *b > 12).and_then(|_| of(b, a))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(typed: &str, iso: &str) -> bool {
        DateQuery::of(typed)
            .iter()
            .any(|query| query.is_met_by(iso))
    }

    #[test]
    fn a_date_is_known_in_the_common_forms_and_while_it_is_typed() {
        for typed in [
            "1980-02-29",
            "1980-2-29",
            "1980/02/29",
            "19800229",
            "29.02.1980",
            "29/02/1980",
            "29-2-1980",
            "29.02.80",
            "02/29/1980",
            "29021980",
            "1980",
            "198",
            "1980-",
            "1980-0",
            "1980-02-2",
            "29.02",
            "29.0",
            "29.02.",
            "29.02.19",
            "29/2/198",
            "2/29",
            "198002",
        ] {
            assert!(means(typed, "1980-02-29"), "{typed}");
        }
        for typed in [
            "1980-02-28",
            "28.02.1980",
            "29.03.1980",
            "29.02.1981",
            "29.02.81",
            "30/29/1980",
            "1980-02-29-1",
            "1",
            "a1980",
            "",
            "-",
            "..",
            "999/1/2",
            "29.1",
        ] {
            assert!(!means(typed, "1980-02-29"), "{typed}");
        }
        assert!(means("05/04/1980", "1980-04-05") && !means("05/04/1980", "1980-05-04"));
        assert!(means("1980-1", "1980-01") && means("1980-1", "1980-12-03"));
        assert!(!means("29.02.1980", "1980") && !means("29.02.1980", "1980-02"));
        assert!(DateQuery::of("29.02.1980").iter().all(DateQuery::is_whole));
        assert!(!DateQuery::of("29.02.80").iter().any(DateQuery::is_whole));
    }

    #[test]
    fn a_telephone_number_is_one_however_it_is_written() {
        let one = Phone::of("+44 20 7946 0958").unwrap();
        for text in [
            "0044 (0)20 7946 0958",
            "020 7946 0958",
            "020-7946-0958",
            "(020) 79460958",
            "2079460958",
            "+44.20.7946.0958 ext. 12",
        ] {
            let other = Phone::of(text).unwrap();
            assert!(
                one.is_same(&other.key()) && other.is_same(&one.key()),
                "{text}"
            );
            assert_eq!(one.local(), other.local());
            assert!(
                one.key_starts()
                    .iter()
                    .any(|s| other.key().starts_with(s.as_str())),
                "{text}"
            );
            assert!(
                other
                    .key_starts()
                    .iter()
                    .any(|s| one.key().starts_with(s.as_str())),
                "{text}"
            );
        }
        for text in ["020 7946 0959", "0958", "946 0958 1", "1 020 20 7946 0958"] {
            assert!(!one.is_same(&Phone::of(text).unwrap().key()), "{text}");
        }
        assert_eq!(Phone::of("unknown"), None);
        assert_eq!(Phone::of("000"), None);
        assert!(Phone::of("112").unwrap().is_same("211"));
        assert_eq!(Phone::of("112").unwrap().local(), None);
        assert!(Phone::is_one("+44(0)20") && !Phone::is_one("+") && !Phone::is_one("20a"));
    }
}
