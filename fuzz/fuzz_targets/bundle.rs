//! What is inside a bundle, behind its encryption: what is read is what we would write, and half of it is nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otp_formats::bundle::{BundleError, Reader, Writer};
use pam_otp_fuzz::place;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = rewritten(data) else { return };
    assert_eq!(rewritten(&text).expect("our own bundle can be read"), text);
    // A part of it, up to the blanks at its end, is no bundle.
    let last_line = text.trim_ascii_end().len();
    let cut = place(data, last_line);
    assert!(cut >= last_line || rewritten(&text[..cut]).is_err(), "cut at {cut}");
});

fn rewritten(data: &[u8]) -> Result<Vec<u8>, BundleError> {
    let mut reader = Reader::begin(data)?;
    let mut writer = Writer::begin(Vec::new(), reader.head()).expect("a vector takes everything");
    while let Some(record) = reader.next_record()? {
        writer.write(&record).expect("what was read can be written");
    }
    Ok(writer.end().expect("a vector takes everything"))
}
