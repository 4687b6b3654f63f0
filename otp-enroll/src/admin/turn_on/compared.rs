//! What the drop-in of sshd makes of logins: it lets no user in with a password where only keys did before, and keeps none out
//! whose password was enough. A pure function.

use std::iter;

use super::drop_in;
use super::plan::refused;
use crate::admin::doctor::sshd::{SERVICE, Settings, asks_pam, methods};
use crate::admin::doctor::sshd_blocks::blocks;
use crate::admin::doctor::sshd_files::{CONFIGURATION, Line};
use crate::error::CliError;

/// `before` and `after` are the settings without Match blocks, `lines` those of the files that sshd reads.
pub(super) fn is_as_open(before: &Settings, after: &Settings, lines: &[Line], key: bool) -> Result<(), CliError> {
    let of_blocks = blocks(lines, before).into_iter().zip(blocks(lines, after));
    let of_blocks = of_blocks.map(|(before, after)| (Some(before.place), before.settings, after.settings));
    let all = iter::once((None, before.clone(), after.clone())).chain(of_blocks);
    for (block, before, after) in all {
        let place = block.as_ref().map_or_else(String::new, |place| format!(" in the Match block {place}"));
        if let Some(name) = after.get("pamservicename").filter(|name| *name != SERVICE) {
            return Err(refused(
                format!("sshd asks the PAM service {name}{place}, and not {SERVICE}: PAMServiceName"),
                format!("take that line out, or turn that service on: otp-enroll admin turn-on {name}"),
            ));
        }
        let (took, takes) = (takes_passwords(&before), takes_passwords(&after));
        // With a key and a code, each list is looked at by itself.
        if takes && !took && !key {
            let (by_hand, key) = if let Some(block) = &block {
                (format!("write KbdInteractiveAuthentication no into the Match block {block}, and run this again"), "")
            } else {
                let by_hand = format!(
                    "if users are to log in with password and code, too, write at the beginning of {CONFIGURATION}: \
                     KbdInteractiveAuthentication yes. Reload sshd, and run this again"
                );
                (by_hand, "for a key and a code: otp-enroll admin turn-on ssh --key; ")
            };
            return Err(refused(
                format!(
                    "sshd lets users in by key alone{place}, and {} would let them in with a password",
                    drop_in::FILE
                ),
                format!("{key}{by_hand}"),
            ));
        }
        if took && !takes && !key {
            return Err(refused(
                format!("sshd lets users in with a password{place}, and {} would let none in", drop_in::FILE),
                format!("set KbdInteractiveAuthentication yes{place}, and run this again"),
            ));
        }
        if methods(&after).is_empty() && !methods(&before).is_empty() {
            return Err(refused(
                format!("sshd would let no user log in{place}: each of its AuthenticationMethods is off"),
                format!("look at AuthenticationMethods{place}, and run this again"),
            ));
        }
    }
    let asked = |settings: &Settings| methods(settings).iter().flatten().any(|method| asks_pam(method));
    if !key && !asked(after) {
        let list = after.get("authenticationmethods").map_or("", String::as_str);
        return Err(refused(
            format!("sshd would ask no user for a code: AuthenticationMethods is {list}, which never asks PAM"),
            "take that line out, and for a key and a code run: otp-enroll admin turn-on ssh --key".into(),
        ));
    }
    Ok(())
}

/// Whether a password, without a key, is enough for sshd. keyboard-interactive needs PAM.
fn takes_passwords(settings: &Settings) -> bool {
    let uses_pam = settings.get("usepam").is_some_and(|value| value == "yes");
    let asks = |method: &String| asks_pam(method) && (uses_pam || method == "password");
    methods(settings).iter().any(|list| list.iter().all(asks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let all = format!("pubkeyauthentication yes usepam yes {text}");
        let words: Vec<&str> = all.split(' ').collect();
        words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].replace('+', " "))).collect()
    }

    /// Of a block with these lines, or of the settings alone. After: with the drop-in.
    fn told(before: &str, block: &[(&str, &str)]) -> Result<(), String> {
        let before = settings(before);
        let mut after = before.clone();
        after.insert("kbdinteractiveauthentication".into(), "yes".into());
        after.insert("passwordauthentication".into(), "no".into());
        after.insert("usepam".into(), "yes".into());
        let line = |keyword: &str, value: &str| Line {
            file: "/c".into(),
            number: 3,
            keyword: keyword.into(),
            values: value.split(' ').map(str::to_owned).collect(),
            block: Some(0),
        };
        let head = (!block.is_empty()).then(|| line("match", "Address 192.0.2.0/24"));
        let lines: Vec<Line> = head.into_iter().chain(block.iter().map(|(key, value)| line(key, value))).collect();
        is_as_open(&before, &after, &lines, false).map_err(|error| error.to_string())
    }

    const PASSWORDS: &str = "passwordauthentication yes kbdinteractiveauthentication no";
    const KEYS: &str = "passwordauthentication no kbdinteractiveauthentication no";

    #[test]
    fn what_was_by_key_alone_stays_so() {
        told(PASSWORDS, &[]).unwrap();
        told("passwordauthentication no kbdinteractiveauthentication yes", &[]).unwrap();
        for keys in [KEYS, "passwordauthentication no kbdinteractiveauthentication yes usepam no"] {
            let refused = told(keys, &[]).unwrap_err();
            assert!(refused.starts_with("sshd lets users in by key alone, and"), "{refused}");
        }
        let refused = told(PASSWORDS, &[("passwordauthentication", "no")]).unwrap_err();
        assert!(refused.starts_with("sshd lets users in by key alone in the Match block /c:3, and"), "{refused}");
        told(PASSWORDS, &[("passwordauthentication", "no"), ("kbdinteractiveauthentication", "no")]).unwrap();
        told(PASSWORDS, &[("authenticationmethods", "publickey")]).unwrap();
    }

    #[test]
    fn no_user_who_has_a_password_is_kept_out() {
        let refused = told(PASSWORDS, &[("kbdinteractiveauthentication", "no")]).unwrap_err();
        assert!(refused.contains("with a password in the Match block /c:3"), "{refused}");
        let refused = told(PASSWORDS, &[("authenticationmethods", "password")]).unwrap_err();
        assert!(refused.contains("with a password in the Match block /c:3"), "{refused}");
        let refused = told(PASSWORDS, &[("authenticationmethods", "publickey,password")]).unwrap_err();
        assert!(refused.contains("would let no user log in in the Match block"), "{refused}");
    }

    #[test]
    fn another_pam_service_is_named() {
        let refused = told(&format!("{PASSWORDS} pamservicename vpn"), &[]).unwrap_err();
        assert_eq!(refused, "sshd asks the PAM service vpn, and not sshd: PAMServiceName");
        told(&format!("{PASSWORDS} pamservicename sshd"), &[]).unwrap();
    }

    #[test]
    fn a_list_that_never_asks_pam_asks_for_no_code() {
        let refused = told(&format!("{PASSWORDS} authenticationmethods publickey"), &[]).unwrap_err();
        assert!(refused.contains("AuthenticationMethods is publickey, which never asks PAM"), "{refused}");
        told(&format!("{PASSWORDS} authenticationmethods publickey,keyboard-interactive:pam"), &[]).unwrap();
    }
}
