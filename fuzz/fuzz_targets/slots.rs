//! A slot of a state file: it is read as it was written, word by word, or rejected.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use otp_core::record::state::Lock;
use otp_core::record::state_slot::Slot;
use pam_otp_fuzz::{place, sealed};

fuzz_target!(|data: &[u8]| {
    assert_eq!(Slot::decode(data), None, "a slot without its checksum was read");
    let Some(slot) = std::str::from_utf8(data).ok().and_then(sealed) else { return };
    let Some(read) = Slot::decode(&slot) else { return };
    assert_eq!(spelled(&read).as_bytes(), data, "another spelling was read");
    assert_eq!(read.encode().as_deref(), Some(slot.as_slice()));
    // A slot that is spoilt, torn or cut anywhere is rejected.
    let at = place(data, slot.len());
    let mut spoilt = slot;
    spoilt[at] ^= 1 << (at % 8);
    assert_eq!(Slot::decode(&spoilt), None, "byte {at} was changed");
    let torn = [&slot[..at], &[b' '; 2048][at..]].concat();
    assert!(torn == slot || Slot::decode(&torn).is_none(), "torn at {at}");
    assert_eq!(Slot::decode(&slot[..at]), None, "cut at {at}");
});

/// The text of a slot, from the format's description and not from the code under test.
fn spelled(slot: &Slot) -> String {
    let state = &slot.state;
    let enrollment: String = state.enrollment.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("pam_otp-state 1\nsequence {:020}\nenrollment {enrollment}\n", slot.sequence);
    match state.last_accepted {
        None => text += "last-accepted never\n",
        Some(time) => writeln!(text, "last-accepted {}", time.0).unwrap(),
    }
    writeln!(text, "failures {}", state.failures).unwrap();
    match state.lock {
        Lock::Open => text += "lock open\n",
        Lock::Until(time) => writeln!(text, "lock until {}", time.0).unwrap(),
        Lock::UntilUnlocked => text += "lock until-unlocked\n",
    }
    let used: String = (0..16).rev().map(|bit| if state.used.0 >> bit & 1 == 1 { '1' } else { '0' }).collect();
    writeln!(text, "used {used}").unwrap();
    if state.scratch_used.0 > 0 {
        writeln!(text, "scratch-used {:016b}", state.scratch_used.0).unwrap();
    }
    if state.passcode_used {
        text += "passcode used\n";
    }
    if let Some(unenforced) = &state.unenforced {
        writeln!(text, "unenforced {} {}", unenforced.at.0, unenforced.why).unwrap();
    }
    for grace in &state.graces {
        writeln!(text, "grace {} {}", grace.address, grace.at.0).unwrap();
    }
    for (device, progress) in state.devices.iter() {
        let used = progress.used.map_or("never".to_owned(), |time| time.0.to_string());
        let confirmed = if progress.is_confirmed { "" } else { " unconfirmed" };
        let resync = if progress.awaits_resync { " awaits-resync" } else { "" };
        let lately = if progress.lately.0 == 0 { String::new() } else { format!(" lately {:032x}", progress.lately.0) };
        writeln!(text, "device {} next {} used {used}{lately}{confirmed}{resync}", device.0, progress.next).unwrap();
    }
    text
}
