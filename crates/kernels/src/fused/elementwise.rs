//! What has no neighbours: residuals, the gradient of ReLU6, sums over rows.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::{PIECE, lanes, values};
use crate::Activation;

/// `a + b`, of one shape.
///
/// # Errors
///
/// Shapes that differ, or tensors that are not `f32` on the processor.
pub fn residual(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.contiguous()?.apply_op2(&b.contiguous()?, Residual)
}

/// The gradient before the activation: `gradient` where the output lies strictly between its bounds.
pub(super) fn before_activation(
    activation: Activation,
    output: &Tensor,
    gradient: &Tensor,
) -> Result<Tensor> {
    if gradient.dims() != output.dims() {
        candle_core::bail!("a gradient {:?} of {:?}", gradient.dims(), output.dims())
    }
    let gradient = gradient.contiguous()?;
    match activation {
        Activation::None => Ok(gradient),
        Activation::Relu6 => output.apply_op2_no_bwd(&gradient, &Relu6Gradient),
    }
}

struct Relu6Gradient;

impl CustomOp2 for Relu6Gradient {
    fn name(&self) -> &'static str {
        "relu6-gradient"
    }

    fn cpu_fwd(
        &self,
        output: &CpuStorage,
        output_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let output = values(output, output_layout, "output")?;
        let gradient = values(gradient, gradient_layout, "gradient")?;
        let mut masked = vec![0.0_f32; output.len()];
        masked
            .par_chunks_mut(PIECE)
            .zip(output.par_chunks(PIECE))
            .zip(gradient.par_chunks(PIECE))
            .for_each(|((masked, output), gradient)| {
                Arch::new().dispatch(lanes::Relu6Gradient {
                    masked,
                    output,
                    gradient,
                });
            });
        Ok((CpuStorage::F32(masked), output_layout.shape().clone()))
    }
}

/// `[rows, columns]` to `[columns]`.
pub(super) struct ColumnSums;

impl CustomOp1 for ColumnSums {
    fn name(&self) -> &'static str {
        "column-sums"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let columns = layout.shape().dims().last().copied().unwrap_or(0);
        let values = values(x, layout, "map")?;
        let mut sums = vec![0.0_f32; columns];
        if columns > 0 {
            Arch::new().dispatch(lanes::ColumnSums {
                sums: &mut sums,
                rows: values,
            });
        }
        Ok((CpuStorage::F32(sums), columns.into()))
    }
}

struct Residual;

impl CustomOp2 for Residual {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if a_layout.shape() != b_layout.shape() {
            candle_core::bail!("a residual of two shapes")
        }
        let mut sum = values(a, a_layout, "map")?.to_vec();
        let b = values(b, b_layout, "map")?;
        sum.par_chunks_mut(PIECE)
            .zip(b.par_chunks(PIECE))
            .for_each(|(sum, b)| Arch::new().dispatch(lanes::Add { sum, b }));
        Ok((CpuStorage::F32(sum), a_layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(gradient.clone()), Some(gradient.clone())))
    }
}
