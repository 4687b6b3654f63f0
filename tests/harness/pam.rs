//! libpam's C interface, as far as an application needs it: the one file of the test bench with `unsafe` in it.
#![expect(
    unsafe_code,
    reason = "libpam speaks C, and a test of our own application must not lean on the module's bindings"
)]

use std::{
    ffi::{CStr, CString, NulError, c_char, c_int, c_uint, c_void},
    fmt,
    path::Path,
    ptr,
};

/// What an application does when a module speaks.
pub trait Host {
    /// A question, with the answer shown (`echo`) or hidden. `None` ends the conversation with `PAM_CONV_ERR`.
    fn prompt(&mut self, echo: bool, text: &str) -> Option<Vec<u8>>;
    /// A text (`error` or plain information) that wants no answer.
    fn tell(&mut self, error: bool, text: &str);
    /// The name that PAM_USER gets while the module waits for this answer, if any.
    fn impersonate(&mut self) -> Option<String> {
        None
    }
    /// The delay after a failure, in microseconds, if the host was told to take it over.
    fn delay(&mut self, _microseconds: u32) {}
}

/// A PAM result code; displayed by its name in C.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code(pub c_int);

impl Code {
    /// `PAM_SUCCESS`.
    pub const SUCCESS: Code = Code(0);
    /// `PAM_NEW_AUTHTOK_REQD`.
    pub const NEW_AUTHTOK_REQD: Code = Code(12);
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0).ok().and_then(|index| NAMES.get(index)) {
            Some(name) => write!(out, "PAM_{name}"),
            None => write!(out, "PAM_? ({})", self.0),
        }
    }
}

/// Linux-PAM's result codes in their numeric order (`security/_pam_types.h`).
const NAMES: [&str; 32] = [
    "SUCCESS",
    "OPEN_ERR",
    "SYMBOL_ERR",
    "SERVICE_ERR",
    "SYSTEM_ERR",
    "BUF_ERR",
    "PERM_DENIED",
    "AUTH_ERR",
    "CRED_INSUFFICIENT",
    "AUTHINFO_UNAVAIL",
    "USER_UNKNOWN",
    "MAXTRIES",
    "NEW_AUTHTOK_REQD",
    "ACCT_EXPIRED",
    "SESSION_ERR",
    "CRED_UNAVAIL",
    "CRED_EXPIRED",
    "CRED_ERR",
    "NO_MODULE_DATA",
    "CONV_ERR",
    "AUTHTOK_ERR",
    "AUTHTOK_RECOVERY_ERR",
    "AUTHTOK_LOCK_BUSY",
    "AUTHTOK_DISABLE_AGING",
    "TRY_AGAIN",
    "IGNORE",
    "ABORT",
    "AUTHTOK_EXPIRED",
    "MODULE_UNKNOWN",
    "BAD_ITEM",
    "CONV_AGAIN",
    "INCOMPLETE",
];

/// What an application asks of PAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `pam_authenticate`
    Authenticate,
    /// `pam_acct_mgmt`
    AcctMgmt,
    /// `pam_setcred` with `PAM_ESTABLISH_CRED`
    SetCred,
    /// `pam_setcred` with `PAM_DELETE_CRED`
    DeleteCred,
    /// `pam_chauthtok`
    ChAuthTok,
    /// `pam_chauthtok` with `PAM_CHANGE_EXPIRED_AUTHTOK`, as after `PAM_NEW_AUTHTOK_REQD`
    ChExpiredAuthTok,
    /// `pam_open_session`
    OpenSession,
    /// `pam_close_session`
    CloseSession,
}

impl Call {
    /// The name on the command line and in transcripts.
    pub fn name(self) -> &'static str {
        match self {
            Call::Authenticate => "authenticate",
            Call::AcctMgmt => "acct_mgmt",
            Call::SetCred => "setcred",
            Call::DeleteCred => "delete_cred",
            Call::ChAuthTok => "chauthtok",
            Call::ChExpiredAuthTok => "chauthtok_expired",
            Call::OpenSession => "open_session",
            Call::CloseSession => "close_session",
        }
    }

    /// The call of that name.
    pub fn named(name: &str) -> Option<Call> {
        [
            Call::Authenticate,
            Call::AcctMgmt,
            Call::SetCred,
            Call::DeleteCred,
            Call::ChAuthTok,
            Call::ChExpiredAuthTok,
            Call::OpenSession,
            Call::CloseSession,
        ]
        .into_iter()
        .find(|call| call.name() == name)
    }
}

/// A string item of a transaction that the application sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    /// `PAM_TTY`
    Tty,
    /// `PAM_RHOST`
    Rhost,
}

/// One transaction, from `pam_start` to `pam_end`.
pub struct Transaction {
    handle: *mut Handle,
    conversation: *mut Conversation,
    stage: *mut Stage,
    last: Code,
    silent: bool,
}

