//! Scenarios over several real nodes and processes, all on loopback, and checks of the workspace itself.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod at_rest;
mod attachments;
mod images;
mod layering;
mod observer;
mod process;
mod rights;
mod safety;
mod saved_documents;
mod suggestions;
mod two_clinics;
mod wrong_input;
