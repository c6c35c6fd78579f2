//! A clinic's root key as words that a person can write down: BIP-39, English, 24 words.

use std::borrow::Cow;
use std::str::FromStr;

use bip39::{Language, Mnemonic};
use salus_audit::SigningKey;
use zeroize::Zeroizing;

use crate::seal::random_bytes;

/// 24 words: 256 bits of key and 8 bits of checksum (BIP-39, "Generating the mnemonic").
pub const RECOVERY_WORDS: usize = 24;
/// BLAKE3 `derive_key` context of the root key's seed. (BIP-39's own PBKDF2 seed is for wallets with
/// passwords; 256 random bits need no stretching.)
const ROOT_CONTEXT: &str = "salus/vault/v1 root key of a clinic";
/// The longest text that is looked at: 24 words of at most 8 letters, generously spaced.
const MAX_TEXT_BYTES: usize = 4_096;

/// Why a text is not a recovery phrase. It says which word, never what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Too many or too few words.
    #[error("a recovery phrase has {RECOVERY_WORDS} words; this has {0}")]
    WordCount(usize),
    /// A word, counted from 1, that is not in the list.
    #[error("word {0} is not in the list of recovery words")]
    UnknownWord(usize),
    /// Every word is in the list and they don't belong together: one is wrong or two are swapped.
    #[error("the words don't belong together: look for a wrong word or a wrong order")]
    Checksum,
}

/// The words that a clinic's root key grows from. Whoever has them is the clinic: they are shown
/// once, when the clinic is made, and kept on paper.
pub struct RecoveryPhrase(Mnemonic);

impl RecoveryPhrase {
    /// 24 words from 256 bits of the operating system's generator.
    pub fn generate() -> Self {
        let entropy = Zeroizing::new(random_bytes::<32>());
        Self(
            Mnemonic::from_entropy_in(Language::English, &*entropy)
                .expect("256 bits are an entropy that BIP-39 allows"),
        )
    }

    /// The words, in order, between single spaces. There is no `Display`: showing them is a decision.
    pub fn words(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(RECOVERY_WORDS * 9));
        for (at, word) in self.0.words().enumerate() {
            if at > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The root key. The same words give the same key on every machine.
    pub fn to_root_key(&self) -> SigningKey {
        let (entropy, used) = self.0.to_entropy_array();
        let entropy = Zeroizing::new(entropy);
        let seed = Zeroizing::new(blake3::derive_key(ROOT_CONTEXT, &entropy[..used]));
        SigningKey::from_seed(*seed)
    }
}

impl FromStr for RecoveryPhrase {
    type Err = PhraseError;

    /// Reads words as people type them: any case, any spacing, with or without numbers before them
    /// (`1. abandon 2. ability …`).
    fn from_str(text: &str) -> Result<Self, PhraseError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PhraseError::WordCount(text.split_whitespace().count()));
        }
        let text = Zeroizing::new(normalized(text).to_lowercase());
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| !word.is_empty())
            .collect();
        if words.len() != RECOVERY_WORDS {
            return Err(PhraseError::WordCount(words.len()));
        }
        let words = Zeroizing::new(words.join(" "));
        match Mnemonic::parse_in_normalized(Language::English, &words) {
            Ok(mnemonic) => Ok(Self(mnemonic)),
            Err(bip39::Error::UnknownWord(at)) => Err(PhraseError::UnknownWord(at + 1)),
            Err(_) => Err(PhraseError::Checksum),
        }
    }
}

impl std::fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

/// The text in Unicode's compatibility decomposition (NFKD): what one person typed on two machines
/// is one text.
pub(crate) fn normalized(text: &str) -> Zeroizing<String> {
    let mut text = Cow::Borrowed(text);
    Mnemonic::normalize_utf8_cow(&mut text);
    Zeroizing::new(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's vector for 256 bits of 0x7f (trezor/python-mnemonic,
    /// vectors.json).
    const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank year \
                         wave sausage worth useful legal winner thank year wave sausage worth title";

    #[test]
    fn the_words_of_the_bip39_vector_are_read_and_written() {
        let phrase: RecoveryPhrase = WORDS.parse().unwrap();
        assert_eq!(phrase.words().as_str(), WORDS);
        let (entropy, used) = phrase.0.to_entropy_array();
        assert_eq!(entropy[..used], [0x7f; 32]);
    }

    #[test]
    fn the_same_words_give_the_same_root_key_however_they_are_typed() {
        let phrase = RecoveryPhrase::generate();
        let words = phrase.words();
        assert_eq!(words.split(' ').count(), RECOVERY_WORDS);
        let numbered: String = words
            .split(' ')
            .enumerate()
            .map(|(at, word)| format!("  {}. {}\n", at + 1, word.to_uppercase()))
            .collect();
        let again: RecoveryPhrase = numbered.parse().unwrap();
        assert_eq!(again.to_root_key().public(), phrase.to_root_key().public());
        assert_ne!(
            RecoveryPhrase::generate().to_root_key().public(),
            phrase.to_root_key().public()
        );
    }

    #[test]
    fn wrong_words_are_named_by_their_place_and_never_repeated() {
        let parse = |text: &str| text.parse::<RecoveryPhrase>().err();
        assert_eq!(parse("legal winner"), Some(PhraseError::WordCount(2)));
        assert_eq!(parse(""), Some(PhraseError::WordCount(0)));
        let swapped = WORDS.replacen("legal winner", "winner legal", 1);
        assert_eq!(parse(&swapped), Some(PhraseError::Checksum));
        let unknown = WORDS.replacen("thank", "zzzzz", 1);
        let error = parse(&unknown).unwrap();
        assert_eq!(error, PhraseError::UnknownWord(3));
        assert!(!error.to_string().contains("zzzzz"));
        assert!(parse(&"legal ".repeat(100_000)).is_some());
        assert_eq!(
            format!("{:?}", RecoveryPhrase::generate()),
            "RecoveryPhrase(..)"
        );
    }
}
