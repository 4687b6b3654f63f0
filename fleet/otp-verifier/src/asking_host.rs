//! The host that asks: whether the fleet knows it, what it may do, whom it may ask about, and how much.

use std::cell::RefCell;
use std::sync::Arc;

use otp_core::decision::kinds::Kinds;
use otp_core::error::CoreError;
use otp_core::store::Store as _;
use otp_core::store::error::StoreError;
use otp_core::store::note::Origin;
use otp_core::value::request_id::RequestId;
use otp_core::value::user::UserName;
use otp_wire::{Place, User};
use tokio_postgres::Row;

use crate::altered::alarm;
use crate::answered::{Asking, Failure, of_no_host, unanswered};
use crate::budgets::{Left, now};
use crate::config::KeyName;
use crate::database::hosts::Host;
use crate::database::scopes::InScope;
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::keys::Keys;
use crate::log;
use crate::messenger::Postbox;
use crate::right::Right;
use crate::store::{About, PgStore, is_record};

/// A host that may ask.
pub(crate) struct AskingHost<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) session: &'a Session,
    pub(crate) keys: Arc<Keys>,
    pub(crate) host: Host,
    /// What was read with the host about the user of the question: whether it may ask, and the record.
    user: RefCell<Option<(InScope, Row)>>,
}

impl<'a> AskingHost<'a> {
    /// The host with this key.
    pub(crate) fn of(fleet: &'a Fleet, session: &'a Session, key: Option<[u8; 32]>) -> Result<Self, Failure> {
        let key = key.ok_or_else(Failure::without_certificate)?;
        let keys = fleet.keys();
        let host = session.host(&keys, &key).map_err(|error| unanswered(fleet, &error))?;
        Self::active(fleet, session, host, None, keys)
    }

    /// The host with this key, which asks about a user.
    pub(crate) fn about_user(
        fleet: &'a Fleet,
        session: &'a Session,
        key: Option<[u8; 32]>,
        user: &User,
    ) -> Result<Self, Failure> {
        // A text that is no name is refused where the user is looked at, after the host.
        let Some(name) = UserName::parse(&user.name) else { return Self::of(fleet, session, key) };
        let key = key.ok_or_else(Failure::without_certificate)?;
        let keys = fleet.keys();
        let asking = session.host_asking(&keys, &key, name.as_str()).map_err(|error| unanswered(fleet, &error))?;
        let (host, user) = asking.map(|asking| (asking.host, (asking.listed, asking.row))).unzip();
        Self::active(fleet, session, host, user, keys)
    }

    fn active(
        fleet: &'a Fleet,
        session: &'a Session,
        host: Option<Host>,
        user: Option<(InScope, Row)>,
        keys: Arc<Keys>,
    ) -> Result<Self, Failure> {
        if let Some(Host { id, is_genuine: false, .. }) = &host {
            fleet.metrics.not_permitted.add();
            alarm(fleet, session, id, "the row of this host");
            let error = format!("the row of host {id} in the database was not written by a verifier");
            return Err(Failure::not_permitted(
                &error,
                "see: otp-verifier check; if the host is yours: otp-verifier host remove, and let it join again",
            ));
        }
        let host = host.filter(|host| host.is_active).ok_or_else(|| {
            fleet.metrics.not_permitted.add();
            Failure::not_permitted(
                "the fleet does not know this host, or it is suspended",
                "see: otp-verifier host list",
            )
        })?;
        Ok(Self { fleet, session, keys, host, user: RefCell::new(user) })
    }
}

