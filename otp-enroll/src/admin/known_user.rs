//! What is known of a user before a login that has not happened.

use otp_core::decision::kinds::Kinds;
use otp_core::record::Record;
use otp_core::service::demanded::Known;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;

/// What a record says of a login.
#[derive(Clone, Copy)]
pub(super) struct KnownUser {
    /// Before the question.
    pub(super) before: Known,
    /// Of all devices.
    pub(super) kinds: Kinds,
    /// Whether a passcode is good through the service of the login.
    pub(super) has_passcode: bool,
    /// The kinds of all devices, if the address of the login is remembered (grace).
    pub(super) remembered: Option<Kinds>,
}

impl KnownUser {
    /// What a record of this host says; `None` for a user without one.
    pub(super) fn of_record(site: &Site, record: Option<&Record>, login: &LoginContext, now: UnixTime) -> Self {
        let grace = login.address().zip(site.config.settings.grace);
        Self {
            before: Known::of(record.map(|record| record.credentials.outline()).as_ref()),
            kinds: record.map_or(Kinds::NONE, |record| record.credentials.kinds()),
            has_passcode: record.is_some_and(|record| record.has_passcode_for(&login.service, now)),
            remembered: record
                .zip(grace)
                .and_then(|(record, (address, length))| record.remembered(address, length, now)),
        }
    }
}
