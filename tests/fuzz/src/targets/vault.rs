//! The vault file and what is sealed. Its keys and nonces come from the operating system: these targets alone make other
//! inputs each time.

use salus_vault::{
    Argon2Params, EpochKey, NodeSecrets, VaultFile, generate_signing_key, open_payload, pad,
    seal_payload, unpad,
};

use super::{Target, same};
use crate::rng::Rng;
use crate::subject::{Broken, Form, Outcome, Subject};

pub(super) const VAULT: Target = Target {
    name: "vault",
    about: "VaultFile::decode",
    form: Form::Cbor,
    max_bytes: 64 * 1024,
    make: |_| Box::new(Vaults(Vaults::files())),
};

struct Vaults(Vec<Vec<u8>>);

/// What follows the content: head and bytes of its BLAKE3 hash.
const CHECKSUM_BYTES: usize = 34;

impl Vaults {
    fn files() -> Vec<Vec<u8>> {
        let expect = "a vault can be made";
        let params = Argon2Params::insecure_for_tests();
        let passphrase = "correct horse battery";
        let key = generate_signing_key();
        let (mut file, unlocked) =
            VaultFile::create(NodeSecrets::generate(), "Ada", passphrase, key, params)
                .expect(expect);
        let one = file.encode();
        file.add_staff(
            &unlocked,
            "Nils",
            "another long passphrase",
            generate_signing_key(),
            params,
        )
        .expect(expect);
        vec![one, file.encode()]
    }
}

impl Subject for Vaults {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.0.clone()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        Ok(match VaultFile::decode(input) {
            Ok(file) => {
                let again = file.encode();
                same(
                    &again.as_slice(),
                    &input,
                    "what is decoded encodes to the same bytes",
                )?;
                Outcome::accepted(file.slots() > 1)
            }
            Err(error) => Outcome::refused(error),
        })
    }

    fn repair(&self, input: &mut Vec<u8>) {
        let Some(len) = input.len().checked_sub(CHECKSUM_BYTES) else {
            return;
        };
        input.truncate(len);
        let checksum = blake3::hash(input);
        input.extend_from_slice(&[0x58, 32]);
        input.extend_from_slice(checksum.as_bytes());
    }
}

pub(super) const SEALED: Target = Target {
    name: "sealed",
    about: "open_payload and unpad",
    form: Form::Bytes,
    max_bytes: 4 * 1024,
    make: |rng| Box::new(Sealed::new(rng)),
};

struct Sealed {
    key: EpochKey,
    boxes: Vec<Vec<u8>>,
}

const PLACE: &[u8] = b"a header";

impl Sealed {
    fn new(rng: &mut Rng) -> Self {
        let key = EpochKey::from_bytes(rng.array32());
        let bodies = [0, 1, 200, 900].map(|len| rng.bytes(len));
        let boxes = bodies
            .iter()
            .filter_map(|body| seal_payload(&key, PLACE, body).ok());
        Self {
            boxes: boxes.collect(),
            key,
        }
    }
}

impl Subject for Sealed {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.boxes.clone()
    }

    fn run(&self, input: &[u8]) -> Result<Outcome, Broken> {
        if let Some(value) = unpad(input) {
            let padded = pad(value);
            same(&padded.as_slice(), &input, "a value has one padded form")?;
        }
        let opened = open_payload(&self.key, PLACE, input);
        let genuine = self.boxes.iter().any(|sealed| sealed == input);
        same(&opened.is_ok(), &genuine, "only what was sealed opens")?;
        Ok(match opened {
            Ok(_) => Outcome::accepted("opened"),
            Err(error) => Outcome::refused(error),
        })
    }
}
