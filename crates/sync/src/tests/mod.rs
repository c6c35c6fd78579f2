//! Sessions between engines over a ledger of a few lines: what each rule of the protocol does. The simulation with real
//! entries, rights and a liar is in [`sim`](crate::sim).

mod check;
mod flood;
mod ledger;
mod sessions;
mod world;
