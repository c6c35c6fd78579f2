//! L-BFGS (D. Liu, J. Nocedal, 1989) with a backtracking line search, for smooth convex functions.

use crate::ModelError;

/// Steps that are remembered.
const MEMORY: usize = 10;
/// The share of the promised fall that a step must bring (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Halvings of a step before the search ends: it then lies below what `f64` tells apart.
const HALVINGS: usize = 40;
/// The function is flat where its gradient's largest number is below this.
const FLAT: f64 = 1e-7;

/// From `start` to a minimum, in `iterations` at most; `function` gives value and gradient.
///
/// # Errors
///
/// Those of `function`.
pub fn minimise(
    start: Vec<f64>,
    iterations: usize,
    mut function: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), ModelError>,
) -> Result<Vec<f64>, ModelError> {
    let mut at = start;
    let (mut value, mut gradient) = function(&at)?;
    // (step, change of the gradient, 1 / their product)
    let mut memory: Vec<(Vec<f64>, Vec<f64>, f64)> = Vec::new();
    for _ in 0..iterations {
        if gradient.iter().all(|g| g.abs() < FLAT) {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            break;
        }
        // The first step has no scale yet.
        let mut length = if memory.is_empty() {
            1.0 / dot(&gradient, &gradient).sqrt().max(1.0)
        } else {
            1.0
        };
        let mut found = None;
        for _ in 0..HALVINGS {
            let next: Vec<f64> = at
                .iter()
                .zip(&direction)
                .map(|(a, d)| a + length * d)
                .collect();
            let (next_value, next_gradient) = function(&next)?;
            if next_value <= value + SUFFICIENT * length * slope {
                found = Some((next, next_value, next_gradient));
                break;
            }
            length /= 2.0;
        }
        let Some((next, next_value, next_gradient)) = found else {
            break;
        };
        let step: Vec<f64> = next.iter().zip(&at).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = next_gradient
            .iter()
            .zip(&gradient)
            .map(|(a, b)| a - b)
            .collect();
        let product = dot(&step, &change);
        // Only a positive curvature keeps the direction one of descent.
        if product > 1e-12 * dot(&change, &change) {
            if memory.len() == MEMORY {
                memory.remove(0);
            }
            memory.push((step, change, 1.0 / product));
        }
        (at, value, gradient) = (next, next_value, next_gradient);
    }
    Ok(at)
}

/// The two-loop recursion.
fn direction(gradient: &[f64], memory: &[(Vec<f64>, Vec<f64>, f64)]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (step, change, inverse) in memory.iter().rev() {
        let share = inverse * dot(step, &direction);
        for (d, c) in direction.iter_mut().zip(change) {
            *d -= share * c;
        }
        shares.push(share);
    }
    if let Some((_, change, inverse)) = memory.last() {
        let scale = 1.0 / (inverse * dot(change, change));
        for d in &mut direction {
            *d *= scale;
        }
    }
    for ((step, change, inverse), share) in memory.iter().zip(shares.iter().rev()) {
        let back = inverse * dot(change, &direction);
        for (d, s) in direction.iter_mut().zip(step) {
            *d += (share - back) * s;
        }
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_narrow_valley_is_followed_to_its_end() {
        // Rosenbrock's function: not convex, the minimum at (1, 1).
        let found = minimise(vec![-1.2, 1.0], 200, |at| {
            let (x, y) = (at[0], at[1]);
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let to_x = -2.0 * (1.0 - x) - 400.0 * x * (y - x * x);
            Ok((value, vec![to_x, 200.0 * (y - x * x)]))
        })
        .unwrap();
        assert!(
            (found[0] - 1.0).abs() < 1e-5 && (found[1] - 1.0).abs() < 1e-5,
            "{found:?}"
        );
    }

    #[test]
    fn an_error_of_the_function_ends_the_search() {
        let result = minimise(vec![0.0], 5, |_| Err(ModelError::Stopped));
        assert!(matches!(result, Err(ModelError::Stopped)));
    }
}
