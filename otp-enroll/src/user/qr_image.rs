//! A QR code as a picture: SVG and PNG.

use std::fmt::Write as _;

use otp_core::qr::Qr;

/// Modules of light border in a picture (ISO/IEC 18004 §5.3.8).
const QUIET_IN_PICTURE: i32 = 4;
/// Pixels a module takes in a picture. Eight one-bit pixels are one byte of PNG, so a module is a byte.
const SCALE: usize = 8;

/// An SVG document.
pub(crate) fn svg(qr: &Qr) -> String {
    let side = qr.across(QUIET_IN_PICTURE).count();
    let pixels = side.saturating_mul(SCALE);
    let mut path = String::new();
    for y in 0..qr.size() {
        for (x, length) in dark_runs(qr, y) {
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
pub(crate) fn png(qr: &Qr) -> Result<Vec<u8>, png::EncodingError> {
    let side = qr.across(QUIET_IN_PICTURE).count();
    let pixels = u32::try_from(side.saturating_mul(SCALE)).map_err(|_| png::EncodingError::LimitsExceeded)?;
    let row =
        |y: i32| -> Vec<u8> { qr.across(QUIET_IN_PICTURE).map(|x| if qr.dark(x, y) { 0x00 } else { 0xff }).collect() };
    let image: Vec<u8> = qr.across(QUIET_IN_PICTURE).flat_map(|y| row(y).repeat(SCALE)).collect();

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, pixels, pixels);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image)?;
    writer.finish()?;
    Ok(file)
}

/// Where each run of dark modules starts in a row, and how long it is.
fn dark_runs(qr: &Qr, y: i32) -> Vec<(i32, i32)> {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for x in (0..qr.size()).filter(|&x| qr.dark(x, y)) {
        match runs.last_mut() {
            Some((start, length)) if start.saturating_add(*length) == x => *length = length.saturating_add(1),
            _ => runs.push((x, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
