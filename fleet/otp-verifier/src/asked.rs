//! One question of a host: may it be asked, and what is the answer. What an answer says is durable.

use std::cell::RefCell;
use std::sync::Arc;

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::codes::hotp_totp::Digits;
use otp_core::config::settings::Settings;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{Policy, SecondFactor, Terms};
use otp_core::decision::verify::{Limits, Refusal, Verdict};
use otp_core::error::CoreError;
use otp_core::service::authority::Authority as _;
use otp_core::service::caller::Caller;
use otp_core::service::judged::{Bare, counted, judged};
use otp_core::service::local_authority::LocalAuthority;
use otp_core::service::messenger::NoMessenger;
use otp_core::store::Store;
use otp_core::store::error::StoreError;
use otp_core::store::note::{Note, Origin};
use otp_core::value::login_context::LoginContext;
use otp_core::value::request_id::RequestId;
use otp_core::value::time::UnixTime;
use otp_core::value::user::UserName;
use otp_wire::{
    AdoptQuestion, BareOf, CertificateQuestion, ChallengeAnswer, ChallengeQuestion, Hello, LetInAnswer, LetInQuestion,
    OutlineAnswer, OutlineOf, OutlineQuestion, OverrideOf, Place, User, VerdictAnswer, VerifyQuestion, WithoutCode,
};

use tokio_postgres::Row;

use crate::answered::{Answered, Asking, Failure, body, of_no_host, unanswered};
use crate::budgets::{Left, now};
use crate::database::hosts::{Host, Right};
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::keys::Keys;
use crate::log;
use crate::store::{About, PgStore};
use crate::{adoption, joining};

/// A question.
pub(crate) enum Asked {
    Outline(OutlineQuestion),
    Challenge(ChallengeQuestion),
    Verify(VerifyQuestion),
    LetIn(LetInQuestion),
    Adopt(AdoptQuestion),
    Join(CertificateQuestion),
    Renew(CertificateQuestion),
    Hello,
}

impl Asked {
    /// Answers for the host with this key.
    pub(crate) fn answer(&self, fleet: &Fleet, session: &Session, key: Option<[u8; 32]>) -> Answered {
        let host = || AskingHost::of(fleet, session, key);
        let about = |user: &User| AskingHost::about_user(fleet, session, key, user);
        match self {
            Self::Outline(question) => about(&question.user)?.outline(question),
            Self::Challenge(question) => about(&question.user)?.challenge(question),
            Self::Verify(question) => about(&question.user)?.verify(question),
            Self::LetIn(question) => host()?.let_in(question),
            Self::Adopt(question) => {
                let host = host()?;
                host.may(Right::Import)?;
                adoption::adopt(question, &host.about(None, &question.user)?, fleet, session)
            }
            Self::Join(question) => joining::join(question, fleet, session),
            Self::Renew(question) => joining::renew(question, &host()?.host, fleet, session),
            Self::Hello => host()?.hello(),
        }
    }
}

/// A host that may ask.
struct AskingHost<'a> {
    fleet: &'a Fleet,
    session: &'a Session,
    keys: Arc<Keys>,
    host: Host,
    /// What was read with the host about the user of the question: whether it may ask, and the record.
    user: RefCell<Option<(bool, Row)>>,
}

impl<'a> AskingHost<'a> {
    /// The host with this key.
    fn of(fleet: &'a Fleet, session: &'a Session, key: Option<[u8; 32]>) -> Result<Self, Failure> {
        let key = key.ok_or_else(Failure::without_certificate)?;
        let host = session.host(&key).map_err(|error| unanswered(fleet, &error))?;
        Self::active(fleet, session, host, None)
    }

    /// The host with this key, which asks about a user.
    fn about_user(fleet: &'a Fleet, session: &'a Session, key: Option<[u8; 32]>, user: &User) -> Result<Self, Failure> {
        // A text that is no name is refused where the user is looked at, after the host.
        let Some(name) = UserName::parse(&user.name) else { return Self::of(fleet, session, key) };
        let key = key.ok_or_else(Failure::without_certificate)?;
        let asking = session.host_asking(&key, name.as_str()).map_err(|error| unanswered(fleet, &error))?;
        let (host, user) = asking.map(|asking| (asking.host, (asking.is_in_scope, asking.row))).unzip();
        Self::active(fleet, session, host, user)
    }