impl Transaction {
    /// `pam_start`, or `pam_start_confdir` where the service file is in a folder of its own. `None` as user lets a
    /// module ask for the name.
    ///
    /// # Errors
    /// The code libpam gave, as when the service has no file.
    ///
    /// # Panics
    /// When a name has a NUL in it.
    pub fn start(service: &str, user: Option<&str>, confdir: Option<&Path>, host: Box<dyn Host>) -> Result<Self, Code> {
        let service = text(service).unwrap();
        let user = user.map(|user| text(user).unwrap());
        let confdir = confdir.map(|dir| text(&dir.to_string_lossy()).unwrap());
        let stage = Box::into_raw(Box::new(Stage { host, handle: ptr::null_mut() }));
        let conversation = Box::into_raw(Box::new(Conversation { talk, stage: stage.cast() }));
        let mut handle = ptr::null_mut();
        let user = user.as_ref().map_or(ptr::null(), |user| user.as_ptr());
        let confdir = confdir.as_ref().map_or(ptr::null(), |dir| dir.as_ptr());
        // SAFETY: all strings are NUL-terminated and outlive the call, which copies them; `conversation` and `stage` live
        // until `drop`. A null confdir is what pam_start itself passes on.
        let code = Code(unsafe { pam_start_confdir(service.as_ptr(), user, conversation, confdir, &raw mut handle) });
        // SAFETY: made above, and no module has been called yet.
        unsafe { (*stage).handle = handle };
        let started = Transaction { handle, conversation, stage, last: code, silent: false };
        if code == Code::SUCCESS { Ok(started) } else { Err(code) }
    }

    /// Passes `PAM_SILENT` with every call from here on.
    pub fn silence(&mut self) {
        self.silent = true;
    }

    /// `pam_set_item`.
    ///
    /// # Panics
    /// When the value has a NUL in it.
    pub fn set(&mut self, item: Item, value: &str) -> Code {
        let number = match item {
            Item::Tty => 3,
            Item::Rhost => 4,
        };
        let value = text(value).unwrap();
        // SAFETY: the handle is live; libpam copies the string.
        Code(unsafe { pam_set_item(self.handle, number, value.as_ptr().cast()) })
    }

    /// Takes the delay after failures over: libpam tells [`Host::delay`] instead of sleeping.
    pub fn take_over_delays(&mut self) -> Code {
        const PAM_FAIL_DELAY: c_int = 10;
        #[expect(clippy::as_conversions, reason = "C hands a function over as a void pointer; only `as` says that")]
        let function = delay as Delay as *const c_void;
        // SAFETY: this item is a function's address, of the very type that libpam calls, and lives as long as the program.
        Code(unsafe { pam_set_item(self.handle, PAM_FAIL_DELAY, function) })
    }

    /// `pam_putenv`: `NAME=VALUE`, or `NAME` to unset.
    ///
    /// # Panics
    /// When the text has a NUL in it.
    pub fn putenv(&mut self, assignment: &str) -> Code {
        let assignment = text(assignment).unwrap();
        // SAFETY: the handle is live; libpam copies the string.
        Code(unsafe { pam_putenv(self.handle, assignment.as_ptr()) })
    }

    /// `pam_getenv`.
    ///
    /// # Panics
    /// When the name has a NUL in it.
    pub fn getenv(&self, name: &str) -> Option<String> {
        let name = text(name).unwrap();
        // SAFETY: the handle is live; the answer belongs to libpam and is copied before the next call.
        unsafe { owned(pam_getenv(self.handle, name.as_ptr())) }
    }

    /// One of the calls; modules speak to the [`Host`] meanwhile.
    pub fn call(&mut self, call: Call) -> Code {
        const PAM_SILENT: c_int = 0x8000;
        let silent = if self.silent { PAM_SILENT } else { 0 };
        // SAFETY: the handle is live and used by this thread alone, and no reference to the host exists here.
        self.last = Code(unsafe {
            match call {
                Call::Authenticate => pam_authenticate(self.handle, silent),
                Call::AcctMgmt => pam_acct_mgmt(self.handle, silent),
                Call::SetCred => pam_setcred(self.handle, silent | 0x2),
                Call::DeleteCred => pam_setcred(self.handle, silent | 0x4),
                Call::ChAuthTok => pam_chauthtok(self.handle, silent),
                Call::ChExpiredAuthTok => pam_chauthtok(self.handle, silent | 0x20),
                Call::OpenSession => pam_open_session(self.handle, silent),
                Call::CloseSession => pam_close_session(self.handle, silent),
            }
        });
        self.last
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: each pointer is from this transaction's start and is given back once. Modules may speak during
        // pam_end, so stage and conversation go after it.
        unsafe {
            if !self.handle.is_null() {
                pam_end(self.handle, self.last.0);
            }
            drop(Box::from_raw(self.conversation));
            drop(Box::from_raw(self.stage));
        }
    }
}

