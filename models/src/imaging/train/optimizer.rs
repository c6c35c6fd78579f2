//! AdamW (I. Loshchilov, F. Hutter, ICLR 2019) over named variables, with its state open to checkpoints, bounded
//! gradients, and a running average of the weights.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::weights::{Tensors, take};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// What stays the same over all steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSettings {
    /// How much of a weight is taken off in a step, before the rate; biases are left alone.
    pub weight_decay: f32,
    /// The gradients' common length is bounded to this.
    pub gradient_bound: f32,
    /// How much of the average of the weights is kept in a step, once it has run in: 0 to 1.
    pub average_kept: f32,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        OptimizerSettings {
            weight_decay: 0.05,
            gradient_bound: 5.0,
            average_kept: 0.995,
        }
    }
}

struct Slot {
    var: Var,
    shape: Vec<usize>,
    decays: bool,
    /// Relative to the rate of a step.
    rate: f32,
    value: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    average: Vec<f32>,
}

/// The optimiser with its state.
pub struct Optimizer {
    settings: OptimizerSettings,
    slots: BTreeMap<String, Slot>,
    steps: u32,
}

impl Optimizer {
    /// Over these variables; `rate` gives each one's share of a step's rate by its name.
    ///
    /// # Errors
    ///
    /// Variables that cannot be read.
    pub fn new(
        settings: OptimizerSettings,
        variables: &BTreeMap<String, Var>,
        rate: impl Fn(&str) -> f32,
    ) -> Result<Self, ModelError> {
        let mut slots = BTreeMap::new();
        for (name, var) in variables {
            let value = var.flatten_all()?.to_vec1::<f32>()?;
            slots.insert(
                name.clone(),
                Slot {
                    var: var.clone(),
                    shape: var.dims().to_vec(),
                    decays: name.ends_with("weight"),
                    rate: rate(name),
                    first: vec![0.0; value.len()],
                    second: vec![0.0; value.len()],
                    average: value.clone(),
                    value,
                },
            );
        }
        Ok(Optimizer {
            settings,
            slots,
            steps: 0,
        })
    }

    /// One step; returns the gradients' length before it was bounded.
    ///
    /// # Errors
    ///
    /// A variable without a gradient, or gradients that are not finite.
    pub fn step(&mut self, gradients: &Tensors, rate: f32) -> Result<f32, ModelError> {
        let mut taken = Vec::with_capacity(self.slots.len());
        let mut squares = 0.0_f64;
        for name in self.slots.keys() {
            let gradient = gradients.get(name).ok_or_else(|| {
                ModelError::Weights(format!("{name} got no gradient: it would never learn"))
            })?;
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            squares += gradient
                .iter()
                .map(|g| f64::from(*g) * f64::from(*g))
                .sum::<f64>();
            taken.push(gradient);
        }
        let length = rounded(squares.sqrt());
        if !length.is_finite() {
            return Err(ModelError::Settings(
                "training diverged (gradients are not finite): lower the learning rate".to_owned(),
            ));
        }
        self.steps += 1;
        let scale = (self.settings.gradient_bound / length.max(1e-12)).min(1.0);
        let unbias_1 = 1.0 / (1.0 - BETA_1.powf(self.steps as f32));
        let unbias_2 = 1.0 / (1.0 - BETA_2.powf(self.steps as f32));
        // The average runs in over its first steps, or it would be the start for long.
        let step = self.steps as f32;
        let kept = self.settings.average_kept.min((1.0 + step) / (10.0 + step));
        let decay = self.settings.weight_decay;
        self.slots
            .values_mut()
            .zip(&taken)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(slot, gradient)| {
                let rate = rate * slot.rate;
                let decay = if slot.decays { rate * decay } else { 0.0 };
                #[expect(clippy::needless_range_loop, reason = "five slices in step")]
                for i in 0..slot.value.len() {
                    let g = gradient[i] * scale;
                    let first = BETA_1 * slot.first[i] + (1.0 - BETA_1) * g;
                    let second = BETA_2 * slot.second[i] + (1.0 - BETA_2) * g * g;
                    let mut value = slot.value[i];
                    value -= decay * value;
                    value -= rate * first * unbias_1 / ((second * unbias_2).sqrt() + EPSILON);
                    slot.first[i] = first;
                    slot.second[i] = second;
                    slot.value[i] = value;
                    slot.average[i] = kept * slot.average[i] + (1.0 - kept) * value;
                }
                slot.var.set(&Tensor::from_slice(
                    &slot.value,
                    slot.shape.as_slice(),
                    &Device::Cpu,
                )?)
            })
            .collect::<Result<Vec<()>, _>>()?;
        Ok(length)
    }

    /// The running average of the weights.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn average(&self) -> Result<Tensors, ModelError> {
        self.slots
            .iter()
            .map(|(name, slot)| Ok((name.clone(), tensor(&slot.average, &slot.shape)?)))
            .collect()
    }

    /// Everything that the next step depends on.
    ///
    /// # Errors
    ///
    /// Too little memory.
    pub fn state(&self) -> Result<Tensors, ModelError> {
        let mut state = Tensors::new();
        for (name, slot) in &self.slots {
            for (part, values) in [
                ("value", &slot.value),
                ("first", &slot.first),
                ("second", &slot.second),
                ("average", &slot.average),
            ] {
                state.insert(format!("{part}/{name}"), tensor(values, &slot.shape)?);
            }
        }
        Ok(state)
    }

    /// Goes on from what [`Optimizer::state`] gave after `steps` steps.
    ///
    /// # Errors
    ///
    /// A state of other variables.
    pub fn restore(&mut self, mut state: Tensors, steps: u32) -> Result<(), ModelError> {
        for (name, slot) in &mut self.slots {
            let mut part = |part: &str| -> Result<Vec<f32>, ModelError> {
                let tensor = take(&mut state, &format!("{part}/{name}"), &slot.shape)?;
                Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
            };
            slot.value = part("value")?;
            slot.first = part("first")?;
            slot.second = part("second")?;
            slot.average = part("average")?;
            slot.var.set(&tensor(&slot.value, &slot.shape)?)?;
        }
        self.steps = steps;
        Ok(())
    }

    /// Steps so far.
    pub fn steps(&self) -> u32 {
        self.steps
    }
}

