//! PAM's entry points: each makes a host of its handle, hands over to a story, and turns the end into a PAM result code.
#![expect(unreachable_pub, reason = "pam_hooks! exports the entry points")]

use std::ffi::CStr;
use std::sync::Once;

use pam::constants::{PAM_DELETE_CRED, PAM_SILENT, PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};

use crate::enrollment;
use crate::host::PamHost;
use crate::login;

/// The phase of a change of tokens in which nothing may be changed yet (_pam_types.h); pam-bindings lacks it.
const PAM_PRELIM_CHECK: PamFlag = 0x4000;

/// The module, as pam-bindings wants to be told of it.
pub struct PamOtp;
pam::pam_hooks!(PamOtp);

impl PamHooks for PamOtp {
    fn sm_authenticate(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        silence_panics();
        let mut host = PamHost::new(handle, flags & PAM_SILENT != 0);
        login::authenticate(&mut host, &arguments).pam_code()
    }

    fn acct_mgmt(handle: &mut PamHandle, _: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        silence_panics();
        let mut host = PamHost::new(handle, flags & PAM_SILENT != 0);
        match login::unjudged(&mut host) {
            Some(outcome) => outcome.pam_code(),
            None => enrollment::account(&mut host).pam_code(),
        }
    }

    fn sm_chauthtok(handle: &mut PamHandle, arguments: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        silence_panics();
        // Never silent: an enrollment shows the key that it then asks about.
        let mut host = PamHost::new(handle, false);
        enrollment::change_tokens(&mut host, &arguments, flags & PAM_PRELIM_CHECK != 0).pam_code()
    }

    /// Left to the default, PAM_IGNORE, a stack in which this module stands alone would fail here after a good login.
    fn sm_setcred(handle: &mut PamHandle, _: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        silence_panics();
        let mut host = PamHost::new(handle, flags & PAM_SILENT != 0);
        enrollment::set_credentials(&mut host, flags & PAM_DELETE_CRED != 0).pam_code()
    }
}

/// A panic ends in PAM_ABORT at the border (pam-bindings catches it). Nothing may be printed into the host's streams on
/// the way, and with RUST_BACKTRACE set the usual hook would leak megabytes. The hook is of this module's own copy of
/// std: it is not the host's.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}
