//! Rules that never match: what can never match is an error, what probably does not is a warning, and a user is compared by
//! the name that the name service has.

use pam_otp_tests::{
    conversation::Talk, name_service::NameService, outcome::Outcome, service::Service, site::Site, users::TestUser,
};
use serde_json::Value;

/// Knows the user `mona` by every spelling, as a client of Active Directory does.
const OF_A_DOMAIN: &str = r#"
#include <nss.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>

static enum nss_status mona(struct passwd *found, int *errnop) {
  static char name[] = "mona", none[] = "", home[] = "/", shell[] = "/bin/sh";
  memset(found, 0, sizeof *found);
  found->pw_name = name; found->pw_passwd = none; found->pw_gecos = none; found->pw_dir = home; found->pw_shell = shell;
  found->pw_uid = found->pw_gid = 61234;
  *errnop = 0;
  return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_NAME_getpwnam_r(const char *name, struct passwd *found, char *room, size_t size, int *errnop) {
  return strcasecmp(name, "mona") ? NSS_STATUS_NOTFOUND : mona(found, errnop);
}

enum nss_status _nss_NAME_getpwuid_r(uid_t uid, struct passwd *found, char *room, size_t size, int *errnop) {
  return uid == 61234 ? mona(found, errnop) : NSS_STATUS_NOTFOUND;
}
"#;

fn rule(conditions: &str) -> String {
    format!("[[policy.rule]]\n{conditions}\nsecond_factor = \"required\"\n")
}

#[test]
fn what_can_never_match_is_an_error_that_refuses_logins_too() {
    let site = Site::new("");
    let service = Service::private(&site.auth("required", ""));
    for (condition, key, wanted) in [
        ("service = \"XRDP-Sesman\"", "service", "in lower case"),
        ("service = \"sshd.service\"", "service", "of a PAM service, not of a unit of systemd: \"sshd\""),
        ("service = \"ssh*\"", "service", "patterns and lists are not read"),
        ("service = \"/etc/pam.d/sshd\"", "service", "not a path: \"sshd\""),
        ("service = \"sshd \"", "service", "without blanks at its ends"),
        ("service = \"\"", "service", "a name of 1 to 255 characters"),
        ("tty = \"pts/*\"", "tty", "patterns and lists are not read"),
        ("tty = \"/dev/\"", "tty", "the name of one terminal"),
        ("user = \"mona?\"", "user", "patterns and lists are not read"),
        ("group = \"[ab]\"", "group", "patterns and lists are not read"),
    ] {
        site.set(&rule(condition));
        let told = format!("{}:5: policy.rule.{key} must be ", site.config().display()); // the site's own keys come first
        let check = Outcome::of(site.admin_command().arg("check"), "");
        assert_eq!(check.code, Some(1), "{condition}: {check:?}");
        assert!(check.out.starts_with(&told) && check.out.contains(wanted), "{condition}: {check:?}");
        let said = Talk::new(&service, "root").run(&["000000"]);
        assert_eq!(said.result("authenticate"), "PAM_SERVICE_ERR", "{condition}");
    }
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let site = Site::new("");
    site.set(&(rule("service = \"SSHD\"") + &rule("tty = \"pts/*\"") + "[lockout]\nafter = 0\nunit = 30\n"));
    let check = Outcome::of(site.admin_command().args(["check", "--json"]), "");
    assert_eq!((check.code, check.json()[0]["faults"].as_array().map(Vec::len)), (Some(1), Some(4)), "{check:?}");
    let doctor = Outcome::of(site.admin_command().args(["doctor", "--json"]), "");
    let findings = doctor.json()[0]["findings"].as_array().cloned().unwrap_or_default();
    // Services of other tests have configurations of their own.
    let place = format!("{}:", site.config().display());
    let is_of_the_file = |finding: &&Value| finding["what"].as_str().is_some_and(|what| what.starts_with(&place));
    assert_eq!(findings.iter().filter(is_of_the_file).count(), 4, "{doctor:?}");
}

#[test]
fn a_service_that_no_pam_folder_has_is_a_warning() {
    let site = Site::new("");
    let (check, doctor) = (
        || Outcome::of(site.admin_command().args(["check", "--json"]), ""),
        || Outcome::of(site.admin_command().args(["doctor", "--json"]), "").out,
    );
    for (condition, expected, fix) in [
        ("service = \"ssh\"", "names the service ssh, which no PAM folder has", "write \"sshd\", if that is meant"),
        ("service = \"logn\"", "names the service logn, which no PAM folder has", "write \"login\", if that is meant"),
        (
            "service = \"nowhere\"",
            "names the service nowhere, which no PAM folder has",
            "as the program gives it to PAM",
        ),
        ("service = \"common-auth\"", "names common-auth, a part of PAM files", "a service that includes the file"),
        ("service = \"sshd\"\ntty = \"pts/0\"", "but sshd reports ssh at each login", "leave tty out"),
    ] {
        site.set(&rule(condition));
        let checked = check();
        let warnings = checked.json()[0]["warnings"].as_array().cloned().unwrap_or_default();
        let warning = warnings.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        assert_eq!((checked.code, warnings.len()), (Some(0), 1), "{condition}: {checked:?}");
        assert!(warning.contains(":4: policy.rule ") && warning.contains(expected), "{condition}: {warning}");
        assert!(warning.contains(fix), "{condition}: {warning}");
        assert!(doctor().contains(expected), "{condition}: {}", doctor());
    }
    site.set(&rule("service = \"login\""));
    assert_eq!(check().json()[0].get("warnings"), None);
    let explain = Outcome::of(site.admin_command().args(["explain", "--user", "root", "--service", "ssh"]), "");
    assert!(explain.out.ends_with("No PAM folder has the service ssh; is sshd meant?\n"), "{explain:?}");
    let explain = Outcome::of(site.admin_command().args(["explain", "--user", "root", "--service", "LOGIN"]), "");
    assert!(explain.out.contains("rule 1, "), "libpam writes it in lower case: {explain:?}");
}

#[test]
fn a_service_without_a_line_asks_nothing() {
    let (site, alice) = (Site::new("[policy]\nsecond_factor = \"required\"\n"), TestUser::new("alice"));
    let explain = |service: &str, json: bool| {
        let mut command = site.admin_command();
        command.args(["explain", &alice.name, "--service", service]).args(json.then_some("--json"));
        Outcome::of(&mut command, "")
    };
    let with = Service::installed("asks", &site.auth("required", ""));
    let without = Service::installed("asks-not", "@include common-auth\n");
    let refused = "asked for a code and refused: the user has no device\n";
    let said = explain(with.name(), false).out;
    assert!(said.ends_with(&format!("\nThe login is   {refused}")), "{said}");
    assert_eq!(explain(with.name(), true).json()[0]["has_line"], true);
    for (service, is_there) in [(without.name(), true), ("no-such-service", false)] {
        let said = explain(service, false).out;
        let told = format!(
            "\nThe login is   not asked for a code: the PAM files of {service} have no line of pam_otp.so\nWith a line    {refused}"
        );
        assert!(said.contains(&told), "{said}");
        assert_eq!(said.contains("No PAM folder has the service"), !is_there, "{said}");
        assert_eq!(explain(service, true).json()[0]["has_line"], false);
    }
}

#[test]
fn a_user_is_compared_by_the_name_that_the_name_service_has() {
    let names = NameService::new(OF_A_DOMAIN, "passwd: files SERVICE\ngroup: files");
    let site = Site::new(&rule("user = \"mona\""));
    let service = Service::private(&(site.auth("required", "") + "auth required pam_permit.so\n"));
    let login = |typed: &str| {
        let mut conversation = Talk::new(&service, typed).start_as(names.around(&Talk::new(&service, typed).command()));
        conversation.answer("000000");
        conversation.finish().result("authenticate").to_owned()
    };
    let admin = |arguments: &[&str]| Outcome::of(&mut names.around(site.admin_command().args(arguments)), "");
    let explain = |typed: &str| admin(&["explain", "--json", "--user", typed]).json().remove(0);
    for typed in ["mona", "MONA", "Mona"] {
        assert_eq!(login(typed), "PAM_AUTH_ERR", "{typed}: required, and there is no device");
        let said = explain(typed);
        assert_eq!((&said["user"], &said["decided_by"]), (&"mona".into(), &"rule-1".into()), "{said}");
    }
    assert_eq!(admin(&["check"]).code, Some(0), "{:?}", admin(&["check"]));

    site.set(&rule("user = \"MONA\""));
    assert_eq!(login("MONA"), "PAM_SUCCESS");
    let told = "names the user MONA, but the name service calls this user mona: the rule never matches; write mona";
    let checked = admin(&["check"]);
    assert_eq!(checked.code, Some(1), "{checked:?}");
    assert!(checked.out.contains(told), "{checked:?}");
    let doctor = admin(&["doctor", "--json"]);
    assert!(doctor.code == Some(1) && doctor.out.contains(told), "{doctor:?}");
}

#[test]
fn a_group_that_is_looked_up_before_root_is_told() {
    let site = Site::new("");
    let services = |line: &str| NameService::new("", &format!("passwd: files\n{line}"));
    let told = |names: &NameService| {
        let doctor = Outcome::of(&mut names.around(site.admin_command().args(["doctor", "--json"])), "");
        let findings = doctor.json()[0]["findings"].as_array().cloned().unwrap_or_default();
        let of_root =
            |finding: &&Value| finding["fix"].as_str().is_some_and(|fix| fix.starts_with("put a rule for root"));
        findings.iter().find(of_root).map(|finding| finding["severity"].as_str().unwrap_or_default().to_owned())
    };
    let (local, far) = (services("group: files systemd"), services("group: files sss"));
    let (root, group) = (rule("user = \"root\""), rule("group = \"root\""));
    site.set(&group);
    assert_eq!((told(&local).as_deref(), told(&far).as_deref()), (Some("note"), Some("warning")));
    site.set(&(root.clone() + &group));
    assert_eq!((told(&local), told(&far)), (None, None));
    site.set(&(group + &root));
    assert_eq!(told(&far).as_deref(), Some("warning"));
}