fn tensor(values: &[f32], shape: &[usize]) -> Result<Tensor, ModelError> {
    Ok(Tensor::from_slice(values, shape, &Device::Cpu)?)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to the nearest f32 is meant"
)]
fn rounded(value: f64) -> f32 {
    value as f32
}

/// The rate at a share of the way, 0 to 1: a straight warm-up, then half a cosine down to a hundredth.
pub fn scheduled(peak: f32, warm_up: f32, share: f32) -> f32 {
    const FLOOR: f32 = 0.01;
    if share < warm_up {
        return peak * (share / warm_up).max(FLOOR);
    }
    let way = (share - warm_up) / (1.0 - warm_up).max(1e-6);
    let cosine = 0.5 * (1.0 + (std::f32::consts::PI * way.min(1.0)).cos());
    peak * (FLOOR + (1.0 - FLOOR) * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradients of a loss.
    fn of(loss: &Tensor, variables: &BTreeMap<String, Var>) -> Tensors {
        let store = loss.sum_all().unwrap().backward().unwrap();
        variables
            .iter()
            .filter_map(|(name, var)| Some((name.clone(), store.get(var.as_tensor())?.clone())))
            .collect()
    }

    #[test]
    fn a_step_is_adamws() {
        // w = 2, loss = w^2, gradient 4, bounded to 1: first = 0.1, second = 0.001, both unbiased to 1.
        let var = Var::new(&[2.0_f32], &Device::Cpu).unwrap();
        let variables = BTreeMap::from([("a.weight".to_owned(), var.clone())]);
        let settings = OptimizerSettings {
            weight_decay: 0.5,
            gradient_bound: 1.0,
            average_kept: 0.9,
        };
        let mut optimizer = Optimizer::new(settings, &variables, |_| 1.0).unwrap();
        let gradients = of(&var.sqr().unwrap(), &variables);
        let length = optimizer.step(&gradients, 0.1).unwrap();
        assert!((length - 4.0).abs() < 1e-6);
        let value = var.to_vec1::<f32>().unwrap()[0];
        assert!(
            (value - (2.0 - 0.1 * 0.5 * 2.0 - 0.1)).abs() < 1e-6,
            "{value}"
        );
    }

    #[test]
    fn a_variable_without_a_gradient_is_an_error() {
        let used = Var::new(&[2.0_f32], &Device::Cpu).unwrap();
        let unused = Var::new(&[2.0_f32], &Device::Cpu).unwrap();
        let variables = BTreeMap::from([
            ("used.weight".to_owned(), used.clone()),
            ("unused.weight".to_owned(), unused),
        ]);
        let mut optimizer =
            Optimizer::new(OptimizerSettings::default(), &variables, |_| 1.0).unwrap();
        let gradients = of(&used.sqr().unwrap(), &variables);
        let error = optimizer.step(&gradients, 0.1).unwrap_err();
        assert!(error.to_string().contains("unused.weight"), "{error}");
    }

    #[test]
    fn a_restored_optimiser_goes_on_to_the_same_bits() {
        let run = |break_at: Option<usize>| {
            let fresh = || Var::new(&[2.0_f32, -1.0], &Device::Cpu).unwrap();
            let named = |var: &Var| BTreeMap::from([("w.weight".to_owned(), var.clone())]);
            let over = |var: &Var| {
                Optimizer::new(OptimizerSettings::default(), &named(var), |_| 1.0).unwrap()
            };
            let mut var = fresh();
            let mut optimizer = over(&var);
            for step in 0..6 {
                if Some(step) == break_at {
                    let (state, steps) = (optimizer.state().unwrap(), optimizer.steps());
                    var = fresh();
                    optimizer = over(&var);
                    optimizer.restore(state, steps).unwrap();
                }
                let gradients = of(&var.sqr().unwrap(), &named(&var));
                optimizer.step(&gradients, 0.01).unwrap();
            }
            (
                var.to_vec1::<f32>().unwrap(),
                optimizer.average().unwrap()["w.weight"]
                    .to_vec1::<f32>()
                    .unwrap(),
            )
        };
        assert_eq!(run(None), run(Some(3)));
    }

    #[test]
    fn the_rate_warms_up_and_ends_at_a_hundredth() {
        assert!((scheduled(1.0, 0.1, 0.05) - 0.5).abs() < 1e-6);
        assert!((scheduled(1.0, 0.1, 0.1) - 1.0).abs() < 1e-6);
        assert!((scheduled(1.0, 0.1, 1.0) - 0.01).abs() < 1e-6);
        assert!(scheduled(1.0, 0.1, 0.0) > 0.0);
    }
}
