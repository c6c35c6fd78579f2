//! Text: UTF-8, with or without a byte order mark, and UTF-16 with one.

use crate::facts::is_obeyed;
use crate::{Facts, MAX_PREVIEW_TEXT, MediaError, MediaType, Preview};

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16 { big_endian: bool },
}

/// Control characters that text may have.
pub(crate) fn is_shown(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{c}')
}

fn is_text(character: char) -> bool {
    is_shown(character) || !(character < ' ' || character == '\u{7f}')
}

impl Encoding {
    /// How a text is written that begins so; `None` where that is no text. In the last bytes of a head a character may be cut.
    pub(crate) fn of(head: &[u8], whole: bool) -> Option<Self> {
        let encoding = match head {
            [] => return None,
            [0xff, 0xfe, ..] => Self::Utf16 { big_endian: false },
            [0xfe, 0xff, ..] => Self::Utf16 { big_endian: true },
            _ => Self::Utf8,
        };
        let is_it = match encoding {
            Self::Utf8 => {
                // Bytes below a blank are never part of another character.
                let controls = |byte: &u8| !is_text(char::from(*byte));
                let valid = match std::str::from_utf8(head) {
                    Ok(_) => true,
                    Err(error) => !whole && error.error_len().is_none() && error.valid_up_to() > 0,
                };
                valid && !head.iter().any(controls)
            }
            Self::Utf16 { .. } => encoding.is_utf16(head, whole),
        };
        is_it.then_some(encoding)
    }

    fn units(self, bytes: &[u8]) -> impl Iterator<Item = u16> {
        let big_endian = self == Self::Utf16 { big_endian: true };
        let pairs = bytes.as_chunks::<2>().0.iter();
        pairs.map(move |pair| {
            if big_endian {
                u16::from_be_bytes(*pair)
            } else {
                u16::from_le_bytes(*pair)
            }
        })
    }

    fn is_utf16(self, head: &[u8], whole: bool) -> bool {
        if whole && head.len() % 2 == 1 {
            return false;
        }
        let mut characters = char::decode_utf16(self.units(head)).peekable();
        while let Some(character) = characters.next() {
            let fine = match character {
                Ok(character) => is_text(character),
                Err(_) => !whole && characters.peek().is_none(),
            };
            if !fine {
                return false;
            }
        }
        true
    }

    /// The characters without the byte order mark; of what was checked before none is lost but a last one that is cut.
    fn characters(self, bytes: &[u8]) -> Box<dyn Iterator<Item = char> + '_> {
        match self {
            Self::Utf8 => {
                let bytes = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
                let text = match std::str::from_utf8(bytes) {
                    Ok(text) => text,
                    Err(error) => bytes
                        .get(..error.valid_up_to())
                        .and_then(|valid| std::str::from_utf8(valid).ok())
                        .unwrap_or_default(),
                };
                Box::new(text.chars())
            }
            Self::Utf16 { .. } => {
                let units = self.units(bytes.get(2..).unwrap_or_default());
                Box::new(char::decode_utf16(units).filter_map(Result::ok))
            }
        }
    }
}

pub(crate) fn inspect(
    bytes: &[u8],
    total_len: u64,
) -> Result<(Facts, Option<Preview>, Option<String>), MediaError> {
    let whole = bytes.len() as u64 >= total_len;
    let encoding = Encoding::of(bytes, whole).ok_or(MediaError::UnknownKind)?;
    let mut facts = Facts::new(MediaType::Text, total_len);
    if whole {
        facts.lines = Some(lines(encoding.characters(bytes)));
    }
    // Four bytes of UTF-16 make at most four of UTF-8, and no text is three times as long in it.
    let enough = bytes.get(..2 * MAX_PREVIEW_TEXT + 2).unwrap_or(bytes);
    let (text, all) = beginning(encoding.characters(enough));
    let whole = all && whole && enough.len() == bytes.len();
    Ok((facts, Some(Preview::Text { text, whole }), None))
}

/// Lines as an editor counts them: what follows the last line end counts if there is something.
fn lines(characters: impl Iterator<Item = char>) -> u64 {
    let (mut lines, mut before, mut open) = (0, ' ', false);
    for character in characters {
        match character {
            '\n' if before == '\r' => {}
            '\n' | '\r' => {
                lines += 1;
                open = false;
            }
            _ => open = true,
        }
        before = character;
    }
    lines + u64::from(open)
}

/// As much as a preview holds, and whether that is all. What a terminal would obey is shown as a replacement character.
pub(crate) fn beginning(characters: impl Iterator<Item = char>) -> (String, bool) {
    let mut text = String::new();
    for character in characters {
        let character = if is_obeyed(character) && !is_shown(character) {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        };
        if text.len() + character.len_utf8() > MAX_PREVIEW_TEXT {
            return (text, false);
        }
        text.push(character);
    }
    (text, true)
}
