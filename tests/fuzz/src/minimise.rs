//! Making an input smaller that still does what it did.

use std::time::{Duration, Instant};

/// Where it stops trying.
const MAX_TIME: Duration = Duration::from_secs(10);

/// Leaves out stretches, larger ones first, and then makes bytes zero, as long as `fails` still says yes.
pub fn minimise(input: &[u8], mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let begun = Instant::now();
    let mut best = input.to_vec();
    let mut len = best.len().next_power_of_two();
    while len > 0 && begun.elapsed() < MAX_TIME {
        let mut at = 0;
        let mut shorter = false;
        while at < best.len() && begun.elapsed() < MAX_TIME {
            let mut candidate = best.clone();
            candidate.drain(at..(at + len).min(best.len()));
            if fails(&candidate) {
                best = candidate;
                shorter = true;
            } else {
                at += len;
            }
        }
        // What was left out may have made more superfluous.
        if !shorter || len > 1 {
            len /= 2;
        }
    }
    for at in 0..best.len() {
        if begun.elapsed() >= MAX_TIME {
            break;
        }
        let mut candidate = best.clone();
        match candidate.get_mut(at) {
            Some(byte) if *byte != 0 => *byte = 0,
            _ => continue,
        }
        if fails(&candidate) {
            best = candidate;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_superfluous_is_left() {
        let input: Vec<u8> = (0..200).collect();
        let small = minimise(&input, |bytes| {
            bytes.contains(&50) && bytes.contains(&150) && bytes.len() >= 3
        });
        assert_eq!(small.len(), 3);
        assert!(small.contains(&50) && small.contains(&150) && small.contains(&0));
        assert_eq!(minimise(&input, |_| true), b"");
    }
}
