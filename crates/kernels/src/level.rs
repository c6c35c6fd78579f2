//! Which instructions the kernels use.

use std::fmt;
use std::sync::OnceLock;

/// A set of instructions that the kernels are compiled for. Chosen once, at run time.
///
/// A value is only handed out where the processor has the instructions ([`Level::detect`], [`Level::available`],
/// [`Level::named`]): to hold one is the proof that a kernel compiled for it may run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level(pub(crate) Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Set {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// Plain Rust, on every processor.
    pub const SCALAR: Level = Level(Set::Scalar);

    /// The fastest level of this processor.
    pub fn detect() -> Level {
        static BEST: OnceLock<Level> = OnceLock::new();
        *BEST.get_or_init(|| Level::available().last().copied().unwrap_or(Level::SCALAR))
    }

    /// Every level of this processor, slowest first.
    pub fn available() -> Vec<Level> {
        let mut levels = vec![Level::SCALAR];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                levels.push(Level(Set::Avx2));
                if std::arch::is_x86_feature_detected!("avx512f") {
                    levels.push(Level(Set::Avx512));
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            levels.push(Level(Set::Neon));
        }
        levels
    }

    /// The level of this name (`scalar`, `avx2`, `avx512`, `neon`), if this processor has it.
    pub fn named(name: &str) -> Option<Level> {
        Level::available()
            .into_iter()
            .find(|level| level.name() == name)
    }

    /// `scalar`, `avx2`, `avx512` or `neon`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
