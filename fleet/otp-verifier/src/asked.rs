//! One question of a host: may it be asked, and what is the answer. What an answer says is durable.

mod self_service;

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::codes::hotp_totp::Digits;
use otp_core::config::settings::Settings;
use otp_core::decision::kinds::Kinds;
use otp_core::decision::policy::{Policy, SecondFactor, Terms};
use otp_core::decision::verify::{Limits, Refusal, Verdict};
use otp_core::protocol::administration::Scope;
use otp_core::service::authority::Authority as _;
use otp_core::service::caller::Caller;
use otp_core::service::judged::{Bare, counted, judged};
use otp_core::service::local_authority::LocalAuthority;
use otp_core::store::Store as _;
use otp_core::store::note::Note;
use otp_core::value::login_context::LoginContext;
use otp_core::value::time::UnixTime;
use otp_wire::{
    AdminQuestion, AdoptQuestion, BareOf, CertificateQuestion, ChallengeAnswer, ChallengeQuestion, Hello, LetInAnswer,
    LetInQuestion, OutlineAnswer, OutlineOf, OutlineQuestion, OverrideOf, Place, PullQuestion, SelfQuestion, User,
    VerdictAnswer, VerifyQuestion, WithoutCode,
};

use crate::answered::{Answered, Failure, body, body_after, unanswered};
use crate::asking_host::{AskingHost, undecided};
use crate::budgets::now;
use crate::database::session::Session;
use crate::fleet::Fleet;
use crate::right::Right;
use crate::{administration, adoption, departure, joining};

/// A question.
pub(crate) enum Asked {
    Outline(OutlineQuestion),
    Challenge(ChallengeQuestion),
    Verify(VerifyQuestion),
    LetIn(LetInQuestion),
    /// Large beside the others.
    Own(Box<SelfQuestion>),
    Adopt(AdoptQuestion),
    WouldAdopt(AdoptQuestion),
    Admin(AdminQuestion),
    Pull(PullQuestion),
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
            Self::Own(question) => host()?.self_service(question),
            Self::Adopt(question) => {
                let host = host()?;
                host.may(Right::Import)?;
                adoption::adopt(question, &host)
            }
            Self::WouldAdopt(question) => {
                let host = host()?;
                host.may(Right::Import)?;
                adoption::would_adopt(question, &host)
            }
            Self::Admin(question) => {
                let host = host()?;
                host.may(Right::Admin)?;
                administration::administer(question, &host)
            }
            Self::Pull(question) => {
                let host = host()?;
                host.may(Right::Export)?;
                host.may_see_seeds(key)?;
                departure::pull(question, &host)
            }
            Self::Join(question) => joining::join(question, fleet, session),
            Self::Renew(question) => joining::renew(question, &host()?.host, fleet, session),
            Self::Hello => host()?.hello(),
        }
    }
}

impl AskingHost<'_> {
    fn hello(&self) -> Answered {
        if let Some(trouble) = self.fleet.trouble() {
            return Err(Failure::not_begun(&trouble));
        }
        let scope = match &self.host.scope {
            Some(name) => {
                let has_users = self.session.has_users(name).map_err(|error| unanswered(self.fleet, &error))?;
                Some(Scope { name: name.clone(), is_empty: !has_users })
            }
            None => None,
        };
        body(&Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: UnixTime::now().0,
            host: self.host.id.clone(),
            rights: self.host.rights.iter().map(|right| right.word().to_owned()).collect(),
            scope,
            sends: self.fleet.sends,
        })
    }

    fn outline(&self, question: &OutlineQuestion) -> Answered {
        // Self service asks what is required of a user.
        self.may_one_of(&[Right::Login, Right::Enroll])?;
        let asking = self.about(Some(&question.place), &question.user)?;
        let (enrolls, sends) = (self.host.may(Right::Enroll), self.fleet.sends);
        let record = self.store(&asking).read(&asking.account).map_err(|error| unanswered(self.fleet, &error))?;
        let Some(record) = record else {
            return body(&OutlineAnswer { id: question.id, record: None, enrolls, sends });
        };
        // Each user with a record counts.
        self.may_ask_about(&asking, question.id)?;
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
        body(&OutlineAnswer { id: question.id, record, enrolls, sends })
    }

    fn challenge(&self, question: &ChallengeQuestion) -> Answered {
        self.may(Right::Login)?;
        let asking = self.about(Some(&question.place), &question.user)?;
        if self.has_record() {
            self.may_ask_about(&asking, question.id)?;
        }
        let settings = accepting(&self.fleet.settings, question.accepted);
        let caller =
            Caller { uid: question.place.by, is_trusted: true, log: &|_| {}, origin: self.origin(question.id) };
        let postbox = self.postbox(&asking, question.id, question.accepted);
        let account = Some(asking.account.clone());
        let authority = LocalAuthority::on(self.store(&asking), &settings, &postbox, account, caller);
        let named: Option<Typed> = question.named.as_ref().map(|named| named.into_typed());
        // A host whose line does not send accepts no device to which codes are sent.
        let login = LoginContext { send: true, ..context(&question.place, false) };
        let challenge: Challenge =
            authority.challenge(&login, named.as_ref()).map_err(|error| undecided(self.fleet, &error))?;
        let answer = |challenge: &Challenge| ChallengeAnswer { id: question.id, challenge: challenge.words() };
        drop(authority);
        match postbox.ready.into_inner() {
            Some(ready) => body_after(ready, &answer(&challenge), &answer(&Challenge::NotSent)),
            None => body(&answer(&challenge)),
        }
    }

    fn verify(&self, question: &VerifyQuestion) -> Answered {
        self.may(Right::Login)?;
        let asking = self.about(Some(&question.place), &question.user)?;
        self.may_send_codes(&asking, question.id)?;
        let store = self.store(&asking);
        let settings = Settings { enforce: question.enforced, ..self.fleet.settings.clone() };
        let limits = Limits { devices: question.accepted, ..settings.limits };
        let (login, moment) = (context(&question.place, question.as_one), UnixTime::now());
        // Ordinary noise of the network: names that no user has, by the thousand. Beyond a number they cost no commit.
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
                if why.is_guess() && bare.is_none() {
                    self.count_wrong(&asking);
                } else if bare.is_none() {
                    // What is no code tells all the same who has a device.
                    self.may_ask_about(&asking, question.id)?;
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