/// SIGPIPE ends this process, as it ends a host that is written in C: Rust's runtime ignores the signal.
pub fn sigpipe_ends_this_process() {
    // SAFETY: SIG_DFL is no function, and no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Gives the following `syslog` calls of this process, those of the modules included, the tag `NAME[PID]`.
pub fn open_log(name: &'static CStr) {
    // SAFETY: syslog keeps the pointer; a 'static string outlives it.
    unsafe { libc::openlog(name.as_ptr(), libc::LOG_PID, libc::LOG_AUTHPRIV) }
}

/// Bytes that this process has from malloc and has not given back, those of its modules included.
pub fn heap_in_use() -> usize {
    // SAFETY: it reads malloc's own books.
    unsafe { libc::mallinfo2() }.uordblks
}

fn text(text: &str) -> Result<CString, NulError> {
    CString::new(text)
}

/// SAFETY: `text` is null or NUL-terminated.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// The conversation function: PAM's array of messages in, an array of as many replies out, made by malloc.
extern "C" fn talk(
    count: c_int,
    messages: *const *const Message,
    replies: *mut *mut Response,
    stage: *mut c_void,
) -> c_int {
    const PAM_CONV_ERR: c_int = 19;
    let Some(count) = usize::try_from(count).ok().filter(|count| (1..=32).contains(count)) else {
        return PAM_CONV_ERR;
    };
    // SAFETY: `stage` is the pointer that `start` handed over, alive until `drop`, and nothing else refers to it during a
    // call of libpam. Linux-PAM passes `count` pointers to messages (pam_conv(3)).
    let (stage, messages) = unsafe { (&mut *stage.cast::<Stage>(), std::slice::from_raw_parts(messages, count)) };
    let Stage { host, handle } = stage;
    let mut answers: Vec<*mut c_char> = Vec::with_capacity(count);
    for message in messages {
        // SAFETY: each points to a message whose text is null or NUL-terminated.
        let (style, text) = unsafe { ((**message).style, owned((**message).text).unwrap_or_default()) };
        let answer = match style {
            1 | 2 => match host.prompt(style == 2, &text).and_then(|answer| CString::new(answer).ok()) {
                // SAFETY: a NUL-terminated string; libpam or the module frees the copy.
                Some(answer) => unsafe { libc::strdup(answer.as_ptr()) },
                None => {
                    // SAFETY: made by strdup just above, or null; given back once.
                    answers.iter().for_each(|answer| unsafe { libc::free(answer.cast()) });
                    return PAM_CONV_ERR;
                }
            },
            _ => {
                host.tell(style == 3, &text);
                ptr::null_mut()
            }
        };
        answers.push(answer);
        if let Some(name) = host.impersonate().and_then(|name| CString::new(name).ok()) {
            const PAM_USER: c_int = 2;
            // SAFETY: the handle of this very conversation; libpam copies the string.
            unsafe { pam_set_item(*handle, PAM_USER, name.as_ptr().cast()) };
        }
    }
    // SAFETY: calloc gives room for `count` replies; each is written within it. The caller frees array and texts.
    unsafe {
        let array: *mut Response = libc::calloc(count, size_of::<Response>()).cast();
        for (index, answer) in answers.into_iter().enumerate() {
            array.add(index).write(Response { text: answer, code: 0 });
        }
        replies.write(array);
    }
    0
}

extern "C" fn delay(_status: c_int, microseconds: c_uint, stage: *mut c_void) {
    // SAFETY: libpam passes the conversation's pointer, alive until `drop`, and nothing else refers to it now.
    unsafe { &mut *stage.cast::<Stage>() }.host.delay(microseconds);
}

type Delay = extern "C" fn(c_int, c_uint, *mut c_void);

/// What the conversation function needs: who answers, and in which transaction.
struct Stage {
    host: Box<dyn Host>,
    handle: *mut Handle,
}

#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

#[repr(C)]
struct Conversation {
    talk: extern "C" fn(c_int, *const *const Message, *mut *mut Response, *mut c_void) -> c_int,
    stage: *mut c_void,
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const Conversation,
        confdir: *const c_char,
        handle: *mut *mut Handle,
    ) -> c_int;
    fn pam_end(handle: *mut Handle, status: c_int) -> c_int;
    fn pam_set_item(handle: *mut Handle, item: c_int, value: *const c_void) -> c_int;
    fn pam_putenv(handle: *mut Handle, assignment: *const c_char) -> c_int;
    fn pam_getenv(handle: *mut Handle, name: *const c_char) -> *const c_char;
    fn pam_authenticate(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_setcred(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_chauthtok(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut Handle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut Handle, flags: c_int) -> c_int;
}
