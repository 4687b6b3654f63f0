//! A message is sent: may it be, note it, make the code durable, hand it to the sender, log, and only then answer.

use otp_core::audit::Event;
use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::config::senders::Sender;
use otp_core::config::wording::Wording;
use otp_core::decision::pin::Pin;
use otp_core::decision::verify::is_locked;
use otp_core::error::CoreError;
use otp_core::protocol::request::{Confidential, PinToSend};
use otp_core::protocol::sender_socket::{self, Message};
use otp_core::record::credentials::Kind;
use otp_core::service::accepted_devices;
use otp_core::store::files::open::FileStore;
use otp_core::store::note::{Note, Unsaid};
use otp_core::store::update;
use otp_core::system::config_file::Site;
use otp_core::system::sends_file;
use otp_core::value::destination::{Channel, Destination};
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

use crate::mail::mail;
use crate::sends::{APART, Hold, Sends};

/// Longest name of a service in a text: a user's own program chooses it, and a longer text costs more than one message.
const LONGEST_SERVICE: usize = 32;

/// A message is for this user, and was asked for by this process.
pub(crate) struct Sending<'a> {
    pub(crate) site: &'a Site,
    pub(crate) account: &'a Account,
    /// The user id of the asker.
    pub(crate) by: u32,
    pub(crate) sends: &'a Sends,
    pub(crate) log: &'a dyn Fn(&Event<'_>),
}

impl Sending<'_> {
    /// Sends a code to the default device, or to the one that is named. `None` if that is no device to which codes are sent.
    pub(crate) fn code(
        &self,
        store: &FileStore,
        login: &LoginContext,
        named: Option<&Typed>,
    ) -> Result<Option<Challenge>, CoreError> {
        let (named, now) = (named.map(|named| named.text().unwrap_or_default()), UnixTime::now());
        let accepted = accepted_devices::at(&self.site.config.settings.policy, self.account, login, now)?;
        let Some(record) = store.read(self.account)? else { return Ok(None) };
        let device = record.credentials.challenged_device(named, accepted);
        let Some(Kind::Sent(to)) = device.map(|device| &device.kind) else { return Ok(None) };
        // It would be refused.
        if is_locked(record.state.lock, now) {
            return Ok(Some(Challenge::None));
        }
        let sender = match self.allowed(to, now)? {
            Ok(sender) => sender,
            Err(challenge) => return Ok(Some(challenge)),
        };
        let Unsaid(code) = update(store, self.account, &Note::here("sent"), |record| {
            let device = record.credentials.challenged_device(named, accepted);
            let device = device.filter(|device| matches!(&device.kind, Kind::Sent(still) if still == to));
            match device.and_then(|device| record.code_to_send(device, now)) {
                Some((state, code)) => (state, Unsaid(Ok(code))),
                None => (record.state.clone(), Unsaid(Err(record.credentials.shut()))),
            }
        })?;
        let code = match code {
            Ok(code) => code,
            Err(Some(why)) => return Ok(Some(self.not_sent(to.channel().word(), &format!("the seed {}", why.text())))),
            Err(None) => return Ok(Some(Challenge::NotSent)),
        };
        let host = self.site.issuer();
        let (text, subject) = (code_text(&sender.text, &code, &host, login), sender.subject.with(&[("host", &host)]));
        Ok(Some(self.send(to, "code", &subject, &text)))
    }

    /// Sends the PIN of a new device.
    pub(crate) fn pin(&self, pin: &PinToSend) -> Result<Challenge, CoreError> {
        let Ok(to) = Destination::parse(pin.kind, &pin.to) else { return Ok(Challenge::NotSent) };
        // A text of the asker's own is no PIN.
        if !Pin::is_one(pin.pin.expose()) {
            return Ok(self.not_sent(pin.kind.word(), "what was to be sent is no PIN"));
        }
        let sender = match self.allowed(&to, UnixTime::now())? {
            Ok(sender) => sender,
            Err(challenge) => return Ok(challenge),
        };
        let host = self.site.issuer();
        let text = sender.pin_text.with(&[("pin", pin.pin.expose()), ("host", &host)]);
        Ok(self.send(&to, "pin", &sender.pin_subject.with(&[("host", &host)]), &text))
    }

    /// Notes a message, and returns what sends it; the answer if none may be sent.
    fn allowed(&self, to: &Destination, now: UnixTime) -> Result<Result<Sender, Challenge>, CoreError> {
        let sender = self.site.senders()?.of(to.channel());
        let (kind, user) = (to.channel().word(), self.account.name.as_str());
        let Some(sender) = sender else {
            return Ok(Err(self.not_sent(kind, &format!("the configuration names no program: [{kind}] send"))));
        };
        let directory = &self.site.config.state_directory;
        Ok(match self.sends.note(directory, &sender, user, to, now) {
            Ok(Ok(())) => Ok(sender),
            // Of messages in quick succession the log need not tell.
            Ok(Err(Hold::Wait(time))) if time <= APART => Err(Challenge::Wait(time)),
            Ok(Err(hold)) => {
                let not_sent = self.not_sent(kind, &hold.reason(kind));
                Err(if let Hold::Wait(time) = hold { Challenge::Wait(time) } else { not_sent })
            }
            Err(error) => {
                let path = sends_file::file(directory);
                Err(self.not_sent(kind, &format!("cannot note it in {}: {error}", path.display())))
            }
        })
    }

    fn send(&self, to: &Destination, what: &str, subject: &str, text: &str) -> Challenge {
        let (kind, user, by) = (to.channel(), self.account.name.as_str(), self.by);
        let text = match kind {
            Channel::Sms => text.to_owned(),
            Channel::Email => mail(to, subject, text),
        };
        let message = Message { kind, to: to.as_str().to_owned(), text: Confidential::new(&text) };
        match sender_socket::send(&message) {
            Ok(()) => {
                (self.log)(&Event::Sent { user, by, kind: kind.word(), what });
                Challenge::Sent(to.masked())
            }
            Err(error) => self.not_sent(kind.word(), &error.to_string()),
        }
    }

    fn not_sent(&self, kind: &str, error: &str) -> Challenge {
        (self.log)(&Event::NotSent { user: Some(self.account.name.as_str()), kind, error: &error });
        Challenge::NotSent
    }
}

