//! Which users a process may ask about. Of what a request says, only the user that it names counts here and, for a
//! service that is named in the configuration, the PAM service that it asks for.

use std::fmt;

use otp_core::config::agent_hosts::AgentHost;
use otp_core::config::budget::Budget;
use otp_core::error::CoreError;
use otp_core::system::accounts;
use otp_core::value::login_context::LoginContext;
use otp_core::value::user::Account;

/// Below this, accounts are the system's.
const FIRST_PERSON: u32 = 1000;

/// `nobody`, a system account above that.
const NOBODY: u32 = 65_534;

/// What an asker may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// Root asks: its login context is believed.
    Root,
    /// A user asks about themselves.
    Own,
    /// A service that is named in the configuration asks, and may send so many wrong codes.
    Host(Budget),
}

/// Why a question is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotPermitted {
    /// The asker is no service that is named.
    AboutOthers { asker: u32 },
    /// The service does not ask for one of its PAM services.
    ForService { host: String, service: String },
    /// The user is in no group of the service.
    AboutUser { host: String },
    /// It is a service's process, or another user's.
    ForOthers { asker: u32 },
}

impl fmt::Display for NotPermitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AboutOthers { asker } => write!(f, "uid {asker} may ask about no other user"),
            Self::ForService { host, service } => write!(f, "{host} may not ask for the PAM service {service:?}"),
            Self::AboutUser { host } => write!(f, "{host} may not ask about this user"),
            Self::ForOthers { asker } => write!(f, "uid {asker} may change devices of no other user"),
        }
    }
}

impl NotPermitted {
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::AboutOthers { .. } => "name the service's account in [[agent.host]]: see otp-agent(8)",
            Self::ForService { .. } => "add it to services in [[agent.host]]: see otp-agent(8)",
            Self::AboutUser { .. } => {
                "groups in [[agent.host]] has none of the user's groups, or the user is root or a system account and not in \
                 users: see otp-agent(8)"
            }
            Self::ForOthers { .. } => "users change their own devices, and root those of others: otp-enroll",
        }
    }
}

/// The permission of `asker` to ask about an account; `None` is an account that does not exist.
pub(crate) fn of(
    asker: u32,
    about: Option<&Account>,
    login: &LoginContext,
    hosts: &[AgentHost],
) -> Result<Result<Permission, NotPermitted>, CoreError> {
    if asker == 0 {
        return Ok(Ok(Permission::Root));
    }
    let asking = accounts::account_of(asker)?;
    // By name too: of several names with one number, the name service knows the first.
    if about.is_some() && about == asking.as_ref() {
        return Ok(Ok(Permission::Own));
    }
    let host = asking.and_then(|asking| hosts.iter().find(|host| host.user == asking.name.as_str()));
    let Some(host) = host else { return Ok(Err(NotPermitted::AboutOthers { asker })) };
    if !host.services.contains(&login.service) {
        let (host, service) = (host.user.clone(), login.service.clone());
        return Ok(Err(NotPermitted::ForService { host, service }));
    }
    let member = |account: &Account, group: &str| accounts::is_member(account, group);
    Ok(if may_ask(host, about, member)? {
        Ok(Permission::Host(host.wrong))
    } else {
        Err(NotPermitted::AboutUser { host: host.user.clone() })
    })
}

/// The permission of `asker` to enroll and change devices of an account: users do so for themselves, and root for others. A service
/// that is named in the configuration verifies codes of others, and does nothing else.
pub(crate) fn of_self_service(
    asker: u32,
    about: Option<&Account>,
) -> Result<Result<Permission, NotPermitted>, CoreError> {
    if asker == 0 {
        return Ok(Ok(Permission::Root));
    }
    let is_own = about.is_some() && about == accounts::account_of(asker)?.as_ref();
    Ok(if is_own { Ok(Permission::Own) } else { Err(NotPermitted::ForOthers { asker }) })
}

/// Whether a host may ask about an account. About one that does not exist it may if it may ask about all users: the answer
/// is then that for any user.
fn may_ask(
    host: &AgentHost,
    about: Option<&Account>,
    member: impl Fn(&Account, &str) -> Result<bool, CoreError>,
) -> Result<bool, CoreError> {
    let Some(account) = about else { return Ok(host.groups.is_empty()) };
    let is_named = host.users.iter().any(|name| name == account.name.as_str());
    let is_person = account.uid >= FIRST_PERSON && account.uid != NOBODY;
    if is_named || !is_person || host.groups.is_empty() {
        return Ok(is_named || is_person);
    }
    for group in &host.groups {
        if member(account, group)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use otp_core::value::time::Seconds;
    use otp_core::value::user::UserName;

    use super::*;

    fn account(name: &str, uid: u32) -> Account {
        Account { name: UserName::parse(name).unwrap(), uid, gid: uid }
    }

    fn host(groups: &[&str], users: &[&str]) -> AgentHost {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let wrong = Budget { most: 20, within: Seconds(600) };
        AgentHost {
            user: "freerad".into(),
            services: vec![],
            groups: names(groups),
            users: names(users),
            wrong,
            line: 1,
        }
    }

    #[test]
    fn a_host_asks_about_members_of_its_groups_and_never_about_root_unless_named() {
        let member = |account: &Account, group: &str| Ok(account.name.as_str() == "alice" && group == "vpn");
        let may = |host: &AgentHost, about: Option<&Account>| may_ask(host, about, member).unwrap();
        let (alice, bob, root, www, nobody) = (
            account("alice", 1000),
            account("bob", 1001),
            account("root", 0),
            account("www-data", 33),
            account("nobody", 65_534),
        );
        let all = host(&[], &[]);
        assert!(may(&all, Some(&alice)) && may(&all, Some(&bob)) && may(&all, None));
        assert!(!may(&all, Some(&root)) && !may(&all, Some(&www)) && !may(&all, Some(&nobody)));
        let vpn = host(&["staff", "vpn"], &[]);
        assert!(may(&vpn, Some(&alice)) && !may(&vpn, Some(&bob)) && !may(&vpn, None));
        assert!(!may(&vpn, Some(&root)));
        let named = host(&["vpn"], &["root", "bob"]);
        assert!(may(&named, Some(&root)) && may(&named, Some(&bob)) && !may(&named, Some(&www)));
        let failing = |_: &Account, _: &str| Err(CoreError::UnknownGroup("vpn".into()));
        assert!(may_ask(&vpn, Some(&alice), failing).is_err(), "a look-up that was not answered is no answer");
    }

    #[test]
    fn root_asks_about_all_and_a_stranger_about_nobody() {
        let login = LoginContext::default();
        let of = |asker, about: Option<&Account>| of(asker, about, &login, &[]).unwrap();
        assert_eq!(of(0, None), Ok(Permission::Root));
        let root = accounts::account("root").unwrap();
        assert_eq!(of(0, root.as_ref()), Ok(Permission::Root));
        let asker = 4_000_000_000;
        assert_eq!(of(asker, root.as_ref()), Err(NotPermitted::AboutOthers { asker }));
        assert_eq!(of(asker, None), Err(NotPermitted::AboutOthers { asker }));
    }
}
