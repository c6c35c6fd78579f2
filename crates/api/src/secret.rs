//! Secrets that travel in a call: wiped when dropped, never shown by `Debug`.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A staff member's passphrase on its way to the vault.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

/// Names an unlocked session of a running daemon. Worthless once that daemon locks or stops.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct SessionToken(String);

macro_rules! secret {
    ($name:ident) => {
        impl $name {
            /// Takes the secret over.
            pub fn new(secret: String) -> Self {
                Self(secret)
            }

            /// The secret itself. Not for logs, errors or screens.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

secret!(Passphrase);
secret!(SessionToken);
