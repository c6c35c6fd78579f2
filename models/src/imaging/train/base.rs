//! The weights that training starts from.

use candle_core::{DType, Device, Tensor};

use crate::ModelError;
use crate::draws::Draws;
use crate::imaging::network::Architecture;
use crate::manifest::Base;
use crate::weights::{self, Tensors};

/// What training starts from.
pub struct BaseWeights {
    /// The network's tensors; the head's may have another number of categories, and are not used.
    pub tensors: Tensors,
    /// What the manifest says about it.
    pub base: Base,
}

impl BaseWeights {
    /// Of a weights file's bytes.
    ///
    /// # Errors
    ///
    /// Bytes that are no weights.
    pub fn parse(bytes: &[u8], name: &str, licence: &str) -> Result<Self, ModelError> {
        Ok(BaseWeights {
            tensors: weights::parse(bytes)?,
            base: Base {
                name: name.to_owned(),
                blake3: blake3::hash(bytes).to_hex().to_string(),
                licence: licence.to_owned(),
            },
        })
    }
}

/// The base with a head of zeros: every category is equally likely at first.
pub(super) fn start(base: &BaseWeights, architecture: Architecture) -> Result<Tensors, ModelError> {
    let mut given = base.tensors.clone();
    let mut start = Tensors::new();
    for (name, shape) in architecture.tensors() {
        let tensor = if name.starts_with("classifier.") {
            Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu)?
        } else {
            weights::take(&mut given, &name, &shape)?
        };
        start.insert(name, tensor);
    }
    Ok(start)
}

/// A base of random weights, for tests and for whoever has no other: He's initialisation.
///
/// # Errors
///
/// A size that no network has.
pub fn random_base(architecture: Architecture, seed: u64) -> Result<BaseWeights, ModelError> {
    architecture.check()?;
    let mut tensors = Tensors::new();
    for (index, (name, shape)) in architecture.tensors().into_iter().enumerate() {
        let mut draws = Draws::new(seed, "base", &[index as u64]);
        let inputs: usize = shape[1..].iter().product();
        // A linear convolution has no ReLU that takes half of the variance away.
        let linear = name.ends_with("conv.2.weight") || name == "features.1.conv.1.weight";
        let gain = if linear { 1.0 } else { 2.0 };
        let deviation = if name.ends_with("weight") {
            (gain / inputs.max(1) as f64).sqrt()
        } else {
            0.0
        };
        #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
        let values: Vec<f32> = (0..shape.iter().product::<usize>())
            .map(|_| (draws.normal() * deviation) as f32)
            .collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu)?);
    }
    let bytes = weights::to_bytes(&tensors, DType::F32, &[])?;
    BaseWeights::parse(&bytes, "random", "none needed")
}
