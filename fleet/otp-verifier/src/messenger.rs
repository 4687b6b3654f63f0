//! Codes and PINs that a verifier sends: noted in the database, and handed over when the answer is durable.

use std::cell::RefCell;
use std::path::Path;

use otp_core::audit::Event;
use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::config::paths;
use otp_core::config::senders::Sender;
use otp_core::decision::kinds::Kinds;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::request::PinToSend;
use otp_core::service::messenger::Messenger;
use otp_core::store::error::StoreError;
use otp_core::store::note::Note;
use otp_core::value::destination::{Channel, Destination};
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_core::value::user::{Account, UserName};
use otp_messages::limits::{Hold, may_send};
use otp_messages::ready::{Prepared, Ready};
use otp_messages::sending::{Ledger, Sending};

use crate::database::messages::Message;
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::keys::Keys;
use crate::log;
use crate::store::{About, PgStore};

/// How often a message that others were faster than is counted again.
const MOST_LOSSES: usize = 16;

/// Prepares the messages of one question. What is ready is sent when the question is answered.
pub(crate) struct Postbox<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) session: &'a Session,
    pub(crate) keys: &'a Keys,
    pub(crate) account: &'a Account,
    pub(crate) about: About<'a>,
    pub(crate) note: Note<'a>,
    /// The kinds of device that the host's policy accepts.
    pub(crate) accepted: Kinds,
    pub(crate) ready: RefCell<Option<Ready>>,
}

impl Postbox<'_> {
    fn sending<T>(&self, then: impl FnOnce(&Sending<'_>) -> T) -> T {
        let host = self.fleet.settings.issuer.as_deref().or(self.about.host).unwrap_or_default();
        let ledger = Table { session: self.session, keys: self.keys, host: self.about.host };
        let log = |event: &Event<'_>| {
            let of_host = self.about.host.map_or_else(String::new, |host| format!("host {host}: "));
            log::notice(&format!("{of_host}{event}"));
        };
        then(&Sending {
            account: self.account,
            by: self.about.caller_uid.unwrap_or_default(),
            host,
            senders: &|| self.fleet.config.senders(),
            ledger: &ledger,
            log: &log,
        })
    }

    fn keep(&self, prepared: Prepared) -> Challenge {
        match prepared {
            Prepared::Said(challenge) => challenge,
            Prepared::Ready(ready) => {
                let challenge = ready.answer();
                self.ready.replace(Some(ready));
                challenge
            }
        }
    }
}

/// A line of the log for what became of a message.
pub(crate) fn note_event(event: &Event<'_>) {
    log::notice(&event.to_string());
}

impl Messenger for Postbox<'_> {
    fn kinds(&self) -> Result<Kinds, CoreError> {
        Ok(self.fleet.config.senders()?.kinds())
    }

    fn check(&self, channel: Channel) -> Result<(), CoreError> {
        let absent = || CoreError::NotSent(channel, HelperError::Io(std::io::ErrorKind::NotFound.into()));
        Path::new(paths::SENDER).exists().then_some(()).ok_or_else(absent)
    }

    fn challenge(
        &self,
        _: &UserName,
        _: Channel,
        login: &LoginContext,
        named: Option<&Typed>,
    ) -> Result<Challenge, CoreError> {
        let store = PgStore::new(self.session, self.keys, self.about);
        let prepared = self.sending(|sending| sending.code(&store, &self.note, self.accepted, login, named))?;
        let none = if named.is_some() { Challenge::NoSuchDevice } else { Challenge::None };
        Ok(prepared.map_or(none, |prepared| self.keep(prepared)))
    }

    fn send_pin(&self, _: &UserName, pin: &PinToSend) -> Result<Challenge, CoreError> {
        Ok(self.keep(self.sending(|sending| sending.pin(pin))?))
    }
}

/// Messages are noted in the database, so that all verifiers together stay within the limits.
struct Table<'a> {
    session: &'a Session,
    keys: &'a Keys,
    /// The host that asks for them.
    host: Option<&'a str>,
}

