//! The C calls that pam-bindings lacks, and one that std shall not make.
#![expect(unsafe_code, reason = "C interface; every block names the fact it rests on")]

use std::ffi::{CStr, CString};
use std::ptr;

use libc::{c_char, c_int, c_uint, c_void};
use pam::module::PamHandle;
use zeroize::Zeroizing;

/// The conversation, and the password (_pam_types.h).
const PAM_CONV: c_int = 5;
const PAM_AUTHTOK: c_int = 6;

/// A text for the person (_pam_types.h).
#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

/// The answer to one. Array and text are from malloc, and ours to free (pam_conv(3)).
#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

type Talk = unsafe extern "C" fn(c_int, *mut *const Message, *mut *mut Response, *mut c_void) -> c_int;

/// How the host shows texts and asks.
#[repr(C)]
struct Conversation {
    talk: Option<Talk>,
    data: *mut c_void,
}

/// What libpam calls with data that is replaced, or whose transaction ends.
type Cleanup = extern "C" fn(*mut PamHandle, *mut c_void, c_int);

unsafe extern "C" {
    fn pam_get_item(handle: *const PamHandle, item: c_int, value: *mut *const c_void) -> c_int;
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
    wipe(password);
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
    // SAFETY: where it is not null, it is a C string in the environment, which nothing changes before it is copied here.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
}

/// Sets or removes a text that belongs to the PAM transaction, and wipes the one that was there. Only modules reach it, and only in this process: what sshd
/// authenticates in is another one than the one that sets credentials.
pub(crate) fn set_data(handle: &mut PamHandle, name: &CStr, text: Option<CString>) -> bool {
    let text = text.map_or(ptr::null_mut(), CString::into_raw);
    // SAFETY: the handle is the live one that libpam passed in, and libpam copies the name. The text is null or from
    // CString::into_raw, and free_text takes back both; libpam calls it once, and before it unloads this module.
    let result = unsafe { pam_set_data(handle, name.as_ptr(), text.cast(), Some(free_text)) };
    if result != 0 && !text.is_null() {
        // SAFETY: it is from CString::into_raw above, and libpam did not take it over.
        wipe(unsafe { CString::from_raw(text) });
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
        wipe(unsafe { CString::from_raw(text.cast()) });
    }
}

/// What one line leaves for another may hold a code.
fn wipe(text: CString) {
    drop(Zeroizing::new(text.into_bytes()));
}

/// Shows a text of which no copy is left behind here; the C string of pam-bindings would be one.
pub(crate) fn show_secret(handle: &PamHandle, style: c_int, text: &str) {
    let mut item: *const c_void = ptr::null();
    // SAFETY: the handle is the live one that libpam passed in; libpam writes one pointer.
    let result = unsafe { pam_get_item(handle, PAM_CONV, &raw mut item) };
    if result == 0 && !item.is_null() {
        // SAFETY: the item of that kind is a struct pam_conv, which libpam keeps for as long as the handle lives, and which
        // is not changed during this call.
        show(unsafe { &*item.cast::<Conversation>() }, style, text);
    }
}

/// A host that shows nothing changes no decision, so results are ignored. A text with a NUL is not shown.
fn show(conversation: &Conversation, style: c_int, text: &str) {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1))); // wiped; does not grow
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    let (Some(talk), Ok(text)) = (conversation.talk, CStr::from_bytes_with_nul(&bytes)) else { return };
    let message = Message { style, text: text.as_ptr() };
    let mut messages = &raw const message;
    let mut responses: *mut Response = ptr::null_mut();
    // SAFETY: the function and its data are the host's own; message and text outlive the call, and count says that there is
    // one message.
    let result = unsafe { talk(1, &raw mut messages, &raw mut responses, conversation.data) };
    if result == 0 && !responses.is_null() {
        // SAFETY: after success the array is from malloc, with room for the one response, whose text is null or from malloc
        // too; nothing else frees them.
        unsafe {
            libc::free((*responses).text.cast());
            libc::free(responses.cast());
        }
    }
}

/// The walk over the stack for a backtrace, in place of libgcc's: it ends before the first frame. std's usual panic hook is
/// the only caller. It never runs here, but it held a quarter of the module, what reads DWARF and names functions, until the
/// compiler saw that no frame ever comes. Nothing that unwinds a panic goes through here.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_each_frame: *const c_void, _data: *mut c_void) -> c_int {
    /// `_URC_END_OF_STACK` (Itanium C++ ABI: Exception Handling, 1.2.1).
    const END_OF_STACK: c_int = 5;
    END_OF_STACK
}
// The module does not export it: no other library of the host may find this one.
#[cfg(not(test))]
std::arch::global_asm!(".hidden _Unwind_Backtrace");

#[cfg(test)]
mod tests {
    use super::*;

    /// What a host was given: style and text.
    type Given = Vec<(c_int, String)>;

    unsafe extern "C" fn host(
        count: c_int,
        messages: *mut *const Message,
        responses: *mut *mut Response,
        data: *mut c_void,
    ) -> c_int {
        assert_eq!(count, 1);
        // SAFETY: `show` passes one message with a C string, and the data is the Given of the test. calloc gives room for the
        // one response; strdup's text is freed with it.
        unsafe {
            let Message { style, text } = **messages;
            (*data.cast::<Given>()).push((style, CStr::from_ptr(text).to_str().unwrap().to_owned()));
            let response: *mut Response = libc::calloc(1, size_of::<Response>()).cast();
            (*response).text = libc::strdup(c"an answer that is not asked for".as_ptr());
            responses.write(response);
        }
        0
    }

    #[test]
    fn a_secret_text_reaches_the_host_whole_and_once() {
        let mut given = Given::new();
        let data = (&raw mut given).cast();
        let conversation = Conversation { talk: Some(host), data };
        show(&conversation, 4, "JBSW Y3DP\n█▀▄");
        show(&conversation, 4, "a\0b");
        show(&Conversation { talk: None, data }, 4, "no one hears");
        assert_eq!(given, [(4, "JBSW Y3DP\n█▀▄".to_owned())]);
    }
}
