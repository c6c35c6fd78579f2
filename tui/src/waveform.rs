//! A recording drawn with dots: two dots a column, four a row (Unicode's Braille patterns).

/// Dots of one cell, from the top: those of its left column, then those of its right one (Unicode 16, U+2800).
const DOTS: [[u32; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
/// Levels of a sample: -128 to 127.
const LEVELS: usize = 256;

/// The recording in so many columns and rows, from the top; nothing where there is nothing to draw or no room for it.
pub(crate) fn drawn(peaks: &[(i8, i8)], columns: u16, rows: u16) -> Vec<String> {
    let (wide, high) = (2 * usize::from(columns), 4 * usize::from(rows));
    if peaks.is_empty() || wide == 0 || high == 0 {
        return Vec::new();
    }
    let spans: Vec<(usize, usize)> = (0..wide).map(|x| span(peaks, x, wide, high)).collect();
    let cell = |row: usize, two: &[(usize, usize)]| {
        let mut dots = 0;
        for ((top, bottom), column) in two.iter().zip(DOTS) {
            let lit = (4 * row..)
                .zip(column)
                .filter(|(y, _)| (*top..=*bottom).contains(y));
            dots |= lit.map(|(_, dot)| dot).sum::<u32>();
        }
        // The empty pattern looks like a blank and is none.
        char::from_u32(0x2800 + dots)
            .filter(|_| dots > 0)
            .unwrap_or(' ')
    };
    (0..usize::from(rows))
        .map(|row| spans.chunks(2).map(|two| cell(row, two)).collect())
        .collect()
}

/// The dots of one column, first and last from the top; at least one.
fn span(peaks: &[(i8, i8)], x: usize, wide: usize, high: usize) -> (usize, usize) {
    let first = (x * peaks.len() / wide).min(peaks.len() - 1);
    let last = ((x + 1) * peaks.len() / wide).clamp(first + 1, peaks.len());
    let part = peaks.get(first..last).unwrap_or(&[]);
    // Whichever of a pair is the lesser one.
    let least = part.iter().map(|(a, b)| *a.min(b)).min().unwrap_or(0);
    let greatest = part.iter().map(|(a, b)| *a.max(b)).max().unwrap_or(0);
    let row = |sample: i8| {
        let below_top = usize::from(i8::MAX.abs_diff(sample));
        (below_top * high / LEVELS).min(high - 1)
    };
    (row(greatest), row(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_line_and_noise_fills_its_height() {
        assert_eq!(drawn(&[(0, 0); 4], 2, 1), ["⠒⠒"]);
        assert_eq!(drawn(&[(-128, 127); 9], 3, 2), ["⣿⣿⣿", "⣿⣿⣿"]);
        // Loud, then nothing.
        assert_eq!(drawn(&[(-128, 127), (0, 0)], 2, 1), ["⣿⠒"]);
        // One loud moment among many is seen.
        let mut long = vec![(0, 0); 10_000];
        long[5_000] = (-128, 127);
        assert!(
            drawn(&long, 10, 1)
                .concat()
                .contains(['⡗', '⡇', '⢺', '⢸', '⡖']),
            "{:?}",
            drawn(&long, 10, 1)
        );
    }

    #[test]
    fn any_peaks_in_any_room_are_safe() {
        let odd = [(127, -128), (-128, -128), (127, 127), (0, 0), (-1, 1)];
        for n in 0..odd.len() {
            for (columns, rows) in [(0, 0), (0, 3), (3, 0), (1, 1), (2, 7), (200, 3)] {
                let lines = drawn(&odd[..n], columns, rows);
                let empty = n == 0 || columns == 0 || rows == 0;
                assert_eq!(lines.len(), if empty { 0 } else { usize::from(rows) });
                for line in lines {
                    assert_eq!(line.chars().count(), usize::from(columns));
                    assert!(!line.contains('\u{2800}'));
                }
            }
        }
    }
}