impl Ledger for Table<'_> {
    fn note(&self, sender: &Sender, user: &str, to: &Destination, now: UnixTime) -> Result<Result<(), Hold>, String> {
        let failed = |error: StoreError| format!("cannot note it in the database: {error}");
        let destination = self.keys.name_of(to.as_str()).map_err(|error| error.to_string())?;
        let message = Message { kind: to.channel().word(), user, destination: &destination, host: self.host };
        for _ in 0..MOST_LOSSES {
            let mut turn = 0;
            let may_be = may_send(sender, user, to, now, |wanted| {
                let (number, sent) = self.session.messages(&message, wanted)?;
                turn = number;
                Ok(sent)
            });
            if let Err(hold) = may_be.map_err(failed)? {
                return Ok(Err(hold));
            }
            if self.session.note_message(turn, &message).map_err(failed)? {
                return Ok(Ok(()));
            }
        }
        Err("too many messages are noted at once".into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use otp_core::config::senders;
    use otp_core::value::time::Seconds;

    use super::*;
    use crate::database::Servers;
    use crate::database::testing::Cluster;
    use crate::keys::tests::keys;

    fn sender(keys: &str) -> Sender {
        senders::read("/c".as_ref(), &format!("[sms]\nsend = [\"/x\"]\n{keys}")).0.sms.unwrap()
    }

    fn number(last: usize) -> Destination {
        Destination::parse(Channel::Sms, &format!("+614123456{last:02}")).unwrap()
    }

    fn note(servers: &Arc<Servers>, sender: &Sender, user: &str, to: &Destination) -> Result<(), Hold> {
        note_of(servers, Some("web1"), sender, user, to)
    }

    fn note_of(
        servers: &Arc<Servers>,
        host: Option<&str>,
        sender: &Sender,
        user: &str,
        to: &Destination,
    ) -> Result<(), Hold> {
        let (session, keys) = (servers.connect().unwrap(), keys(&[1]));
        Table { session: &session, keys: &keys, host }.note(sender, user, to, UnixTime::now()).unwrap()
    }

    /// Each in a thread and with a connection of its own, as in verifiers on several machines.
    fn at_once(
        servers: &Arc<Servers>,
        sender: &Sender,
        count: usize,
        to: fn(usize) -> Destination,
    ) -> Vec<Result<(), Hold>> {
        let one = |number: usize| note(servers, sender, &format!("user{number}"), &to(number));
        thread::scope(|scope| {
            let all: Vec<_> = (0..count).map(|number| scope.spawn(move || one(number))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        })
    }

    #[test]
    fn of_many_messages_at_once_as_many_are_noted_as_may_be() {
        let (cluster, database) = Cluster::shared();
        let servers = Arc::new(cluster.servers_of(&database, &[0]));
        let to_one = at_once(&servers, &sender("limit = \"3/15m\""), 8, |_| number(1));
        let is_held = |noted: &&Result<(), Hold>| matches!(noted, Err(Hold::Wait(time)) if *time > Seconds(800));
        assert_eq!(
            (to_one.iter().filter(|noted| noted.is_ok()).count(), to_one.iter().filter(is_held).count()),
            (3, 5)
        );
        let to_all = at_once(&servers, &sender("hour = 7"), 8, |to| number(to + 10));
        // Who was sent one a moment ago waits; of the other five as many are noted as the hour has left.
        let count = |is: fn(&Result<(), Hold>) -> bool| to_all.iter().filter(|noted| is(noted)).count();
        let (noted, held) = (count(Result::is_ok), count(|noted| *noted == Err(Hold::Hour)));
        assert_eq!((noted, held, count(|noted| matches!(noted, Err(Hold::Wait(_))))), (4, 1, 3), "{to_all:?}");
    }

    #[test]
    fn one_host_does_not_use_up_what_all_may_be_sent() {
        let (cluster, database) = Cluster::shared();
        let servers = Arc::new(cluster.servers_of(&database, &[0]));
        let rows = |sql: &str| cluster.sql_in(&database, 0, sql);
        let sent = |host: &str, count: u32| {
            rows(&format!(
                "INSERT INTO otp.message (kind, name, destination, host) SELECT 'sms', 'u' || n, '', '{host}' FROM generate_series(1, {count}) n"
            ));
        };
        let plain = sender("hour = 100\nday = 200");
        let of = |host| note_of(&servers, Some(host), &plain, host, &number(7));
        sent("web1", 24);
        assert_eq!(of("web1"), Ok(()));
        rows("UPDATE otp.message SET name = 'x', destination = ''");
        assert_eq!(of("web1"), Err(Hold::HostHour));
        assert_eq!(of("web2"), Ok(()), "others have theirs");
        rows("UPDATE otp.message SET name = 'x', destination = '', at = now() - interval '61 min'");
        assert_eq!(of("web1"), Ok(()));
        sent("web1", 24);
        rows("UPDATE otp.message SET name = 'x', destination = '', at = now() - interval '61 min'");
        assert_eq!(of("web1"), Err(Hold::HostDay));
        sent("web3", 100);
        assert_eq!(of("web2"), Err(Hold::Hour));
    }

    #[test]
    fn the_database_is_asked_once_whether_a_message_may_be_sent_and_once_to_note_it() {
        let (cluster, database) = Cluster::shared();
        let session = Arc::new(cluster.servers_of(&database, &[0])).connect().unwrap();
        let table = Table { session: &session, keys: &keys(&[1]), host: Some("web1") };
        let note = || table.note(&sender(""), "alice", &number(1), UnixTime::now()).unwrap();
        assert_eq!((note(), session.asked()), (Ok(()), 2));
        assert!(note().is_err() && session.asked() == 3);
    }

    #[test]
    fn a_user_gets_a_message_in_30_seconds_and_no_number_is_in_the_table() {
        let (cluster, database) = Cluster::shared();
        let servers = Arc::new(cluster.servers_of(&database, &[0]));
        let plain = sender("prefixes = [\"+61\"]");
        assert_eq!(note(&servers, &plain, "alice", &number(1)), Ok(()));
        assert!(matches!(note(&servers, &plain, "alice", &number(2)), Err(Hold::Wait(time)) if time <= Seconds(30)));
        assert_eq!(note(&servers, &plain, "bob", &number(2)), Ok(()));
        let elsewhere = Destination::parse(Channel::Sms, "+15551234567").unwrap();
        assert_eq!(note(&servers, &plain, "carol", &elsewhere), Err(Hold::Prefix));
        let rows = |sql: &str| cluster.sql_in(&database, 0, sql);
        assert_eq!(rows("SELECT count(*) FROM otp.message"), "2");
        assert_eq!(rows("SELECT count(*) FROM otp.message m WHERE m::text LIKE '%4123456%'"), "0");
        // A clock that was ahead: it holds back for once. A day later nothing is left.
        rows("UPDATE otp.message SET at = now() + interval '1 h' WHERE name = 'alice'");
        assert!(matches!(note(&servers, &plain, "alice", &number(2)), Err(Hold::Wait(time)) if time <= Seconds(30)));
        rows("UPDATE otp.message SET at = now() - interval '25 h'");
        assert_eq!(note(&servers, &plain, "alice", &number(1)), Ok(()));
        assert_eq!(rows("SELECT count(*) FROM otp.message"), "1");
    }
}
