//! Stories about whole logs: two clinics, their staff, and people who mean ill.

mod codec;
mod convergence;
mod hostile;
mod rights;
mod rosters;
mod signatures;
mod speed;
mod vectors;
mod world;
