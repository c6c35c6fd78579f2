//! Stories about whole logs: two clinics, their staff, and people who mean ill.

mod codec;
mod convergence;
mod dice;
mod erasures;
mod forks;
mod hostile;
mod inferences;
mod million;
mod oracle;
mod portable;
mod portable_faults;
mod replicas;
mod rights;
mod rosters;
mod signatures;
mod sim;
mod speed;
mod standing;
mod statements;
mod tampering;
mod trees;
mod vectors;
mod world;
