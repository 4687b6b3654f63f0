//! The C calls that pam-bindings lacks: the one file with unsafe code.
#![expect(unsafe_code, reason = "C interface; every block names the fact it rests on")]

use std::ffi::{CStr, CString};

use libc::{c_char, c_int, c_uint, c_void};
use pam::module::PamHandle;
use zeroize::Zeroizing;

/// The password (_pam_types.h).
const PAM_AUTHTOK: c_int = 6;

unsafe extern "C" {
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_putenv(handle: *mut PamHandle, name_value: *const c_char) -> c_int;
    fn pam_getenv(handle: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_syslog(handle: *const PamHandle, priority: c_int, format: *const c_char, ...);
    fn pam_fail_delay(handle: *mut PamHandle, microseconds: c_uint) -> c_int;
}

/// Logs one line to authpriv, under the name that PAM gives modules: `pam_otp(sshd:auth): …`.
pub(crate) fn syslog(handle: &PamHandle, priority: c_int, line: &str) {
    // Audit lines hold no control characters, so the fallback is never used.
    let line = CString::new(line).unwrap_or_default();
    // SAFETY: the handle is the live one that libpam passed in; the format has one %s, and its argument is a C string
    // that outlives the call.
    unsafe { pam_syslog(handle, priority, c"%s".as_ptr(), line.as_ptr()) };
}

/// Asks libpam to wait before it tells the host about a failure.
pub(crate) fn fail_delay(handle: &mut PamHandle, microseconds: c_uint) {
    // SAFETY: the handle is the live one that libpam passed in, and nothing else is passed. The result only says whether
    // the delay was noted; there is nothing to do if not.
    unsafe { pam_fail_delay(handle, microseconds) };
}

/// Hands a password on to the modules after this one. pam-bindings reads PAM_AUTHTOK and does not set it.
pub(crate) fn set_password(handle: &mut PamHandle, password: &[u8]) -> bool {
    let Ok(password) = CString::new(Zeroizing::new(password.to_vec()).as_slice()) else { return false };
    // SAFETY: the handle is the live one that libpam passed in; libpam copies the C string, which outlives the call.
    let result = unsafe { pam_set_item(handle, PAM_AUTHTOK, password.as_ptr().cast()) };
    drop(Zeroizing::new(password.into_bytes()));
    result == 0
}

/// Sets (`NAME=value`) or removes (`NAME`) a variable of the PAM environment, which outlives the process that sshd
/// authenticates in; data of `pam_set_data` does not.
pub(crate) fn putenv(handle: &mut PamHandle, name_value: &CStr) -> bool {
    // SAFETY: the handle is the live one that libpam passed in, and libpam copies the C string, which outlives the call.
    let result = unsafe { pam_putenv(handle, name_value.as_ptr()) };
    result == 0
}

/// A variable of the PAM environment, where it is set.
pub(crate) fn getenv(handle: &PamHandle, name: &CStr) -> Option<Vec<u8>> {
    let handle: *const PamHandle = handle;
    // SAFETY: the handle is the live one that libpam passed in; pam_getenv only reads it, although its type does not say
    // so, and the C string outlives the call.
    let value = unsafe { pam_getenv(handle.cast_mut(), name.as_ptr()) };
    // SAFETY: where it is not null, it is a C string in the environment, which nothing changes before it is copied here.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
}
