//! Character sets of text (PS3.3, C.12.1.1.2), also where escapes switch between several.

use dicom_dictionary_std::tags;
use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

use super::dataset::DataSet;

const ESCAPE: u8 = 0x1b;

/// What the bytes of a text are read by.
#[derive(Debug, Clone)]
enum Codec {
    /// One of dicom-rs.
    Known(SpecificCharacterSet),
    /// Latin-1 but for these characters.
    Latin1But(&'static [(char, char)]),
}

/// ISO 8859-9 and ISO 8859-15, which dicom-rs lacks: where they differ from ISO 8859-1.
const LATIN_5: &[(char, char)] = &[
    ('Ð', 'Ğ'),
    ('Ý', 'İ'),
    ('Þ', 'Ş'),
    ('ð', 'ğ'),
    ('ý', 'ı'),
    ('þ', 'ş'),
];
const LATIN_9: &[(char, char)] = &[
    ('¤', '€'),
    ('¦', 'Š'),
    ('¨', 'š'),
    ('´', 'Ž'),
    ('¸', 'ž'),
    ('¼', 'Œ'),
    ('½', 'œ'),
    ('¾', 'Ÿ'),
];

/// Escapes that choose the set of the bytes above 127 (tables C.12-3 and C.12-4), and its name.
const UPPER: &[(&[u8], &str)] = &[
    (b"-A", "ISO_IR 100"),
    (b"-B", "ISO_IR 101"),
    (b"-C", "ISO_IR 109"),
    (b"-D", "ISO_IR 110"),
    (b"-L", "ISO_IR 144"),
    (b"-G", "ISO_IR 127"),
    (b"-F", "ISO_IR 126"),
    (b"-H", "ISO_IR 138"),
    (b"-M", "ISO_IR 148"),
    (b"-b", "ISO_IR 203"),
    (b"-T", "ISO_IR 166"),
    (b")I", "ISO_IR 13"),
    (b"$)C", "ISO 2022 IR 149"),
    (b"$)A", "GBK"),
];
/// Those that choose the set of the bytes below 128: letters of one byte, or Japanese of two, by an escape that its codec reads.
const LETTERS: [&[u8]; 2] = [b"(B", b"(J"];
const JAPANESE: [&[u8]; 2] = [b"$B", b"$(D"];

impl Codec {
    fn of(name: &str) -> Option<Self> {
        match name {
            "ISO_IR 148" | "ISO 2022 IR 148" => Some(Self::Latin1But(LATIN_5)),
            "ISO_IR 203" | "ISO 2022 IR 203" => Some(Self::Latin1But(LATIN_9)),
            name => SpecificCharacterSet::from_code(name).map(Self::Known),
        }
    }

    fn decode(&self, bytes: &[u8]) -> String {
        match self {
            Self::Known(set) => set
                .decode(bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned()),
            Self::Latin1But(differing) => {
                let letter = |byte: &u8| {
                    let letter = char::from(*byte);
                    let other = differing.iter().find(|(latin, _)| *latin == letter);
                    other.map_or(letter, |(_, other)| *other)
                };
                bytes.iter().map(letter).collect()
            }
        }
    }
}

/// The character sets of a file's text.
pub(super) struct Charsets {
    /// That in use where no escape says otherwise.
    first: Codec,
    /// Whether escapes may switch.
    several: bool,
}

impl Charsets {
    /// Those that a file names. Where the first is the default one, text above 127 is of the first that is not.
    pub(super) fn of(data_set: &DataSet<'_>) -> Self {
        let names = data_set
            .text(tags::SPECIFIC_CHARACTER_SET)
            .unwrap_or_default();
        let codecs = names.split('\\').filter(|name| !name.trim().is_empty());
        let mut codecs = codecs.filter_map(|name| Codec::of(name.trim()));
        Self {
            first: codecs
                .next()
                .unwrap_or(Codec::Known(SpecificCharacterSet::default())),
            several: names.contains("2022"),
        }
    }

    pub(super) fn decode(&self, value: &[u8]) -> String {
        let mut parts = value.split(|byte| *byte == ESCAPE);
        let first = parts.next().unwrap_or_default();
        if !self.several {
            return self.first.decode(value);
        }
        let mut text = self.first.decode(first);
        let mut upper = self.first.clone();
        for part in parts {
            if JAPANESE.iter().any(|escape| part.starts_with(escape)) {
                let japanese = Codec::of("ISO 2022 IR 87").unwrap_or(upper.clone());
                let whole = [&[ESCAPE], part].concat();
                text += &japanese.decode(&whole);
                continue;
            }
            let chosen = UPPER.iter().find(|(escape, _)| part.starts_with(escape));
            let escape = match chosen {
                Some((escape, name)) => {
                    upper = Codec::of(name).unwrap_or(upper);
                    escape.len()
                }
                None if LETTERS.iter().any(|escape| part.starts_with(escape)) => 2,
                None => 0,
            };
            text += &upper.decode(part.get(escape..).unwrap_or_default());
        }
        text
    }
}
