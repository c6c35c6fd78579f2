//! Hostile bytes for every decoder of the product.
//!
//! A small mutational fuzzer of our own: libFuzzer needs C++ and a nightly compiler. It changes valid items, which the
//! product's own encoders make, hands them to a [`Subject`], keeps those that bring an outcome not seen before and changes
//! these further. What it looks for: a panic, a broken promise (what was decoded encodes otherwise), more than a second
//! for one input, or more than 64 MiB for it. Start from [`Campaign`].
//!
//! ```text
//! cargo run --release -p salus-fuzz -- all --inputs 1000000
//! cargo run --release -p salus-fuzz -- entry --seconds 60 --seed 7
//! cargo run --release -p salus-fuzz -- --replay tests/fuzz/regressions/entry-array-longer-than-the-input.hex
//! ```
//!
//! The same target, seed and number of inputs make the same inputs. Before an input is tried it is written to a file
//! (`last-TARGET.bin`; replay it with `TARGET --raw --replay`), so that one that ends the process (a failed allocation: it
//! has 4 GiB; an overflow of the stack) or never ends is known, too. Saved documents are loaded by a worker process first, as
//! the product does ([`worker`]).
//!
//! Last campaigns, 2026-11-22 and 23: 1,000,000 inputs of every target, `apply` as two seeds of 500,000, and no finding is open.
//! Of `snapshot` 10,165 were accepted, of `apply` most: it takes a millisecond an input, nearly all of it Automerge's own
//! work (flat in a profile), so it is best run as several processes with a seed each.
//!
//! Not here: hostile peers at work over time (`crates/sync/src/sim`), damaged files (`crates/store`), and damage to what is
//! sealed, which is refused by its tag before a decoder sees it.

pub mod campaign;
pub mod hexfile;
pub mod minimise;
pub mod mutate;
pub mod rng;
pub mod subject;
pub mod targets;
mod watch;
pub mod worker;

pub use campaign::{Campaign, Finding, Kind, Tally};
pub use rng::Rng;
pub use subject::{Form, Outcome, Subject};

/// Counts what is allocated, so that an input's own peak is known exactly.
#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
