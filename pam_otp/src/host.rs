//! The host (sshd, sudo, …) as a login uses it: user, login context, questions, texts, log, pending enrollment.

pub(crate) mod deferred;

use std::ffi::{CStr, CString};

use libc::{LOG_DEBUG, LOG_ERR, LOG_INFO, LOG_NOTICE, c_int};
use otp_core::audit::{Event, Severity};
use otp_core::codes::attempt::Typed;
use otp_core::value::login_context::LoginContext;
use otp_core::value::text::{English, Language};
use otp_locale::Locale;
use pam::constants::{
    PAM_ERROR_MSG, PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_TEXT_INFO, PamMessageStyle, PamResultCode,
};
use pam::conv::Conv;
use pam::items::{AuthTok, Item, RHost, Service, Tty, User};
use pam::module::PamHandle;
use zeroize::Zeroizing;

use self::deferred::Deferred;
use crate::ffi;
use crate::privileges::logging_as_root;

/// Microseconds that libpam waits (more or less, at its choice) before the host hears of a refusal.
const FAIL_DELAY: u32 = 2_000_000;

/// The variable of the PAM environment, and the data of the transaction, that name the user whose enrollment is pending.
/// The variable outlives the process that sshd authenticates in, but other modules may remove it: pam_env does so for a
/// user's own file. The data is ours alone, and counts where it is there.
const PENDING_ENROLLMENT: &CStr = c"PAM_OTP_ENROLLMENT";

/// The variable of the PAM environment with texts for the session, after the name of the user and a line feed. sshd
/// authenticates in another process than that of the session, and only this environment gets from there to here.
const WAITING_TEXT: &CStr = c"PAM_OTP_TEXT";

/// The data of the transaction that waits for the line with `deferred`.
const DEFERRED: &CStr = c"PAM_OTP_DEFERRED";

/// What a login needs of its host. A scripted conversation can stand in for it.
pub(crate) trait Host {
    /// The user who logs in; asks for the name where the host has not done so.
    fn user(&mut self) -> Result<String, ConversationError>;
    /// Whether PAM_USER still is this user: a conversation may have changed it (CVE-2024-9313).
    fn still_names(&self, user: &str) -> bool;
    /// PAM_SERVICE, PAM_RHOST, PAM_TTY.
    fn login_context(&self) -> LoginContext;
    /// The language of the texts.
    fn language(&self) -> &dyn Language {
        &English
    }
    /// Sets a locale for the texts, where the host has set none.
    fn set_language(&mut self, _: &str) {}
    /// Asks a question; the answer is not echoed.
    fn ask(&self, prompt: &str) -> Result<Typed, ConversationError>;
    /// The same, with what is typed on the screen: it is no secret.
    fn ask_visibly(&self, prompt: &str) -> Result<Typed, ConversationError>;
    /// The password that a module before us asked for.
    fn password(&self) -> Option<Typed>;
    /// Hands a password on to the modules after us; `false` if that is not possible.
    fn hand_on(&mut self, password: &Typed) -> bool;
    /// Shows a text that the next question is about, as a number to type into a token.
    fn tell(&self, text: &str);
    /// Shows a text after the last question. sshd shows such a text twice, before the session and in it: there it waits for
    /// the session, as it does anywhere if it `waits`: for a password that is not judged yet.
    fn tell_in_session(&mut self, text: &str, waits: bool);
    /// Shows what has waited for the session.
    fn tell_what_waited(&mut self);
    /// Removes what waits for the session of another user than this one.
    fn forget_what_waits_for_others(&mut self, user: &str);
    /// Shows a text with a key or recovery codes, and leaves no copy of it behind.
    fn show_secret(&self, text: &Zeroizing<String>);
    /// Shows that something went wrong, if the host shows texts.
    fn warn(&self, text: &str);
    /// Writes an audit line.
    fn log(&self, event: &Event<'_>);
    /// Writes a line for the module argument `debug`.
    fn debug(&self, line: &str);
    /// Asks libpam to delay the answer, so that guessing is slow.
    fn delay_failure(&mut self);
    /// Notes in the PAM transaction that `user` must enroll; `false` if it could not be noted.
    fn set_pending_enrollment(&mut self, user: &str) -> bool;
    /// Removes that note, where there is one.
    fn clear_pending_enrollment(&mut self);
    /// The user who must enroll, where there is one.
    fn pending_enrollment(&self) -> Option<Vec<u8>>;
    /// Keeps in the PAM transaction what the line with `defer` saw; `false` if it could not be kept.
    fn defer(&mut self, seen: &Deferred) -> bool;
    /// What is kept there.
    fn deferred(&self) -> Option<Deferred>;
    /// Removes it, where there is any.
    fn clear_deferred(&mut self);
}

/// Why the conversation gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConversationError {
    /// It failed: there is no client, it went away, or it typed nothing.
    Failed,
    /// The host is event-driven and will call again.
    Again,
    /// The name that the host gave is not UTF-8, or there is none.
    NoName,
}

