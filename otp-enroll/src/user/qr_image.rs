//! A QR code as a picture: SVG and PNG.

use std::fmt;

use otp_core::qr::Qr;
use zeroize::Zeroizing;

use crate::ui::secret_lines::SecretLines;

/// Modules of light border in a picture (ISO/IEC 18004 §5.3.8).
const QUIET_IN_PICTURE: i32 = 4;
/// Pixels a module takes in a picture. Eight one-bit pixels are one byte of PNG, so a module is a byte.
const SCALE: usize = 8;
/// More bytes than a PNG file has besides its pixels.
const HEADERS: usize = 1024;

/// An SVG document.
pub(crate) fn svg(qr: &Qr) -> SecretLines {
    let side = qr.across(QUIET_IN_PICTURE).count();
    let pixels = side.saturating_mul(SCALE);
    let mut document = SecretLines::new();
    document.add(format_args!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{0}" height="{0}" "#,
            r#"viewBox="0 0 {1} {1}" shape-rendering="crispEdges"><title>QR code</title>"#,
            r##"<rect width="{1}" height="{1}" fill="#fff"/><path fill="#000" d="{2}"/></svg>"##,
        ),
        pixels,
        side,
        DarkPath(qr)
    ));
    document
}

/// The dark modules as the data of an SVG path, a rectangle for each run.
struct DarkPath<'q>(&'q Qr);

impl fmt::Display for DarkPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for y in 0..self.0.size() {
            for (x, length) in dark_runs(self.0, y) {
                let (left, top) = (x.saturating_add(QUIET_IN_PICTURE), y.saturating_add(QUIET_IN_PICTURE));
                write!(f, "M{left},{top}h{length}v1h-{length}z")?;
            }
        }
        Ok(())
    }
}

/// A PNG image of one bit a pixel. What the encoder keeps of it meanwhile is not wiped: it has no hook for that.
pub(crate) fn png(qr: &Qr) -> Result<Zeroizing<Vec<u8>>, png::EncodingError> {
    let side = qr.across(QUIET_IN_PICTURE).count();
    let pixels = u32::try_from(side.saturating_mul(SCALE)).map_err(|_| png::EncodingError::LimitsExceeded)?;
    // Neither buffer grows: growing would leave a copy.
    let size = side.saturating_mul(side).saturating_mul(SCALE);
    let mut image = Zeroizing::new(Vec::with_capacity(size));
    for y in qr.across(QUIET_IN_PICTURE) {
        let row = image.len();
        image.extend(qr.across(QUIET_IN_PICTURE).map(|x| if qr.dark(x, y) { 0x00 } else { 0xff }));
        for _ in 1..SCALE {
            image.extend_from_within(row..row.saturating_add(side));
        }
    }

    let mut file = Zeroizing::new(Vec::with_capacity(size.saturating_add(HEADERS)));
    let mut encoder = png::Encoder::new(&mut *file, pixels, pixels);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&image)?;
    writer.finish()?;
    Ok(file)
}

/// Start and length of each run of dark modules in a row.
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
