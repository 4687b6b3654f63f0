//! Which rule decides about a login, and what that login would look like: asked of the function that the module asks.

use otp_core::authority::{Demand, LocalAuthority};
use otp_core::policy::{Place, Source};
use otp_core::site::Site;
use otp_core::time::UnixTime;
use otp_core::user::Account;
use serde::Serialize;

use crate::problem::Problem;
use crate::say::Voice;

/// The answer, for a script.
#[derive(Serialize)]
struct Explained<'a> {
    user: &'a str,
    service: &'a str,
    rhost: Option<&'a str>,
    tty: Option<&'a str>,
    decided_by: String,
    line: Option<usize>,
    second_factor: &'a str,
    required_from: Option<String>,
    has_device: bool,
    outcome: &'a str,
    enforced: bool,
}

/// Says what would happen.
pub(super) fn explain(site: &Site, account: &Account, place: &Place, voice: &Voice) -> Result<(), Problem> {
    let (authority, now) = (LocalAuthority::for_account(site, account.clone())?, UnixTime::now());
    let ruling = authority.ruling(place, now)?;
    let has_device = authority.has_device()?;
    let outcome = match authority.demand(place, now)? {
        Demand::Nothing(_) => "not asked for a code",
        Demand::Remembered => "let in without being asked: a code was given from this address a while ago",
        Demand::SetUp(_) => "led through set-up during the login",
        Demand::Code if has_device => "asked for a code",
        Demand::Code => "asked for a code, and refused: there is no device",
    };
    let line = match ruling.source {
        Source::Rule(number) => number.checked_sub(1).and_then(|place| site.config.policy.rules.get(place)),
        Source::Personal | Source::Nullok | Source::Default => None,
    };
    let line = line.map(|rule| rule.line);
    let explained = Explained {
        user: account.name.as_str(),
        service: &place.service,
        rhost: place.rhost.as_deref(),
        tty: place.tty.as_deref(),
        decided_by: ruling.source.to_string(),
        line,
        second_factor: ruling.second_factor.name(),
        required_from: ruling.required_from.map(|from| from.day()),
        has_device,
        outcome,
        enforced: site.config.enforce,
    };
    voice.result(&explained, || text(site, &explained, ruling.source))
}

fn text(site: &Site, explained: &Explained<'_>, source: Source) -> String {
    let file = site.path.display();
    let decided = match (source, explained.line) {
        (Source::Personal, _) => "what was required of this user alone".to_owned(),
        (Source::Nullok, _) => "nullok in the PAM file".to_owned(),
        (Source::Rule(number), Some(line)) => format!("rule {number}, {file}:{line}"),
        (Source::Rule(number), None) => format!("rule {number}, {file}"),
        (Source::Default, _) => format!("policy.second_factor in {file}: no rule matches"),
    };
    let mut lines = vec![
        format!("User           {}", explained.user),
        format!("Device         {}", if explained.has_device { "yes" } else { "none" }),
        format!("Decided by     {decided}"),
        format!("Second factor  {}", explained.second_factor),
    ];
    lines.extend(explained.required_from.as_ref().map(|from| format!("Required from  {from}")));
    lines.push(format!("The login is   {}", explained.outcome));
    if !explained.enforced {
        lines.push("               (enforce = false: whatever comes of it, nobody is refused)".to_owned());
    }
    lines.join("\n")
}
