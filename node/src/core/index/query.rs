//! What a person typed, taken apart.

use super::fold::{compact, fold, key, words};
use super::number::{DateQuery, Phone};

/// Words of a search that are looked at; more say nothing more.
pub(super) const MAX_SEARCH_WORDS: usize = 8;

/// Characters of a search that are looked at: longer than any name with a number.
const MAX_SEARCH_CHARS: usize = 256;

/// Digits from which on several words with blanks between may be one telephone number that is being typed.
const PHONE_DIGITS: usize = 3;

/// A search. Every group must be met.
pub(super) struct Query {
    /// All of it without blanks and punctuation.
    pub(super) whole: String,
    pub(super) groups: Vec<Group>,
}

/// Words that stand together: one, or the numbers of a row, such as `020 7946 0958`.
pub(super) struct Group {
    /// All of them as one telephone number, where there are several; met instead of them.
    pub(super) joined: Option<Phone>,
    pub(super) tokens: Vec<Token>,
}

/// What stands between blanks. It is met by any of its readings.
pub(super) struct Token {
    /// Its words, each a part of a name: all must be met.
    pub(super) parts: Vec<String>,
    /// Without punctuation: a name in one word, or a record number.
    pub(super) compact: String,
    pub(super) dates: Vec<DateQuery>,
    pub(super) phone: Option<Phone>,
}

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let text: String = text.chars().take(MAX_SEARCH_CHARS).collect();
        let folded = fold(&text);
        let mut groups: Vec<Group> = Vec::new();
        let mut run = String::new();
        let mut left = MAX_SEARCH_WORDS;
        for word in folded.split_whitespace() {
            let parts: Vec<String> = words(word)
                .take(left)
                .map(|part| key(part).to_owned())
                .collect();
            if parts.is_empty() {
                continue;
            }
            left -= parts.len();
            let is_number = Phone::is_one(word);
            let token = Token {
                parts,
                compact: key(&compact(word)).to_owned(),
                dates: DateQuery::of(word),
                phone: is_number.then(|| Phone::of(word)).flatten(),
            };
            match groups.last_mut() {
                Some(group) if is_number && !run.is_empty() => {
                    run.push(' ');
                    run.push_str(word);
                    group.joined = Phone::of(&run).filter(|phone| phone.len() >= PHONE_DIGITS);
                    group.tokens.push(token);
                }
                _ => {
                    run.clear();
                    if is_number {
                        run.push_str(word);
                    }
                    groups.push(Group {
                        joined: None,
                        tokens: vec![token],
                    });
                }
            }
        }
        Self {
            whole: key(&compact(&folded)).to_owned(),
            groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_stand_together_may_be_one() {
        let query = Query::parse(" Smith-Jones  020 7946 0958 o'Brien 12 ");
        let shape: Vec<_> = query
            .groups
            .iter()
            .map(|g| (g.tokens.len(), g.joined.as_ref().map(Phone::len)))
            .collect();
        assert_eq!(shape, [(1, None), (3, Some(10)), (1, None), (1, None)]);
        assert_eq!(query.groups[0].tokens[0].parts, ["smith", "jones"]);
        assert_eq!(query.groups[0].tokens[0].compact, "smithjones");
        // Eight words in all: what comes behind is not looked at.
        let words: usize = query
            .groups
            .iter()
            .flat_map(|g| &g.tokens)
            .map(|t| t.parts.len())
            .sum();
        assert_eq!(words, 8);
        assert!(Query::parse(" -- ").groups.is_empty());
        let long = Query::parse(&"a-".repeat(1000));
        assert_eq!(long.groups[0].tokens[0].parts.len(), MAX_SEARCH_WORDS);
    }
}
