//! Asks one service of nsswitch.conf whether a user is in a group, and reports when the service fails.
//!
//! getgrouplist(3) reports no failure: a service that is down looks like one that knows no group. The functions of a
//! service return a status (glibc manual, "NSS Modules Interface"), so one is called here.
#![expect(unsafe_code, reason = "C interface; every block names the fact it rests on")]

use std::ffi::CStr;
use std::{io, mem, ptr, slice};

use libc::{c_char, c_int, c_long, c_void, gid_t, group, size_t};

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
    /// The service is not installed, or has no groups.
    Absent,
}

/// enum nss_status (nss.h).
const SUCCESS: c_int = 1;
const NOT_FOUND: c_int = 0;
const TRY_AGAIN: c_int = -2;

/// Groups that the list has room for at first; the service makes it longer.
const FIRST_ROOM: usize = 64;

/// Bytes for a group with its members at first, and at most.
const FIRST_BYTES: usize = 1 << 12;
const MOST_BYTES: usize = 1 << 25;

type InitGroups =
    unsafe extern "C" fn(*const c_char, gid_t, *mut c_long, *mut c_long, *mut *mut gid_t, c_long, *mut c_int) -> c_int;
const NO_GROUP: group =
    group { gr_name: ptr::null_mut(), gr_passwd: ptr::null_mut(), gr_gid: 0, gr_mem: ptr::null_mut() };

type NextGroup = unsafe extern "C" fn(*mut group, *mut c_char, size_t, *mut c_int) -> c_int;
type FirstGroup = unsafe extern "C" fn(c_int) -> c_int;
type EndOfGroups = unsafe extern "C" fn() -> c_int;

/// The number of a group, after each member on its list; `None` if there is no such group. The list may be long: a directory
/// service can have a hundred thousand members on it.
pub fn group(name: &CStr, each: &mut dyn FnMut(&CStr)) -> Result<Option<u32>, i32> {
    let mut bytes: Vec<c_char> = vec![0; FIRST_BYTES];
    loop {
        let (mut entry, mut found) = (NO_GROUP, ptr::null_mut());
        // SAFETY: all pointers are live, and the length is that of the buffer.
        let errno =
            unsafe { libc::getgrnam_r(name.as_ptr(), &raw mut entry, bytes.as_mut_ptr(), bytes.len(), &raw mut found) };
        match errno {
            0 if found.is_null() => return Ok(None),
            0 => {
                // SAFETY: the group was found, and its members are in the buffer, which is not changed here.
                unsafe { for_each(entry.gr_mem, each) };
                return Ok(Some(entry.gr_gid));
            }
            libc::ERANGE if grows(&mut bytes) => {}
            errno => return Err(errno),
        }
    }
}

/// Asks a service whether it knows the user, whose primary group is `primary`, as a member of the group.
pub fn ask(service: &[u8], user: &CStr, primary: u32, wanted: u32) -> Answer {
    // SAFETY: nss.h gives a function of this name this type, which holds no null otherwise.
    let groups_of_user =
        unsafe { mem::transmute::<*mut c_void, Option<InitGroups>>(function(service, b"initgroups_dyn")) };
    let Some(groups_of_user) = groups_of_user else { return all_groups(service, user, wanted) };
    let answer = groups(groups_of_user, user, primary, wanted);
    // Where no systemd runs, there is nothing that its service could ask.
    let is_nothing_there = answer == Answer::Failed(libc::ESRCH) && service == b"systemd";
    if is_nothing_there { Answer::NotFound } else { answer }
}

