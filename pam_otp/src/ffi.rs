//! The C calls that pam-bindings lacks: the one file with unsafe code.
#![expect(unsafe_code, reason = "C interface; every block names the fact it rests on")]

use std::ffi::{CStr, CString};
use std::ptr;

use libc::{c_char, c_int, c_uint, c_void};
use pam::module::PamHandle;
use zeroize::Zeroizing;

/// The password (_pam_types.h).
const PAM_AUTHTOK: c_int = 6;

/// What libpam calls with data that is replaced, or whose transaction ends.
type Cleanup = extern "C" fn(*mut PamHandle, *mut c_void, c_int);

unsafe extern "C" {
    fn pam_set_item(handle: *mut PamHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_putenv(handle: *mut PamHandle, name_value: *const c_char) -> c_int;
    fn pam_getenv(handle: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_set_data(handle: *mut PamHandle, name: *const c_char, data: *mut c_void, cleanup: Option<Cleanup>) -> c_int;
    fn pam_get_data(handle: *const PamHandle, name: *const c_char, data: *mut *const c_void) -> c_int;
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
/// authenticates in; data of [`set_data`] does not.
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
    // SAFETY: where it is not null, it is a C string in the environment, which nobody changes before it is copied here.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
}

/// Sets or removes a text that belongs to the PAM transaction. Only modules reach it, and only in this process: what sshd
/// authenticates in is another one than the one that sets credentials.
pub(crate) fn set_data(handle: &mut PamHandle, name: &CStr, text: Option<CString>) -> bool {
    let text = text.map_or(ptr::null_mut(), CString::into_raw);
    // SAFETY: the handle is the live one that libpam passed in, and libpam copies the name. The text is null or from
    // CString::into_raw, and free_text takes back both; libpam calls it once, and before it unloads this module.
    let result = unsafe { pam_set_data(handle, name.as_ptr(), text.cast(), Some(free_text)) };
    if result != 0 && !text.is_null() {
        // SAFETY: it is from CString::into_raw above, and libpam did not take it over.
        drop(unsafe { CString::from_raw(text) });
    }
    result == 0
}

/// A text that [`set_data`] set in this process.
pub(crate) fn data(handle: &PamHandle, name: &CStr) -> Option<Vec<u8>> {
    let mut text: *const c_void = ptr::null();
    // SAFETY: the handle is the live one that libpam passed in; libpam reads the name and writes one pointer.
    let result = unsafe { pam_get_data(handle, name.as_ptr(), &raw mut text) };
    // SAFETY: where it is not null it is a C string of set_data, which stays until it is replaced; it is copied here.
    (result == 0 && !text.is_null()).then(|| unsafe { CStr::from_ptr(text.cast()) }.to_bytes().to_vec())
}

extern "C" fn free_text(_: *mut PamHandle, text: *mut c_void, _: c_int) {
    if !text.is_null() {
        // SAFETY: set_data made it with CString::into_raw, and libpam gives it back once.
        drop(unsafe { CString::from_raw(text.cast()) });
    }
}