/// A host behind libpam.
pub(crate) struct PamHost<'a> {
    handle: &'a mut PamHandle,
    silent: bool,
    locale: Locale,
}

impl<'a> PamHost<'a> {
    /// `silent` is PAM_SILENT: no texts, only questions.
    pub(crate) fn new(handle: &'a mut PamHandle, silent: bool) -> Self {
        Self { handle, silent, locale: Locale::of_process() }
    }

    fn item<'b, T: Item<'b>>(&'b self) -> Option<T> {
        self.handle.get_item().ok().flatten()
    }

    fn converse(&self, style: PamMessageStyle, text: &str) -> Result<Option<Typed>, ConversationError> {
        let conversation: Conv<'_> = self.item().ok_or(ConversationError::Failed)?;
        let answer = conversation.send(style, text).map_err(|code| ConversationError::of(&code))?;
        Ok(answer.map(|answer| Typed::new(answer.as_bytes().to_vec())))
    }

    fn waiting(&self) -> Option<Vec<u8>> {
        ffi::getenv(self.handle, WAITING_TEXT)
    }

    fn show(&self, style: PamMessageStyle, text: &str) {
        if !self.silent {
            // Hosts may return no reply array for a text; that and a host that shows nothing change no decision.
            let _ = self.converse(style, text);
        }
    }
}

