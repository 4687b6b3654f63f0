//! The language of this process, and translations from the catalogues of gettext, by the C library alone.
#![expect(unsafe_code, reason = "C interface; every block names the fact it rests on")]

use std::ffi::{CStr, CString};
use std::ptr;

use libc::{c_char, c_int, c_ulong, locale_t};
use otp_core::config::paths;
use otp_core::value::text::Language;

// Part of the C library on Linux: libintl(3).
unsafe extern "C" {
    fn dgettext(domain: *const c_char, text: *const c_char) -> *mut c_char;
    fn dngettext(domain: *const c_char, one: *const c_char, other: *const c_char, number: c_ulong) -> *mut c_char;
    fn bindtextdomain(domain: *const c_char, folder: *const c_char) -> *mut c_char;
    fn bind_textdomain_codeset(domain: *const c_char, codeset: *const c_char) -> *mut c_char;
}

/// The name of the catalogues: `LANGUAGE/LC_MESSAGES/pam_otp.mo`.
const DOMAIN: &CStr = c"pam_otp";

/// glibc's NL_LOCALE_NAME(LC_MESSAGES), which the libc crate lacks (langinfo.h).
const NAME_OF_MESSAGES: c_int = (libc::LC_MESSAGES << 16) | 0xffff;

/// The locale of this process, or one of a given name.
pub struct Locale(Option<Named>);

/// A locale of newlocale(3), which is ours to free.
struct Named(locale_t);

impl Drop for Named {
    fn drop(&mut self) {
        // SAFETY: it is from newlocale, it is freed once, and no thread uses it: `translation` gives back the locale before.
        unsafe { libc::freelocale(self.0) };
    }
}

impl Locale {
    /// That of the process: what it has set with setlocale(3), which for many programs is C.
    pub const fn of_process() -> Self {
        Self(None)
    }

    /// Sets the locale of the process from its environment. For a program's start: no other thread may run yet.
    pub fn from_environment() -> Self {
        for category in [libc::LC_CTYPE, libc::LC_MESSAGES] {
            // SAFETY: the C string is a constant, and the caller has no other thread, which could read the locale meanwhile.
            unsafe { libc::setlocale(category, c"".as_ptr()) };
        }
        Self(None)
    }

    /// That of the process or, where it has none of its own, the one of this name. No other thread sees the latter.
    pub fn or_named(name: &str) -> Self {
        let Ok(name) = CString::new(name) else { return Self(None) };
        if is_translated() {
            return Self(None);
        }
        let mask = libc::LC_CTYPE_MASK | libc::LC_MESSAGES_MASK;
        // SAFETY: the C string outlives the call, and a null base asks for a new locale.
        let locale = unsafe { libc::newlocale(mask, name.as_ptr(), ptr::null_mut()) };
        Self((!locale.is_null()).then(|| Named(locale))) // lazily: dropping one frees it
    }

    /// Whether a locale of a given name was found.
    pub fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// Whether texts stay as they are: the usual case, in which no call could read a file.
    fn is_english(&self) -> bool {
        self.0.is_none() && !is_translated()
    }

    /// Asks gettext, in the named locale if there is one.
    fn ask(&self, find: impl FnOnce() -> *const c_char) -> Option<String> {
        let before = self.0.as_ref().map(|named| {
            // SAFETY: the locale is from newlocale and lives as long as `self`; only this thread uses it.
            unsafe { libc::uselocale(named.0) }
        });
        let found = is_translated().then(|| {
            let folder = CString::new(paths::LOCALE).unwrap_or_default();
            // SAFETY: the C strings outlive the calls, which copy them. UTF-8 is the locale's own encoding, so nothing is
            // converted.
            unsafe {
                bindtextdomain(DOMAIN.as_ptr(), folder.as_ptr());
                bind_textdomain_codeset(DOMAIN.as_ptr(), c"UTF-8".as_ptr());
            }
            let found = find();
            // SAFETY: gettext returns a text of the catalogue, which stays, or what it was given, which lives in the caller.
            (!found.is_null()).then(|| unsafe { CStr::from_ptr(found) }.to_bytes().to_vec())
        });
        if let Some(before) = before {
            // SAFETY: it is what uselocale returned above, in this thread.
            unsafe { libc::uselocale(before) };
        }
        // A catalogue that is not UTF-8 is no translation.
        String::from_utf8(found??).ok()
    }
}

impl Language for Locale {
    fn translation(&self, english: &str) -> Option<String> {
        if self.is_english() {
            return None;
        }
        let text = CString::new(english).ok()?;
        // SAFETY: the C strings outlive the call.
        self.ask(|| unsafe { dgettext(DOMAIN.as_ptr(), text.as_ptr()) })
    }

    fn plural(&self, one: &str, other: &str, number: u64) -> Option<String> {
        if self.is_english() {
            return None;
        }
        let (one, other) = (CString::new(one).ok()?, CString::new(other).ok()?);
        // SAFETY: the C strings outlive the call.
        self.ask(|| unsafe { dngettext(DOMAIN.as_ptr(), one.as_ptr(), other.as_ptr(), number) })
    }
}

/// Whether the locale of this thread has another language than the code, in UTF-8. Reads no file: in C.UTF-8 gettext would look
/// for catalogues.
fn is_translated() -> bool {
    let is_utf8 = langinfo(libc::CODESET).is_some_and(|codeset| codeset == c"UTF-8");
    let is_named =
        |name: &CStr| !matches!(name.to_bytes(), b"" | b"C" | b"POSIX") && !name.to_bytes().starts_with(b"C.");
    is_utf8 && langinfo(NAME_OF_MESSAGES).is_some_and(is_named)
}

fn langinfo(item: c_int) -> Option<&'static CStr> {
    // SAFETY: nl_langinfo takes any number, and returns a C string of the locale or an empty one.
    let text = unsafe { libc::nl_langinfo(item) };
    // SAFETY: where it is not null, it is such a C string. It is compared at once, before this thread sets another locale.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

#[cfg(test)]
mod tests {
    use otp_core::value::text::said;

    use super::*;

    #[test]
    fn without_a_language_the_text_is_english() {
        for locale in
            [Locale::of_process(), Locale::or_named("xx_XX.UTF-8"), Locale::or_named("C.UTF-8"), Locale::or_named("\0")]
        {
            assert_eq!(locale.translation("a"), None);
            assert_eq!(locale.plural("a", "b", 2), None);
            assert_eq!(said(&locale, "a {b}", &[("b", &1)]), "a 1");
        }
    }
}
