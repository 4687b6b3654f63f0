//! A rule with a group when a service of the name service fails: its silence is not a "no".
//!
//! The service is one of our own, in C, in an /etc of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    conversation::{Talk, Transcript},
    machine,
    name_service::NameService,
    service::Service,
    set_user_id::SetUserId,
    site::Site,
    syslog,
    users::{TestUser, new_group},
};
use std::{fs, process::Command};

/// Answers what the file /etc/nss-test says: the status of `initgroups`, and which group the user is in.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <nss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int told(char *word, unsigned *gid) {
  FILE *file = fopen("/etc/nss-test", "re");
  if (!file) return 0;
  int read = fscanf(file, "%31s %u", word, gid);
  fclose(file);
  return read == 2;
}

enum nss_status _nss_NAME_initgroups_dyn(const char *user, gid_t primary, long *start, long *size, gid_t **groups,
                                         long limit, int *errnop) {
  char word[32];
  unsigned gid;
  /* As a client of a daemon, it needs a second descriptor while the first one is open. */
  int first = open("/", O_RDONLY), second = dup(first), asked = told(word, &gid);
  if (first >= 0) close(first);
  if (second >= 0) close(second);
  if (second < 0 || !asked) { *errnop = EMFILE; return NSS_STATUS_UNAVAIL; }
  if (!strcmp(word, "unavailable")) { *errnop = ECONNREFUSED; return NSS_STATUS_UNAVAIL; }
  if (!strcmp(word, "nothing-there")) { *errnop = ESRCH; return NSS_STATUS_UNAVAIL; }
  if (!strcmp(word, "again")) { *errnop = EAGAIN; return NSS_STATUS_TRYAGAIN; }
  if (!strcmp(word, "silent")) return NSS_STATUS_UNAVAIL;
  if (strcmp(word, "member")) { *errnop = ENOENT; return NSS_STATUS_NOTFOUND; }
  if (*start == *size) {
    *groups = realloc(*groups, 2 * *size * sizeof **groups);
    *size *= 2;
  }
  (*groups)[(*start)++] = gid;
  return NSS_STATUS_SUCCESS;
}
"#;

/// Knows groups, and not those of a user: `getgrouplist` goes through all. /etc/nss-test says how that goes, and the user. The
/// first group is too large for most buffers.
const WITHOUT_INITGROUPS: &str = r#"
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <stdio.h>
#include <string.h>

static char word[32], user[64], *member[] = {"nobody", user, NULL};
static unsigned gid;
static int place;

static int told(void) {
  FILE *file = fopen("/etc/nss-test", "re");
  int read = file ? fscanf(file, "%31s %u %63s", word, &gid, user) : 0;
  if (file) fclose(file);
  return read == 3;
}

enum nss_status _nss_NAME_getgrnam_r(const char *name, struct group *group, char *buffer, size_t size, int *errnop) {
  if (!told() || strcmp(word, "large")) { *errnop = ENOENT; return NSS_STATUS_NOTFOUND; }
  if (size < 3000000) { *errnop = ERANGE; return NSS_STATUS_TRYAGAIN; }
  group->gr_name = "any";
  group->gr_passwd = "x";
  group->gr_gid = gid;
  group->gr_mem = member;
  return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_NAME_setgrent(int stayopen) {
  int read = told();
  place = 0;
  errno = !strcmp(word, "no-file") ? ENOENT : EIO;
  return read && strcmp(word, "closed") && strcmp(word, "no-file") ? NSS_STATUS_SUCCESS : NSS_STATUS_UNAVAIL;
}

enum nss_status _nss_NAME_endgrent(void) { return NSS_STATUS_SUCCESS; }

enum nss_status _nss_NAME_getgrent_r(struct group *group, char *buffer, size_t size, int *errnop) {
  static char *nobody[] = {"nobody", NULL};
  if (place == 0 && size < 200000) { *errnop = ERANGE; return NSS_STATUS_TRYAGAIN; }
  if (place == 1 && !strcmp(word, "broken")) { *errnop = EIO; return NSS_STATUS_UNAVAIL; }
  if (place == 2) { *errnop = ENOENT; return NSS_STATUS_NOTFOUND; }
  group->gr_name = "any";
  group->gr_passwd = "x";
  group->gr_gid = gid + (place == 0);
  group->gr_mem = strcmp(word, "member") ? nobody : member;
  place++;
  return NSS_STATUS_SUCCESS;
}
"#;

/// A user without a device. A rule requires a second factor of a group, and of no other user.
struct Desk {
    user: TestUser,
    group: String,
    gid: String,
    _site: Site,
    service: Service,
}

impl Desk {
    fn new() -> Desk {
        let (user, group) = (TestUser::new("bob"), new_group("admins"));
        let gid = machine::run(Command::new("getent").args(["group", &group]));
        let gid = gid.split(':').nth(2).unwrap().to_owned();
        let site = Site::new(&format!("[[policy.rule]]\ngroup = \"{group}\"\nsecond_factor = \"required\"\n"));
        let service = Service::private(&format!("auth required {}", site.module()));
        Desk { user, group, gid, _site: site, service }
    }

