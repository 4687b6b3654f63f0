//! Methods of sshd that never ask PAM, such as a key alone: policy is not asked either.

use super::finding::{Finding, some};
use super::sshd::{self, SERVICE, SettingsOfLogins};

/// `generic`: such methods, for a generic user. `demanded`: users who must give a second factor by policy, and an address from
/// which they must.
pub(super) fn look_at(
    generic: &[String],
    demanded: &[(String, String)],
    mut settings: SettingsOfLogins<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut methods = generic.to_vec();
    let mut let_in: Vec<String> = Vec::new();
    for (user, address) in demanded {
        let Some(settings) = settings.for_login(user, address) else { continue };
        let permitted = settings.get("permitrootlogin").map_or("", String::as_str);
        let uses_pam = settings.get("usepam").is_some_and(|value| value == "yes");
        let of_user = sshd::without_code(&sshd::methods(&settings));
        // Without PAM there is a fault, and of root one more finding tells.
        if of_user.is_empty() || !uses_pam || (user == "root" && permitted == "no") {
            continue;
        }
        methods.extend(of_user.into_iter().filter(|of_user| !generic.contains(of_user)));
        let_in.push(user.clone());
    }
    methods.dedup();
    findings.extend(finding(&methods, &let_in));
}

/// What is found where these methods are enough, and of these users more is demanded.
pub(super) fn finding(methods: &[String], let_in: &[String]) -> Option<Finding> {
    if methods.is_empty() {
        return None;
    }
    let fix = format!("if this is not intended: {}", sshd::KEY_AND_CODE);
    let methods = methods.join(" or ");
    Some(if let_in.is_empty() {
        Finding::note(SERVICE, format!("{methods} logs users in without a code: sshd does not ask PAM then"), &fix)
    } else {
        Finding::warning(
            SERVICE,
            format!(
                "{methods} logs users in without a code, and policy demands a second factor of {}: sshd does not ask PAM then",
                some(let_in)
            ),
            &fix,
        )
    })
}
