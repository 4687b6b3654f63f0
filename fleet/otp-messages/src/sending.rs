//! A message is prepared: may it be sent, note it, make the code durable. What is ready is handed to the sender afterwards.

use otp_core::audit::Event;
use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::config::senders::{Sender, Senders};
use otp_core::config::wording::Wording;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::pin::Pin;
use otp_core::decision::verify::is_locked;
use otp_core::error::CoreError;
use otp_core::protocol::request::PinToSend;
use otp_core::record::credentials::Kind;
use otp_core::store::note::{Note, Unsaid};
use otp_core::store::{Store, update};
use otp_core::value::destination::Destination;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::Account;

use crate::limits::{APART, Hold};
use crate::ready::{Prepared, Ready};

/// Longest name of a service in a text: a user's own program chooses it, and a longer text costs more than one message.
const LONGEST_SERVICE: usize = 32;

/// Where messages are noted before they are sent.
pub trait Ledger {
    /// Notes a message to a user if one may be sent now. The note is durable when this returns. The error is for the log.
    fn note(&self, sender: &Sender, user: &str, to: &Destination, now: UnixTime) -> Result<Result<(), Hold>, String>;
}

/// A message is for this user, and was asked for by this process.
pub struct Sending<'a> {
    pub account: &'a Account,
    /// The user id of the asker.
    pub by: u32,
    /// What the texts say they are for.
    pub host: &'a str,
    /// The programs that send.
    pub senders: &'a dyn Fn() -> Result<Senders, CoreError>,
    pub ledger: &'a dyn Ledger,
    pub log: &'a dyn Fn(&Event<'_>),
}

impl Sending<'_> {
    /// Prepares a code for the default device, or for the one that is named, if it is of the kinds that are accepted. `None` if that
    /// is no device to which codes are sent.
    pub fn code(
        &self,
        store: &impl Store,
        note: &Note<'_>,
        accepted: Kinds,
        login: &LoginContext,
        named: Option<&Typed>,
    ) -> Result<Option<Prepared>, CoreError> {
        let (named, now) = (named.map(|named| named.text().unwrap_or_default()), UnixTime::now());
        let Some(record) = store.read(self.account)? else { return Ok(None) };
        let device = record.credentials.challenged_device(named, accepted);
        let Some(Kind::Sent(to)) = device.map(|device| &device.kind) else { return Ok(None) };
        // It would be refused.
        if is_locked(record.state.lock, now) {
            return Ok(Some(Prepared::Said(Challenge::None)));
        }
        let sender = match self.allowed(to, now)? {
            Ok(sender) => sender,
            Err(challenge) => return Ok(Some(Prepared::Said(challenge))),
        };
        let Unsaid(code) = update(store, self.account, note, |record| {
            let device = record.credentials.challenged_device(named, accepted);
            let device = device.filter(|device| matches!(&device.kind, Kind::Sent(still) if still == to));
            match device.and_then(|device| record.code_to_send(device, now)) {
                Some((state, code)) => (state, Unsaid(Ok(code))),
                None => (record.state.clone(), Unsaid(Err(record.credentials.shut()))),
            }
        })?;
        let code = match code {
            Ok(code) => code,
            Err(Some(why)) => {
                let challenge = self.not_sent(to.channel().word(), &format!("the seed {}", why.text()));
                return Ok(Some(Prepared::Said(challenge)));
            }
            Err(None) => return Ok(Some(Prepared::Said(Challenge::NotSent))),
        };
        let (text, subject) = (code_text(&sender.text, &code, self.host, login), sender.subject.with(&self.of_host()));
        Ok(Some(Prepared::Ready(self.ready(to, &subject, &text, "code"))))
    }

    /// Prepares the PIN of a new device.
    pub fn pin(&self, pin: &PinToSend) -> Result<Prepared, CoreError> {
        let Ok(to) = Destination::parse(pin.kind, &pin.to) else { return Ok(Prepared::Said(Challenge::NotSent)) };
        // A text of the asker's own is no PIN.
        if !Pin::is_one(pin.pin.expose()) {
            return Ok(Prepared::Said(self.not_sent(pin.kind.word(), "what was to be sent is no PIN")));
        }
        let sender = match self.allowed(&to, UnixTime::now())? {
            Ok(sender) => sender,
            Err(challenge) => return Ok(Prepared::Said(challenge)),
        };
        let text = sender.pin_text.with(&[("pin", pin.pin.expose()), ("host", self.host)]);
        Ok(Prepared::Ready(self.ready(&to, &sender.pin_subject.with(&self.of_host()), &text, "pin")))
    }

    fn of_host(&self) -> [(&'static str, &str); 1] {
        [("host", self.host)]
    }

    fn ready(&self, to: &Destination, subject: &str, text: &str, what: &'static str) -> Ready {
        Ready::new(to, subject, text, (self.account.name.as_str(), self.by), what)
    }

    /// Notes a message, and returns what sends it; the answer if none may be sent.
    fn allowed(&self, to: &Destination, now: UnixTime) -> Result<Result<Sender, Challenge>, CoreError> {
        let sender = (self.senders)()?.of(to.channel());
        let (kind, user) = (to.channel().word(), self.account.name.as_str());
        let Some(sender) = sender else {
            return Ok(Err(self.not_sent(kind, &format!("the configuration names no program: [{kind}] send"))));
        };
        Ok(match self.ledger.note(&sender, user, to, now) {
            Ok(Ok(())) => Ok(sender),
            // Of messages in quick succession the log need not tell.
            Ok(Err(Hold::Wait(time))) if time <= APART => Err(Challenge::Wait(time)),
            Ok(Err(hold)) => {
                let not_sent = self.not_sent(kind, &hold.reason(kind));
                Err(if let Hold::Wait(time) = hold { Challenge::Wait(time) } else { not_sent })
            }
            Err(error) => Err(self.not_sent(kind, &error)),
        })
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
