//! A text as a QR code (ISO/IEC 18004): drawn for a terminal, as SVG and as PNG.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};

/// Modules of light border on a terminal: the standard asks for 4, which would not leave a version 6 code in 24 rows.
const QUIET_ON_TERMINAL: i32 = 2;
/// Modules of light border in a picture (ISO/IEC 18004 §5.3.8).
const QUIET_IN_PICTURE: i32 = 4;
/// Pixels a module takes in a picture. Eight one-bit pixels are one byte of PNG, so a module is a byte.
const SCALE: usize = 8;

// The first sequence is what a terminal of 8 or 16 colours understands; its black and white belong to the user's
// theme. The second names entries of the 6x6x6 cube, which no theme changes: 16 is #000000, 231 is #ffffff.
const DARK_ON_LIGHT: &str = "\x1b[0;30;47m\x1b[38;5;16;48;5;231m";
const DARK: &str = "\x1b[0;40m\x1b[48;5;16m";
const LIGHT: &str = "\x1b[0;47m\x1b[48;5;231m";
const RESET: &str = "\x1b[0m";

/// How dark and light come about on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Black on white by escape sequences, right on any background.
    Colour,
    /// No escape sequences; light modules are drawn as blocks: right on a dark background.
    Plain,
    /// No escape sequences; dark modules are drawn as blocks: right on a light background.
    PlainInverted,
}

impl Paint {
    /// Whether a module is drawn in the foreground colour.
    fn inks(self, dark: bool) -> bool {
        match self {
            Paint::Colour | Paint::PlainInverted => dark,
            Paint::Plain => !dark,
        }
    }
}

/// Why there is no QR code.
#[derive(Debug)]
pub(crate) enum QrError {
    /// The text has more bytes than the largest QR code holds.
    TooLong {
        /// Bytes in the text.
        bytes: usize,
    },
    /// The PNG could not be encoded.
    Png(png::EncodingError),
}

impl fmt::Display for QrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QrError::TooLong { bytes } => write!(f, "{bytes} bytes do not fit into a QR code"),
            QrError::Png(error) => write!(f, "the QR code could not be encoded as PNG: {error}"),
        }
    }
}

impl std::error::Error for QrError {}

/// A QR code of the smallest version that holds its text, with error correction L.
pub(crate) struct Qr(QrCode);

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Qr(..)") // its modules are the secret
    }
}

impl Qr {
    /// The QR code of a text of up to 2953 bytes.
    pub(crate) fn of(text: &str) -> Result<Qr, QrError> {
        // A screen gets no scratches: error correction L keeps the code small enough for 24 rows.
        let segment = QrSegment::make_bytes(text.as_bytes());
        QrCode::encode_segments_advanced(&[segment], QrCodeEcc::Low, Version::MIN, Version::MAX, None, false)
            .map(Qr)
            .map_err(|_| QrError::TooLong { bytes: text.len() })
    }