impl Host for PamHost<'_> {
    fn user(&mut self) -> Result<String, ConversationError> {
        let not_utf8 = PamResultCode::PAM_SYSTEM_ERR;
        self.handle
            .get_user(None)
            .map_err(|code| if code == not_utf8 { ConversationError::NoName } else { ConversationError::of(&code) })
    }

    fn still_names(&self, user: &str) -> bool {
        self.item().is_some_and(|present: User<'_>| present.to_bytes() == user.as_bytes())
    }

    fn login_context(&self) -> LoginContext {
        let text = |item: &CStr| item.to_string_lossy().into_owned();
        let rhost = self.item().map(|rhost: RHost<'_>| text(&rhost));
        LoginContext {
            service: self.item().map_or_else(String::new, |service: Service<'_>| text(&service)),
            rhost: rhost.filter(|rhost| !rhost.is_empty()),
            tty: self.item().map(|tty: Tty<'_>| LoginContext::terminal(&text(&tty))),
            nullok: false,
            enroll: false,
            as_one: false,
            send: false,
        }
    }

    fn language(&self) -> &dyn Language {
        &self.locale
    }

    fn set_language(&mut self, name: &str) {
        self.locale = Locale::or_named(name);
    }

    fn ask(&self, prompt: &str) -> Result<Typed, ConversationError> {
        self.converse(PAM_PROMPT_ECHO_OFF, prompt)?.ok_or(ConversationError::Failed)
    }

    fn ask_visibly(&self, prompt: &str) -> Result<Typed, ConversationError> {
        self.converse(PAM_PROMPT_ECHO_ON, prompt)?.ok_or(ConversationError::Failed)
    }

    fn password(&self) -> Option<Typed> {
        self.item().map(|password: AuthTok<'_>| Typed::new(password.as_bytes().to_vec()))
    }

    fn hand_on(&mut self, password: &Typed) -> bool {
        ffi::set_password(self.handle, password.expose())
    }

    fn tell(&self, text: &str) {
        // Never silent, as sudo asks modules to be: without it there is no answer to the question. Hosts may return no reply
        // array for a text.
        let _ = self.converse(PAM_TEXT_INFO, text);
    }

    fn tell_in_session(&mut self, text: &str, waits: bool) {
        // sshd sets this terminal before it knows a real one.
        let waits = waits || self.login_context().tty.as_deref() == Some("ssh");
        let before = self.waiting().unwrap_or_else(|| {
            let user = self.item().map_or(&b""[..], |user: User<'_>| user.to_bytes());
            user.to_vec()
        });
        let variable = [WAITING_TEXT.to_bytes(), b"=", &before, b"\n", text.as_bytes()].concat();
        let waits = waits && CString::new(variable).is_ok_and(|variable| ffi::putenv(self.handle, &variable));
        if !waits {
            self.show(PAM_TEXT_INFO, text);
        }
    }

    fn tell_what_waited(&mut self) {
        let Some(waiting) = self.waiting() else { return };
        ffi::putenv(self.handle, WAITING_TEXT);
        // Not compared with PAM_USER: in sudo that is by now the target user.
        if let Some((_, text)) = String::from_utf8_lossy(&waiting).split_once('\n') {
            // Other modules may set the variable, as pam_env does from a user's own file.
            self.show(PAM_TEXT_INFO, &text.replace(|character: char| character.is_control() && character != '\n', "?"));
        }
    }

    fn forget_what_waits_for_others(&mut self, user: &str) {
        let is_of = |waiting: &[u8]| waiting.split(|byte| *byte == b'\n').next() == Some(user.as_bytes());
        if self.waiting().is_some_and(|waiting| !is_of(&waiting)) {
            ffi::putenv(self.handle, WAITING_TEXT);
        }
    }

    fn show_secret(&self, text: &Zeroizing<String>) {
        // Never silent: the user is asked about it next.
        ffi::show_secret(self.handle, PAM_TEXT_INFO, text);
    }

    fn warn(&self, text: &str) {
        self.show(PAM_ERROR_MSG, text);
    }

    fn log(&self, event: &Event<'_>) {
        let line = event.to_string();
        logging_as_root(|| ffi::syslog(self.handle, priority(event.severity()), &line));
    }

    fn debug(&self, line: &str) {
        ffi::syslog(self.handle, LOG_DEBUG, line);
    }

    fn delay_failure(&mut self) {
        ffi::fail_delay(self.handle, FAIL_DELAY);
    }

    fn set_pending_enrollment(&mut self, user: &str) -> bool {
        let variable = [PENDING_ENROLLMENT.to_bytes(), b"=", user.as_bytes()].concat();
        let (Ok(variable), Ok(user)) = (CString::new(variable), CString::new(user)) else { return false };
        ffi::putenv(self.handle, &variable) && ffi::set_data(self.handle, PENDING_ENROLLMENT, Some(user))
    }

    fn clear_pending_enrollment(&mut self) {
        // libpam complains in the log about a variable that is not there.
        if ffi::getenv(self.handle, PENDING_ENROLLMENT).is_some() {
            ffi::putenv(self.handle, PENDING_ENROLLMENT);
        }
        if ffi::data(self.handle, PENDING_ENROLLMENT).is_some() {
            ffi::set_data(self.handle, PENDING_ENROLLMENT, None);
        }
    }

    fn pending_enrollment(&self) -> Option<Vec<u8>> {
        ffi::data(self.handle, PENDING_ENROLLMENT).or_else(|| ffi::getenv(self.handle, PENDING_ENROLLMENT))
    }

    fn defer(&mut self, seen: &Deferred) -> bool {
        seen.text().is_some_and(|text| ffi::set_data(self.handle, DEFERRED, Some(text)))
    }

    fn deferred(&self) -> Option<Deferred> {
        Some(Deferred::read(&Zeroizing::new(ffi::data(self.handle, DEFERRED)?)))
    }

    fn clear_deferred(&mut self) {
        if ffi::data(self.handle, DEFERRED).map(Zeroizing::new).is_some() {
            ffi::set_data(self.handle, DEFERRED, None);
        }
    }
}

impl ConversationError {
    fn of(code: &PamResultCode) -> Self {
        if *code == PamResultCode::PAM_CONV_AGAIN { Self::Again } else { Self::Failed }
    }
}

fn priority(severity: Severity) -> c_int {
    match severity {
        Severity::Info => LOG_INFO,
        Severity::Notice => LOG_NOTICE,
        Severity::Error => LOG_ERR,
    }
}
