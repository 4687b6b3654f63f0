//! A terminal's screen as an SVG picture: letters as text, half blocks as the rectangles that they are.

use std::{collections::BTreeMap, fmt::Write};
use vt100::{Cell, Color, Screen};

/// Pixels of a cell; two halves, one above the other.
const CELL: (u16, u16) = (8, 16);
/// Pixels around the screen.
const FRAME: u16 = 12;
const PAPER: &str = "#1c1f26";
const INK: &str = "#d7dae0";

/// The rows of the screen down to the last that says something.
pub fn svg(screen: &Screen, title: &str) -> String {
    let (_, columns) = screen.size();
    let rows = u16::try_from(screen.contents().lines().count()).unwrap();
    let (width, height) = (columns * CELL.0 + 2 * FRAME, rows * CELL.1 + 2 * FRAME);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n",
        escaped(title)
    );
    for (colour, path) in blocks(screen, rows, columns) {
        let _ = writeln!(svg, "<path shape-rendering=\"crispEdges\" fill=\"{colour}\" d=\"{path}\"/>");
    }
    let font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";
    let _ = writeln!(svg, "<g font-family=\"{font}\" font-size=\"13\" xml:space=\"preserve\">");
    for row in 0..rows {
        for (column, text, style) in words(screen, row, columns) {
            let length = u16::try_from(text.chars().count()).unwrap() * CELL.0;
            let (x, y) = (FRAME + column * CELL.0, FRAME + row * CELL.1 + 12);
            let text = escaped(&text);
            let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{style}>{text}</text>");
        }
    }
    svg + "</g>\n</svg>\n"
}

/// What is not the background, by colour: each half of a row in runs of one colour.
fn blocks(screen: &Screen, rows: u16, columns: u16) -> BTreeMap<String, String> {
    let mut paths = BTreeMap::<String, String>::new();
    for half in 0..rows * 2 {
        let colour = |column| half_of(screen.cell(half / 2, column).unwrap(), half % 2 == 0);
        let mut start = 0;
        for column in 1..=columns {
            if column < columns && colour(column) == colour(start) {
                continue;
            }
            if colour(start) != PAPER {
                let (x, y) = (FRAME + start * CELL.0, FRAME + half * CELL.1 / 2);
                let (right, height) = (FRAME + column * CELL.0, CELL.1 / 2);
                let _ = write!(paths.entry(colour(start)).or_default(), "M{x} {y}H{right}v{height}H{x}z");
            }
            start = column;
        }
    }
    paths
}

/// The colour of the upper or lower half of a cell.
fn half_of(cell: &Cell, upper: bool) -> String {
    let (mut ink, mut paper) = (rgb(cell.fgcolor(), INK), rgb(cell.bgcolor(), PAPER));
    if cell.inverse() {
        std::mem::swap(&mut ink, &mut paper);
    }
    match cell.contents() {
        "█" => ink,
        "▀" if upper => ink,
        "▄" if !upper => ink,
        _ => paper,
    }
}

/// Words and what stands a blank apart from them: the column, the text, its weight and colour.
fn words(screen: &Screen, row: u16, columns: u16) -> Vec<(u16, String, String)> {
    let mut words: Vec<(u16, String, String)> = Vec::new();
    let mut end = None;
    for column in 0..columns {
        let cell = screen.cell(row, column).unwrap();
        if matches!(cell.contents(), "" | " " | "█" | "▀" | "▄") {
            continue;
        }
        let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
        let style = format!("{weight} fill=\"{}\"", rgb(cell.fgcolor(), INK));
        match words.last_mut() {
            Some((_, text, same)) if *same == style && end.is_some_and(|end| column <= end + 1) => {
                text.push_str(if end == Some(column) { "" } else { " " });
                text.push_str(cell.contents());
            }
            _ => words.push((column, cell.contents().to_owned(), style)),
        }
        end = Some(column + 1);
    }
    words
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A colour as xterm shows it.
fn rgb(colour: Color, default: &str) -> String {
    const SIXTEEN: [&str; 16] = [
        "#000000", "#cd0000", "#00cd00", "#cdcd00", "#0000ee", "#cd00cd", "#00cdcd", "#e5e5e5", "#7f7f7f", "#ff0000",
        "#00ff00", "#ffff00", "#5c5cff", "#ff00ff", "#00ffff", "#ffffff",
    ];
    const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let hex = |red: u8, green: u8, blue: u8| format!("#{red:02x}{green:02x}{blue:02x}");
    match colour {
        Color::Default => default.to_owned(),
        Color::Rgb(red, green, blue) => hex(red, green, blue),
        Color::Idx(index @ 0..=15) => SIXTEEN[usize::from(index)].to_owned(),
        Color::Idx(index @ 16..=231) => {
            let level = |step: u8| CUBE[usize::from((index - 16) / step % 6)];
            hex(level(36), level(6), level(1))
        }
        Color::Idx(index) => {
            let grey = 8 + 10 * (index - 232);
            hex(grey, grey, grey)
        }
    }
}
