#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use otp_core::qr::Qr;

use super::{png, svg};

/// The code of a text of this many bytes.
fn code(bytes: usize) -> Qr {
    Qr::of(&"x".repeat(bytes)).unwrap()
}

type Modules = Vec<Vec<bool>>;

/// The modules as the encoder has them, `true` for dark, with a light border.
fn modules(qr: &Qr, quiet: i32) -> Modules {
    let side = quiet.saturating_neg()..qr.size() + quiet;
    side.clone().map(|y| side.clone().map(|x| qr.dark(x, y)).collect()).collect()
}

fn from_svg(qr: &Qr) -> Modules {
    let svg = svg(qr);
    let svg = svg.text();
    let side = usize::try_from(qr.size()).unwrap() + 8;
    assert!(svg.contains(&format!(r#"viewBox="0 0 {side} {side}""#)));
    let path = svg.split(r#"d=""#).nth(1).unwrap().split('"').next().unwrap();
    let mut grid = vec![vec![false; side]; side];
    for run in path.split('z').filter(|run| !run.is_empty()) {
        let (place, lengths) = run.strip_prefix('M').unwrap().split_once('h').unwrap();
        let (x, y) = place.split_once(',').unwrap();
        let (there, back) = lengths.split_once("v1h-").unwrap();
        assert_eq!(there, back);
        let (x, y, length): (usize, usize, usize) = (x.parse().unwrap(), y.parse().unwrap(), there.parse().unwrap());
        grid[y][x..x + length].fill(true);
    }
    grid
}

fn from_png(qr: &Qr) -> Modules {
    let file = png(qr).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&*file)).read_info().unwrap();
    let mut image = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut image).unwrap();
    let side = usize::try_from(qr.size()).unwrap() + 8;
    assert_eq!((info.width, info.height), (info.height, u32::try_from(side * 8).unwrap()));
    let rows: Vec<&[u8]> = image.chunks(side).collect();
    assert!(rows.chunks(8).all(|same| same.iter().all(|row| row == &same[0])));
    rows.iter().step_by(8).map(|row| row.iter().map(|byte| *byte == 0).collect()).collect()
}

#[test]
fn an_svg_needs_nothing_from_elsewhere() {
    let svg = svg(&code(134));
    let svg = svg.text();
    assert_eq!(svg.matches("http").count(), 1, "the name space alone");
    assert!(!svg.contains("href") && !svg.contains("url("));
    assert_eq!(svg.matches("<path").count(), 1);
    assert!(svg.contains(r#"role="img""#) && svg.contains("<title>QR code</title>"));
}

#[test]
fn both_pictures_show_the_modules() {
    for bytes in [78, 106, 134, 250] {
        let qr = code(bytes);
        assert_eq!(from_svg(&qr), modules(&qr, 4), "svg");
        assert_eq!(from_png(&qr), modules(&qr, 4), "png");
    }
}
