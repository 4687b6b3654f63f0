//! FreeRADIUS as Debian ships it, under its own account and without new privileges: it lets users in by way of the agent.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on stops where it is")]

use pam_otp_tests::{
    agent::{self, Agent, verdicts},
    machine,
    phone::Phone,
    service::Service,
    syslog,
    users::TestUser,
};
use std::{
    fs,
    io::Write,
    net::UdpSocket,
    os::unix::fs::chown,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The account that Debian's package makes.
const ACCOUNT: &str = "freerad";

/// The server, which asks PAM about every user. It and the client are the package's own; the configuration is the part of
/// the package's that it takes for that.
struct FreeRadius {
    server: Child,
    port: u16,
    dir: TempDir,
}

impl FreeRadius {
    fn start(service: &Service) -> FreeRadius {
        // Its unit and its PAM file stay away: other tests look at those of this machine.
        let put = "tar -C \"$0\" --exclude=./etc --exclude=./lib/systemd -c . | tar -C / -x --keep-directory-symlink";
        machine::run(Command::new("sh").args(["-ec", put]).arg(machine::unpacked("freeradius")));
        machine::run(Command::new("sh").args(["-ec", "id freerad 2> /dev/null || useradd --system freerad"]));
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().display();
        let config = format!(
            "prefix = /usr\nlibdir = /usr/lib/freeradius\nlogdir = {folder}\nrun_dir = {folder}\nname = freeradius\n\
             security {{\n  reject_delay = 0\n}}\n\
             thread pool {{\n  start_servers = 4\n  max_servers = 8\n}}\n\
             client localhost {{\n  ipaddr = 127.0.0.1\n  secret = of-the-test\n}}\n\
             modules {{\n  pam {{\n    pam_auth = {}\n  }}\n}}\n\
             server default {{\n  listen {{\n    type = auth\n    ipaddr = 127.0.0.1\n    port = {port}\n  }}\n  \
             authorize {{\n    update control {{\n      Auth-Type := PAM\n    }}\n  }}\n  \
             authenticate {{\n    Auth-Type PAM {{\n      pam\n    }}\n  }}\n}}\n",
            service.name()
        );
        fs::write(dir.path().join("radiusd.conf"), config).unwrap();
        chown(dir.path(), Some(uid()), None).unwrap();
        let log = dir.path().join("log");
        // As its unit starts it: User=, Group=, NoNewPrivileges=.
        let mut start = Command::new("setpriv");
        start.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "--no-new-privs", "freeradius", "-f"]);
        start.arg("-l").arg(&log).arg("-d").arg(dir.path()).args(["-D", "/usr/share/freeradius"]);
        let server = start.stdin(Stdio::null()).spawn().unwrap();
        let radius = FreeRadius { server, port, dir };
        let ready = || fs::read_to_string(&log).unwrap_or_default().contains("Ready to process requests").then_some(());
        machine::wait(Duration::from_secs(30), ready).unwrap_or_else(|| panic!("{}", radius.log()));
        radius
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether the server accepts the user with this in the password's field.
    fn accepts(&self, user: &str, code: &str) -> bool {
        let server = format!("127.0.0.1:{}", self.port);
        let mut client = Command::new("radclient");
        client.args(["-r", "1", "-t", "60", &server, "auth", "of-the-test"]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        writeln!(client.stdin.take().unwrap(), "User-Name = \"{user}\"\nUser-Password = \"{code}\"").unwrap();
        let output = client.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (accept, reject) = (said.contains("Received Access-Accept"), said.contains("Received Access-Reject"));
        assert!(accept != reject, "{output:?}\n{}", self.log());
        accept
    }
}

impl Drop for FreeRadius {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn uid() -> u32 {
    machine::run(Command::new("id").args(["-u", ACCOUNT])).trim().parse().unwrap()
}

/// What the module has logged in the server.
fn errors(mark: syslog::Mark) -> Vec<String> {
    syslog::lines_since(mark).into_iter().filter(|line| line.contains("pam_otp(radiusd:auth): error ")).collect()
}

#[test]
fn freeradius_lets_a_right_code_in_once_and_its_guesses_are_counted() {
    let service = Service::installed_as("radiusd", "auth required pam_otp.so\naccount required pam_permit.so");
    let (alice, victims) = (TestUser::new("alice"), [TestUser::new("bob"), TestUser::new("carol")]);
    let phone = Phone::enroll_self(&alice);
    let phones = victims.each_ref().map(Phone::enroll_self);
    let radius = FreeRadius::start(&service);
    let (name, code) = (alice.name.as_str(), phone.next_code());

    // Without an agent, and with one that does not know the account: refused, and the log says what to do.
    let (place, mark) = (agent::none(), syslog::mark());
    assert!(!radius.accepts(name, &code), "{}", radius.log());
    let logged = errors(mark);
    assert!(
        logged.iter().any(|line| line.contains("named in [[agent.host]] where otp-agent.socket is")),
        "{logged:#?}"
    );
    drop(place);
    let (stranger, mark) = (Agent::start(""), syslog::mark());
    assert!(!radius.accepts(name, &code));
    let logged = errors(mark);
    assert!(logged.iter().any(|line| line.contains("name the service's account in [[agent.host]]")), "{logged:#?}");
    drop(stranger);

    // Nothing was used up by that.
    let _agent = Agent::start("[[agent.host]]\nuser = \"freerad\"\nservices = [\"radiusd\"]\nwrong = \"3/10m\"\n");
    for (typed, accepted, verdict) in [
        (phone.wrong(), false, "refused WHO why=wrong failures=1"),
        (code.clone(), true, "accepted WHO factor=totp device=1 recovery_left=10 failures=1"),
        (code, false, "refused WHO why=replayed"),
        (phone.recovery_code(), true, "accepted WHO factor=recovery recovery_left=9"),
    ] {
        let mark = syslog::mark();
        assert_eq!(radius.accepts(name, &typed), accepted, "{verdict}\n{}", radius.log());
        let who = format!("user={name} by_uid={} service=radiusd", uid());
        assert_eq!(verdicts(mark, &alice), [verdict.replace("WHO", &who)]);
    }

    // One of three is spent: a flood has two more guesses, and then no code of this service counts.
    let mark = syslog::mark();
    thread::scope(|scope| {
        for (user, phone) in victims.iter().zip(&phones).cycle().take(6) {
            let (radius, wrong) = (&radius, phone.wrong());
            scope.spawn(move || assert!(!radius.accepts(&user.name, &wrong)));
        }
    });
    let lines: Vec<_> = victims.iter().flat_map(|user| verdicts(mark, user)).collect();
    let count = |why: &str| lines.iter().filter(|line| line.contains(why)).count();
    assert_eq!((count("why=wrong"), count("why=host-budget"), lines.len()), (2, 4, 6), "{lines:#?}");
    assert!(!radius.accepts(name, &phone.recovery_code()));
    assert!(verdicts(mark, &alice).iter().all(|line| line.ends_with("why=host-budget")));
}