    /// Modules along a side, without border.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.0.size()).unwrap_or(0)
    }

    /// Columns and rows of [`half_blocks`](Qr::half_blocks).
    pub(crate) fn half_block_space(&self) -> (usize, usize) {
        let side = self.across(QUIET_ON_TERMINAL).count();
        (side, side.div_ceil(2))
    }

    /// Columns and rows of [`ascii`](Qr::ascii).
    pub(crate) fn ascii_space(&self) -> (usize, usize) {
        let side = self.across(QUIET_ON_TERMINAL).count();
        (side.saturating_mul(2), side)
    }

    /// Lines of Unicode half blocks, one column a module and two modules a row.
    pub(crate) fn half_blocks(&self, paint: Paint) -> Vec<String> {
        let line = |y: i32| {
            let cells = self.across(QUIET_ON_TERMINAL).map(|x| {
                let below = y.saturating_add(1);
                match (paint.inks(self.dark(x, y)), paint.inks(self.dark(x, below))) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                }
            });
            match paint {
                Paint::Colour => format!("{DARK_ON_LIGHT}{}{RESET}", cells.collect::<String>()),
                Paint::Plain | Paint::PlainInverted => cells.collect(),
            }
        };
        self.across(QUIET_ON_TERMINAL).step_by(2).map(line).collect()
    }

    /// Lines for a terminal without Unicode, two columns a module and one row.
    pub(crate) fn ascii(&self, paint: Paint) -> Vec<String> {
        let line = |y: i32| {
            let modules = self.across(QUIET_ON_TERMINAL).map(|x| self.dark(x, y));
            match paint {
                Paint::Colour => coloured(modules),
                Paint::Plain | Paint::PlainInverted => {
                    modules.map(|dark| if paint.inks(dark) { "##" } else { "  " }).collect()
                }
            }
        };
        self.across(QUIET_ON_TERMINAL).map(line).collect()
    }

    /// An SVG document.
    pub(crate) fn svg(&self) -> String {
        let side = self.across(QUIET_IN_PICTURE).count();
        let pixels = side.saturating_mul(SCALE);
        let mut path = String::new();
        for y in 0..self.0.size() {
            for (x, length) in self.dark_runs(y) {
                let (left, top) = (x.saturating_add(QUIET_IN_PICTURE), y.saturating_add(QUIET_IN_PICTURE));
                let _ = write!(path, "M{left},{top}h{length}v1h-{length}z"); // a String takes every write
            }
        }
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{0}" height="{0}" "#,
                r#"viewBox="0 0 {1} {1}" shape-rendering="crispEdges"><title>QR code</title>"#,
                r##"<rect width="{1}" height="{1}" fill="#fff"/><path fill="#000" d="{2}"/></svg>"##,
                "\n"
            ),
            pixels, side, path
        )
    }

    /// A PNG image of one bit a pixel.
    pub(crate) fn png(&self) -> Result<Vec<u8>, QrError> {
        let side = self.across(QUIET_IN_PICTURE).count();
        let pixels =
            u32::try_from(side.saturating_mul(SCALE)).map_err(|_| QrError::Png(png::EncodingError::LimitsExceeded))?;
        let row = |y: i32| -> Vec<u8> {
            self.across(QUIET_IN_PICTURE).map(|x| if self.dark(x, y) { 0x00 } else { 0xff }).collect()
        };
        let image: Vec<u8> = self.across(QUIET_IN_PICTURE).flat_map(|y| row(y).repeat(SCALE)).collect();

        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, pixels, pixels);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder
            .write_header()
            .and_then(|mut writer| {
                writer.write_image_data(&image)?;
                writer.finish()
            })
            .map_err(QrError::Png)?;
        Ok(file)
    }

    /// The coordinates along a side, with a border of `quiet` modules.
    fn across(&self, quiet: i32) -> Range<i32> {
        quiet.saturating_neg()..self.0.size().saturating_add(quiet)
    }

    /// Whether a module is dark; everything outside is light.
    fn dark(&self, x: i32, y: i32) -> bool {
        self.0.get_module(x, y)
    }

    /// Where each run of dark modules starts in a row, and how long it is.
    fn dark_runs(&self, y: i32) -> Vec<(i32, i32)> {
        let mut runs: Vec<(i32, i32)> = Vec::new();
        for x in (0..self.0.size()).filter(|&x| self.dark(x, y)) {
            match runs.last_mut() {
                Some((start, length)) if start.saturating_add(*length) == x => *length = length.saturating_add(1),
                _ => runs.push((x, 1)),
            }
        }
        runs
    }
}

/// Modules as blanks on a coloured background; a sequence only where the colour changes.
fn coloured(modules: impl Iterator<Item = bool>) -> String {
    let mut line = String::new();
    let mut current = None;
    for dark in modules {
        if current != Some(dark) {
            line.push_str(if dark { DARK } else { LIGHT });
            current = Some(dark);
        }
        line.push_str("  ");
    }
    line.push_str(RESET);
    line
}

#[cfg(test)]
mod tests;
