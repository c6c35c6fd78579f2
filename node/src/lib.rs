//! The clinic's node: everything below the API composed, the daemon, and the command line.
//!
//! Start from [`node::Node`] for a running node, [`core::Core`] for the clinic behind it, [`service`] for how a request is
//! answered, and [`cli`] for the `salus` program. Other processes reach a node through [`remote`].
//!
//! Not here: any format (`salus-audit`), any cryptography (`salus-vault`), any protocol (`salus-sync`, `salus-mesh`).

pub mod attachments;
pub mod backup;
pub mod bench;
pub mod cli;
pub mod connect;
pub mod core;
pub mod daemon;
pub mod demo;
pub mod doctor;
pub mod folder;
pub mod hostile;
pub mod imaging;
pub mod inspect;
pub mod made_up;
pub mod network;
pub mod node;
pub mod remote;
pub mod service;
pub mod setup;
pub mod source;
pub mod whole_file;
