//! The patient index: one row for each readable record, in memory while the node is unlocked.
//!
//! On disk each row is sealed by the index key. A row is a function of the record's document, so a lost row costs a rebuild
//! and nothing else.

use std::collections::HashMap;

use minicbor::{Decode, Encode};
use salus_api::PatientRow;
use salus_audit::LogId;
use salus_record::Patient;

/// Words of a search that are looked at; more say nothing more.
const MAX_SEARCH_WORDS: usize = 8;

/// One patient's row as it is kept (CBOR array, sealed).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct IndexRow {
    /// Medical record number.
    #[n(0)]
    pub mrn: Option<String>,
    /// Family name.
    #[n(1)]
    pub family: Option<String>,
    /// Given names, blank-separated.
    #[n(2)]
    pub given: String,
    /// Date of birth.
    #[n(3)]
    pub birth_date: Option<String>,
    /// FHIR code of the administrative sex.
    #[n(4)]
    pub sex: String,
    /// Telephone.
    #[n(5)]
    pub phone: Option<String>,
    /// Id of the Patient resource where it was imported from.
    #[n(6)]
    pub source_id: Option<String>,
    /// Claimed time of the newest edit, milliseconds since 1970-01-01 UTC.
    #[n(7)]
    pub updated_ms: u64,
}

impl IndexRow {
    /// The row of a patient.
    pub fn of(patient: &Patient, updated_ms: u64) -> Self {
        Self {
            mrn: patient.mrn.clone(),
            family: patient.family.clone(),
            given: patient.given.join(" "),
            birth_date: patient.birth_date.clone(),
            sex: patient.sex.as_str().to_owned(),
            phone: patient.phone.clone(),
            source_id: patient.source_id.clone(),
            updated_ms,
        }
    }

    /// The row as faces show it.
    pub fn view(&self, log: LogId) -> PatientRow {
        PatientRow {
            id: log.to_string(),
            mrn: self.mrn.clone().unwrap_or_default(),
            family: self.family.clone().unwrap_or_default(),
            given: self.given.clone(),
            birth_date: self.birth_date.clone().unwrap_or_default(),
            sex: self.sex.clone(),
            updated_ms: self.updated_ms,
        }
    }

    /// `Family, Given`, or the MRN, or "".
    pub fn name(&self) -> String {
        match (self.family.as_deref().unwrap_or(""), self.given.as_str()) {
            ("", "") => self.mrn.clone().unwrap_or_default(),
            (family, "") => family.to_owned(),
            ("", given) => given.to_owned(),
            (family, given) => format!("{family}, {given}"),
        }
    }
}

struct Indexed {
    row: IndexRow,
    /// All searched fields folded, each word after a blank.
    haystack: String,
}

/// All rows, searchable.
#[derive(Default)]
pub struct Index {
    rows: HashMap<LogId, Indexed>,
}

/// What a person's words for a patient lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody.
    Nobody,
    /// One patient.
    One(LogId),
    /// So many patients: the words are ambiguous.
    Several(Vec<LogId>),
}

impl Index {
    /// Sets or replaces a row.
    pub fn set(&mut self, log: LogId, row: IndexRow) {
        let mut haystack = String::new();
        let fields = [
            row.family.as_deref(),
            Some(row.given.as_str()),
            row.mrn.as_deref(),
            row.birth_date.as_deref(),
            row.phone.as_deref(),
        ];
        for field in fields.into_iter().flatten() {
            haystack.push(' ');
            fold_into(field, &mut haystack);
        }
        self.rows.insert(log, Indexed { row, haystack });
    }

    /// One row.
    pub fn get(&self, log: &LogId) -> Option<&IndexRow> {
        self.rows.get(log).map(|indexed| &indexed.row)
    }

    /// Every row, by family name, given names and id.
    pub fn all(&self) -> Vec<PatientRow> {
        let mut rows: Vec<_> = self.rows.iter().map(|(log, i)| i.row.view(*log)).collect();
        rows.sort_unstable_by(|a, b| {
            (&a.family, &a.given, &a.id).cmp(&(&b.family, &b.given, &b.id))
        });
        rows
    }

