//! The frozen part of the network, run once for each variant of each image.
//!
//! Its output is kept on disk as `f16` for as long as a variant has at most [`MAX_CACHED_BYTES`], so that every fold and
//! the final fit share it, and a run that was interrupted does not repeat it; a larger one is computed for each batch.

use std::fs;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::augment::{Augmentation, source_side};
use crate::ModelError;
use crate::draws::Draws;
use crate::imaging::network::{BLOCKS, Network};
use crate::imaging::preprocess::Preprocessing;
use crate::weights::write_whole;

/// The most that a variant of all images may take on disk and in memory.
const MAX_CACHED_BYTES: usize = 1 << 30;
/// Images that go through the frozen part at once.
const BATCH: usize = 16;

/// Which variant of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// As it is classified.
    Plain,
    /// Varied by the draws of this number.
    Drawn(usize),
}

/// Square grey pictures in the two sizes that training takes them in.
pub struct Pictures {
    /// `side * side` levels each: as they are classified.
    pub plain: Vec<Vec<u8>>,
    /// `source_side(side)` squared levels each: what variants are drawn from.
    pub source: Vec<Vec<u8>>,
}

/// The frozen part up to a stage's first trained block.
pub struct Trunk<'a> {
    network: &'a Network,
    trained_from: usize,
    preprocessing: Preprocessing,
    pictures: &'a Pictures,
    augmentation: &'a Augmentation,
    seed: u64,
    /// Where variants are kept, and what their names begin with: it stands for all that they depend on.
    cache: (PathBuf, String),
}

/// One variant of all images behind the frozen part.
pub struct Maps<'a, 'b> {
    trunk: &'b Trunk<'a>,
    variant: Variant,
    cached: Option<Vec<f16>>,
}

impl<'a> Trunk<'a> {
    /// The frozen part of `network` before block `trained_from`, cached in `folder` under a name that begins with
    /// `base`, which stands for the network and the images.
    pub fn new(
        network: &'a Network,
        trained_from: usize,
        pictures: &'a Pictures,
        augmentation: &'a Augmentation,
        seed: u64,
        folder: PathBuf,
        base: &str,
    ) -> Self {
        let drawn = format!("{augmentation:?} {seed} {trained_from}");
        let key = blake3::hash(format!("{base} {drawn}").as_bytes()).to_hex();
        Trunk {
            network,
            trained_from,
            preprocessing: Preprocessing::standard(network.architecture().input_px),
            pictures,
            augmentation,
            seed,
            cache: (folder, key[..16].to_owned()),
        }
    }

    /// Height, width and channels of one image behind the frozen part.
    fn shape(&self) -> (usize, usize, usize) {
        let architecture = self.network.architecture();
        if self.trained_from > BLOCKS + 1 {
            return (1, 1, architecture.embedding_len());
        }
        let (channels, side) = architecture.map_after(self.trained_from - 1);
        (side, side, channels)
    }

    fn values_per_image(&self) -> usize {
        let (height, width, channels) = self.shape();
        height * width * channels
    }

    /// One variant of all images; `each` is called once for each batch of images that had to be computed, with how many
    /// are done, and returns whether to go on.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written to; [`ModelError::Stopped`].
    pub fn maps(
        &self,
        variant: Variant,
        each: &dyn Fn(usize) -> bool,
    ) -> Result<Maps<'a, '_>, ModelError> {
        let images = self.pictures.plain.len();
        let bytes = images * self.values_per_image() * 2;
        let mut maps = Maps {
            trunk: self,
            variant,
            cached: None,
        };
        if bytes > MAX_CACHED_BYTES {
            return Ok(maps);
        }
        let name = match variant {
            Variant::Plain => "plain".to_owned(),
            Variant::Drawn(number) => number.to_string(),
        };
        let path = self.cache.0.join(format!("{}-{name}.maps", self.cache.1));
        if let Ok(stored) = fs::read(&path)
            && stored.len() == bytes
        {
            let halves = stored
                .chunks_exact(2)
                .map(|b| f16::from_le_bytes([b[0], b[1]]))
                .collect();
            maps.cached = Some(halves);
            return Ok(maps);
        }
        let mut halves = vec![f16::ZERO; bytes / 2];
        let indices: Vec<usize> = (0..images).collect();
        for (batch, out) in indices
            .chunks(BATCH)
            .zip(halves.chunks_mut(BATCH * self.values_per_image()))
        {
            if !each(batch[0]) {
                return Err(ModelError::Stopped);
            }
            out.convert_from_f32_slice(&self.compute(variant, batch)?);
        }
        let stored: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        write_whole(&path, &stored)?;
        maps.cached = Some(halves);
        Ok(maps)
    }

    /// What the frozen part gives for these images.
    fn compute(&self, variant: Variant, images: &[usize]) -> Result<Vec<f32>, ModelError> {
        let side = self.preprocessing.side;
        let drawn: Vec<Vec<u8>>;
        let squares: Vec<&[u8]> = match variant {
            Variant::Plain => images
                .iter()
                .map(|i| self.pictures.plain[*i].as_slice())
                .collect(),
            Variant::Drawn(number) => {
                drawn = images
                    .par_iter()
                    .map(|i| {
                        let mut draws =
                            Draws::new(self.seed, "variant", &[number as u64, *i as u64]);
                        let source = &self.pictures.source[*i];
                        self.augmentation
                            .apply(source, source_side(side), side, &mut draws)
                    })
                    .collect();
                drawn.iter().map(Vec::as_slice).collect()
            }
        };
        let input = self.preprocessing.tensor(&squares)?;
        let stem = self.network.stem_fused(&input)?;
        let blocks = (self.trained_from - 1).min(BLOCKS);
        let mut map = self.network.blocks_fused(&stem, 0, blocks)?;
        if self.trained_from > BLOCKS + 1 {
            map = Network::pool(&self.network.last_fused(&map)?)?;
        }
        Ok(map.flatten_all()?.to_vec1()?)
    }
}

impl Maps<'_, '_> {
    /// `[n, height, width, channels]` of these images.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn batch(&self, images: &[usize]) -> Result<Tensor, ModelError> {
        let (height, width, channels) = self.trunk.shape();
        let length = height * width * channels;
        let values = match &self.cached {
            Some(cached) => {
                let mut values = vec![0.0_f32; images.len() * length];
                for (image, out) in images.iter().zip(values.chunks_exact_mut(length)) {
                    cached[image * length..(image + 1) * length].convert_to_f32_slice(out);
                }
                values
            }
            None => self.trunk.compute(self.variant, images)?,
        };
        let shape = (images.len(), height, width, channels);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}
