//! QR codes (ISO/IEC 18004), drawn for a terminal.

use std::fmt;
use std::ops::Range;

use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version};
use zeroize::Zeroizing;

/// Modules of light border on a terminal. The standard asks for 4, with which a version 6 code would not fit 24 rows.
const QUIET_ON_TERMINAL: i32 = 2;

/// Characters from which on a segment of its own in alphanumeric mode makes a QR code smaller (ISO/IEC 18004 §7.4): two
/// heads of up to 17 bits more, and 2.5 bits less a character.
const SHORTEST_DENSE: usize = 16;

// The first sequence is for terminals of 8 or 16 colours, whose black and white depend on the user's theme. The second
// names entries of the 6x6x6 cube, which no theme changes: 16 is #000000, 231 is #ffffff.
const DARK_ON_LIGHT: &str = "\x1b[0;30;47m\x1b[38;5;16;48;5;231m";
const DARK: &str = "\x1b[0;40m\x1b[48;5;16m";
const LIGHT: &str = "\x1b[0;47m\x1b[48;5;231m";
const RESET: &str = "\x1b[0m";

/// How dark and light modules are drawn on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
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

/// The text has more bytes than the largest QR code holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    pub bytes: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes do not fit into a QR code", self.bytes)
    }
}

impl std::error::Error for TooLong {}

/// Modules on a side of the smallest version, of the largest, and how many more each version has.
const SIDES: (i32, i32, usize) = (21, 177, 4);

/// A QR code of the smallest version that holds its text, with error correction L.
pub struct Qr {
    /// Modules on a side.
    side: i32,
    /// Whether each module is dark, row by row.
    dark: Zeroizing<Vec<bool>>,
}

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Qr(..)") // its modules encode the seed
    }
}

impl Qr {
    /// The QR code of a text of up to 2953 bytes.
    pub fn of(text: &str) -> Result<Qr, TooLong> {
        // A screen has no scratches: error correction L is enough, and keeps the code small enough for 24 rows.
        let (before, dense, after) = around_dense(text);
        let bytes =
            |part: &str| Some(part).filter(|part| !part.is_empty()).map(|part| QrSegment::make_bytes(part.as_bytes()));
        let dense = Some(dense).filter(|part| !part.is_empty()).map(QrSegment::make_alphanumeric);
        let segments: Vec<_> = [bytes(before), dense, bytes(after)].into_iter().flatten().collect();
        let drawn =
            QrCode::encode_segments_advanced(&segments, QrCodeEcc::Low, Version::MIN, Version::MAX, None, false)
                .map_err(|_| TooLong { bytes: text.len() })?;
        let side = drawn.size();
        let mut dark = Zeroizing::new(Vec::with_capacity(modules(side)));
        for y in 0..side {
            dark.extend((0..side).map(|x| drawn.get_module(x, y)));
        }
        Ok(Qr { side, dark })
    }

    /// The modules row by row in HEX, the first of four in the lowest bit: for a process that draws, and links nothing that encodes.
    pub fn hex(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.dark.len().div_ceil(4)));
        for four in self.dark.chunks(4) {
            let bits = (0..).zip(four).map(|(place, dark)| u32::from(*dark).wrapping_shl(place));
            text.extend(char::from_digit(bits.sum(), 16));
        }
        text
    }

    /// Reads only what [`Qr::hex`] writes.
    pub fn read(hex: &str) -> Option<Qr> {
        let (smallest, largest, step) = SIDES;
        let side = (smallest..=largest).step_by(step).find(|side| modules(*side).div_ceil(4) == hex.len())?;
        let mut dark = Zeroizing::new(Vec::with_capacity(hex.len().saturating_mul(4)));
        for digit in hex.chars() {
            let bits = digit.to_digit(16)?;
            dark.extend((0..4).map(|place| bits.wrapping_shr(place) & 1 == 1));
        }
        dark.truncate(modules(side));
        Some(Qr { side, dark })
    }

    /// Modules on a side, without the border.
    pub fn size(&self) -> i32 {
        self.side
    }

    /// Columns and rows of [`half_blocks`](Qr::half_blocks).
    pub fn half_block_space(&self) -> (usize, usize) {
        let side = self.across(QUIET_ON_TERMINAL).count();
        (side, side.div_ceil(2))
    }

    /// Columns and rows of [`ascii`](Qr::ascii).
    pub fn ascii_space(&self) -> (usize, usize) {
        let side = self.across(QUIET_ON_TERMINAL).count();
        (side.saturating_mul(2), side)
    }

    /// Lines of Unicode half blocks: a module takes one column and half a row.
    pub fn half_blocks(&self, paint: Paint) -> Vec<String> {
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

    /// Lines for a terminal without Unicode: a module takes two columns and one row.
    pub fn ascii(&self, paint: Paint) -> Vec<String> {
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

    /// The coordinates on a side, with a border of `quiet` modules.
    pub fn across(&self, quiet: i32) -> Range<i32> {
        quiet.saturating_neg()..self.side.saturating_add(quiet)
    }

    /// Whether a module is dark. All modules outside are light.
    pub fn dark(&self, x: i32, y: i32) -> bool {
        let inside = 0..self.side;
        let place = y.saturating_mul(self.side).saturating_add(x);
        let dark = || self.dark.get(usize::try_from(place).ok()?).copied();
        inside.contains(&x) && inside.contains(&y) && dark() == Some(true)
    }
}

/// How many modules a side makes.
fn modules(side: i32) -> usize {
    usize::try_from(side.saturating_mul(side)).unwrap_or(0)
}

/// The longest part that alphanumeric mode holds in 5.5 bits a character, such as a key in Base32, and what is around it.
/// Empty if it is so short that the heads of its segments take more room than it saves.
fn around_dense(text: &str) -> (&str, &str, &str) {
    let (mut start, mut longest) = (0usize, 0..0usize);
    for (place, byte) in text.bytes().enumerate() {
        let after = place.saturating_add(1);
        if !matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b' ' | b'$' | b'%' | b'*'..=b'+' | b'-'..=b':') {
            start = after;
        } else if after.saturating_sub(start) > longest.len() {
            longest = start..after;
        }
    }
    if longest.len() < SHORTEST_DENSE {
        return (text, "", "");
    }
    let (before, rest) = text.split_at_checked(longest.start).unwrap_or((text, ""));
    let (dense, after) = rest.split_at_checked(longest.len()).unwrap_or(("", rest));
    (before, dense, after)
}

/// Modules as blanks on a coloured background. A sequence is written only where the colour changes.
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
