//! Whole files, made here, through the front door.

pub(crate) mod builders;
mod dicom_files;
mod hostile;
mod shared_files;
mod still_pictures;