    /// Patients that match every word: a word that begins a name, number or date counts more than one inside.
    pub fn search(&self, text: &str, limit: usize) -> Vec<PatientRow> {
        let mut folded = String::new();
        fold_into(text, &mut folded);
        let words: Vec<&str> = folded.split_whitespace().take(MAX_SEARCH_WORDS).collect();
        if words.is_empty() {
            let mut rows = self.all();
            rows.truncate(limit);
            return rows;
        }
        let starts: Vec<String> = words.iter().map(|word| format!(" {word}")).collect();
        let mut hits: Vec<(u32, &LogId, &Indexed)> = Vec::new();
        for (log, indexed) in &self.rows {
            let mut misses = 0;
            let matches = words.iter().zip(&starts).all(|(word, start)| {
                if indexed.haystack.contains(start.as_str()) {
                    return true;
                }
                misses += 1;
                indexed.haystack.contains(word)
            });
            if matches {
                hits.push((misses, log, indexed));
            }
        }
        hits.sort_unstable_by(|(a, al, ai), (b, bl, bi)| {
            (a, &ai.row.family, &ai.row.given, al).cmp(&(b, &bi.row.family, &bi.row.given, bl))
        });
        hits.into_iter()
            .take(limit)
            .map(|(_, log, i)| i.row.view(*log))
            .collect()
    }

    /// The patient that an id, an unambiguous prefix of it, an MRN or an exact name means.
    pub fn find(&self, text: &str) -> Found {
        let mut wanted = String::new();
        fold_into(text, &mut wanted);
        let wanted = wanted.trim();
        let by_id = is_hex(wanted).then(|| {
            self.rows
                .keys()
                .filter(|log| log.to_string().starts_with(wanted))
                .copied()
                .collect()
        });
        let by = |matches: &dyn Fn(&IndexRow) -> bool| -> Vec<LogId> {
            self.rows
                .iter()
                .filter(|(_, i)| matches(&i.row))
                .map(|(log, _)| *log)
                .collect()
        };
        let by_mrn = || by(&|row| row.mrn.as_deref().is_some_and(|mrn| folded(mrn) == wanted));
        let by_name = || {
            by(&|row| {
                let family = row.family.as_deref().unwrap_or("");
                folded(&row.name()) == wanted
                    || folded(&format!("{} {family}", row.given)) == wanted
                    || folded(&format!("{family} {}", row.given)) == wanted
            })
        };
        let candidates: [&dyn Fn() -> Vec<LogId>; 3] =
            [&by_mrn, &|| by_id.clone().unwrap_or_default(), &by_name];
        for candidate in candidates {
            let mut found = candidate();
            found.sort_unstable();
            match found.as_slice() {
                [] => {}
                [one] => return Found::One(*one),
                _ => return Found::Several(found),
            }
        }
        Found::Nobody
    }

    /// Whether a patient here has this medical record number.
    pub fn has_mrn(&self, mrn: &str) -> bool {
        let wanted = folded(mrn);
        self.rows.values().any(|i| {
            i.row
                .mrn
                .as_deref()
                .is_some_and(|mrn| folded(mrn) == wanted)
        })
    }