    /// A login as root, with what the module logged.
    fn login(&self, command: Command) -> (String, Vec<String>) {
        let mark = syslog::mark();
        let talk = Talk::new(&self.service, &self.user.name);
        let mut conversation = talk.start_as(command);
        conversation.answer("000000");
        let said: Transcript = conversation.finish();
        assert!(said.noise.is_empty(), "{said}");
        (said.result("authenticate").to_owned(), syslog::of_module(mark, said.pid))
    }

    fn command(&self) -> Command {
        Talk::new(&self.service, &self.user.name).command()
    }

    fn not_asked(&self) -> (String, Vec<String>) {
        let line = format!("info not-asked user={} second_factor=optional by=default", self.user.name);
        ("PAM_PERM_DENIED".to_owned(), vec![line]) // alone in its stack, PAM_IGNORE
    }

    fn refused(&self) -> (String, Vec<String>) {
        ("PAM_AUTH_ERR".to_owned(), vec![format!("notice refused user={} why=not-enrolled", self.user.name)])
    }

    fn cannot_raise(&self, name: &str) -> (String, Vec<String>) {
        let error = format!("the limit {name} is too low and cannot be raised");
        let hint = "the process lacks CAP_SYS_RESOURCE: raise the limit where it is started (limits.conf, systemd)";
        let line = format!("err error user={} error=\"{error}\" hint=\"{hint}\"", self.user.name);
        ("PAM_AUTHINFO_UNAVAIL".to_owned(), vec![line])
    }

