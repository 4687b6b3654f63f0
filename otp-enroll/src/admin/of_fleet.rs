//! Users whose record the fleet keeps: their orders go to a verifier by way of the agent, and what is about this host alone is said.

use otp_core::codes::attempt::Typed;
use otp_core::codes::challenge::Challenge;
use otp_core::config::Keeper;
use otp_core::decision::demand::Demand;
use otp_core::decision::verify::Verdict;
use otp_core::error::{CoreError, HelperError};
use otp_core::protocol::administration::{Administration, Answer, Answered, Asked, Listed, Refused, UserOrder};
use otp_core::protocol::request::{Declined, Reply, Request};
use otp_core::service::agent_administration::ask;
use otp_core::service::authority::Authority;
use otp_core::system::config_file::Site;
use otp_core::value::login_context::LoginContext;
use otp_core::value::user::{Account, UserName};

use crate::cli::Admin;
use crate::client::{Client, account};
use crate::error::CliError;
use crate::ui::output::Output;

/// An administrator's authority over one user of the fleet.
struct OfFleet {
    user: String,
}

/// An administrator's client about an account: the fleet's record, or that of this host.
pub(super) fn client(site: &Site, account: Account) -> Client<'_> {
    let user = account.name.as_str();
    if site.config.is_of_fleet(user) {
        Client::by(Box::new(OfFleet { user: user.to_owned() }))
    } else {
        Client::of_root(site, account)
    }
}

/// The account of a name, or that of a user of the fleet who has no account here any more.
pub(super) fn account_or_name(site: &Site, user: &str) -> Result<Account, CliError> {
    match (account(user), UserName::parse(user)) {
        (Err(CliError::NoSuchUser(_)), Some(name)) if site.config.is_of_fleet(user) => {
            Ok(Account { name, ..Account::nobody() })
        }
        (found, _) => found,
    }
}

impl Authority for OfFleet {
    fn demand(&self, _: &LoginContext) -> Result<Demand, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn challenge(&self, _: &LoginContext, _: Option<&Typed>) -> Result<Challenge, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn verify(&self, _: &LoginContext, _: &Typed) -> Result<Verdict, CoreError> {
        Err(CoreError::NoEnrollmentHere)
    }

    fn request(&mut self, request: Request) -> Result<Reply, CoreError> {
        let Some(order) = UserOrder::of(request) else { return Ok(Reply::Declined(Declined::NotPermitted)) };
        match ask(Asked::Administer(Box::new(Administration::User { name: self.user.clone(), order })))? {
            Answered::Verifier(Answer::Reply(reply)) => Ok(*reply),
            Answered::Failed { error, hint } | Answered::NotJoined { error, hint } => Ok(Reply::Failed { error, hint }),
            // No answer, where a failure is one: whether the order was carried out is not known.
            Answered::Lost { error } => Err(CoreError::Agent(HelperError::Reports {
                error: format!("the order was sent, and no answer came: {error}"),
                hint: format!(
                    "it may be done: look with `otp-enroll admin show {}` before you give it again",
                    self.user
                ),
            })),
            Answered::Verifier(Answer::Users(_) | Answer::NoHost {} | Answer::Refusals(_) | Answer::Renamed(_))
            | Answered::Status(_)
            | Answered::Record { .. }
            | Answered::WouldAdopt(_)
            | Answered::Present {}
            | Answered::Forgotten(_) => Err(unintelligible()),
        }
    }
}

pub(super) fn unintelligible() -> CoreError {
    CoreError::Agent(HelperError::Unintelligible)
}

