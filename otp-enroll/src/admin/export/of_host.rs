//! Where a fleet keeps records, those of this host alone are exported: of the users in `local`. What else is here was not given to
//! the fleet yet, and would be good twice.

use otp_core::config::{Config, Keeper};
use otp_core::value::user::UserName;

use crate::error::CliError;

/// The stems of records that are this host's.
pub(super) fn stems(config: &Config, all: Vec<String>) -> Vec<String> {
    if config.authority != Keeper::Fleet {
        return all;
    }
    let local: Vec<_> =
        config.local.iter().filter_map(|name| UserName::parse(name)).map(|name| name.file_stem()).collect();
    all.into_iter().filter(|stem| local.contains(stem)).collect()
}

/// Refuses a user whose record is the fleet's.
pub(super) fn keeps(config: &Config, user: &str) -> Result<(), CliError> {
    if !config.is_of_fleet(user) {
        return Ok(());
    }
    Err(CliError::Reported {
        error: format!("the fleet keeps the record of {user}"),
        hint: format!(
            "a backup of the fleet is one of its database: see docs/fleet.md; to take {user} out of the fleet: \
             `otp-enroll admin fleet pull {user}`, enter {user} in local in pam_otp.toml, and export then"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(Path::new("f"), text).unwrap()
    }

    fn all() -> Vec<String> {
        ["alice", "root", "a%20b"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_host_of_a_fleet_exports_the_records_of_its_own_users() {
        let fleet = config("authority = \"fleet\"\nlocal = [\"root\", \"a b\", \"bob\"]\n");
        assert_eq!(stems(&fleet, all()), ["root", "a%20b"]);
        assert!(keeps(&fleet, "root").is_ok());
        let refused = keeps(&fleet, "alice").unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.exit_code()), ("the fleet keeps the record of alice", 4));
        assert!(refused.hint().unwrap().contains("`otp-enroll admin fleet pull alice`, enter alice in local"));
    }

    #[test]
    fn without_a_fleet_all_records_are_this_hosts() {
        // What `local` says has no meaning then.
        for text in ["", "local = [\"root\"]\n"] {
            assert_eq!(stems(&config(text), all()), all());
            assert!(keeps(&config(text), "alice").is_ok());
        }
    }
}
