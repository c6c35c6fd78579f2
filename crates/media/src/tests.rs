//! Whole files, made here, through the front door.

mod builders;
mod dicom_files;
mod hostile;
mod kinds;
mod papers;
mod pictures;
mod shared_files;
mod sounds;
mod texts;