/// What the message says. A remote host that is no address is the client's own text, and left out.
fn code_text(wording: &Wording, code: &str, host: &str, login: &LoginContext) -> String {
    let (first, rest) = code.split_at_checked(3).unwrap_or((code, ""));
    let is_plain = |service: &str| {
        (1..=LONGEST_SERVICE).contains(&service.len())
            && service.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let service = Some(login.service.as_str()).filter(|service| is_plain(service)).unwrap_or("a login");
    let from = login.address().map_or_else(String::new, |address| address.to_string());
    let code = format!("{first} {rest}");
    wording.with(&[("code", &code), ("host", host), ("service", service), ("from", &from)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp_core::config::senders;

    fn sender(keys: &str) -> Sender {
        let (senders, errors) = senders::read("/c".as_ref(), &format!("[sms]\nsend = [\"/a\"]\n{keys}"));
        assert_eq!(errors, []);
        senders.sms.unwrap()
    }

    fn login(service: &str, rhost: Option<&str>) -> LoginContext {
        LoginContext { service: service.into(), rhost: rhost.map(str::to_owned), ..LoginContext::default() }
    }

    #[test]
    fn a_text_names_host_service_and_address_and_nothing_that_a_client_wrote() {
        let wording = sender("").text;
        let text = |service, rhost| code_text(&wording, "4812093", "host.example", &login(service, rhost));
        assert_eq!(
            text("sshd", Some("203.0.113.9")),
            "481 2093 is your code for host.example (sshd from 203.0.113.9). Not you? Change your password."
        );
        let without =
            |service| format!("481 2093 is your code for host.example ({service}). Not you? Change your password.");
        assert_eq!(text("su-l", None), without("su-l"));
        assert_eq!(text("sshd", Some("evil: call +1 900 …")), without("sshd"));
        assert_eq!(text("x\nSubject: y", None), without("a login"));
        assert_eq!(text("{code}", None), without("a login"));
        let (longest, too_long) = ("x".repeat(32), "x".repeat(33));
        assert_eq!(text(&longest, None), without(&longest));
        assert_eq!(text(&too_long, None), without("a login"));
    }

    #[test]
    fn a_text_is_in_the_language_of_the_site() {
        let wording = sender("text = \"{host}: Ihr Code für {service}[ von {from}] ist {code}\"\n").text;
        let text = |rhost| code_text(&wording, "4812093", "h", &login("sshd", rhost));
        assert_eq!(text(Some("203.0.113.9")), "h: Ihr Code für sshd von 203.0.113.9 ist 481 2093");
        assert_eq!(text(Some("evil")), "h: Ihr Code für sshd ist 481 2093");
    }
}
