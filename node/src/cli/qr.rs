//! QR codes in half-block characters, two modules a character.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use salus_api::ApiError;

/// Draws a text as a QR code (ISO/IEC 18004), quiet zone included.
///
/// With colour it is black on white whatever the terminal's colours are. Without, light modules are drawn, which
/// is right on a dark terminal; readers take most inverted codes too.
pub fn half_blocks(text: &str, color: bool) -> Result<String, ApiError> {
    // Low error correction: a screen has no scratches, and every module saved makes the others larger.
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|e| ApiError::failed(format!("could not make a QR code: {e}")))?;
    let (dark, light) = if color {
        (Dense1x2::Dark, Dense1x2::Light)
    } else {
        (Dense1x2::Light, Dense1x2::Dark)
    };
    let picture = code
        .render::<Dense1x2>()
        .dark_color(dark)
        .light_color(light)
        .module_dimensions(1, 1)
        .build();
    let mut lines = String::new();
    for line in picture.lines() {
        if color {
            // 16 and 231 are black and white in the 256-colour cube, which themes do not change.
            lines.push_str(&format!("\x1b[38;5;16;48;5;231m{line}\x1b[0m\n"));
        } else {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_with_a_quiet_zone_of_four() {
        let picture = half_blocks("salus", false).unwrap();
        let lines: Vec<&str> = picture.lines().collect();
        // Version 1 has 21 modules; with the quiet zone 29, in 15 rows of two.
        assert_eq!(lines.len(), 15);
        assert!(lines.iter().all(|l| l.chars().count() == 29));
        assert!(lines[0].chars().all(|c| c == '█'));
        let black = half_blocks("salus", true).unwrap();
        assert!(black.starts_with("\x1b[38;5;16;48;5;231m    "));
        assert!(half_blocks(&"x".repeat(5_000), false).is_err());
    }
}