/// All users of the fleet with a record, or those who are locked by wrong codes of one host; a page at a time.
pub(super) fn each(
    locked_by: Option<&str>,
    mut act: impl FnMut(Listed) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut after = None;
    loop {
        let users = Administration::Users { after, locked_by: locked_by.map(str::to_owned) };
        let page = match asked(users)? {
            Answer::Users(page) => page,
            Answer::NoHost {} => {
                return Err(CliError::Reported {
                    error: format!(
                        "the fleet has no host {}, and none of that name has sent wrong codes",
                        locked_by.unwrap_or_default()
                    ),
                    hint: "names of hosts, on a verifier: otp-verifier host list".into(),
                });
            }
            Answer::Reply(_) | Answer::Refusals(_) | Answer::Renamed(_) => return Err(unintelligible().into()),
        };
        page.users.into_iter().try_for_each(&mut act)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// The last refusals of a user of the fleet, on all hosts.
pub(super) fn refusals(user: &str) -> Result<Vec<Refused>, CliError> {
    match asked(Administration::Refusals { name: user.to_owned() })? {
        Answer::Refusals(refusals) => Ok(refusals),
        Answer::Users(_) | Answer::Reply(_) | Answer::NoHost {} | Answer::Renamed(_) => Err(unintelligible().into()),
    }
}

/// What a verifier answers to a look, or to what may be done twice.
pub(super) fn asked(administration: Administration) -> Result<Answer, CliError> {
    match ask(Asked::Administer(Box::new(administration)))? {
        Answered::Verifier(answer) => Ok(answer),
        Answered::Failed { error, hint } | Answered::NotJoined { error, hint } => {
            Err(CliError::Reported { error, hint })
        }
        Answered::Present {}
        | Answered::Status(_)
        | Answered::Record { .. }
        | Answered::WouldAdopt(_)
        | Answered::Forgotten(_)
        | Answered::Lost { .. } => Err(unintelligible().into()),
    }
}

/// What is said of a command that is about the files of this host alone; all others go where the records of their users are.
fn of_host_alone(command: &Admin) -> Option<&'static str> {
    match command {
        Admin::Export(how) if how.takes_all() => Some(
            "This is about the records of this host alone, of users in local; a backup of the fleet is one of its database",
        ),
        Admin::Import(_) => {
            Some("What is imported stays on this host, and lets nobody in, until: otp-enroll admin fleet push")
        }
        Admin::Restored { .. } => {
            Some("This is about the records of this host alone; on a verifier: otp-verifier restored")
        }
        Admin::Seal(_) => Some("This is about the records of this host alone; on a verifier: otp-verifier reseal"),
        Admin::Purge { .. } => {
            Some("This is about the records of this host alone; for others: otp-enroll admin disable USER")
        }
        Admin::List { .. }
        | Admin::Report { .. }
        | Admin::EndSessions { .. }
        | Admin::Explain { .. }
        | Admin::Require { .. }
        | Admin::Exempt { .. }
        | Admin::Unrequire { .. }
        | Admin::ForgetAddresses { .. }
        | Admin::Show { .. }
        | Admin::Unlock { .. }
        | Admin::Add { .. }
        | Admin::Remove { .. }
        | Admin::Resync { .. }
        | Admin::Issue { .. }
        | Admin::Rename { .. }
        | Admin::Adopt { .. }
        | Admin::BreakGlass { .. }
        | Admin::Revoke { .. }
        | Admin::Reset { .. }
        | Admin::Disable { .. }
        | Admin::Fleet { .. }
        | Admin::ReadAsUser { .. }
        | Admin::Tokens { .. }
        | Admin::Assign { .. }
        | Admin::Export(_)
        | Admin::InitStore { .. }
        | Admin::TurnOn { .. }
        | Admin::TurnOff { .. }
        | Admin::Refusals { .. }
        | Admin::Check
        | Admin::Doctor { .. } => None,
    }
}

/// In a fleet, warns of a command that is about the files of this host alone; elsewhere, refuses one that is about a fleet.
pub(super) fn check(command: &Admin, site: &Site, output: &Output) -> Result<(), CliError> {
    if site.config.authority != Keeper::Fleet {
        return if let Admin::Unlock { locked_by: Some(_), .. } = command {
            Err(CliError::Reported {
                error: "this host keeps the records of its users itself: no other host can lock them".into(),
                hint: "name the users: otp-enroll admin unlock USER".into(),
            })
        } else {
            Ok(())
        };
    }
    if let Some(text) = of_host_alone(command) {
        output.warn(text);
    }
    Ok(())
}

/// Whether a command changes records of this host, where it would without a fleet.
pub(super) fn touches_host(command: &Admin, site: &Site) -> bool {
    let any_here = |users: &[String]| users.iter().any(|user| !site.config.is_of_fleet(user));
    if let Admin::Require { who, .. } | Admin::Exempt { who, .. } | Admin::Unrequire { who, .. } = command {
        who.users.is_empty() || any_here(&who.users)
    } else if let Admin::Unlock { users, .. }
    | Admin::Revoke { users }
    | Admin::Reset { users, .. }
    | Admin::Disable { users, .. } = command
    {
        any_here(users)
    } else if let Admin::Add { user, .. }
    | Admin::Remove { user, .. }
    | Admin::Resync { user, .. }
    | Admin::Issue { user, .. } = command
    {
        !site.config.is_of_fleet(user)
    } else {
        true
    }
}