/// A function of a service; null if there is none.
fn function(service: &[u8], name: &[u8]) -> *mut c_void {
    if service.contains(&b'/') {
        return ptr::null_mut(); // a path must not be loaded
    }
    let library = [b"libnss_", service, b".so.2\0"].concat();
    let name = [b"_nss_", service, b"_", name, b"\0"].concat();
    let names = (CStr::from_bytes_with_nul(&library), CStr::from_bytes_with_nul(&name));
    let (Ok(library), Ok(name)) = names else { return ptr::null_mut() };
    // SAFETY: a C string. glibc itself has the service `files`: no library is loaded for it.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if !found.is_null() {
        return found;
    }
    // SAFETY: a C string. glibc has loaded this very library already, if it could. It is never unloaded, as in glibc.
    let library = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
    if library.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: a C string, and a handle of dlopen.
    unsafe { libc::dlsym(library, name.as_ptr()) }
}

/// Goes through all groups of a service that cannot be asked for those of a user (extrausers), as getgrouplist(3) does, which
/// takes a failure on the way for the end.
fn all_groups(service: &[u8], user: &CStr, wanted: u32) -> Answer {
    let [next, first, end] = [&b"getgrent_r"[..], b"setgrent", b"endgrent"].map(|name| function(service, name));
    // SAFETY: nss.h gives functions of these names these types, which hold no null otherwise.
    let (next, first, end) = unsafe {
        (
            mem::transmute::<*mut c_void, Option<NextGroup>>(next),
            mem::transmute::<*mut c_void, Option<FirstGroup>>(first),
            mem::transmute::<*mut c_void, Option<EndOfGroups>>(end),
        )
    };
    let Some(next) = next else { return Answer::Absent };
    if let Some(first) = first {
        // SAFETY: the errno of this thread is always there; what an earlier call left there is not this one's. The function's
        // argument, whether to keep a connection open, is no pointer.
        let status = unsafe {
            *libc::__errno_location() = 0;
            first(0)
        };
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            _ if status == SUCCESS => {}
            Some(libc::ENOENT) => return Answer::Absent, // a file that is not there
            errno => return Answer::Failed(errno.unwrap_or_default()),
        }
    }
    let answer = among_all(next, user, wanted);
    if let Some(end) = end {
        // SAFETY: it takes nothing. What it gives is of no interest.
        unsafe { end() };
    }
    answer
}

fn among_all(next: NextGroup, user: &CStr, wanted: u32) -> Answer {
    let mut bytes: Vec<c_char> = vec![0; FIRST_BYTES];
    let mut is_member = false;
    while !is_member {
        let (mut errno, mut found): (c_int, group) = (0, NO_GROUP);
        // SAFETY: all pointers are live, and the length is that of the buffer.
        let status = unsafe { next(&raw mut found, bytes.as_mut_ptr(), bytes.len(), &raw mut errno) };
        match status {
            // SAFETY: after success the group's members are in the buffer, which is not changed here.
            SUCCESS if found.gr_gid == wanted => unsafe {
                for_each(found.gr_mem, &mut |member| is_member |= member == user);
            },
            SUCCESS => {}
            // As glibc has it: the service has told all that it knows.
            NOT_FOUND => return Answer::NotMember,
            TRY_AGAIN if errno == libc::ERANGE && grows(&mut bytes) => {}
            _ => return Answer::Failed(errno),
        }
    }
    Answer::Member
}

/// Makes a buffer longer; false if it is long enough, or there is no memory.
fn grows(bytes: &mut Vec<c_char>) -> bool {
    let more = bytes.len();
    let can = more < MOST_BYTES && bytes.try_reserve_exact(more).is_ok();
    if can {
        bytes.resize(more.saturating_mul(2), 0);
    }
    can
}

/// # Safety
/// `members` is null or a list of C strings that ends in null.
unsafe fn for_each(members: *mut *mut c_char, each: &mut dyn FnMut(&CStr)) {
    let mut member = members;
    // SAFETY: by what this function asks for, each pointer up to the null is live.
    unsafe {
        while !member.is_null() && !(*member).is_null() {
            each(CStr::from_ptr(*member));
            member = member.add(1);
        }
    }
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
        _ => Answer::Failed(errno),
    }
}