    fn active(
        fleet: &'a Fleet,
        session: &'a Session,
        host: Option<Host>,
        user: Option<(bool, Row)>,
    ) -> Result<Self, Failure> {
        let host = host.filter(|host| host.is_active).ok_or_else(|| {
            fleet.metrics.not_permitted.add();
            Failure::not_permitted(
                "the fleet does not know this host, or it is suspended",
                "see: otp-verifier host list",
            )
        })?;
        Ok(Self { fleet, session, keys: fleet.keys(), host, user: RefCell::new(user) })
    }
}

impl AskingHost<'_> {
    fn hello(&self) -> Answered {
        body(&Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: UnixTime::now().0,
            host: self.host.id.clone(),
            rights: self.host.rights.iter().map(|right| right.word().to_owned()).collect(),
        })
    }

    fn may(&self, right: Right) -> Result<(), Failure> {
        if self.host.may(right) {
            return Ok(());
        }
        self.fleet.metrics.not_permitted.add();
        let error = format!("host {} does not have the right {}", self.host.id, right.word());
        Err(Failure::not_permitted(&error, "see: otp-verifier host list"))
    }

    /// The user that a question is about, if this host may ask about that one.
    fn about<'a>(&'a self, place: Option<&'a Place>, user: &User) -> Result<Asking<'a>, Failure> {
        let name = UserName::parse(&user.name).ok_or_else(|| Failure::malformed("no user has such a name"))?;
        let account = of_no_host(name);
        let known = self.user.borrow().as_ref().map(|(is_in_scope, _)| Ok(*is_in_scope));
        let is_in_scope = known.unwrap_or_else(|| self.session.is_in_scope(&self.host, account.name.as_str()));
        if !is_in_scope.map_err(|error| unanswered(self.fleet, &error))? {
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

    fn store<'a>(&'a self, asking: &Asking<'a>) -> PgStore<'a> {
        let row = self.user.take().map(|(_, row)| row);
        PgStore::new(self.session, &self.keys, asking.about).having(row)
    }

    fn origin(&self, id: RequestId) -> Origin<'_> {
        Origin { id: Some(id), host: Some(&self.host.id) }
    }

    /// What came of a write: this host may have been suspended since it was looked up.
    fn written<T>(&self, store: &PgStore<'_>, written: Result<T, StoreError>) -> Result<T, Failure> {
        if store.is_revoked() {
            self.fleet.metrics.not_permitted.add();
            let (error, hint) = ("this host was suspended in the meantime", "see: otp-verifier host list");
            return Err(Failure::not_permitted(error, hint));
        }
        written.map_err(|error| unanswered(self.fleet, &error))
    }

    /// A budget that is used up is in the audit once, and answered without a commit.
    fn within(&self, left: Left, what: &str, asking: &Asking<'_>, id: RequestId) -> Result<(), Failure> {
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

    fn outline(&self, question: &OutlineQuestion) -> Answered {
        self.may(Right::Login)?;
        let asking = self.about(Some(&question.place), &question.user)?;
        let record = self.store(&asking).read(&asking.account).map_err(|error| unanswered(self.fleet, &error))?;
        let Some(record) = record else { return body(&OutlineAnswer { id: question.id, record: None }) };
        // Each user with a record counts.
        let left = self.fleet.budgets.ask_about(&self.host.id, asking.account.name.as_str(), now());
        self.within(left, "it asks about too many users at a time", &asking, question.id)?;
        let (credentials, outline) = (&record.credentials, record.credentials.outline());
        let place = context(&question.place, false).address().zip(self.fleet.settings.grace);
        let remembered = place.and_then(|(address, length)| record.remembered(address, length, UnixTime::now()));
        let record = Some(OutlineOf {
            user_override: OverrideOf::of(outline.user_override),
            devices: outline.devices,
            kinds: Some(credentials.kinds()).filter(|kinds| *kinds != Kinds::NONE),
            digits: outline.digits.map(Digits::get),
            challenge: outline.challenge,
            passcode: outline.passcode,
            remembered: remembered.is_some(),
        });
        body(&OutlineAnswer { id: question.id, record })
    }

    fn challenge(&self, question: &ChallengeQuestion) -> Answered {
        self.may(Right::Login)?;
        let asking = self.about(Some(&question.place), &question.user)?;
        let settings = accepting(&self.fleet.settings, question.accepted);
        let caller =
            Caller { uid: question.place.by, is_trusted: true, log: &|_| {}, origin: self.origin(question.id) };
        let account = Some(asking.account.clone());
        let authority = LocalAuthority::on(self.store(&asking), &settings, &NoMessenger, account, caller);
        let named: Option<Typed> = question.named.as_ref().map(|named| named.into_typed());
        let challenge: Challenge = authority
            .challenge(&context(&question.place, false), named.as_ref())
            .map_err(|error| undecided(self.fleet, &error))?;
        body(&ChallengeAnswer { id: question.id, challenge: challenge.words() })
    }

    fn verify(&self, question: &VerifyQuestion) -> Answered {
        self.may(Right::Login)?;
        let asking = self.about(Some(&question.place), &question.user)?;
        let (budgets, name) = (&self.fleet.budgets, asking.account.name.as_str());
        let left = budgets.send_codes(&self.host.id, now());
        self.within(left, "it has sent too many wrong codes", &asking, question.id)?;
        let left = budgets.send_codes_for(&self.host.id, name, now());
        self.within(left, "it has sent too many wrong codes for this user", &asking, question.id)?;
        let store = self.store(&asking);
        let settings = Settings { enforce: question.enforced, ..self.fleet.settings.clone() };
        let limits = Limits { devices: question.accepted, ..settings.limits };
        let (login, moment) = (context(&question.place, question.as_one), UnixTime::now());
        // Ordinary noise of the network: names that nobody has, by the thousand. Beyond a number they cost no commit.
        if self.fleet.budgets.has_asked_for_strangers(&self.host.id, now()) {
            let outline = store.outline(&asking.account).map_err(|error| unanswered(self.fleet, &error))?;
            if outline.is_none() {
                self.fleet.metrics.refused.add();
                return body(&VerdictAnswer {
                    id: question.id,
                    verdict: Verdict::Refused(Refusal::NotEnrolled).words(),
                    bare: Some(BareOf { user_override: None, is_blank: true, expired_passcode: false }),
                });
            }
        }
        let note: Note<'_> = self.origin(question.id).note("login");
        let judged = judged(
            &store,
            Some(&asking.account),
            &limits,
            &question.typed.into_typed(),
            &note,
            moment,
            &|limits, record, attempt| counted(&settings, true, &login, moment, limits, record, attempt),
        );
        let (verdict, bare) = self.written(&store, judged)?;
        if bare.is_some_and(|bare| bare.is_blank) {
            self.fleet.budgets.count_stranger(&self.host.id, now());
        }
        match verdict {
            Verdict::Accepted(_) => self.fleet.metrics.accepted.add(),
            Verdict::Refused(why) => {
                self.fleet.metrics.refused.add();
                // As with locks, a recovery code is none: it cannot be guessed. What is typed for names without a record neither.
                if matches!(why, Refusal::Wrong { .. }) && bare.is_none() {
                    budgets.count_wrong(&self.host.id, name, now());
                }
            }
        }
        body(&VerdictAnswer { id: question.id, verdict: verdict.words(), bare: bare.map(bare_of) })
    }

    fn let_in(&self, question: &LetInQuestion) -> Answered {
        self.may(Right::Login)?;
        let asking = self.about(Some(&question.place), &question.user)?;
        let event = match question.why {
            WithoutCode::NothingAsked => "let-in-nothing-asked",
            WithoutCode::Remembered => "let-in-remembered",
        };
        let store = self.store(&asking);
        let noted = store.note_let_in(&asking.account, &self.origin(question.id).note(event));
        self.written(&store, noted)?;
        self.fleet.metrics.let_in_without_code.add();
        body(&LetInAnswer { id: question.id })
    }
}

/// The verifier's settings with a policy that accepts what the host's policy does.
fn accepting(settings: &Settings, accepted: Kinds) -> Settings {
    let terms = Terms { second_factor: SecondFactor::Required, devices: accepted, ..Terms::default() };
    Settings { policy: Policy { terms, rules: Vec::new() }, ..settings.clone() }
}

fn context(place: &Place, as_one: bool) -> LoginContext {
    LoginContext {
        service: place.service.clone(),
        rhost: place.rhost.clone(),
        tty: place.tty.clone(),
        as_one,
        ..LoginContext::default()
    }
}

fn bare_of(bare: Bare) -> BareOf {
    BareOf {
        user_override: OverrideOf::of(bare.user_override),
        is_blank: bare.is_blank,
        expired_passcode: bare.has_expired_passcode,
    }
}

fn undecided(fleet: &Fleet, error: &CoreError) -> Failure {
    if let CoreError::Store(error) = error {
        return unanswered(fleet, error);
    }
    log::error(&error.to_string());
    Failure::no_answer(&error.to_string())
}
