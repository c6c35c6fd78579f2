//! Reading and writing weights: safetensors in `f16` or `f32`, judged before anything is built from them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::ModelError;

/// A weights file may be this large, in bytes: ten times the largest network here (14 MB), which is far below what
/// could trouble a clinic's laptop.
pub const MAX_WEIGHTS_BYTES: u64 = 128 << 20;

/// Tensors by their name, in the order of their names.
pub type Tensors = BTreeMap<String, Tensor>;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
///
/// A file that cannot be read or is larger.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let file = File::open(path).map_err(ModelError::file(path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(ModelError::file(path))?;
    if bytes.len() as u64 > limit {
        return Err(ModelError::Weights(format!(
            "{} is larger than {} MiB",
            path.display(),
            limit >> 20
        )));
    }
    Ok(bytes)
}

/// Reads safetensors into `f32` tensors on the processor: every value must be finite.
///
/// # Errors
///
/// Bytes that are no safetensors file, other types than `f16` and `f32`, values that are not finite.
pub fn parse(bytes: &[u8]) -> Result<Tensors, ModelError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| ModelError::Weights(format!("not a safetensors file ({error})")))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.tensors() {
        let values = values(&name, &view)?;
        tensors.insert(name, Tensor::from_vec(values, view.shape(), &Device::Cpu)?);
    }
    Ok(tensors)
}

/// The text that was stored beside the tensors under `key`.
///
/// # Errors
///
/// Bytes that are no safetensors file.
pub fn note(bytes: &[u8], key: &str) -> Result<Option<String>, ModelError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)
        .map_err(|error| ModelError::Weights(format!("not a safetensors file ({error})")))?;
    Ok(metadata
        .metadata()
        .as_ref()
        .and_then(|notes| notes.get(key).cloned()))
}

fn values(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ModelError> {
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect(),
        Dtype::F16 => view
            .data()
            .chunks_exact(2)
            .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect(),
        other => {
            return Err(ModelError::Weights(format!(
                "{name} is stored as {other:?}; f16 and f32 are read"
            )));
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(ModelError::Weights(format!(
            "{name} holds values that are not finite"
        )));
    }
    Ok(values)
}

/// Takes `name` out, which must have this shape.
///
/// # Errors
///
/// A tensor that is missing or has another shape.
pub fn take(tensors: &mut Tensors, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
    let tensor = tensors
        .remove(name)
        .ok_or_else(|| ModelError::Weights(format!("{name} is missing")))?;
    if tensor.dims() != shape {
        return Err(ModelError::Weights(format!(
            "{name} has the shape {:?} instead of {shape:?}",
            tensor.dims()
        )));
    }
    Ok(tensor)
}

/// Writes tensors as safetensors of this type, with texts beside them.
///
/// # Errors
///
/// Values that are not finite in `f16`, or that cannot be read back from their device.
pub fn to_bytes(
    tensors: &Tensors,
    dtype: DType,
    notes: &[(&str, String)],
) -> Result<Vec<u8>, ModelError> {
    let mut stored = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        let (kind, data) = match dtype {
            DType::F16 => {
                let halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
                if halves.iter().any(|half| !half.is_finite()) {
                    return Err(ModelError::Weights(format!("{name} does not fit into f16")));
                }
                let data = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
                (Dtype::F16, data)
            }
            _ => {
                let data: Vec<u8> = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                (Dtype::F32, data)
            }
        };
        stored.push((name.clone(), kind, tensor.dims().to_vec(), data));
    }
    let views = stored
        .iter()
        .map(|(name, kind, shape, data)| {
            TensorView::new(*kind, shape.clone(), data).map(|view| (name.clone(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| ModelError::Weights(error.to_string()))?;
    // One note at most is ever stored: a map of several would come out in any order, and with another hash.
    let notes: HashMap<String, String> = notes
        .iter()
        .map(|(key, text)| ((*key).to_owned(), text.clone()))
        .collect();
    let notes = (!notes.is_empty()).then_some(notes);
    safetensors::serialize(views, notes).map_err(|error| ModelError::Weights(error.to_string()))
}

/// Writes a file so that a reader finds either the old content or all of the new.
///
/// # Errors
///
/// A folder that cannot be written to.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ModelError> {
    let beside = path.with_extension("part");
    let mut file = File::create(&beside).map_err(ModelError::file(&beside))?;
    file.write_all(bytes).map_err(ModelError::file(&beside))?;
    file.sync_all().map_err(ModelError::file(&beside))?;
    drop(file);
    fs::rename(&beside, path).map_err(ModelError::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> Tensors {
        let tensor = Tensor::from_vec(vec![value, 1.0], 2, &Device::Cpu).unwrap();
        Tensors::from([("a".to_owned(), tensor)])
    }

    #[test]
    fn what_is_written_is_read_again_in_both_types() {
        for dtype in [DType::F16, DType::F32] {
            let bytes = to_bytes(&one(0.5), dtype, &[("key", "text".to_owned())]).unwrap();
            let mut read = parse(&bytes).unwrap();
            let tensor = take(&mut read, "a", &[2]).unwrap();
            assert_eq!(tensor.to_vec1::<f32>().unwrap(), [0.5, 1.0]);
            assert_eq!(note(&bytes, "key").unwrap().as_deref(), Some("text"));
            assert_eq!(note(&bytes, "other").unwrap(), None);
        }
    }

    #[test]
    fn values_that_are_not_finite_are_neither_read_nor_made() {
        let nan = to_bytes(&one(f32::NAN), DType::F32, &[]).unwrap();
        assert!(
            parse(&nan)
                .unwrap_err()
                .to_string()
                .contains("a holds values")
        );
        let error = to_bytes(&one(1e6), DType::F16, &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not fit"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_weights_are_refused() {
        let whole = to_bytes(&one(0.5), DType::F16, &[]).unwrap();
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end}");
        }
        // A header that says that it is longer than memory.
        let mut long = whole.clone();
        long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse(&long).is_err());
        let other = String::from_utf8_lossy(&whole).replace("F16", "I16");
        assert!(parse(other.as_bytes()).is_err());
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, [0; 100]).unwrap();
        assert_eq!(read_bounded(&path, 100).unwrap().len(), 100);
        let error = read_bounded(&path, 99).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
        assert!(read_bounded(&folder.path().join("none"), 1).is_err());
    }
}
