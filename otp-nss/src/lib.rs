//! Asks one service of nsswitch.conf whether a user is in a group, and reports when the service fails.
//!
//! getgrouplist(3) reports no failure: a service that is down looks like one that knows no group. The functions of a
//! service return a status (glibc manual, "NSS Modules Interface"), so one is called here.
#![expect(unsafe_code, reason = "C interface; every block names the fact it rests on")]

use std::ffi::CStr;
use std::{mem, ptr, slice};

use libc::{c_char, c_int, c_long, c_void, gid_t};

/// The answer of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The service knows the user as a member.
    Member,
    /// The service knows groups of the user, and this is not one.
    NotMember,
    /// The service answered, and knows no group of the user.
    NotFound,
    /// The service gave no answer, for the reason in `errno`.
    Failed(i32),
    /// The service is not installed, or is not asked for the groups of a user.
    Absent,
}

/// enum nss_status (nss.h).
const SUCCESS: c_int = 1;
const NOT_FOUND: c_int = 0;

/// Groups that the list has room for at first; the service makes it longer.
const FIRST_ROOM: usize = 64;

type InitGroups =
    unsafe extern "C" fn(*const c_char, gid_t, *mut c_long, *mut c_long, *mut *mut gid_t, c_long, *mut c_int) -> c_int;

/// Asks a service whether it knows the user, whose primary group is `primary`, as a member of the group.
pub fn ask(service: &[u8], user: &CStr, primary: u32, wanted: u32) -> Answer {
    match function(service) {
        Some(function) => groups(function, user, primary, wanted),
        None => Answer::Absent,
    }
}

fn function(service: &[u8]) -> Option<InitGroups> {
    if service.contains(&b'/') {
        return None; // a path must not be loaded
    }
    let library = [b"libnss_", service, b".so.2\0"].concat();
    let name = [b"_nss_", service, b"_initgroups_dyn\0"].concat();
    let (library, name) = (CStr::from_bytes_with_nul(&library).ok()?, CStr::from_bytes_with_nul(&name).ok()?);
    // SAFETY: a C string. glibc itself has the service `files`: no library is loaded for it.
    let mut found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        // SAFETY: a C string. glibc has loaded this very library already, if it could. It is never unloaded, as in glibc.
        let library = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
        if !library.is_null() {
            // SAFETY: a C string, and a handle of dlopen.
            found = unsafe { libc::dlsym(library, name.as_ptr()) };
        }
    }
    // SAFETY: nss.h gives a function of this name this type, which holds no null otherwise.
    unsafe { mem::transmute::<*mut c_void, Option<InitGroups>>(found) }
}

fn groups(function: InitGroups, user: &CStr, primary: u32, wanted: u32) -> Answer {
    let (mut count, mut room, mut errno): (c_long, c_long, c_int) = (0, 0, 0);
    // SAFETY: from malloc, since the service grows it with realloc.
    let mut list: *mut gid_t = unsafe { libc::calloc(FIRST_ROOM, size_of::<gid_t>()) }.cast();
    if !list.is_null() {
        room = FIRST_ROOM.try_into().unwrap_or_default();
    }
    let mut status = -1;
    if room > 0 {
        // SAFETY: all pointers are live, and `list` has room for `room` ids. A limit of -1 is none.
        status = unsafe {
            function(user.as_ptr(), primary, &raw mut count, &raw mut room, &raw mut list, -1, &raw mut errno)
        };
    }
    let known = match usize::try_from(count) {
        // SAFETY: the service wrote `count` ids.
        Ok(count) if !list.is_null() => unsafe { slice::from_raw_parts(list, count) },
        _ => &[],
    };
    let is_member = known.contains(&wanted);
    // SAFETY: from calloc or realloc, or null, and not used any more.
    unsafe { libc::free(mem::replace(&mut list, ptr::null_mut()).cast()) };
    match status {
        SUCCESS if is_member => Answer::Member,
        SUCCESS => Answer::NotMember,
        NOT_FOUND => Answer::NotFound,
        // systemd's service, where no systemd runs: there is nothing that it could ask.
        _ if errno == libc::ESRCH => Answer::NotFound,
        _ => Answer::Failed(errno),
    }
}
