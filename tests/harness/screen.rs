//! A terminal as a person with a phone sees it: drawn cell by cell, and read back by zbarimg.

use std::{fs, path::Path, process::Command};
use vt100::{Cell, Color, Screen};

/// Pixels of a character cell.
const CELL: (usize, usize) = (8, 16);

/// The colours of a terminal where the program asks for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Light text on a dark background.
    Dark,
    /// Dark text on a light background.
    Light,
}

impl Theme {
    /// Foreground and background as luminance; not quite white or black, like most themes.
    fn colours(self) -> (u8, u8) {
        match self {
            Theme::Dark => (220, 30),
            Theme::Light => (40, 245),
        }
    }
}

/// What the QR code on a screen says; `None` where a phone would find none.
///
/// # Panics
/// When the picture cannot be written.
pub fn qr_code(screen: &Screen, theme: Theme) -> Option<String> {
    let (rows, columns) = screen.size();
    let (width, height) = (usize::from(columns) * CELL.0, usize::from(rows) * CELL.1);
    let mut picture = format!("P5 {width} {height} 255\n").into_bytes(); // portable greymap, pgm(5)
    for y in 0..height {
        for x in 0..width {
            let (row, column) = ((y / CELL.1).try_into().unwrap(), (x / CELL.0).try_into().unwrap());
            picture.push(shade(screen.cell(row, column).unwrap(), theme, x % CELL.0, y % CELL.1));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("screen.pgm");
    fs::write(&path, picture).unwrap();
    read_picture(&path)
}

/// The text of the one QR code in a picture file.
///
/// # Panics
/// When zbarimg is missing or fails.
pub fn read_picture(path: &Path) -> Option<String> {
    let output = Command::new("zbarimg").args(["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable"]).arg(path).output();
    let output = output.expect("zbarimg (Debian: zbar-tools) is installed");
    // 4 is "no code was found"; anything else would pass for that here.
    assert!(output.status.success() || output.status.code() == Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().strip_suffix('\n').map(str::to_owned)
}

/// The luminance of one pixel of a cell. Half blocks and colours are exact; any other glyph is a mark in the middle.
fn shade(cell: &Cell, theme: Theme, x: usize, y: usize) -> u8 {
    let (foreground, background) = theme.colours();
    let (mut ink, mut paper) = (luminance(cell.fgcolor(), foreground), luminance(cell.bgcolor(), background));
    if cell.inverse() {
        std::mem::swap(&mut ink, &mut paper);
    }
    let inked = match cell.contents() {
        "" | " " => false,
        "█" => true,
        "▀" => y < CELL.1 / 2,
        "▄" => y >= CELL.1 / 2,
        _ => (2..6).contains(&x) && (4..12).contains(&y),
    };
    if inked { ink } else { paper }
}

/// The luminance of a colour as xterm shows it.
fn luminance(colour: Color, default: u8) -> u8 {
    const SIXTEEN: [u8; 16] = [0, 61, 120, 181, 27, 85, 144, 229, 127, 76, 150, 226, 111, 105, 179, 255];
    const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let of = |red: u8, green: u8, blue: u8| {
        let sum = 299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue);
        u8::try_from(sum / 1000).unwrap()
    };
    match colour {
        Color::Default => default,
        Color::Rgb(red, green, blue) => of(red, green, blue),
        Color::Idx(index @ 0..=15) => SIXTEEN[usize::from(index)],
        Color::Idx(index @ 16..=231) => {
            let level = |step: u8| CUBE[usize::from((index - 16) / step % 6)];
            of(level(36), level(6), level(1))
        }
        Color::Idx(index) => 8 + 10 * (index - 232),
    }
}