    /// The records whose Patient resource had this id where it came from.
    pub fn by_source(&self, source_id: &str) -> Vec<LogId> {
        let mut found: Vec<LogId> = self
            .rows
            .iter()
            .filter(|(_, i)| i.row.source_id.as_deref() == Some(source_id))
            .map(|(log, _)| *log)
            .collect();
        found.sort_unstable();
        found
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn folded(text: &str) -> String {
    let mut out = String::new();
    fold_into(text, &mut out);
    out.trim().to_owned()
}

/// Lower case, Latin letters without their marks, punctuation (but `-` within a word) as blanks.
fn fold_into(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\u{300}'..='\u{36f}' => {} // combining marks
            'à'..='å' | 'À'..='Å' | 'ā' | 'Ā' | 'ă' | 'Ă' | 'ą' | 'Ą' => out.push('a'),
            'ç' | 'Ç' | 'ć' | 'Ć' | 'č' | 'Č' => out.push('c'),
            'è'..='ë' | 'È'..='Ë' | 'ē' | 'Ē' | 'ę' | 'Ę' | 'ě' | 'Ě' => out.push('e'),
            'ì'..='ï' | 'Ì'..='Ï' | 'ī' | 'Ī' | 'ı' | 'İ' => out.push('i'),
            'ñ' | 'Ñ' | 'ń' | 'Ń' | 'ň' | 'Ň' => out.push('n'),
            'ò'..='ö' | 'Ò'..='Ö' | 'ø' | 'Ø' | 'ō' | 'Ō' | 'ő' | 'Ő' => out.push('o'),
            'ù'..='ü' | 'Ù'..='Ü' | 'ū' | 'Ū' | 'ů' | 'Ů' | 'ű' | 'Ű' => out.push('u'),
            'ý' | 'ÿ' | 'Ý' | 'Ÿ' => out.push('y'),
            'š' | 'Š' | 'ś' | 'Ś' | 'ş' | 'Ş' | 'ș' | 'Ș' => out.push('s'),
            'ž' | 'Ž' | 'ź' | 'Ź' | 'ż' | 'Ż' => out.push('z'),
            'ł' | 'Ł' => out.push('l'),
            'ß' => out.push_str("ss"),
            'æ' | 'Æ' => out.push_str("ae"),
            'œ' | 'Œ' => out.push_str("oe"),
            ',' | ';' | '(' | ')' | '\'' | '’' => out.push(' '),
            c => out.extend(c.to_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(family: &str, given: &str, mrn: &str) -> IndexRow {
        IndexRow {
            mrn: Some(mrn.into()),
            family: Some(family.into()),
            given: given.into(),
            birth_date: Some("1980-02-29".into()),
            sex: "female".into(),
            ..IndexRow::default()
        }
    }

    fn id(n: u8) -> LogId {
        LogId::from_bytes([n; 32])
    }

    fn three() -> Index {
        let mut index = Index::default();
        index.set(id(0x11), row("Núñez", "Ana María", "A-1"));
        index.set(id(0x12), row("Okafor", "Ada", "A-2"));
        index.set(id(0x22), row("Okafor", "Ada", "B-3"));
        index
    }

    #[test]
    fn a_search_needs_every_word_and_no_accents() {
        let index = three();
        assert_eq!(index.search("nunez ana", 10).len(), 1);
        assert_eq!(index.search("nunez ada", 10).len(), 0);
        assert_eq!(index.search("", 2).len(), 2);
        assert_eq!(index.search("1980-02", 10).len(), 3);
    }

    #[test]
    fn a_word_that_begins_a_name_comes_first() {
        let mut index = three();
        index.set(id(0x33), row("Banana", "Zoe", "C-1"));
        let found = index.search("ana", 10);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].family, "Núñez");
    }

    #[test]
    fn a_patient_is_named_by_number_name_or_prefix_and_never_guessed() {
        let index = three();
        assert_eq!(index.find("b-3"), Found::One(id(0x22)));
        assert_eq!(index.find("22"), Found::One(id(0x22)));
        assert_eq!(index.find("1"), Found::Several(vec![id(0x11), id(0x12)]));
        assert_eq!(
            index.find("Ada Okafor"),
            Found::Several(vec![id(0x12), id(0x22)])
        );
        assert_eq!(index.find("ana maria nunez"), Found::One(id(0x11)));
        assert_eq!(index.find("Nunez, Ana Maria"), Found::One(id(0x11)));
        assert_eq!(index.find("nobody"), Found::Nobody);
        assert_eq!(index.find(""), Found::Nobody);
    }

    #[test]
    fn a_row_comes_back_as_kept() {
        let row = row("Núñez", "Ana María", "A-1");
        let bytes = minicbor::to_vec(&row).unwrap();
        assert_eq!(minicbor::decode::<IndexRow>(&bytes).unwrap(), row);
    }
}
