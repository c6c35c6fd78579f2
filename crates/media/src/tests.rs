//! Whole files, made here, through the front door.

mod builders;
mod dicom_files;
mod kinds;
mod pictures;
mod shared_files;
mod sounds;
mod texts;
