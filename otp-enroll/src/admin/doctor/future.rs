//! Looks for times in the future in a record: the clock was ahead once.

use otp_core::decision::future::Future;
use otp_core::decision::verify::Limits;
use otp_core::record::Record;
use otp_core::value::time::UnixTime;

use super::finding::Finding;
use crate::language::moment;

/// Times that a clock wrote which was ahead. Codes up to such a time are refused as replayed.
pub(super) fn times_in_the_future(user: &str, record: &Record, limits: &Limits, now: UnixTime) -> Option<Finding> {
    let times = record.future(limits, now);
    let words = times.iter().map(|time| time.word()).collect::<Vec<_>>().join(", ");
    let until = times.iter().filter_map(|time| match time {
        Future::Codes(_, until) => Some(*until),
        Future::Lock | Future::LastAccepted => None,
    });
    let fix = "once the clock is right: otp-enroll admin reset USER (the safe way), or otp-enroll admin unlock \
               --clock-was-ahead USER";
    match until.max() {
        Some(until) => {
            let until = moment(&until.to_string());
            let what = format!("{user}: times in the future ({words}): codes before {until} are refused as replayed");
            Some(Finding::fault("records", what, fix))
        }
        None if times.is_empty() => None,
        None => Some(Finding::warning("records", format!("{user}: times in the future ({words})"), fix)),
    }
}