    fn unanswered(&self, why: &str) -> (String, Vec<String>) {
        let user = &self.user.name;
        let error = format!("a name service does not say which groups '{user}' is in: {why}");
        let hint =
            "start the services on the line `group` (or `initgroups`) of /etc/nsswitch.conf, or take them off it";
        ("PAM_AUTHINFO_UNAVAIL".to_owned(), vec![format!("err error user={user} error=\"{error}\" hint=\"{hint}\"")])
    }
}

#[test]
fn a_service_that_does_not_answer_is_not_a_no() {
    let desk = Desk::new();
    let names = NameService::new(SOURCE, "");
    for line in [
        "group: files SERVICE",
        "group: files SERVICE systemd",
        "group: files [SUCCESS=merge] SERVICE [SUCCESS=merge] systemd",
        "group: SERVICE [UNAVAIL=continue] files",
        "group: files\ninitgroups: files [SUCCESS=continue] SERVICE",
        "group: files\ninitgroups: SERVICE [NOTFOUND=return] files",
    ] {
        names.switch(line);
        for (says, expected) in [
            ("member", desk.refused()),
            ("nothing", desk.not_asked()),
            ("unavailable", desk.unanswered("Connection refused")),
            ("again", desk.unanswered("Resource temporarily unavailable")),
            ("silent", desk.unanswered("no reason was given")),
            ("nothing-there", desk.unanswered("No such process")), // what systemd's says where it does not run
        ] {
            names.says(&format!("{says} {}", desk.gid));
            assert_eq!(desk.login(names.around(&desk.command())), expected, "{line}, {says}");
        }
    }
    // A service that is not asked, and one that is not installed.
    for line in
        ["group: files", "group: files nowhere", "initgroups: files [NOTFOUND=return] SERVICE\ngroup: SERVICE files"]
    {
        names.switch(line);
        names.says("unavailable 0");
        assert_eq!(desk.login(names.around(&desk.command())), desk.not_asked(), "{line}");
    }
}

#[test]
fn a_service_that_must_be_asked_for_all_groups_is_asked_for_all() {
    let desk = Desk::new();
    let names = NameService::new(WITHOUT_INITGROUPS, "");
    for line in ["group: files SERVICE", "group: files [SUCCESS=merge] SERVICE", "group: SERVICE files"] {
        names.switch(line);
        for (says, expected) in [
            ("member", desk.refused()),
            ("nothing", desk.not_asked()),
            ("no-file", desk.not_asked()),
            ("closed", desk.unanswered("Input/output error")),
            ("broken", desk.unanswered("Input/output error")),
        ] {
            names.says(&format!("{says} {} {}", desk.gid, desk.user.name));
            assert_eq!(desk.login(names.around(&desk.command())), expected, "{line}, {says}");
        }
    }
}

#[test]
fn a_group_with_very_many_members_is_looked_up() {
    let desk = Desk::new();
    let names = NameService::new(WITHOUT_INITGROUPS, "group: SERVICE files");
    names.says(&format!("large {} {}", desk.gid, desk.user.name));
    assert_eq!(desk.login(names.around(&desk.command())), desk.refused());
    names.says(&format!("large {} {}", desk.gid, "root"));
    assert_eq!(desk.login(names.around(&desk.command())), desk.not_asked());
}

#[test]
fn a_member_by_the_list_of_the_group_needs_no_service() {
    let desk = Desk::new();
    desk.user.join(&desk.group);
    let names = NameService::new(SOURCE, "group: files SERVICE");
    names.says("unavailable 0");
    assert_eq!(desk.login(names.around(&desk.command())), desk.refused());
    names.switch("group: files\ninitgroups: SERVICE");
    assert_eq!(desk.login(names.around(&desk.command())), desk.refused());
}

/// Whether this process may raise hard limits.
fn raises_hard_limits() -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() >> CAP_SYS_RESOURCE & 1 == 1
}

#[test]
fn limits_of_the_user_who_starts_a_program_of_root_decide_nothing() {
    let (desk, program) = (Desk::new(), SetUserId::pamtalk());
    let names = NameService::new(SOURCE, "group: files SERVICE systemd");
    names.says(&format!("member {}", desk.gid));
    // The soft limit alone can always be raised. A hard one needs CAP_SYS_RESOURCE, which containers may lack.
    let may_raise = raises_hard_limits();
    for limits in ["--nofile=5:", "--fsize=0:", "--as=30000000:", "--data=400000:"] {
        let login = desk.login(names.around(&program.command(&desk.user, &desk.command(), &[limits], &[])));
        assert_eq!(login, desk.refused(), "{limits}");
    }
    for (limits, name) in [("--nofile=5:8", "RLIMIT_NOFILE"), ("--fsize=0", "RLIMIT_FSIZE")] {
        let login = desk.login(names.around(&program.command(&desk.user, &desk.command(), &[limits], &[])));
        let expected = if may_raise { desk.refused() } else { desk.cannot_raise(name) };
        assert_eq!(login, expected, "{limits}");
    }
    // A program that may not raise them refuses.
    let without = ["--bounding-set=-sys_resource"];
    for (limits, name) in [(["--nofile=5"], "RLIMIT_NOFILE"), (["--fsize=0"], "RLIMIT_FSIZE")] {
        let login = desk.login(names.around(&program.command(&desk.user, &desk.command(), &limits, &without)));
        assert_eq!(login, desk.cannot_raise(name), "{limits:?}");
    }
}

#[test]
fn without_descriptors_there_is_no_answer() {
    // A process of root that root itself started has the limits that root set.
    let desk = Desk::new();
    let names = NameService::new(SOURCE, "group: files SERVICE systemd");
    names.says(&format!("member {}", desk.gid));
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=5").arg(desk.command().get_program()).args(desk.command().get_args());
    let (result, log) = desk.login(names.around(&limited));
    assert_eq!(result, "PAM_AUTHINFO_UNAVAIL", "{log:#?}");
    assert!(log.len() == 1 && log.iter().all(|line| line.contains("Too many open files")), "{log:#?}");
}
