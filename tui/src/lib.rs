//! The staff's terminal UI: one face of the client API, and nothing else.
//!
//! Start at [`run()`]. Inside, a screen is a function of one value: `Model` is plain data, `update` takes a message and
//! says what is to be done, `view` draws and changes nothing. The loop in `run.rs` is the only place that waits, reads
//! the clock, asks the node or touches the terminal. Every key stands once in `keymap.rs`; footer, help and palette are
//! printed from there. Every text passes through `text.rs` on its way to the screen.
//!
//! Not here: any knowledge of logs, keys or the store, and any state that outlives the program.
//!
//! Invariants: nothing is called saved before the node said so; an answer that nobody waits for any more is dropped;
//! whatever shows or changes a record stands under the lines that say whose it is, how fresh it is and whether it is
//! verified; a record as it was is never taken for the record as it is, and nothing is changed from there; nothing is
//! said by colour alone; a file in the clear for another program ends with the screen that asked for it, with that program, or with
//! the UI.
//!
//! ```no_run
//! # async fn face(client: salus_api::Client) -> Result<(), salus_tui::TuiError> {
//! let options = salus_tui::Options { staff: Some("Ines Falk".into()), ..Default::default() };
//! salus_tui::run(client, options).await
//! # }
//! ```

mod canvas;
mod describe;
mod desk;
mod detail;
mod editor;
mod files;
mod folder;
mod form;
mod graphics;
mod input;
mod keymap;
mod keys;
mod kitty;
mod model;
mod msg;
mod pages;
mod picture;
mod rows;
mod run;
mod scratch;
mod sections;
mod series;
mod sixel;
mod subject;
mod table;
mod terminal;
mod text;
mod theme;
mod update;
mod view;
mod waveform;
mod when;
mod window;

#[cfg(test)]
mod attachments;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod images;
#[cfg(test)]
mod pixels;
#[cfg(test)]
mod safety;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod testing;

pub use run::{Options, TuiError, run};