impl AskingHost<'_> {
    pub(crate) fn may(&self, right: Right) -> Result<(), Failure> {
        self.may_one_of(&[right])
    }

    /// Whether the host has one of these rights.
    pub(crate) fn may_one_of(&self, rights: &[Right]) -> Result<(), Failure> {
        if rights.iter().any(|right| self.host.may(*right)) {
            return Ok(());
        }
        self.fleet.metrics.not_permitted.add();
        let Host { id, rights: present, .. } = &self.host;
        let wanted: Vec<_> = rights.iter().map(|right| right.word()).collect();
        let error = format!("host {id} does not have the right {}", wanted.join(" or "));
        let all = present.iter().chain(rights.first()).map(|right| right.word()).collect::<Vec<_>>().join(",");
        let hint = format!("if it is to have it, on a verifier: otp-verifier host rights {id} {all}");
        Err(Failure::not_permitted(&error, &hint))
    }

    /// Whether seeds may go to the host with this key. A row of the database is not enough for that: who writes there reads no seed.
    pub(crate) fn may_see_seeds(&self, key: Option<[u8; 32]>) -> Result<(), Failure> {
        let key = KeyName(key.ok_or_else(Failure::without_certificate)?);
        if self.fleet.exports_to(key) {
            return Ok(());
        }
        self.fleet.metrics.not_permitted.add();
        let error = format!("this verifier's configuration does not name the key of host {}", self.host.id);
        let hint = format!(
            "if seeds are to go there, in otp-verifier.toml of all verifiers, which read it within seconds: export_to = [\"{key}\"]"
        );
        Err(Failure::not_permitted(&error, &hint))
    }

    /// Whether the host may ask about the user of this name.
    pub(crate) fn listed(&self, name: &str) -> Result<InScope, StoreError> {
        self.session.is_in_scope(&self.keys, self.host.scope.as_deref(), name)
    }

    pub(crate) fn alarm_of_scope(&self) {
        alarm(self.fleet, self.session, &self.host.id, "a row of the scope of this host");
    }

    /// The user that a question is about, if this host may ask about that one.
    pub(crate) fn about<'a>(&'a self, place: Option<&'a Place>, user: &User) -> Result<Asking<'a>, Failure> {
        let name = UserName::parse(&user.name).ok_or_else(|| Failure::malformed("no user has such a name"))?;
        let account = of_no_host(name);
        let known = self.user.borrow().as_ref().map(|(listed, _)| Ok(*listed));
        let listed = known.unwrap_or_else(|| self.listed(account.name.as_str()));
        let listed = listed.map_err(|error| unanswered(self.fleet, &error))?;
        if listed == InScope::Altered {
            self.alarm_of_scope();
        }
        if listed != InScope::Yes {
            self.fleet.metrics.not_permitted.add();
            let error = format!("host {} may not ask about this user", self.host.id);
            return Err(Failure::not_permitted(&error, "see: otp-verifier host list"));
        }
        Ok(Asking {
            about: About {
                host: Some(&self.host.id),
                caller_uid: place.map(|place| place.by),
                service: place.map(|place| place.service.as_str()),
                rhost: place.and_then(|place| place.rhost.as_deref()),
            },
            account,
        })
    }

    pub(crate) fn store<'a>(&'a self, asking: &Asking<'a>) -> PgStore<'a> {
        let row = self.user.take().map(|(_, row)| row);
        PgStore::new(self.session, &self.keys, asking.about).having(row)
    }

    /// Whether the user of the question, who was read with the host, has a record. Asked before the record is.
    pub(crate) fn has_record(&self) -> bool {
        self.user.borrow().as_ref().is_some_and(|(_, row)| is_record(row))
    }

    /// The messages of one question.
    pub(crate) fn postbox<'a>(&'a self, asking: &'a Asking<'a>, id: RequestId, accepted: Kinds) -> Postbox<'a> {
        Postbox {
            fleet: self.fleet,
            session: self.session,
            keys: &self.keys,
            account: &asking.account,
            about: asking.about,
            note: self.origin(id).note("sent"),
            accepted,
            ready: RefCell::default(),
        }
    }

    pub(crate) fn origin(&self, id: RequestId) -> Origin<'_> {
        Origin { id: Some(id), host: Some(&self.host.id) }
    }

    /// What came of a write: this host may have been suspended since it was looked up.
    pub(crate) fn written<T>(
        &self,
        store: &PgStore<'_>,
        written: Result<T, impl Into<CoreError>>,
    ) -> Result<T, Failure> {
        if store.is_revoked() {
            self.fleet.metrics.not_permitted.add();
            let (error, hint) = ("this host was suspended in the meantime", "see: otp-verifier host list");
            return Err(Failure::not_permitted(error, hint));
        }
        written.map_err(|error| undecided(self.fleet, &error.into()))
    }

    /// Whether the host may ask about this user, who has a record: it asks about so many at a time.
    pub(crate) fn may_ask_about(&self, asking: &Asking<'_>, id: RequestId) -> Result<(), Failure> {
        let left = self.fleet.budgets.ask_about(&self.host.id, asking.account.name.as_str(), now());
        self.within(left, "it asks about too many users at a time", asking, id)
    }

    /// Whether the host may still send codes, of any user and of this one.
    pub(crate) fn may_send_codes(&self, asking: &Asking<'_>, id: RequestId) -> Result<(), Failure> {
        let (budgets, name) = (&self.fleet.budgets, asking.account.name.as_str());
        let left = budgets.send_codes(&self.host.id, now());
        self.within(left, "it has sent too many wrong codes", asking, id)?;
        let left = budgets.send_codes_for(&self.host.id, name, now());
        self.within(left, "it has sent too many wrong codes for this user", asking, id)
    }

    pub(crate) fn count_wrong(&self, asking: &Asking<'_>) {
        self.fleet.budgets.count_wrong(&self.host.id, asking.account.name.as_str(), now());
    }

    /// A budget that is used up is in the audit once, and answered without a commit.
    pub(crate) fn within(&self, left: Left, what: &str, asking: &Asking<'_>, id: RequestId) -> Result<(), Failure> {
        if left == Left::Some {
            return Ok(());
        }
        self.fleet.metrics.budgets_spent.add();
        if left == Left::UsedUpNow {
            log::warning(&format!("host {}: {what}", self.host.id));
            let noted = self.store(asking).only_note(&asking.account, &self.origin(id).note("alarm-budget-spent"));
            noted.map_err(|error| unanswered(self.fleet, &error))?;
        }
        Err(Failure::budget_spent(&format!("host {}: {what}", self.host.id)))
    }
}

pub(crate) fn undecided(fleet: &Fleet, error: &CoreError) -> Failure {
    if let CoreError::Store(error) = error {
        return unanswered(fleet, error);
    }
    log::error(&error.to_string());
    Failure::no_answer(&error.to_string())
}
